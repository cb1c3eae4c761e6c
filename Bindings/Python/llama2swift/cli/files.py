"""Files: quantizing, converting, importance."""

from __future__ import annotations

import argparse
import os

from .. import Model, tools
from . import outputs, text
from .terminal import Progress, line


def quantize(a: argparse.Namespace) -> int:
    """Writes a model of any format as GGUF with smaller weights."""
    outputs.check(a.output, (a.model, a.importance), a.force)
    with Progress("quantize") as progress:
        tools.quantize(
            a.model, a.output, a.type, overrides=dict(a.tensor_type), importance=a.importance, threads=a.threads, progress=progress
        )  # fmt: skip
    return _tell(a.output)


def convert(a: argparse.Namespace) -> int:
    """Writes a model of any format as GGUF in F32, F16, BF16 or Q8_0."""
    outputs.check(a.output, (a.model,), a.force)
    with Progress("convert") as progress:
        tools.convert(a.model, a.output, a.type, threads=a.threads, progress=progress)
    return _tell(a.output)


def importance(a: argparse.Namespace) -> int:
    """Writes how much each column of each matrix matters for a text, for quantize --importance."""
    outputs.check(a.output, (a.model, None if a.file == "-" else a.file), a.force)
    model = Model(a.model)
    tokens = model.tokenize_prompt(text.read(a.file))
    with Progress("importance") as progress:
        model.context(a.context or 512, a.threads).importance(tokens, a.output, progress=progress)
    line(f"{a.output}: {len(tokens)} tokens, {os.path.getsize(a.output) / 2**20:.1f} MiB")
    return 0


def _tell(output: str) -> int:
    line(f"{output}: {Model(output).description}, {os.path.getsize(output) / 2**20:.1f} MiB")
    return 0
