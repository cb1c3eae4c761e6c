#!/usr/bin/env bash
# dist/llama2swift-VERSION-linux-MACHINE.tar.gz: what `make install` installs, with licence and documentation, to be unpacked anywhere.
set -eu
cd "$(dirname "$0")/../.."
define() { sed -n "s/^#define LLAMA2_VERSION_$1 //p" Include/llama2swift.h; }
name=llama2swift-$(define MAJOR).$(define MINOR).$(define PATCH)-linux-$(uname -m)
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
sh Bindings/C/install.sh /usr "$work/stage" /usr/lib >/dev/null
mkdir -p "$work/$name/share/doc/llama2swift" dist
cp -a "$work/stage/usr/." "$work/$name/"
cp LICENSE README.md CHANGELOG.md RELIABILITY.md "$work/$name/share/doc/llama2swift/"
cp Bindings/C/minimal.c Bindings/C/chat.c "$work/$name/share/doc/llama2swift/"
# where it is unpacked is where it is
sed -i 's|^prefix=.*|prefix=${pcfiledir}/../..|; s|^libdir=.*|libdir=${prefix}/lib|' "$work/$name/lib/pkgconfig/llama2swift.pc"
sed -i 's|set(_llama2swift_include "/usr/include")|set(_llama2swift_include "${_llama2swift_prefix}/include")|' \
  "$work/$name/lib/cmake/llama2swift/llama2swiftConfig.cmake"
# the same bytes from the same tree, whoever packs it and when
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@${SOURCE_DATE_EPOCH:-$(stat -c %Y Include/llama2swift.h)}" -C "$work" -cf - "$name" \
  | gzip -9n > "dist/$name.tar.gz.part"
mv "dist/$name.tar.gz.part" "dist/$name.tar.gz"
echo "dist/$name.tar.gz"
