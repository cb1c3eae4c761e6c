"""Hugging Face folders: every key of config.json is followed, known to change nothing, or refused by name; which files are read."""

import json
import shutil

import biased
import formats as F
import numpy as np
import pytest
from conftest import FIXTURES
from tiny_gguf import shape_metadata

import llama2swift
import reference as R
from llama2swift.errors import CorruptFileError, InputOutputError, Llama2Error, UnsupportedError

SHAPE = dict(F.SHAPE)
W = F.weights(SHAPE)
TIED = {n: x for n, x in W.items() if n != "output"}
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


# Biases


def biased_tensors():
    w = biased.weights()
    tensors = F.hugging_face_tensors({n.removesuffix(".weight"): x for n, x in w.items() if n.endswith(".weight")}, biased.SHAPE)
    for i in range(biased.SHAPE["layers"]):
        for own in biased.LINEAR:
            x, heads = w[f"blk.{i}.{own}.bias"], {"attn_q": biased.SHAPE["heads"], "attn_k": biased.SHAPE["heads_kv"]}.get(own)
            if heads:
                x = np.ascontiguousarray(F.half_rotation(x[:, None], heads)[:, 0])
            tensors[f"model.layers.{i}.{F.NAMES[own][0]}.bias"] = x
    return tensors


def biased_folder(path, tensors=None, dtype="F32", **more):
    path.mkdir(exist_ok=True)
    more = dict(attention_bias=True, mlp_bias=True) | more
    (path / "config.json").write_text(json.dumps(F.config(biased.SHAPE, **more)))
    (path / "model.safetensors").write_bytes(F.safetensors(tensors or biased_tensors(), dtype))
    return path


@pytest.mark.parametrize("dtype", ["F32", "F16"])
def test_biases_of_a_folder_are_those_of_transformers(tmp_path, dtype):
    """The model's numbers are exact in both."""
    golden = np.load(FIXTURES / "bias-logits.npz")["logits"]
    found = logits(biased_folder(tmp_path / "hf", dtype=dtype), biased.TOKENS, all_logits=True)
    assert np.abs(found - golden).max() <= 1e-5 * np.abs(golden).max()


@pytest.mark.parametrize("call, type", [(llama2swift.convert, "F32"), (llama2swift.convert, "F16"), (llama2swift.quantize, "BF16"), (llama2swift.convert, "Q8_0")])
def test_biases_are_carried_into_gguf(tmp_path, call, type):
    """Rows of q and k change their order, and so do their biases: the same file as from a GGUF file of the same model."""
    call(biased_folder(tmp_path / "hf"), tmp_path / "a.gguf", type)
    call(biased.write(tmp_path / "b.gguf"), tmp_path / "c.gguf", type)
    assert logits(tmp_path / "a.gguf", biased.TOKENS).tobytes() == logits(tmp_path / "c.gguf", biased.TOKENS).tobytes()
    if type in ("F32", "BF16"):
        golden = np.load(FIXTURES / "bias-logits.npz")["logits"]
        assert np.abs(logits(tmp_path / "a.gguf", biased.TOKENS, all_logits=True) - golden).max() <= 1e-5 * np.abs(golden).max()


def test_biases_are_there_when_the_config_says_so_and_only_then(tmp_path):
    tensors = biased_tensors()
    for key in ("attention_bias", "mlp_bias"):
        with pytest.raises(UnsupportedError, match=f"{key} is not true, but blk.0.*bias is there"):
            llama2swift.Model(biased_folder(tmp_path / "hf", **{key: False}))
    del tensors["model.layers.1.self_attn.o_proj.bias"]
    with pytest.raises(CorruptFileError, match="attention_bias is true, but blk.1.attn_output.bias is missing"):
        llama2swift.Model(biased_folder(tmp_path / "hf", tensors))
    for name in ("model.layers.0.input_layernorm.bias", "lm_head.bias", "model.norm.bias", "model.layers.0.self_attn.q_proj.scale"):
        with pytest.raises(UnsupportedError, match=name):
            llama2swift.Model(biased_folder(tmp_path / "hf", biased_tensors() | {name: np.zeros(64, "f4")}))


