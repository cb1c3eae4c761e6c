#!/usr/bin/env bash
# Random calls of every function from several threads (Tests/c/random_calls.c), most on contexts of 1 to 8 positions.
# TRUST_SECONDS (default 300) is how long.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
ln -s "$PWD/.build/release/libllama2swift.so" "$work/libllama2swift.so.0"
cc -std=c99 -pedantic -Wall -Wextra -O1 -g -IInclude Tests/c/random_calls.c -o "$work/random_calls" "$work/libllama2swift.so.0" -Wl,-rpath,"$work" -lpthread -lm
seconds=${TRUST_SECONDS:-300} calls=0 answers=0
for part in 1 2 3 4; do
  # other seeds every time: what is found is printed with its seed
  seed=$((part + 10 * $(date +%s)))
  "$work/random_calls" $((seconds / 4)) $((2 * part)) $seed "$work" Tests/fixtures/stories260K.bin Tests/fixtures/*.gguf >"$work/log" 2>&1 ||
    { cat "$work/log"; echo "FAILED with seed $seed, $((2 * part)) threads" >&2; exit 1; }
  calls=$((calls + $(grep -o '^[0-9]* calls' "$work/log" | cut -d' ' -f1)))
  answers=$((answers + $(grep -o '[0-9]* known answers' "$work/log" | cut -d' ' -f1)))
done
echo "TRUST | 2 | random calls of every function, callbacks that call back in and overwrite arrays, contexts of 1 to 8 positions: every status is one the header names, known prompts have their bits | Tests/c/random_calls.c | $calls calls, $answers known answers"
