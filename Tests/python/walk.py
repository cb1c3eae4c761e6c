"""A random walk over everything that a context can do; wherever it stands, logits equal those of a fresh context, bit for bit.

    walk.py --steps 10000 --seed 1 [--models stories,mixed,odd,smollm2]

An episode takes a model and two contexts with random kernels, threads, keys and values, batch size and length, and goes some
dozens of steps. It depends on its own number and the seed alone: a failure prints the command that repeats it.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from block_types import typed_model
from pasts import make_adapters
from walk_refusals import Refusals
from walk_steps import Steps
from walker import POISON, Mismatch

import llama2swift
from llama2swift import errors as E

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
STEPS_OF_EPISODE = 40


def models(names, folder) -> dict[str, tuple[llama2swift.Model, dict]]:
    """Each with its adapters."""
    mixed = ["Q4_K", "F16", "Q8_0", "Q6_K", "Q4_0", "BF16", "Q5_K", "F32", "Q4_1", "Q2_K", "Q5_1", "Q3_K", "Q5_0", "IQ4_XS"]
    made = {
        "stories": lambda: FIXTURES / "stories260K.bin",
        # eight heads on two, every kind of block side by side; a context longer than a page
        "mixed": lambda: typed_model(folder / "mixed.gguf", mixed, 5, vocabulary=130, dim=256, layers=3, heads=8, heads_kv=2, hidden=256),
        # nothing is a whole number of panels or vectors: heads of 24 on one, 7 rows of output beyond the last panel
        "odd": lambda: typed_model(
            folder / "odd.gguf", ["Q4_0", "F32", "Q5_1", "F16", "Q8_0"], 6, poison=POISON, vocabulary=71, dim=96, layers=4, heads=4, heads_kv=1, hidden=160
        ),
        "smollm2": lambda: os.environ["LLAMA2SWIFT_MODEL"],
    }  # fmt: skip
    loaded = {name: llama2swift.Model(made[name]()) for name in names}
    return {name: (model, make_adapters(name, model, folder)) for name, model in loaded.items()}


class Walk(Steps, Refusals):
    """All steps, each with how often it comes."""

    STEPS = dict(
        eval=8, batch=8, remove=3, reset=1, cancelled=6, error=6, sample=1, score=1, generate=2, copy=4, adopt=4, save_and_load=2, shift=3, set_adapters=3, overflow=1,
        watched=1, steered=2, embed=0.5, starved=1,
    )  # fmt: skip


class Episode:
    def __init__(self, name: str, model, adapters: dict, seed: int, number: int):
        self.name, self.model, self.adapters, self.number = name, model, adapters, number
        self.dice = random.Random(f"{seed} {number}")
        self.vocabulary = model.hyperparameters.vocabulary_size
        self.large = model.hyperparameters.parameter_count > 10**7
        available = llama2swift.kernels_available()
        self.kernels = [k for k in available if not self.large or k != "reference"] or available
        self.poisoned = name == "odd"
        self.has_text = name in ("stories", "smollm2")
        self.counts: Counter[str] = Counter()
        self.comparisons = 0

    def run(self, steps: int) -> None:
        walkers = [Walk(self) for _ in range(2)]
        kinds, weights = list(Walk.STEPS), list(Walk.STEPS.values())
        for step in range(steps):
            walker, name = self.dice.choice(walkers), "?"
            try:
                name = getattr(walker, self.dice.choices(kinds, weights)[0])()
                walker.check_lengths()
                if self.dice.random() < 0.35:
                    self.comparisons += walker.check_rows(most=2)
            except (Mismatch, E.Llama2Error) as problem:
                raise Mismatch(f"step {step} ({name}) of episode {self.number} on {self.name}, {walker.options}: {problem}") from problem
            self.counts[name] += 1
        # the whole cache: every sequence goes on by a token
        for walker in walkers:
            entries = [(t, s, True) for s, t in enumerate(walker.random_tokens(len(walker.tokens)))]
            while walker.free() < len(entries) or walker.refused_for_a_copy(lambda: walker.context.eval_batch(entries), walker.state()):
                walker.remove()
            walker.added(entries)
            self.comparisons += walker.check_rows(most=len(entries))
            walker.context.close()


def walk(steps: int, seed: int, loaded: dict, only: int | None = None) -> tuple[Counter, int]:
    """Counts of steps by kind, and comparisons. Raises Mismatch with the way to repeat it."""
    counts, compared, number, names = Counter(), 0, 0, list(loaded)
    while counts.total() < steps:
        name = names[number % len(names)]
        if only is None or only == number:
            episode = Episode(name, *loaded[name], seed, number)
            try:
                episode.run(STEPS_OF_EPISODE if only is not None else min(STEPS_OF_EPISODE, steps - counts.total()))
            except Mismatch as problem:
                again = f"python3 Tests/python/walk.py --seed {seed} --episode {number} --models {','.join(names)}"
                raise Mismatch(f"{problem}\nrepeat: {again}") from problem
            counts += episode.counts
            if counts.total() % 1000 < episode.counts.total() and steps > 1000:
                print(f"{counts.total()} steps", file=sys.stderr, flush=True)
            compared += episode.comparisons
            if only is not None:
                break
        number += 1
    return counts, compared


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--episode", type=int, help="only this one")
    parser.add_argument("--models", default="stories,mixed,odd" + (",smollm2" if os.environ.get("LLAMA2SWIFT_MODEL") else ""))
    given, start = parser.parse_args(), time.monotonic()
    print(f"seed {given.seed}, models {given.models}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        try:
            counts, compared = walk(given.steps, given.seed, models(given.models.split(","), Path(folder)), given.episode)
        except Mismatch as problem:
            print(f"FAILED {problem}")
            return 1
    for name, count in counts.most_common():
        print(f"{count:7} {name}")
    print(f"{counts.total()} steps, {compared} comparisons with fresh contexts, 0 differences, {time.monotonic() - start:.0f} s, seed {given.seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
