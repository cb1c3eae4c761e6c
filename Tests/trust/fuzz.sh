#!/usr/bin/env bash
# No file kills: every fuzz target for FUZZ_SECONDS (40), then the lines of the parsing modules that the corpora reach.
set -u
cd "$(dirname "$0")/../.."
seconds=${FUZZ_SECONDS:-40}; bad=0
make --no-print-directory .build/venv/bin/python lib >/dev/null && bash Tests/fuzz/build.sh fuzz && bash Tests/fuzz/build.sh coverage || exit 1
runs=$(nice -n 10 bash Tests/fuzz/run.sh "" "$seconds") || bad=1
echo "$runs"
grep -q . <<<"$runs" || bad=1
while IFS=': ' read -r target count _; do
  [ -n "${count//[^0-9]/}" ] && [ "$count" -gt 0 ] 2>/dev/null || { bad=1; continue; }
  echo "TRUST | 1 | whatever $target is given, the host lives: no crash, no leak, at most 512 MiB and 2 s | make fuzz TARGET=$target SECONDS=$seconds | $count executions"
done < <(grep ' executions$' <<<"$runs")
blind=$(nice -n 10 bash Tests/fuzz/unguided.sh "$seconds") || bad=1
echo "$blind"
echo "TRUST | 1 | the inputs of every target, changed blindly, end no process of the ordinary library and compute for at most 2 s each | make unguided SECONDS=$seconds | $(sed -n 's/^\([a-z0-9]*\): \([0-9]*\) executions.*/\1 \2/p' <<<"$blind" | paste -sd, | sed 's/,/, /g') executions"
lines=$(nice -n 10 bash Tests/fuzz/coverage.sh) || bad=1
while IFS=': ' read -r module percent rest; do
  echo "TRUST | 1 | the inputs reach at least 95 % of the lines of $module | Tests/fuzz/coverage.sh | $percent $rest"
  awk -v p="${percent%\%}" 'BEGIN { exit !(p >= 95) }' || bad=1
done <<<"$lines"
exit $bad
