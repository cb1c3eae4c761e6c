"""Going on with a text, and what `run` and `chat` share: the sampler, the streaming, the figures."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from .. import Context, Model, Sampler
from . import terminal


def seed_of(a: argparse.Namespace) -> int:
    return a.seed if a.seed is not None else int.from_bytes(os.urandom(8), "little")


def sampler(a: argparse.Namespace, seed: int) -> Sampler:
    return Sampler(
        temperature=a.temperature, top_k=a.top_k, top_p=a.top_p, min_p=a.min_p, repetition_penalty=a.repetition_penalty,
        seed=seed % 2**64,
    )  # fmt: skip


def run(a: argparse.Namespace) -> int:
    """Goes on with a text."""
    model = Model(a.model)
    if a.prompt is None and terminal.interactive():
        terminal.say("Type a text; Ctrl-D ends it.")
    prompt = a.prompt if a.prompt is not None else sys.stdin.read()
    tokens = model.tokenize_prompt(prompt)
    context = model.context(a.context, a.threads)
    draft = drafting(a, context)
    with context.generate(tokens, sampler(a, seed_of(a)), max_tokens=a.max_tokens, stop=a.stop, draft=draft) as pieces:
        terminal.write(prompt)
        terminal.stream(pieces)
    if a.stats:
        statistics(context)
        if draft is not None:
            guesses(pieces)
    return 0


def drafting(a: argparse.Namespace, context: Context) -> Context | None:
    """The context of --draft, which guesses for `context`."""
    return None if a.draft is None else Model(a.draft).context(context.info.context_length, a.threads)


def guesses(of: Any) -> None:
    terminal.say(f"[guessed {of.guessed} tokens, {of.guessed_right} of them right]")


def statistics(context: Context) -> None:
    t = context.timings
    prefill = t.prefill_tokens / t.prefill_seconds if t.prefill_seconds else 0
    decode = t.decode_tokens / t.decode_seconds if t.decode_seconds else 0
    terminal.say(f"[prefill {t.prefill_tokens} tokens, {prefill:.1f}/s; decode {t.decode_tokens} tokens, {decode:.1f}/s]")
