#!/usr/bin/env bash
# Random mixes of requests on one scheduler: MIXES (500), LLAMA2SWIFT_SEED (a new one each time by default). After `make lib`.
set -eu -o pipefail
cd "$(dirname "$0")/../.."
export LLAMA2SWIFT_LIBRARY=${LLAMA2SWIFT_LIBRARY:-$PWD/.build/release/libllama2swift.so} PYTHONPATH=$PWD/Bindings/Python
log=$(mktemp); trap 'rm -f "$log"' EXIT
seed=${LLAMA2SWIFT_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
.build/venv/bin/python -u Tests/python/mixes.py --mixes "${MIXES:-500}" --seed "$seed" | tee "$log"
echo "TRUST | 17 | a request to a scheduler has the text and the probabilities that it has alone, bit by bit | Tests/trust/mixes.sh | $(tail -1 "$log")"
