"""Values that the package takes or refuses beside the table of test_python_arguments."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import llama2swift


def test_numbers_of_numpy_are_numbers(stories):
    context = stories.context(np.int64(32), threads=np.uint8(1))
    assert context.info.context_length == 32
    sampler = llama2swift.Sampler(temperature=np.float32(0), top_k=np.int16(5), seed=np.uint64(2**64 - 1), top_p=Fraction(1, 2), min_p=Decimal("0.1"))
    assert sampler.seed == 2**64 - 1
    assert len(list(context.generate(np.array(stories.tokenize_prompt("Once")), sampler, max_tokens=np.int32(4)))) == 4
    assert stories.is_end(np.int32(2)) and not stories.is_end(np.int64(5))
    assert len(stories.tokenize("x", bos=np.bool_(True))) == len(stories.tokenize("x")) + 1 == len(stories.tokenize("x", 1))


def test_what_is_too_small_for_a_float_is_not_the_default(stories):
    """1e-50 becomes the zero that stands for the default 0.8 in C."""
    with stories.context(length=64) as context:
        greedy = "".join(context.generate("Once upon", llama2swift.Sampler(temperature=0), max_tokens=20))
        for options in (dict(temperature=1e-50), dict(temperature=1, top_p=1e-50), dict(temperature=-0.0)):
            context.reset()
            assert "".join(context.generate("Once upon", llama2swift.Sampler(**options), max_tokens=20)) == greedy


def test_none_is_no_limit(stories):
    with stories.context(length=40) as context:
        pieces = context.generate("Once", llama2swift.Sampler(temperature=0), max_tokens=None)
        text = "".join(pieces)
        assert pieces.reason == "context_full" and pieces.text == text and context.sequence_length() == 40


def test_what_the_iterator_of_a_caller_raises_is_raised(stories):
    def tokens():
        yield 1
        raise ZeroDivisionError("mine")

    with stories.context(length=8) as context, pytest.raises(ZeroDivisionError, match="mine"):
        context.eval(tokens())


def test_a_wrong_value_is_shown_in_a_line(stories):
    with pytest.raises(TypeError) as raised:
        stories.tokenize({"x" * 1000: "\n"})
    assert len(str(raised.value)) < 120

    class Broken:
        def __repr__(self):
            raise RuntimeError

    with pytest.raises(TypeError, match="a Broken"):
        stories.tokenize(Broken())


def test_names_of_metadata(stories):
    assert "general.architecture" in stories.metadata
    for wrong in (5, None, b"general.architecture", "\ud800", "general.architecture\0", ""):
        assert wrong not in stories.metadata
        with pytest.raises(KeyError):
            stories.metadata[wrong]
