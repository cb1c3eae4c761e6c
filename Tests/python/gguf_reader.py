"""Reads what tests want to know of a GGUF file (ggml/docs/gguf.md), apart from the library."""

from __future__ import annotations

import struct

import numpy as np
from tiny_gguf import write_gguf

_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


def read(path) -> tuple[dict, dict, np.ndarray]:
    """(metadata, {name: (type, shape with the row length first, offset)}, the tensors' data)"""
    data = np.memmap(path, np.uint8, "r")
    at = 0

    def take(form):
        nonlocal at
        values = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return values if len(values) > 1 else values[0]

    def text():
        nonlocal at
        length = take("Q")
        raw = bytes(data[at : at + length])
        at += length
        return raw.decode("utf-8", "replace")

    def value(kind):
        nonlocal at
        if kind == 8:
            return text()
        if kind != 9:
            return take(_NUMBERS[kind])
        inner, count = take("I"), take("Q")
        if inner == 8:
            return [text() for _ in range(count)]
        out = np.frombuffer(data, np.dtype(_NUMBERS[inner]).newbyteorder("<"), count, at)
        at += out.nbytes
        return out

    assert take("I") == 0x46554747 and take("I") == 3
    tensors, keys = take("QQ")
    metadata = {}
    for _ in range(keys):
        name = text()
        metadata[name] = value(take("I"))
    infos = {}
    for _ in range(tensors):
        name, dimensions = text(), take("I")
        shape = tuple(struct.unpack_from(f"<{dimensions}Q", data, at))
        at += 8 * dimensions
        infos[name] = (take("I"), shape, take("Q"))
    start = -(-at // 32) * 32
    return metadata, infos, data[start:]


def tensor(path, name) -> np.ndarray:
    """An F32 tensor, (rows, columns)."""
    _, infos, data = read(path)
    kind, shape, offset = infos[name]
    assert kind == 0
    count = int(np.prod(shape))
    return data[offset : offset + 4 * count].view("<f4").reshape(shape[::-1])


def vocabulary(path):
    metadata, _, _ = read(path)
    return metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.merges"], metadata["tokenizer.ggml.token_type"]


def with_layers(source, path, layers):
    """A GGUF file of these layers of another, in this order."""
    metadata, tensors, data = read(source)
    offsets = sorted(offset for _, _, offset in tensors.values())
    ends, kept = dict(zip(offsets, [*offsets[1:], len(data)])), {}
    for name, (kind, shape, at) in tensors.items():
        if not name.startswith("blk."):
            kept[name] = kind, shape, data[at : ends[at]].tobytes()
    for number, layer in enumerate(layers):
        for name, (kind, shape, at) in tensors.items():
            if name.startswith(f"blk.{layer}."):
                kept[f"blk.{number}." + name.split(".", 2)[2]] = kind, shape, data[at : ends[at]].tobytes()
    write_gguf(path, {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in metadata.items()} | {"llama.block_count": len(layers)}, kept)
    return path
