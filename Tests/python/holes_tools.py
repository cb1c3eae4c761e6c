"""A class of holes as rows: what writes the file into a folder and returns what to open, its status, a regular expression of the sentence."""

import json
import re
import struct

import formats as F
import hostile_tools as lies
import pytest
import test_hostile as gguf
import test_hostile_formats as other
import test_hostile_meta as meta
import test_hostile_tokenizers as vocabularies
from hostile_formats_tools import SHAPE, W
from test_hostile_meta import op

import llama2swift
from llama2swift.errors import CorruptFileError, FormatError, Llama2Error, UnsupportedError

CORRUPT, FORMAT, UNSUPPORTED = CorruptFileError.status, FormatError.status, UnsupportedError.status
ROWS = SHAPE["vocabulary"]


# Each gives (what writes the file into a folder and returns what to open, status, regular expression of the sentence).


def file(content, status, words, name="m.gguf"):
    return (lambda folder: put(folder / name, content)), status, words


def put(path, content):
    path.write_bytes(content)
    return path


def changed(change, status, words):
    """The good GGUF model of test_hostile with its metadata and tensors changed."""

    def write(folder):
        lies.write_changed(folder / "m.gguf", change)
        return folder / "m.gguf"

    return write, status, words


def in_folder(kind, name, content, status, words):
    """A good Hugging Face ("hf") or Meta ("meta") folder in which one file is another."""

    def write(folder):
        {"hf": F.write_hugging_face, "meta": F.write_meta}[kind](folder / kind, W, SHAPE)
        if name.endswith(".index.json"):
            (folder / kind / "model.safetensors").unlink()  # a whole file goes first
        (folder / kind / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return folder / kind

    return write, status, words


def said(table, name):
    """A row of one of the tables of the two other files."""
    content, kind, words = table[name]
    if table is gguf.STRUCTURE:
        return file(content, kind.status, words)
    if table is gguf.CONTENT:
        return changed(content, kind.status, words)
    where = {
        id(other.SAFETENSORS): ("hf", "model.safetensors"), id(other.CONFIG): ("hf", "config.json"), id(vocabularies.TOKENIZER): ("hf", "tokenizer.json"),
        id(vocabularies.PROTO): ("hf", "tokenizer.model"), id(meta.ZIP): ("meta", "consolidated.00.pth"),
    }  # fmt: skip
    return in_folder(*where[id(table)], content, kind.status, re.escape(words))


def params(name, words):
    return in_folder("meta", "params.json", meta.PARAMS[name][0], CORRUPT, words)


def pickled(body, status, words):
    return in_folder("meta", "consolidated.00.pth", op(body), status, words)


def safetensors(content, status, words):
    return in_folder("hf", "model.safetensors", content, status, words)


def zipped(content, status, words):
    return in_folder("meta", "consolidated.00.pth", content, status, words)


def llama2c(version, at, value, status, words, form="i"):
    def write(folder):
        data = bytearray(F.llama2c(W, version, SHAPE))
        struct.pack_into("<" + form, data, at, value)
        return put(folder / "m.bin", data)

    return write, status, words


def vocabulary_of_llama2c(tokens, status, words):
    """Its tok<count>.bin beside the good checkpoint; tokens: (score, stated length, bytes)."""

    def write(folder):
        put(folder / f"tok{ROWS}.bin", struct.pack("<i", 8) + b"".join(struct.pack("<fi", s, n) + b for s, n, b in tokens))
        return put(folder / "m.bin", F.llama2c(W, 0, SHAPE))

    return write, status, words


GG, M, ST, CF, TK, PB, ZP = gguf.STRUCTURE, gguf.CONTENT, other.SAFETENSORS, other.CONFIG, vocabularies.TOKENIZER, vocabularies.PROTO, meta.ZIP


def cases(**rows):
    """One test a class: it runs with each of these, under its name."""
    return pytest.mark.parametrize("row", [pytest.param(row, id=name) for name, row in rows.items()])


def refused(row, folder):
    write, status, words = row
    path = write(folder)
    with pytest.raises(Llama2Error) as problem:
        llama2swift.Model(path)
    assert problem.value.status == status, repr(problem.value)
    assert re.search(words, str(problem.value)), str(problem.value)
    assert len(str(problem.value).encode()) < 4096 and str(problem.value).isprintable()
