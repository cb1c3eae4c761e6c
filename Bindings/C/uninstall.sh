#!/bin/sh
# Takes away what install.sh put there, and folders that are empty then: uninstall.sh PREFIX [DESTDIR [LIBDIR]]
set -eu
prefix=${1:?usage: uninstall.sh PREFIX [DESTDIR [LIBDIR]]}
destination=${2:-}
libdir=${3:-$prefix/lib}
lib=$destination$libdir
removed=0
for path in "$lib"/libllama2swift.so "$lib"/libllama2swift.so.* "$lib/pkgconfig/llama2swift.pc" "$lib"/cmake/llama2swift/llama2swiftConfig.cmake \
  "$lib"/cmake/llama2swift/llama2swiftConfigVersion.cmake "$destination$prefix/include/llama2swift.h" "$destination$prefix/share/man/man1/llama2swift.1"; do
  if [ -e "$path" ] || [ -L "$path" ]; then
    rm -f "$path" || { echo "$path cannot be removed; try: sudo make uninstall PREFIX=$prefix" >&2; exit 1; }
    removed=$((removed + 1))
  fi
done
rmdir "$lib/cmake/llama2swift" "$lib/cmake" "$lib/pkgconfig" 2>/dev/null || true
[ -n "$destination" ] || [ "$(id -u)" -ne 0 ] || ldconfig 2>/dev/null || true
echo "removed $removed files of llama2swift from $destination$prefix"
