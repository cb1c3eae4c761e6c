"""Models with any block types, made by integer arithmetic alone: the same file, byte by byte, with every numpy on every machine."""

from __future__ import annotations

import zlib

import numpy as np
from tiny_gguf import shape_metadata, tensor_shapes, write_gguf

# number, weights and bytes of a block; where its half scales lie, with values that give weights of about 0.1 around zero
TYPES = {
    "Q4_0": (2, 32, 18, {0: 0.02}), "Q4_1": (3, 32, 20, {0: 0.02, 2: -0.15}), "Q5_0": (6, 32, 22, {0: 0.01}),
    "Q5_1": (7, 32, 24, {0: 0.01, 2: -0.15}), "Q8_0": (8, 32, 34, {0: 0.001}), "Q2_K": (10, 256, 84, {80: 0.01, 82: 0.015}),
    "Q3_K": (11, 256, 110, {108: 0.002}), "Q4_K": (12, 256, 144, {0: 0.0005, 2: 0.00375}), "Q5_K": (13, 256, 176, {0: 0.0003, 2: 0.00465}),
    "Q6_K": (14, 256, 210, {208: 0.0001}), "IQ2_XXS": (16, 256, 66, {0: 0.002}), "IQ2_XS": (17, 256, 74, {0: 0.002}),
    "IQ3_XXS": (18, 256, 98, {0: 0.001}), "IQ1_S": (19, 256, 50, {0: 0.02}), "IQ4_NL": (20, 32, 18, {0: 0.002}), "IQ3_S": (21, 256, 110, {0: 0.001}),
    "IQ2_S": (22, 256, 82, {0: 0.002}), "IQ4_XS": (23, 256, 136, {0: 0.0001}), "IQ1_M": (29, 256, 56, 0.02), "TQ1_0": (34, 256, 54, {52: 0.1}),
    "TQ2_0": (35, 256, 66, {64: 0.1}), "F32": (0, 1, 4, {}), "F16": (1, 1, 2, {}), "BF16": (30, 1, 2, {}),
}  # fmt: skip


def random_words(seed: int, count: int) -> np.ndarray:
    """splitmix64 (Steele, Lea, Flood, 2014): (count) uint64."""
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def random_bytes(seed: int, count: int) -> np.ndarray:
    return random_words(seed, -(-count // 8)).astype("<u8").view(np.uint8)[:count].copy()


def half(value: float) -> int:
    return int(np.array([value], "<f2").view("<u2")[0])


def random_blocks(kind: str, count: int, seed: int) -> bytes:
    """`count` weights of a type: every bit random but those that make them too large."""
    _, elements, size, scales = TYPES[kind]
    raw = random_bytes(seed, count // elements * size).reshape(-1, size)
    if elements == 1:  # either sign, 2^-7 to 2^-3, any fraction
        fraction, bias = {"F32": (23, 127), "F16": (10, 15), "BF16": (7, 127)}[kind]
        bits = raw.view("<u4" if size == 4 else "<u2").astype(np.uint32)
        sign, low, exponent = bits >> (8 * size - 1), bits & (1 << fraction) - 1, (bits >> fraction & 3) + (bias - 7)
        return (sign << (8 * size - 1) | exponent << fraction | low).astype("<u4" if size == 4 else "<u2").tobytes()
    if kind == "IQ1_M":  # a nibble of the half at the top of each of the last four words
        for i in range(4):
            raw[:, 49 + 2 * i] = raw[:, 49 + 2 * i] & 15 | (half(scales) >> 4 * i & 15) << 4
        return raw.tobytes()
    for at, scale in scales.items():  # the lowest six bits of the fraction stay random
        raw[:, at] = raw[:, at] & 63 | half(scale) & 0xC0
        raw[:, at + 1] = half(scale) >> 8
    return raw.tobytes()


def typed_model(path, types, seed=0, *, metadata=None, poison=None, **shape):
    """Writes a model whose matrices take `types` in turns; a row that is no whole number of blocks is F32. Norms are 0.75 to 1.25.
    poison: a token whose embedding is not a number anywhere; its type has scales."""
    m, number, tensors = shape_metadata(**shape) | (metadata or {}), 0, {}
    for name, size in tensor_shapes(m, shape["vocabulary"]).items():
        own = seed * 0x100000000 + zlib.crc32(name.encode())
        if len(size) == 1:
            norm = 1 + (random_bytes(own, size[0]).astype("<f4") - 128) / 512  # exact
            tensors[name + ".weight"] = (0, size, norm.astype("<f4").tobytes())
            continue
        kind = types[number % len(types)]
        number += 1
        if size[1] % TYPES[kind][1]:
            kind = "F32"
        data = random_blocks(kind, size[0] * size[1], own)
        if name == "token_embd" and poison is not None:
            rows = np.frombuffer(data, np.uint8).reshape(size[0], -1, TYPES[kind][2]).copy()
            for at in TYPES[kind][3]:
                rows[poison, :, at], rows[poison, :, at + 1] = 0x00, 0x7E
            data = rows.tobytes()
        tensors[name + ".weight"] = (TYPES[kind][0], size[::-1], data)
    write_gguf(path, m, tensors)
    return path
