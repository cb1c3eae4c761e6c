"""Whatever way a call fails, the context and the sampler are as before it: compared byte by byte, and with twins that saw no failure."""

import ctypes as C
import math
import subprocess
import sys
import threading

import pytest
from block_types import typed_model
from failures_tools import LAYERS, MORE, Twins, cancel_at, state, twins  # noqa: F401 (fixtures)

import llama2swift
from llama2swift import _library as lib
from llama2swift import _structs as S
from llama2swift import errors as E

# eval


@pytest.mark.parametrize("kv", ["f16", "f32"])
def test_a_cancel_at_each_layer_of_each_pass_changes_nothing(stories, kv):
    twins = Twins(stories, threads=2, kv=kv)
    for number in range(1, 3 * LAYERS + 1):
        twins.context.set_cancel(cancel_at(number))
        twins.fails(E.CancelledError, lambda: twins.context.eval_batch(MORE))
        if number <= LAYERS:
            twins.context.set_cancel(cancel_at(number))
            twins.fails(E.CancelledError, lambda: twins.context.eval([1, 2, 3]))
    twins.context.set_cancel(None)
    twins.check()
    # a larger eval in between: the memory for the logits grows behind the back of the old ones
    everything = [(t, s, True) for t, s, _ in MORE]
    twins.before = state(twins.context)
    twins.context.set_cancel(cancel_at(2 * LAYERS))
    twins.fails(E.CancelledError, lambda: twins.context.eval_batch(everything))
    twins.context.set_cancel(None)
    twins.check()


def raw_batch(context, entries, at=None, flags=1):
    array = (S.BatchEntry * len(entries))(*(S.BatchEntry(t, s, w) for t, s, w in entries))
    if at is not None:
        array[at].flags = flags
    lib.call("eval_batch", context._handle, array, len(entries))


@pytest.mark.parametrize("at", [0, 20, len(MORE) - 1])
def test_an_entry_that_is_wrong_changes_nothing(twins, at):
    def replaced(token=7, sequence=0):
        return [*MORE[:at], (token, sequence, True), *MORE[at + 1 :]]

    for token in (-1, 512, 2**31 - 1, -(2**31)):
        twins.fails(E.InvalidTokenError, lambda: twins.context.eval_batch(replaced(token)), match=f"index {at} ")
        tokens = [t for t, _, _ in replaced(token)]
        twins.fails(E.InvalidTokenError, lambda: twins.context.eval(tokens), match=f"index {at} ")
    for sequence in (-1, 3, 2**31 - 1, -(2**31)):
        twins.fails(E.OutOfRangeError, lambda: twins.context.eval_batch(replaced(sequence=sequence)), match=f"index {at};")
    for flags in (2, 3, 2**31, 2**32 - 1):
        twins.fails(E.InvalidArgumentError, lambda: raw_batch(twins.context, MORE, at, flags), match="flags")


def test_a_count_that_is_wrong_changes_nothing(twins):
    context, tokens = twins.context, (C.c_int32 * 4)(1, 2, 3, 4)
    free = 256 - sum(twins.before[0])
    twins.fails(E.InvalidArgumentError, lambda: context.eval([]))
    twins.fails(E.ContextFullError, lambda: context.eval([1] * (free + 1)), match=f"{free + 1} more")
    twins.fails(E.ContextFullError, lambda: context.eval_batch([(1, 2, True)] * (free + 1)))
    for count in (2**30, 2**61 - 1, 2**62, 2**63, 2**64 - 1):  # the memory behind `tokens` is not read
        twins.fails((E.ContextFullError, E.InvalidArgumentError), lambda: lib.call("eval", context._handle, tokens, count))
    twins.fails(E.Llama2Error, lambda: lib.call("eval", context._handle, None, 3), match="NULL")
    for length in (twins.before[0][1] + 1, 2**62, -1):
        twins.fails(E.OutOfRangeError, lambda: context.truncate(length, 1))
    twins.fails(E.OutOfRangeError, lambda: context.truncate(0, 3))


