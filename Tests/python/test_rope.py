"""RoPE scaling from a folder, a file and a context's options: transformers' logits, and what cannot be followed refused by name."""

import formats as F
import numpy as np
import pytest
import ropes
from conftest import FIXTURES
from tiny_gguf import shape_metadata, write_gguf

import llama2swift
from llama2swift import RoPE
from llama2swift.errors import CorruptFileError, InvalidArgumentError, UnsupportedError

TOKENS, SHAPE = ropes.TOKENS, ropes.SHAPE
GOLDEN = np.load(FIXTURES / "rope-logits.npz")


def logits(model, count=120, rows=None, length=None, **options):
    with model.context(length=length or max(count, 4), kv="f32", threads=1, **options) as context:
        context.eval(TOKENS[:count], all_logits=True)
        return context.logits()[rows or [r for r in ropes.ROWS if r < count]].copy()


def close(ours, theirs):
    return np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


def plain(path, layers=SHAPE["layers"], tensors=None, **keys):
    w = ropes.weights(layers)
    data = {n + ".weight": (0, x.shape[::-1], x.tobytes()) for n, x in w.items()}
    names = {"llama.rope." + k.replace("__", "."): v for k, v in keys.items()}
    metadata = shape_metadata(**SHAPE | {"layers": layers}, length=128) | names
    write_gguf(path, metadata, data | {n: (0, (len(x),), np.array(x, "<f4").tobytes()) for n, x in (tensors or {}).items()})
    return llama2swift.Model(path)


def test_the_goldens_tell_the_scalings_apart():
    assert set(GOLDEN) == set(ropes.CASES)
    seen = [GOLDEN[n] for n in GOLDEN if "short" not in n and n != "yarn mscale alone"]  # which is plain YaRN: both are needed
    for i, a in enumerate(seen):
        assert all(not close(a, b) for b in seen[:i])


@pytest.mark.parametrize("name", ropes.CASES)
def test_a_folder_has_the_logits_of_transformers_and_so_has_what_is_converted(tmp_path, name):
    count = ropes.CASES[name][1]
    folder = ropes.folder(tmp_path / "hf", name)
    found = logits(llama2swift.Model(folder), count)
    assert close(found, GOLDEN[name])
    llama2swift.convert(folder, tmp_path / "m.gguf", "F32")
    assert logits(llama2swift.Model(tmp_path / "m.gguf"), count).tobytes() == found.tobytes()


def test_what_convert_writes_is_what_llama_cpp_reads(tmp_path):
    """Its own keys where it follows them for a Llama; the frequencies themselves where it would pass something over."""
    for name, type_, extra in (
        ("yarn", "yarn", None), ("yarn attention_factor", "yarn", 1.375 / (0.1 * np.log(4) + 1)), ("yarn betas", None, 0.1 * np.log(4) + 1), ("yarn truncate", None, 0.1 * np.log(4) + 1),
        ("longrope", "longrope", np.sqrt(1 + np.log(4) / np.log(32))),
    ):  # fmt: skip
        model = llama2swift.Model(ropes.folder(tmp_path / name, name))
        said, tensors = model.metadata, {t.name for t in model.tensors if t.name.startswith("rope")}
        assert said.get("llama.rope.scaling.type") == type_
        assert (said.get("llama.rope.scaling.attn_factor") is None) == (extra is None)
        assert extra is None or abs(float(said["llama.rope.scaling.attn_factor"]) - extra) < 1e-6
        assert tensors == {None: {"rope_freqs.weight"}, "yarn": set(), "longrope": {"rope_factors_long.weight", "rope_factors_short.weight"}}[type_]
        assert type_ is None or said["llama.rope.scaling.original_context_length"] == "32"


