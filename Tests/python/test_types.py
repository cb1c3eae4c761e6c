"""Every block type in one file: the same bits on every kernel, and the answer of its dequantized weights."""

import numpy as np
import pytest
from tiny_gguf import shape_metadata, tensor_shapes, write_gguf

import llama2swift

# number, weights and bytes of a block, where its half scales lie, and a scale that gives weights of about 0.1
TYPES = {
    "Q4_0": (2, 32, 18, (0,), 0.02), "Q4_1": (3, 32, 20, (0, 2), 0.01), "Q5_0": (6, 32, 22, (0,), 0.01), "Q5_1": (7, 32, 24, (0, 2), 0.005),
    "Q8_0": (8, 32, 34, (0,), 0.001), "Q2_K": (10, 256, 84, (80, 82), 0.01), "Q3_K": (11, 256, 110, (108,), 0.002), "Q4_K": (12, 256, 144, (0, 2), 0.0005),
    "Q5_K": (13, 256, 176, (0, 2), 0.0003), "Q6_K": (14, 256, 210, (208,), 0.0001), "IQ2_XXS": (16, 256, 66, (0,), 0.002), "IQ2_XS": (17, 256, 74, (0,), 0.002),
    "IQ3_XXS": (18, 256, 98, (0,), 0.001), "IQ1_S": (19, 256, 50, (0,), 0.02), "IQ4_NL": (20, 32, 18, (0,), 0.002), "IQ3_S": (21, 256, 110, (0,), 0.001),
    "IQ2_S": (22, 256, 82, (0,), 0.002), "IQ4_XS": (23, 256, 136, (0,), 0.0001), "IQ1_M": (29, 256, 56, None, 0.02), "TQ1_0": (34, 256, 54, (52,), 0.1),
    "TQ2_0": (35, 256, 66, (64,), 0.1), "F16": (1, 1, 2, (0,), None), "BF16": (30, 1, 2, (), None),
}  # fmt: skip
SHAPE = dict(vocabulary=64, dim=256, layers=3, heads=4, heads_kv=2, hidden=512)


def blocks(kind, count, random):
    number, elements, size, scales, scale = TYPES[kind]
    if elements == 1:
        values = (random.standard_normal(count) * 0.1).astype("<f4")
        return number, (values.astype("<f2") if kind == "F16" else (values.view("<u4") >> 16).astype("<u2")).tobytes()
    raw = random.integers(0, 256, (count // elements, size), dtype=np.uint8)
    half = np.array([scale], "<f2").view(np.uint8)
    if scales is None:  # IQ1_M: a nibble of the half at the top of each of the last four words
        for i, nibble in enumerate((half[0] & 15, half[0] >> 4, half[1] & 15, half[1] >> 4)):
            raw[:, 49 + 2 * i] = raw[:, 49 + 2 * i] & 15 | nibble << 4
    for at in scales or ():
        raw[:, at : at + 2] = half
    return number, raw.tobytes()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """23 matrices, 23 types."""
    path = tmp_path_factory.mktemp("types") / "all.gguf"
    random, kinds, tensors = np.random.default_rng(3), iter(TYPES), {}
    metadata = shape_metadata(**SHAPE)
    for name, shape in tensor_shapes(metadata, SHAPE["vocabulary"]).items():
        if len(shape) == 1:
            tensors[name + ".weight"] = (0, shape, np.ones(shape, "<f4").tobytes())
        else:
            number, data = blocks(next(kinds), shape[0] * shape[1], random)
            tensors[name + ".weight"] = (number, shape[::-1], data)
    assert next(kinds, None) is None
    write_gguf(path, metadata, tensors)
    return path


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
    assert {t.type for t in llama2swift.Model(path).tensors} == {*TYPES, "F32"}
    llama2swift.convert(path, tmp_path / "f32.gguf", "F32")
    ours, exact = (logits(p, range(40)) for p in (path, tmp_path / "f32.gguf"))
    # activations of eight bits, through three layers
    assert np.abs(ours - exact).mean() < 0.05 * np.abs(exact).mean()
