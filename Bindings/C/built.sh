#!/bin/sh
# For `make install`: sees to it that the library is built from these sources. Without Swift, or as root in somebody else's checkout
# (sudo make install), what is built already is taken if it is not older than the sources.
set -eu
cd "$(dirname "$0")/../.."
library=.build/release/libllama2swift.so
stamp=.build/built # the time when its build began
[ -e "$stamp" ] || stamp=$library
if [ -e "$library" ] && [ -z "$(find Package.swift Include Sources -newer "$stamp" -type f | head -1)" ]; then
  exit 0
fi
if command -v swift >/dev/null; then
  owner=$(ls -ldn . | awk '{print $3}')
  if [ "$(id -u)" -eq "$owner" ]; then exec make --no-print-directory lib; fi
  echo "the library is not built from these sources yet; as the owner of this folder: make lib" >&2
elif [ -e "$library" ]; then
  echo "the library is older than the sources, and Swift is missing: Swift 6.3 from https://www.swift.org/install/linux, then make lib" >&2
else
  echo "the library is not built, and Swift is missing: Swift 6.3 from https://www.swift.org/install/linux, then make lib" >&2
fi
exit 1
