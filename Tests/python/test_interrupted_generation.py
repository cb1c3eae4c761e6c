"""A generation that ends before its end, in loops and in asyncio."""

import asyncio
import gc
import os
import time

import pytest
from interrupts_tools import context, control_c, interrupted, soon, tokens  # noqa: F401 (fixtures)

import llama2swift
from llama2swift.errors import InvalidTokenError

pytestmark = pytest.mark.alone

# ---- A generation that ends before its end


GREEDY = dict(temperature=0)


def test_break_keeps_the_text(context, smollm2):
    pieces = context.generate("Once upon a time", llama2swift.Sampler(**GREEDY), max_tokens=2000)
    read = []
    with pieces:
        for piece in pieces:
            read.append(piece)
            if len(read) == 5:
                break
    assert pieces.reason == "cancelled" and pieces.text.startswith("".join(read)) and list(pieces) == []
    # the text is what the context holds, so that a talk can go on
    held = context.sequence_length() - pieces.prompt_tokens
    assert 4 <= held <= pieces.tokens + 1 and pieces.tokens >= 4  # the evaluation of the fifth may have been cancelled
    with smollm2.context(length=512) as other:
        whole = "".join(other.generate("Once upon a time", llama2swift.Sampler(**GREEDY), max_tokens=200))
    assert whole.startswith(pieces.text)


def test_control_c_while_waiting_for_a_piece_keeps_the_text(context):
    pieces, read = context.generate("Once upon a time", llama2swift.Sampler(**GREEDY), max_tokens=4000), []

    def call():
        for piece in pieces:
            read.append(piece)

    soon_enough = interrupted(call, control_c, KeyboardInterrupt, after=1)
    assert soon_enough < 2
    if pieces.reason is None:  # it came between two pieces
        pieces.close()
    rest = list(pieces)
    assert pieces.reason == "cancelled" and read and pieces.text.startswith("".join(read + rest))
    context.reset()


def test_cancel_leaves_what_was_generated_to_be_read(context):
    pieces = context.generate("Once upon a time", llama2swift.Sampler(**GREEDY), max_tokens=4000)
    read = [next(pieces)]
    time.sleep(0.5)  # some more
    pieces.cancel()
    read += list(pieces)
    assert "".join(read) == pieces.text and len(read) > 1 and pieces.reason == "cancelled"
    context.cancel()  # nothing is under way: nothing happens
    context.eval([1])


def test_letting_go_in_a_circle_ends_it(context):
    pieces = context.generate("Once upon a time", max_tokens=4000)
    next(pieces)
    circle = [pieces]
    circle.append(circle)
    del pieces, circle
    gc.collect()
    context.reset()


def test_text_held_back_for_a_stop_string_is_in_the_text(context):
    sampler = llama2swift.Sampler(**GREEDY)
    whole = "".join(context.generate("Once upon a time", sampler, max_tokens=60))
    context.reset()
    stop = whole[20:50] + "never"  # begins, and does not come
    pieces = context.generate("Once upon a time", sampler, max_tokens=60, stop=stop)
    assert "".join(pieces) == whole == pieces.text and pieces.reason == "max_tokens"


def test_a_worker_never_dies_silently(stories, monkeypatch):
    from llama2swift import _stream

    class Broken(BaseException):
        pass

    def call(*_):
        raise Broken("of the binding's own")

    with stories.context(length=64) as context:
        monkeypatch.setattr(_stream.Stream, "put", call)
        pieces = context.generate("Once", max_tokens=5)
        with pytest.raises(Broken, match="own"):
            list(pieces)
        assert pieces.reason == "error"
        monkeypatch.undo()
        context.reset()
        sampler = llama2swift.Sampler(logit_bias={511: 1.0})
        sampler.close()
        with pytest.raises(llama2swift.errors.BadHandleError):
            list(context.generate("Once", sampler))
        with pytest.raises(InvalidTokenError):
            list(context.generate([5, 512]))
        context.eval([1])


# ---- asyncio


def test_async_for_gives_the_same_pieces(stories):
    async def read(context):
        return [piece async for piece in context.generate("Once upon a time", llama2swift.Sampler(**GREEDY), max_tokens=60)]

    async def both():
        with stories.context(length=128) as one, stories.context(length=128) as two:
            return await asyncio.gather(read(one), read(two))

    with stories.context(length=128) as context:
        right = list(context.generate("Once upon a time", llama2swift.Sampler(**GREEDY), max_tokens=60))
    assert asyncio.run(both()) == [right, right]


def test_wait_for_ends_it_and_keeps_the_text(context, tokens):
    async def use():
        read = []

        async def consume():
            async for piece in pieces:
                read.append(piece)

        pieces = context.generate("Once upon a time", llama2swift.Sampler(**GREEDY), max_tokens=4000)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(consume(), 1)
        assert pieces.reason == "cancelled" and read and pieces.text.startswith("".join(read))
        context.reset()
        # in the prefill
        pieces = context.generate(tokens[:7000])
        began = time.perf_counter()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(consume(), 0.3)
        seconds = (time.perf_counter() - began - 0.3) / max(1, os.getloadavg()[0] / os.cpu_count())
        assert pieces.reason == "cancelled" and pieces.text == ""
        context.reset()
        return seconds

    soon(lambda: asyncio.run(use()))


def test_the_loop_goes_on_while_the_engine_works(context):
    async def use():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        task = asyncio.ensure_future(tick())
        async with context.generate("Once upon a time", llama2swift.Sampler(**GREEDY), max_tokens=30) as pieces:
            text = "".join([piece async for piece in pieces])
        task.cancel()
        return ticks, text, pieces

    ticks, text, pieces = asyncio.run(use())
    assert ticks > 5 and text == pieces.text and pieces.reason == "max_tokens"


def test_async_with_and_break(context):
    async def use():
        async with context.generate("Once upon a time", llama2swift.Sampler(**GREEDY), max_tokens=4000) as pieces:
            async for piece in pieces:
                break
        return piece, pieces

    piece, pieces = asyncio.run(use())
    assert pieces.reason == "cancelled" and pieces.text.startswith(piece)
    context.reset()


def test_what_goes_wrong_reaches_an_async_reader(stories):
    async def use(context):
        with pytest.raises(InvalidTokenError):
            async for _ in context.generate([512]):
                pass

    with stories.context(length=64) as context:
        asyncio.run(use(context))
