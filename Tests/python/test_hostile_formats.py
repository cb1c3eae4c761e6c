"""Safetensors, JSON, zip, pickle, protobuf and llama2.c files that lie: refused with the right status, in bounded time."""

import json
import shutil
import struct

import formats as F
import pytest
from hostile_formats_tools import CORRUPT, SHAPE, UNSUPPORTED, W, refused

import llama2swift
from llama2swift.errors import Llama2Error


def test_what_is_spoiled_below_is_good(tmp_path):
    F.write_hugging_face(tmp_path / "hf", W, SHAPE)
    F.write_meta(tmp_path / "meta", W, SHAPE)
    for version in (0, 1, 2):
        (tmp_path / f"v{version}.bin").write_bytes(F.llama2c(W, version, SHAPE))
    for name in ("hf", "meta", "v0.bin", "v1.bin", "v2.bin"):
        llama2swift.Model(tmp_path / name)


# safetensors

GOOD = F.safetensors(F.hugging_face_tensors(W, SHAPE))
HEADER = json.loads(GOOD[8 : 8 + struct.unpack("<Q", GOOD[:8])[0]])
DATA = GOOD[8 + struct.unpack("<Q", GOOD[:8])[0] :]
Q = "model.layers.0.self_attn.q_proj.weight"


def st(change=None, header=None, data=DATA, length=None):
    h = json.loads(json.dumps(HEADER))
    if change:
        change(h)
    text = json.dumps(h).encode() if header is None else header
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def put(name, key, value):
    return lambda h: h[name].__setitem__(key, value)


SAFETENSORS = {
    "header beyond the file": (st(length=2**40), CORRUPT, "announced"),
    "header near 2^64": (st(length=2**64 - 1), CORRUPT, "announced"),
    "header of nothing": (st(header=b""), CORRUPT, "JSON"),
    "header that is no object": (st(header=b"[]" + b" " * 6), CORRUPT, "not a JSON object"),
    "header cut": (st(header=json.dumps(HEADER).encode()[:-40]), CORRUPT, "byte"),
    "empty file": (b"", CORRUPT, "length of the header"),
    "seven bytes": (b"\1\0\0\0\0\0\0", CORRUPT, "length of the header"),
    "no tensors": (st(header=b"{}", data=b""), CORRUPT, "token_embd.weight is missing"),
    "key twice": (st(header=b'{"a": 1, "a": 2}'), CORRUPT, "twice"),
    "dtype missing": (st(lambda h: h[Q].pop("dtype")), CORRUPT, "no dtype"),
    "dtype I8": (st(put(Q, "dtype", "I8")), UNSUPPORTED, "dtype I8"),
    "dtype a number": (st(put(Q, "dtype", 3)), CORRUPT, "no dtype"),
    "shape missing": (st(lambda h: h[Q].pop("shape")), CORRUPT, "no shape"),
    "shape of texts": (st(put(Q, "shape", ["32", "32"])), CORRUPT, "positive integer"),
    "dimension 0": (st(put(Q, "shape", [0, 32])), CORRUPT, "its shape [0, 32] takes 0"),
    "dimension negative": (st(put(Q, "shape", [-32, -32])), CORRUPT, "positive integer"),
    "dimension with a fraction": (st(put(Q, "shape", [32.5, 32])), CORRUPT, "positive integer"),
    "dimension 1e300": (st(put(Q, "shape", [1e300, 1])), CORRUPT, "positive integer"),
    "product wraps": (st(put(Q, "shape", [2**40, 2**40])), CORRUPT, "63 bits"),
    "bytes wrap": (st(put(Q, "shape", [2**50, 2**12])), CORRUPT, "63 bits"),
    "nine dimensions": (st(put(Q, "shape", [1] * 9)), CORRUPT, "more than 8"),
    "shape and range disagree": (st(put(Q, "shape", [31, 32])), CORRUPT, "takes"),
    "range missing": (st(lambda h: h[Q].pop("data_offsets")), CORRUPT, "data_offsets"),
    "range of three": (st(put(Q, "data_offsets", [0, 1, 2])), CORRUPT, "data_offsets"),
    "range backwards": (st(put(Q, "data_offsets", [4096, 0])), CORRUPT, "data_offsets"),
    "range negative": (st(put(Q, "data_offsets", [-4096, 0])), CORRUPT, "data_offsets"),
    "range beyond the data": (st(put(Q, "data_offsets", [2**30, 2**30 + 4096])), CORRUPT, "data_offsets"),
    "range near 2^63": (st(put(Q, "data_offsets", [2**63 - 4096, 2**63])), CORRUPT, "data_offsets"),
    "ranges overlap": (st(put(Q, "data_offsets", [0, 4096])), CORRUPT, "gap or an overlap"),
    "data left over": (st(data=DATA + bytes(8)), CORRUPT, "the data at"),
    "data missing": (st(data=DATA[:-4]), CORRUPT, "data_offsets"),
    "name empty": (st(lambda h: h.__setitem__("", h.pop(Q))), CORRUPT, "name"),
    "name with NUL": (st(lambda h: h.__setitem__("a\0b", h.pop(Q))), CORRUPT, "name"),
    "name long": (st(lambda h: h.__setitem__("a" * 5000, h.pop(Q))), CORRUPT, "name"),
    "a tensor of another model": (st(lambda h: h.__setitem__("model.layers.0.mlp.experts.weight", h.pop(Q))), UNSUPPORTED, "LlamaForCausalLM"),
    "layer -1": (st(lambda h: h.__setitem__(Q.replace(".0.", ".-1."), h.pop(Q))), UNSUPPORTED, "LlamaForCausalLM"),
    "layer beyond all": (st(lambda h: h.__setitem__(Q.replace(".0.", "." + "9" * 30 + "."), h.pop(Q))), UNSUPPORTED, "LlamaForCausalLM"),
    "a tensor missing": (st(lambda h: h.__setitem__(Q.replace(".0.", ".7."), h.pop(Q))), CORRUPT, "blk.0.attn_q.weight is missing"),
    "a matrix of another shape": (st(put(Q, "shape", [16, 64])), CORRUPT, "blk.0.attn_q.weight has shape"),
    "a norm of another shape": (st(put("model.norm.weight", "shape", [1, 32])), CORRUPT, "output_norm.weight has shape"),
    "a tensor that is a number": (st(lambda h: h.__setitem__(Q, 5)), CORRUPT, "no dtype"),
    "embedding of one dimension": (st(put("model.embed_tokens.weight", "shape", [2048])), CORRUPT, "vocab_size"),
}


