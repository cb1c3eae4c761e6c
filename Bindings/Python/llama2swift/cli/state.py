"""States: a text that was evaluated once is gone on with later, elsewhere."""

from __future__ import annotations

import argparse
import sys

from .. import Model
from . import outputs, terminal
from .run import sampler, seed_of, statistics


def state(a: argparse.Namespace) -> int:
    """Writes the state of a context after a text, or goes on from one that was written."""
    model = Model(a.model)
    context = model.context(a.context, a.threads)
    if a.prompt is not None:
        outputs.check(a.file, [a.model], a.force)
        tokens = model.tokenize_prompt(sys.stdin.read() if a.prompt == "-" else a.prompt)
        context.eval(tokens)
        context.save_state(a.file)
        terminal.line(f"{a.file}: {len(tokens)} positions")
        return 0
    context.load_state(a.file)
    with context.generate((), sampler(a, seed_of(a)), max_tokens=a.max_tokens) as pieces:
        terminal.stream(pieces)
    if a.stats:
        statistics(context)
    return 0
