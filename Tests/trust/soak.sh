#!/usr/bin/env bash
# Eight threads do everything at random for SOAK_SECONDS (600) under a limit of address space: Tests/c/soak.c. After `make lib`.
# LLAMA2SWIFT_SEED repeats the operations of each thread, though not how they meet.
set -eu -o pipefail
cd "$(dirname "$0")/../.."
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
library=${LLAMA2SWIFT_LIBRARY:-$PWD/.build/release/libllama2swift.so}
seed=${LLAMA2SWIFT_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}

${CC:-cc} -std=gnu99 -O1 -Wall -Wextra -IInclude Tests/c/soak.c -o "$folder/soak" "$library" -lpthread -Wl,-rpath,"$(dirname "$library")"
mkdir "$folder/files"
"$folder/soak" Tests/fixtures/stories260K.bin "$folder/files" "${SOAK_SECONDS:-600}" "$seed" | tee "$folder/log"
left=$(ls -A "$folder/files")
[ "$left" = base.gguf ] || { echo "files were left: $left"; exit 1; }
echo "TRUST | 13 | random use by eight threads under a memory limit gives no unexpected error and loses nothing | make soak | $(tail -1 "$folder/log")"
