"""What quantize, convert and importance write: no weight becomes infinite without a word."""

import struct

import formats as F
import numpy as np
import pytest
from tiny_gguf import shape_metadata, write_gguf

import llama2swift
from llama2swift.errors import CorruptFileError, FormatError, Llama2Error

SHAPE = dict(vocabulary=96, dim=256, layers=1, heads=8, heads_kv=4, hidden=512, base=10000.0)
WRITTEN = ["F16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K_S", "Q4_K_M", "Q5_K_S", "Q6_K"]
# what each type's largest scale reaches with F16's largest number
REACH = {"F16": 1, "Q4_0": 8, "Q5_0": 16, "Q8_0": 127, "BF16": 1e30, "F32": 1e30}


def model(path, value=None, row=3, column=5, tensor="blk.0.ffn_up", dtype="F32"):
    w = F.weights(SHAPE)
    if value is not None:
        w[tensor][row, column] = value
    if dtype == "BF16":
        return F.write_hugging_face(path, w, SHAPE, dtype="BF16")
    return F.write_gguf_model(path, w, SHAPE)


def write(source, target, type, **options):
    (llama2swift.convert if type in ("F16", "BF16", "F32") else llama2swift.quantize)(source, target, type, **options)


def finite(path):
    with llama2swift.Model(path).context(length=16) as context:
        context.eval([1, 5, 9])
        return bool(np.isfinite(context.logits()).all())


@pytest.mark.parametrize("dtype", ["F32", "BF16"])
@pytest.mark.parametrize("value", [1e5, -7e4, 3e6, -1e7, 1e20])
@pytest.mark.parametrize("type", [*WRITTEN, "BF16", "F32"])
def test_a_weight_beyond_the_type(tmp_path, type, value, dtype):
    source = model(tmp_path / "in", value, dtype=dtype)
    try:
        write(source, tmp_path / "out.gguf", type)
    except CorruptFileError as problem:
        assert type not in ("BF16", "F32")
        assert "blk.0.ffn_up.weight, row 3, column " in str(problem) and "would not be finite in" in str(problem)
        assert abs(value) > 65504 * REACH.get(type, 1) * 0.99
        assert not list(tmp_path.glob("out.gguf*"))
        write(source, tmp_path / "out.gguf", type, keep_wider=True)
    else:
        assert abs(value) < 65520 * REACH.get(type, 1e30)
    assert finite(tmp_path / "out.gguf") or abs(value) >= 1e20


def test_what_is_kept_wider_is_what_does_not_fit(tmp_path):
    source = model(tmp_path / "in", 1e5, dtype="BF16")
    write(source, tmp_path / "a.gguf", "Q4_1", keep_wider=True)
    write(source, tmp_path / "b.gguf", "F16", keep_wider=True)
    types = {t.name: t.type for t in llama2swift.Model(tmp_path / "b.gguf").tensors}
    assert types["blk.0.ffn_up.weight"] == "BF16"
    assert {t for n, t in types.items() if n != "blk.0.ffn_up.weight" and "norm" not in n} == {"F16"}
    model(tmp_path / "f.gguf", 1e5)
    write(tmp_path / "f.gguf", tmp_path / "c.gguf", "F16", keep_wider=True)
    assert {t.name: t.type for t in llama2swift.Model(tmp_path / "c.gguf").tensors}["blk.0.ffn_up.weight"] == "F32"
    # what fits is written as without
    model(tmp_path / "g.gguf")
    write(tmp_path / "g.gguf", tmp_path / "d.gguf", "Q4_K_M")
    write(tmp_path / "g.gguf", tmp_path / "e.gguf", "Q4_K_M", keep_wider=True)
    assert (tmp_path / "d.gguf").read_bytes() == (tmp_path / "e.gguf").read_bytes()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("type", ["F32", "F16", "BF16", "Q8_0", "Q4_K_M"])
@pytest.mark.parametrize("wider", [False, True])
def test_a_weight_that_is_no_number_is_refused_in_every_type(tmp_path, type, value, wider):
    source = model(tmp_path / "in.gguf", value)
    with pytest.raises(CorruptFileError, match="tensor blk.0.ffn_up.weight, row 3, column 5: .*not (a )?finite"):
        write(source, tmp_path / "out.gguf", type, keep_wider=wider)
    assert not list(tmp_path.glob("out.gguf*"))


