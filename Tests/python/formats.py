"""One model in each format, written from the formats' descriptions, without torch, transformers or safetensors."""

from __future__ import annotations

import io
import json
import pickle
import struct
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
from tiny_gguf import shape_metadata, tensor_shapes, write_gguf

SHAPE = dict(vocabulary=96, dim=64, layers=2, heads=8, heads_kv=4, hidden=160, base=50000.0)
NAMES = {
    "attn_norm": ("input_layernorm", "attention_norm"), "attn_q": ("self_attn.q_proj", "attention.wq"),
    "attn_k": ("self_attn.k_proj", "attention.wk"), "attn_v": ("self_attn.v_proj", "attention.wv"),
    "attn_output": ("self_attn.o_proj", "attention.wo"), "ffn_norm": ("post_attention_layernorm", "ffn_norm"),
    "ffn_gate": ("mlp.gate_proj", "feed_forward.w1"), "ffn_up": ("mlp.up_proj", "feed_forward.w3"),
    "ffn_down": ("mlp.down_proj", "feed_forward.w2"),
}  # fmt: skip


def weights(shape=SHAPE, seed=0, tied=False) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        name: (1 + 0.1 * random.standard_normal(s) if len(s) == 1 else random.standard_normal(s) / s[-1] ** 0.5).astype(np.float32)
        for name, s in tensor_shapes(shape_metadata(**shape), shape["vocabulary"], tied).items()
    }


def write_gguf_model(path, w, shape=SHAPE, metadata=None):
    write_gguf(path, shape_metadata(**shape) | (metadata or {}), {n + ".weight": (0, x.shape[::-1], x.tobytes()) for n, x in w.items()})
    return path


# Hugging Face


def half_rotation(w: np.ndarray, heads: int) -> np.ndarray:
    """Rows from GGUF's order (pairs side by side) to Hugging Face's (first and second half)."""
    return w.reshape(heads, -1, 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)


def hugging_face_tensors(w, shape=SHAPE) -> dict[str, np.ndarray]:
    out = {"model.embed_tokens.weight": w["token_embd"], "model.norm.weight": w["output_norm"]}
    if "output" in w:
        out["lm_head.weight"] = w["output"]
    for i in range(shape["layers"]):
        for ours, (theirs, _) in NAMES.items():
            x = w[f"blk.{i}.{ours}"]
            heads = {"attn_q": shape["heads"], "attn_k": shape["heads_kv"]}.get(ours)
            out[f"model.layers.{i}.{theirs}.weight"] = half_rotation(x, heads) if heads else x
    return out


def bf16(x: np.ndarray) -> np.ndarray:
    bits = x.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")


