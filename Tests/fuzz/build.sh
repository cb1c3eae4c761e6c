#!/usr/bin/env bash
# Builds the fuzz targets: the library's modules and the C files here, all of them instrumented, in one program that is
# called by the names of its targets. build.sh fuzz: with sanitizers; build.sh coverage: counts lines, for a corpus.
set -eu
cd "$(dirname "$0")/../.."
kind=${1:-fuzz}; out=.build-$kind
bash Tests/setup swift
bin=$(dirname "$(readlink -f "$(command -v swiftc)")")
case $kind in
  fuzz) swift_flags=(-sanitize=fuzzer,address); c_flags=(-fsanitize=address,fuzzer-no-link); link_flags=(-sanitize=fuzzer,address) ;;
  coverage) swift_flags=(-profile-generate -profile-coverage-mapping); c_flags=(); link_flags=(-sanitize=fuzzer -profile-generate) ;;
  *) echo "fuzz or coverage?" >&2; exit 2 ;;
esac
log=$out/build.log; mkdir -p "$out/objects" "$out/targets"
swift build --scratch-path "$out" -c release --target Llama2CAPI $(printf -- '-Xswiftc %s ' "${swift_flags[@]}") \
  $([ ${#c_flags[@]} -eq 0 ] || printf -- '-Xcc %s ' "${c_flags[@]}") >"$log" 2>&1 || { grep -m 20 -E 'error' "$log" >&2; exit 1; }
for file in $(cd Tests/fuzz; ls common.c targets.c target_*.c scheduling.c searching.c mutate*.c libfuzzer.c); do
  "$bin/clang" -std=gnu11 -O1 -g -Wall -Wextra "${c_flags[@]}" -IInclude -c Tests/fuzz/$file -o "$out/objects/${file%.c}.o"
done
modules=$(ls "$out"/release/*.build/*.o | grep -v 'Tests.build/')
swiftc "${link_flags[@]}" -static-stdlib -use-ld=lld $modules "$out"/objects/*.o -o "$out/targets/fuzz"
for target in $(sed -n 's/^    {"\([a-z0-9]*\)", .*/\1/p' Tests/fuzz/targets.c); do ln -sf fuzz "$out/targets/$target"; done
LLAMA2SWIFT_LIBRARY=$PWD/.build/release/libllama2swift.so PYTHONPATH=Bindings/Python .build/venv/bin/python Tests/fuzz/seeds.py "$out/models" "$out/seeds" >>"$log"
