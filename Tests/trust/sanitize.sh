#!/usr/bin/env bash
# The library under ThreadSanitizer, AddressSanitizer with LeakSanitizer, UndefinedBehaviorSanitizer (its C parts and the
# hosts) and valgrind; builds of its own in .build/tsan and .build/asan (some minutes the first time). No suppressions.
set -euo pipefail
cd "$(dirname "$0")/../.."
model=Tests/fixtures/stories260K.bin; rounds=${ROUNDS:-100}
clang=$(dirname "$(readlink -f "$(command -v swift)")")/clang
runtime=$("$clang" -print-resource-dir)/lib/linux; swiftlib=$(dirname "$clang")/../lib/swift/linux
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
trust() { echo "TRUST | 6 | $1 | make sanitize | $2"; }

# hosts FOLDER FLAG...: the hosts of Tests/c beside the library of that build
hosts() {
  local folder=$work/$1 library="$PWD/.build/$1/release/libllama2swift.so" name; shift
  mkdir "$folder"; ln -s "$library" "$folder/libllama2swift.so.0"
  for name in threads lifecycle environment; do
    "$clang" -std=c99 -g -O1 -IInclude "Tests/c/$name.c" -o "$folder/$name" "$library" -Wl,-rpath,"$folder" -lpthread "$@"
  done
}
# run FOLDER HOST PART ARGUMENT...: must end with 0 and say nothing of a sanitizer's
run() {
  local log=$work/log
  "$work/$1/$2" "${@:3}" >"$log" 2>&1 || { cat "$log"; echo "FAILED: $*" >&2; exit 1; }
  ! grep -q 'Sanitizer: \|runtime error' "$log" || { cat "$log"; echo "FAILED: $*" >&2; exit 1; }
}

nice swift build --scratch-path .build/tsan -c release --sanitize=thread --product llama2swift >"$work/build" 2>&1 || { cat "$work/build"; exit 1; }
nm -D .build/tsan/release/libllama2swift.so | grep 'U __tsan_write' >/dev/null || { echo "the library is not instrumented" >&2; exit 1; }
hosts tsan -fsanitize=thread -L"$swiftlib" -ldispatch -lBlocksRuntime -Wl,-rpath,"$swiftlib"
run tsan threads callbacks $model "$work/importance.gguf"
run tsan threads second-thread $model
run tsan threads freed-while-inside $model
run tsan threads shared-handles $model "$rounds"
run tsan threads shared-model $model 5
run tsan lifecycle exit $model 2
trust "ThreadSanitizer over threads, callbacks, shared handles and exits: no report, no suppression" "6 hosts, 8 threads of $rounds rounds"

nice swift build --scratch-path .build/asan -c release --sanitize=address -Xcc -fsanitize=undefined -Xcc -fno-sanitize-recover=undefined \
  --product llama2swift >"$work/build" 2>&1 || { cat "$work/build"; exit 1; }
hosts asan -fsanitize=address,undefined -fno-sanitize-recover=undefined -shared-libsan -Wl,-rpath,"$runtime"
run asan threads callbacks $model "$work/importance.gguf"
run asan threads freed-while-inside $model
run asan threads shared-handles $model "$rounds"
run asan lifecycle cycles $model 20 9999999 # the sanitizer keeps freed memory: leaks are LeakSanitizer's to find
run asan lifecycle fork $model
[ "$(uname -m)" != x86_64 ] || run asan environment floats $model "$work/out.gguf"
trust "AddressSanitizer, LeakSanitizer and (C parts) UndefinedBehaviorSanitizer over the C hosts: no report" "6 hosts"

command -v valgrind >/dev/null || { echo "valgrind is missing: skipped"; exit 0; }
[ -e .build/release/libllama2swift.so ] || make lib
# without its debugging information, which valgrind 3.19 cannot always read
mkdir "$work/plain"; strip --strip-debug -o "$work/plain/libllama2swift.so.0" .build/release/libllama2swift.so
cc -std=c99 -g -O1 -IInclude Bindings/C/minimal.c -o "$work/plain/minimal" "$work/plain/libllama2swift.so.0" -Wl,-rpath,"$work/plain"
# its processor has no AVX-512, so that the library chooses AVX2 by itself
valgrind -q --error-exitcode=9 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
  "$work/plain/minimal" $model "Once upon a time" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
grep -q 'a little girl named Lily' "$work/log" || { cat "$work/log"; exit 1; }
trust "valgrind memcheck over Bindings/C/minimal.c: no error, nothing lost" "100 tokens"
