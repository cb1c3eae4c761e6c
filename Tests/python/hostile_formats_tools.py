"""The good files that the files of other formats are spoiled from, and how a spoiled one is refused."""

import time

import formats as F
import pytest

import llama2swift
from llama2swift.errors import CorruptFileError, FormatError, Llama2Error, UnsupportedError

CORRUPT, FORMAT, UNSUPPORTED = CorruptFileError, FormatError, UnsupportedError
SHAPE = dict(vocabulary=64, dim=32, layers=1, heads=4, heads_kv=2, hidden=32, base=10000.0)
W = F.weights(SHAPE)


def refused(path, kind, words):
    start = time.monotonic()
    with pytest.raises(Llama2Error) as problem:
        llama2swift.Model(path)
    assert time.monotonic() - start < 2
    assert isinstance(problem.value, kind), repr(problem.value)
    assert words in str(problem.value), str(problem.value)
