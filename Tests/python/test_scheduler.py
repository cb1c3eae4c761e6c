"""Many requests on one context: each has the text that it has alone, and comes when it should. 500 mixes are Tests/trust/mixes.sh."""

import math
import random
import shutil
import struct
import time
from pathlib import Path

import mixes as M
import pytest
from scheduler_tools import ids, sampler, scheduler  # noqa: F401 (fixtures)

import llama2swift
from llama2swift import errors as E


@pytest.fixture(scope="module")
def mixes():
    return M.Mixes()


@pytest.fixture
def by_hand(stories):
    """Schedulers that are stepped by hand."""
    made = []

    def make(length=512, sequences=4, prompt_tokens_per_step=0, max_requests=0, **options):
        made.append(M.Scheduler(stories.context(length=length, sequences=sequences, **options), prompt_tokens_per_step, max_requests))
        return made[-1]

    yield make
    for scheduler in made:
        scheduler.close()
        scheduler.context.close()


def test_texts_are_those_of_requests_alone(mixes):
    before = mixes.counts.copy()
    for seed in range(16):
        mixes.run(seed)
    found = mixes.counts - before
    assert found["preemptions"] > 10 and found["adopted_tokens"] > 500 and found["cancelled"] > 2


def test_another_mix_every_time(mixes):
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)
    for i in range(4):
        mixes.run(seed + i)


def test_a_mix_notices(mixes, monkeypatch):
    monkeypatch.setattr(M.Scheduler, "text", lambda self, number: b"".join(e[0] for e in self.events[number])[:-1])
    with pytest.raises(M.Mismatch, match=r"mixes\.py --mixes 1 --seed \d, request"):
        for seed in range(9):
            mixes.run(seed)


# Who comes when


def test_a_long_prompt_comes_in_pieces_beside_those_that_decode(by_hand):
    scheduler = by_hand(length=1024, prompt_tokens_per_step=10)
    short = scheduler.submit([1, 5], sampler(), max_tokens=200)
    scheduler.step()
    assert len(scheduler.tokens(short)) == 1
    long = scheduler.submit(ids(1, 300), sampler(), max_tokens=1)
    for step in range(1, 30):
        scheduler.step()
        assert len(scheduler.tokens(short)) == 1 + step and long not in scheduler.events
    scheduler.step()
    assert scheduler.tokens(long) and scheduler.stats()["evaluated_tokens"] == 2 + 30 + 300 + scheduler.stats()["guessed_tokens"]


@pytest.mark.parametrize("prompts, urgent, tokens", [(1, 0, 16), (2, 0, 32), (7, 0, 112), (7, 1, 16)])
def test_the_more_wait_for_a_first_token_the_more_of_their_prompts_comes_at_once(by_hand, prompts, urgent, tokens):
    scheduler = by_hand(length=2048, sequences=8)
    scheduler.submit([1, 5], sampler(), max_tokens=20, priority=urgent)
    scheduler.step()
    for i in range(prompts):
        scheduler.submit(ids(i, 130), sampler(), max_tokens=20)
    before = scheduler.stats()["evaluated_tokens"]
    scheduler.step()
    assert scheduler.stats()["evaluated_tokens"] == before + 1 + tokens
    scheduler.run()


def test_alone_a_prompt_takes_whole_batches(by_hand):
    scheduler = by_hand(length=1024, batch_size=100, prompt_tokens_per_step=3)
    scheduler.submit(ids(1, 300), sampler(), max_tokens=1)
    assert [scheduler.step() for _ in range(3)] == [1, 1, 0]


def test_prompts_of_equals_share_a_step(by_hand):
    scheduler = by_hand(length=2048, batch_size=64)
    long, short = scheduler.submit(ids(1, 500), sampler(), max_tokens=1), scheduler.submit(ids(2, 30), sampler(), max_tokens=1)
    scheduler.step()
    assert short in scheduler.events and long not in scheduler.events  # it did not wait for the long one


def test_a_higher_priority_comes_first_and_takes_what_it_needs(by_hand):
    scheduler = by_hand(length=512, sequences=1)
    first = scheduler.submit(ids(1, 40), sampler(3), max_tokens=30)
    second = scheduler.submit(ids(2, 40), sampler(4), max_tokens=3)
    for _ in range(5):
        scheduler.step()
    urgent = scheduler.submit(ids(3, 40), sampler(5), max_tokens=4, priority=7)
    for _ in range(4):
        scheduler.step()
    assert scheduler.reason(urgent) == "length" and len(scheduler.tokens(first)) == 5 and second not in scheduler.events
    assert scheduler.stats()["preemptions"] == 1
    scheduler.run()
    assert len(scheduler.tokens(first)) == 30 and len(scheduler.tokens(second)) == 3


