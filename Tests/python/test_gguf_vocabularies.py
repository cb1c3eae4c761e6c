"""Vocabularies of GGUF files as llama.cpp reads them: names that overlap, types, texts that two tokens have."""

import random

import pytest
from tiny_gguf import random_model, write_gguf

import llama2swift
from llama2swift.errors import CorruptFileError

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = range(1, 7)
MODEL = {
    "general.architecture": "llama", "llama.context_length": 64, "llama.embedding_length": 8, "llama.block_count": 1, "llama.feed_forward_length": 8,
    "llama.attention.head_count": 1, "llama.attention.layer_norm_rms_epsilon": 1e-5, "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2,
}  # fmt: skip


def vocabulary(path, further, **metadata):
    """SentencePiece's with bytes and the tokens (text, type, score)."""
    rows = [("<unk>", UNKNOWN, 0.0), ("<s>", CONTROL, 0.0), ("</s>", CONTROL, 0.0), *((f"<0x{b:02X}>", BYTE, 0.0) for b in range(256)), *further]
    names, types, scores = map(list, zip(*rows))
    write_gguf(path, MODEL | {
        "tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": names, "tokenizer.ggml.token_type": types, "tokenizer.ggml.scores": scores,
        "llama.vocab_size": len(names), "tokenizer.ggml.add_space_prefix": False, **metadata,
    }, {})  # fmt: skip
    return llama2swift.Model(path), names


def pieces(model, names, text, special=True):
    return [names[t] for t in model.tokenize(text, special=special)]


def in_turn(names, text, strips=frozenset()):
    """What llama.cpp finds: each name in all of what is left of the text, one after the other, the longest first."""
    runs = [text]
    for name in sorted(names, key=len, reverse=True):
        out = []
        for run in runs:
            while isinstance(run, str) and name in run:
                before, run = run.split(name, 1)
                out += [before, (name,)]
                run = run.lstrip(" \t\n\v\f\r") if name in strips else run
            out.append(run)
        runs = [r for r in out if r]
    return runs


# llama.cpp's own answers (src/llama-vocab.cpp, tokenizer_st_partition)
OVERLAPS = {
    "the longer one on the right": (["<aZ", "Z<bbb"], "<aZ<bbb", ["<0x3C>", "<0x61>", "Z<bbb"]),
    "one within another": (["<aZbZ>", "ZbZ"], "<aZbZ>ZbZ", ["<aZbZ>", "ZbZ"]),
    "the rest of a shorter one": (["ZaZaZ", "aZ"], "aZaZaZaZ", ["<0x61>", "ZaZaZ", "aZ"]),
}  # fmt: skip


@pytest.mark.parametrize("name", OVERLAPS)
def test_of_names_that_overlap_the_longest_counts(tmp_path, name):
    given, text, expected = OVERLAPS[name]
    model, names = vocabulary(tmp_path / "m.gguf", [(n, CONTROL, 0.0) for n in given])
    assert pieces(model, names, text) == expected


@pytest.mark.parametrize("seed", range(12))
def test_many_names_that_overlap(tmp_path, seed):
    dice = random.Random(seed)
    given = {"".join(dice.choice("ab<") for _ in range(n)) for n in range(2, 9)}  # one of each length: what comes first of two is not said
    strips = seed % 3 == 0
    more = {"general.name": "Phi-3 mini"} if strips else {}
    model, names = vocabulary(tmp_path / "m.gguf", [("▁", NORMAL, 0.0), *((n, CONTROL, 0.0) for n in given)], **more)
    for _ in range(200):
        text = "".join(dice.choice(["a", "b", "<", " ", *given]) for _ in range(dice.randint(1, 30)))
        found = [n for n in pieces(model, names, text) if n in given]
        assert found == [r[0] for r in in_turn(given, text, given if strips else ()) if isinstance(r, tuple)], text
        assert b"".join(model.piece(t, special=True) for t in model.tokenize(text, special=True)) == text.encode() or strips


def test_a_text_full_of_names_takes_its_length(tmp_path):
    model, names = vocabulary(tmp_path / "m.gguf", [("a" * n, CONTROL, 0.0) for n in (2, 3, 5, 64, 1000)] + [("a" * 999 + "b", CONTROL, 0.0)])
    found = [len(n) for n in pieces(model, names, "a" * 60_123)]
    assert found == [1000] * 60 + [64] + [5] * 11 + [3, len("<0x61>")]


def test_an_unused_token_is_whole_and_one_of_no_type_has_a_text_if_texts_have_it(tmp_path):
    rows = [("a", NORMAL, 0.0), ("b", NORMAL, 0.0), ("ab", UNUSED, 5.0), ("aab", 0, 6.0), ("q", UNUSED, 0.0), ("<pad>", 0, 0.0)]
    model, names = vocabulary(tmp_path / "m.gguf", rows)
    assert pieces(model, names, "bab") == ["b", "ab"] and pieces(model, names, "aab") == ["aab"]
    assert model.detokenize(model.tokenize("aabbab")) == "aabbab"


@pytest.mark.parametrize(
    "rows", [[("a", NORMAL, 0.0), ("a", NORMAL, 1.0)], [("Za", CONTROL, 0.0), ("Za", USER, 0.0)], [("Za", CONTROL, 0.0), ("Za", NORMAL, 0.0)], [("<0x41>", BYTE, 0.0)]],
)  # fmt: skip
def test_two_tokens_of_one_text_are_refused(tmp_path, rows):
    with pytest.raises(CorruptFileError, match="tokens [0-9]+ and [0-9]+ have the same text"):
        vocabulary(tmp_path / "m.gguf", rows)


@pytest.mark.parametrize("types", [[NORMAL] * 3, [7], [-1]])
def test_types_that_are_none_are_refused(tmp_path, types):
    with pytest.raises(CorruptFileError, match="types"):
        vocabulary(tmp_path / "m.gguf", [("a", NORMAL, 0.0)], **{"tokenizer.ggml.token_type": [NORMAL] * (259 if len(types) == 1 else 200) + types})


@pytest.mark.parametrize("kind", [0, 24])  # F32; I8, which nobody needs of such a name
def test_a_tensor_that_is_there_twice_is_refused(tmp_path, kind):
    metadata, weights = random_model(tmp_path / "m.gguf", vocabulary=8, dim=8, layers=1, heads=1, heads_kv=1, hidden=8)
    tensors = {n + ".weight": (0, w.shape[::-1], w.tobytes()) for n, w in weights.items()}
    tensors |= {f"blk.0.attn_rot_emb{c}": (kind, (32,), bytes(32 * (4 if kind == 0 else 1))) for c in "de"}
    write_gguf(tmp_path / "m.gguf", metadata, tensors)
    (tmp_path / "m.gguf").write_bytes((tmp_path / "m.gguf").read_bytes().replace(b"attn_rot_embe", b"attn_rot_embd"))
    with pytest.raises(CorruptFileError, match="appears twice"):
        llama2swift.Model(tmp_path / "m.gguf")


def test_a_key_that_is_there_twice_is_refused(tmp_path):
    random_model(tmp_path / "m.gguf", vocabulary=8, dim=8, layers=1, heads=1, heads_kv=1, hidden=8, metadata={"llama.rope.freq_basf": 1.0})
    raw = (tmp_path / "m.gguf").read_bytes().replace(b"freq_basf", b"freq_base")
    (tmp_path / "m.gguf").write_bytes(raw)
    with pytest.raises(CorruptFileError, match="llama.rope.freq_base appears twice"):
        llama2swift.Model(tmp_path / "m.gguf")
