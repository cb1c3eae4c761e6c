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


def table(name: str, values: list[tuple[int, int]]) -> str:
    # first code point << 12 | length - 1, in pieces of at most 4096
    entries = []
    for low, high in values:
        while low <= high:
            end = min(high, low + 4095)
            entries.append(f"0x{low << 12 | end - low:X}")
            low = end + 1
    lines = [f'    ("{name}", [']
    lines += ["        " + ", ".join(entries[i : i + 12]) + "," for i in range(0, len(entries), 12)]
    return "\n".join([*lines, "    ]),"])


found: dict[str, list[tuple[int, int]]] = {}
for category in sorted({unicodedata.category(chr(c)) for c in CHARACTERS} - {"Cn"}):
    found[category] = ranges(lambda c, category=category: unicodedata.category(c) == category)
for script in SCRIPTS:
    pattern = regex.compile(rf"\p{{Script={script}}}")
    found[script] = ranges(lambda c, pattern=pattern: bool(pattern.match(c)))

print(f"// Made by Tests/tools/make_category_table.py from Unicode {unicodedata.unidata_version}; do not edit.")
print()
print("/// Ranges of each general category (two letters) and script: first code point << 12 | length - 1, ascending.")
print("let unicodeCategoryRanges: [(StaticString, [UInt64])] = [")
for name, values in found.items():
    print(table(name, values))
print("]")
