"""Many prompts in one call: each text is what it is alone."""

from __future__ import annotations

import asyncio
import gc

import pytest

import llama2swift
from llama2swift import errors as E

PROMPTS = ["Once upon a time", "Tom and", [1, 400, 401], "Once upon a time", "The", "One day, a girl"]


def samplers():
    return [llama2swift.Sampler(temperature=i % 3, seed=i) for i in range(len(PROMPTS))]


def same(step):
    return (step.token, step.text, step.logprob, step.logprob_after, step.best, step.best_after, step.prompt)


@pytest.fixture(scope="module")
def alone(stories):
    """(text, reason, steps) of each prompt by itself."""
    out = []
    for prompt, sampler in zip(PROMPTS, samplers()):
        with stories.context(length=256) as context:
            generation = context.generate(prompt, sampler, max_tokens=24, stop="girl", logprobs=2)
            text = "".join(generation)
            out.append((text, generation.reason, [same(s) for s in generation.steps]))
    return out


@pytest.mark.parametrize("sequences", [1, 3, 8])
def test_texts_and_probabilities_are_those_of_each_alone(stories, alone, sequences):
    with stories.context(length=512, sequences=sequences) as context:
        answers = llama2swift.generate_batch(context, PROMPTS, samplers(), max_tokens=24, stop="girl", logprobs=2).results()
        for answer, (text, reason, steps) in zip(answers, alone):
            assert answer.text == text and answer.error is None
            assert answer.reason == {"max_tokens": "length"}.get(reason, "stop")
            assert [same(s) for s in answer.steps] == steps and answer.tokens == [s[0] for s in steps]
        context.eval([1, 2])  # it is free again


def test_events_come_as_they_are_made(stories, alone):
    context = stories.context(length=512, sequences=8)
    texts, order = [""] * len(PROMPTS), []
    with llama2swift.generate_batch(context, PROMPTS, samplers(), max_tokens=24, stop="girl") as batch:
        with pytest.raises(E.BusyError):
            context.eval([1])
        for index, event in batch:
            texts[index] += event.text
            order.append(index)
    assert texts == [a[0] for a in alone]
    assert order != sorted(order)  # side by side
    assert [a.text for a in batch.results()] == texts and list(batch) == []


def test_an_event_loop_reads_steps(stories, alone):
    async def read():
        steps = [[] for _ in PROMPTS]
        context = stories.context(length=512, sequences=4)
        async with llama2swift.generate_batch(context, PROMPTS, samplers(), max_tokens=24, stop="girl", logprobs=2) as batch:
            async for index, event in batch:
                if event.report is not None:
                    assert event.report.seconds >= 0
                    steps[index].append(same(event.report))
        return steps

    assert asyncio.run(read()) == [a[2] for a in alone]


def test_one_that_fails_or_is_ended_leaves_the_others(stories):
    context = stories.context(length=64, sequences=2)
    with pytest.raises(E.ContextFullError):
        llama2swift.generate_batch(context, ["Once", [1] * 65])
    context.eval([1])
    context.reset()
    shared = llama2swift.Sampler()
    with pytest.raises(E.BusyError):
        llama2swift.generate_batch(context, ["Once", "Tom"], [shared, shared])
    with pytest.raises(ValueError, match="1 for 2"):
        llama2swift.generate_batch(context, ["Once", "Tom"], [shared])
    assert llama2swift.generate_batch(context, []).results() == []
    batch = llama2swift.generate_batch(context, ["Once", "Tom"])
    next(batch)
    batch.close()
    assert "cancelled" in {a.reason for a in batch.results()}
    batch = llama2swift.generate_batch(context, ["Once", "Tom"])
    del batch
    gc.collect()
    context.eval([1])
