#!/usr/bin/env python3
"""Many prompts with actors of Ray beside one process: the same texts, whatever the actors, also when one of them is killed; and what the actors do together.

    many.py MODEL [--prompts 1000] [--tokens 16] [--actors 2] [--timed 200] [--write FILE.md]

Texts are compared for all prompts, with one actor killed on the way. Throughput is of --timed of them: an actor alone on a core (that many
times as many actors is the sum that they are measured by) and all actors side by side, each with one thread. Needs ray.
"""

import argparse
import os
import signal
import time
from pathlib import Path

import numpy as np
import ray

import llama2swift
from llama2swift.ray import Generate

NAMES = ("Lily", "Tom", "Ben", "Mia", "Sam", "Anna", "Tim", "Sue", "Max", "Amy", "Leo", "Eva", "Jack", "Rosa", "Finn", "Nora", "Paul", "Ida", "Otto", "Ella")
THINGS = ("dogs", "red balls", "cups", "birds", "books", "trees", "boats", "hats", "apples", "stones")


class Mortal(Generate):
    """One that says who it is, and is killed once, when it has done some batches."""

    def __init__(self, mark, **options):
        super().__init__(**options)
        self.mark, self.done = mark, 0

    def __call__(self, batch):
        self.done += 1
        if self.mark and self.done == 3:
            try:
                os.close(os.open(self.mark, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return {**super().__call__(batch), "pid": np.array([os.getpid()] * len(batch["prompt"]))}


def run(kind, prompts, actors, options):
    """(texts by prompt, processes, seconds)."""
    begun = time.perf_counter()
    data = ray.data.from_items([{"prompt": p} for p in prompts], override_num_blocks=4 * actors).map_batches(kind, fn_constructor_kwargs=options, batch_size=32, concurrency=actors)
    rows = data.take_all()
    return {r["prompt"]: r["text"] for r in rows}, {int(r["pid"]) for r in rows}, time.perf_counter() - begun


@ray.remote(num_cpus=1)
class Actor:
    """An actor for the measurement, which has its model before the clock starts."""

    def __init__(self, options):
        self.made = Generate(**options)

    def write(self, prompts):
        self.made({"prompt": prompts})
        return len(prompts)


def rate(actors, prompts):
    """Prompts a second; each actor has its share, as Ray Data would hand them out."""
    shares = [prompts[i :: len(actors)] for i in range(len(actors))]
    begun = time.perf_counter()
    ray.get([actor.write.remote(share) for actor, share in zip(actors, shares)])
    return len(prompts) / (time.perf_counter() - begun)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--actors", type=int, default=2)
    parser.add_argument("--timed", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", choices=("texts", "rate"))
    parser.add_argument("--write", type=Path, help="lines are added to this page")
    a = parser.parse_args()
    prompts = [f"Once upon a time {name} had {count} {thing}" for count in ("one", "two", "three", "four", "five") for name in NAMES for thing in THINGS][: a.prompts]
    options = {"path": os.path.abspath(a.model), "max_tokens": a.tokens, "temperature": 0.8, "seed": 1}
    variables = {name: os.environ[name] for name in ("PYTHONPATH", "LLAMA2SWIFT_LIBRARY") if name in os.environ}
    ray.init(num_cpus=max(4, a.actors), include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": variables})
    name = llama2swift.Model(a.model).description
    lines = []
    if a.only != "rate":
        made = Generate(**options)
        one = dict(zip(prompts, made({"prompt": np.array(prompts, dtype=object)})["text"]))
        found, processes, _ = run(Mortal, prompts, a.actors, {"mark": "", **options})
        mark = f"/tmp/llama2swift-many-{os.getpid()}"
        killed, survivors, _ = run(Mortal, prompts, a.actors, {"mark": mark, **options})
        was = os.path.exists(mark)
        lines += [
            f"- {len(prompts)} prompts of {a.tokens} tokens, {name}, {a.actors} actors ({len(processes)} processes wrote): {'all texts are those of one process' if found == one else 'TEXTS DIFFER'} ({len(set(one.values()))} different ones).",
            f"- The same with an actor that is killed by SIGKILL in its third batch ({'it was' if was else 'IT WAS NOT'}; {len(survivors)} processes wrote what came back): "
            f"{'all texts are there and the same' if killed == one else 'TEXTS DIFFER OR ARE MISSING'}.",
        ]  # fmt: skip
    if a.only != "texts":
        timed = prompts[: a.timed]
        actors = [Actor.remote(options) for _ in range(a.actors)]
        ray.get([actor.write.remote(timed[:4]) for actor in actors])
        alone, together = [], []
        for _ in range(a.rounds):
            alone.append([rate([actor], timed[: len(timed) // a.actors]) for actor in actors])
            together.append(rate(actors, timed))
        total = max(sum(rates) for rates in alone)
        lines.append(f"- Throughput of {a.actors} actors with a thread each: {max(together):.2f} prompts/s side by side, {total:.2f} is the sum of what each does alone on the machine: {max(together) / total:.2f} ({a.timed} prompts, the best of {a.rounds} rounds of each).")
    page = "\n".join(lines) + "\n"
    print(page)
    if a.write:
        before = a.write.read_text() if a.write.exists() else f"# Many prompts with Ray\n\n`many.py` made this page, with Ray {ray.__version__} on one machine.\n\n"
        a.write.write_text(before + page)
    ray.shutdown()
    raise SystemExit("DIFFER" in page or "NOT" in page)


if __name__ == "__main__":
    main()
