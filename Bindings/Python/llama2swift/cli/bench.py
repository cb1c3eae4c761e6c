"""Speed."""

from __future__ import annotations

import argparse
import json
import statistics
import time

from .. import Model
from .terminal import Progress, line


def bench(a: argparse.Namespace) -> int:
    """Measures prefill and decode: the median of some runs."""
    model = Model(a.model)
    context = model.context(a.prompt + a.generate, a.threads, kernels=a.kernels)
    vocabulary = model.hyperparameters.vocabulary_size
    prompt = [(7919 * i + 13) % vocabulary for i in range(a.prompt)]
    prefill, decode = [], []
    with Progress("bench") as progress:
        for done in range(a.repeat):
            context.reset()
            start = time.perf_counter()
            context.eval(prompt)
            prefill.append(a.prompt / (time.perf_counter() - start))
            start = time.perf_counter()
            for i in range(a.generate):
                context.eval([(104729 * i + 17) % vocabulary])
            decode.append(a.generate / (time.perf_counter() - start))
            progress((done + 1) / a.repeat)
    result = {
        "model": model.description, "threads": context.info.threads, "kernels": context.info.kernels,
        "prompt": a.prompt, "generate": a.generate, "prefill_tokens_per_second": statistics.median(prefill),
        "decode_tokens_per_second": statistics.median(decode),
    }  # fmt: skip
    if a.json:
        print(json.dumps(result))
        return 0
    for name, value in result.items():
        line(f"{name:28} {value if not isinstance(value, float) else f'{value:.1f}'}")
    return 0
