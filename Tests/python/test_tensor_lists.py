"""GGUF tensors: each is used, known to be of no use, or refused by name; alignments; files with a vocabulary and no weights."""

import formats as F
import numpy as np
import pytest
from tiny_gguf import shape_metadata, write_gguf

import llama2swift
from llama2swift.errors import CorruptFileError, UnsupportedError

SHAPE = dict(F.SHAPE)
W = F.weights(SHAPE)
KEYS = shape_metadata(**SHAPE)
TENSORS = {n + ".weight": (0, x.shape[::-1], x.tobytes()) for n, x in W.items()}
TOKENS = [1, 5, 9, 3, 7]


def load(tmp_path, extra, **options):
    write_gguf(tmp_path / "m.gguf", KEYS, TENSORS | extra, **options)
    return llama2swift.Model(tmp_path / "m.gguf")


def logits(model, **options):
    with model.context(length=16, kv="f32", **options) as context:
        context.eval(TOKENS)
        return context.logits().copy()


@pytest.mark.parametrize(
    "name",
    ["blk.0.attn_q_norm.weight", "blk.0.attn_sub_norm.weight", "output.bias", "blk.2.attn_q.weight", "blk.0.attn_q.scale", "rope_factors_long.weight",
     "blk.0.attn_q.weight.lora_a", "blk.00.attn_q.weight", "blk.-1.attn_q.weight", "blk.1.attn_norm.bias", "token_embd_norm.weight", "token_types.weight",
     "blk.0.ffn_gate_inp.weight", "blk.0.attn_qkv.weight", "blk.0.attn_qkv.bias", "blk..attn_q.weight", "blk.0", "cls.weight", "blk.0.attn_q.weight\u0301"],
)  # fmt: skip
def test_a_tensor_that_a_llama_does_not_have_is_refused(tmp_path, name):
    with pytest.raises(UnsupportedError) as problem:
        load(tmp_path, {name: (0, (64,), np.ones(64, "<f4").tobytes())})
    assert name in str(problem.value)


@pytest.mark.parametrize("has_biases", [False, True])
def test_queries_keys_and_values_may_be_one_tensor(tmp_path, has_biases):
    """As llama.cpp reads it (create_tensor_qkv): their rows one behind the other; beside it biases of each, or one of all."""
    alone, fused, rows = dict(TENSORS), dict(TENSORS), [SHAPE["dim"], 32, 32]
    for layer in range(SHAPE["layers"]):
        names = [f"blk.{layer}.attn_{x}.weight" for x in "qkv"]
        matrix = np.concatenate([np.frombuffer(fused.pop(n)[2], "<f4").reshape(-1, SHAPE["dim"]) for n in names])
        assert matrix.shape == (sum(rows), SHAPE["dim"])
        fused[f"blk.{layer}.attn_qkv.weight"] = (0, matrix.shape[::-1], matrix.tobytes())
        if has_biases:
            bias = np.random.default_rng(layer).normal(size=sum(rows)).astype("<f4")
            for name, part in zip("qkv", np.split(bias, np.cumsum(rows)[:2])):
                alone[f"blk.{layer}.attn_{name}.bias"] = (0, part.shape, part.tobytes())
            if layer == 0:
                fused["blk.0.attn_qkv.bias"] = (0, bias.shape, bias.tobytes())
            else:
                fused |= {n: t for n, t in alone.items() if n.startswith(f"blk.{layer}.") and n.endswith(".bias")}
    found = []
    for name, tensors in (("alone", alone), ("fused", fused)):
        write_gguf(tmp_path / f"{name}.gguf", KEYS, tensors)
        llama2swift.convert(tmp_path / f"{name}.gguf", tmp_path / f"{name}.Q8_0.gguf", "Q8_0")
        found += [logits(llama2swift.Model(tmp_path / f"{name}{kind}.gguf")).tobytes() for kind in ("", ".Q8_0")]
    assert found[:2] == found[2:]


def test_a_fused_tensor_of_other_rows_is_refused(tmp_path):
    for shape in ((64, 96), (64,), (64, 128, 2)):
        with pytest.raises(UnsupportedError, match="blk.0.attn_qkv.weight"):
            load(tmp_path, {"blk.0.attn_qkv.weight": (0, shape, bytes(4 * int(np.prod(shape))))})
    for shape in ((128,), (64, 128)):
        with pytest.raises((UnsupportedError, CorruptFileError), match="blk.0.attn_q"):
            load(tmp_path, {"blk.0.attn_qkv.weight": (0, shape, bytes(4 * int(np.prod(shape))))})


@pytest.mark.parametrize("kind", [0, 1, 24, 26, 28, 30, 39, 12345])
def test_a_tensor_that_is_of_no_use_may_be_of_any_type(tmp_path, kind):
    model = load(tmp_path, {"blk.0.attn_rot_embd.weight": (kind, (64,), bytes(512))})
    assert logits(model).tobytes() == logits(load(tmp_path, {})).tobytes()


