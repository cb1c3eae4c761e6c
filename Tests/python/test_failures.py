"""Whatever way a call fails, the context and the sampler are as before it: compared byte by byte, and with twins that saw no failure."""

import ctypes as C
import math
import subprocess
import sys
import threading

import numpy as np
import pytest
from block_types import typed_model

import llama2swift
from llama2swift import _library as lib
from llama2swift import _structs as S
from llama2swift import errors as E

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
import llama2swift, test_failures as T
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


# generate


def generate(context, sampler, prompt=(), *, give=None, stops=(), **fields):
    """The text and the result, or the error and how far it came."""
    options, result, text = S.sized(S.GenerateOptions), S.sized(S.GenerateResult), []
    ids = (C.c_int32 * len(prompt))(*prompt)
    options.prompt, options.prompt_count, options.max_tokens = ids, len(ids), 12
    options.stops, options.stop_count = (S.Text * max(1, len(stops)))(*(S.Text(s, len(s)) for s in stops)), len(stops)
    options.result = C.pointer(result)
    for name, value in fields.items():
        setattr(options, name, value)

    def receive(piece, length, _):
        text.append(piece[:length])
        return give() or 0 if give else 0

    try:
        lib.call("generate", context._handle, sampler._handle, C.byref(options), lib.PieceCallback(receive), None)
        return b"".join(text), result, None
    except E.Llama2Error as problem:
        return b"".join(text), result, problem


def test_a_generate_that_is_refused_changes_nothing(twins):
    free = 256 - sum(twins.before[0])
    small = S.sized(S.GenerateResult)
    small.struct_size = 8
    for arguments, error in (
        (dict(prompt=[1, 512]), E.InvalidTokenError),
        (dict(prompt=[-1]), E.InvalidTokenError),
        (dict(prompt=[1] * (free + 1)), E.ContextFullError),
        (dict(prompt=[1], flags=1 << 31), E.InvalidArgumentError),
        (dict(prompt=[1], stops=[b"x" * 4097]), E.InvalidArgumentError),
        (dict(prompt=[1], stops=[b"\xff"]), E.InvalidArgumentError),
        (dict(prompt=[1], stop_count=65), E.InvalidArgumentError),
        (dict(prompt=[1], struct_size=4), E.Llama2Error),
        (dict(prompt=[1], result=C.pointer(small)), E.Llama2Error),
    ):
        text, _, problem = generate(twins.context, twins.sampler, **arguments)
        assert isinstance(problem, error) and text == b"" and state(twins.context) == twins.before
    biased = llama2swift.Sampler(logit_bias={512: 1.0})
    assert isinstance(generate(twins.context, biased, [1, 2, 3])[2], E.OutOfRangeError)
    assert state(twins.context) == twins.before
    for number in range(1, LAYERS + 1):  # in the prompt
        twins.context.set_cancel(cancel_at(number))
        assert isinstance(generate(twins.context, twins.sampler, [1, 2, 3])[2], E.CancelledError)
        assert state(twins.context) == twins.before
    twins.context.set_cancel(None)


def test_a_sampler_in_use_refuses_a_second_generate_before_anything_changes(stories, twins):
    problems = []

    def give():
        problems.append(generate(twins.context, twins.sampler, [1, 2, 3])[2])
        assert state(twins.context) == twins.before
        return 1

    with stories.context(threads=1) as other, stories.context(threads=1) as quiet:
        for context, sampler, callback in ((other, twins.sampler, give), (quiet, twins.samplers[1], lambda: 1)):
            generate(context, sampler, [1, 403], give=callback)
    assert problems and all(isinstance(p, E.BusyError) for p in problems)


