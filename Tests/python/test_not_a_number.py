"""NaN and infinity stay what they are, and what the cache's type cannot hold is an error: no finite answer stands for them."""

import numpy as np
import pytest
import reference
from tiny_gguf import random_model, write_gguf

import llama2swift
from llama2swift.errors import InvalidArgumentError, UnsupportedError

SHAPE = dict(vocabulary=40, dim=64, layers=2, heads=4, heads_kv=2, hidden=64)
TOKENS = [1, 7, 3, 39, 0, 21, 5]


def model_with(path, change):
    metadata, weights = random_model(path, **SHAPE)
    change(weights)
    write_gguf(path, metadata, {n + ".weight": (0, w.shape[::-1], w.tobytes()) for n, w in weights.items()})
    return llama2swift.Model(path), metadata, weights


def kernels(model):
    """Those of this machine."""
    for name in ("reference", "avx2", "avxvnni", "avx512", "avx512vbmi"):
        try:
            model.context(length=1, kernels=name).close()
            yield name
        except UnsupportedError:
            pass


def put(name, value, row=3, column=5):
    def change(weights):
        weights[name][row, column] = value

    return change


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("matrix", ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"])
def test_one_weight_that_is_not_finite_leaves_no_finite_logits_that_should_not_be(tmp_path, matrix, value):
    """Where the formula, computed in float64, has NaN, so have we; attention once made a uniform average of it."""
    model, metadata, weights = model_with(tmp_path / "m.gguf", put(f"blk.0.{matrix}", value))
    with np.errstate(all="ignore"):
        expected = reference.logits(metadata, weights, TOKENS)
    assert not np.isfinite(expected).all()
    for kv in ("f16", "f32"):
        for kernel in kernels(model):
            with model.context(length=16, threads=2, kv=kv, kernels=kernel) as context:
                context.eval(TOKENS, all_logits=True)
                got = context.logits().reshape(expected.shape)
                assert not (np.isfinite(got) & np.isnan(expected)).any(), (kv, kernel)
                with pytest.raises(InvalidArgumentError):
                    context.sample(llama2swift.Sampler(temperature=0))


def test_all_scores_of_minus_infinity_are_no_uniform_attention(tmp_path):
    def change(weights):
        weights["blk.1.attn_q"][:] = 0
        weights["blk.1.attn_q"][0, 0] = -np.inf  # every score of head 0 is infinite or NaN

    model, _, _ = model_with(tmp_path / "m.gguf", change)
    with model.context(length=16, kv="f32") as context:
        context.eval(TOKENS, all_logits=True)
        assert np.isnan(context.logits()).all()


@pytest.mark.parametrize("row", [0, 17])
def test_nan_has_one_pattern_whatever_computed_it(tmp_path, row):
    """0x7fc00000: over kernels, threads, splits and neighbours, as everything that is a number."""
    model, _, _ = model_with(tmp_path / "m.gguf", lambda w: (put("blk.0.ffn_up", np.nan, row)(w), put("output", np.nan, 2)(w)))
    tokens, seen = [(i * 7) % 40 for i in range(33)], set()
    for kernel in kernels(model):
        for threads in (1, 2, 3):
            for batch in (1, 7, 256):
                with model.context(length=64, threads=threads, batch_size=batch, kernels=kernel) as context:
                    context.eval(tokens, all_logits=True)
                    bits = context.logits().view(np.uint32)
                    seen.add(bits.tobytes())
                    assert set(bits[np.isnan(bits.view(np.float32))].tolist()) == {0x7FC00000}
    assert len(seen) == 1


@pytest.mark.parametrize("matrix", ["attn_k", "attn_v"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch", [1, 3, 256])
def test_what_f16_cannot_hold_is_an_error_of_that_eval_and_nothing_has_changed(tmp_path, matrix, threads, batch):
    """Token 39 alone has something in component 0, of which this key or value is a million times as much."""

    def change(weights):
        weights["token_embd"][:, 0] = 0
        weights["token_embd"][39, 0] = 3
        weights[f"blk.0.{matrix}"][1] = 0
        weights[f"blk.0.{matrix}"][1, 0] = 1e6

    model, metadata, weights = model_with(tmp_path / "m.gguf", change)
    tokens = [1, 7, 3, 39, 5]
    with model.context(length=32, threads=threads, batch_size=batch, kv="f16") as context, model.context(length=32, kv="f32") as wide:
        context.eval([1, 7, 3])
        before = context.logits().tobytes()
        for _ in range(2):
            with pytest.raises(UnsupportedError, match="layer 0 is larger than 65504.*KV_F32"):
                context.eval([3, 1, 39, 5])
            assert context.sequence_length() == 3 and context.logits().tobytes() == before
        context.eval([5])  # and the next one starts anew
        again = model.context(length=32, kv="f16")
        again.eval([1, 7, 3, 5])
        assert context.logits().tobytes() == again.logits().tobytes()
        wide.eval(tokens, all_logits=True)
        expected = reference.logits(metadata, weights, tokens)
        assert np.abs(wide.logits() - expected).max() < 1e-3 * np.abs(expected).max()


def test_a_generation_that_meets_it_keeps_what_it_had(tmp_path):
    def change(weights):
        weights["token_embd"][:, 0] = 0
        weights["token_embd"][39, 0] = 3
        weights["blk.0.attn_v"][1] = 0
        weights["blk.0.attn_v"][1, 0] = 1e6

    model, _, _ = model_with(tmp_path / "m.gguf", change)
    with model.context(length=32, kv="f16") as context:
        sampler = llama2swift.Sampler(temperature=0, logit_bias={39: 1e30})
        context.eval([1, 2])
        assert context.sample(sampler) == 39
        with pytest.raises(UnsupportedError):
            context.eval([39])
        assert context.sequence_length() == 2


def test_the_largest_number_of_f16_is_none_too_large(tmp_path):
    """65519 rounds to 65504, 65520 to infinity."""
    for value, good in ((65504.0, True), (65519.0, True), (65520.0, False), (-65519.0, True), (-65520.0, False)):

        def change(weights):
            weights["token_embd"][:] = 1
            weights["blk.0.attn_norm"][:] = np.sqrt(np.float32(1 + 1e-5))
            weights["blk.0.attn_v"][:] = 0
            weights["blk.0.attn_v"][:, 0] = value

        model, _, _ = model_with(tmp_path / "m.gguf", change)
        with model.context(length=8, kv="f16") as context:
            if good:
                context.eval([1, 2])
            else:
                with pytest.raises(UnsupportedError):
                    context.eval([1, 2])
