"""What test_samplers.py and test_sampler_steps.py have in common."""

import numpy as np


def logits(probabilities):
    with np.errstate(divide="ignore"):
        return np.log(np.array(probabilities, np.float64)).astype(np.float32)


def left(sampler, row, accepted=()):
    for token in accepted:
        sampler.accept(token)
    ids, values = sampler.distribution(row)
    return dict(zip(ids.tolist(), np.exp(values.astype(np.float64)).tolist()))


def softmax(row):
    e = np.exp(row.astype(np.float64) - row.max())
    return e / e.sum()


def random_row(seed, count=400):
    return np.random.default_rng(seed).normal(0, 3, count).astype(np.float32)
