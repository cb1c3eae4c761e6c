"""Inputs that cost most for their size: texts for the tokenizers, files for the loaders."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path

import formats as F
import numpy as np
from tiny_gguf import _string, shape_metadata, tensor_shapes, write_gguf

SHAPE = dict(vocabulary=64, dim=32, layers=1, heads=4, heads_kv=2, hidden=32, base=10000.0)
PREFIX = "<|" + "x" * 200  # of special tokens that end otherwise


def texts(size: int) -> dict[str, bytes]:
    """One of `size` bytes of each class."""
    dice = random.Random(1)
    units = {
        "one letter": b"a", "spaces": b" ", "newlines": b"\n", "spaces and newlines": b" \n", "digits": b"7", "U+2581": b"\xe2\x96\x81", "emoji": "👩‍👩‍👧‍👦".encode(), "apostrophes": b"'s",
        "zalgo": ("e" + "\u0301\u0316\u0489" * 300).encode(), "zeros": b"\0", "cut characters": b"\xf0\x9f\x91", "continuation bytes": b"\x80", "punctuation": b"#", "without a merge": b"qz",
        "special prefixes": PREFIX.encode(), "almost special": (PREFIX + "y>").encode(),
    }  # fmt: skip
    found = {name: (unit * (size // len(unit) + 1))[:size] for name, unit in units.items()}
    return found | {"random bytes": dice.randbytes(size), "random letters": bytes(dice.choices(b"abcdefghij ", k=size))}


def byte_characters() -> list[str]:
    """The character of each byte in a byte-level vocabulary."""
    free = iter(range(256, 512))
    return [chr(b) if 0x21 <= b <= 0x7E or 0xA1 <= b <= 0xFF and b != 0xAD else chr(next(free)) for b in range(256)]


def tokenizer_model(path: Path, kind: str) -> Path:
    """kind: llama, or the pre-tokenizer of a byte-level vocabulary. Letters merge to 2, 4, ... 64 of a kind."""
    doubles = [c * 2**k for c in "abe7 \n" for k in range(1, 7)]
    special = [PREFIX + end for end in ("a>", "b>", "|>")]
    if kind == "llama":
        pieces = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), *"abcdefghij7\n▁", *(d.replace(" ", "▁") for d in doubles), *special]
        types = [2, 3, 3, *([6] * 256), *([1] * (len(pieces) - 259 - len(special))), *([4] * len(special))]
        keys = {"model": "llama", "scores": [float(-i) for i in range(len(pieces))]}
    else:
        letters = byte_characters()
        merges = ["".join(letters[b] for b in d[: len(d) // 2].encode()) for d in doubles]
        pieces = [*letters, *(m + m for m in merges), *special]
        types = [1] * (len(pieces) - len(special)) + [4] * len(special)
        keys = {"model": "gpt2", "pre": kind, "merges": [f"{m} {m}" for m in merges]}
    shape = dict(vocabulary=len(pieces), dim=4, layers=1, heads=1, heads_kv=1, hidden=4)
    metadata = shape_metadata(**shape) | {f"tokenizer.ggml.{k}": v for k, v in (keys | {"tokens": pieces, "token_type": types}).items()}
    write_gguf(path, metadata, {n + ".weight": (0, s[::-1], bytes(4 * int(np.prod(s)))) for n, s in tensor_shapes(metadata, len(pieces)).items()})
    return path


KINDS = ["llama", "gpt-2", "smollm", "default", "llama-bpe"]


def gguf_header(tensors=0, keys=0) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, keys)


def key(name: str, kind: int, payload: bytes) -> bytes:
    return _string(name) + struct.pack("<I", kind) + payload


def vocabulary(folder: Path, count: int, kind: str) -> Path:
    metadata = shape_metadata(vocabulary=count, dim=2, layers=1, heads=1, heads_kv=1, hidden=2)
    metadata |= {"tokenizer.ggml.model": kind, "tokenizer.ggml.tokens": [b"%x" % i for i in range(count)], "tokenizer.ggml.token_type": [1] * count}
    if kind == "llama":
        metadata["tokenizer.ggml.scores"] = [float(-i) for i in range(count)]
    else:
        metadata |= {"tokenizer.ggml.pre": "gpt-2", "tokenizer.ggml.merges": [b"%x %x" % (i, i) for i in range(count)]}
    write_gguf(folder / "v.gguf", metadata, {n + ".weight": (0, s[::-1], b"\0\0\x80\x3f" * int(np.prod(s))) for n, s in tensor_shapes(metadata, count).items()})
    return folder / "v.gguf"


def _file(data: bytes):
    return lambda folder: ((folder / "m.gguf").write_bytes(data), folder / "m.gguf")[1]


def _in(kind: str, name: str, data: bytes):
    def write(folder: Path) -> Path:
        w = F.weights(SHAPE)
        {"hf": F.write_hugging_face, "meta": F.write_meta}[kind](folder / kind, w, SHAPE)
        (folder / kind / name).write_bytes(data)
        return folder / kind

    return write


def files(size: int) -> dict:
    """name -> what writes a file (or folder) of about `size` bytes and returns its path."""
    numbers = range(size // 10)
    pickle = lambda body: F.pth(F.meta_tensors(F.weights(SHAPE), SHAPE), pickled=b"\x80\x02" + body)  # noqa: E731
    makers = {
        "GGUF, strings of nothing": lambda: _file(gguf_header(0, 1) + key("a", 9, struct.pack("<IQ", 8, size // 8)) + bytes(size)),
        "GGUF, keys": lambda: _file(gguf_header(0, size // 23) + b"".join(struct.pack("<Q7sII", 7, b"%07d" % i, 4, 0) for i in range(size // 23)) + bytes(64)),
        "GGUF, tiny tensors": lambda: _file(gguf_header(size // 71) + b"".join(struct.pack("<Q7sIQIQ", 7, b"%07d" % i, 1, 1, 0, 32 * i) for i in range(size // 71)) + bytes(size // 71 * 32 + 64)),
        "GGUF, vocabulary": lambda: lambda folder: vocabulary(folder, min(size // 37, 1 << 20), "llama"), "GGUF, merges": lambda: lambda folder: vocabulary(folder, min(size // 52, 1 << 20), "gpt2"),
        "JSON, objects": lambda: _in("hf", "config.json", b"[" + b'{"a":{}},' * (size // 9) + b"0]"), "JSON, strings": lambda: _in("hf", "config.json", b"[" + b'"abcdefghijklmnopqrs",' * (size // 22) + b"0]"),
        "JSON, members": lambda: _in("hf", "config.json", b"{" + b",".join(b'"%x":1' % i for i in numbers) + b"}"), "JSON, arrays": lambda: _in("hf", "config.json", b"[" + b"[[0]]," * (size // 6) + b"0]"),
        "JSON, one string": lambda: _in("hf", "config.json", b'["' + b"a" * size + b'"]'), "JSON, escapes": lambda: _in("hf", "config.json", b'["' + b"\\u0041" * (size // 6) + b'"]'),
        "JSON, zalgo keys": lambda: _in("hf", "config.json", b'{"' + ("e" + "\u0316\u0301" * (size // 8)).encode() + b'":1,"' + ("e" + "\u0301\u0316" * (size // 8)).encode() + b'":1}'),
        "JSON, nothing": lambda: _in("hf", "config.json", b" " * size), "JSON, depth": lambda: _in("hf", "config.json", b"[" * size),
        "JSON, merges": lambda: _in("hf", "tokenizer.json", json.dumps({"model": {"type": "BPE", "vocab": {"%x" % i: i for i in range(60)}, "merges": [["%x" % i, "%x" % i] for i in range(size // 20)]}}).encode()),
        "safetensors": lambda: _in("hf", "model.safetensors", F.safetensors({f"t{i}": np.zeros((1, 1), np.float32) for i in range(size // 80)})),
        "protobuf, pieces": lambda: _in("hf", "tokenizer.model", b"\x0a\x00" * (size // 2)), "protobuf, one field": lambda: _in("hf", "tokenizer.model", F.field(99, bytes(size))),
        "pickle, numbers": lambda: _in("meta", "consolidated.00.pth", pickle(b"K\1" * (size // 2))), "pickle, tuples": lambda: _in("meta", "consolidated.00.pth", pickle(b")" * size)),
        "pickle, memo": lambda: _in("meta", "consolidated.00.pth", pickle(b")" + b"\x94" * size)), "pickle as long as may be": lambda: _in("meta", "consolidated.00.pth", pickle(b")\x94" * (1 << 17))),
        "zip, entries": lambda: _in("meta", "consolidated.00.pth", F.pth({}, extra=[(f"{i}", b"") for i in range(size // 80)])),
        "random bytes": lambda: _file(random.Random(1).randbytes(size)), "GGUF, random": lambda: _file(gguf_header(1000, 1000) + random.Random(2).randbytes(size)),
    }  # fmt: skip
    return {name: lambda folder, make=make: make()(folder) for name, make in makers.items()}


def total_bytes(path: Path) -> int:
    return path.stat().st_size if path.is_file() else sum(f.stat().st_size for f in path.iterdir())


# Loads argv[1]; prints the most memory of its own that it took meanwhile (KiB; the file's mapped pages are the system's), seconds of CPU,
# and what came of it.
LOADER = """
import sys, threading, time
import llama2swift
def anonymous(): return int(next(l for l in open('/proc/self/status') if l.startswith('RssAnon')).split()[1])
done, most, base = threading.Event(), [0], anonymous()
def watch():
    while not done.wait(0.001): most[0] = max(most[0], anonymous())
watcher = threading.Thread(target=watch); watcher.start()
start = time.thread_time()
try: model, result = llama2swift.Model(sys.argv[1]), 'loaded'
except llama2swift.Llama2Error as problem: result = str(problem)
seconds = time.thread_time() - start
most[0] = max(most[0], anonymous()); done.set(); watcher.join()
print(most[0] - base, seconds, result[:200])
"""
