"""A short random walk over a context; ten thousand steps are Tests/trust/walk.sh. LLAMA2SWIFT_SEED repeats one."""

import os
import random

import numpy as np
import pytest
import walk as walks


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    models = walks.models(["stories", "mixed", "odd"], tmp_path_factory.mktemp("walk"))
    yield models
    for model, _ in models.values():
        model.close()


def test_wherever_a_random_walk_stands_logits_are_those_of_a_fresh_context(loaded):
    seed = int(os.environ.get("LLAMA2SWIFT_SEED", random.SystemRandom().randrange(2**32)))
    print("seed", seed)
    counts, compared = walks.walk(240, seed, loaded)
    assert counts.total() == 240 and compared > 40


def test_a_walk_is_the_same_again_with_its_seed(loaded):
    assert walks.walk(50, 7, {"stories": loaded["stories"]}) == walks.walk(50, 7, {"stories": loaded["stories"]})


@pytest.mark.parametrize("lie", ["a bit of a logit", "a token that was not undone"])
def test_a_walk_notices(loaded, monkeypatch, lie):
    if lie == "a bit of a logit":
        fresh = walks.Walk.fresh
        monkeypatch.setattr(walks.Walk, "fresh", lambda *a: np.nextafter(fresh(*a), np.float32(np.inf)))
    else:
        monkeypatch.setattr(walks.Walk, "unchanged", lambda self, _: self.context.eval([1]))
    with pytest.raises(walks.Mismatch, match="--seed 3 --episode 0"):
        walks.walk(120, 3, {"stories": loaded["stories"]})
