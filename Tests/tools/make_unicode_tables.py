#!/usr/bin/env python3
"""Writes Sources/Llama2Tokenizer/UnicodeTables.swift: where the classes L, N and P of Unicode begin.

    python3 Tests/tools/make_unicode_tables.py > Sources/Llama2Tokenizer/UnicodeTables.swift

Takes the newest character database at hand: the package `unicodedata2` when it is installed, else Python's own.
"""
try:
    import unicodedata2 as unicodedata
except ImportError:
    import unicodedata

CLASSES = {"L": 1, "N": 2, "P": 3}
boundaries = []
previous = 0
for code in range(0x110000):
    current = CLASSES.get(unicodedata.category(chr(code))[0], 0)
    if current != previous:
        boundaries.append(code << 2 | current)
        previous = current

print(f"// Made by Tests/tools/make_unicode_tables.py from Unicode {unicodedata.unidata_version}; do not edit.")
print()
print("/// One entry where the class changes, ascending: first code point << 2 | class")
print("/// (0 other, 1 letter L, 2 number N, 3 punctuation P). Code points before the first entry are 0.")
print("let unicodeClassBoundaries: [UInt32] = [")
for i in range(0, len(boundaries), 12):
    print("    " + " ".join(f"0x{b:X}," for b in boundaries[i : i + 12]))
print("]")
