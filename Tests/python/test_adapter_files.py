"""Adapter files: settings of PEFT that are followed or refused by name, and files that lie."""

import json
import shutil

import adapters as L
import formats as F
import numpy as np
import pytest
from adapters_tools import TOKENS, folder, model, models, rows  # noqa: F401 (fixtures)

import llama2swift
from llama2swift import errors as E

# ---- Settings of PEFT's

WEIGHTS = L.adapter("w", lambda name: 2 if name.endswith("attn_q") else 0)


def peft(model, path, **more):
    shutil.rmtree(path, ignore_errors=True)
    return model.adapter(L.write_peft(path, more.pop("weights", WEIGHTS), **dict(r=2, lora_alpha=4, target_modules=["q_proj"]) | more))


@pytest.mark.parametrize(
    "more, factors",
    [
        (dict(), (2, 2)), (dict(use_rslora=True), (4 / 2**0.5,) * 2), (dict(lora_alpha=3), (1.5, 1.5)), (dict(lora_alpha=1.25), (0.625, 0.625)), (dict(lora_alpha=0), (0, 0)),
        (dict(alpha_pattern={"layers.0.self_attn.q_proj": 8}), (4, 2)), (dict(alpha_pattern={"q_proj": 8}), (4, 4)), (dict(alpha_pattern={"proj": 8}), (2, 2)),
        (dict(alpha_pattern={r"layers\.(1|2)\..*": 8, "q_proj": 6}), (3, 4)), (dict(alpha_pattern={"^model.layers.0.self_attn.q_proj": 8}), (4, 2)), (dict(alpha_pattern={"^layers.*": 8}), (2, 2)),
        (dict(alpha_pattern={r"layers\.[01]\.self_attn\.(?:k|q)_proj": 8}), (4, 4)), (dict(alpha_pattern={r"model\.layers\.\d+?\.\w+\.[^k]_proj$": 8}), (4, 4)),
        (dict(rank_pattern={"q_proj": 2}, r=16), (2, 2)), (dict(target_modules="all-linear"), (2, 2)), (dict(target_modules=r".*\.(q|v)_proj"), (2, 2)), (dict(target_modules=None), (2, 2)),
        (dict(layers_to_transform=[0, 1], layers_pattern="layers"), (2, 2)), (dict(layers_to_transform=[]), (2, 2)), (dict(layers_to_transform=[0, 1], layers_pattern=["h", "layers"]), (2, 2)),
        (dict(target_modules="All-Linear"), (2, 2)), (dict(exclude_modules="all-linear"), (2, 2)), (dict(layers_to_transform=[1], target_modules=["model.layers.0.self_attn.q_proj", "q_proj"]), (2, 2)), (dict(init_lora_weights="gaussian", eva_config=None, revision="main", auto_mapping=None, peft_version="0.18"), (2, 2)),
        (dict(exclude_modules=["lm_head"], layer_replication=None, alpha_pattern={}, use_dora=False, megatron_core="megatron.core"), (2, 2)),
    ],
)  # fmt: skip
def test_settings_are_followed(model, tmp_path, more, factors):
    adapter = peft(model, tmp_path / "a", **more)
    scaled = {n: (a, b * np.float32(f)) for (n, (a, b)), f in zip(WEIGHTS.items(), factors)}
    with model.context(length=8, kv="f32") as context:
        def last(chosen, scale):
            context.reset()
            context.set_adapters(0, [(chosen, scale)])
            context.eval(TOKENS[:6])
            return context.logits().copy()

        wanted = last(model.adapter(L.write_adapter(tmp_path / "a.gguf", scaled, None)), 1)
        assert np.abs(last(adapter, 1) - wanted).max() <= 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize(
    "more, match",
    [
        *((dict([pair]), f'"{pair[0]}" asks for') for pair in dict(
            bias="all", fan_in_fan_out=True, modules_to_save=["lm_head"], use_dora=True, trainable_token_indices=[1], lora_bias=True, layer_replication=[[0, 2]], megatron_config={"a": 1},
            alora_invocation_tokens=[5], use_qalora=True, target_parameters=["w"], use_bdlora={"nblocks": 2}, arrow_config={"top_k": 1}, kasa_config={"a": 1}, monteclora_config={"a": 1},
            velora_config={"a": 1}, corda_config={"a": 1}, lora_ga_config={"a": 1}, ensure_weight_tying=True).items()),
        (dict(use_magic=False), 'the key "use_magic" is none that this version knows'), (dict(peft_type="IA3"), '"peft_type" is "IA3"'), (dict(task_type="SEQ_CLS"), '"task_type"'),
        (dict(init_lora_weights="pissa_niter_4"), '"init_lora_weights" is "pissa_niter_4"'), (dict(layers_pattern="h"), '"layers_pattern"'), (dict(r=0), '"r" is "0"'), (dict(r=-1), '"r"'), (dict(r=2.5), '"r"'),
        (dict(r=None), '"r"'), (dict(lora_alpha="4"), "lora_alpha"), (dict(use_rslora="yes"), "use_rslora"), (dict(rank_pattern={"q_proj": 0}), "rank_pattern"), (dict(rank_pattern=[1]), "rank_pattern"),
        (dict(alpha_pattern={"q_proj": "8"}), "alpha_pattern"), (dict(alpha_pattern={"(?=q)": 1}), "a regular expression that this version does not read"), (dict(alpha_pattern={"q{2}": 1}), "does not read"),
        (dict(alpha_pattern={"(" * 30: 1}), "does not read"), (dict(alpha_pattern={"x" * 5000: 1}), "longer than 4096"), (dict(alpha_pattern={"[z-a]": 1}), "does not read"), (dict(alpha_pattern={r"\1": 1}), "does not read"),
        (dict(r=4), r"layers.0.self_attn.q_proj.lora_A.weight has rank 2, but .* says 4"), (dict(target_modules=["k_proj"]), "q_proj.lora_A.weight is of a module that .* does not adapt"),
        (dict(target_modules=5), "target_modules"), (dict(target_modules=[5]), "target_modules"), (dict(exclude_modules=["q_proj"]), "does not adapt"), (dict(layers_to_transform=0), "layers.1.self_attn.q_proj"),
        (dict(layers_to_transform=["0"]), "layers_to_transform"), (dict(lora_alpha=1e308, use_rslora=False), "its factor is"),
    ],
)  # fmt: skip
def test_settings_that_are_refused_by_name(model, tmp_path, more, match):
    with pytest.raises((E.UnsupportedError, E.CorruptFileError), match=match):
        peft(model, tmp_path / "a", **more)


