"""Perplexity, score and generate where they could go wrong: short contexts, arrays that change, NaN, stop strings at the end."""

import ctypes as C
import math
import struct

import numpy as np
import pytest
from tiny_gguf import random_model, write_gguf

import llama2swift
from llama2swift import _library as lib
from llama2swift import _structs as S
from llama2swift.errors import InvalidArgumentError, OutOfRangeError

pytestmark = pytest.mark.alone

SHAPE = dict(vocabulary=64, dim=32, layers=1, heads=4, heads_kv=2, hidden=48)
TOKENS = [1, 5, 9, 13, 2, 7, 11, 4] * 4


@pytest.mark.parametrize("length", range(1, 9))
def test_short_contexts_are_refused_by_name_or_work(stories, length):
    """A range from four to three ended the process."""
    with stories.context(length=length) as context:
        for window in range(0, 12):
            used = window or length
            if 4 <= used <= length:
                assert context.perplexity(TOKENS, window=window).windows == len(TOKENS) // used
            else:
                with pytest.raises(OutOfRangeError, match=f"window of {used} tokens.*{length}"):
                    context.perplexity(TOKENS, window=window)
        for window in range(1, 12):
            if window > length:
                with pytest.raises(OutOfRangeError, match=str(length)):
                    context.importance(TOKENS, "/nowhere/x", window=window)
        if length >= 2:
            assert len(context.score(TOKENS[:1], TOKENS[1:length]).log_probabilities) == length - 1
        with pytest.raises(InvalidArgumentError):
            context.score([], TOKENS[:1])
        assert len(list(context.generate([1], max_tokens=1))) <= 1


def test_a_context_length_of_two_that_a_file_states(tmp_path):
    metadata, weights = random_model(tmp_path / "m.gguf", **SHAPE)
    write_gguf(tmp_path / "m.gguf", metadata | {"llama.context_length": 2}, {n + ".weight": (0, w.shape[::-1], w.tobytes()) for n, w in weights.items()})
    with llama2swift.Model(tmp_path / "m.gguf").context() as context, pytest.raises(OutOfRangeError, match="at least 4"):
        context.perplexity(TOKENS)


@pytest.mark.parametrize("value", [2**31 - 1, -1, 64, -(2**31)])
def test_a_host_that_changes_its_tokens_meanwhile_changes_nothing(tmp_path, value):
    random_model(tmp_path / "m.gguf", **SHAPE)
    with llama2swift.Model(tmp_path / "m.gguf").context(length=16) as context:
        right = context.perplexity(TOKENS, window=8)
        tokens, result = (C.c_int32 * len(TOKENS))(*TOKENS), S.sized(S.PerplexityResult)

        def change(*_):
            for i in range(len(tokens)):
                tokens[i] = value
            return 0

        lib.call("perplexity", context._handle, tokens, len(tokens), 8, lib.PerplexityCallback(change), None, C.byref(result))
        assert result.perplexity == right.value
        tokens[:] = TOKENS
        context.importance(TOKENS, tmp_path / "right", window=8)
        lib.call("importance", context._handle, tokens, len(tokens), 8, str(tmp_path / "changed").encode(), lib.ProgressCallback(change), None)
        assert (tmp_path / "right").read_bytes() == (tmp_path / "changed").read_bytes()


def log_probability(logits, token):
    """As torch.log_softmax has it, in double."""
    x = logits.astype(np.float64)
    if np.isnan(x).any() or x.max() == math.inf or x.max() == -math.inf:
        return math.nan
    with np.errstate(under="ignore"):
        return x[token] - x.max() - math.log(np.exp(x - x.max()).sum())


