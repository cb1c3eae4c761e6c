"""Data files: one JSON object a line, plain or packed by xz or gzip, read in bounded memory and checked field by field."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Item = dict[str, Any]

MOST_BYTES = 1 << 30  # of a file, unpacked
LONGEST_LINE = 1 << 22
_PIECE = 1 << 18
_KINDS = {"text": "a text", "words": "a text that is not blank", "texts": "a list of texts, at least one", "any texts": "a list of texts", "choices": "a list of texts, at least two, none of them empty", "index": "the index of one of the choices", "flag": "true or false", "number": "a whole number"}


class DataError(ValueError):
    """A data file that is not there or not as it should be: file, line and field are in the sentence."""


def find(folder: str | os.PathLike[str], name: str) -> Path | None:
    """The file of that name, None if it is not there; a plain one before one that is packed."""
    for suffix in (".jsonl", ".jsonl.xz", ".jsonl.gz"):
        path = Path(folder) / (name + suffix)
        if path.is_file():
            return path
    return None


def read(path: Path, fields: dict[str, str]) -> list[Item]:
    """The items of a file. fields: what each of them has, and of which kind; one that ends in "?" may be missing."""
    items: list[Item] = []
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        where = f"{path} line {number}"
        try:
            item = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"), object_pairs_hook=_once)
        except UnicodeDecodeError as problem:
            raise DataError(f"{where} is not UTF-8: {problem.reason} at byte {problem.start}") from None
        except (ValueError, RecursionError) as problem:
            raise DataError(f"{where} is no JSON: {problem}") from None
        if not isinstance(item, dict):
            raise DataError(f"{where} is no JSON object")
        for field, kind in fields.items():
            _check(item, field.rstrip("?"), kind, where, optional=field.endswith("?"))
        items.append(item)
    if not items:
        raise DataError(f"{path} holds no items")
    return items


def _once(pairs: list[tuple[str, Any]]) -> Item:
    """An object, each of whose names stands in it once: which of two is meant nobody can say."""
    item = dict(pairs)
    if len(item) < len(pairs):
        raise ValueError("a name stands in it twice")
    return item


def _check(item: Item, field: str, kind: str, where: str, *, optional: bool) -> None:
    if field not in item:
        if optional:
            return
        raise DataError(f'{where} has no "{field}"')
    value = item[field]
    texts = isinstance(value, list) and all(isinstance(v, str) for v in value)
    right = {
        "text": isinstance(value, str),
        "words": isinstance(value, str) and bool(value.strip()),
        "texts": texts and len(value) >= 1,
        "any texts": texts,
        "choices": texts and len(value) >= 2 and all(v.strip() for v in value),
        "index": type(value) is int and isinstance(item.get("choices"), list) and 0 <= value < len(item["choices"]),
        "flag": isinstance(value, bool),
        "number": type(value) is int,
    }[kind]
    if not right:
        shown = json.dumps(value)
        raise DataError(f'{where}: "{field}" is {shown if len(shown) <= 60 else shown[:57] + "..."}, expected {_KINDS[kind]}')


def fingerprint(path: Path) -> str:
    """SHA-256 of a file as it lies there."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def chosen(name: str, count: int, limit: int | None, seed: int) -> list[int]:
    """Which of `count` items are asked, in the file's order. A larger limit keeps all of a smaller one's."""
    if limit is None or limit >= count:
        return list(range(count))
    order = sorted(range(count), key=lambda index: hashlib.sha256(f"{seed}/{name}/{index}".encode()).digest())
    return sorted(order[:limit])


# Bytes


def _lines(path: Path) -> Iterator[bytes]:
    rest, total = b"", 0
    for piece in _pieces(path):
        total += len(piece)
        if total > MOST_BYTES:
            raise DataError(f"{path} unpacks to more than {MOST_BYTES} bytes")
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line
        if len(rest) > LONGEST_LINE:
            raise DataError(f"{path} has a line of more than {LONGEST_LINE} bytes")
    if rest:
        yield rest


def _pieces(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        packed = iter(lambda: file.read(_PIECE), b"")
        try:
            yield from _unpacked(path.suffix, packed)
        except (lzma.LZMAError, zlib.error, EOFError) as problem:
            raise DataError(f"{path} cannot be unpacked: {str(problem) or 'it ends early'}") from None


def _unpacked(suffix: str, packed: Iterator[bytes]) -> Iterator[bytes]:
    """Piece by piece, so that a small file cannot become a large piece of memory."""
    if suffix == ".xz":
        xz = lzma.LZMADecompressor(memlimit=256 << 20)
        for piece in packed:
            while True:
                yield xz.decompress(piece, _PIECE)
                piece = b""
                if xz.eof and xz.unused_data:
                    piece, xz = xz.unused_data, lzma.LZMADecompressor(memlimit=256 << 20)
                elif xz.eof or xz.needs_input:
                    break
        if not xz.eof:
            raise EOFError
    elif suffix == ".gz":
        gzip = zlib.decompressobj(31)
        for piece in packed:
            while piece:
                yield gzip.decompress(piece, _PIECE)
                piece = gzip.unconsumed_tail
                if gzip.eof and gzip.unused_data:
                    piece, gzip = gzip.unused_data, zlib.decompressobj(31)
        if not gzip.eof:
            raise EOFError
    else:
        yield from packed
