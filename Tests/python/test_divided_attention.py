"""One token over many positions: attention that is divided by pages and lanes among the threads gives the bits of one thread."""

import llama2swift
import numpy as np
import pytest

LENGTH = 1100


@pytest.fixture(scope="module")
def tokens(smollm2):
    random = np.random.default_rng(5)
    return random.integers(3, smollm2.hyperparameters.vocabulary_size, LENGTH + 5).tolist()


def rows(context, tokens):
    """The logits of each of the last tokens, evaluated one by one."""
    out = []
    for token in tokens[LENGTH:]:
        context.eval([token])
        out.append(np.array(context.logits(), copy=True))
    return out


# three heads of the cache: two, four, five, eight and sixteen threads do not divide them evenly (with two CPUs, the last three run as two)
@pytest.mark.parametrize("kinds", [("f16", "f16"), ("f32", "f32"), ("q8_0", "q8_0"), ("q4_0", "q4_0"), ("f16", "q8_0")])
def test_every_number_of_threads_gives_the_bits_of_one(smollm2, tokens, kinds, tmp_path):
    keys, values = kinds
    options = {"length": LENGTH + 64, "kv": keys, "kv_values": values}
    with smollm2.context(threads=1, **options) as context:
        context.eval(tokens[:LENGTH])
        context.save_state(tmp_path / "state", 0)
        expected = rows(context, tokens)
    for threads in (2, 3, 4, 5, 8, 16):
        for kernels in ("best", "avx2") if "avx2" in llama2swift.kernels_available() and threads < 5 else ("best",):
            with smollm2.context(threads=threads, kernels=kernels, **options) as context:
                context.load_state(tmp_path / "state", 0)
                for row, right in zip(rows(context, tokens), expected, strict=True):
                    assert row.tobytes() == right.tobytes(), (threads, kernels, kinds)
