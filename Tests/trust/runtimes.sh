#!/usr/bin/env bash
# Item 12: the header from other runtimes. Fails when one fails; a runtime whose toolchain cannot be had is named.
set -u
cd "$(dirname "$0")/../.."
log=$(mktemp); trap 'rm -f "$log"' EXIT
make --no-print-directory runtimes 2>&1 | tee "$log"; code=${PIPESTATUS[0]}
while read -r name rest; do
  case $name in
    cpp | go | rust | node | luajit | java)
      echo "TRUST | 12 | $name tells the golden stories; its threads, callbacks and exceptions do no harm | make runtimes | ${rest//|/,}" ;;
  esac
done < "$log"
exit "$code"