def test_keys_of_a_file(tmp_path):
    yarn = dict(scaling__type="yarn", scaling__factor=4.0, scaling__original_context_length=32)
    for name, keys in (
        ("yarn", yarn), ("yarn", yarn | dict(scaling__yarn_ext_factor=1.0, scaling__yarn_attn_factor=1.0)), ("yarn", yarn | dict(scaling__yarn_ext_factor=-1.0)),
        ("yarn betas", yarn | dict(scaling__yarn_beta_fast=3.0, scaling__yarn_beta_slow=0.25)), ("ntk", dict(scaling__alpha=4.0)), ("ntk", dict(scaling__alpha=4.0, scaling__type="none")),
        ("yarn attention_factor", yarn | dict(scaling__attn_factor=1.375 / (0.1 * np.log(4) + 1))), ("none", dict(scaling__type="none", scaling__factor=4.0)),
    ):  # fmt: skip
        assert close(logits(plain(tmp_path / "m.gguf", **keys)), GOLDEN[name]), keys
    # as llama.cpp reads it for those that it reads it for: (0.1 ln 8 + 1) / (0.1 m ln 8 + 1)
    m, eight = 0.5, yarn | dict(scaling__factor=8.0)
    a = logits(plain(tmp_path / "m.gguf", **eight, scaling__yarn_log_multiplier=m))
    assert close(a, logits(plain(tmp_path / "m.gguf", **eight, scaling__attn_factor=1 / (0.1 * m * np.log(8) + 1))))
    factors = dict(tensors={"rope_factors_long.weight": ropes.LONG, "rope_factors_short.weight": ropes.SHORT})
    long = dict(scaling__type="longrope", scaling__original_context_length=32, scaling__attn_factor=1.25)
    assert close(logits(plain(tmp_path / "m.gguf", **factors, **long)), GOLDEN["longrope factors"])
    # what the frequencies are divided by counts beside YaRN
    halved = plain(tmp_path / "m.gguf", tensors={"rope_freqs.weight": [4.0] * ropes.PAIRS})
    assert close(logits(halved), GOLDEN["linear"])
    assert not close(logits(plain(tmp_path / "n.gguf", tensors={"rope_freqs.weight": [2.0] * ropes.PAIRS}, **yarn)), GOLDEN["yarn"])


def test_options_of_a_context(tmp_path):
    model = plain(tmp_path / "m.gguf")
    for name, rope in (
        ("none", None), ("none", RoPE("none")), ("linear", RoPE("linear", 4)), ("ntk", RoPE("ntk", 4)), ("ntk", RoPE(base=ropes.CASES["ntk"][0]["rope_theta"])),
        ("yarn", RoPE("yarn", 4, trained_length=32)), ("yarn betas", RoPE("yarn", 4, trained_length=32, beta_fast=3, beta_slow=0.25)),
        ("yarn attention_factor", RoPE("yarn", 4, trained_length=32, attention=1.375 / (0.1 * np.log(4) + 1))),
        ("llama3", RoPE("llama3", 4, trained_length=32)), ("llama3", RoPE("llama3", 4, trained_length=32, beta_fast=4, beta_slow=1)),
    ):  # fmt: skip
        assert close(logits(model, rope=rope), GOLDEN[name]), rope
    scaled = plain(tmp_path / "n.gguf", scaling__type="yarn", scaling__factor=40.0, scaling__original_context_length=32)
    assert close(logits(scaled, rope=RoPE("yarn", 4)), GOLDEN["yarn"])  # the file's trained length
    assert close(logits(scaled, rope=RoPE("none")), GOLDEN["none"]) and close(logits(scaled, rope=RoPE("linear", 4)), GOLDEN["linear"])
    for wrong in (RoPE("yarn"), RoPE("linear", 1e7), RoPE(factor=4), RoPE("none", 4), RoPE("linear", 4, beta_fast=3), RoPE(base=0.5), RoPE("ntk", 4, trained_length=32), RoPE("llama3"), RoPE("llama3", 4, beta_fast=1), RoPE("llama3", 4, beta_slow=4)):
        with pytest.raises(InvalidArgumentError, match="llama2_context_options.rope_"):
            model.context(rope=wrong)
        with pytest.raises(InvalidArgumentError, match="llama2_context_options.rope_"):
            llama2swift.preflight(tmp_path / "m.gguf", rope=wrong)


def test_llama3s_scaling_is_not_had_twice(tmp_path):
    model = llama2swift.Model(ropes.folder(tmp_path / "hf", "llama3"))
    with pytest.raises(UnsupportedError, match="rope_freqs divide its frequencies already"):
        model.context(rope=RoPE("llama3", 4))
    assert not close(logits(plain(tmp_path / "m.gguf"), rope=RoPE("llama3", 4, trained_length=32, beta_fast=2)), GOLDEN["llama3"])


