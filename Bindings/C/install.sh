#!/usr/bin/env bash
# Installs library, header and pkg-config file: install.sh PREFIX [DESTDIR]
set -eu
cd "$(dirname "$0")/../.."
prefix=${1:?usage: install.sh PREFIX [DESTDIR]}
root=${2:-}$prefix
define() { sed -n "s/^#define LLAMA2_VERSION_$1 //p" Include/llama2swift.h; }
version=$(define MAJOR).$(define MINOR).$(define PATCH)
if ! mkdir -p "$root/lib/pkgconfig" "$root/include" 2>/dev/null || [ ! -w "$root/lib" ]; then
  echo "$root cannot be written; try: sudo make install PREFIX=$prefix, or make install PREFIX=\$HOME/.local" >&2
  exit 1
fi
install -m 755 -s .build/release/libllama2swift.so "$root/lib/libllama2swift.so.$version"
ln -sfn "libllama2swift.so.$version" "$root/lib/libllama2swift.so.0"
ln -sfn libllama2swift.so.0 "$root/lib/libllama2swift.so"
install -m 644 Include/llama2swift.h "$root/include/llama2swift.h"
sed "s|@PREFIX@|$prefix|; s|@VERSION@|$version|" Bindings/C/llama2swift.pc.in > "$root/lib/pkgconfig/llama2swift.pc"
# Only the system's own folders are in the loader's cache.
[ -n "${2:-}" ] || [ "$(id -u)" -ne 0 ] || ldconfig
echo "installed llama2swift $version in $root"