def safetensors(tensors: dict[str, np.ndarray], dtype="F32") -> bytes:
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, x in tensors.items():
        raw = (x.astype("<f4") if dtype == "F32" else x.astype("<f2") if dtype == "F16" else bf16(x)).tobytes()
        header[name] = {"dtype": dtype, "shape": list(x.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def config(shape=SHAPE, **more) -> dict:
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": shape["dim"],
        "intermediate_size": shape["hidden"], "num_hidden_layers": shape["layers"], "num_attention_heads": shape["heads"],
        "num_key_value_heads": shape["heads_kv"], "max_position_embeddings": 256, "rms_norm_eps": 1e-5,
        "rope_theta": shape.get("base", 10000.0), "rope_scaling": None, "vocab_size": shape["vocabulary"],
        "tie_word_embeddings": False, "attention_bias": False, "mlp_bias": False,
    } | more  # fmt: skip


def write_hugging_face(folder, w, shape=SHAPE, dtype="F32", shards=1, **more) -> Path:
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config(shape, tie_word_embeddings="output" not in w, **more)))
    tensors = hugging_face_tensors(w, shape)
    if shards == 1:
        (folder / "model.safetensors").write_bytes(safetensors(tensors, dtype))
        return folder
    names, parts = list(tensors), [{} for _ in range(shards)]
    for i, name in enumerate(names):
        parts[i * shards // len(names)][name] = tensors[name]
    files = [f"model-{i + 1:05}-of-{shards:05}.safetensors" for i in range(shards)]
    for file, part in zip(files, parts):
        (folder / file).write_bytes(safetensors(part, dtype))
    where = {name: file for file, part in zip(files, parts) for name in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return folder


# Meta


def _fake(module: str, name: str):
    """Something that pickles as module.name, without that module."""
    for part in ("torch", module):
        sys.modules.setdefault(part, types.ModuleType(part))
    parent = sys.modules[module]
    if not hasattr(parent, name):
        made = type(name, (), {"__module__": module, "__qualname__": name}) if name.endswith("Storage") or name == "OrderedDict" else None
        if made is None:
            made = types.FunctionType((lambda *a: None).__code__, globals(), name)
            made.__module__, made.__qualname__ = module, name
        setattr(parent, name, made)
    return getattr(parent, name)


class _Tensor:
    def __init__(self, key, kind, count, shape, strides=None, offset=0, notes=()):
        self.notes = notes
        self.storage = _Storage(key, kind, count)
        self.shape, self.offset = tuple(shape), offset
        self.strides = strides or tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))

    def __reduce__(self):
        import collections

        return _fake("torch._utils", "_rebuild_tensor_v2"), (self.storage, self.offset, self.shape, self.strides, False, collections.OrderedDict(), *self.notes)


class _Storage:
    def __init__(self, key, kind, count):
        self.key, self.kind, self.count = key, kind, count


class _Pickler(pickle.Pickler):
    def persistent_id(self, value):
        if isinstance(value, _Storage):
            return ("storage", _fake("torch", value.kind), value.key, "cpu", value.count)
        return None


def state_dict(tensors: dict, kind="FloatStorage") -> bytes:
    """The pickle of a state dict; values are arrays or ready _Tensors."""
    out = io.BytesIO()
    ready = {n: x if isinstance(x, _Tensor) else _Tensor(str(i), kind, x.size, x.shape) for i, (n, x) in enumerate(tensors.items())}
    _Pickler(out, protocol=2).dump(ready)
    return out.getvalue()


def pth(tensors: dict[str, np.ndarray], kind="FloatStorage", pickled=None, compression=zipfile.ZIP_STORED, extra=(), root="consolidated") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        archive.writestr(f"{root}/data.pkl", state_dict(tensors, kind) if pickled is None else pickled)
        archive.writestr(f"{root}/byteorder", "little")
        for i, x in enumerate(tensors.values()):
            raw = {"FloatStorage": lambda: x.astype("<f4"), "HalfStorage": lambda: x.astype("<f2"), "BFloat16Storage": lambda: bf16(x)}[kind]()
            archive.writestr(f"{root}/data/{i}", raw.tobytes())
        archive.writestr(f"{root}/version", "3\n")
        for name, data in extra:
            archive.writestr(name, data)
    return out.getvalue()


