"""Files of tokenizers that lie: tokenizer.json and tokenizer.model."""

import json

import formats as F
import pytest
from hostile_formats_tools import CORRUPT, SHAPE, UNSUPPORTED, W, refused

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
