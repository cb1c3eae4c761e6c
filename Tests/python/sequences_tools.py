"""What test_sequences.py and test_adopt.py have in common."""

import numpy as np
import pytest

PAGE = 64


def tokens(count: int, seed: int = 0) -> list[int]:
    """Two seeds have not even the first one in common."""
    return [10 + seed, *np.random.default_rng(seed).integers(3, 500, count - 1).tolist()]


@pytest.fixture(scope="module")
def fresh(stories):
    """The logits after some tokens, in a context of their own."""
    known = {}

    def logits(ids) -> bytes:
        key = tuple(ids)
        if key not in known:
            with stories.context(length=len(key)) as context:
                context.eval(key)
                known[key] = context.logits().tobytes()
        return known[key]

    return logits


def batch(context, *steps) -> list[bytes]:
    """Each (sequence, tokens); the last logits of every one."""
    entries = [(t, s, i == len(ids) - 1) for s, ids in steps for i, t in enumerate(ids)]
    context.eval_batch(entries)
    return [row.tobytes() for row in np.atleast_2d(context.logits())]


def info(context) -> tuple:
    i = context.info
    return i.pages_used, i.pages_shared, i.pages_cached, i.positions
