"""Contexts as a host sees them: all or nothing, limits, cancel, threads, life."""

import gc
import threading

import pytest
from context_tools import TOKENS, context  # noqa: F401 (fixtures)

import llama2swift
from llama2swift.errors import (
    BadHandleError,
    BusyError,
    CancelledError,
    ContextFullError,
    InvalidArgumentError,
    InvalidTokenError,
    NoLogitsError,
    OutOfRangeError,
)


def state(context) -> tuple:
    """What must survive a failure: lengths and the bytes of the logits."""
    return context.sequence_length(), context.logits().tobytes()


def next_logits(context) -> bytes:
    context.eval([7])
    return context.logits().tobytes()


def test_context_full_says_the_numbers_and_changes_nothing(stories):
    with stories.context(length=64) as context, stories.context(length=64) as undisturbed:
        for c in (context, undisturbed):
            c.eval(TOKENS)
        before = state(context)
        with pytest.raises(ContextFullError, match="15 more tokens.*50 of 64"):
            context.eval(TOKENS[:15])
        assert state(context) == before
        assert next_logits(context) == next_logits(undisturbed)
        context.eval(TOKENS[:13])
        assert context.sequence_length() == 64
        with pytest.raises(ContextFullError):
            context.eval([1])


@pytest.mark.parametrize("layer", range(5))
@pytest.mark.parametrize("batch_size", [16, 256])
def test_cancel_at_any_layer_changes_nothing(stories, layer, batch_size):
    with stories.context(batch_size=batch_size, threads=2) as context, stories.context() as undisturbed:
        for c in (context, undisturbed):
            c.eval(TOKENS)
        before, asked = state(context), 0

        def cancel():
            nonlocal asked
            asked += 1
            return asked > layer + (5 if batch_size == 16 else 0)  # in the second pass of three, or in the only one

        context.set_cancel(cancel)
        with pytest.raises(CancelledError):
            context.eval(TOKENS)
        context.set_cancel(None)
        assert state(context) == before
        assert next_logits(context) == next_logits(undisturbed)


def test_wrong_tokens_and_sequences_change_nothing(context):
    context.eval(TOKENS)
    before = state(context)
    for wrong in ([-1], [1, 512], [2**31 - 1]):
        with pytest.raises(InvalidTokenError, match="vocabulary of 512"):
            context.eval(wrong)
    with pytest.raises(OverflowError, match=r"tokens\[2\] is 1099511627776"):
        context.eval([5, 6, 2**40])
    for sequence in (-1, 1, 2**31 - 1):
        with pytest.raises(OutOfRangeError, match="sequence"):
            context.eval_batch([(1, 0, True), (1, sequence, True)])
    with pytest.raises(InvalidArgumentError):
        context.eval([])
    for length in (-1, 51, 2**62):
        with pytest.raises(OutOfRangeError, match="50 positions"):
            context.truncate(length)
    assert state(context) == before


def test_removing_a_tail_goes_back_in_time(context):
    context.eval(TOKENS)
    expected = context.logits().tobytes()
    context.eval([1, 2, 3] * 10)
    context.truncate(30)
    with pytest.raises(NoLogitsError):
        context.logits()
    context.eval(TOKENS[30:])
    assert context.logits().tobytes() == expected
    context.reset()
    assert context.sequence_length() == 0
    context.eval(TOKENS)
    assert context.logits().tobytes() == expected


def test_rows_are_those_that_asked(stories):
    with stories.context(sequences=2) as context:
        context.eval(TOKENS, all_logits=True)
        every = context.logits().copy()
        context.reset()
        context.eval_batch([(t, 0, i % 7 == 3) for i, t in enumerate(TOKENS)])
        assert context.logits().tobytes() == every[3::7].tobytes()
        context.eval_batch([(1, 1, False)])
        with pytest.raises(NoLogitsError):
            context.logits()


def test_logits_stay_valid_or_refuse(context):
    context.eval(TOKENS)
    view = context.logits()[100:110]
    values = view.copy()
    for call in (lambda: context.eval([1]), context.reset, lambda: context.truncate(1), context.close):
        with pytest.raises(BufferError):
            call()
    assert not view.flags.writeable and (view == values).all()
    del view
    context.eval([1])


def test_logits_outlive_the_name_of_the_context(stories):
    context = stories.context()
    context.eval(TOKENS)
    view = context.logits()
    values = view.copy()
    del context
    gc.collect()
    other = stories.context()
    other.eval(TOKENS[::-1])
    assert (view == values).all()


def test_closed_objects_are_refused(stories_path):
    model = llama2swift.Model(stories_path)
    context, sampler = model.context(), llama2swift.Sampler()
    context.close()
    sampler.close()
    with pytest.raises(BadHandleError, match="freed"):
        context.eval([1])
    living = model.context()
    model.close()
    with pytest.raises(BadHandleError):
        model.tokenize("x")
    living.eval([1])  # a context keeps its model alive
    with pytest.raises(BadHandleError):
        living.sample(sampler)


def test_a_second_thread_is_refused(stories):
    with stories.context() as context:
        inside, go_on, problem = threading.Event(), threading.Event(), []

        def cancel():
            inside.set()
            go_on.wait(10)

        context.set_cancel(cancel)
        worker = threading.Thread(target=context.eval, args=(TOKENS,))
        worker.start()
        assert inside.wait(10)
        for call in (lambda: context.eval([1]), context.reset, lambda: context.sequence_length()):
            try:
                call()
            except BusyError as error:
                problem.append(error)
        go_on.set()
        worker.join()
        assert len(problem) == 3
        assert context.sequence_length() == len(TOKENS)