@pytest.mark.parametrize("row", [0, 5, 63])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 3e38, -3e38])
def test_what_is_no_number_stays_none(tmp_path, row, value):
    """A NaN among the logits was left out of their sum, as if the token were impossible."""
    metadata, weights = random_model(tmp_path / "m.gguf", **SHAPE)
    weights["output"][row] = value
    write_gguf(tmp_path / "m.gguf", metadata, {n + ".weight": (0, w.shape[::-1], w.tobytes()) for n, w in weights.items()})
    with llama2swift.Model(tmp_path / "m.gguf").context(length=32) as context:
        prompt, continuation = [1, 2], [5, 0, 63, 9, 5]
        context.eval(prompt + continuation, all_logits=True)
        rows = context.logits()[1:-1].copy()
        expected = np.array([log_probability(x, t) for x, t in zip(rows, continuation)], np.float32)
        score = context.score(prompt, continuation)
        np.testing.assert_allclose(score.log_probabilities, expected, rtol=1e-5, equal_nan=True)
        assert (score.log_probabilities.view(np.uint32)[np.isnan(expected)] == 0x7FC00000).all()
        with np.errstate(invalid="ignore"):
            best = [not math.isnan(e) and int(x.argmax()) == t for e, x, t in zip(expected, rows, continuation)]
        assert score.is_best.tolist() == best
        values = []
        for start in range(0, 32, 8):
            context.reset()
            context.eval(TOKENS[start : start + 8], all_logits=True)
            rows = context.logits().copy()
            values += [-log_probability(rows[i], TOKENS[start + i + 1]) for i in range(4, 7)]
        result = context.perplexity(TOKENS, window=8)
        assert result.tokens == 12
        if np.isnan(values).any():
            assert all(struct.pack("<d", x) == struct.pack("<Q", 0x7FF8 << 48) for x in (result.value, result.mean, result.standard_error))
        elif np.isinf(values).any():
            assert result.value == result.mean == math.inf
        else:
            assert result.mean == pytest.approx(np.mean(values), rel=1e-5)


def test_a_stop_string_that_the_end_decides_is_the_reason(stories):
    """It had cut the text, and max_tokens was named."""
    with stories.context(length=300) as context:

        def generate(count, stop, **options):
            context.reset()
            pieces = context.generate("Once upon a time", llama2swift.Sampler(temperature=0, **options), max_tokens=count, stop=stop)
            return "".join(pieces), pieces.reason, pieces.tokens

        tried = 0
        for count in range(5, 40):
            text, reason, _ = generate(count, ())
            last = text[-2:]
            if text.index(last) != len(text) - 2 or len(text) < 8:
                continue
            tried += 1
            # the longer one began before it, and might still have come
            assert generate(count, [last, text[-6:] + "never"]) == (text[:-2], "stop", count)
            assert generate(count, [text[-6:] + "never"]) == (text, "max_tokens", count)
        assert tried > 5
        # the first byte of a character, of which no other comes
        assert generate(1, ["\ufffd"], logit_bias={3 + 0xF0: 1e4}) == ("", "stop", 1)
        assert generate(1, [], logit_bias={3 + 0xF0: 1e4}) == ("\ufffd", "max_tokens", 1)
        # the end of the model's text
        assert generate(5, ["\ufffd"], logit_bias={2: 1e4}) == ("", "end", 1)


@pytest.mark.parametrize("length", [20, 21, 22, 23])
def test_the_end_of_the_context_likewise(stories, length):
    with stories.context(length=length) as context:
        text = "".join(context.generate("Once upon a time", llama2swift.Sampler(temperature=0)))
        context.reset()
        last = text[-2:]
        pieces = context.generate("Once upon a time", llama2swift.Sampler(temperature=0), stop=[last, text[-6:] + "never"])
        assert "".join(pieces) == text[: text.index(last)] and pieces.reason == "stop"


def test_a_cancel_flag_is_read_where_it_lies(stories):
    flag = C.c_int32(0)
    assert lib._cdll.llama2_cancel_flag(C.byref(flag)) == 0 and lib._cdll.llama2_cancel_flag(None) == 0
    for value in (1, -1, 2**31 - 1):
        flag.value = value
        assert lib._cdll.llama2_cancel_flag(C.byref(flag)) == 1


def test_a_context_is_asked_between_layers_and_within_them(smollm2):
    """With a batch of 2048 tokens a layer takes longer than a host wants to wait."""
    with smollm2.context(length=2048, batch_size=2048, threads=2) as context:
        asked = 0

        def ask():
            nonlocal asked
            asked += 1

        context.set_cancel(ask)
        context.eval([1] * 2048)
        assert asked > 2 * smollm2.hyperparameters.block_count
