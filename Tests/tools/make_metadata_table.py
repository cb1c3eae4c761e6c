"""Writes Tests/METADATA.md from the list in Sources/Llama2Formats/MetadataKey.swift, which is what the library goes by.

    python3 Tests/tools/make_metadata_table.py

Tests/python/test_metadata_lists.py compares the two and tries every line.
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "Sources" / "Llama2Formats" / "MetadataKey.swift"
TABLE = ROOT / "Tests" / "METADATA.md"
LINE = re.compile(r'^\s+Entry\(\s*(?:named: "([^"]+)"|\.(\w+)), \.(\w+)(?:\((.*)\))?,\s+"([^"]+)"\),$', re.MULTILINE)
CONSTANT = re.compile(r'static var (\w+): MetadataKey \{ llama\("([^"]+)"\) \}')

WORDS = {
    "read": lambda a: "read",
    "harmless": lambda a: "harmless",
    "numbers": lambda a: "refused unless " + " or ".join(a.strip("[]").split(", ")),
    "flag": lambda a: f"refused unless {a}",
    "texts": lambda a: "refused unless " + " or ".join(a.strip("[]").split(", ")),
    "attentionScale": lambda a: "refused unless 0 or 1 / sqrt(head length)",
    "window": lambda a: "refused unless 0 or no fewer than the context",
    "mixing": lambda a: "refused unless -1, 1 with YaRN or 0 without",
    "sameAs": lambda a: f"refused unless that of llama.{a}",
}


def entries() -> list[tuple[str, str, str, str]]:
    """(key, rule, its argument or "", why)"""
    text = SOURCE.read_text()
    names = dict(CONSTANT.findall(text))
    return [(name or names[constant], rule, names.get(argument.lstrip("."), argument), why) for name, constant, rule, argument, why in LINE.findall(text)]


def table() -> str:
    lines = [
        "# Metadata under `llama.`", "",
        "What a GGUF file says is followed or refused by name. Made from `MetadataKey.swift` by `Tests/tools/make_metadata_table.py`.",
        "An array is judged by each of its elements. Every key under `llama.` that is not here is refused.", "",
        "| key | what is done | about |", "|---|---|---|",
    ]  # fmt: skip
    lines += [f"| `llama.{key}` | {WORDS[rule](argument)} | {why} |" for key, rule, argument, why in entries()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TABLE.write_text(table())
    print(TABLE)
