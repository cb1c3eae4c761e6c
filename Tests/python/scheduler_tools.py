"""What test_scheduler.py and test_scheduler_requests.py have in common."""

import numpy as np
import pytest

import llama2swift


def ids(seed: int, count: int) -> list[int]:
    return [10 + seed, *np.random.default_rng(seed).integers(3, 500, count - 1).tolist()]


def sampler(seed=None):
    return llama2swift.Sampler(temperature=0) if seed is None else llama2swift.Sampler(temperature=1, seed=seed)


# Python


@pytest.fixture
def scheduler(stories):
    with stories.context(length=700, sequences=3) as context, llama2swift.Scheduler(context, prompt_tokens_per_step=8) as scheduler:
        yield scheduler
