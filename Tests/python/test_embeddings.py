"""Embeddings: transformers' last hidden state, pooled and normalised, the same bits however texts are evaluated beside each other."""

import biased
import numpy as np
import pytest
from conftest import FIXTURES

import llama2swift
from llama2swift.errors import CancelledError, ContextFullError, InvalidTokenError, UnsupportedError

TOKENS = biased.TOKENS
TEXTS = [TOKENS, TOKENS[:1], TOKENS[3:40], TOKENS[:20], TOKENS[60:]]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return llama2swift.Model(biased.write(tmp_path_factory.mktemp("embeddings") / "model.gguf"))


@pytest.fixture(scope="module")
def golden():
    return np.load(FIXTURES / "bias-hidden.npz")["hidden"]


def close(ours, theirs):
    return np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


def test_each_token_has_the_last_hidden_state_of_transformers(model, golden):
    found = model.context(length=128, kv="f32", embeddings=True).embed_tokens(TOKENS)
    assert found.shape == golden.shape and found.dtype == np.float32 and close(found, golden)


def test_pooling_and_length_are_what_they_say(model, golden):
    context = model.context(length=128, kv="f32")
    mean, last, first = (context.embed([TOKENS], pooling=p)[0] for p in ("mean", "last", "first"))
    assert close(mean, golden.mean(0, dtype=np.float64)) and close(last, golden[-1]) and close(first, golden[0])
    for p, raw in (("mean", mean), ("last", last), ("first", first)):
        unit = context.embed([TOKENS], pooling=p, normalize=True)[0]
        assert np.abs(unit - raw.astype(np.float64) / np.linalg.norm(raw.astype(np.float64))).max() < 1e-7
    rows = context.embed_tokens(TOKENS, normalize=True)
    assert np.abs(np.linalg.norm(rows.astype(np.float64), axis=1) - 1).max() < 1e-6
    assert (mean == (context.embed_tokens(TOKENS).astype(np.float64).sum(0) / len(TOKENS)).astype(np.float32)).all()
    assert context.sequence_length() == 0 and context.embed([]).shape == (0, 64)


@pytest.mark.parametrize("kernels", llama2swift.kernels_available())
@pytest.mark.parametrize("pooling", ["mean", "last", "first"])
def test_the_same_bits_over_threads_batches_neighbours_and_kernels(model, kernels, pooling):
    alone = b"".join(model.context(length=128).embed([text], pooling=pooling).tobytes() for text in TEXTS)
    for length, sequences, batch, threads in ((128, 1, 256, 1), (400, 8, 7, 2), (100, 3, 64, 3), (70, 2, 1, 1)):
        context = model.context(length=length, sequences=sequences, batch_size=batch, threads=threads, kernels=kernels)
        assert context.embed(TEXTS, pooling=pooling).tobytes() == alone


def test_a_context_for_embeddings_has_no_logits_and_says_so(model, stories, tmp_path):
    context, other = model.context(length=64, embeddings=True), model.context(length=64)
    assert context.info.memory_bytes < other.info.memory_bytes
    path = biased.write(tmp_path / "model.gguf")
    assert llama2swift.preflight(path, embeddings=True).logits_bytes == 0 < llama2swift.preflight(path).logits_bytes
    context.eval_batch([(1, 0, False), (2, 0, False)])  # keys and values are welcome
    assert context.sequence_length() == 2
    other.eval([1, 2])
    state, refusals = other.state(), 0
    for call in (
        lambda: context.eval([1]), lambda: context.eval_batch([(1, 0, True)]), context.logits, lambda: context.sample(llama2swift.Sampler()),
        lambda: list(stories.context(embeddings=True).generate([1], max_tokens=1)), lambda: context.perplexity([1] * 8, window=8), lambda: context.score([1], [2]),
        lambda: context.set_state(state),
    ):  # fmt: skip
        with pytest.raises(UnsupportedError, match="made for embeddings alone"):
            call()
        refusals += 1
    assert refusals == 8
    assert context.embed([[1, 2]]).tobytes() == other.embed([[1, 2]]).tobytes()


def test_what_does_not_fit_or_is_wrong_changes_nothing(model):
    context = model.context(length=64)
    context.eval([1, 2, 3])
    before = context.logits().copy()
    for wrong, problem in (([TOKENS[:65]], ContextFullError), ([[1], [1, 72]], InvalidTokenError), ([[1], []], ValueError)):
        with pytest.raises(problem):
            context.embed(wrong)
        assert context.sequence_length() == 3 and (context.logits() == before).all()
    context.set_cancel(lambda: True)
    with pytest.raises(CancelledError):
        context.embed([[1]])
    context.set_cancel(None)
    assert context.sequence_length() == 0 and context.embed([[1]]).shape == (1, 64)


def test_texts_of_a_model(stories):
    texts = ["Once upon a time", "there was", ""]
    found = stories.embed(texts, normalize=True)
    one = stories.context(length=64).embed([stories.tokenize_prompt(t) for t in texts], normalize=True)
    assert found.shape == (3, 64) and found.tobytes() == one.tobytes()
    assert stories.embed(texts, pooling="last", context=stories.context(length=64)).shape == (3, 64)
    with pytest.raises(TypeError):
        stories.embed("one text alone")
