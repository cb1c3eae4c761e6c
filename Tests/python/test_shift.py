"""Sequences that go on for ever: what a shift keeps is what a reference keeps, and the same bits whatever computes it."""

import numpy as np
import pytest
import reference as R
from tiny_gguf import random_model

import llama2swift
from llama2swift import errors as E

SHAPE = dict(vocabulary=96, dim=64, layers=2, heads=4, heads_kv=2, hidden=96, length=512)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("shift") / "model.gguf"
    metadata, weights = random_model(path, **SHAPE)
    return llama2swift.Model(path), metadata, {n: w.astype(np.float64) for n, w in weights.items()}


class Stream:
    """A forward pass in float64 that keeps keys before their rotation, a token at a time."""

    def __init__(self, metadata, weights):
        self.m, self.w, self.kept = metadata, weights, [[] for _ in range(SHAPE["layers"])]

    def shift(self, keep: int, drop: int) -> None:
        for layer in self.kept:
            del layer[keep : keep + drop]

    def eval(self, token: int) -> np.ndarray:
        w, kv, heads, epsilon, base = self.w, SHAPE["heads_kv"], SHAPE["heads"], 1e-5, 10000.0
        x = w["token_embd"][token]
        for i, layer in enumerate(self.kept):
            p = f"blk.{i}."
            n = R.rms_norm(x, w[p + "attn_norm"], epsilon)
            layer.append(((w[p + "attn_k"] @ n).reshape(kv, -1), (w[p + "attn_v"] @ n).reshape(kv, -1)))
            at = np.arange(len(layer))
            q = R.rotate((w[p + "attn_q"] @ n).reshape(1, heads, -1), base, at[-1:])[0]
            k = np.repeat(R.rotate(np.array([k for k, _ in layer]), base, at), heads // kv, axis=1)
            v = np.repeat(np.array([v for _, v in layer]), heads // kv, axis=1)
            scores = np.einsum("hd,shd->hs", q, k) / np.sqrt(q.shape[-1])
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            x = x + w[p + "attn_output"] @ np.einsum("hs,shd->hd", scores / scores.sum(-1, keepdims=True), v).reshape(-1)
            n = R.rms_norm(x, w[p + "ffn_norm"], epsilon)
            gate = w[p + "ffn_gate"] @ n
            x = x + w[p + "ffn_down"] @ (gate / (1 + np.exp(-gate)) * (w[p + "ffn_up"] @ n))
        return w["output"] @ R.rms_norm(x, w["output_norm"], epsilon)


TOKENS = [(7 * i * i + 3 * i + 1) % 96 for i in range(400)]


@pytest.mark.parametrize("keep, drop", [(0, 1), (4, 60), (4, 70), (64, 64), (70, 3), (100, 90), (4, 190)])
def test_logits_after_a_shift_are_the_references(made, keep, drop):
    model, metadata, weights = made
    stream = Stream(metadata, weights)
    with model.context(length=512, kv="f32") as context:
        at = 0
        for turn in range(2):
            piece = TOKENS[at : at + 200 - turn * 10]
            at += len(piece)
            context.eval(piece)
            expected = [stream.eval(t) for t in piece][-1]
            assert np.abs(context.logits() - expected).max() < 1e-4 * np.abs(expected).max()
            context.shift(drop, keep=keep)
            stream.shift(keep, drop)
            with pytest.raises(E.NoLogitsError):
                context.logits()
            assert context.sequence_length() == len(stream.kept[0])
            for t in TOKENS[at : at + 3]:
                context.eval([t])
                expected = stream.eval(t)
                assert np.abs(context.logits() - expected).max() < 1e-4 * np.abs(expected).max()
            at += 3


def shifted(model, *, pieces=(200,), **options) -> bytes:
    """Two shifts between evals in `pieces`, beside a stranger."""
    with model.context(length=900, sequences=2, **options) as context:
        for turn in range(2):
            part = TOKENS[200 * turn :][:200]
            for start in range(0, 200, pieces[0]):
                ids = part[start : start + pieces[0]]
                context.eval_batch([(t, s, s == 0 and i == len(ids) - 1) for i, t in enumerate(ids) for s in ((0, 1) if turn else (0,))])
            context.shift(77, keep=4)
        context.eval([5, 6, 7], all_logits=True)
        return context.logits().tobytes()


@pytest.mark.parametrize("kv", ["f16", "f32"])
def test_the_same_bits_over_threads_splits_and_kernels(made, kv):
    expected = shifted(made[0], kv=kv)
    for options in [dict(threads=1), dict(threads=3, batch_size=7), dict(pieces=(40,)), *(dict(kernels=k) for k in llama2swift.kernels_available())]:
        assert shifted(made[0], kv=kv, **options) == expected, options


@pytest.mark.parametrize("keep, drop", [(4, 100), (100, 64), (64, 30), (0, 5)])
def test_a_shift_disturbs_nobody_that_shares(stories, keep, drop):
    ids = [3 + i % 400 for i in range(200)]
    with stories.context(length=1024, sequences=3) as context, stories.context(length=1024) as alone:
        context.eval(ids)
        context.copy_sequence(0, 1)
        context.copy_sequence(0, 2, 150)
        context.shift(drop, 1, keep=keep)
        alone.eval(ids)
        expected = {}
        with stories.context(length=512) as fresh:
            for length in (200, 150):
                fresh.reset()
                fresh.eval([*ids[:length], 9])
                expected[length] = fresh.logits().tobytes()
        alone.shift(drop, keep=keep)
        alone.eval([9])
        context.eval_batch([(9, 0, True), (9, 1, True), (9, 2, True)])
        rows = [row.tobytes() for row in context.logits()]
        assert rows == [expected[200], alone.logits().tobytes(), expected[150]]


@pytest.mark.parametrize("keep", [0, 4, 64, 70])
def test_what_was_shifted_is_not_taken_for_what_it_was(stories, keep):
    """Its pages must not be found again as if its tokens stood there from the beginning."""
    ids = [3 + 7 * i % 400 for i in range(300)]
    with stories.context(length=1024, sequences=3) as context, stories.context(length=1024) as fresh:
        context.eval(ids)
        context.shift(100, keep=keep)
        context.eval(ids[200:])
        left = ids[:keep] + ids[keep + 100 :] + ids[200:]
        assert context.adopt(left, 1) == context.adopt(ids, 2) == keep
        context.truncate(0, 1)
        context.truncate(0, 2)
        for length in (keep + 60, 200, 299):
            found = context.adopt(left[:length], 1)
            context.eval_batch([(t, 1, i == length - found - 1) for i, t in enumerate(left[found:length])])
            fresh.reset()
            fresh.eval(left[:length])
            assert context.logits().tobytes() == fresh.logits().tobytes(), (length, found)
            context.truncate(0, 1)


def test_a_copy_of_a_shifted_sequence_is_shifted_too(stories):
    ids = [3 + 7 * i % 400 for i in range(200)]
    with stories.context(length=1024, sequences=3) as context, stories.context(length=1024) as other:
        for c in (context, other):
            c.eval(ids)
            c.shift(50)
        context.copy_sequence(0, 1)
        context.truncate(0)
        context.eval_batch([(t, 1, i == 79) for i, t in enumerate(ids[:80])])
        other.eval(ids[:80])
        assert context.logits().tobytes() == other.logits().tobytes()
        left = ids[:4] + ids[54:] + ids[:80]
        assert context.adopt(left, 2) <= 4


def test_wrong_shifts_change_nothing(stories):
    with stories.context(length=512, sequences=2) as context:
        context.eval(range(3, 103))
        before = context.logits().tobytes()
        for keep, drop, sequence in [
            (4, 97, 0), (101, 0, 0), (0, 101, 0), (2**63, 2**63, 0), (2**64 - 1, 2, 0), (2**63 - 1, 2**63 - 1, 0), (0, 1, 1), (0, 0, 2), (0, 0, -1),
        ]:  # fmt: skip
            with pytest.raises(E.OutOfRangeError):
                context.shift(drop, sequence, keep=keep)
        context.shift(0)
        assert context.logits().tobytes() == before and context.sequence_length() == 100
        context.shift(96)  # meets the end: nothing moves
        assert context.sequence_length() == 4


def test_a_shift_without_room_for_its_own_pages_changes_nothing(stories):
    with stories.context(length=256, sequences=2) as context:
        context.eval(range(3, 203))
        context.copy_sequence(0, 1)
        before = context.info
        with pytest.raises(E.ContextFullError, match="become its own"):
            context.shift(100)
        assert context.info == before
        context.shift(190)  # ten positions of its own
        assert context.sequence_length() == 10 and context.info.positions == 210


def test_generate_goes_on_beyond_the_context(stories, greedy):
    with stories.context(length=128) as context:
        text = context.generate("Once upon a time", greedy, max_tokens=500, shift=True)
        words = "".join(text)
        assert (text.reason, text.tokens) in {("max_tokens", 500), ("end", text.tokens)} and len(words) > 300
        if text.tokens > 128:
            assert text.dropped >= 62 and context.sequence_length() <= 128
        context.reset()
        plain = context.generate("Once upon a time", greedy, max_tokens=500)
        assert words.startswith("".join(plain)) and plain.dropped == 0


def test_a_conversation_of_ten_contexts(stories, greedy):
    """Prompts that would not fit make room, and the text stays text."""
    with stories.context(length=160) as context:
        total = 0
        for turn in range(30):
            text = context.generate([3 + (turn * 31 + i) % 300 for i in range(20)], greedy, max_tokens=40, shift=True, shift_keep=8)
            assert "".join(text) or text.reason == "end"
            total += text.prompt_tokens + text.tokens
            assert context.sequence_length() <= 160
        assert total > 1000


def test_a_prompt_longer_than_the_context_is_refused_all_the_same(stories, greedy):
    with stories.context(length=128) as context:
        context.eval(range(3, 53))
        with pytest.raises(E.ContextFullError):
            list(context.generate(range(3, 143), greedy, max_tokens=1, shift=True))
        assert context.sequence_length() == 50
