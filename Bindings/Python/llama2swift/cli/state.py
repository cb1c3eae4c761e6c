"""States: a text that was evaluated once is gone on with later, elsewhere."""

from __future__ import annotations

import argparse
import sys

from .. import Model
from . import outputs, terminal
from .run import sampler, seed_of, statistics


def state(a: argparse.Namespace) -> int:
    """Writes the state of a context after a text, or goes on from one that was written."""
    _check(a)
    model = Model(a.model)
    context = model.context(a.context, a.threads)
    if a.prompt is not None:
        outputs.check(a.file, [a.model], a.force)
        tokens = model.tokenize_prompt(sys.stdin.read() if a.prompt == "-" else a.prompt)
        context.eval(tokens)
        context.save_state(a.file)
        terminal.line(f"{a.file}: {len(tokens)} positions")
    else:
        context.load_state(a.file)
        with context.generate((), sampler(a, seed_of(a)), max_tokens=a.max_tokens) as pieces:
            terminal.stream(pieces)
    if a.stats:
        statistics(context)
    return 0


def _check(a: argparse.Namespace) -> None:
    """Raises ValueError for what is said of a text that goes on where a state is written, and of a file that is written where one is read."""
    if a.prompt is None:
        if a.force:
            raise ValueError("--force is for a state that is written, with --prompt; this one is read")
        return
    for name, usual in a.usual.items():
        if getattr(a, name) != usual:
            raise ValueError(f"--{name.replace('_', '-')} is for a text that goes on; with --prompt a state is written and nothing generated")