def meta_tensors(w, shape=SHAPE) -> dict[str, np.ndarray]:
    out = {"tok_embeddings.weight": w["token_embd"], "norm.weight": w["output_norm"], "output.weight": w["output"]}
    for i in range(shape["layers"]):
        for ours, (_, theirs) in NAMES.items():
            out[f"layers.{i}.{theirs}.weight"] = w[f"blk.{i}.{ours}"]
    out["rope.freqs"] = np.ones(shape["dim"] // shape["heads"] // 2, np.float32)
    return out


def params(shape=SHAPE, **more) -> dict:
    return {
        "dim": shape["dim"], "n_layers": shape["layers"], "n_heads": shape["heads"], "n_kv_heads": shape["heads_kv"],
        "vocab_size": -1, "multiple_of": 32, "norm_eps": 1e-5, "rope_theta": shape.get("base", 10000.0),
    } | more  # fmt: skip


def write_meta(folder, w, shape=SHAPE, shards=1, kind="FloatStorage", embedding_axis=1, **more) -> Path:
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    (folder / "params.json").write_text(json.dumps(params(shape, **more)))
    for shard in range(shards):
        part = {}
        for name, x in meta_tensors(w, shape).items():
            axis = None if x.ndim == 1 else embedding_axis if name.startswith("tok_") else 1 if name.endswith((".wo.weight", ".w2.weight")) else 0
            part[name] = x if axis is None else np.ascontiguousarray(np.split(x, shards, axis)[shard])
        (folder / f"consolidated.{shard:02}.pth").write_bytes(pth(part, kind))
    return folder


# llama2.c


def llama2c(w, version, shape=SHAPE, group=32) -> bytes:
    l, per_layer = shape["layers"], lambda n: [w[f"blk.{i}.{n}"] for i in range(shape["layers"])]
    numbers = [shape["dim"], shape["hidden"], l, shape["heads"], shape["heads_kv"], shape["vocabulary"], 256]
    own = "output" in w
    attention = [x for n in ("attn_q", "attn_k", "attn_v", "attn_output") for x in per_layer(n)]
    forward = [x for n in ("ffn_gate", "ffn_down", "ffn_up") for x in per_layer(n)]
    last = [w["output"]] if own else []
    if version == 0:
        numbers[5] *= -1 if own else 1
        rope = np.zeros((256, shape["dim"] // shape["heads"]), np.float32)
        parts = [w["token_embd"], *per_layer("attn_norm"), *attention, *per_layer("ffn_norm"), *forward, w["output_norm"], rope, *last]
        return struct.pack("<7i", *numbers) + b"".join(x.astype("<f4").tobytes() for x in parts)
    head = struct.pack("<Ii7iB", 0x616B3432, version, *numbers, 0 if own else 1) + (struct.pack("<i", group) if version == 2 else b"")
    head += bytes(256 - len(head))
    norms, matrices = [*per_layer("attn_norm"), *per_layer("ffn_norm"), w["output_norm"]], [w["token_embd"], *attention, *forward, *last]
    out = head + b"".join(x.astype("<f4").tobytes() for x in norms)
    for x in matrices:
        if version == 1:
            out += x.astype("<f4").tobytes()
        else:
            q, scale = quantize_groups(x, group)
            out += q.tobytes() + scale.tobytes()
    return out


def quantize_groups(x, group):
    """llama2.c's Q8_0: int8 and an F32 scale a group."""
    g = x.reshape(-1, group)
    scale = (np.abs(g).max(1) / 127).astype("<f4")
    return np.round(g / scale[:, None]).astype(np.int8), scale


# SentencePiece's tokenizer.model


def varint(n: int) -> bytes:
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number: int, value) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def sentencepiece_model(pieces, trainer=b"", normalizer=b"") -> bytes:
    """pieces: (text, score, type)."""
    body = b"".join(field(1, field(1, t) + field(2, float(s)) + field(3, k)) for t, s, k in pieces)
    return body + field(2, field(3, 2) + trainer) + field(3, normalizer)


def sentencepiece_pieces(raw: bytes) -> list[tuple[str, float, int]]:
    """The pieces of such a file: (text, score, type)."""

    def varint(data, at):
        value = shift = 0
        while True:
            byte = data[at]
            value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
            if byte < 128:
                return value, at

    def fields(data):
        at = 0
        while at < len(data):
            key, at = varint(data, at)
            if key & 7 == 0:
                value, at = varint(data, at)
            else:
                size, at = varint(data, at) if key & 7 == 2 else ({1: 8, 5: 4}[key & 7], at)
                value, at = data[at : at + size], at + size
            yield key >> 3, value

    pieces = [dict(fields(value)) for number, value in fields(raw) if number == 1]
    return [(p[1].decode(), struct.unpack("<f", p[2])[0], p.get(3, 1)) for p in pieces]
