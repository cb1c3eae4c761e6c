"""GGUF metadata: every key under `llama.` is read, known to change nothing, or refused by name; RoPE scaling as llama.cpp reads it."""

import importlib.util
import re

import formats as F
import numpy as np
import pytest
import reference as R
from conftest import ROOT
from tiny_gguf import shape_metadata, write_gguf

import llama2swift
from llama2swift.errors import CorruptFileError, Llama2Error, UnsupportedError

SHAPE = dict(F.SHAPE)
W = F.weights(SHAPE)
TOKENS = [1, 5, 9, 3, 7]

spec = importlib.util.spec_from_file_location("make_metadata_table", ROOT / "Tests" / "tools" / "make_metadata_table.py")
TABLE = importlib.util.module_from_spec(spec)
spec.loader.exec_module(TABLE)
ENTRIES = {key: (rule, argument) for key, rule, argument, _ in TABLE.entries()}


@pytest.fixture
def model(tmp_path):
    def load(**more):
        keys = {"llama." + k.replace("__", "."): v for k, v in more.items()}
        return llama2swift.Model(F.write_gguf_model(tmp_path / "m.gguf", W, SHAPE, keys))

    return load


def with_key(tmp_path, key, value):
    return llama2swift.Model(F.write_gguf_model(tmp_path / "m.gguf", W, SHAPE, {key: value}))


def logits(model):
    with model.context(length=16, kv="f32") as context:
        context.eval(TOKENS)
        return context.logits().copy()


def test_the_table_is_that_of_the_code():
    assert TABLE.TABLE.read_text() == TABLE.table()
    assert len(ENTRIES) == len(re.findall(r"\bEntry\(\s*(?:named: |\.)", TABLE.SOURCE.read_text())) > 60


def test_every_key_of_a_plain_file_is_in_the_list():
    assert all(k.removeprefix("llama.") in ENTRIES for k in shape_metadata(**SHAPE) if k.startswith("llama."))


@pytest.mark.parametrize("key", [k for k, (rule, _) in ENTRIES.items() if rule == "numbers"])
def test_a_key_that_would_change_the_arithmetic(tmp_path, key):
    neutral = [float(x) for x in ENTRIES[key][1].strip("[]").split(", ")]
    for value in neutral:
        with_key(tmp_path, "llama." + key, value)
        with_key(tmp_path, "llama." + key, [value, value])
        if value == int(value):
            with_key(tmp_path, "llama." + key, int(value))
    for value in (0.5, 2.0, 7, [neutral[0], 3.0], float("nan"), True, "text"):
        with pytest.raises(Llama2Error, match="llama." + key.replace(".", r"\.")):
            with_key(tmp_path, "llama." + key, value)


@pytest.mark.parametrize("key", [k for k, (rule, _) in ENTRIES.items() if rule == "flag"])
def test_a_flag_that_would_change_the_arithmetic(tmp_path, key):
    value = ENTRIES[key][1] == "true"
    with_key(tmp_path, "llama." + key, value)
    with pytest.raises(UnsupportedError, match="llama." + key):
        with_key(tmp_path, "llama." + key, not value)


@pytest.mark.parametrize("key", [k for k, (rule, _) in ENTRIES.items() if rule == "harmless"])
def test_a_harmless_key_changes_no_bit(tmp_path, key, model):
    before = logits(model())
    for value in (3.5, 7, True, "text"):
        assert logits(with_key(tmp_path, "llama." + key, value)).tobytes() == before.tobytes()


@pytest.mark.parametrize("key", ["llama.foo", "llama.", "llama.attention.scal", "llama.Attention.causal", "llama.rope", "llama.logit_scale.x", "llama.attention.head_count_KV"])
@pytest.mark.parametrize("value", [0, 1.0, "x", [1, 2]])
def test_a_key_that_nobody_knows_is_refused(tmp_path, key, value):
    with pytest.raises(UnsupportedError, match=key.replace(".", r"\.") + " is .*does not know"):
        with_key(tmp_path, key, value)


@pytest.mark.parametrize("key", ["general.name", "general.sampling.temp", "mistral.attention.sliding_window", "llamas.x", "quantize.imatrix.file"])
def test_a_key_of_something_else_changes_nothing(tmp_path, key, model):
    assert logits(with_key(tmp_path, key, 3)).tobytes() == logits(model()).tobytes()


@pytest.mark.parametrize("kind", ["adapter", "imatrix", "mmproj", ""])
def test_a_file_that_is_no_model(tmp_path, kind):
    with_key(tmp_path, "general.type", "model")
    with pytest.raises(UnsupportedError, match="general.type"):
        with_key(tmp_path, "general.type", kind)


