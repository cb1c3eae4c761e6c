"""Hugging Face folders: every key of config.json is followed, known to change nothing, or refused by name; which files are read."""

import json

import numpy as np
import pytest
import reference as R
from huggingface_config_tools import SHAPE, TOKENS, W, folder, logits, plain  # noqa: F401 (fixtures)
from tiny_gguf import shape_metadata

import llama2swift
from llama2swift.errors import CorruptFileError, UnsupportedError

FOLLOWED = [
    dict(hidden_act="swish"), dict(hidden_act=None), dict(architectures=["LLaMAForCausalLM"]), dict(architectures=["LLAMAFORCAUSALLM"]),
    dict(architectures=None), dict(model_type="LLaMA"), dict(rope_parameters={"rope_type": "default", "rope_theta": 50000.0}, rope_theta=1.0),
    dict(rope_scaling={"rope_type": "default"}), dict(rope_scaling={"type": "linear", "factor": 1}), dict(partial_rotary_factor=1.0),
    dict(rope_scaling={}), dict(rope_parameters={"rope_theta": 50000.0, "partial_rotary_factor": 1.0}, rope_theta=None),
    dict(torch_dtype="float16", use_cache=True, transformers_version="4.31.0", _name_or_path="x", pretraining_tp=2, unsloth_version="1"),
    dict(sliding_window=None, use_sliding_window=False, logit_scale=1.0, attn_logit_softcapping=None, quantization_config=None),
    dict(id2label={"0": "A"}, label2id={"A": 0}, max_sequence_length=2048, num_experts=0, layer_types=["full_attention"] * 2),
    dict(unknown_to_all=None, also_unknown=[[], {}]), dict(auto_map={"AutoConfig": "configuration_x.X", "AutoTokenizer": ["a.B", None]}),
    dict(bos_token_id=1, eos_token_id=[2, 3], pad_token_id=0),
]  # fmt: skip


@pytest.mark.parametrize("more", FOLLOWED, ids=lambda m: ",".join(m))
def test_what_says_the_same_gives_the_same_bits(folder, plain, more):
    assert logits(folder(**more)).tobytes() == plain.tobytes()


@pytest.mark.parametrize("key", ["hidden_act", "rope_scaling", "tie_word_embeddings", "attention_bias", "mlp_bias", "architectures"])
def test_a_key_that_is_absent_has_its_default(folder, plain, key):
    assert logits(folder(without=[key])).tobytes() == plain.tobytes()


REFUSED = [
    dict(hidden_act="gelu"), dict(hidden_act="silu\u0301"), dict(architectures=["LlamaModel"]), dict(architectures=["LlamaForSequenceClassification"]),
    dict(model_type="mistral"), dict(quantization_config={"quant_method": "awq"}), dict(sliding_window=4096), dict(use_sliding_window=True),
    dict(logit_scale=0.5), dict(logits_scaling=8.0), dict(embedding_multiplier=12.0), dict(residual_multiplier=0.22), dict(attention_multiplier=0.1),
    dict(attn_logit_softcapping=50.0), dict(final_logit_softcapping=30.0), dict(num_local_experts=8), dict(clip_qkv=8.0), dict(qk_norm=True),
    dict(partial_rotary_factor=0.5), dict(rope_parameters={"rope_type": "default", "partial_rotary_factor": 0.5}),
    dict(rope_scaling={"rope_type": "yarn", "factor": 4.0, "extrapolation_factor": 1.0}), dict(rope_scaling={"type": "su"}),
    dict(rope_scaling={"type": "linear", "factor": 2.0, "attention_factor": 1.2}), dict(rope_scaling={"type": "Linear", "factor": 2.0}),
    dict(rope_parameters={"full_attention": {"rope_type": "default"}}), dict(no_such_key=1), dict(no_such_key="x"), dict(no_such_key=[0.5]),
    dict(layer_types=["full_attention", "sliding_attention"]), dict(auto_map={"AutoModelForCausalLM": "modeling_x.X"}), dict(is_causal=False),
    dict(scale_depth=1.4), dict(alibi=True), dict(lm_head_bias=True), dict(position_embedding_type="absolute"),
]  # fmt: skip