@pytest.mark.parametrize("kind, word", [(24, "I8"), (28, "F64"), (39, "MXFP4"), (31, "31"), (2**32 - 1, "4294967295")])
def test_any_other_tensor_of_such_a_type_is_refused_by_name(tmp_path, kind, word):
    with pytest.raises(UnsupportedError, match=f"blk.0.attn_q.bias has type number .*{word}"):
        load(tmp_path, {"blk.0.attn_q.bias": (kind, (64,), bytes(512))})


@pytest.mark.parametrize("alignment", [1, 2, 4, 8, 16, 32, 64, 4096])
def test_every_alignment_gives_the_same_bits(tmp_path, alignment):
    plain = logits(load(tmp_path, {}))
    bias = {"blk.0.attn_q.bias": (1, (64,), np.zeros(64, "<f2").tobytes())}  # an odd number of halves would move what follows
    shifted = {"blk.1.attn_v.bias": (1, (32,), np.zeros(32, "<f2").tobytes())}
    write_gguf(tmp_path / "a.gguf", KEYS | {"general.alignment": alignment, "general.name": "x" * 3}, bias | TENSORS | shifted, alignment=alignment)
    for kernels in llama2swift.kernels_available():
        assert logits(llama2swift.Model(tmp_path / "a.gguf"), kernels=kernels).tobytes() == plain.tobytes()


@pytest.mark.parametrize("alignment", [1, 8, 64, 4096])
@pytest.mark.parametrize("type", ["F32", "F16", "Q8_0"])
def test_what_is_written_does_not_depend_on_the_alignment_that_was_read(tmp_path, alignment, type):
    made = []
    for a in (32, alignment):
        write_gguf(tmp_path / "in.gguf", KEYS | {"general.alignment": a}, TENSORS, alignment=a)
        llama2swift.quantize(tmp_path / "in.gguf", tmp_path / "out.gguf", type)
        assert "general.alignment" not in llama2swift.Model(tmp_path / "out.gguf").metadata
        made.append((tmp_path / "out.gguf").read_bytes())
    assert made[0] == made[1]


def test_weights_between_two_floats_in_memory(tmp_path):
    write_gguf(tmp_path / "m.gguf", KEYS | {"general.alignment": 1}, TENSORS, alignment=1)
    plain = logits(load(tmp_path, {}))
    write_gguf(tmp_path / "m.gguf", KEYS | {"general.alignment": 1}, TENSORS, alignment=1)
    assert logits(llama2swift.Model.from_bytes((tmp_path / "m.gguf").read_bytes())).tobytes() == plain.tobytes()


VOCABULARY = {
    "tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), "\u2581", "a", "\u2581a"],
    "tokenizer.ggml.scores": [0.0] * 259 + [-1.0, -2.0, -3.0], "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256 + [1] * 3,
    "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2,
}  # fmt: skip


@pytest.mark.parametrize("keys", [KEYS, {"general.architecture": "gpt2"}, {}], ids=["with hyperparameters", "of another architecture", "alone"])
def test_a_vocabulary_without_weights_tokenizes(tmp_path, keys):
    write_gguf(tmp_path / "v.gguf", keys | VOCABULARY, {})
    model = llama2swift.Model(tmp_path / "v.gguf")
    assert model.tokenize("a") == [261] and model.detokenize([261]) == "a"
    assert model.hyperparameters.vocabulary_size == 262 and model.hyperparameters.block_count == 0
    assert "262 tokens" in model.description
    for call in (
        lambda: model.context(length=8), lambda: llama2swift.quantize(tmp_path / "v.gguf", tmp_path / "q.gguf"),
        lambda: llama2swift.preflight(tmp_path / "v.gguf"), lambda: llama2swift.convert(tmp_path / "v.gguf", tmp_path / "q.gguf"),
    ):  # fmt: skip
        with pytest.raises(UnsupportedError, match="vocabulary and no weights"):
            call()
    assert not list(tmp_path.glob("q.gguf*"))


def test_no_vocabulary_and_no_weights_is_nothing(tmp_path):
    write_gguf(tmp_path / "v.gguf", {k: v for k, v in VOCABULARY.items() if not k.endswith("tokens")}, {})
    with pytest.raises(CorruptFileError, match="token_embd.weight is missing"):
        llama2swift.Model(tmp_path / "v.gguf")


def test_splits_count_what_they_announce(tmp_path):
    """split.tensors.count counts tensors that are of no use, too."""
    extra = {"blk.0.attn_rot_embd.weight": (28, (8,), bytes(64))}
    names = list(TENSORS)
    for i, part in enumerate((names[:9], names[9:])):
        keys = (KEYS if i == 0 else {}) | {"split.no": i, "split.count": 2, "split.tensors.count": len(names) + 1}
        write_gguf(tmp_path / f"m-{i + 1:05}-of-00002.gguf", keys, {n: TENSORS[n] for n in part} | (extra if i else {}))
    assert logits(llama2swift.Model(tmp_path / "m-00001-of-00002.gguf")).tobytes() == logits(load(tmp_path, {})).tobytes()
