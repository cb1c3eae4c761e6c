"""Speed, and what it takes."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

from .. import Model, footprint
from ..errors import InvalidArgumentError
from .terminal import Progress, line


def bench(a: argparse.Namespace) -> int:
    """Measures prefill and decode, the median of some runs, and their energy."""
    power = footprint.power(a.watts)
    grid = footprint.intensity(a.intensity, a.country)
    counters = footprint.powercap(a.energy)
    if a.energy and not counters:
        raise InvalidArgumentError(f"{a.energy}: no intel-rapl:0/energy_uj can be read there")
    model = Model(a.model)
    context = model.context(a.prompt + a.generate, a.threads, kernels=a.kernels, energy=counters)
    vocabulary = model.hyperparameters.vocabulary_size
    prompt = [(7919 * i + 13) % vocabulary for i in range(a.prompt)]
    prefill, decode = [], []
    nothing = footprint.Work(0, 0.0, 0.0, 0.0 if counters else None)
    work = [nothing, nothing]
    with Progress("bench") as progress:
        for done in range(a.repeat):
            context.reset()
            start = time.perf_counter()
            context.eval(prompt)
            prefill.append(a.prompt / (time.perf_counter() - start))
            read = context.timings  # of this eval alone, also where a prompt is one token
            work[0] += _work(a.prompt, read, nothing)
            start = time.perf_counter()
            for i in range(a.generate):
                context.eval([(104729 * i + 17) % vocabulary])
            decode.append(a.generate / (time.perf_counter() - start))
            work[1] += _work(a.generate, context.timings, _work(a.prompt, read, nothing))
            progress((done + 1) / a.repeat)
    took = footprint.report(work[0], work[1], power, grid)
    result = {
        "model": model.description, "threads": context.info.threads, "kernels": context.info.kernels,
        "prompt": a.prompt, "generate": a.generate, "prefill_tokens_per_second": statistics.median(prefill),
        "decode_tokens_per_second": statistics.median(decode),
    }  # fmt: skip
    if a.json:
        print(json.dumps({**result, "footprint": took}))
        return 0
    for name, value in result.items():
        line(f"{name:28} {value if not isinstance(value, float) else f'{value:.1f}'}")
    for text in footprint.sentences(took):
        line(text)
    return 0


def _work(tokens: int, t: Any, before: footprint.Work) -> footprint.Work:
    """What a context's timings say, less what they said before."""
    joules = t.prefill_joules + t.decode_joules if t.energy_zones else None
    return footprint.Work(
        tokens, t.prefill_seconds + t.decode_seconds - before.seconds, t.prefill_cpu_seconds + t.decode_cpu_seconds - before.cpu_seconds,
        None if joules is None or before.joules is None else joules - before.joules,
    )  # fmt: skip