@pytest.mark.parametrize("number", range(1, 4 * LAYERS + 1))
def test_a_generate_that_is_cancelled_goes_on_as_if_it_had_not_been(stories, number):
    """Cancelled at each layer of the prompt and of three tokens; then the rest, against a twin that was left alone."""
    prompt, most = stories.tokenize_prompt("Once upon a time"), 12
    twins = Twins(stories)
    whole, result, _ = generate(twins.undisturbed, twins.samplers[1], prompt)
    assert result.tokens == most
    twins.context.set_cancel(cancel_at(number))
    first, stopped, problem = generate(twins.context, twins.sampler, prompt)
    twins.context.set_cancel(None)
    assert isinstance(problem, E.CancelledError)
    done = stopped.tokens
    assert (stopped.reason, done, stopped.prompt_tokens) == (0, max(0, (number - 1) // LAYERS - 1), 0 if number <= LAYERS else len(prompt))
    assert twins.context.sequence_length() == twins.before[0][0] + (0 if number <= LAYERS else len(prompt) + done)
    if number <= LAYERS:
        assert state(twins.context) == twins.before and first == b""
    rest, result, problem = generate(twins.context, twins.sampler, prompt if number <= LAYERS else (), max_tokens=most - done)
    assert problem is None and result.tokens == most - done
    # given out were the tokens that stayed, and the one whose evaluation was cancelled, which came again
    overlap = len(first) + len(rest) - len(whole)
    assert overlap >= 0 and whole.startswith(first) and whole.endswith(rest)
    assert (overlap > 0) == (number > LAYERS)
    assert state(twins.context)[:3] == state(twins.undisturbed)[:3]
    twins.check()
    twins.close()


def test_text_held_back_for_a_stop_is_given_out_when_a_generate_is_cancelled(stories):
    with stories.context(threads=1) as context, llama2swift.Sampler(temperature=0) as greedy:
        prompt = stories.tokenize_prompt("Once upon a time")
        whole, _, _ = generate(context, greedy, prompt)
        context.reset()
        context.set_cancel(cancel_at(5 * LAYERS))  # in the fourth token
        text, result, problem = generate(context, greedy, prompt, stops=[whole + b" and no further"])
        assert isinstance(problem, E.CancelledError) and result.tokens == 3
        assert len(text) > 3 and whole.startswith(text)


def test_logits_that_nothing_can_be_sampled_from_end_a_generate_where_it_is(smollm2):
    """All tokens forbidden by bias: the prompt stays, as the header says, and the sampler has chosen nothing."""
    size = smollm2.hyperparameters.vocabulary_size
    with smollm2.context(length=64) as context, llama2swift.Sampler(logit_bias={t: -math.inf for t in range(size)}) as none:
        text, result, problem = generate(context, none, [1, 2, 3])
        assert isinstance(problem, E.InvalidArgumentError) and (text, result.tokens, result.prompt_tokens) == (b"", 0, 3)
        logits = context.logits().tobytes()
        with smollm2.context(length=64) as fresh:
            fresh.eval([1, 2, 3])
            assert context.sequence_length() == 3 and logits == fresh.logits().tobytes()


# perplexity, score, importance


def perplexity(context, tokens, window, result, callback=None):
    ids = (C.c_int32 * len(tokens))(*tokens)
    lib.call("perplexity", context._handle, ids, len(ids), window, lib.PerplexityCallback(callback or 0), None, C.byref(result))


@pytest.mark.parametrize("at", [0, 63, 127])
def test_tools_that_are_called_wrongly_change_nothing(twins, tmp_path, at):
    context, tokens = twins.context, [(3 * i) % 500 for i in range(128)]
    wrong, output = [*tokens[:at], 512, *tokens[at + 1 :]], tmp_path / "importance.gguf"
    output.write_bytes(b"before")
    result = S.PerplexityResult(struct_size=C.sizeof(S.PerplexityResult), windows=7, perplexity=1.5, mean=2.5, standard_error=3.5, tokens=9)
    kept = bytes(result)
    for ids, window, error in ((wrong, 32, E.InvalidTokenError), (tokens, 3, E.OutOfRangeError), (tokens, 257, E.OutOfRangeError), (tokens[:20], 32, E.InvalidArgumentError)):
        twins.fails(error, lambda: perplexity(context, ids, window, result))
        assert bytes(result) == kept
        window = 0x7FFFFFFFFFFFFFFF if window == 3 else window
        twins.fails(error, lambda: context.importance(ids, output, window=window))
        assert output.read_bytes() == b"before" and [*tmp_path.iterdir()] == [output]
    values = (C.c_float * 128)(*[4.0] * 128)
    for prompt, continuation, error in (
        (wrong[:64], tokens[64:], E.InvalidTokenError) if at < 64 else (tokens[:64], wrong[64:], E.InvalidTokenError),
        ([], tokens, E.InvalidArgumentError),
        (tokens, [1] * 129, E.ContextFullError),
    ):
        before, after = (C.c_int32 * len(prompt))(*prompt), (C.c_int32 * len(continuation))(*continuation)
        twins.fails(error, lambda: lib.call("score", context._handle, before, len(before), after, len(after), values, None))
        assert [*values] == [4.0] * 128


def test_tools_that_are_cancelled_or_cannot_write_leave_an_empty_context(stories, tmp_path):
    tokens = [(3 * i) % 500 for i in range(128)]
    result = S.PerplexityResult(struct_size=C.sizeof(S.PerplexityResult), windows=7, perplexity=1.5, mean=2.5, standard_error=3.5, tokens=9)
    output, kept = tmp_path / "importance.gguf", bytes(result)
    output.write_bytes(b"before")
    with stories.context(length=64, batch_size=BATCH, threads=1) as context:
        calls = [
            lambda: perplexity(context, tokens, 32, result), lambda: context.score(tokens[:20], tokens[20:50]),
            lambda: context.importance(tokens, output, window=32),
        ]  # fmt: skip
        callbacks = [
            (E.CancelledError, lambda: perplexity(context, tokens, 32, result, lambda *_: 1)),
            (E.CancelledError, lambda: context.importance(tokens, output, window=32, progress=lambda part: part > 0.5)),
            (E.InputOutputError, lambda: context.importance(tokens, tmp_path / "nowhere" / "x.gguf", window=32)),
        ]
        attempts = [(number, E.CancelledError, call) for call in calls for number in (1, LAYERS, LAYERS + 2, 2 * LAYERS + 1)]
        for number, error, call in attempts + [(0, e, call) for e, call in callbacks]:
            context.eval([9, 8, 7])
            context.set_cancel(cancel_at(number) if number else None)
            with pytest.raises(error):
                call()
            context.set_cancel(None)
            assert context.sequence_length() == 0 and context.timings.prefill_tokens == 0
            with pytest.raises(E.NoLogitsError):
                context.logits()
            assert bytes(result) == kept and output.read_bytes() == b"before" and [*tmp_path.iterdir()] == [output]
        with stories.context(length=64, threads=1) as fresh:  # and it works as a new one does
            for c in (context, fresh):
                c.eval(tokens[:50], all_logits=True)
            assert np.array_equal(context.logits(), fresh.logits())
