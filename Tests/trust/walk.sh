#!/usr/bin/env bash
# The random walk of ten thousand steps: WALK_STEPS, LLAMA2SWIFT_SEED (a new one each time by default). After `make lib`.
set -eu -o pipefail
cd "$(dirname "$0")/../.."
export LLAMA2SWIFT_LIBRARY=${LLAMA2SWIFT_LIBRARY:-$PWD/.build/release/libllama2swift.so} PYTHONPATH=$PWD/Bindings/Python
# With the real model where it is or can be fetched.
LLAMA2SWIFT_MODEL=${LLAMA2SWIFT_MODEL:-$(.build/venv/bin/python Bindings/Python/fetch_model.py)} || LLAMA2SWIFT_MODEL=
export LLAMA2SWIFT_MODEL
folder=$(mktemp -d); log=$folder/log; trap 'rm -rf "$folder"' EXIT
cc -std=gnu99 -O1 -shared -fPIC Tests/c/inject.c -o "$folder/inject.so" -ldl

seed=${LLAMA2SWIFT_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
LD_PRELOAD=$folder/inject.so .build/venv/bin/python -u Tests/python/walk.py --steps "${WALK_STEPS:-10000}" --seed "$seed" | tee "$log"
echo "TRUST | 8 | wherever a random walk stands (copies, shifts, states, adapters, types of the cache, cancels, refused memory), logits equal those of a fresh context bit for bit | Tests/trust/walk.sh | $(tail -1 "$log")"
.build/venv/bin/python -m pytest -q -p no:cacheprovider Tests/python/test_golden.py | tee "$log"
count=$(grep -c . Tests/fixtures/golden-hashes.txt)
echo "TRUST | 8 | golden hashes of logits hold on every kernel | test_golden.py, golden-hashes.txt | $count hashes; $(tail -1 "$log")"
.build/venv/bin/python -m pytest -q -p no:cacheprovider Tests/python/test_failures.py Tests/python/test_generate_failures.py | tee "$log"
echo "TRUST | 9 | after every way to fail, positions, logits and sampler are as before | test_failures.py, test_generate_failures.py, CancelTests.swift | $(tail -1 "$log")"
