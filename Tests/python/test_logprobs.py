"""What `generate` tells about each token."""

import asyncio
import math

import numpy as np
import pytest
from llama2swift import Sampler
from llama2swift.errors import InvalidArgumentError

PROMPT = "Once upon a time, there was a little"


def log_softmax(row):
    row = row.astype(np.float64)
    return row - row.max() - np.log(np.exp(row - row.max()).sum())


def rows(model, tokens):
    """The logits after each token, from one eval."""
    context = model.context(length=256)
    context.eval(tokens, all_logits=True)
    return np.array(context.logits())


def test_probabilities_are_those_of_the_logits(stories):
    context = stories.context(length=128)
    options = dict(temperature=0.7, top_k=5, seed=3)
    generation = context.generate(PROMPT, Sampler(**options), max_tokens=30, logprobs=4)
    text = "".join(generation)
    prompt, steps = stories.tokenize_prompt(PROMPT), generation.steps
    assert len(steps) == generation.tokens == 30 and not any(s.prompt for s in steps)
    tokens = [s.token for s in steps]
    table = rows(stories, prompt + tokens)
    plain = Sampler(**options)
    for i, step in enumerate(steps):
        row = table[len(prompt) - 1 + i]
        expected = log_softmax(row)
        assert step.logprob == pytest.approx(expected[step.token], abs=1e-5)
        order = np.argsort(-row, kind="stable")[:4]
        assert [t for t, _ in step.best] == order.tolist()
        assert [p for _, p in step.best] == pytest.approx(expected[order].tolist(), abs=1e-5)
        ids, left = plain.distribution(row)
        assert step.best_after == [(t, pytest.approx(p, abs=1e-6)) for t, p in list(zip(ids.tolist(), left.tolist()))[:4]]
        assert step.logprob_after == pytest.approx(float(left[ids.tolist().index(step.token)]), abs=1e-6)
        assert plain.sample(row) == step.token and step.text == stories.piece(step.token) and step.seconds > 0
    assert [s.reason for s in steps] == [None] * 29 + ["max_tokens"] and generation.logprobs == [s.logprob for s in steps]
    # asking changes nothing
    context.reset()
    assert "".join(context.generate(PROMPT, Sampler(**options), max_tokens=30)) == text


def test_echo_tells_the_prompt_too(stories):
    words = PROMPT + " girl named Lily. " * 12  # more than 64 rows
    prompt = stories.tokenize_prompt(words)
    assert len(prompt) > 70
    context = stories.context(length=256)
    generation = context.generate(words, Sampler(temperature=0), max_tokens=3, logprobs=1, echo=True)
    list(generation)
    steps = generation.steps
    assert [s.prompt for s in steps] == [True] * len(prompt) + [False] * 3
    assert [s.token for s in steps[: len(prompt)]] == prompt
    assert math.isnan(steps[0].logprob) and steps[0].best == [] and all(s.best_after == [] and math.isnan(s.logprob_after) for s in steps[: len(prompt)])
    table = rows(stories, prompt)
    for i in range(1, len(prompt)):
        expected = log_softmax(table[i - 1])
        assert steps[i].logprob == pytest.approx(expected[prompt[i]], abs=1e-5)
        assert steps[i].best[0][0] == int(np.argmax(table[i - 1]))
    assert sum(generation.logprobs[1 : len(prompt)]) == pytest.approx(float(np.sum(context.score(prompt[:1], prompt[1:]).log_probabilities)), abs=1e-2)
    assert all(s.logprob_after == 0 for s in steps[len(prompt) :])


def test_the_end_token_is_told_and_reports_cost_no_probabilities(stories):
    end = next(t for t in range(512) if stories.is_end(t))
    context = stories.context(length=64)
    generation = context.generate("Once", Sampler(temperature=0, logit_bias={end: 100.0}), report=True)
    list(generation)
    (step,) = generation.steps
    assert step.token == end and step.reason == "end" and math.isnan(step.logprob) and step.best == []
    assert context.generate("x", max_tokens=1).steps == []

    async def read():
        context.reset()
        pieces = []
        async with context.generate(PROMPT, Sampler(temperature=0), max_tokens=5, logprobs=0) as generation:
            async for piece in generation:
                pieces.append(piece)
        return generation, "".join(pieces)

    generation, text = asyncio.run(read())
    assert b"".join(s.text for s in generation.steps).decode() == text and all(s.best == [] and s.logprob <= 0 for s in generation.steps)


def test_a_prompt_that_fails_leaves_nothing(stories):
    context = stories.context(length=128)
    with pytest.raises(Exception, match="vocabulary"):
        list(context.generate([1, 2, 600], echo=True))
    assert context.sequence_length() == 0
    with pytest.raises(InvalidArgumentError, match="best tokens"):
        list(context.generate("x", logprobs=1025))
