"""What the tests of adapters share: models, adapters of them, and the rows of logits."""

import adapters as L
import formats as F
import numpy as np
import pytest

import llama2swift

TOKENS = L.TOKENS


def rows(model, adapters=(), pieces=None, sequence=0, **options) -> np.ndarray:
    with model.context(length=192, sequences=sequence + 1, **dict(kv="f32") | options) as context:
        context.set_adapters(sequence, adapters)
        found = []
        for piece in pieces or [TOKENS]:
            context.eval_batch([(t, sequence, True) for t in piece])
            found.append(np.atleast_2d(context.logits()).copy())
        return np.concatenate(found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The model in two orders of rows, and its adapters as PEFT's folders and as GGUF files."""
    folder = tmp_path_factory.mktemp("adapters")
    F.write_hugging_face(folder / "hf", L.base())
    F.write_gguf_model(folder / "model.gguf", L.base())
    for name, weights, settings in L.GOLDEN:
        L.write_peft(folder / name, weights, **settings)
    L.write_adapter(folder / "all.gguf", L.GOLDEN[0][1], 6)
    return folder


@pytest.fixture(scope="module")
def models(folder):
    return [llama2swift.Model(folder / "model.gguf"), llama2swift.Model(folder / "hf")]


@pytest.fixture(scope="module")
def model(models):
    return models[0]


@pytest.fixture(scope="module")
def loaded(model, folder):
    return {name: model.adapter(folder / name) for name, *_ in L.GOLDEN}
