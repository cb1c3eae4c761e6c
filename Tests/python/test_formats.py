"""The same model in every format gives the same bits."""

import struct

import formats as F
import numpy as np
import pytest
from formats_tools import TOKENS, bin_file, logits
from tiny_gguf import shape_metadata, write_gguf

import llama2swift
from llama2swift.errors import UnsupportedError


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("formats")
    w = F.weights()
    return folder, w, logits(F.write_gguf_model(folder / "model.gguf", w))


WRITERS = {
    "Hugging Face": lambda d, w: F.write_hugging_face(d / "hf", w),
    "Hugging Face, 3 shards": lambda d, w: F.write_hugging_face(d / "hf3", w, shards=3),
    "Hugging Face, by its file": lambda d, w: F.write_hugging_face(d / "hf1", w) / "model.safetensors",
    "Meta": lambda d, w: F.write_meta(d / "meta", w),
    "Meta, 2 shards": lambda d, w: F.write_meta(d / "meta2", w, shards=2),
    "Meta, 4 shards, rows of the embedding": lambda d, w: F.write_meta(d / "meta4", w, shards=4, embedding_axis=0),
    "GGUF version 1": lambda d, w: gguf_v1(d / "v1.gguf", w),
}


def gguf_v1(path, w):
    """The first version has 32-bit counts and lengths."""
    text = lambda s: struct.pack("<I", len(s)) + s.encode()  # noqa: E731
    keys = shape_metadata(**F.SHAPE)
    head = struct.pack("<4sIII", b"GGUF", 1, len(w), len(keys))
    for k, v in keys.items():
        head += text(k) + (struct.pack("<I", 8) + text(v) if isinstance(v, str) else struct.pack("<IF".replace("F", "f"), 6, v) if isinstance(v, float) else struct.pack("<II", 4, v))
    offset = 0
    for n, x in w.items():
        head += text(n + ".weight") + struct.pack(f"<I{x.ndim}IIQ", x.ndim, *x.shape[::-1], 0, offset)
        offset += -(-x.nbytes // 32) * 32
    path.write_bytes(head + bytes(-len(head) % 32) + b"".join(x.tobytes() + bytes(-x.nbytes % 32) for x in w.values()))
    return path


@pytest.mark.parametrize("name", WRITERS)
def test_same_bits_in_every_format(world, name):
    folder, w, expected = world
    path = WRITERS[name](folder, w)
    assert np.array_equal(logits(path), expected), name


def test_zip64_and_other_roots(world, tmp_path):
    """Sizes in the zip64 field, a comment after the end, and the folder name that torch gives by default."""
    import io
    import zipfile

    folder, w, expected = world
    F.write_meta(tmp_path / "m", w)
    source, out = zipfile.ZipFile(tmp_path / "m" / "consolidated.00.pth"), io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in source.namelist():
            with archive.open(name.replace("consolidated", "archive"), "w", force_zip64=True) as entry:
                entry.write(source.read(name))
        archive.comment = b"a comment"
    raw = bytearray(out.getvalue())
    at = raw.index(b"PK\1\2")
    while at >= 0:  # the directory too says that sizes and offset are in the zip64 field
        size, name, extra, comment, header = *struct.unpack_from("<I", raw, at + 24), *struct.unpack_from("<HHH", raw, at + 28), *struct.unpack_from("<I", raw, at + 42)
        field = struct.pack("<HHQQQ", 1, 24, size, size, header)
        struct.pack_into("<II", raw, at + 20, 0xFFFFFFFF, 0xFFFFFFFF)
        struct.pack_into("<H", raw, at + 30, extra + len(field))
        struct.pack_into("<I", raw, at + 42, 0xFFFFFFFF)
        raw[at + 46 + name : at + 46 + name] = field
        end = raw.index(b"PK\5\6")
        struct.pack_into("<I", raw, end + 12, struct.unpack_from("<I", raw, end + 12)[0] + len(field))
        at = raw.find(b"PK\1\2", at + 46)
    (tmp_path / "m" / "consolidated.00.pth").write_bytes(raw)
    assert np.array_equal(logits(tmp_path / "m"), expected)


# llama2.c keeps neither the RoPE base nor a name; its base is 10000
C_SHAPE = F.SHAPE | {"base": 10000.0}


@pytest.mark.parametrize("version", [0, 1])
def test_llama2c_gives_the_same_bits(tmp_path, version):
    w = F.weights(C_SHAPE)
    expected = logits(F.write_gguf_model(tmp_path / "m.gguf", w, C_SHAPE))
    assert np.array_equal(logits(bin_file(tmp_path, w, version, shape=C_SHAPE)), expected)
    tied = {n: x for n, x in w.items() if n != "output"}
    expected = logits(F.write_gguf_model(tmp_path / "t.gguf", tied, C_SHAPE))
    assert np.array_equal(logits(bin_file(tmp_path, tied, version, shape=C_SHAPE)), expected)


@pytest.mark.parametrize("group", [32, 64])
def test_llama2c_version_2_is_its_weights_dequantized(tmp_path, group):
    shape = C_SHAPE | {"hidden": 128}
    w = F.weights(shape)
    path = bin_file(tmp_path, w, 2, shape=shape, group=group)
    for name, x in w.items():
        if x.ndim == 2:
            q, scale = F.quantize_groups(x, group)
            w[name] = (q.astype(np.float32) * scale[:, None]).reshape(x.shape)
    assert np.array_equal(logits(path), logits(F.write_gguf_model(tmp_path / "m.gguf", w, shape)))


@pytest.mark.parametrize("dtype, storage, kind", [("F16", "HalfStorage", 1), ("BF16", "BFloat16Storage", 30)])
def test_sixteen_bits(tmp_path, dtype, storage, kind):
    w = F.weights()
    rounded = lambda x: x.astype("<f2").astype(np.float32) if dtype == "F16" else (F.bf16(x).astype(np.uint32) << 16).view(np.float32)  # noqa: E731
    stored = {n: (0, x.shape, rounded(x).tobytes()) if x.ndim == 1 else (kind, x.shape[::-1], (x.astype("<f2") if kind == 1 else F.bf16(x)).tobytes()) for n, x in w.items()}
    write_gguf(tmp_path / "m.gguf", shape_metadata(**F.SHAPE), {n + ".weight": t for n, t in stored.items()})
    expected = logits(tmp_path / "m.gguf")
    assert np.array_equal(logits(F.write_hugging_face(tmp_path / "hf", w, dtype=dtype)), expected)
    assert np.array_equal(logits(F.write_meta(tmp_path / "meta", w, kind=storage, shards=2)), expected)


def test_tied_embeddings(tmp_path):
    w = F.weights(tied=True)
    assert np.array_equal(logits(F.write_hugging_face(tmp_path / "hf", w)), logits(F.write_gguf_model(tmp_path / "m.gguf", w)))


def test_linear_rope_scaling(tmp_path):
    w = F.weights()
    scaled = {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 2.0}
    expected = logits(F.write_gguf_model(tmp_path / "m.gguf", w, metadata=scaled))
    for key in ("type", "rope_type"):
        path = F.write_hugging_face(tmp_path / key, w, rope_scaling={key: "linear", "factor": 2.0})
        assert np.array_equal(logits(path), expected)
    assert np.array_equal(
        logits(F.write_hugging_face(tmp_path / "new", w, rope_scaling=None, rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 50000.0})), expected
    )


