"""Writes a Llama-shaped GGUF file with random weights: make_model.py SHAPE TYPE PATH

Shapes: 15m and 110m (llama2.c's), 1.1b (TinyLlama's), 7b (Llama 2's). Types: F32 F16 BF16, Q4_0 Q4_1 Q5_0 Q5_1 Q8_0, Q2_K ... Q6_K,
IQ and TQ types (all but IQ1_M).
The numbers mean nothing, but they are finite and of a usual size, so that the arithmetic takes its usual time.
"""

from __future__ import annotations

import argparse
import struct
from pathlib import Path

import numpy as np

# embedding, layers, heads, key-value heads, feed-forward, vocabulary
SHAPES = {
    "15m": (288, 6, 6, 6, 768, 32000),
    "110m": (768, 12, 12, 12, 2048, 32000),
    "1.1b": (2048, 22, 32, 4, 5632, 32000),
    "7b": (4096, 32, 32, 32, 11008, 32000),
}
# number, weights and bytes of a block, where its F16 scales lie
TYPES = {
    "F32": (0, 1, 4, ()), "F16": (1, 1, 2, ()), "BF16": (30, 1, 2, ()), "Q4_0": (2, 32, 18, (0,)), "Q4_1": (3, 32, 20, (0, 2)),
    "Q8_0": (8, 32, 34, (0,)), "Q4_K": (12, 256, 144, (0, 2)), "Q5_K": (13, 256, 176, (0, 2)), "Q6_K": (14, 256, 210, (208,)),
    "Q2_K": (10, 256, 84, (80, 82)), "Q3_K": (11, 256, 110, (108,)), "Q5_0": (6, 32, 22, (0,)), "Q5_1": (7, 32, 24, (0, 2)),
    "IQ4_NL": (20, 32, 18, (0,)), "IQ4_XS": (23, 256, 136, (0,)), "IQ3_S": (21, 256, 110, (0,)), "IQ3_XXS": (18, 256, 98, (0,)),
    "IQ2_S": (22, 256, 82, (0,)), "IQ2_XS": (17, 256, 74, (0,)), "IQ2_XXS": (16, 256, 66, (0,)), "IQ1_S": (19, 256, 50, (0,)),
    "TQ1_0": (34, 256, 54, (52,)), "TQ2_0": (35, 256, 66, (64,)),
}  # fmt: skip
SCALE = {"Q4_0": 4e-3, "Q4_1": 4e-3, "Q8_0": 3e-4, "Q4_K": 1e-4, "Q5_K": 5e-5, "Q6_K": 2e-5, "Q2_K": 1e-3, "Q3_K": 2e-4, "Q5_0": 2e-3, "Q5_1": 2e-3,
         "IQ4_NL": 3e-4, "IQ4_XS": 2e-5, "IQ3_S": 2e-4, "IQ3_XXS": 2e-4, "IQ2_S": 3e-4, "IQ2_XS": 3e-4, "IQ2_XXS": 3e-4, "IQ1_S": 1e-2,
         "TQ1_0": 2e-2, "TQ2_0": 2e-2}  # fmt: skip


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _tensors(shape: str):
    e, layers, heads, kv, f, vocabulary = SHAPES[shape]
    k = e // heads * kv
    yield "token_embd", (e, vocabulary)
    for i in range(layers):
        for name, s in (
            ("attn_norm", (e,)), ("attn_q", (e, e)), ("attn_k", (e, k)), ("attn_v", (e, k)), ("attn_output", (e, e)),
            ("ffn_norm", (e,)), ("ffn_gate", (e, f)), ("ffn_up", (e, f)), ("ffn_down", (f, e)),
        ):  # fmt: skip
            yield f"blk.{i}.{name}", s
    yield "output_norm", (e,)
    yield "output", (e, vocabulary)


def _pattern(kind: str, size: int, random: np.random.Generator) -> bytes:
    """About `size` bytes of whole blocks, to be repeated."""
    _, elements, block, scales = TYPES[kind]
    count = max(1, size // block)
    if elements == 1:
        values = (random.standard_normal(count) * 0.02).astype("<f4")
        return values.tobytes() if kind == "F32" else values.astype("<f2").tobytes() if kind == "F16" else (values.view("<u4") >> 16).astype("<u2").tobytes()
    blocks = random.integers(0, 256, (count, block), dtype=np.uint8)
    for at in scales:
        blocks[:, at : at + 2] = np.array([SCALE[kind]], "<f2").view(np.uint8)
    return blocks.tobytes()


def write(shape: str, kind: str, path: str | Path, context: int = 8192) -> Path:
    """Writes the file unless it is there. Rows that do not fill a superblock (the 15m shape) fall back to Q8_0."""
    path = Path(path)
    if path.exists():
        return path
    e, layers, heads, kv, f, vocabulary = SHAPES[shape]
    random = np.random.default_rng(1)
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), *(f"t{i}" for i in range(vocabulary - 259))]
    types = [2, 3, 3, *([6] * 256), *([1] * (vocabulary - 259))]
    keys = [
        ("general.architecture", 8, _string("llama")), ("general.name", 8, _string(f"random {shape} {kind}")),
        *((f"llama.{name}", 4, struct.pack("<I", n)) for name, n in (
            ("embedding_length", e), ("block_count", layers), ("feed_forward_length", f), ("attention.head_count", heads),
            ("attention.head_count_kv", kv), ("context_length", context), ("rope.dimension_count", e // heads),
            ("vocab_size", vocabulary))),
        ("llama.attention.layer_norm_rms_epsilon", 6, struct.pack("<f", 1e-5)),
        ("tokenizer.ggml.model", 8, _string("llama")),
        ("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, vocabulary) + b"".join(map(_string, tokens))),
        ("tokenizer.ggml.scores", 9, struct.pack("<IQ", 6, vocabulary) + (-np.arange(vocabulary)).astype("<f4").tobytes()),
        ("tokenizer.ggml.token_type", 9, struct.pack("<IQ", 5, vocabulary) + np.array(types, "<i4").tobytes()),
        ("tokenizer.ggml.bos_token_id", 4, struct.pack("<I", 1)), ("tokenizer.ggml.eos_token_id", 4, struct.pack("<I", 2)),
    ]  # fmt: skip
    tensors, offset, infos = [], 0, b""
    for name, s in _tensors(shape):
        used = "F32" if len(s) == 1 else kind if s[0] % TYPES[kind][1] == 0 else "Q8_0"
        number, elements, block, _ = TYPES[used]
        size = int(np.prod(s)) // elements * block
        infos += _string(name + ".weight") + struct.pack(f"<I{len(s)}QIQ", len(s), *s, number, offset)
        tensors.append((used, s, size))
        offset += -(-size // 32) * 32
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    head += b"".join(_string(k) + struct.pack("<I", t) + v for k, t, v in keys) + infos
    patterns = {}
    temporary = path.with_suffix(".part")
    with open(temporary, "wb") as file:
        file.write(head + bytes(-len(head) % 32))
        for used, s, size in tensors:
            if len(s) == 1:
                data = np.ones(s, "<f4").tobytes()
                file.write(data + bytes(-len(data) % 32))
                continue
            pattern = patterns.setdefault(used, _pattern(used, 1 << 22, random))
            whole, rest = divmod(size, len(pattern))
            for _ in range(whole):
                file.write(pattern)
            file.write(pattern[:rest] + bytes(-size % 32))
    temporary.rename(path)
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("type", choices=TYPES)
    parser.add_argument("path")
    a = parser.parse_args()
    print(write(a.shape, a.type, a.path))