def test_ranks_and_factors_that_are_not_said_are_pefts(model, tmp_path):
    """r and lora_alpha are 8, target_modules q_proj and v_proj: what `peft` 0.21 takes for a Llama."""
    def without(path, key, names, **more):
        weights = L.adapter("w", lambda name: 8 if name.split(".")[-1] in names else 0)
        L.write_peft(path, weights, **dict(r=8, lora_alpha=8, target_modules=["q_proj", "k_proj", "v_proj"]) | more)
        settings = json.loads((path / "adapter_config.json").read_text())
        del settings[key]
        (path / "adapter_config.json").write_text(json.dumps(settings))
        return model.adapter(path)

    whole = model.adapter(L.write_peft(tmp_path / "whole", L.adapter("w", lambda name: 8 if name.split(".")[-1] in ("attn_q", "attn_v") else 0), r=8, lora_alpha=8))
    wanted = rows(model, [(whole, 1.0)])
    for key in ("r", "lora_alpha", "target_modules"):
        assert (rows(model, [(without(tmp_path / key, key, ("attn_q", "attn_v")), 1.0)]) == wanted).all(), key
    with pytest.raises(E.CorruptFileError, match="k_proj.*does not adapt"):
        without(tmp_path / "k", "target_modules", ("attn_q", "attn_k"))
    with pytest.raises(E.CorruptFileError, match="has rank 8, but .* says 2"):
        without(tmp_path / "r2", "lora_alpha", ("attn_q",), r=2)


@pytest.mark.parametrize("name", ["lm_head.base_layer", "lm_head", "model.embed_tokens", "model.embed_tokens.base_layer"])
def test_a_matrix_of_the_model_beside_the_adapter(tmp_path, name):
    """`peft` saves it when an adapter is one of the output matrix, and loads it over the model's: it has to be the model's."""
    own = "output" if "lm_head" in name else "token_embd"
    base, weights = L.base(), L.adapter("head", lambda n: 4 if n in ("output", "blk.0.attn_q") else 0)
    tensors = L.peft_tensors(weights)
    F.write_gguf_model(tmp_path / "f32.gguf", base)
    llama2swift.quantize(tmp_path / "f32.gguf", tmp_path / "f16.gguf", "F16")
    llama2swift.quantize(tmp_path / "f32.gguf", tmp_path / "q8.gguf", "Q8_0")
    L.write_peft(tmp_path / "plain", weights)
    L.write_peft(tmp_path / "with", weights, tensors=tensors | {f"base_model.model.{name}.weight": base[own]})
    other = base[own].copy()
    other[7, 3] += 1
    L.write_peft(tmp_path / "other", weights, tensors=tensors | {f"base_model.model.{name}.weight": other})
    L.write_peft(tmp_path / "longer", weights, tensors=tensors | {f"base_model.model.{name}.weight": np.concatenate([other, other[:1]])})
    for file in ("f32.gguf", "f16.gguf"):
        model = llama2swift.Model(tmp_path / file)
        assert (rows(model, [(model.adapter(tmp_path / "with"), 1.0)]) == rows(model, [(model.adapter(tmp_path / "plain"), 1.0)])).all()
        with pytest.raises(E.UnsupportedError, match=f"{name}.weight would take the place of the model's {own}.weight and is another: row 7, column 3"):
            model.adapter(tmp_path / "other")
        with pytest.raises(E.UnsupportedError, match="it would take its place"):
            model.adapter(tmp_path / "longer")
    with pytest.raises(E.UnsupportedError, match="is Q8_0: whether it is the same cannot be told"):
        llama2swift.Model(tmp_path / "q8.gguf").adapter(tmp_path / "with")