def test_equals_are_served_in_their_order(by_hand):
    scheduler, ended = by_hand(sequences=2), []
    scheduler.on_event = lambda e: (ended.append(e.request) if e.reason else None) or 0
    numbers = [scheduler.submit(ids(i, 20), sampler(), max_tokens=5) for i in range(9)]
    scheduler.run()
    assert ended == numbers


def test_a_full_cache_takes_from_the_least_important(by_hand, stories):
    scheduler = by_hand(length=128, sequences=4)
    numbers = [scheduler.submit(ids(i, 20), sampler(i), max_tokens=80, priority=i == 3) for i in range(4)]
    while not any(e[2] for events in scheduler.events.values() for e in events):
        scheduler.step()
    assert scheduler.reason(numbers[3]) == "length"  # the most important ended first
    stats = scheduler.stats()
    assert stats["preemptions"] > 0 and stats["positions"] <= 128
    scheduler.run()
    for i, number in enumerate(numbers):
        with stories.context(length=128) as context:
            assert scheduler.text(number).decode() == "".join(context.generate(ids(i, 20), sampler(i), max_tokens=80))


def test_a_beginning_that_several_share_is_computed_once(by_hand):
    scheduler, head = by_hand(length=4096, sequences=8, batch_size=64), ids(1, 500)
    numbers = [scheduler.submit([*head, 20 + i], sampler(), max_tokens=2) for i in range(8)]
    scheduler.run()
    stats = scheduler.stats()
    assert stats["evaluated_tokens"] < 501 + 8 * 60 and stats["adopted_tokens"] > 7 * 440
    assert [scheduler.counts[n][1] for n in numbers][0] == 0 and all(scheduler.counts[n][1] >= 448 for n in numbers[1:])
    late = scheduler.submit([*head, 3], sampler(), max_tokens=1)
    scheduler.run()
    assert scheduler.counts[late] == (501, 500, 1)


# Ends


def test_a_cancelled_request_gives_back_what_it_has_at_once(by_hand):
    scheduler = by_hand(sequences=2)
    a, b = scheduler.submit(ids(1, 100), sampler(), max_tokens=50), scheduler.submit(ids(2, 100), sampler(), max_tokens=5)
    scheduler.step()
    scheduler.step()
    scheduler.cancel(a)
    scheduler.step()
    assert scheduler.reason(a) == "cancelled" and scheduler.stats()["running"] == 1 and scheduler.stats()["positions"] < 128
    scheduler.cancel(a)  # has ended: no matter
    scheduler.run()
    assert scheduler.reason(b) == "length" and len([e for e in scheduler.events[a] if e[2]]) == 1
    for wrong in (0, b + 1, 2**64 - 1):
        with pytest.raises(KeyError, match="there was no request"):
            scheduler.cancel(wrong)


def test_a_deadline_ends_a_request_that_runs_or_waits(by_hand):
    scheduler = by_hand(sequences=1)
    runs = scheduler.submit([1, 5], sampler(), deadline_milliseconds=1)
    waits = scheduler.submit([1, 6], sampler(), deadline_milliseconds=1)
    endless = scheduler.submit([1, 7], sampler(), deadline_milliseconds=2**64 - 1, max_tokens=3)
    time.sleep(0.01)
    scheduler.run()
    assert [scheduler.reason(n) for n in (runs, waits, endless)] == ["deadline", "deadline", "length"]


def test_a_callback_ends_its_request_and_may_submit_and_cancel(by_hand):
    scheduler, more = by_hand(sequences=2), []

    def on_event(event):
        if event.request == first and event.token >= 0:
            more.append(scheduler.submit([1, 5], others[len(more)], max_tokens=1))
            scheduler.cancel(second)
            with pytest.raises(E.BusyError):
                scheduler.step()
            return len(more) == 3
        return 0

    others = [sampler() for _ in range(3)]
    first, second = scheduler.submit([1, 9], sampler(), max_tokens=50), scheduler.submit([1, 8], sampler(), max_tokens=50)
    scheduler.on_event = on_event
    scheduler.run()
    assert scheduler.events[first][-1][2] == 4 and len(scheduler.tokens(first)) == 3
    assert scheduler.reason(second) == "cancelled" and len(scheduler.tokens(second)) <= 1
    assert [scheduler.reason(n) for n in more] == ["length"] * 3


