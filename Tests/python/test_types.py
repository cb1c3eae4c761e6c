"""Every block type in one file: the same bits on every kernel, and the answer of its dequantized weights."""

import numpy as np
import pytest
from block_types import TYPES, typed_model
from tiny_gguf import shape_metadata, tensor_shapes

import llama2swift

SHAPE = dict(vocabulary=64, dim=256, layers=3, heads=4, heads_kv=2, hidden=512)
KINDS = [kind for kind in TYPES if kind != "F32"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """23 matrices, 23 types."""
    assert len(KINDS) == sum(len(s) == 2 for s in tensor_shapes(shape_metadata(**SHAPE), SHAPE["vocabulary"]).values())
    return typed_model(tmp_path_factory.mktemp("types") / "all.gguf", KINDS, **SHAPE)


def logits(path, tokens, **options):
    with llama2swift.Model(path).context(kv="f32", **options) as context:
        context.eval(tokens, all_logits=True)
        return np.array(context.logits())


@pytest.mark.parametrize("count", [1, 3, 8, 21])
def test_every_type_in_one_file_is_the_same_on_every_kernel(path, count):
    tokens = [(7 * i) % 64 for i in range(count)]
    expected = logits(path, tokens, kernels="reference")
    assert np.isfinite(expected).all() and np.abs(expected).max() > 0.01
    for kernels in llama2swift.kernels_available():
        assert np.array_equal(logits(path, tokens, kernels=kernels, threads=2), expected)


def test_every_type_is_its_dequantized_weights(path, tmp_path):
    assert {t.type for t in llama2swift.Model(path).tensors} == set(TYPES)
    llama2swift.convert(path, tmp_path / "f32.gguf", "F32")
    ours, exact = (logits(p, range(40)) for p in (path, tmp_path / "f32.gguf"))
    # activations of eight bits, through three layers
    assert np.abs(ours - exact).mean() < 0.05 * np.abs(exact).mean()
