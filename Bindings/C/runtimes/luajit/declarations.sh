#!/bin/sh
# What LuaJIT's ffi.cdef can read of a header: declarations.sh HEADER OUTPUT
set -eu
cc -E -P "$1" > "$2"
sed -nE 's,^#define (LLAMA2_[A-Z0-9_]+) \(?(-?[0-9]+)u?\)?( .*)?$,static const int \1 = \2;,p' "$1" >> "$2"
