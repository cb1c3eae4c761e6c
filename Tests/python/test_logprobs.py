"""What `generate` tells about each token."""

import asyncio
import math

import mixes as M
import numpy as np
import pytest
from llama2swift import Sampler, Scheduler
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


# Requests to a scheduler

LIST = "Tom has a red ball. Tom has a blue ball. Tom has a green ball. Lily has a red ball. Lily has a blue ball. Lily has a"
CASES = [dict(temperature=0), dict(temperature=0.5, seed=4), dict(temperature=0, repetition_penalty=1.3), dict(temperature=1.0, top_k=5, seed=9), dict(temperature=0, regex=r"Once upon a time there was a (cat|dog)\. The end\.")]


def sampler(model, regex=None, **options):
    return Sampler(**options, grammar=None if regex is None else model.grammar(regex=regex))


def alone(model, prompt, options, count=40, **more):
    """What `generate` tells without guesses."""
    with model.context(length=600) as context:
        generation = context.generate(prompt, sampler(model, **options), max_tokens=count, logprobs=3, guess=False, **more)
        return "".join(generation), [M.bits(s) for s in generation.steps]


def test_requests_are_told_what_generate_tells(stories):
    """Bit by bit: beside others and alone, with guesses and without, with the prompt and without."""
    prompt = stories.tokenize_prompt(LIST)
    with stories.context(length=3000, sequences=4, batch_size=64) as context, Scheduler(context) as scheduler:
        asked = [(options, guess, echo) for options in CASES for guess in (True, False) for echo in (True, False)]
        requests = [scheduler.submit(prompt, 40, sampler(stories, **o), logprobs=3, guess=g, echo=e, penalize_prompt=True) for o, g, e in asked]
        for request, (options, _, echo) in zip(requests, asked, strict=True):
            events = list(request)
            text, steps = alone(stories, prompt, options, echo=echo, penalize_prompt=True)
            assert "".join(e.text for e in events) == text
            assert [M.bits(e.report) for e in events if e.report] == steps and len(steps) >= len(prompt) * echo
            assert [e.token for e in events] == [None if e.report is None or e.report.prompt else e.report.token for e in events]
            assert request.adopted == 0 or not echo
        guessed = scheduler.stats()["guessed_right"]
    assert guessed > 0


def test_guesses_change_no_report(stories):
    """Of `generate` itself."""
    prompt = stories.tokenize_prompt(LIST)
    for options in CASES:
        with stories.context(length=600) as context:
            generation = context.generate(prompt, sampler(stories, **options), max_tokens=40, logprobs=3)
            assert ("".join(generation), [M.bits(s) for s in generation.steps]) == alone(stories, prompt, options)


def test_a_prompt_is_told_once_whatever_is_taken_away(stories):
    """Prompts that are told, in pieces of a few tokens, and whose sequence is taken away in the middle of it."""
    prompts = [stories.tokenize_prompt(LIST)[:n] for n in (60, 2, 1)]
    with stories.context(length=200, sequences=1, batch_size=16) as context:
        scheduler, kept = M.Scheduler(context, prompt_tokens_per_step=3), [Sampler(temperature=0) for _ in range(6)]
        flags = dict(flags=4 | 8, best=2, max_tokens=3)
        numbers = [scheduler.submit(p, s, **flags) for p, s in zip(prompts, kept)]
        for i in range(3, 6):
            scheduler.step()
            urgent = scheduler.submit([1, *range(3, 60)], kept[i], max_tokens=2, priority=1)
            while not scheduler.tokens(urgent)[1:]:
                scheduler.step()
        assert 16 <= len(scheduler.reports[numbers[0]]) < 60
        scheduler.run()
        assert scheduler.stats()["preemptions"] == 3
        for number, prompt in zip(numbers, prompts, strict=True):
            with stories.context(length=200) as fresh:
                generation = fresh.generate(prompt, Sampler(temperature=0), max_tokens=3, logprobs=2, echo=True, guess=False)
                list(generation)
                assert scheduler.reports[number] == [M.bits(s) for s in generation.steps]
        scheduler.close()


def test_a_callback_may_end_a_request_in_its_prompt(stories):
    with stories.context(length=200, sequences=2) as context:
        scheduler, kept = M.Scheduler(context), [Sampler(temperature=0), Sampler(temperature=0)]
        scheduler.on_event = lambda event: event.request == first and bool(event.report) and event.report.contents.token == 7
        first = scheduler.submit([1, 5, 7, 9], kept[0], max_tokens=3, flags=8)
        second = scheduler.submit([1, 5, 7, 9], kept[1], max_tokens=3, flags=8)
        scheduler.run()
        assert scheduler.events[first] == [(b"", -1, 0, 0)] * 3 + [(b"", -1, 4, 0)] and len(scheduler.tokens(second)) == 3
        kept[0].reset()
        scheduler.close()


def test_what_a_request_cannot_ask_for(stories):
    with stories.context(length=64) as context, Scheduler(context) as scheduler:
        with pytest.raises(InvalidArgumentError, match="1025 best tokens, expected at most 1024"):
            scheduler.submit([1], logprobs=1025)
        assert [e.report for e in scheduler.submit([1, 5], 2, Sampler(temperature=0))] == [None] * 3


def test_texts_of_tokens_are_told_byte_by_byte(stories):
    """That of the byte 0 too: reports are not terminated."""
    zero = next(t for t in range(512) if stories.piece(t) == b"\0")
    with stories.context(length=64) as context:
        generation = context.generate([1, zero, 5], Sampler(temperature=0, logit_bias={zero: 1e9}), max_tokens=2, echo=True)
        assert "".join(generation) == "\0\0" and [s.text for s in generation.steps][1:] == [b"\0", stories.piece(5), b"\0", b"\0"]
