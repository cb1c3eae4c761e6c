"""A small Llama with a bias on every product, made by integer arithmetic alone: the same bits with every numpy."""

from __future__ import annotations

import zlib

import numpy as np
from block_types import random_bytes
from tiny_gguf import shape_metadata, tensor_shapes, write_gguf

SHAPE = dict(vocabulary=72, dim=64, layers=2, heads=4, heads_kv=2, hidden=104)  # 104: no whole number of panels
TOKENS = [(5 * i * i + 7 * i + 3) % SHAPE["vocabulary"] for i in range(70)]  # beyond a page of the cache
LINEAR = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]


def exact(name: str, shape: tuple, size: float) -> np.ndarray:
    """Numbers that F32, F16 and BF16 hold exactly, within -size ... size, a power of two."""
    raw = random_bytes(zlib.crc32(name.encode()), int(np.prod(shape)))
    return ((raw.astype(np.float32) - 128) * (size / 128)).reshape(shape)


def weights(layers_with_bias=(0, 1)) -> dict[str, np.ndarray]:
    """GGUF's names with .weight or .bias; rows as GGUF has them."""
    out = {}
    for name, shape in tensor_shapes(shape_metadata(**SHAPE), SHAPE["vocabulary"]).items():
        out[name + ".weight"] = exact(name, shape, 0.25) if len(shape) == 2 else 1 + exact(name, shape, 0.25)
        if name.split(".")[-1] in LINEAR and int(name.split(".")[1]) in layers_with_bias:
            out[name + ".bias"] = exact(name + ".bias", shape[:1], 1.0)
    return out


def write(path, w=None, *, bias_type: str = "F32", metadata=None):
    number, kind = {"F32": (0, "<f4"), "F16": (1, "<f2"), "BF16": (30, None)}[bias_type]
    tensors = {}
    for name, x in (weights() if w is None else w).items():
        own = name.endswith(".bias")
        data = x.astype("<f4").view("<u4") >> 16 if own and kind is None else x.astype(kind if own else "<f4")
        raw = data.astype("<u2").tobytes() if own and kind is None else data.tobytes()
        tensors[name] = (number if own else 0, x.shape[::-1], raw)
    write_gguf(path, shape_metadata(**SHAPE) | (metadata or {}), tensors)
    return path