def test_who_cannot_be_sampled_ends_alone(stories_path, tmp_path):
    """A token whose embedding is infinite: its sequence becomes NaN."""
    raw = bytearray(Path(stories_path).read_bytes())
    struct.pack_into("<i", raw, 20, -512)  # the output matrix is another one, at the end
    raw += raw[28 : 28 + 4 * 64 * 512]
    struct.pack_into("<64f", raw, 28 + 4 * 64 * 300, *[math.inf] * 64)
    (tmp_path / "model.bin").write_bytes(raw)
    shutil.copy(Path(stories_path).parent / "tok512.bin", tmp_path)
    model = llama2swift.Model(tmp_path / "model.bin")
    with model.context(length=128, sequences=3) as context:
        scheduler = M.Scheduler(context)
        kept = [sampler() for _ in range(3)]
        good, bad, other = (scheduler.submit(p, s, max_tokens=4) for p, s in zip(([3, 4], [3, 300, 5], [8]), kept, strict=True))
        scheduler.run()
        assert scheduler.events[bad][-1][2:] == (8, -2) and [scheduler.reason(n) for n in (good, other)] == ["length"] * 2
        kept[1].reset()  # is free again
        scheduler.close()


def test_a_cancelled_step_loses_nothing(stories, mixes):
    plan = M.Plan(random.Random(3), 300, mixes.stems, [])
    with stories.context(length=300, sequences=2) as context:
        steps = failed = 0
        context.set_cancel(lambda: steps % 3 == 0)
        scheduler, kept = M.Scheduler(context), plan.sampler()
        number, remaining = scheduler.submit(plan.prompt, kept, plan.stops, **plan.fields), 1
        while remaining:
            steps += 1
            try:
                remaining = scheduler.step()
            except E.CancelledError:
                failed += 1
        scheduler.close()
    text, reason, tokens, reports = mixes.alone(plan, 300)
    assert failed and (scheduler.text(number), scheduler.reason(number), scheduler.counts[number][2]) == (text, reason, tokens)
    assert scheduler.reports[number] == reports


# What is the scheduler's


def test_the_context_is_the_schedulers_until_it_goes(stories):
    with stories.context(length=256, sequences=2) as context:
        context.eval(ids(1, 100))
        scheduler, kept = M.Scheduler(context), sampler()
        for call in (lambda: context.eval([1]), lambda: context.reset(), lambda: context.info, lambda: M.Scheduler(context)):
            with pytest.raises(E.BusyError):
                call()
        number = scheduler.submit(ids(1, 100), kept, max_tokens=2)
        with pytest.raises(E.BusyError):
            kept.reset()
        with pytest.raises(E.BusyError):
            scheduler.submit([1], kept)
        scheduler.step()
        assert scheduler.counts[number][1] == 99  # what the context had is adopted
        scheduler.close()
        kept.reset()
        assert context.sequence_length(0) == context.sequence_length(1) == 0
        with pytest.raises(E.BadHandleError):
            scheduler.step()


def test_there_are_no_more_than_max_requests(by_hand):
    scheduler = by_hand(max_requests=2)
    kept = [sampler() for _ in range(3)]
    for i in range(2):
        scheduler.submit([1, 5], kept[i], max_tokens=1)
    with pytest.raises(E.BusyError, match="2 requests"):
        scheduler.submit([1, 5], kept[2], max_tokens=1)
    kept[2].reset()  # was not taken
    scheduler.run()
    scheduler.submit([1, 5], kept[2], max_tokens=1)


def test_a_scheduler_that_is_freed_tells_nothing_more(by_hand):
    scheduler, kept = by_hand(), [sampler(), sampler()]
    number = scheduler.submit([1, 5], kept[0])
    scheduler.step()
    scheduler.submit([1, 5], kept[1])  # still in the inbox
    told = len(scheduler.events[number])
    scheduler.close()
    assert len(scheduler.events[number]) == told and len(scheduler.events) == 1
    for s in kept:
        s.reset()