def test_special_rules(model):
    d = SHAPE["dim"] // SHAPE["heads"]
    for good in (0.0, d**-0.5):
        model(attention__scale=good)
    model(attention__sliding_window=0)
    model(attention__sliding_window=256)
    model(rope__freq_base_swa=SHAPE["base"])
    model(attention__key_length_swa=d)
    model(hidden_activation="silu")
    model(tensor_data_layout="Meta AI original pth")
    for bad in (
        dict(attention__scale=0.25), dict(attention__sliding_window=255), dict(rope__freq_base_swa=1e4), dict(attention__key_length_swa=d + 1),
        dict(hidden_activation="gelu"), dict(tensor_data_layout="something"), dict(embedding_length_out=32), dict(rope__dimension_count_swa=d // 2),
    ):  # fmt: skip
        with pytest.raises(UnsupportedError, match="llama." + next(iter(bad)).replace("__", ".")):
            model(**bad)


# RoPE: (keys, the factor that positions are divided by), as llama.cpp's llama_model_base::load_hparams and llama_context read them.
SCALINGS = [
    ({}, 1), ({"factor": 4.0}, 4), ({"type": "linear", "factor": 4.0}, 4), ({"type": "linear"}, 1), ({"type": "none", "factor": 4.0}, 1),
    ({"type": "none"}, 1), ({"linear": 2.0}, 2), ({"type": "linear", "linear": 2.0}, 2), ({"type": "none", "linear": 2.0}, 1),
    ({"factor": 4.0, "linear": 2.0}, 4), ({"factor": 0.0, "linear": 2.0}, 1), ({"factor": 0.0}, 1), ({"factor": 8}, 8), ({"factor": 0.5}, 0.5),
]  # fmt: skip


@pytest.mark.parametrize("keys, factor", SCALINGS, ids=str)
def test_linear_scaling_in_every_spelling(tmp_path, keys, factor, monkeypatch):
    names = {"type": "llama.rope.scaling.type", "factor": "llama.rope.scaling.factor", "linear": "llama.rope.scale_linear"}
    path = F.write_gguf_model(tmp_path / "m.gguf", W, SHAPE, {names[k]: v for k, v in keys.items()})
    plain = R.rotate
    monkeypatch.setattr(R, "rotate", lambda x, base, positions: plain(x, base, positions / factor))
    right = R.logits(shape_metadata(**SHAPE), W, TOKENS)[-1]
    loaded = llama2swift.Model(path)
    assert loaded.hyperparameters.rope_scale == factor
    assert np.abs(logits(loaded) - right).max() < 1e-5 * np.abs(right).max()


@pytest.mark.parametrize("kind", ["su", "ntk", "Linear", "linear ", "", "n\u006fne\u0301"])
def test_other_scalings_are_refused(tmp_path, kind):
    with pytest.raises(UnsupportedError, match="rope.scaling.type"):
        with_key(tmp_path, "llama.rope.scaling.type", kind)


@pytest.mark.parametrize("value", [-1.0, 1e-9, 1e9, float("inf"), float("nan"), "2", True])
def test_factors_that_are_none(tmp_path, value):
    with pytest.raises(CorruptFileError, match="scaling"):
        with_key(tmp_path, "llama.rope.scaling.factor", value)


@pytest.mark.parametrize("key", ["attention.head_count", "attention.head_count_kv", "feed_forward_length"])
def test_a_number_for_each_layer(tmp_path, key, model):
    plain = {"attention.head_count": SHAPE["heads"], "attention.head_count_kv": SHAPE["heads_kv"], "feed_forward_length": SHAPE["hidden"]}[key]
    assert logits(with_key(tmp_path, "llama." + key, [plain] * SHAPE["layers"])).tobytes() == logits(model()).tobytes()
    with pytest.raises(UnsupportedError, match=f"{key} differs from layer to layer"):
        with_key(tmp_path, "llama." + key, [plain, plain + 1])
    for count in (1, 3):
        with pytest.raises(CorruptFileError, match=f"{key} has {count} values, expected one for each of 2"):
            with_key(tmp_path, "llama." + key, [plain] * count)


def test_what_is_needed_is_needed(tmp_path):
    keys = shape_metadata(**SHAPE)
    tensors = {n + ".weight": (0, x.shape[::-1], x.tobytes()) for n, x in W.items()}
    optional = {"llama.attention.head_count_kv", "llama.rope.freq_base"}
    for key in keys.keys() - optional:
        write_gguf(tmp_path / "m.gguf", {k: v for k, v in keys.items() if k != key}, tensors)
        with pytest.raises(CorruptFileError, match=key + " is missing"):
            llama2swift.Model(tmp_path / "m.gguf")


def test_keys_that_look_alike_are_two_keys(tmp_path, model):
    """é as one character and as two; U+212A, the Kelvin sign, is no K."""
    keys = {"a.\u00e9": 1, "a.e\u0301": 2}
    loaded = llama2swift.Model(F.write_gguf_model(tmp_path / "m.gguf", W, SHAPE, keys))
    assert [loaded.metadata[k] for k in keys] == ["1", "2"]
    with pytest.raises(UnsupportedError, match="context_length"):
        with_key(tmp_path, "llama.context_length\u0301", 5)
    for call, name in ((llama2swift.quantize, "Q4_\u212a_M"), (llama2swift.convert, "F16\u0301")):
        with pytest.raises((Llama2Error, ValueError)):
            call(tmp_path / "m.gguf", tmp_path / "o.gguf", name)
