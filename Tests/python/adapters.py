"""LoRA adapters for the models of formats.py, made by integer arithmetic alone, as PEFT saves them and as llama.cpp's converter does."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
from block_types import random_bytes
from formats import NAMES, SHAPE, safetensors
from tiny_gguf import shape_metadata, tensor_shapes, write_gguf

TOKENS = [(5 * i * i + 7 * i + 3) % SHAPE["vocabulary"] for i in range(70)]  # beyond a page of the cache
PRODUCTS = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]


def exact(name: str, shape: tuple, size: float) -> np.ndarray:
    """Numbers that F32, F16 and BF16 hold exactly, within -size ... size, a power of two."""
    raw = random_bytes(zlib.crc32(name.encode()), int(np.prod(shape)))
    return ((raw.astype(np.float32) - 128) * (size / 128)).reshape(shape)


def base(shape=SHAPE, tied=False) -> dict[str, np.ndarray]:
    """The model: GGUF's names without .weight; rows as GGUF has them."""
    return {
        name: exact(name, s, 0.25) if len(s) == 2 else 1 + exact(name, s, 0.25)
        for name, s in tensor_shapes(shape_metadata(**shape), shape["vocabulary"], tied).items()
    }


def adapter(seed: str, ranks, shape=SHAPE) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """ranks(name) -> rank, 0 for none. name -> (A, B), in GGUF's order of rows."""
    out = {}
    for name, (rows, columns) in ((n, s) for n, s in tensor_shapes(shape_metadata(**shape), shape["vocabulary"]).items() if len(s) == 2):
        if name != "token_embd" and (rank := ranks(name)):
            out[name] = exact(f"{seed}{name}a", (rank, columns), 0.125), exact(f"{seed}{name}b", (rows, rank), 0.125)
    return out


def module(name: str) -> str:
    """PEFT's name of a product."""
    return "lm_head" if name == "output" else f"model.layers.{name.split('.')[1]}.{NAMES[name.split('.')[2]][0]}"


def halves(x: np.ndarray, name: str, shape=SHAPE) -> np.ndarray:
    """Rows of q and k from GGUF's order to Hugging Face's."""
    heads = {"attn_q": shape["heads"], "attn_k": shape["heads_kv"]}.get(name.split(".")[-1])
    return np.ascontiguousarray(x.reshape(heads, -1, 2, x.shape[1]).swapaxes(1, 2).reshape(x.shape)) if heads else x


def settings(**more) -> dict:
    return {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 8, "target_modules": [theirs.split(".")[-1] for theirs, _ in NAMES.values() if "norm" not in theirs] + ["lm_head"],
        "bias": "none", "lora_dropout": 0.05, "base_model_name_or_path": None, "inference_mode": True, "fan_in_fan_out": False, "modules_to_save": None,
    } | more  # fmt: skip


def peft_tensors(weights, shape=SHAPE) -> dict[str, np.ndarray]:
    out = {}
    for name, (a, b) in weights.items():
        out[f"base_model.model.{module(name)}.lora_A.weight"] = a
        out[f"base_model.model.{module(name)}.lora_B.weight"] = halves(b, name, shape)
    return out


def write_peft(folder, weights, *, dtype="F32", shape=SHAPE, tensors=None, **more) -> Path:
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(settings(**more)))
    (folder / "adapter_model.safetensors").write_bytes(safetensors(peft_tensors(weights, shape) if tensors is None else tensors, dtype))
    return folder


def write_adapter(path, weights, alpha=8.0, *, metadata=None, kind="F32", tensors=None) -> Path:
    """A GGUF file; alpha None: without it."""
    number, form = {"F32": (0, "<f4"), "F16": (1, "<f2")}[kind]
    m = {"general.architecture": "llama", "general.type": "adapter", "adapter.type": "lora", "general.name": "test"}
    m |= ({} if alpha is None else {"adapter.lora.alpha": float(alpha)}) | (metadata or {})
    found = {}
    for name, (a, b) in weights.items():
        found[f"{name}.weight.lora_a"] = (number, a.shape[::-1], a.astype(form).tobytes())
        found[f"{name}.weight.lora_b"] = (number, b.shape[::-1], b.astype(form).tobytes())
    write_gguf(path, m, found | (tensors or {}))
    return Path(path)


# The adapters of the golden: (name, weights, settings). `all`: every product, rank 4. `some`: rsLoRA with patterns, of q, v and down.
def _some(name: str) -> int:
    last = name.split(".")[-1]
    return {"attn_q": 3, "attn_v": 17 if name.startswith("blk.1.") else 3, "ffn_down": 3}.get(last, 0)


GOLDEN = [
    ("all", adapter("all", lambda _: 4), dict(r=4, lora_alpha=6)),
    ("some", adapter("some", _some), dict(
        r=3, lora_alpha=2, use_rslora=True, target_modules=["q_proj", "v_proj", "mlp.down_proj"], rank_pattern={r"layers\.1\..*v_proj": 17, "v_proj": 3},
        alpha_pattern={"^model.layers.0.mlp.down_proj": 7, "down_proj": 1.5})),
]  # fmt: skip
# What the golden has logits of: (adapter, scale) ...
LISTS = [[], [("all", 1.0)], [("some", 1.0)], [("some", 0.5), ("all", -1.5)]]