@pytest.mark.parametrize("name", SAFETENSORS)
def test_safetensors(tmp_path, name):
    data, kind, words = SAFETENSORS[name]
    F.write_hugging_face(tmp_path / "hf", W, SHAPE)
    (tmp_path / "hf" / "model.safetensors").write_bytes(data)
    refused(tmp_path / "hf", kind, words)


# config.json and JSON itself


def cfg(**change):
    return json.dumps({k: v for k, v in F.config(SHAPE, **change).items() if v != "absent"}).encode()


CONFIG = {
    "empty": (b"", CORRUPT, "byte 0"),
    "no object": (b"[1, 2]", CORRUPT, "not a JSON object"),
    "cut": (cfg()[:-3], CORRUPT, "byte"),
    "something after": (cfg() + b"x", CORRUPT, "something follows"),
    "deep": (b'{"a":' * 100000 + b"1" + b"}" * 100000, CORRUPT, "nesting"),
    "deep arrays": (b"[" * 1000000, CORRUPT, "nesting"),
    "not UTF-8": (b'{"a": "\xff\xfe"}', CORRUPT, "UTF-8"),
    "half a surrogate": (b'{"a": "\\ud800"}', CORRUPT, "surrogate"),
    "two high surrogates": (b'{"a": "\\ud800\\ud800"}', CORRUPT, "surrogate"),
    "bad escape": (b'{"a": "\\x"}', CORRUPT, "escape"),
    "short escape": (b'{"a": "\\u12"}', CORRUPT, "hexadecimal"),
    "control character": (b'{"a": "\n"}', CORRUPT, "control character"),
    "string without end": (b'{"a": "bcd', CORRUPT, "does not end"),
    "escape at the end": (b'{"a": "\\', CORRUPT, "does not end"),
    "number beyond range": (b'{"a": 1e999}', CORRUPT, "beyond the range"),
    "number of a thousand digits": (b'{"a": ' + b"1" * 1000 + b"}", CORRUPT, "beyond the range"),
    "leading zero": (b'{"a": 01}', CORRUPT, "byte"),
    "lone minus": (b'{"a": -}', CORRUPT, "byte"),
    "point without digits": (b'{"a": 1.}', CORRUPT, "point"),
    "exponent without digits": (b'{"a": 1e}', CORRUPT, "exponent"),
    "NaN": (b'{"a": NaN}', CORRUPT, "byte"),
    "key twice": (b'{"a": 1, "a": 1}', CORRUPT, "twice"),
    "comma at the end": (b'{"a": 1,}', CORRUPT, "key"),
    "no colon": (b'{"a" 1}', CORRUPT, "colon"),
    "three million values": (b"[" + b"0," * 3_000_000 + b"0]", CORRUPT, "values"),
    "architecture": (cfg(architectures=["GPT2LMHeadModel"]), UNSUPPORTED, "GPT2LMHeadModel"),
    "hidden_size missing": (cfg(hidden_size="absent"), CORRUPT, "hidden_size is missing"),
    "hidden_size 0": (cfg(hidden_size=0), CORRUPT, "hidden_size"),
    "hidden_size negative": (cfg(hidden_size=-32), CORRUPT, "hidden_size"),
    "hidden_size a text": (cfg(hidden_size="32"), CORRUPT, "hidden_size"),
    "hidden_size 2^62": (cfg(hidden_size=2**62), CORRUPT, "hidden_size"),
    "hidden_size not divisible": (cfg(hidden_size=33), CORRUPT, "multiple"),
    "hidden_size of another model": (cfg(hidden_size=64), CORRUPT, "token_embd.weight"),
    "layers 0": (cfg(num_hidden_layers=0), CORRUPT, "num_hidden_layers"),
    "layers more": (cfg(num_hidden_layers=2), CORRUPT, "blk.1."),
    "layers a million": (cfg(num_hidden_layers=10**6), CORRUPT, "block_count"),
    "heads 0": (cfg(num_attention_heads=0), CORRUPT, "num_attention_heads"),
    "kv heads do not divide": (cfg(num_key_value_heads=3), CORRUPT, "head_count"),
    "kv heads 0": (cfg(num_key_value_heads=0), CORRUPT, "num_key_value_heads"),
    "head_dim odd": (cfg(head_dim=7), CORRUPT, "even"),
    "vocabulary disagrees": (cfg(vocab_size=65), CORRUPT, "vocab_size"),
    "epsilon negative": (cfg(rms_norm_eps=-1), CORRUPT, "rms_epsilon"),
    "epsilon a text": (cfg(rms_norm_eps="x"), CORRUPT, "rms_norm_eps"),
    "theta 0": (cfg(rope_theta=0), CORRUPT, "freq_base"),
    "rope of an unknown type": (cfg(rope_scaling={"rope_type": "su"}), UNSUPPORTED, "su"),
    "YaRN without a factor": (cfg(rope_scaling={"rope_type": "yarn"}), CORRUPT, "rope_scaling.factor is missing"),
    "longrope with too few factors": (cfg(rope_scaling={"rope_type": "longrope", "factor": 2, "long_factor": [1.0], "short_factor": [1.0]}), CORRUPT, "long_factor"),
    "longrope with a factor of NaN": (cfg(rope_scaling={"rope_type": "longrope", "factor": 2, "long_factor": [float("nan")] * 4, "short_factor": [1.0] * 4}), CORRUPT, ""),
    "rope factor a text": (cfg(rope_scaling={"type": "linear", "factor": "2"}), CORRUPT, "factor"),
    "llama3 without a factor": (cfg(rope_scaling={"rope_type": "llama3", "low_freq_factor": 1, "high_freq_factor": 4}), CORRUPT, "rope_scaling.factor is missing"),
    "linear without a factor": (cfg(rope_scaling={"rope_type": "linear"}), CORRUPT, "rope_scaling.factor is missing"),
    "llama3 with factors that meet": (cfg(rope_scaling={"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4}), CORRUPT, "high_freq_factor"),
    "bias": (cfg(attention_bias=True), CORRUPT, "attention_bias is true, but blk.0.attn_q.bias is missing"),
    "activation": (cfg(hidden_act="gelu"), UNSUPPORTED, "gelu"),
}


@pytest.mark.parametrize("name", CONFIG)
def test_config(tmp_path, name):
    data, kind, words = CONFIG[name]
    F.write_hugging_face(tmp_path / "hf", W, SHAPE)
    (tmp_path / "hf" / "config.json").write_bytes(data)
    words = "layer_norm_rms_epsilon" if words == "rms_epsilon" else words
    refused(tmp_path / "hf", kind, words)


INDEX = {
    "no map": ({}, "weight_map"), "map of numbers": ({"weight_map": {"a": 1}}, "file name"), "map is a list": ({"weight_map": []}, "weight_map"),
    "path out of the folder": ({"weight_map": {"a": "../../etc/passwd"}}, "file name"), "two dots": ({"weight_map": {"a": ".."}}, "file name"),
    "empty name": ({"weight_map": {"a": ""}}, "file name"), "NUL": ({"weight_map": {"a": "x\0y"}}, "file name"),
}  # fmt: skip


@pytest.mark.parametrize("name", INDEX)
def test_index(tmp_path, name):
    F.write_hugging_face(tmp_path / "hf", W, SHAPE)
    (tmp_path / "hf" / "model.safetensors").unlink()
    (tmp_path / "hf" / "model.safetensors.index.json").write_text(json.dumps(INDEX[name][0]))
    refused(tmp_path / "hf", CORRUPT, INDEX[name][1])


def test_shards_that_are_missing_or_repeat(tmp_path):
    F.write_hugging_face(tmp_path / "hf", W, SHAPE, shards=2)
    first, second = sorted((tmp_path / "hf").glob("*.safetensors"))
    shutil.copy(first, second)
    refused(tmp_path / "hf", CORRUPT, "two files")
    second.unlink()
    refused(tmp_path / "hf", Llama2Error, second.name)
