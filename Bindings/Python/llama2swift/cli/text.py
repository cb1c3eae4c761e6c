"""How well a model predicts a text."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from .. import Model
from .terminal import Progress, line


def read(file: str) -> str:
    """A text, its bytes as they are: what is no UTF-8 reaches the tokenizer as those bytes."""
    if file == "-":
        return sys.stdin.read()
    with open(file, encoding="utf-8", errors="surrogateescape", newline="") as opened:
        return opened.read()


def template(given: str | None) -> str | None:
    """What --chat-template says: a file's text, or a template or a name as it is. A mark of the byte order, as some editors write it, is not of the text."""
    if given is not None and os.path.isfile(given):
        return Path(given).read_text(encoding="utf-8-sig")
    return given


def embed(a: argparse.Namespace) -> int:
    """Writes the embedding of each text as a JSON list on a line of its own."""
    model = Model(a.model)
    texts = a.text or [text for text in sys.stdin.read().split("\n") if text]
    context = model.context(a.context, a.threads, embeddings=True) if a.context else None
    for row in model.embed(texts, pooling=a.pooling, normalize=a.normalize, context=context, threads=a.threads):
        print(json.dumps([float(f"{x:.9g}") for x in row]))
    return 0


def perplexity(a: argparse.Namespace) -> int:
    """Says how well a model predicts a text."""
    model = Model(a.model)
    tokens = model.tokenize_prompt(read(a.file))
    context = model.context(a.context or 512, a.threads)
    with Progress("perplexity") as progress:
        result = context.perplexity(tokens, progress=lambda p, windows: progress(p.windows / windows, f"{p.value:.4f}"))
    if a.json:
        print(json.dumps({"perplexity": result.value, "mean": result.mean, "standard_error": result.standard_error, "tokens": result.tokens, "windows": result.windows}))
    else:
        line(f"perplexity {result.value:.4f} +/- {result.value * result.standard_error:.4f} ({result.tokens} tokens in {result.windows} windows)")
    return 0


def score(a: argparse.Namespace) -> int:
    """Says how probable a continuation is after a prompt, token by token (natural logarithms)."""
    model = Model(a.model)
    context = model.context(0, a.threads)
    result = model.score(a.prompt, a.continuation, context=context)
    # the same cut as Model.score makes
    tokens = model.tokenize_prompt(a.prompt + a.continuation)[-len(result.is_best) :] if len(result.is_best) else []
    rows = [
        {"token": t, "text": model.detokenize([t], special=True), "log_probability": float(p), "is_best": bool(b)}
        for t, p, b in zip(tokens, result.log_probabilities, result.is_best)
    ]
    if a.json:
        print(json.dumps({"total": result.total, "tokens": rows}))
        return 0
    for row in rows:
        line(f"{row['log_probability']:10.4f}{' best' if row['is_best'] else '     '}  {row['text']!r}")
    line(f"{result.total:10.4f}       in all, {len(rows)} tokens")
    return 0
