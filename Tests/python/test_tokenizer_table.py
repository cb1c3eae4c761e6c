"""Tests/compare/TOKENIZERS.md says what is followed and what is refused: each of its rows is shown by something that runs."""

import re
from pathlib import Path

import test_gguf_tokenizers
import test_tokenizer_files
import test_tokenizer_settings as settings

ROWS = [
    [cell.strip() for cell in line.strip("|\n ").split(" | ")]
    for line in (Path(__file__).parents[1] / "compare/TOKENIZERS.md").read_text().splitlines()[10:]
    if line.startswith("| ")
]


def test_every_row_of_the_table_is_shown_by_something():
    assert len(ROWS) > 50
    for row in ROWS[1:]:
        if "harmless" in row[2]:
            continue
        kind, name = row[3].rstrip(" |").split(": ", 1)
        if kind == "case":
            assert name in settings.JSON or name in settings.MODELS, row
        elif kind == "refusal":
            assert name in settings.REFUSED and row[2] == "refused", row
        else:
            assert kind == "test" and any(hasattr(file, name) for file in (settings, test_tokenizer_files, test_gguf_tokenizers)), row


def test_every_part_that_is_read_is_in_the_table():
    """The lists of names in the source and the table name the same parts."""
    table = " ".join(" ".join(row) for row in ROWS)
    folder = Path(__file__).parents[2] / "Sources/Llama2Tokenizer"
    source = "".join((folder / name).read_text() for name in ("NormalizerReader.swift", "PreTokenizerReader.swift"))
    lists = re.findall(r"let names: \[StaticString\] = \[(.*?)\]", source, re.S)
    assert len(lists) == 2
    for name in re.findall(r'"(\w+)"', " ".join(lists)):
        assert name in table or name in ("Bert", "Delimiter"), name  # older spellings of two that are there
