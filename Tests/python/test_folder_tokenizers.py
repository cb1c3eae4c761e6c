"""Vocabularies of folders."""

import json
import shutil

import formats as F
import numpy as np
from conftest import rows, shared
from formats_tools import bin_file, logits

import llama2swift

# Tokenizers

TEXTS = ["Hello world", "  two spaces", "äöü 漢字 🎉", "line\nbreak", "a1234567 b", "don't", ""]


def test_sentencepiece_vocabulary_of_a_folder(tmp_path):
    """tokenizer.model beside Hugging Face's, Meta's and llama2.c's weights: the tokens are SentencePiece's own."""
    source = shared("llama2-tokenizer.model")
    lines = rows("llama2-tokens.jsonl.gz")[:100]
    shape = dict(vocabulary=32000, dim=32, layers=1, heads=2, heads_kv=1, hidden=32)
    w = F.weights(shape)
    hf, meta = F.write_hugging_face(tmp_path / "hf", w, shape), F.write_meta(tmp_path / "meta", w, shape)
    bin_file(tmp_path, w, 1, shape=shape)
    for folder in (hf, meta, tmp_path):
        shutil.copy(source, folder / "tokenizer.model")
    for path in (hf, meta, tmp_path / "v1.bin"):
        model = llama2swift.Model(path)
        assert model.special_tokens.bos == 1 and model.special_tokens.eos == 2
        assert [model.tokenize(r["text"]) for r in lines] == [r["ids"] for r in lines]


def byte_level_json(model) -> dict:
    """tokenizer.json of a model whose vocabulary is byte-level BPE."""
    import gguf_reader

    tokens, merges, types = gguf_reader.vocabulary(model)
    return {
        "added_tokens": [{"id": i, "content": t, "special": True} for i, t in enumerate(tokens) if types[i] == 3],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, {"type": "ByteLevel", "add_prefix_space": False}]},
        "model": {"type": "BPE", "vocab": {t: i for i, t in enumerate(tokens)}, "merges": merges},
    }  # fmt: skip


def test_byte_level_vocabulary_of_a_folder(tmp_path, smollm2, smollm2_path):
    shape = dict(vocabulary=49152, dim=32, layers=1, heads=2, heads_kv=1, hidden=32)
    folder = F.write_hugging_face(tmp_path / "hf", F.weights(shape), shape, eos_token_id=2)
    (folder / "tokenizer.json").write_text(json.dumps(byte_level_json(smollm2_path)))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<|im_start|>", "eos_token": {"content": "<|im_end|>"}, "chat_template": smollm2.metadata["tokenizer.chat_template"]}))
    model = llama2swift.Model(folder)
    assert [model.tokenize(t) for t in TEXTS] == [smollm2.tokenize(t) for t in TEXTS]
    lines = rows("smollm2-tokens.jsonl.gz")[:100]
    assert [model.tokenize(r["text"]) for r in lines] == [r["ids"] for r in lines]
    talk = [{"role": "user", "content": "Hi"}]
    assert model.chat_tokens(talk) == smollm2.chat_tokens(talk)


def byte_fallback_json(path) -> dict:
    """tokenizer.json as transformers makes it from a SentencePiece vocabulary: a merge for every way to cut a piece in
    two pieces, in the order of the scores."""
    pieces = F.sentencepiece_pieces(path.read_bytes())
    ids = {text: i for i, (text, _, _) in enumerate(pieces)}
    merges = sorted(
        (-score, ids[text], ids[text[:cut]], f"{text[:cut]} {text[cut:]}")
        for text, score, kind in pieces if kind == 1
        for cut in range(1, len(text)) if text[:cut] in ids and text[cut:] in ids
    )  # fmt: skip
    return {
        "added_tokens": [{"id": i, "content": text, "special": True} for i, (text, _, kind) in enumerate(pieces) if kind in (2, 3)],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
        "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>", "vocab": ids, "merges": [pair for *_, pair in merges]},
        "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]},
    }  # fmt: skip


def test_byte_fallback_vocabulary_of_a_folder(tmp_path):
    """tokenizer.json alone, made from Llama 2's tokenizer.model: the tokens are SentencePiece's own."""
    source = shared("llama2-tokenizer.model")
    lines = rows("llama2-tokens.jsonl.gz")
    shape = dict(vocabulary=32000, dim=32, layers=1, heads=2, heads_kv=1, hidden=32)
    folder = F.write_hugging_face(tmp_path / "hf", F.weights(shape), shape)
    (folder / "tokenizer.json").write_text(json.dumps(byte_fallback_json(source)))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}))
    model = llama2swift.Model(folder)
    assert (model.special_tokens.bos, model.special_tokens.eos, model.special_tokens.adds_bos) == (1, 2, True)
    assert [model.tokenize(r["text"]) for r in lines] == [r["ids"] for r in lines]
    assert [model.detokenize(r["ids"]) for r in lines[:50]] == [r["text"].replace("\u2581", " ") for r in lines[:50]]


def test_every_end_token_of_generation_config_ends_the_text(tmp_path):
    shape = dict(vocabulary=49152, dim=32, layers=1, heads=2, heads_kv=1, hidden=32)
    folder = F.write_hugging_face(tmp_path / "hf", F.weights(shape), shape, eos_token_id=2)
    (folder / "tokenizer.json").write_text(json.dumps({
        "added_tokens": [{"id": i, "content": t, "special": True} for i, t in enumerate(["<|end|>", "<|stop|>", "<|turn|>", "<|other|>"])],
        "model": {"type": "BPE", "vocab": {"a": 4, "b": 5}, "merges": []},
    }))  # fmt: skip
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [0, 1, 2]}))
    model = llama2swift.Model(folder)
    assert [model.is_end(t) for t in range(6)] == [True, True, True, False, False, False]


def test_conversion_of_a_folder_is_complete(tmp_path, smollm2, smollm2_path):
    """A folder with its tokenizer becomes one GGUF file that says the same; q and k get GGUF's order."""
    shape = dict(vocabulary=49152, dim=64, layers=1, heads=4, heads_kv=2, hidden=64)
    w = F.weights(shape)
    folder = F.write_hugging_face(tmp_path / "hf", w, shape)
    (folder / "tokenizer.json").write_text(json.dumps(byte_level_json(smollm2_path)))
    llama2swift.convert(folder, tmp_path / "out.gguf", "F32")
    assert np.array_equal(logits(tmp_path / "out.gguf"), logits(folder))
    import gguf_reader

    assert np.array_equal(gguf_reader.tensor(tmp_path / "out.gguf", "blk.0.attn_q.weight"), w["blk.0.attn_q"])
    model = llama2swift.Model(tmp_path / "out.gguf")
    assert [model.tokenize(t) for t in TEXTS] == [smollm2.tokenize(t) for t in TEXTS]