@pytest.mark.parametrize("where", ["blk.0.attn_norm", "blk.0.attn_q.bias"])
def test_norms_and_biases_too(tmp_path, where):
    w = F.weights(SHAPE) | {"blk.0.attn_q.bias": np.zeros(256, "f4")}
    w[where][7] = np.nan
    write_gguf(tmp_path / "m.gguf", shape_metadata(**SHAPE), {(n if n.endswith("bias") else n + ".weight"): (0, x.shape[::-1], x.tobytes()) for n, x in w.items()})
    with pytest.raises(CorruptFileError, match=f"tensor {where}.* column 7"):
        write(tmp_path / "m.gguf", tmp_path / "out.gguf", "Q8_0")


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_row_is_named_whatever_the_threads(tmp_path, threads):
    w = F.weights(SHAPE)
    for row in (400, 17, 90):
        w["blk.0.ffn_gate"][row, row % 256] = 1e6
    F.write_gguf_model(tmp_path / "m.gguf", w, SHAPE)
    with pytest.raises(CorruptFileError, match="ffn_gate.weight, row 17, column 17: 1000000.0 would not"):
        write(tmp_path / "m.gguf", tmp_path / "out.gguf", "F16", threads=threads)


# Importance


MATRICES = [f"blk.0.{n}.weight" for n in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")]


def columns(name):
    return SHAPE["hidden"] if "ffn_down" in name else SHAPE["dim"]


def gguf_matrix(path, values, count=1.0):
    tensors = {}
    for name, x in values.items():
        tensors[name + ".in_sum2"] = (0, (len(x), 1), np.asarray(x, "<f4").tobytes())
        tensors[name + ".counts"] = (0, (1, 1), np.float32(count).tobytes())
    write_gguf(path, {"general.type": "imatrix"}, tensors)
    return path


def older_matrix(path, values, calls=1, tail=struct.pack("<ii", 5, 4) + b"text"):
    out = struct.pack("<i", len(values))
    for name, x in values.items():
        raw = name.encode()
        out += struct.pack("<i", len(raw)) + raw + struct.pack("<ii", calls, len(x)) + np.asarray(x, "<f4").tobytes()
    path.write_bytes(out + tail)
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return model(tmp_path_factory.mktemp("importance") / "m.gguf")


def uneven(name, factor=1.0):
    return factor * (1 + np.arange(columns(name)) % 13).astype("f4")


@pytest.mark.parametrize("type", ["Q4_K_M", "Q2_K", "Q6_K"])
def test_both_forms_give_the_same_file(tmp_path, source, type):
    new = gguf_matrix(tmp_path / "i.gguf", {n: uneven(n, 4) for n in MATRICES}, count=4)
    old = older_matrix(tmp_path / "imatrix.dat", {n: uneven(n, 2) for n in MATRICES}, calls=2)
    bare = older_matrix(tmp_path / "bare.dat", {n: uneven(n, 2) for n in MATRICES}, calls=2, tail=b"")
    made = []
    for matrix in (new, old, bare, None):
        llama2swift.quantize(source, tmp_path / "q.gguf", type, importance=matrix)
        made.append((tmp_path / "q.gguf").read_bytes())
    assert made[0] == made[1] == made[2] != made[3]


@pytest.mark.parametrize("factor", [1e-30, 2.0**60, 2.0**100, 2.0**124])
def test_only_the_ratios_of_importance_count(tmp_path, source, factor):
    """Whatever floats hold is followed: an enormous factor changes nothing."""
    for f, name in ((1.0, "a"), (factor, "b")):
        llama2swift.quantize(source, tmp_path / f"{name}.gguf", "Q4_K_M", importance=gguf_matrix(tmp_path / "i.gguf", {n: uneven(n, f) for n in MATRICES}))
    logits = []
    for name in "ab":
        with llama2swift.Model(tmp_path / f"{name}.gguf").context(length=8) as context:
            context.eval([1, 5, 9])
            logits.append(context.logits().copy())
    assert np.corrcoef(*logits)[0, 1] > 0.99


def put(raw, at, form, value):
    return raw[:at] + struct.pack(form, value) + raw[at + struct.calcsize(form) :]


GOOD = struct.pack("<ii", 1, 19) + b"blk.0.attn_q.weight" + struct.pack("<ii", 2, 256) + np.ones(256, "<f4").tobytes()
OLDER = {
    "empty": (b"", FormatError, "no importance matrix"),
    "no matrices": (put(GOOD, 0, "<i", 0), FormatError, "no importance matrix"),
    "a negative number of matrices": (put(GOOD, 0, "<i", -1), FormatError, "no importance matrix"),
    "more matrices than bytes": (put(GOOD, 0, "<i", 60000), FormatError, "no importance matrix"),
    "two of one": (put(GOOD, 0, "<i", 2), CorruptFileError, "matrix 1"),
    "a name of no length": (put(GOOD, 4, "<i", 0), CorruptFileError, "name of matrix 0 is 0"),
    "a name beyond the file": (put(GOOD, 4, "<i", 4000), CorruptFileError, "name of matrix 0"),
    "no calls": (put(GOOD, 27, "<i", 0), CorruptFileError, "calls of blk.0.attn_q.weight is 0"),
    "negative columns": (put(GOOD, 31, "<i", -5), CorruptFileError, "columns of blk.0.attn_q.weight is -5"),
    "columns beyond the file": (put(GOOD, 31, "<i", 1 << 20), CorruptFileError, "sums of blk.0.attn_q.weight"),
    "not a number": (put(GOOD, 35, "<f", float("nan")), CorruptFileError, "column 0 of blk.0.attn_q.weight is nan"),
    "negative": (put(GOOD, 39, "<f", -1.0), CorruptFileError, "column 1 of blk.0.attn_q.weight is -1"),
    "cut": (GOOD[:-1], CorruptFileError, "sums of blk.0.attn_q.weight"),
    "something behind": (GOOD + struct.pack("<ii", 5, 4) + b"text!", CorruptFileError, "1 bytes follow"),
    "a text beyond the file": (GOOD + struct.pack("<ii", 5, 40) + b"text", CorruptFileError, "name of the text"),
    "another model's": (GOOD.replace(b"blk.0", b"blk.9"), CorruptFileError, "blk.9.attn_q.weight is no tensor"),
    "other columns": (put(GOOD, 31, "<i", 255)[:-4], CorruptFileError, "has 255 columns, the model's has 256"),
}


@pytest.mark.parametrize("name", OLDER)
def test_an_older_matrix_that_lies(tmp_path, source, name):
    content, kind, words = OLDER[name]
    (tmp_path / "imatrix.dat").write_bytes(content)
    with pytest.raises(Llama2Error, match=words) as problem:
        llama2swift.quantize(source, tmp_path / "q.gguf", "Q4_K_M", importance=tmp_path / "imatrix.dat")
    assert isinstance(problem.value, kind)
    assert not list(tmp_path.glob("q.gguf*"))


def test_a_matrix_file_with_something_else_in_it(tmp_path, source):
    write_gguf(
        tmp_path / "i.gguf", {"general.type": "imatrix"},
        {"blk.0.attn_q.weight.in_sum2": (0, (256, 1), np.ones(256, "<f4").tobytes()), "blk.0.attn_q.weight.counts": (0, (1, 1), np.float32(1).tobytes()), "x": (0, (1,), bytes(4))},
    )  # fmt: skip
    with pytest.raises(Llama2Error, match="tensor x is neither"):
        llama2swift.quantize(source, tmp_path / "q.gguf", "Q4_K_M", importance=tmp_path / "i.gguf")


def test_importance_that_would_be_infinite_is_not_written(tmp_path):
    w = F.weights(SHAPE)
    w["blk.0.attn_norm"][:] = 1e25  # the square of an input of the matrices is beyond floats
    F.write_gguf_model(tmp_path / "m.gguf", w, SHAPE)
    with llama2swift.Model(tmp_path / "m.gguf").context(length=16, kv="f32") as context:
        with pytest.raises(Llama2Error):
            context.importance(list(range(1, 17)), tmp_path / "i.gguf", window=8)
    assert not list(tmp_path.glob("i.gguf*"))
