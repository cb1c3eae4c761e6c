#!/usr/bin/env bash
# Fuzzes one target, or each in turn: run.sh TARGET|"" SECONDS. Corpora stay in .build-fuzz/corpus; an input that fails
# is left in .build-fuzz/found/TARGET, and ends that target's turn and the exit status of all.
set -u
cd "$(dirname "$0")/../.."
out=.build-fuzz; bad=0; seconds=${2:-40}
mkdir -p $out/log
targets=${1:-$(sed -n 's/^    {"\([a-z0-9]*\)", .*/\1/p' Tests/fuzz/targets.c)}
[ -d $out/kept ] || { mkdir -p $out/kept; tar -xf Tests/fuzz/corpus.tar.xz -C $out/kept; }
for target in $targets; do
  # short inputs where the length says nothing new: more of them in the same time
  case $target in
    detokenize|decoder) longest=64 ;; tokenize) longest=128 ;; chat|sampler|state|saved|scheduler|search) longest=256 ;; sentencepiece) longest=1024 ;;
    importance) longest=4096 ;; gguf|split|llama2c) longest=8192 ;; *) longest=16384 ;;
  esac
  mkdir -p $out/corpus/$target $out/found/$target
  folders=("$out/corpus/$target"); for more in "$out/seeds/$target" "$out/kept/$target" "Tests/fuzz/regressions/$target"; do
    [ -d "$more" ] && folders+=("$more"); done
  # what was freed and is kept by the sanitizer counts, too: 64 MiB of it
  ASAN_OPTIONS=quarantine_size_mb=64 FUZZ_MODELS=$out/models "$out/targets/$target" -max_total_time="$seconds" -max_len=$longest -rss_limit_mb=512 -timeout="${TIMEOUT:-2}" -print_funcs=0 \
    -dict=Tests/fuzz/dictionaries/$target.dict -artifact_prefix=$out/found/$target/ -print_final_stats=1 "${folders[@]}" \
    >$out/log/$target 2>&1 || { bad=1; grep -m 3 -E 'ERROR|not so|SUMMARY' $out/log/$target; echo "$target: failed; the input is in $out/found/$target"; }
  echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' $out/log/$target) executions"
done
exit $bad
