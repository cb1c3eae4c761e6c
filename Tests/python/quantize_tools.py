"""What test_tools.py and test_scores.py have in common."""

import pytest
from tiny_gguf import random_model

import llama2swift

SHAPE = dict(vocabulary=96, dim=256, layers=8, heads=8, heads_kv=2, hidden=512)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("tools") / "source.gguf"
    random_model(path, **SHAPE)
    return path


# The importance matrix


@pytest.fixture(scope="module")
def matrix(source, tmp_path_factory):
    path = tmp_path_factory.mktemp("importance") / "imatrix.gguf"
    with llama2swift.Model(source).context(length=64, batch_size=16) as context:
        context.importance([i % 96 for i in range(200)], path)
    return path