def test_dynamic_scaling_ends_at_the_trained_length_unless_the_caller_takes_another(tmp_path):
    model = plain(tmp_path / "m.gguf", scaling__type="dynamic", scaling__factor=4.0)
    assert close(logits(model), GOLDEN["none"])  # as transformers within it
    for call in (lambda: model.context(length=129), lambda: llama2swift.preflight(tmp_path / "m.gguf", 129)):
        with pytest.raises(UnsupportedError, match="dynamic.*beyond the 128 positions.*change the keys of all before it"):
            call()
    assert close(logits(model, length=400, rope=RoPE("ntk", 4)), GOLDEN["ntk"])


def test_longrope_takes_the_factors_of_the_contexts_length_and_no_other_scaling(tmp_path):
    model = llama2swift.Model(ropes.folder(tmp_path / "hf", "longrope"))
    short, long = logits(model, 30, length=32), logits(model, 30, length=33)
    assert close(short, GOLDEN["longrope short"]) and not close(long, short)
    assert close(logits(model, 120, length=400), GOLDEN["longrope"])
    with pytest.raises(UnsupportedError, match="longrope"):
        model.context(rope=RoPE("none"))
    for tensors in ({}, {"rope_factors_long.weight": ropes.LONG}):
        with pytest.raises(CorruptFileError, match="rope_factors_.* is missing"):
            plain(tmp_path / "m.gguf", tensors=tensors, scaling__type="longrope")
    with pytest.raises(UnsupportedError, match="rope_factors_long.weight is not one of"):
        plain(tmp_path / "m.gguf", tensors={"rope_factors_long.weight": ropes.LONG})


def test_what_is_followed_in_one_way_alone(tmp_path):
    for keys, word in (
        (dict(scaling__yarn_ext_factor=1.0), "yarn_ext_factor"), (dict(scaling__type="yarn", scaling__yarn_ext_factor=0.0), "yarn_ext_factor"),
        (dict(scaling__type="yarn", scaling__yarn_attn_factor=1.5), "yarn_attn_factor"), (dict(scaling__type="yarn", freq_base=1.0), "base"),
    ):  # fmt: skip
        with pytest.raises(UnsupportedError, match=word):
            plain(tmp_path / "m.gguf", **keys).context()


@pytest.mark.parametrize("kernels", llama2swift.kernels_available())
def test_the_same_bits_over_splits_and_kernels(tmp_path, kernels):
    model = llama2swift.Model(ropes.folder(tmp_path / "hf", "yarn"))
    with model.context(length=128, kv="f32", kernels=kernels, threads=2) as context:
        context.eval(TOKENS[:70])
        for t in TOKENS[70:119]:
            context.eval([t])
        context.eval([TOKENS[119]])
        assert context.logits().tobytes() == logits(model)[-1].tobytes()


def test_a_shift_stretches_keys_no_second_time(tmp_path):
    """In one layer a key depends on its token alone: after a shift the logits are those of the rest, evaluated anew."""
    model = plain(tmp_path / "m.gguf", layers=1, scaling__type="yarn", scaling__factor=4.0, scaling__original_context_length=32, scaling__attn_factor=1.5)
    with model.context(length=64, kv="f32") as shifted, model.context(length=64, kv="f32") as fresh:
        shifted.eval(TOKENS[:20])
        shifted.shift(8, keep=0)
        shifted.eval(TOKENS[20:22])
        fresh.eval(TOKENS[8:22])
        assert close(shifted.logits(), fresh.logits())


def test_a_state_belongs_to_the_contexts_scaling(tmp_path):
    model = plain(tmp_path / "m.gguf")
    with model.context(length=64, rope=RoPE("yarn", 4)) as context:
        context.eval(TOKENS[:9])
        state = context.state()
    model.context(length=64, rope=RoPE("yarn", 4)).set_state(state)
    for rope in (None, RoPE("yarn", 5), RoPE("yarn", 4, attention=1.1)):
        with pytest.raises(InvalidArgumentError, match="RoPE"):
            model.context(length=64, rope=rope).set_state(state)
