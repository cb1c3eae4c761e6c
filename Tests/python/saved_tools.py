"""What test_saved.py and test_saved_refused.py have in common."""

import numpy as np
import pytest

import llama2swift

ROWS = [np.random.default_rng(i).normal(0, 3, 512).astype(np.float32) for i in range(60)]
GRAMMAR = r"""root ::= "[" [a-z ]+ ("," [a-z ]+)* "]" """

# what a sampler remembers, each kind of it
KINDS = {
    "draws": dict(), "greedy": dict(temperature=0), "penalties": dict(repetition_penalty=1.3, frequency_penalty=0.4, presence_penalty=0.3, penalty_last_n=9),
    "mirostat": dict(mirostat=1), "mirostat 2": dict(mirostat=2, mirostat_tau=3.0), "dry": dict(dry_multiplier=0.9, dry_last_n=-1, dry_breakers=["e"]),
    "xtc": dict(xtc_probability=0.7, xtc_threshold=0.05), "n-grams": dict(no_repeat_ngram=2), "banned": dict(banned=["an", "the", "he said"]),
    "least": dict(min_tokens=45), "all of history": dict(penalty_last_n=-1, repetition_penalty=1.1), "dynamic": dict(dynamic_range=0.4, smoothing_factor=0.2),
}  # fmt: skip


def made(stories, kind, seed=5, **more) -> llama2swift.Sampler:
    options = dict(temperature=1.2, top_k=0, seed=seed) | KINDS[kind] | more
    return llama2swift.Sampler(**options, model=stories if {"dry_multiplier", "banned", "min_tokens"} & set(options) else None)


def walked(sampler, rows) -> list[int]:
    return [sampler.sample(row) for row in rows]


# What is refused, and changes nothing


@pytest.fixture
def saved(stories):
    """(kind, thing, its bytes) of a decoder, a plain sampler and one with everything."""
    decoder = llama2swift.Decoder(stories)
    decoder.append(3 + 0xE6)
    plain = llama2swift.Sampler()
    full = made(stories, "banned", dry_multiplier=0.5, grammar=stories.grammar(gbnf=GRAMMAR))
    walked(full, ROWS[:9])
    return [decoder, plain, full]
