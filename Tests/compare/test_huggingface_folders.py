"""Folders that `transformers` itself writes, against its logits in F32: biases, RoPE in every form, tied embeddings, other shapes.

    make compare, or: python -m pytest Tests/compare/test_huggingface_folders.py   (torch and transformers installed)
"""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import llama2swift  # noqa: E402
from llama2swift.errors import UnsupportedError  # noqa: E402

BASE = dict(
    vocab_size=96, hidden_size=64, intermediate_size=104, num_hidden_layers=2, num_attention_heads=8, num_key_value_heads=4,
    max_position_embeddings=256, rms_norm_eps=1e-5,
)  # fmt: skip
TOKENS = [int(t) for t in np.random.default_rng(3).integers(0, 96, 70)]
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
FORMS = {
    "plain": {},
    "attention_bias": dict(attention_bias=True),
    "mlp_bias": dict(mlp_bias=True),
    "both biases": dict(attention_bias=True, mlp_bias=True),
    "tied": dict(tie_word_embeddings=True),
    "heads of 16": dict(head_dim=16),
    "all heads": dict(num_key_value_heads=8),
    "one head of keys": dict(num_key_value_heads=1),
    "swish": dict(hidden_act="swish"),
    "theta": dict(rope_parameters={"rope_type": "default", "rope_theta": 500000.0}),
    "linear": dict(rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}),
    "dynamic, within the trained length": dict(rope_parameters={"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}),
    "llama3": dict(rope_parameters=LLAMA3 | {"rope_theta": 500000.0}),
    "epsilon": dict(rms_norm_eps=1e-6),
}


def make(folder, **more):
    torch.manual_seed(5)
    config = transformers.LlamaConfig(**BASE | more)
    model = transformers.LlamaForCausalLM(config).float().eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.randn_like(p) * (0.1 if p.ndim == 2 else 0.3) + (1.0 if "norm" in name else 0.0))
    model.save_pretrained(folder)
    return model


def right(folder, tokens=TOKENS):
    model = transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        return model(torch.tensor([tokens])).logits[0].numpy()


def logits(path):
    with llama2swift.Model(path).context(length=128, kv="f32") as context:
        context.eval(TOKENS, all_logits=True)
        return np.array(context.logits())


def close(a, b):
    assert np.abs(a - b).max() <= 1e-5 * np.abs(b).max(), np.abs(a - b).max() / np.abs(b).max()


@pytest.mark.parametrize("name", FORMS)
def test_logits_are_those_of_transformers(tmp_path, name):
    make(tmp_path / "hf", **FORMS[name])
    expected = right(tmp_path / "hf")
    close(logits(tmp_path / "hf"), expected)
    llama2swift.convert(tmp_path / "hf", tmp_path / "m.gguf", "F32")
    close(logits(tmp_path / "m.gguf"), expected)


@pytest.mark.parametrize("shards", [1, 3])
def test_pytorch_model_bin(tmp_path, shards):
    model = make(tmp_path / "hf", attention_bias=True, tie_word_embeddings=True)
    expected = right(tmp_path / "hf")
    (tmp_path / "hf" / "model.safetensors").unlink()
    state = model.state_dict()
    names = list(state)
    if shards == 1:
        torch.save(state, tmp_path / "hf" / "pytorch_model.bin")
    else:
        where = {}
        for i in range(shards):
            part = f"pytorch_model-{i + 1:05}-of-{shards:05}.bin"
            own = [n for k, n in enumerate(names) if k % shards == i]
            torch.save({n: state[n] for n in own}, tmp_path / "hf" / part)
            where |= {n: part for n in own}
        (tmp_path / "hf" / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    close(logits(tmp_path / "hf"), expected)


@pytest.mark.parametrize("form", ["f16", "bf16", "f64", "transposed", "views", "wrapped"])
def test_what_torch_saves(tmp_path, form):
    model = make(tmp_path / "hf")
    state = model.state_dict()
    if form in ("f16", "bf16", "f64"):
        kind = {"f16": torch.float16, "bf16": torch.bfloat16, "f64": torch.float64}[form]
        state = {n: x.to(kind) for n, x in state.items()}
        model.load_state_dict({n: x.float() for n, x in state.items()})
        model.save_pretrained(tmp_path / "hf")
    if form == "transposed":
        state = {n: x.t().contiguous().t() if x.ndim == 2 else x for n, x in state.items()}
    if form == "views":
        whole = torch.cat([x.reshape(-1) for x in state.values()])
        at, views = 0, {}
        for n, x in state.items():
            views[n] = whole[at : at + x.numel()].view(x.shape)
            at += x.numel()
        state = views
    expected = right(tmp_path / "hf")
    (tmp_path / "hf" / "model.safetensors").unlink()
    torch.save({"model": state, "step": 3} if form == "wrapped" else state, tmp_path / "hf" / "pytorch_model.bin")
    close(logits(tmp_path / "hf"), expected)


@pytest.mark.parametrize("kind", ["yarn", "longrope"])
def test_what_is_not_followed_is_refused(tmp_path, kind):
    more = {"factor": 4.0, "original_max_position_embeddings": 64} | ({"short_factor": [1.0] * 4, "long_factor": [2.0] * 4} if kind == "longrope" else {})
    make(tmp_path / "hf", rope_parameters={"rope_type": kind, "rope_theta": 10000.0} | more)
    with pytest.raises(UnsupportedError, match=kind):
        llama2swift.Model(tmp_path / "hf")
