"""Small random Llama models as GGUF files, written from the specification (ggml/docs/gguf.md)."""

from __future__ import annotations

import struct

import numpy as np

U32, F32, STRING, ARRAY, I32 = 4, 6, 8, 9, 5


def _string(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw


def _value(value) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<IB", 7, value)
    if isinstance(value, int):
        kind, form = (U32, "I") if 0 <= value < 2**32 else (10, "Q") if value >= 0 else (I32, "i") if value >= -(2**31) else (11, "q")
        return struct.pack("<I" + form, kind, value)
    if isinstance(value, float):
        return struct.pack("<If", F32, value)
    if isinstance(value, (str, bytes)):
        return struct.pack("<I", STRING) + _string(value)
    kind = STRING if isinstance(value[0], (str, bytes)) else F32 if isinstance(value[0], float) else I32
    body = b"".join(_string(v) for v in value) if kind == STRING else np.array(value, "<f4" if kind == F32 else "<i4").tobytes()
    return struct.pack("<IIQ", ARRAY, kind, len(value)) + body


def write_gguf(path, metadata: dict, tensors: dict[str, tuple[int, tuple, bytes | int]], alignment: int = 32) -> None:
    """tensors: name -> (ggml type, shape with the row length first, bytes, or a size to leave as a hole)."""
    head = struct.pack("<IIQQ", 0x46554747, 3, len(tensors), len(metadata))
    for key, value in metadata.items():
        head += _string(key) + _value(value)
    offset = 0
    for name, (kind, shape, data) in tensors.items():
        head += _string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)
        size = data if isinstance(data, int) else len(data)
        offset += -(-size // alignment) * alignment
    with open(path, "wb") as file:
        file.write(head + b"\0" * (-len(head) % alignment))
        for kind, shape, data in tensors.values():
            start = file.tell()
            if isinstance(data, int):
                file.seek(data, 1)
            else:
                file.write(data)
            file.seek(start + -(-(file.tell() - start) // alignment) * alignment)
        file.truncate()


def shape_metadata(*, vocabulary, dim, layers, heads, heads_kv, hidden, length=256, base=10000.0, head_dim=None) -> dict:
    m = {
        "general.architecture": "llama", "llama.embedding_length": dim, "llama.block_count": layers,
        "llama.feed_forward_length": hidden, "llama.attention.head_count": heads,
        "llama.attention.head_count_kv": heads_kv, "llama.context_length": length, "llama.rope.freq_base": base,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
    }  # fmt: skip
    if head_dim:
        m["llama.attention.key_length"] = m["llama.attention.value_length"] = head_dim
    return m


def tensor_shapes(m: dict, vocabulary: int, tied: bool = False) -> dict[str, tuple]:
    """Every tensor's shape as numpy has it, (rows, columns) or (columns,)."""
    dim, hidden, heads, kv = (
        m[f"llama.{k}"]
        for k in ("embedding_length", "feed_forward_length", "attention.head_count", "attention.head_count_kv")
    )
    d = m.get("llama.attention.key_length", dim // heads)
    shapes = {"token_embd": (vocabulary, dim)}
    for i in range(m["llama.block_count"]):
        for name, shape in {
            "attn_norm": (dim,), "attn_q": (heads * d, dim), "attn_k": (kv * d, dim), "attn_v": (kv * d, dim),
            "attn_output": (dim, heads * d), "ffn_norm": (dim,), "ffn_gate": (hidden, dim), "ffn_up": (hidden, dim),
            "ffn_down": (dim, hidden),
        }.items():  # fmt: skip
            shapes[f"blk.{i}.{name}"] = shape
    shapes["output_norm"] = (dim,)
    if not tied:
        shapes["output"] = (vocabulary, dim)
    return shapes


def random_model(path, *, tied=False, seed=0, metadata=None, **shape) -> tuple[dict, dict[str, np.ndarray]]:
    """Writes a random F32 model; returns (metadata, weights)."""
    m = shape_metadata(**shape) | (metadata or {})
    random = np.random.default_rng(seed)
    weights = {
        name: (1 + 0.1 * random.standard_normal(s) if len(s) == 1 else random.standard_normal(s) / s[-1] ** 0.5).astype(np.float32)
        for name, s in tensor_shapes(m, shape["vocabulary"], tied).items()
    }
    write_gguf(path, m, {n + ".weight": (0, w.shape[::-1], w.tobytes()) for n, w in weights.items()})
    return m, weights
