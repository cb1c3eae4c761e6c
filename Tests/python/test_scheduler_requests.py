"""Requests of a scheduler in Python."""

import asyncio
import gc
import threading
import time

import adapters as L
import numpy as np
import pytest
from scheduler_tools import ids, sampler, scheduler  # noqa: F401 (fixtures)
from argument_values import STORIES

import llama2swift
from llama2swift import _library as lib
from llama2swift import errors as E

PROMPT = "Once upon a time"


def alone(stories, prompt, seed, max_tokens):
    with stories.context(length=700) as context:
        return "".join(context.generate(prompt, sampler(seed), max_tokens=max_tokens))


def test_requests_are_iterators_of_events(stories, scheduler):
    prompt = stories.tokenize_prompt(PROMPT)
    requests = [scheduler.submit(prompt, max_tokens=30, sampler=sampler(i)) for i in range(5)]
    for i, request in enumerate(requests):
        events = list(request)
        assert "".join(e.text for e in events) == alone(stories, prompt, i, 30)
        assert events[-1].reason == request.reason == "length" and all(e.reason is None for e in events[:-1])
        assert [e.token is None for e in events] == [False] * 30 + [True]
        assert (request.prompt_tokens, request.tokens) == (len(prompt), 30) and request.id > 0
        assert list(request) == []
    assert scheduler.stats()["tokens"] == 150 and scheduler.stats()["running"] == 0


def test_requests_in_an_event_loop(stories, scheduler):
    prompt = stories.tokenize_prompt(PROMPT)

    async def one(i):
        return "".join([e.text async for e in scheduler.submit(prompt, 20, sampler(i))])

    async def all_of_them():
        return await asyncio.gather(*(one(i) for i in range(6)))

    assert asyncio.run(all_of_them()) == [alone(stories, prompt, i, 20) for i in range(6)]


def test_requests_from_many_threads(stories, scheduler):
    found = {}

    def work(i):
        for round in range(3):
            request = scheduler.submit([1, 10 + i], max_tokens=15, sampler=sampler(i))
            if round == 1:
                request.cancel()
                assert list(request)[-1].reason in ("cancelled", "length", "stop")
            else:
                found.setdefault(i, set()).add(request.text())

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert found == {i: {alone(stories, [1, 10 + i], i, 15)} for i in range(6)}


def test_letting_go_cancels(stories, scheduler):
    request = scheduler.submit([1, 5], sampler=llama2swift.Sampler(temperature=0, logit_bias={1: -np.inf, 2: -np.inf}))
    assert next(request).reason is None
    del request
    gc.collect()
    for _ in range(1000):
        if scheduler.stats()["running"] == 0:
            break
        time.sleep(0.005)
    assert scheduler.stats()["running"] == 0 and scheduler.stats()["tokens"] < 690


def test_close_ends_what_runs_and_frees_the_context(stories):
    threads = threading.active_count()
    with stories.context(length=4000, sequences=2) as context:
        scheduler = llama2swift.Scheduler(context)
        with pytest.raises(E.BusyError):
            context.eval([1])
        endless = llama2swift.Sampler(temperature=0, logit_bias={1: -np.inf, 2: -np.inf})
        running, waiting = scheduler.submit([1, 5], sampler=endless), [scheduler.submit([1, 5]) for _ in range(4)]
        next(running)
        scheduler.close()
        scheduler.close()
        assert list(running)[-1].reason == "cancelled" and all(list(w)[-1].reason in ("cancelled", "stop", "length") for w in waiting)
        context.eval([1, 2, 3])
        with pytest.raises(E.BusyError, match="closed"):
            scheduler.submit([1])
    assert threading.active_count() <= threads


