#!/bin/sh
# What `make demo` shows where Python's packages cannot be installed: demo.sh FOLDER-OF-C-EXAMPLES
set -eu
tiny=$(dirname "$0")/../../Tests/fixtures/stories260K.bin
model=${LLAMA2SWIFT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/llama2swift}/SmolLM2-135M-Instruct.Q4_1.gguf
if [ -e "$model" ]; then
  echo "Without Python's packages C alone shows it, with the model that was fetched before."
  for question in "What is the capital of France?" "Name three rivers of Europe."; do
    printf '\n== C: %s\n' "$question"
    "$1/chat" "$model" "$question"
  done
else
  echo "The model could not be fetched, nor Python's packages be installed: C alone shows it,"
  echo "with a tiny model that comes with the project and tells a story."
  printf '\n== C: Once upon a time\n'
  "$1/minimal" "$tiny" "Once upon a time"
fi
