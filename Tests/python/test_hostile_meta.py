"""Files of Meta and of llama2.c that lie: zip, pickle, params.json, headers."""

import io
import json
import pickle
import struct
import zipfile
from pathlib import Path

import formats as F
import pytest
from hostile_formats_tools import CORRUPT, FORMAT, SHAPE, UNSUPPORTED, W, refused

import llama2swift

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