@pytest.mark.parametrize("more", REFUSED, ids=lambda m: json.dumps(m))
def test_what_would_change_the_logits_is_refused_by_name(folder, more):
    key = next(iter(more))
    words = {"rope_scaling": "rope type|attention_factor|extrapolation_factor", "rope_parameters": "partial_rotary_factor|full_attention"}.get(key, key)
    with pytest.raises(UnsupportedError, match=words):
        llama2swift.Model(folder(**more))


@pytest.mark.parametrize(
    "more",
    [dict(tie_word_embeddings="yes"), dict(attention_bias=1), dict(rope_scaling=3), dict(rope_scaling={"type": "linear"}), dict(rope_theta="1e4"),
     dict(rope_scaling={"type": "linear", "factor": "2"}), dict(rope_scaling={"type": "linear", "factor": 0}), dict(rms_norm_eps="small"), dict(hidden_act=3), dict(num_hidden_layers=2.5), dict(model_type=5),
     dict(rope_scaling={"rope_type": "llama3", "factor": 8.0}), dict(max_position_embeddings=0), dict(vocab_size=97)],
    ids=lambda m: json.dumps(m),
)  # fmt: skip
def test_values_of_another_kind(folder, more):
    with pytest.raises(CorruptFileError, match=next(iter(more)) + "|factor"):
        llama2swift.Model(folder(**more))


@pytest.mark.parametrize("where", ["rope_scaling", "rope_parameters"])
@pytest.mark.parametrize("name", ["type", "rope_type"])
def test_linear_scaling(folder, monkeypatch, where, name):
    plain = R.rotate
    monkeypatch.setattr(R, "rotate", lambda x, base, positions: plain(x, base, positions / 8))
    right = R.logits(shape_metadata(**SHAPE), W, TOKENS)[-1]
    found = logits(folder(**{where: {name: "linear", "factor": 8, "rope_theta": SHAPE["base"]}}))
    assert np.abs(found - right).max() < 1e-5 * np.abs(right).max()


def test_rope_scaling_goes_before_rope_parameters(folder):
    """As in `transformers`: rope_scaling, where it says something, takes the place of all of rope_parameters."""
    model = llama2swift.Model(folder(rope_scaling={"type": "linear", "factor": 4.0}, rope_parameters={"rope_type": "linear", "factor": 2.0}))
    assert model.hyperparameters.rope_scale == 4


def test_llama3_takes_the_trained_length_from_where_transformers_does(folder):
    three = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    ways = [
        dict(rope_scaling=three | {"original_max_position_embeddings": 64}),
        dict(rope_scaling=three, original_max_position_embeddings=64),
        dict(rope_scaling=three | {"original_max_position_embeddings": 8}, original_max_position_embeddings=64),
        dict(rope_scaling=three, max_position_embeddings=64),
    ]
    found = [logits(folder(**way), TOKENS).tobytes() for way in ways]
    assert len(set(found)) == 1
    assert logits(folder(rope_scaling=three | {"original_max_position_embeddings": 8})).tobytes() not in found


@pytest.mark.parametrize("file", ["config.json", "generation_config.json"])
@pytest.mark.parametrize(
    "key, value", [("suppress_tokens", [5]), ("begin_suppress_tokens", [1, 2]), ("bad_words_ids", [[3]]), ("forced_eos_token_id", 2), ("sequence_bias", [[[5], -1.0]]), ("stop_strings", "x"), ("guidance_scale", 1.5)],
)  # fmt: skip
def test_what_may_not_be_drawn_is_not_passed_over(folder, file, key, value):
    """As tokenizer.ggml.suppress_tokens of a GGUF file, which says the same."""
    path = folder()
    before = json.loads((path / file).read_text()) if (path / file).exists() else {}
    for nothing in (None, [], [[]]):
        (path / file).write_text(json.dumps(before | {key: nothing}))
        llama2swift.Model(path)
    (path / file).write_text(json.dumps(before | {key: value}))
    with pytest.raises(UnsupportedError, match=f"{file}: {key} is not supported"):
        llama2swift.Model(path)


def test_generation_config_is_an_object(folder):
    path = folder()
    (path / "generation_config.json").write_text("[]")
    with pytest.raises(CorruptFileError, match="generation_config.json: not a JSON object"):
        llama2swift.Model(path)