def test_dynamic_rope_scaling_is_none_within_the_trained_length_and_refused_beyond(tmp_path):
    w = F.weights()
    plain, scaling = F.write_hugging_face(tmp_path / "plain", w), {"rope_type": "dynamic", "factor": 2.0}
    folder = F.write_hugging_face(tmp_path / "dynamic", w, rope_scaling=scaling)
    assert np.array_equal(logits(folder), logits(plain))
    model = llama2swift.Model(folder)
    model.context(length=256).close()
    with pytest.raises(UnsupportedError, match="257.*dynamic.*256"):
        model.context(length=257)
    with pytest.raises(UnsupportedError, match="dynamic"):
        llama2swift.preflight(folder, 257)
    llama2swift.convert(folder, tmp_path / "m.gguf", "F32")
    assert np.array_equal(logits(tmp_path / "m.gguf"), logits(plain))


def test_llama3_rope_scaling_is_its_published_formula(tmp_path):
    shape = F.SHAPE | {"base": 500000.0}
    w, d = F.weights(shape), shape["dim"] // shape["heads"]
    frequency = 500000.0 ** -(np.arange(0, d, 2) / d)
    wave = 2 * np.pi / frequency
    smooth = (8192 / wave - 1) / 3
    factors = np.where(wave < 8192 / 4, 1, np.where(wave > 8192, 8, 1 / ((1 - smooth) / 8 + smooth))).astype("<f4")
    tensors = {n + ".weight": (0, x.shape[::-1], x.tobytes()) for n, x in w.items()}
    write_gguf(tmp_path / "m.gguf", shape_metadata(**shape), tensors | {"rope_freqs.weight": (0, (d // 2,), factors.tobytes())})
    scaling = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    assert np.array_equal(logits(F.write_hugging_face(tmp_path / "hf", w, shape, rope_scaling=scaling)), logits(tmp_path / "m.gguf"))
    assert np.array_equal(logits(F.write_meta(tmp_path / "meta", w, shape, use_scaled_rope=True)), logits(tmp_path / "m.gguf"))


def test_memory_and_descriptors(world, tmp_path):
    folder, w, expected = world
    path = folder / "model.gguf"

    def run(model):
        with model.context(kv="f32") as context:
            context.eval(TOKENS, all_logits=True)
            return np.array(context.logits())

    assert np.array_equal(run(llama2swift.Model.from_bytes(path.read_bytes())), expected)
    for copy in (False, True):
        with open(path, "rb") as file:
            file.read(100)  # wherever it stands
            model = llama2swift.Model.from_descriptor(file.fileno(), copy=copy)
        assert np.array_equal(run(model), expected)
    (tmp_path / "v1.bin").write_bytes(F.llama2c(F.weights(C_SHAPE), 1, C_SHAPE))
    model = llama2swift.Model.from_bytes((tmp_path / "v1.bin").read_bytes())  # without the vocabulary beside it
    with pytest.raises(llama2swift.errors.UnsupportedError):
        model.tokenize("a")
