"""What test_failures.py and test_generate_failures.py have in common."""

import ctypes as C

import pytest

import llama2swift
from llama2swift import _library as lib

LAYERS, BATCH = 5, 16
FIRST = [(t, s, t % 4 == 0) for s in (0, 1, 2) for t in range(30 + s, 60 + 5 * s)]  # past two pages of the cache in all
MORE = [((7 * i) % 500, i // 3 % 3, i % 5 == 0) for i in range(40)]  # three passes
SAMPLING = dict(seed=3, temperature=1.5, top_k=0, top_p=1.0, min_p=0.0, repetition_penalty=1.1, penalty_last_n=8)


def state(context, sequences=3):
    """Everything that can be read of a context, the bytes and the place of its logits included."""
    rows, count, pointer = C.c_size_t(), C.c_size_t(), C.POINTER(C.c_float)()
    lib.call("logits_rows", context._handle, C.byref(rows))
    if rows.value:
        lib.call("logits", context._handle, 0, C.byref(pointer), C.byref(count))
    logits = C.string_at(pointer, 4 * rows.value * count.value) if rows.value else b""
    address = C.addressof(pointer.contents) if rows.value else 0
    return [context.sequence_length(s) for s in range(sequences)], rows.value, logits, address, context.timings


class Twins:
    """Two contexts and two samplers with one past, of which only the first of each sees failures."""

    def __init__(self, model, threads=1, **options):
        self.pair = [model.context(length=256, sequences=3, batch_size=BATCH, threads=threads, **options) for _ in range(2)]
        self.samplers = [llama2swift.Sampler(**SAMPLING) for _ in range(2)]
        for context, sampler in zip(self.pair, self.samplers):
            context.eval_batch(FIRST)
            for _ in range(5):
                context.sample(sampler)
        self.context, self.undisturbed = self.pair
        self.sampler = self.samplers[0]
        self.before = state(self.context)

    def fails(self, expected, call, match=None):
        with pytest.raises(expected, match=match):
            call()
        assert state(self.context) == self.before

    def check(self):
        """Both go on in the same way: 20 draws, then each sequence, then what the longest of them says."""
        draws = [[c.sample(s) for _ in range(20)] for c, s in zip(self.pair, self.samplers)]
        assert draws[0] == draws[1] and len(set(draws[0])) > 3
        for entries in ([(5, 0, True), (6, 1, True), (7, 2, True)], MORE):
            after = []
            for context in self.pair:
                context.eval_batch(entries)
                after.append(state(context)[:3])
            assert after[0] == after[1]

    def close(self):
        for one in (*self.pair, *self.samplers):
            one.close()


@pytest.fixture
def twins(stories):
    twins = Twins(stories)
    yield twins
    twins.check()
    twins.close()


def cancel_at(number):
    """A callback that cancels when it is asked for the `number`-th time."""
    asked = 0

    def cancel():
        nonlocal asked
        asked += 1
        return asked == number

    return cancel
