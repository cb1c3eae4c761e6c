"""What a file holds and what it would take."""

from __future__ import annotations

import argparse
import json

from .. import Model, Tensor, preflight
from .terminal import line

_TOKENIZERS = {"llama": "SentencePiece BPE", "gpt2": "byte-level BPE"}


def info(a: argparse.Namespace) -> int:
    """Says what a file holds and what it would take."""
    model = Model(a.model)
    memory = preflight(a.model, a.context, a.threads)
    tokenizer = _TOKENIZERS.get(model.metadata.get("tokenizer.ggml.model", ""), "none")
    special = {} if tokenizer == "none" else vars(model.special_tokens)
    by_type: dict[str, list[Tensor]] = {}
    for tensor in model.tensors:
        by_type.setdefault(tensor.type, []).append(tensor)
    tensors = {
        kind: {"tensors": len(group), "weights": sum(t.rows * t.columns for t in group), "bytes": sum(t.bytes for t in group)}
        for kind, group in sorted(by_type.items(), key=lambda item: -sum(t.bytes for t in item[1]))
    }
    if a.json:
        print(json.dumps({
            "description": model.description, "hyperparameters": vars(model.hyperparameters), "tokenizer": tokenizer,
            "special_tokens": special, "chat_format": model.chat_format if special else None,
            "memory": {**vars(memory), "total_bytes": memory.total}, "tensors": tensors, "metadata": dict(model.metadata),
        }))  # fmt: skip
        return 0

    line(model.description)
    for name, value in vars(model.hyperparameters).items():
        line(f"  {name:22} {value}")
    line(f"tokenizer                {tokenizer}")
    for name, value in special.items():
        text = model.detokenize([value], special=True) if type(value) is int else ""
        line(f"  {name:22} {'none' if value is None else value}{f' {text!r}' if text else ''}")
    if special:
        line(f"  {'chat_format':22} {model.chat_format or 'none that is known'}")
    line(f"memory for a context of {a.context or 'the default'} positions: {memory.total / 2**20:.1f} MiB")
    for name, value in vars(memory).items():
        line(f"  {name:22} {value / 2**20:.1f} MiB")
    line("tensors")
    for kind, t in tensors.items():
        line(f"  {kind:22} {t['tensors']} tensors, {t['weights'] / 1e6:.1f} M weights, {t['bytes'] / 2**20:.1f} MiB")
    line("metadata")
    for key, value in model.metadata.items():
        short = " ".join(value.split())
        line(f"  {key:40} {short if len(short) <= 100 else short[:97] + '...'}")
    return 0
