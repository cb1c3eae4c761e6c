"""Safetensors, JSON, zip, pickle, protobuf and llama2.c files that lie: refused with the right status, in bounded time."""

import io
import json
import pickle
import random
import shutil
import struct
import time
import zipfile

import formats as F
import numpy as np
import pytest

import llama2swift
from llama2swift.errors import CorruptFileError, FormatError, Llama2Error, UnsupportedError

CORRUPT, FORMAT, UNSUPPORTED = CorruptFileError, FormatError, UnsupportedError
SHAPE = dict(vocabulary=64, dim=32, layers=1, heads=4, heads_kv=2, hidden=32, base=10000.0)
W = F.weights(SHAPE)


def refused(path, kind, words):
    start = time.monotonic()
    with pytest.raises(Llama2Error) as problem:
        llama2swift.Model(path)
    assert time.monotonic() - start < 2
    assert isinstance(problem.value, kind), repr(problem.value)
    assert words in str(problem.value), str(problem.value)


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


# tokenizer.json

VOCABULARY = {c: i for i, c in enumerate("abcdefgh")}


def tok(**model):
    return {"model": {"type": "BPE", "vocab": VOCABULARY, "merges": ["a b"]} | model}


TOKENIZER = {
    "no model": ({}, UNSUPPORTED, "missing"),
    "another model": (tok(type="Unigram"), UNSUPPORTED, "Unigram"),
    "no vocabulary": (tok(vocab={}), CORRUPT, "no vocabulary"),
    "vocabulary a list": (tok(vocab=[1]), CORRUPT, "no vocabulary"),
    "id negative": (tok(vocab={"a": -1}), CORRUPT, "id outside"),
    "id beyond the embedding": (tok(vocab={"a": 64}), CORRUPT, "id outside"),
    "id 2^62": (tok(vocab={"a": 2**62}), CORRUPT, "id outside"),
    "id a text": (tok(vocab={"a": "1"}), CORRUPT, "id outside"),
    "no merges": (tok(merges=None), CORRUPT, "no merges"),
    "merge of one": (tok(merges=["ab"]), CORRUPT, "merge 0"),
    "merge of three": (tok(merges=["a b c"]), CORRUPT, "merge 0"),
    "merge a number": (tok(merges=[1]), CORRUPT, "merge 0"),
    "merge pair of numbers": (tok(merges=[[1, 2]]), CORRUPT, "merge 0"),
    "added token without content": (tok() | {"added_tokens": [{"id": 1}]}, CORRUPT, "content"),
    "merge of what is no token": (tok(), CORRUPT, "merge 0"),
    "unknown cutting": (tok(merges=[]) | {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": r"(a)\1"}, "behavior": "Isolated", "invert": False}}, UNSUPPORTED, r"\1"),
}


@pytest.mark.parametrize("name", TOKENIZER)
def test_tokenizer_json(tmp_path, name):
    data, kind, words = TOKENIZER[name]
    F.write_hugging_face(tmp_path / "hf", W, SHAPE)
    (tmp_path / "hf" / "tokenizer.json").write_text(json.dumps(data))
    refused(tmp_path / "hf", kind, words)


# tokenizer.model

PIECES = [("<unk>", 0, 2), ("<s>", 0, 3), ("</s>", 0, 3), *((f"<0x{i:02X}>", 0, 6) for i in range(40)), ("a", -1, 1)]
PROTO = {
    "empty message": (b"", CORRUPT, "no pieces"),
    "varint of eleven bytes": (b"\xff" * 11, CORRUPT, "64 bits"),
    "varint cut": (b"\x0a\xff", CORRUPT, "varint"),
    "length beyond the message": (b"\x0a\x7f", CORRUPT, "announces"),
    "length near 2^64": (b"\x0a" + b"\xff" * 9 + b"\x01", CORRUPT, "announces"),
    "nested length beyond": (F.field(1, b"\x0a\x7f"), CORRUPT, "announces"),
    "group": (b"\x0b", CORRUPT, "wire type"),
    "wire type 7": (b"\x0f", CORRUPT, "wire type"),
    "score not a number": (F.sentencepiece_model([("a", float("nan"), 1)]), CORRUPT, "score"),
    "type 0": (F.sentencepiece_model([("a", 0, 0)]), CORRUPT, "type 0"),
    "type 7": (F.sentencepiece_model([("a", 0, 7)]), CORRUPT, "type 7"),
    "type 2^40": (F.sentencepiece_model([("a", 0, 2**40)]), CORRUPT, "type"),
    "unigram": (F.sentencepiece_model(PIECES) + F.field(2, F.field(3, 1)), UNSUPPORTED, "model type 1"),
    "bos beyond": (F.sentencepiece_model(PIECES, F.field(41, 44)), CORRUPT, "bos_id"),
    "more pieces than rows": (F.sentencepiece_model(PIECES + [("b", 0, 1)] * 30), CORRUPT, "rows"),
    "text": (b"this is no protobuf at all", CORRUPT, "tokenizer.model"),
}

# every field of a piece, of the trainer and of the normalizer cut short, and of a wire type that cannot be
for part, number in (("piece", 1), ("trainer", 2), ("normalizer", 3)):
    for inner in (1, 2, 3, 40):
        PROTO[f"{part}, field {inner} cut"] = (F.field(number, F.varint(inner << 3 | 2) + b"\x05ab"), CORRUPT, "announces")
        PROTO[f"{part}, field {inner} a group"] = (F.field(number, F.varint(inner << 3 | 3)), CORRUPT, "wire type")
    PROTO[f"{part}, four bytes of which two are there"] = (F.field(number, b"\x15ab"), CORRUPT, "beyond the end")
    PROTO[f"{part}, eight bytes of which two are there"] = (F.field(number, b"\x11ab"), CORRUPT, "beyond the end")


@pytest.mark.parametrize("name", PROTO)
def test_tokenizer_model(tmp_path, name):
    data, kind, words = PROTO[name]
    F.write_hugging_face(tmp_path / "hf", W, SHAPE)
    (tmp_path / "hf" / "tokenizer.model").write_bytes(data)
    refused(tmp_path / "hf", kind, words)


# Meta's zip and pickle

META = F.meta_tensors(W, SHAPE)
FIRST = next(iter(META))


def changed(old: bytes, new: bytes, data=None) -> bytes:
    data = F.pth(META) if data is None else data
    assert old in data
    return data.replace(old, new)


def tensors(**change):
    """The state dict with the first tensor described otherwise."""
    ready = {n: F._Tensor(str(i), "FloatStorage", x.size, x.shape) for i, (n, x) in enumerate(META.items())}
    for key, value in change.items():
        target = ready[FIRST].storage if key in ("key", "count", "kind") else ready[FIRST]
        setattr(target, key, value)
    return F.pth(META, pickled=F.state_dict(ready))


def op(body: bytes):
    return F.pth(META, pickled=b"\x80\x02" + body)


def end_record(**change):
    data = bytearray(F.pth(META))
    at = data.rindex(b"PK\5\6")
    for offset, form, value in change.values():
        struct.pack_into("<" + form, data, at + offset, value)
    return bytes(data)


def entry(offset, form, value, index=0):
    data = bytearray(F.pth(META))
    at = -1
    for _ in range(index + 1):
        at = data.index(b"PK\1\2", at + 1)
    struct.pack_into("<" + form, data, at + offset, value)
    return bytes(data)


class Evil:
    def __reduce__(self):
        return print, ("this must never run",)


class EvilSystem:
    def __reduce__(self):
        import os

        return os.system, ("touch /tmp/llama2swift-was-fooled",)


def twice():
    out = io.BytesIO()
    import warnings

    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("x/data.pkl", F.state_dict(META))
        archive.writestr("x/data.pkl", F.state_dict(META))
    return out.getvalue()


def bomb():
    """Tuples of tuples, each twice the one before: 2^60 elements for whoever walks them."""
    body = b")q\0"
    for i in range(60):
        body += b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x86q" + bytes([i + 1])
    return op(body + b".")


ZIP = {
    "no zip": (b"not a zip at all", UNSUPPORTED, "no zip"),
    "empty": (b"", UNSUPPORTED, "no zip"),
    "only a signature": (b"PK\3\4", CORRUPT, "directory"),
    "cut": (F.pth(META)[:-30], CORRUPT, "directory"),
    "compressed": (F.pth(META, compression=zipfile.ZIP_DEFLATED), UNSUPPORTED, "compressed"),
    "directory beyond the file": (end_record(a=(16, "I", 2**31)), CORRUPT, "directory"),
    "directory size beyond": (end_record(a=(12, "I", 2**31)), CORRUPT, "directory"),
    "a million entries": (end_record(a=(10, "H", 65535)), CORRUPT, "directory"),
    "one entry more": (end_record(a=(10, "H", len(META) + 4)), CORRUPT, "zip"),
    "encrypted": (entry(8, "H", 1), UNSUPPORTED, "encrypted"),
    "entry outside": (entry(42, "I", 2**31), CORRUPT, "outside of the file"),
    "entry without header": (entry(42, "I", 1), CORRUPT, "no header"),
    "entry longer than the file": (entry(20, "II".replace("II", "Q"), 0x7FFFFFFF7FFFFFFF), CORRUPT, "beyond the directory"),
    "sizes disagree": (entry(20, "I", 5), UNSUPPORTED, "compressed"),
    "entries overlap": (entry(42, "I", 0, index=1), CORRUPT, "overlap"),
    "zip64 without its field": (entry(20, "Q", 2**64 - 1), CORRUPT, "beyond the directory"),
    "name beyond the directory": (entry(28, "H", 65535), CORRUPT, "zip entry"),
    "no data.pkl": (changed(b"data.pkl", b"atad.pkl"), CORRUPT, "data.pkl"),
    "entry twice": (twice(), CORRUPT, "twice"),
    "big-endian": (changed(b"little", b"big!!!"), UNSUPPORTED, "byte order"),
    "storage missing": (tensors(key="99"), CORRUPT, "missing"),
    "storage named with a path": (tensors(key="../data.pkl"), CORRUPT, "missing"),
    "storage shorter than said": (tensors(count=4096), CORRUPT, "bytes are there"),
    "storage count 2^62": (tensors(count=2**62), CORRUPT, "63 bits"),
    "storage of doubles": (tensors(kind="DoubleStorage"), CORRUPT, "storage of 2048 weights, but 8192 bytes"),
    "strides outside of storage": (tensors(strides=(10**6, 1)), CORRUPT, "of a storage of 2048"),
    "strides whose product wraps": (tensors(strides=(2**62, 2**62)), CORRUPT, "does not fit 63 bits"),
    "offset beyond storage": (tensors(offset=1), CORRUPT, "takes weights"),
    "offset 2^62": (tensors(offset=2**62), CORRUPT, "takes weights"),
    "offset negative": (tensors(offset=-1), CORRUPT, "arguments"),
    "shape negative": (tensors(shape=(-64, 32), strides=(32, 1)), CORRUPT, "arguments"),
    "shape 0": (tensors(shape=(0, 32), strides=(32, 1)), CORRUPT, "length 0"),
    "shape whose product wraps": (tensors(shape=(2**40, 2**40), strides=(2**40, 1)), CORRUPT, "63 bits"),
    "shape and strides disagree": (tensors(shape=(64, 32), strides=(1,)), CORRUPT, "arguments"),
    "calls print": (F.pth(META, pickled=pickle.dumps({"a": Evil()}, 2)), UNSUPPORTED, "print"),
    "calls the shell": (F.pth(META, pickled=pickle.dumps({"a": EvilSystem()}, 2)), UNSUPPORTED, "system"),
    "calls the shell, protocol 4": (F.pth(META, pickled=pickle.dumps({"a": EvilSystem()}, 4)), UNSUPPORTED, "system"),
    "pickle empty": (F.pth(META, pickled=b""), CORRUPT, "pickle instruction"),
    "pickle without end": (op(b"}"), CORRUPT, "pickle instruction"),
    "stack underflow": (op(b"0."), CORRUPT, "stack is empty"),
    "underflow by tuple": (op(b"N\x87."), CORRUPT, "stack is empty"),
    "no mark": (op(b"}Nu."), CORRUPT, "no mark"),
    "members of nothing": (op(b"N(NNu."), CORRUPT, "no dictionary"),
    "odd members": (op(b"}(Nu."), CORRUPT, "no dictionary"),
    "memo never written": (op(b"h\5."), CORRUPT, "never written"),
    "memo of nothing": (op(b"q\0."), CORRUPT, "stack is empty"),
    "memo bomb": (bomb(), CORRUPT, "no dictionary"),
    "call of a number": (op(b"K\1)R."), CORRUPT, "no function"),
    "dictionary with arguments": (op(b"ccollections\nOrderedDict\nK\1\x85R."), CORRUPT, "arguments"),
    "persistent id of a number": (op(b"K\1Q."), CORRUPT, "no storage"),
    "integer of 200 bytes": (op(b"\x8a\xc8" + bytes(200) + b"."), CORRUPT, "integer"),
    "text beyond the pickle": (op(b"X\xff\xff\xff\x7fabc"), CORRUPT, "text"),
    "text not UTF-8": (op(b"X\2\0\0\0\xff\xfe."), CORRUPT, "UTF-8"),
    "name of a global without end": (op(b"c" + b"a" * 1000), CORRUPT, "256"),
    "list": (op(b"]."), UNSUPPORTED, "instruction 0x5d"),
    "build class": (op(b"\x81."), UNSUPPORTED, "instruction 0x81"),
    "inst": (op(b"ios\nsystem\n."), UNSUPPORTED, "instruction 0x69"),
    "result is no dictionary": (op(b"K\1."), CORRUPT, "no dictionary"),
    "members that are no tensors": (op(b"}X\1\0\0\0aK\1s."), CORRUPT, "no tensor"),
    "no tensors": (op(b"}."), CORRUPT, "no tensors"),
}


@pytest.mark.parametrize("name", ZIP)
def test_meta(tmp_path, name):
    data, kind, words = ZIP[name]
    F.write_meta(tmp_path / "m", W, SHAPE)
    (tmp_path / "m" / "consolidated.00.pth").write_bytes(data)
    refused(tmp_path / "m", kind, words)
    from pathlib import Path

    assert not Path("/tmp/llama2swift-was-fooled").exists()


def test_meta_shards_that_disagree(tmp_path):
    F.write_meta(tmp_path / "m", W, SHAPE, shards=2)
    second = tmp_path / "m" / "consolidated.01.pth"
    good = second.read_bytes()
    second.write_bytes(F.pth({n: x for n, x in META.items() if "wq" not in n}))
    refused(tmp_path / "m", CORRUPT, "other tensors")
    second.write_bytes(F.pth(META))
    refused(tmp_path / "m", CORRUPT, "another shape")
    second.unlink()  # one of two: the first alone has half of everything
    refused(tmp_path / "m", CORRUPT, "token_embd.weight")
    second.write_bytes(good)
    llama2swift.Model(tmp_path / "m")


PARAMS = {
    "empty": (b"", "byte"), "no object": (b"[]", "missing"), "dim missing": (json.dumps({"n_heads": 4}).encode(), "missing"),
    "dim 0": (json.dumps(F.params(SHAPE, dim=0)).encode(), "dim"), "heads negative": (json.dumps(F.params(SHAPE, n_heads=-1)).encode(), "n_heads"),
    "layers 2^40": (json.dumps(F.params(SHAPE, n_layers=2**40)).encode(), "n_layers"), "heads 3": (json.dumps(F.params(SHAPE, n_heads=3)).encode(), "multiple"),
}  # fmt: skip


@pytest.mark.parametrize("name", PARAMS)
def test_params(tmp_path, name):
    F.write_meta(tmp_path / "m", W, SHAPE)
    (tmp_path / "m" / "params.json").write_bytes(PARAMS[name][0])
    refused(tmp_path / "m", CORRUPT, PARAMS[name][1])


# llama2.c

NUMBERS = ["dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "seq_len"]


@pytest.mark.parametrize("value", [0, -1, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize("field", range(7))
def test_llama2c_header(tmp_path, version, field, value):
    data = bytearray(F.llama2c(W, version, SHAPE))
    struct.pack_into("<i", data, (8 if version else 0) + 4 * field, value)
    (tmp_path / "m.bin").write_bytes(data)
    if version == 0:  # without a magic number there is nothing to name
        refused(tmp_path / "m.bin", FORMAT, "no model")
    else:
        refused(tmp_path / "m.bin", CORRUPT, f"{NUMBERS[field]} of this llama2.c checkpoint is {value}")


@pytest.mark.parametrize("version", [0, 1, 2])
def test_llama2c_size(tmp_path, version):
    good = F.llama2c(W, version, SHAPE)
    for data in (good[:-1], good + b"\0", good[:28], good[:256], good[:300], good[: len(good) // 2]):
        (tmp_path / "m.bin").write_bytes(data)
        refused(tmp_path / "m.bin", *((CORRUPT, "checkpoint") if version and len(data) >= 4 else (FORMAT, "no model")))


def test_llama2c_version_and_group(tmp_path):
    for offset, value, kind, words in (
        (4, 3, UNSUPPORTED, "version 3"), (4, 0, UNSUPPORTED, "version 0"), (4, -1, UNSUPPORTED, "version -1"),
        (37, 0, CORRUPT, "group_size"), (37, 3, CORRUPT, "group_size"), (37, 64, CORRUPT, "group_size"), (37, -32, CORRUPT, "group_size"),
    ):  # fmt: skip
        data = bytearray(F.llama2c(W, 2, SHAPE))
        struct.pack_into("<i", data, offset, value)
        (tmp_path / "m.bin").write_bytes(data)
        refused(tmp_path / "m.bin", kind, words)


def test_memory_of_a_refusal_is_bounded(tmp_path):
    """Less than 64 MiB beyond the file, for the files that could cost most."""
    import subprocess
    import sys

    files = {
        "values": ("hf", "config.json", b"[" + b"0," * 3_000_000 + b"0]"), "objects": ("hf", "config.json", b"[" + b"{}," * 1_000_000 + b"0"),
        "strings": ("hf", "config.json", b"[" + b'"a",' * 1_000_000 + b"0"), "deep": ("hf", "config.json", b"[" * 5_000_000),
        "pickle": ("meta", "consolidated.00.pth", op(b"(" * 2_000_000)), "memo": ("meta", "consolidated.00.pth", bomb()),
    }  # fmt: skip
    for name, (folder, file, data) in files.items():
        F.write_hugging_face(tmp_path / "hf", W, SHAPE)
        F.write_meta(tmp_path / "meta", W, SHAPE)
        (tmp_path / folder / file).write_bytes(data)
        code = f"""
import llama2swift
def peak(): return int(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])
before = peak()
try: llama2swift.Model({str(tmp_path / folder)!r})
except llama2swift.Llama2Error: print(peak() - before)
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert int(done.stdout) < (64 << 10) + len(data) // 1024, name


# Everywhere: cut anywhere, and changed anywhere

FILES = {
    "safetensors": ("hf", "model.safetensors"), "config": ("hf", "config.json"), "tokenizer.model": ("hf", "tokenizer.model"),
    "pth": ("meta", "consolidated.00.pth"), "params": ("meta", "params.json"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_cut_or_changed_anywhere(tmp_path, name):
    folder, file = FILES[name]
    F.write_hugging_face(tmp_path / "hf", W, SHAPE)
    (tmp_path / "hf" / "tokenizer.model").write_bytes(F.sentencepiece_model(PIECES))
    F.write_meta(tmp_path / "meta", W, SHAPE)
    path = tmp_path / folder / file
    good, dice = path.read_bytes(), random.Random(name)
    llama2swift.Model(tmp_path / folder)
    refusals = 0
    head = min(len(good), 6000)
    for i in range(400):
        data = bytearray(good)
        if i % 4 == 0:
            del data[dice.randrange(len(data) if i % 8 else head) :]
        else:
            # the ends of a zip matter as much as the beginning
            for _ in range(dice.randint(1, 3)):
                at = dice.randrange(head)
                data[at if dice.random() < 0.6 else len(data) - 1 - at] = dice.choice([0, 255, dice.randrange(256)])
        path.write_bytes(data)
        try:
            model = llama2swift.Model(tmp_path / folder)
            with model.context(length=8, threads=1) as context:
                context.eval([1])
        except Llama2Error:
            refusals += 1
    assert refusals > 40
