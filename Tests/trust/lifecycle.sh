#!/usr/bin/env bash
# The long runs of items 6 and 7: LIVES (10000) lives, FORKS (1000) forks while threads are inside, EXITS (200) exits,
# ROUNDS (5000) rounds of eight threads on shared handles. About three minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
library="$PWD/.build/release/libllama2swift.so"; model=Tests/fixtures/stories260K.bin
[ -e "$library" ] || make lib
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
ln -s "$library" "$work/libllama2swift.so.0"
for name in lifecycle environment threads; do
  cc -std=c99 -O1 -Wall -Wextra -IInclude "Tests/c/$name.c" -o "$work/$name" "$library" -Wl,-rpath,"$work" -lpthread
done
# promise ITEM SENTENCE PROGRAM ARGUMENT...
promise() {
  local item=$1 sentence=$2 figures; shift 2
  figures=$("$work/$1" "${@:2}") || { echo "$figures"; echo "FAILED: $sentence ($*)" >&2; exit 1; }
  echo "TRUST | $item | $sentence | Tests/trust/lifecycle.sh ($1 $2) | $figures"
}
promise 6 "handles that eight threads use and free at once give promised statuses only" threads shared-handles $model "${ROUNDS:-5000}"
promise 6 "a model shared by 8 contexts on 8 threads, freed in any order, gives the same bits" threads shared-model $model 300
promise 7 "load, create, eval, free: memory, descriptors and threads as at the start" lifecycle cycles $model "${LIVES:-10000}" 512
promise 7 "a fork while other threads are inside hangs nobody, and the child can use the model" lifecycle fork-storm $model "${FORKS:-1000}"
promise 7 "exit with nothing freed, with evals running and from a callback is clean" lifecycle exit $model "${EXITS:-200}"
promise 7 "signals at 1 kHz disturb nothing and never run on the library's threads" environment signals $model "$work/out.gguf"
promise 7 "the host's floating-point mode changes no bit and comes back" environment floats $model "$work/out.gguf"
promise 7 "threads with 64 KiB of stack can do everything" environment stacks $model "$work/out.gguf"
