#!/usr/bin/env bash
# A machine of two memory nodes, emulated: Debian's kernel under qemu with 2 CPUs and 1 GiB in each node, where Tests/nodes/probe.c says on which node
# weights and keys and values lie. After `make lib`. Needs qemu-system-x86_64 (installed by root, else named) and apt-get for the kernel, which is
# unpacked in .build/nodes and installed nowhere. Where there is neither it says so and is no failure (status 77).
set -eu -o pipefail
cd "$(dirname "$0")/../.."
skip() { echo "skipped: $*"; exit 77; }
[ "$(uname -m)" = x86_64 ] || skip "the machine that is emulated runs the library of this one, which is built for $(uname -m)"
if ! command -v qemu-system-x86_64 > /dev/null; then
  { [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null && apt-get update -q && apt-get install -y -q --no-install-recommends qemu-system-x86; } > /dev/null 2>&1 ||
    skip "no qemu-system-x86_64 (apt-get install qemu-system-x86)"
fi
out=$PWD/.build/nodes
root=$out/root
library=${LLAMA2SWIFT_LIBRARY:-$PWD/.build/release/libllama2swift.so}
mkdir -p "$out"

# 1. a kernel and a shell
if ! ls "$out"/debian/boot/vmlinuz-* > /dev/null 2>&1; then
  rm -rf "$out/packages" "$out/debian"
  mkdir -p "$out/packages"
  kernel=$(apt-cache depends linux-image-cloud-amd64 2> /dev/null | sed -n 's/.*Depends: \(linux-image-\)/\1/p' | head -1) || kernel=
  [ -n "$kernel" ] && (cd "$out/packages" && apt-get download -q "$kernel" busybox-static) > /dev/null 2>&1 || skip "no kernel (apt-get download linux-image-cloud-amd64)"
  for package in "$out"/packages/*.deb; do dpkg -x "$package" "$out/debian"; done
  rm -rf "$out/packages"
fi
busybox=$out/debian/bin/busybox

# 2. the machine's files: the library and what it is linked with, the probe, and a model whose heads are 64 wide, so that a head's keys of 64
# positions are whole pages of 4 KiB
rm -rf "$root"
mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/lib" "$root/lib64"
cp "$busybox" "$root/bin/"
cp "$library" "$root/lib/libllama2swift.so.0"
strip --strip-debug "$root/lib/libllama2swift.so.0" 2> /dev/null || true
${CC:-cc} -std=gnu99 -O1 -Wall -Wextra -Werror -IInclude Tests/nodes/probe.c -o "$root/bin/probe" "$root/lib/libllama2swift.so.0"
ldd "$library" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | while read -r needed; do cp -L "$needed" "$root/lib/"; done
cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64/"
PYTHONPATH=Tests/python python3 - "$root/model.gguf" <<'END'
import sys
from tiny_gguf import random_model
random_model(sys.argv[1], vocabulary=16384, dim=64, layers=2, heads=4, heads_kv=4, hidden=64, head_dim=64)
END
cat > "$root/init" <<'END'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
echo 0 > /proc/sys/kernel/numa_balancing # what is moved later is not what is looked at
export LD_LIBRARY_PATH=/lib
read -r nodes < /sys/devices/system/node/online
echo "nodes: $nodes"
for huge in never always; do
  echo $huge > /sys/kernel/mm/transparent_hugepage/enabled
  for way in "copy 1" "copy 4" "interleave 2" "interleave 4" "bound 4"; do
    echo "== $huge, $way"
    /bin/probe /model.gguf $way || echo "failed: $?"
  done
done
echo "the end"
/bin/busybox poweroff -f
END
chmod +x "$root/init"
(cd "$root" && find . | "$busybox" cpio -o -H newc 2> /dev/null) | gzip -1 > "$out/initrd.gz"

# 3. it runs
memory() { echo "-object memory-backend-ram,id=m$1,size=1G -numa node,nodeid=$1,cpus=$2,memdev=m$1"; }
# shellcheck disable=SC2046
timeout 280 qemu-system-x86_64 -machine pc -accel tcg -cpu max -smp 4 -m 2G $(memory 0 0-1) $(memory 1 2-3) -kernel "$out"/debian/boot/vmlinuz-* \
  -initrd "$out/initrd.gz" -append "console=ttyS0 quiet panic=-1" -nodefaults -display none -serial stdio -no-reboot < /dev/null | tee "$out/log"

# 4. what is to be seen there
python3 Tests/nodes/check.py "$out/log"