# Tensors and files


def header_and_data(path):
    raw = path.read_bytes()
    n = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + n]), raw[8 + n :]


def rewrite(path, header, data, before=b""):
    text = before + json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


@pytest.mark.parametrize("space", [b" ", b"\t\n\r ", b" " * 4096])
def test_a_header_after_white_space(folder, plain, space):
    path = folder()
    rewrite(path / "model.safetensors", *header_and_data(path / "model.safetensors"), before=space)
    assert logits(path).tobytes() == plain.tobytes()
    assert logits(path / "model.safetensors").tobytes() == plain.tobytes()


@pytest.mark.parametrize("dtype, shape, size", [("F64", [4], 32), ("F32", [0], 0), ("F32", [0, 7], 0), ("I64", [4], 32), ("U8", [3], 3), ("F8_E4M3", [5], 5), ("BOOL", [], 1), ("Q9_Z", [3], 11), ("F4", [4], 2)])
@pytest.mark.parametrize("name", ["model.layers.0.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq"])
def test_frequencies_in_a_file_may_be_of_any_type(folder, plain, name, dtype, shape, size):
    path = folder()
    header, data = header_and_data(path / "model.safetensors")
    header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + size]}
    rewrite(path / "model.safetensors", header, data + bytes(size))
    assert logits(path).tobytes() == plain.tobytes()


def test_doubles_are_read(folder, plain):
    path = folder()
    header, data = header_and_data(path / "model.safetensors")
    out, at = b"", 0
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        raw = np.frombuffer(data[begin:end], "<f4").astype("<f8").tobytes()
        header[name] = {"dtype": "F64", "shape": entry["shape"], "data_offsets": [at, at + len(raw)]}
        out, at = out + raw, at + len(raw)
    rewrite(path / "model.safetensors", header, out)
    assert logits(path).tobytes() == plain.tobytes()
    q = "model.layers.0.self_attn.q_proj.weight"
    begin = header[q]["data_offsets"][0]
    rewrite(path / "model.safetensors", header, out[: begin + 8 * 65] + np.float64(1e39).tobytes() + out[begin + 8 * 66 :])
    with pytest.raises(CorruptFileError, match="q_proj.weight holds 1e.39 in row 1, column 1, which F32 cannot hold"):
        llama2swift.Model(path)


@pytest.mark.parametrize("flag", [True, False])
def test_tied_embeddings(folder, flag):
    """config.json decides; without lm_head the embedding serves."""
    right = R.logits(shape_metadata(**SHAPE), TIED, TOKENS)[-1]
    path = folder(W if flag else TIED, tie_word_embeddings=flag)
    found = logits(path)
    assert np.abs(found - right).max() < 1e-5 * np.abs(right).max()


def test_a_tied_lm_head_may_be_of_any_form(folder):
    path = folder(W, tie_word_embeddings=True)
    header, data = header_and_data(path / "model.safetensors")
    header["lm_head.weight"] |= {"dtype": "I8", "shape": [len(data[slice(*header["lm_head.weight"]["data_offsets"])])]}
    rewrite(path / "model.safetensors", header, data)
    llama2swift.Model(path)


def test_a_whole_file_goes_before_an_index(folder, plain, tmp_path):
    path = folder()
    for index in ({"weight_map": {"a": "model-00001-of-00002.safetensors"}}, {}, []):
        (path / "model.safetensors.index.json").write_text(json.dumps(index))
        assert logits(path).tobytes() == plain.tobytes()
    (path / "pytorch_model.bin").write_bytes(b"no model")
    assert logits(path).tobytes() == plain.tobytes()


