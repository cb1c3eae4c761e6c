"""Tokenizer files with every setting: ids and texts are those of `tokenizers` and `sentencepiece`, kept in a fixture."""

import json
import lzma
from pathlib import Path

import formats as F
import pytest

import llama2swift
from llama2swift.errors import CorruptFileError, UnsupportedError

GOLDEN = json.loads(lzma.decompress((Path(__file__).parents[1] / "fixtures/tokenizer-settings.json.xz").read_bytes()))
TEXTS = GOLDEN["texts"]
JSON = {x["name"]: x for x in GOLDEN["tokenizer.json"]}
MODELS = {x["name"]: x for x in GOLDEN["tokenizer.model"]}
# what stands between names loses the space that `tokenize` adds there, so that a text comes back; `tokenizers` keeps it
NAMES = {5}


def folder(path, count, **files):
    shape = dict(F.SHAPE, vocabulary=count, layers=1)
    F.write_hugging_face(path, F.weights(shape), shape)
    for name, content in files.items():
        (path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def whole(case):
    data = json.loads(json.dumps(case["file"]))
    data["model"]["vocab"], data["model"]["merges"] = GOLDEN["bases"][data.pop("base")]
    return data


def size(data):
    return max([*data["model"]["vocab"].values(), *(x["id"] for x in data.get("added_tokens", []))]) + 1


def of(path, data, **files):
    return llama2swift.Model(folder(path / "hf", size(data), **{"tokenizer.json": data}, **files))


@pytest.mark.parametrize("name", JSON)
def test_tokenizer_json_as_tokenizers_reads_it(tmp_path, name):
    case = JSON[name]
    model = of(tmp_path, whole(case))
    assert [model.tokenize(x, special=True) for x in TEXTS] == case["ids"]
    for i, (ids, text) in enumerate(zip(case["ids"], case["decoded"])):
        if i not in NAMES and "<" not in TEXTS[i]:
            assert model.detokenize(ids) == text


@pytest.mark.parametrize("name", JSON)
def test_a_converted_file_has_the_same_rules(tmp_path, name):
    case = JSON[name]
    data = whole(case)
    llama2swift.convert(folder(tmp_path / "hf", size(data), **{"tokenizer.json": data}), tmp_path / "m.gguf")
    model = llama2swift.Model(tmp_path / "m.gguf")
    assert [model.tokenize(x, special=True) for x in TEXTS] == case["ids"]


@pytest.mark.parametrize("name", MODELS)
def test_tokenizer_model_as_sentencepiece_reads_it(tmp_path, name):
    case = MODELS[name]
    raw = bytes.fromhex(case["file"])
    path = folder(tmp_path / "hf", len(list(F.sentencepiece_pieces(raw))))
    (path / "tokenizer.model").write_bytes(raw)
    llama2swift.convert(path, tmp_path / "m.gguf")
    for model in (llama2swift.Model(path), llama2swift.Model(tmp_path / "m.gguf")):
        assert [model.tokenize(x) for x in TEXTS] == case["ids"]
        assert [model.detokenize(ids) for ids in case["ids"]] == case["decoded"]


def test_texts_come_back_with_user_defined_pieces(tmp_path):
    raw = bytes.fromhex(MODELS["user-defined pieces, remove extra False, bytes True"]["file"])
    path = folder(tmp_path / "hf", len(list(F.sentencepiece_pieces(raw))))
    (path / "tokenizer.model").write_bytes(raw)
    model = llama2swift.Model(path)
    for text in ("a  b", "  a", "   a", "foo foo", "the the", "x<sep> x", "     "):
        assert model.detokenize(model.tokenize(text)) == text


# what is not known is refused by name

BASE = {"model": {"type": "BPE", "vocab": {c: i for i, c in enumerate("abcdefgh")}, "merges": []}}
REFUSED = {
    "normalizer of another type": ({"normalizer": {"type": "Upper"}}, "Upper"),
    "member of a normalizer": ({"normalizer": {"type": "Strip", "strip_left": True, "strip_right": True, "middle": True}}, "middle"),
    "pre-tokenizer of another type": ({"pre_tokenizer": {"type": "UnicodeScripts"}}, "UnicodeScripts"),
    "in a sequence": ({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Jieba"}]}}, "Jieba"),
    "behavior": ({"pre_tokenizer": {"type": "Split", "pattern": {"String": "a"}, "behavior": "Kept", "invert": False}}, "Kept"),
    "back-reference": ({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": r"(a)\1"}, "behavior": "Isolated", "invert": False}}, r"\1"),
    "named group": ({"normalizer": {"type": "Replace", "pattern": {"Regex": "(?<x>a)"}, "content": ""}}, "group"),
    "replacement of nothing": ({"normalizer": {"type": "Replace", "pattern": {"Regex": "a*"}, "content": "b"}}, r"a\*"),
    "prefix of nothing": ({"normalizer": {"type": "Prepend", "prepend": ""}}, "Prepend"),
    "first behind a step that cuts": (
        {"normalizer": {"type": "Prepend", "prepend": "a b"}, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "_", "prepend_scheme": "first"}]}},
        "first"),
    "merge with a space": ({"model": BASE["model"] | {"merges": [["a b", "c"]]}}, "merge 0"),
    "property": ({"normalizer": {"type": "Replace", "pattern": {"Regex": r"\p{Emoji}"}, "content": ""}}, "Emoji"),
    "prepend scheme": ({"pre_tokenizer": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "last"}}, "last"),
    "decoder": ({"decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True}}, "WordPiece"),
    "decoder that cuts the end": ({"decoder": {"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 0, "stop": 1}]}}, "Strip"),
    "dropout": ({"model": BASE["model"] | {"dropout": 0.1}}, "dropout"),
    "model's member": ({"model": BASE["model"] | {"sampling": 1}}, "sampling"),
    "model": ({"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}, "WordLevel"),
    "post-processor": ({"post_processor": {"type": "RobertaProcessing", "sep": ["a", 0], "cls": ["b", 1]}}, "RobertaProcessing"),
    "version": ({"version": "2.0"}, "2.0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_known_is_refused_by_name(tmp_path, name):
    change, word = REFUSED[name]
    with pytest.raises(UnsupportedError, match=word.replace("\\", r"\\")):
        llama2swift.Model(folder(tmp_path / "hf", 8, **{"tokenizer.json": BASE | change}))


def test_a_name_is_told_by_its_bytes(tmp_path):
    """Two keys that look alike are two tokens; a type is not known because it looks like one."""
    data = {"decoder": {"type": "Fuse"}, "model": {"type": "BPE", "vocab": {"\u00e9": 0, "e": 1, "\u0301": 2, "e\u0301": 3}, "merges": [["e", "\u0301"]]}}
    model = of(tmp_path, data)
    assert (model.tokenize("\u00e9"), model.tokenize("e\u0301")) == ([0], [3])


# added tokens of the other files

PIECES = [("<unk>", 0, 2), ("<s>", 0, 3), ("</s>", 0, 3)] + [(f"<0x{i:02X}>", 0, 6) for i in range(256)] + [("\u2581", -1, 1), ("a", -2, 1)]
RAW = F.sentencepiece_model(PIECES, b"", F.varint(3 << 3) + F.varint(1) + F.varint(4 << 3) + F.varint(0))
N = len(PIECES)
FLAGS = dict(lstrip=False, rstrip=False, normalized=False, single_word=False, special=True)
FORMS = {
    "added_tokens.json": {"added_tokens.json": {"[PAD]": N, "<|end|>": N + 1}, "tokenizer_config.json": {"eos_token": "<|end|>"}},
    "added_tokens_decoder": {"tokenizer_config.json": {"eos_token": {"content": "<|end|>"}, "added_tokens_decoder": {str(N): {"content": "[PAD]"} | FLAGS, str(N + 1): {"content": "<|end|>"} | FLAGS}}},
    "special_tokens_map.json": {"added_tokens.json": {"[PAD]": N, "<|end|>": N + 1}, "special_tokens_map.json": {"eos_token": {"content": "<|end|>"}}},
}


def beside(path, rows, **files):
    path = folder(path / "hf", rows, **files)
    (path / "tokenizer.model").write_bytes(RAW)
    return llama2swift.Model(path)


@pytest.mark.parametrize("form", FORMS)
def test_added_tokens_beside_tokenizer_model(tmp_path, form):
    model = beside(tmp_path, N + 2, **FORMS[form])
    assert model.special_tokens.eos == N + 1 and model.is_end(N + 1)
    assert model.tokenize("a<|end|>a", special=True) == [N - 2, N - 1, N + 1, N - 2, N - 1]
    assert N + 1 not in model.tokenize("a<|end|>a")
    assert model.detokenize(model.tokenize("a<|end|> a", special=True), special=True) == "a<|end|> a"


def test_legacy_false_adds_a_space_at_the_first_place_alone(tmp_path):
    model = beside(tmp_path, N + 2, **{"added_tokens.json": {"<|x|>": N}, "tokenizer_config.json": {"legacy": False, "pad_token": "<|x|>"}})
    assert model.tokenize("a<|x|>a", special=True) == [N - 2, N - 1, N, N - 1]
    assert model.detokenize(model.tokenize("a<|x|>a", special=True), special=True) == "a<|x|>a"


def test_a_pad_token_beyond_the_embedding_is_left_out(tmp_path):
    model = beside(tmp_path, N, **{"added_tokens.json": {"<pad>": N}})
    assert model.tokenize("a") == [N - 2, N - 1]


def test_an_added_token_with_the_id_of_another_is_refused(tmp_path):
    with pytest.raises(CorruptFileError, match="another token"):
        beside(tmp_path, N, **{"added_tokens.json": {"<x>": N - 1}})


def test_no_bos_is_no_bos(tmp_path):
    vocabulary = dict(BASE, decoder={"type": "Fuse"})
    model = llama2swift.Model(folder(tmp_path / "hf", 8, **{"tokenizer.json": vocabulary}))
    assert (model.special_tokens.bos, model.special_tokens.eos, model.special_tokens.adds_bos) == (-1, -1, False) or model.special_tokens.bos is None
    assert model.tokenize("abc", bos=True) == [0, 1, 2]


def test_every_end_of_generation_config_ends_a_text(tmp_path):
    names = [{"id": i, "content": f"<{i}>", "special": True} for i in range(8, 14)]
    model = llama2swift.Model(folder(tmp_path / "hf", 16, **{"tokenizer.json": BASE | {"decoder": {"type": "Fuse"}, "added_tokens": names}, "generation_config.json": {"eos_token_id": [8, 9, 10, 11, 12]}}))
    assert [t for t in range(16) if model.is_end(t)] == [8, 9, 10, 11, 12]


NAMED = {
    "bos": {"bos_token": "ab"}, "pad": {"pad_token": {"content": "ab"}}, "additional": {"additional_special_tokens": ["ab"]}, "extra": {"extra_special_tokens": ["ab"]},
    "extra, named": {"extra_special_tokens": {"image_token": "ab"}},
}  # fmt: skip


@pytest.mark.parametrize("file", ["tokenizer_config.json", "special_tokens_map.json"])
@pytest.mark.parametrize("form", NAMED)
def test_a_special_token_that_is_only_named_is_added(tmp_path, file, form):
    """As transformers does: it has the vocabulary's id, or the next one, and is found whatever merges say."""
    data = {"decoder": {"type": "Fuse"}, "model": {"type": "BPE", "vocab": {c: i for i, c in enumerate(["a", "b", "c", "ab", "bc"])}, "merges": [["b", "c"], ["a", "b"]]}}
    path = folder(tmp_path / "hf", 8, **{"tokenizer.json": data})
    assert llama2swift.Model(path).tokenize("abc", special=True) == [0, 4]
    (path / file).write_text(json.dumps(NAMED[form]))
    model = llama2swift.Model(path)
    assert model.tokenize("abc", special=True) == [3, 2]
    assert model.tokenize("abc") == [0, 4]
    (path / file).write_text(json.dumps(NAMED[form]).replace('"ab"', '"<x>"'))
    assert llama2swift.Model(path).tokenize("a<x>bc", special=True) == [0, 5, 4]


def test_settings_of_a_special_token_that_is_only_named(tmp_path):
    data = {"decoder": {"type": "Fuse"}, "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, " ": 2}, "merges": []}}
    flags = {"content": "<x>", "lstrip": True, "rstrip": False, "normalized": False, "single_word": False}
    model = of(tmp_path, data | {"added_tokens": [{"id": i, "content": f"<{i}>"} for i in (3, 4)]}, **{"tokenizer_config.json": {"eos_token": flags, "unk_token": "<4>"}})
    assert model.tokenize("a <x> b", special=True) != [0, 5, 2, 1]  # the embedding has five rows: the sixth is never made
    model = llama2swift.Model(folder(tmp_path / "more", 6, **{"tokenizer.json": data, "tokenizer_config.json": {"eos_token": flags}}))
    assert model.tokenize("a <x> b", special=True) == [0, 3, 2, 1] and model.is_end(3)


OPTIONS = {
    "split_special_tokens": ({}, {"split_special_tokens": True}),
    "add_prefix_space": ({"pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False}}, {"tokenizer_class": "LlamaTokenizer", "add_prefix_space": False}),
    "add_prefix_space ": ({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False}}, {"tokenizer_class": "GPT2TokenizerFast", "add_prefix_space": True}),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_of_transformers_that_contradicts_the_file_is_refused_by_name(tmp_path, name):
    change, options = OPTIONS[name]
    path = folder(tmp_path / "hf", 8, **{"tokenizer.json": BASE | {"decoder": {"type": "Fuse"}} | change, "tokenizer_config.json": options})
    with pytest.raises(UnsupportedError, match=name.strip()):
        llama2swift.Model(path)
    other = {k: not v if isinstance(v, bool) else v for k, v in options.items()}
    (path / "tokenizer_config.json").write_text(json.dumps(other))
    llama2swift.Model(path)


@pytest.mark.parametrize("settings", [{"bos_token": 5}, {"pad_token": {"lstrip": True}}, {"additional_special_tokens": "<x>"}, {"extra_special_tokens": [True]}], ids=json.dumps)
def test_a_special_token_of_another_kind(tmp_path, settings):
    with pytest.raises(CorruptFileError, match=next(iter(settings))):
        llama2swift.Model(folder(tmp_path / "hf", 8, **{"tokenizer.json": BASE | {"decoder": {"type": "Fuse"}}, "tokenizer_config.json": settings}))
