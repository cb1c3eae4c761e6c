"""Whatever way generate and the tools fail, the context and the sampler are as before."""

import ctypes as C
import math

import numpy as np
import pytest
from failures_tools import BATCH, LAYERS, Twins, cancel_at, state, twins  # noqa: F401 (fixtures)

import llama2swift
from llama2swift import _library as lib
from llama2swift import _structs as S
from llama2swift import errors as E

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
