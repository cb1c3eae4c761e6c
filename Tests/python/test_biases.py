"""Biases of attention and feed-forward: added exactly, on every path, or refused."""

import biased
import numpy as np
import pytest
from conftest import FIXTURES

import llama2swift
from llama2swift.errors import CorruptFileError, UnsupportedError

TOKENS = biased.TOKENS


def logits(model, pieces=None, **options) -> np.ndarray:
    with model.context(length=128, **options) as context:
        rows = []
        for piece in pieces or [TOKENS]:
            context.eval(piece, all_logits=True)
            rows.append(np.atleast_2d(context.logits()).copy())
        return np.concatenate(rows)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return biased.write(tmp_path_factory.mktemp("biased") / "model.gguf")


@pytest.fixture(scope="module")
def expected(path):
    return logits(llama2swift.Model(path), kv="f32")


def test_logits_are_those_of_transformers(expected):
    golden = np.load(FIXTURES / "bias-logits.npz")["logits"]
    assert np.abs(expected - golden).max() <= 1e-5 * np.abs(golden).max()


@pytest.mark.parametrize("name", biased.LINEAR)
def test_every_bias_counts(tmp_path, name, expected):
    w = biased.weights()
    del w[f"blk.1.{name}.bias"]
    other = logits(llama2swift.Model(biased.write(tmp_path / "m.gguf", w)), kv="f32")
    assert np.abs(other - expected).max() > 1e-3


@pytest.mark.parametrize("kernels", llama2swift.kernels_available())
@pytest.mark.parametrize("threads", [1, 3])
def test_the_same_bits_over_kernels_threads_and_splits(path, expected, kernels, threads):
    model = llama2swift.Model(path)
    for pieces, batch in (([TOKENS], 256), ([TOKENS[:9], TOKENS[9:66], *([t] for t in TOKENS[66:])], 16), ([[t] for t in TOKENS], 1)):
        found = logits(model, pieces, kv="f32", kernels=kernels, threads=threads, batch_size=batch)
        assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("kind", ["F16", "BF16"])
def test_a_bias_of_another_float_type_is_widened(tmp_path, kind, expected):
    model = llama2swift.Model(biased.write(tmp_path / "m.gguf", bias_type=kind))
    assert logits(model, kv="f32").tobytes() == expected.tobytes()


def test_quantized_matrices_take_biases_too(tmp_path, path, expected):
    """Also split, on every kernel: the additions come after the products."""
    llama2swift.quantize(path, tmp_path / "q.gguf", type="Q8_0")
    model = llama2swift.Model(tmp_path / "q.gguf")
    whole = logits(model, kv="f32")
    assert 0 < np.abs(whole - expected).max() < 0.1 * np.abs(expected).max()
    for kernels in llama2swift.kernels_available():
        assert logits(model, [TOKENS[:3], TOKENS[3:]], kv="f32", kernels=kernels, threads=2).tobytes() == whole.tobytes()


def test_a_bias_that_does_not_fit_is_refused_by_name(tmp_path):
    w = biased.weights()
    w["blk.1.ffn_up.bias"] = w["blk.1.ffn_up.bias"][:-1]
    with pytest.raises(CorruptFileError, match=r"blk\.1\.ffn_up\.bias.*\[103\].*\[104\]"):
        llama2swift.Model(biased.write(tmp_path / "m.gguf", w))
    w["blk.1.ffn_up.bias"] = np.zeros((104, 1), np.float32)
    with pytest.raises(CorruptFileError, match=r"blk\.1\.ffn_up\.bias"):
        llama2swift.Model(biased.write(tmp_path / "m.gguf", w))


def test_a_quantized_bias_is_refused_by_name(tmp_path):
    from tiny_gguf import shape_metadata, write_gguf

    tensors = {name: (0, x.shape[::-1], x.tobytes()) for name, x in biased.weights().items()}
    tensors["blk.0.attn_q.bias"] = (8, (64,), bytes(68))
    write_gguf(tmp_path / "m.gguf", shape_metadata(**biased.SHAPE), tensors)
    with pytest.raises(UnsupportedError, match=r"blk\.0\.attn_q\.bias.*Q8_0"):
        llama2swift.Model(tmp_path / "m.gguf")