@pytest.mark.parametrize("kind", ["FloatStorage", "HalfStorage", "BFloat16Storage"])
def test_pytorch_model_bin(folder, tmp_path, plain, kind):
    path = folder()
    (path / "model.safetensors").unlink()
    tensors = F.hugging_face_tensors(W, SHAPE)
    (path / "pytorch_model.bin").write_bytes(F.pth(tensors, kind, root="archive"))
    found = logits(path)
    assert "PyTorch" in llama2swift.Model(path).description
    assert logits(path / "pytorch_model.bin").tobytes() == found.tobytes()
    if kind == "FloatStorage":
        assert found.tobytes() == plain.tobytes()
    # in two files
    names = list(tensors)
    for i, part in enumerate((names[:7], names[7:])):
        (path / f"pytorch_model-{i + 1:05}-of-00002.bin").write_bytes(F.pth({n: tensors[n] for n in part}, kind))
    where = {n: f"pytorch_model-{1 + (n not in names[:7]):05}-of-00002.bin" for n in names}
    (path / "pytorch_model.bin").unlink()
    (path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": where}))
    assert logits(path).tobytes() == found.tobytes()


def test_pytorch_model_bin_with_one_storage_under_two_names(folder):
    path = folder(TIED, tie_word_embeddings=False)
    (path / "model.safetensors").unlink()
    tensors = F.hugging_face_tensors(TIED, SHAPE)
    ready = {n: F._Tensor(str(i), "FloatStorage", x.size, x.shape) for i, (n, x) in enumerate(tensors.items())}
    ready["lm_head.weight"] = F._Tensor("0", "FloatStorage", W["token_embd"].size, W["token_embd"].shape)
    (path / "pytorch_model.bin").write_bytes(F.pth(tensors, pickled=F.state_dict(ready)))
    right = R.logits(shape_metadata(**SHAPE), TIED, TOKENS)[-1]
    assert np.abs(logits(path) - right).max() < 1e-5 * np.abs(right).max()


def test_what_is_missing_is_named(folder, tmp_path):
    path = folder()
    (path / "model.safetensors").rename(path / "other.safetensors")
    with pytest.raises(InputOutputError, match="none of model.safetensors.*pytorch_model.bin"):
        llama2swift.Model(path)
    shutil.copy(path / "other.safetensors", path / "model.safetensors")
    with pytest.raises(UnsupportedError, match="other.safetensors is none of the files"):
        llama2swift.Model(path / "other.safetensors")


def test_the_index_says_what_is_where(tmp_path):
    path = F.write_hugging_face(tmp_path / "hf", W, SHAPE, shards=2)
    index = json.loads((path / "model.safetensors.index.json").read_text())
    other = {"model-00001-of-00002.safetensors": "model-00002-of-00002.safetensors"}
    for name, file in (("model.norm.weight", other[index["weight_map"]["model.norm.weight"]]), ("model.layers.9.mlp.up_proj.weight", "model-00001-of-00002.safetensors")):
        (path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index["weight_map"] | {name: file}}))
        with pytest.raises(CorruptFileError, match=f"the index says that {name} is in {file}"):
            llama2swift.Model(path)


@pytest.mark.parametrize("name", ["../secret.safetensors", "sub/x.safetensors", "..", ".", "", "\U0010ff2e\U0010ff2e\U0010ff2fsecret.safetensors", "../\u0301x", "a\0b", "x" * 300])
def test_no_file_outside_the_folder_is_opened(tmp_path, name):
    path = F.write_hugging_face(tmp_path / "hf", W, SHAPE)
    shutil.move(path / "model.safetensors", tmp_path / "secret.safetensors")
    (tmp_path / "\u0301x").write_bytes((tmp_path / "secret.safetensors").read_bytes())
    index = {"weight_map": {n: name for n in F.hugging_face_tensors(W, SHAPE)}}
    (path / "model.safetensors.index.json").write_text(json.dumps(index, ensure_ascii=False))
    with pytest.raises(Llama2Error, match="no file name|No such file"):
        llama2swift.Model(path)
