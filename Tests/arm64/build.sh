#!/usr/bin/env bash
# Tests/arm64/build.sh OUT: the kernels and their comparison as a program for aarch64 Linux, OUT/compare.
#
# The toolchain has no standard library for aarch64 Linux. It has Embedded Swift's for the bare aarch64, and the kernels need no more
# than that: the real sources of Llama2Kernels and of its modules, the part of Llama2Core that they use (the error and the block
# types), with the flags of Package.swift. A C compiler for aarch64 Linux links them with its libc.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p "$1"
out=$(cd "$1" && pwd)
maps=()
for module in BlockTables KernelOperands ArmIntrinsics; do
  header=$(ls Sources/$module/include/*.h)
  mkdir -p "$out/$module"
  echo "module $module { header \"$PWD/$header\" export * }" > "$out/$module/module.modulemap"
  maps+=(-Xcc "-fmodule-map-file=$out/$module/module.modulemap")
done

# compile MODULE FLAGS... SOURCES...
compile() {
  local module=$1
  shift
  swiftc -target aarch64-none-none-elf -enable-experimental-feature Embedded -wmo -O -parse-as-library -swift-version 6 \
    -package-name llama2swift "${maps[@]}" -I "$out" -module-name "$module" \
    -emit-module -emit-module-path "$out/$module.swiftmodule" -c -o "$out/$module.o" "$@"
}

kernels() { echo Sources/"$1"/*.swift Sources/"$1"/Body/*.swift Sources/"$1"/Formats/*.swift $(find Sources/"$1"/Scales -name "*.swift" 2> /dev/null); }

compile Llama2Core Sources/Llama2Core/{Llama2Error,BlockType}.swift Sources/Llama2Core/Formats/*.swift & jobs=($!)
compile Llama2KernelsNEON $(kernels Llama2KernelsNEON) & jobs+=($!)
compile Llama2KernelsDotProduct -Xcc -march=armv8-a+dotprod $(kernels Llama2KernelsDotProduct) & jobs+=($!)
compile Llama2KernelsI8MM -Xcc -march=armv8-a+dotprod+i8mm $(kernels Llama2KernelsI8MM) & jobs+=($!)
for job in "${jobs[@]}"; do wait "$job"; done
compile Llama2Kernels $(kernels Llama2Kernels)
compile Comparison Tests/arm64/compare.swift Tests/Llama2SwiftTests/{KernelComparison,DividedAttentionComparison,KernelData}.swift
# what Embedded Swift's String needs
unicode=$(dirname "$(readlink -f "$(command -v swiftc)")")/../lib/swift/embedded/aarch64-none-none-elf/libswiftUnicodeDataTables.a
aarch64-linux-gnu-gcc -static-pie -o "$out/compare" "$out"/*.o "$unicode" -lm