def test_stops_grammar_and_errors_in_python(stories, scheduler):
    prompt = stories.tokenize_prompt(PROMPT)
    text = scheduler.submit(prompt, 40, sampler(), stops=["girl"]).text()
    assert text.endswith("little ") and "girl" not in text
    held = scheduler.submit(prompt, 60, sampler(1), stories.grammar(choices=["Lily", "a cat"]))
    assert held.text() in ("Lily", "a cat") and held.reason == "stop"
    late = scheduler.submit(prompt, deadline=0)
    assert [e.reason for e in late][-1] == "deadline"
    with pytest.raises(E.ContextFullError, match="701 tokens"):
        scheduler.submit([1] * 701)
    with pytest.raises(E.InvalidTokenError):
        scheduler.submit([1, 512])
    with pytest.raises(E.InvalidArgumentError, match="without tokens"):
        scheduler.submit([])
    with pytest.raises(E.OutOfRangeError):
        scheduler.submit([1], sampler=llama2swift.Sampler(logit_bias={600: 1.0}))
    assert scheduler.stats()["waiting"] == 0 and lib.last_error()


def test_requests_have_their_own_adapters(stories, tmp_path):
    """The same prompt with and without one, in one batch: pages are not shared, texts are those alone."""
    adapter = stories.adapter(L.write_adapter(tmp_path / "adapter.gguf", L.adapter("w", lambda name: 2 * name.endswith("attn_q"), STORIES), 4))
    prompt, lists = ids(1, 100), ([], [(adapter, 30.0)], [(adapter, -20.0)], [])
    with stories.context(length=700, sequences=3) as context:
        context.set_adapters(1, [(adapter, 5.0)])  # which the scheduler takes away
        with llama2swift.Scheduler(context) as scheduler:
            requests = [scheduler.submit(prompt, 25, sampler(2), adapters=a) for a in lists]
            found = [r.text() for r in requests]
            with pytest.raises(E.InvalidArgumentError, match="adapter 1 is in the list before"):
                scheduler.submit(prompt, adapters=[(adapter, 1.0), (adapter, 2.0)])
    for text, a in zip(found, lists, strict=True):
        with stories.context(length=700) as context:
            context.set_adapters(0, a)
            assert text == "".join(context.generate(prompt, sampler(2), max_tokens=25))
    assert len(set(found)) == 3


def test_a_request_keeps_its_scheduler_while_nobody_else_does(stories):
    """`Scheduler(context).submit(...).text()` was an empty text: the scheduler had gone before it began."""
    greedy = dict(temperature=0.0)
    with stories.context(length=64, sequences=2) as context:
        prompt = stories.tokenize_prompt("Once upon a time")
        expected = "".join(context.generate(prompt, llama2swift.Sampler(**greedy), max_tokens=12))
        context.reset()
        assert llama2swift.Scheduler(context).submit(prompt, 12, llama2swift.Sampler(**greedy)).text() == expected
        gc.collect()
        context.reset()  # it has gone with its last request
        requests = [llama2swift.Scheduler(context).submit(prompt, 12, llama2swift.Sampler(**greedy))]
        assert next(requests[0]).reason is None
        del requests[0]
        gc.collect()
        context.reset()


def test_what_a_step_of_the_hosts_raises_is_the_error_of_its_request(stories):
    def failing(_, __):
        raise KeyError("mine")

    prompt = stories.tokenize_prompt("Once upon a time")
    with stories.context(length=256, sequences=2) as context, llama2swift.Scheduler(context) as scheduler:
        other = scheduler.submit(prompt, 20, llama2swift.Sampler(temperature=0))
        failed = scheduler.submit(prompt, 20, llama2swift.Sampler(steps=["temperature", failing]))
        with pytest.raises(KeyError, match="mine"):
            failed.text()
        with stories.context(length=256) as alone:
            assert other.text() == "".join(alone.generate(prompt, llama2swift.Sampler(temperature=0), max_tokens=20))
    with stories.context(length=256) as context:
        answers = llama2swift.generate_batch(context, [prompt], [llama2swift.Sampler(steps=["temperature", failing])]).results()
        assert isinstance(answers[0].error, KeyError) and answers[0].reason == "error"
