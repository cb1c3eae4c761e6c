#!/usr/bin/env bash
# The lines of the parsing modules that the corpora reach: for each file, and of all together. Writes the lines that
# are not reached to .build-coverage/missed.
set -eu
cd "$(dirname "$0")/../.."
out=.build-coverage; mkdir -p $out/profiles; rm -f $out/profiles/*
bin=$(dirname "$(readlink -f "$(command -v swiftc)")")
for target in $(sed -n 's/^    {"\([a-z0-9]*\)", .*/\1/p' Tests/fuzz/targets.c); do
  folders=(); for folder in .build-fuzz/corpus/$target .build-fuzz/kept/$target $out/seeds/$target Tests/fuzz/regressions/$target; do
    [ -d $folder ] && folders+=("$folder"); done
  FUZZ_MODELS=$out/models LLVM_PROFILE_FILE=$out/profiles/$target.profraw \
    $out/targets/$target -runs=0 -rss_limit_mb=2048 "${folders[@]}" >$out/profiles/$target.log 2>&1
done
"$bin/llvm-profdata" merge -o $out/profile $out/profiles/*.profraw
modules=(Sources/Llama2Formats Sources/Llama2Tokenizer Sources/Llama2Sampling)
"$bin/llvm-cov" show $out/targets/fuzz -instr-profile $out/profile -show-instantiations=0 "${modules[@]}" | grep -E '^/|^ *[0-9]+\| +0\|' >$out/missed || true
for module in "${modules[@]}"; do
  # writing files is no parsing; half.swift's other direction is a kernel's, the same file by a link
  "$bin/llvm-cov" report $out/targets/fuzz -instr-profile $out/profile -ignore-filename-regex '/(GGUFWriter|Half)\.swift' "$module" |
    awk -v module="$(basename "$module")" '$1 == "TOTAL" { printf "%s: %s of %d lines\n", module, $10, $8 }'
done