def test_patterns_take_no_time(model, tmp_path):
    """Nor memory: what would take long is refused."""
    with pytest.raises(E.UnsupportedError, match="its patterns take too long"):
        peft(model, tmp_path / "a", alpha_pattern={"(a*)*" * 300 + f"b{i}": 1 for i in range(40)} | {".*" * 1500 + f"z{i}": 1 for i in range(120)})
    # one for each module, as rank redistribution writes them
    peft(model, tmp_path / "a", alpha_pattern={f"model.layers.{i}.self_attn.{x}_proj": 4 for i in range(80) for x in "kqvo"})


# ---- Files that lie


def named(name, change=None, **more):
    """(tensors of the folder of WEIGHTS, with one changed)"""
    tensors = L.peft_tensors(WEIGHTS)
    key = f"base_model.model.{name}"
    if change is not None:
        tensors[key] = change(tensors[key])
    return tensors | more


Q0 = "model.layers.0.self_attn.q_proj"
A0, B0 = f"{Q0}.lora_A.weight", f"{Q0}.lora_B.weight"


def spoiled(value):
    def change(x):
        x = x.copy()
        x[1, 2 if x.shape[1] > 2 else 1] = value
        return x

    return change


@pytest.mark.parametrize(
    "tensors, match",
    [
        (named(A0, lambda x: x[:, :-1]), r"q_proj.lora_A.weight has shape \[63, 2\], expected \[64, 2\]"), (named(B0, lambda x: x[:-1]), r"q_proj.lora_B.weight has shape \[2, 63\], expected \[2, 64\]"),
        (named(A0, lambda x: x[:1]), "q_proj.lora_A.weight has shape .*the rank is 1 in one and 2 in the other"), (named(A0, lambda x: x[:0]), r"q_proj.lora_A.weight has shape \[0, 64\]"),
        (named(A0, lambda x: x[0]), "q_proj.lora_A.weight has shape"), (named(A0, spoiled(np.nan)), "q_proj.lora_A.weight, row 1, column 2: nan is not finite"), (named(B0, spoiled(np.inf)), "lora_B.weight, row .*: inf is not finite"),
        ({k: v for k, v in named(A0).items() if "layers.0" not in k or "lora_B" not in k}, "q_proj.lora_A.weight has no lora_b"), ({k: v for k, v in named(A0).items() if "layers.0" not in k or "lora_A" not in k}, "q_proj.lora_B.weight has no lora_a"),
        ({}, "holds no tensors"), (named(A0, **{"base_model.model.model.layers.0.self_attn.q_proj.bias": np.ones(64)}), "q_proj.bias is not"),
        (named(A0, **{f"base_model.model.{Q0}.lora_magnitude_vector": np.ones(64)}), "lora_magnitude_vector"), (named(A0, **{"base_model.model.model.embed_tokens.lora_embedding_A": np.ones((2, 96))}), "lora_embedding_A"),
        (named(A0, **{f"base_model.model.model.layers.0.self_attn.w_proj.lora_{x}.weight": np.ones((2, 2)) for x in "AB"}), "w_proj"), (named(A0, **{f"{A0}": np.ones((2, 64))}), "is not base_model.model."),
        (named(A0, **{f"base_model.model.model.layers.2.self_attn.q_proj.lora_{x}.weight": np.ones((2, 2)) for x in "AB"}), "a layer that this model of 2 layers does not have"),
        (named(A0, **{f"base_model.model.model.norm.lora_{x}.weight": np.ones((2, 2)) for x in "AB"}), "does not adapt"), (named(A0, **{f"base_model.model.model.embed_tokens.lora_{x}.weight": np.ones((2, 2)) for x in "AB"}), "adapts what is no product"),
    ],
)  # fmt: skip
def test_tensors_that_are_refused_by_name(model, tmp_path, tensors, match):
    with pytest.raises((E.UnsupportedError, E.CorruptFileError), match=match):
        peft(model, tmp_path / "a", tensors=tensors)


