"""What test_huggingface_config.py and test_huggingface_tensors.py have in common."""

import json

import formats as F
import numpy as np
import pytest

import llama2swift

SHAPE = dict(F.SHAPE)
W = F.weights(SHAPE)
TOKENS = [1, 5, 9, 3, 7]


def logits(model, tokens=TOKENS, all_logits=False):
    model = model if isinstance(model, llama2swift.Model) else llama2swift.Model(model)
    with model.context(length=128, kv="f32") as context:
        context.eval(tokens, all_logits=all_logits)
        return np.array(context.logits())


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return logits(F.write_hugging_face(tmp_path_factory.mktemp("plain") / "hf", W, SHAPE))


@pytest.fixture
def folder(tmp_path):
    def write(w=W, without=(), **more):
        path = F.write_hugging_face(tmp_path / "hf", w, SHAPE)
        config = {k: v for k, v in (json.loads((path / "config.json").read_text()) | more).items() if k not in without}
        (path / "config.json").write_text(json.dumps(config))
        return path

    return write