def test_a_call_while_another_works_changes_nothing(twins):
    """From the callback of an eval that is then cancelled, and from another thread."""
    context, found, inside, go_on = twins.context, [], threading.Event(), threading.Event()

    def intrude():
        for call in (
            lambda: context.eval([1]), lambda: context.eval_batch(MORE), context.reset, lambda: context.truncate(0), lambda: context.set_cancel(None),
            lambda: context.sample(twins.sampler), lambda: context.score([1], [2]), lambda: context.perplexity([1] * 64, window=8),
            lambda: list(context.generate([1], twins.sampler)),
        ):  # fmt: skip
            try:
                call()
            except E.BusyError:
                found.append(1)

    def cancel():
        intrude()
        inside.set()
        go_on.wait(10)
        return 1

    context.set_cancel(cancel)
    result = []

    def work():
        try:
            context.eval_batch(MORE)
        except E.CancelledError:
            result.append("cancelled")

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(10)
    intrude()
    go_on.set()
    thread.join()
    assert (result, len(found)) == (["cancelled"], 18)
    assert state(context) == twins.before
    context.set_cancel(None)


def test_no_memory_for_the_logits_changes_nothing(tmp_path):
    """8000 rows of 40,000 logits do not fit the address space that is left; afterwards the context works on."""
    path = typed_model(tmp_path / "wide.gguf", ["Q4_0"], vocabulary=40_000, dim=32, layers=2, heads=2, heads_kv=1, hidden=64, length=8192)
    code = """
import resource, sys
sys.path.insert(0, sys.argv[2])
import llama2swift, failures_tools as T
model = llama2swift.Model(sys.argv[1])
pair = [model.context(length=8192, sequences=3, threads=1) for _ in range(2)]
for context in pair:
    context.eval_batch(T.FIRST)
before = T.state(pair[0])
used = 4096 * int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (used + (600 << 20),) * 2)
for _ in range(3):
    try:
        pair[0].eval_batch([(5, 1, True)] * 8000)
    except llama2swift.errors.OutOfMemoryError as problem:
        assert "logits of 8000 tokens" in str(problem), problem
        assert T.state(pair[0]) == before
        print("refused")
for context in pair:
    context.eval_batch(T.MORE)
assert T.state(pair[0])[:3] == T.state(pair[1])[:3]
"""
    done = subprocess.run([sys.executable, "-c", code, str(path), str(__file__.rpartition("/")[0])], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "refused\n" * 3), done.stderr


# sample


def test_a_sample_that_fails_leaves_the_sampler(stories, tmp_path):
    poisoned = llama2swift.Model(typed_model(tmp_path / "p.gguf", ["Q4_0"], poison=70, vocabulary=71, dim=32, layers=1, heads=2, heads_kv=1, hidden=64))
    twins = Twins(stories)
    with poisoned.context(threads=1) as nan, stories.context(threads=1) as empty:
        nan.eval([70])
        before = state(nan, 1)
        for _ in range(3):
            with pytest.raises(E.InvalidArgumentError, match="nan"):
                nan.sample(twins.sampler)
            with pytest.raises(E.NoLogitsError):
                empty.sample(twins.sampler)
            with pytest.raises(E.Llama2Error, match="NULL"):
                lib.call("sample", twins.context._handle, twins.sampler._handle, None)
            with pytest.raises(E.InvalidTokenError):
                twins.sampler.accept(-1)
        assert state(nan, 1) == before
    for bias, error in (({512: 1.0}, E.OutOfRangeError), ({t: -math.inf for t in range(512)}, E.InvalidArgumentError)):
        with llama2swift.Sampler(logit_bias=bias) as sampler:
            for _ in range(2):
                twins.fails(error, lambda: twins.context.sample(sampler))
            twins.fails(error, lambda: list(twins.context.generate((), sampler)))
    twins.check()
    twins.close()