@pytest.mark.parametrize(
    "more, match",
    [
        (dict(metadata={"general.type": "model"}), 'general.type is "model"'), (dict(metadata={"adapter.type": "ia3"}), 'adapter.type is "ia3"'), (dict(metadata={"general.architecture": "qwen2"}), "general.architecture"),
        (dict(metadata={"adapter.alora.invocation_tokens": [1]}), "adapter.alora.invocation_tokens is none that this version knows"), (dict(metadata={"llama.block_count": 2}), "llama.block_count"), (dict(alpha=0), "adapter.lora.alpha is 0"),
        (dict(alpha=float("nan")), "adapter.lora.alpha"), (dict(tensors={"blk.0.attn_norm.weight": (0, (64,), bytes(256))}), "blk.0.attn_norm.weight is neither"),
        (dict(tensors={f"blk.0.attn_norm.weight.lora_{x}": (0, (2, 2), bytes(16)) for x in "ab"}), "attn_norm.weight.lora_a is for .* no product"), (dict(tensors={f"token_embd.weight.lora_{x}": (0, (2, 2), bytes(16)) for x in "ab"}), "token_embd.weight.lora_a"),
        (dict(tensors={f"blk.2.attn_q.weight.lora_{x}": (0, (2, 2), bytes(16)) for x in "ab"}), "blk.2.attn_q.weight.lora_a is for .* no product of this model of 2 layers"), (dict(tensors={"blk.0.attn_k.weight.lora_a": (0, (64, 2), bytes(512))}), "blk.0.attn_k.weight.lora_a has no lora_b"),
        (dict(tensors={"blk.0.attn_k.weight.lora_a": (0, (64, 0), b""), "blk.0.attn_k.weight.lora_b": (0, (0, 32), b"")}), "blk.0.attn_k.weight.lora_a has dimension 1 of length 0"),
        (dict(tensors={"blk.0.attn_k.weight.lora_a": (0, (64, 2, 2), bytes(1024))}), r"blk.0.attn_k.weight.lora_a has shape \[64, 2, 2\]"),
    ],
)  # fmt: skip
def test_gguf_files_that_are_refused_by_name(model, tmp_path, more, match):
    with pytest.raises((E.UnsupportedError, E.CorruptFileError), match=match):
        model.adapter(L.write_adapter(tmp_path / "a.gguf", WEIGHTS, **dict(alpha=4) | more))


def test_heads_without_halves(tmp_path):
    """An odd number of components: rows in halves of heads cannot be those of the model."""
    shape = F.SHAPE | dict(head_dim=5)
    F.write_gguf_model(tmp_path / "m.gguf", L.base(shape), shape, {"llama.rope.dimension_count": 4})
    odd, weights = llama2swift.Model(tmp_path / "m.gguf"), L.adapter("w", lambda name: 2 * name.endswith("attn_q"), shape)
    tensors = {f"base_model.model.{L.module(n)}.lora_{x}.weight": m for n, pair in weights.items() for x, m in zip("AB", pair)}
    with pytest.raises(E.UnsupportedError, match="q_proj.lora_B.weight has its rows in halves of heads, and this model's have 5 components"):
        peft(odd, tmp_path / "a", tensors=tensors)
    assert odd.adapter(L.write_adapter(tmp_path / "a.gguf", weights, 4)).products == 2


def test_what_is_no_adapter(model, folder, tmp_path):
    for path in (folder / "hf", folder / "hf" / "model.safetensors", tmp_path):
        with pytest.raises(E.FormatError):
            model.adapter(path)
    with pytest.raises(E.UnsupportedError, match="general.type"):
        model.adapter(folder / "model.gguf")
    with pytest.raises(E.CorruptFileError, match="token_embd.weight is missing"):
        llama2swift.Model(folder / "all.gguf")
    with pytest.raises(FileNotFoundError):
        model.adapter(tmp_path / "nothing")
    (tmp_path / "adapter_config.json").write_text(json.dumps(L.settings()))
    with pytest.raises(FileNotFoundError, match="adapter_model.bin"):
        model.adapter(tmp_path)
    (tmp_path / "adapter_config.json").write_text("[]")
    with pytest.raises(E.CorruptFileError, match="no JSON object"):
        model.adapter(tmp_path)
    # every cut of a small file
    data = L.write_adapter(tmp_path / "a.gguf", WEIGHTS, 4).read_bytes()
    for size in [*range(0, len(data), 61), len(data) - 1]:
        (tmp_path / "b.gguf").write_bytes(data[:size])
        with pytest.raises((E.FormatError, E.CorruptFileError)):
            model.adapter(tmp_path / "b.gguf")
