#!/usr/bin/env python3
"""Many prompts with actors of Ray beside one process: the same texts, whatever the actors, also when one of them is killed; and what the actors do together.

    many.py MODEL [--prompts 1000] [--tokens 16] [--actors 2] [--timed 200] [--write FILE.md]

Texts are compared for all prompts, with one actor killed on the way. Throughput is of --timed of them: each actor alone on the machine, all actors side by side, each with one
thread, and plain processes without Ray in the same two ways, which shows what the machine itself takes. Needs ray.
"""

import argparse
import multiprocessing
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


class Writer:
    """What an actor or a process of the measurement does; it has its model before the clock starts."""

    def __init__(self, options):
        self.made = Generate(**options)

    def write(self, prompts):
        """Its own seconds."""
        begun = time.perf_counter()
        self.made({"prompt": prompts})
        return time.perf_counter() - begun


def plain(options, pipe):
    """A process without Ray."""
    writer = Writer(options)
    while prompts := pipe.recv():
        pipe.send(writer.write(prompts))


def shares(prompts, count):
    return [prompts[i::count] for i in range(count)]


def rate(begin, end, parts):
    """(prompts a second, the sum of what each says of itself): each has its part, as Ray Data would hand them out."""
    begun = time.perf_counter()
    under_way = [begin(index, part) for index, part in parts]
    seconds = [end(one) for one in under_way]
    count = sum(len(part) for _, part in parts)
    return count / (time.perf_counter() - begun), sum(len(part) / own for (_, part), own in zip(parts, seconds))


def rates(begin, end, prompts, count):
    """Of one round: (the sum of each alone, all side by side, the sum of what they say of themselves then)."""
    parts = list(enumerate(shares(prompts, count)))
    alone = sum(rate(begin, end, [part])[0] for part in parts)
    return alone, *rate(begin, end, parts)


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
    description = llama2swift.Model(a.model).description
    lines = []
    if a.only != "rate":
        made = Generate(**options)
        one = dict(zip(prompts, made({"prompt": np.array(prompts, dtype=object)})["text"]))
        found, processes, _ = run(Mortal, prompts, a.actors, {"mark": "", **options})
        mark = f"/tmp/llama2swift-many-{os.getpid()}"
        killed, survivors, _ = run(Mortal, prompts, a.actors, {"mark": mark, **options})
        was = os.path.exists(mark)
        lines += [
            f"- {len(prompts)} prompts of {a.tokens} tokens, {description}, {a.actors} actors ({len(processes)} processes wrote): {'all texts are those of one process' if found == one else 'TEXTS DIFFER'} ({len(set(one.values()))} different ones).",
            f"- The same with an actor that is killed by SIGKILL in its third batch ({'it was' if was else 'IT WAS NOT'}; {len(survivors)} processes wrote what came back): "
            f"{'all texts are there and the same' if killed == one else 'TEXTS DIFFER OR ARE MISSING'}.",
        ]  # fmt: skip
    if a.only != "texts":
        timed = prompts[: a.timed]
        actor = ray.remote(num_cpus=1)(Writer)
        actors = [actor.remote(options) for _ in range(a.actors)]
        pipes, processes = [], []
        for _ in range(a.actors):
            here, there = multiprocessing.Pipe()
            pipes.append(here)
            processes.append(multiprocessing.get_context("spawn").Process(target=plain, args=(options, there), daemon=True))
            processes[-1].start()

        def send(index, part):
            pipes[index].send(part)
            return pipes[index]

        sides = {
            "actors": (lambda index, part: actors[index].write.remote(part), ray.get),
            "processes without Ray": (send, lambda pipe: pipe.recv()),
        }  # fmt: skip
        for begin, end in sides.values():
            rate(begin, end, list(enumerate([timed[:4]] * a.actors)))
        found = {name: [] for name in sides}
        for _ in range(a.rounds):
            for name, side in sides.items():
                found[name].append(rates(*side, timed, a.actors))
        for name, rounds in found.items():
            alone, together, own = (max(column) for column in zip(*rounds))
            lines.append(
                f"- {a.actors} {name} with a thread each, {description}: {together:.2f} prompts/s side by side; {alone:.2f} is the sum of what each does alone on the machine: {together / alone:.2f}; "
                f"{own:.2f} the sum of their own rates while they are side by side: {together / own:.3f} ({a.timed} prompts, the best of {a.rounds} rounds of each)."
            )  # fmt: skip
        for pipe in pipes:
            pipe.send([])
    page = "\n".join(lines) + "\n"
    print(page)
    if a.write:
        before = a.write.read_text() if a.write.exists() else f"# Many prompts with Ray\n\n`many.py` made this page, with Ray {ray.__version__} on one machine.\n\n"
        a.write.write_text(before + page)
    ray.shutdown()
    raise SystemExit("DIFFER" in page or "NOT" in page)


if __name__ == "__main__":
    main()
