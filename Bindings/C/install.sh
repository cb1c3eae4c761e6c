#!/bin/sh
# Installs library, header, manual, pkg-config and CMake files: install.sh PREFIX [DESTDIR [LIBDIR]]
set -eu
cd "$(dirname "$0")/../.."
prefix=${1:?usage: install.sh PREFIX [DESTDIR [LIBDIR]]}
destination=${2:-}
libdir=${3:-$prefix/lib}
library=${LLAMA2SWIFT_INSTALLS:-.build/release/libllama2swift.so}
case $prefix$libdir in
  *'
'*) echo "a line break in PREFIX or LIBDIR cannot be written into a pkg-config file" >&2; exit 1 ;;
esac
case $prefix in /*) ;; *) echo "PREFIX is $prefix, expected a path from the root" >&2; exit 1 ;; esac
case $libdir in /*) ;; *) echo "LIBDIR is $libdir, expected a path from the root" >&2; exit 1 ;; esac

define() { sed -n "s/^#define LLAMA2_VERSION_$1 //p" Include/llama2swift.h; }
major=$(define MAJOR); version=$major.$(define MINOR).$(define PATCH)
lib=$destination$libdir
include=$destination$prefix/include
man=$destination$prefix/share/man/man1
if ! mkdir -p "$lib/pkgconfig" "$lib/cmake/llama2swift" "$include" "$man" 2>/dev/null || [ ! -w "$lib" ] || [ ! -w "$include" ]; then
  echo "$destination$prefix cannot be written; try: sudo make install PREFIX=$prefix, or make install PREFIX=\$HOME/.local" >&2
  exit 1
fi

# sed's own characters, those of pkg-config (a space ends a word) and of CMake (in quotes) are escaped
for_sed() { printf '%s' "$1" | sed 's/[\\|&]/\\&/g'; }
for_pc() { printf '%s' "$1" | sed 's/[ \\"$]/\\&/g'; }
for_cmake() { printf '%s' "$1" | sed 's/[\\"$]/\\&/g'; }
fill() { # what to escape with, template, output
  sed "s|@PREFIX@|$(for_sed "$($1 "$prefix")")|g; s|@LIBDIR@|$(for_sed "$($1 "$libdir")")|g; s|@VERSION@|$version|g; s|@MAJOR@|$major|g" "$2" > "$3"
  chmod 644 "$3"
}

install -m 755 "$library" "$lib/libllama2swift.so.$version"
if command -v strip >/dev/null; then strip --strip-unneeded "$lib/libllama2swift.so.$version"; fi
ln -sfn "libllama2swift.so.$version" "$lib/libllama2swift.so.0"
ln -sfn libllama2swift.so.0 "$lib/libllama2swift.so"
install -m 644 Include/llama2swift.h "$include/llama2swift.h"
fill for_pc Bindings/C/llama2swift.pc.in "$lib/pkgconfig/llama2swift.pc"
fill for_cmake Bindings/C/llama2swiftConfig.cmake.in "$lib/cmake/llama2swift/llama2swiftConfig.cmake"
fill for_cmake Bindings/C/llama2swiftConfigVersion.cmake.in "$lib/cmake/llama2swift/llama2swiftConfigVersion.cmake"
install -m 644 Bindings/C/llama2swift.1 "$man/llama2swift.1"
echo "installed llama2swift $version in $destination$prefix"

# Only the system's own folders are in the loader's cache.
[ -z "$destination" ] || exit 0
ldconfig=$(command -v ldconfig || echo /sbin/ldconfig)
if [ "$(id -u)" -eq 0 ] && [ -x "$ldconfig" ]; then "$ldconfig" 2>/dev/null || true; fi
if ! "$ldconfig" -p 2>/dev/null | grep -Fq "=> $lib/libllama2swift.so"; then
  quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }
  echo "The loader does not look there by itself. To compile and to run:"
  echo "  cc program.c -I$(quoted "$include") -L$(quoted "$lib") -lllama2swift -o program"
  echo "  LD_LIBRARY_PATH=$(quoted "$lib") ./program"
fi
