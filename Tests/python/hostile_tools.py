"""A good GGUF file in bytes, and its parts with lies in them."""

import struct

import pytest
from tiny_gguf import _string, random_model, tensor_shapes

from llama2swift.errors import CorruptFileError, FormatError, UnsupportedError

SHAPE = dict(vocabulary=300, dim=32, layers=1, heads=4, heads_kv=2, hidden=32)
TOKENS = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), *(f"t{i}" for i in range(41))]
VOCABULARY = {
    "tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": TOKENS, "tokenizer.ggml.scores": [float(-i) for i in range(300)],
    "tokenizer.ggml.token_type": [2, 3, 3, *([6] * 256), *([1] * 41)], "tokenizer.ggml.bos_token_id": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("hostile") / "good.gguf"
    random_model(path, metadata=VOCABULARY, **SHAPE)
    return path.read_bytes()


def header(tensors=0, keys=0, version=3, magic=b"GGUF"):
    return magic + struct.pack("<IQQ", version, tensors, keys)


def key(name, kind, payload=b""):
    return _string(name) + struct.pack("<I", kind) + payload


def tensor(name, *shape, kind=0, offset=0, dimensions=None):
    return _string(name) + struct.pack(f"<I{len(shape)}QIQ", dimensions or len(shape), *shape, kind, offset)


def u64(n):
    return struct.pack("<Q", n)


def one_tensor(*arguments, data=bytes(4096), keys=b"", count=0, **options):
    return header(1, count) + keys + tensor(*arguments, **options) + data


def one_key(payload, tail=bytes(64)):
    return header(0, 1) + payload + tail


def alignment(n):
    return dict(keys=key("general.alignment", 4, struct.pack("<I", n)), count=1)


FORMAT, CORRUPT, UNSUPPORTED = FormatError, CorruptFileError, UnsupportedError


def without(*names):
    return lambda m, t: [m.pop(n, None) or t.pop(n, None) for n in names]


def setting(**values):
    def change(m, t):
        for name, value in values.items():
            m[name.replace("__", ".")] = value

    return change


def reshape(name, shape, kind=0):
    def change(m, t):
        size = {0: 4, 1: 2, 2: 18 / 32, 6: 22 / 32}[kind]
        count = 1
        for d in shape:
            count *= d
        t[name + ".weight"] = (kind, shape, bytes(int(count * size)))

    return change


L, A, R, T = "llama__", "llama__attention__", "llama__rope__", "tokenizer__ggml__"


def write_changed(path, change):
    from tiny_gguf import shape_metadata, write_gguf

    metadata = shape_metadata(**SHAPE) | VOCABULARY
    shapes = tensor_shapes(metadata, SHAPE["vocabulary"])
    tensors = {n + ".weight": (0, s[::-1], b"\0\0\x80\x3f" * (s[0] * (s[1] if len(s) > 1 else 1))) for n, s in shapes.items()}
    change(metadata, tensors)
    write_gguf(path, metadata, tensors)
