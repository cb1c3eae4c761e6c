#!/usr/bin/env python3
"""Writes Sources/Llama2Grammar/UnicodeCategories.swift: where each general category and script of Unicode lies.

    python3 Tests/tools/make_category_table.py > Sources/Llama2Grammar/UnicodeCategories.swift

Takes the character database of the package `regex` (for scripts) and of Python's unicodedata (for categories).
"""
import unicodedata

import regex

SCRIPTS = """Arabic Armenian Bengali Bopomofo Braille Cyrillic Devanagari Ethiopic Georgian Greek Gujarati Gurmukhi Han Hangul Hebrew
Hiragana Kannada Katakana Khmer Lao Latin Malayalam Mongolian Myanmar Sinhala Syriac Tamil Telugu Thaana Thai Tibetan Common Inherited""".split()

CHARACTERS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def ranges(holds) -> list[tuple[int, int]]:
    out: list[list[int]] = []
    for code in CHARACTERS:
        if holds(chr(code)):
            if out and (out[-1][1] == code - 1):
                out[-1][1] = code
            else:
                out.append([code, code])
    return [(a, b) for a, b in out]


def packed(values: list[tuple[int, int]]) -> list[str]:
    # first code point << 12 | length - 1, in pieces of at most 4096
    entries = []
    for low, high in values:
        while low <= high:
            end = min(high, low + 4095)
            entries.append(f"0x{low << 12 | end - low:X}")
            low = end + 1
    return entries


found: dict[str, list[tuple[int, int]]] = {}
for category in sorted({unicodedata.category(chr(c)) for c in CHARACTERS} - {"Cn"}):
    found[category] = ranges(lambda c, category=category: unicodedata.category(c) == category)
for script in SCRIPTS:
    pattern = regex.compile(rf"\p{{Script={script}}}")
    found[script] = ranges(lambda c, pattern=pattern: bool(pattern.match(c)))

entries: list[str] = []
names: list[str] = []
for name, values in found.items():
    pieces = packed(values)
    names.append(f'    ("{name}", {len(entries)}, {len(pieces)}),')
    entries += pieces
print(f"// Made by Tests/tools/make_category_table.py from Unicode {unicodedata.unidata_version}; do not edit.")
print()
print("/// Each general category (two letters) and script: where its ranges begin in the table below, and how many there are.")
print("let unicodeCategories: [(StaticString, Int, Int)] = [")
print("\n".join(names))
print("]")
print()
print("/// Ranges: first code point << 12 | length - 1, ascending within a class.")
print("let unicodeCategoryRanges: [UInt64] = [")
for i in range(0, len(entries), 12):
    print("    " + ", ".join(entries[i : i + 12]) + ",")
print("]")
