"""Biases, tensors and files of a Hugging Face folder."""

import json
import shutil

import biased
import formats as F
import numpy as np
import pytest
import reference as R
from conftest import FIXTURES
from huggingface_config_tools import SHAPE, TOKENS, W, folder, logits, plain  # noqa: F401 (fixtures)
from tiny_gguf import shape_metadata

import llama2swift
from llama2swift.errors import CorruptFileError, InputOutputError, Llama2Error, UnsupportedError

TIED = {n: x for n, x in W.items() if n != "output"}


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


@pytest.mark.parametrize("flag, head", [(True, "none"), (True, "a copy"), (True, "another"), (False, "none")])
def test_tied_embeddings(folder, flag, head):
    """config.json decides; without lm_head the embedding serves."""
    right = R.logits(shape_metadata(**SHAPE), TIED, TOKENS)[-1]
    path = folder({"none": TIED, "a copy": TIED | {"output": W["token_embd"]}, "another": W}[head], tie_word_embeddings=flag)
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


@pytest.mark.parametrize("note", ["neg", "conj"])
def test_a_tensor_that_is_stored_negated_is_refused(folder, note):
    path = folder()
    (path / "model.safetensors").unlink()
    tensors = F.hugging_face_tensors(W, SHAPE)
    ready = {n: F._Tensor(str(i), "FloatStorage", x.size, x.shape, notes=({note: True},) if n == "model.norm.weight" else ()) for i, (n, x) in enumerate(tensors.items())}
    (path / "pytorch_model.bin").write_bytes(F.pth(tensors, pickled=F.state_dict(ready)))
    with pytest.raises(UnsupportedError, match="a tensor with notes of its own"):
        llama2swift.Model(path)
    (path / "pytorch_model.bin").write_bytes(F.pth(tensors, pickled=F.state_dict({n: F._Tensor(str(i), "FloatStorage", x.size, x.shape, notes=({},)) for i, (n, x) in enumerate(tensors.items())})))
    llama2swift.Model(path)


def test_an_adapter_beside_a_model_is_refused(folder):
    """transformers takes the base that the adapter names, and adapts it."""
    path = folder()
    (path / "adapter_config.json").write_text("{}")
    with pytest.raises(UnsupportedError, match="adapter_config.json lies beside config.json"):
        llama2swift.Model(path)


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
