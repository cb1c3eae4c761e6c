#!/usr/bin/env bash
# The kernels of arm64, compiled here and run by an emulator of three CPUs: one with NEON only, one with dot products, one with all that
# there is. What is missing is installed (Debian's packages, as root) or named.
set -eu -o pipefail
cd "$(dirname "$0")/../.."
declare -A packages=([qemu-aarch64]=qemu-user [aarch64-linux-gnu-gcc]=gcc-aarch64-linux-gnu)
missing=()
for tool in "${!packages[@]}"; do command -v "$tool" > /dev/null || missing+=("${packages[$tool]}"); done
if [ ${#missing[@]} -gt 0 ]; then
  { [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null && apt-get update -q && apt-get install -y -q "${missing[@]}"; } > /dev/null ||
    { echo "missing: ${missing[*]} (apt-get install ${missing[*]})"; exit 1; }
fi
out=.build/arm64
bash Tests/arm64/build.sh "$out"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# run CPU KERNELS: the comparison on this CPU; KERNELS: those that are to be found there
run() {
  qemu-aarch64 -cpu "$1" "$out/compare" | tee "$log"
  grep -qx "kernels: $2" "$log" || { echo "$1 should have: $2"; exit 1; }
  echo "TRUST | 14 | every arm64 kernel gives the bits of the reference, and the reference those that it has on x86-64 | Tests/trust/arm64.sh, $(qemu-aarch64 --version | sed -n 's/ (.*//; s/qemu-aarch64 version/qemu/p'), CPU $1 | $(sed -n 's/^kernels: //p' "$log"); $(sed -n 's/^compared: //p' "$log")"
}
run cortex-a53 "reference, NEON"
run cortex-a76 "reference, NEON, NEON+dotprod"
run max "reference, NEON, NEON+dotprod, NEON+i8mm"
