"""What tokenizer files say beyond the cases of the fixture: words with prefixes, ends of texts, GGUF's names and ids."""

import base64
import time

import formats as F
import pytest
from test_tokenizer_settings import BASE, MODELS, folder

import llama2swift
from llama2swift.errors import UnsupportedError

FUSE = {"decoder": {"type": "Fuse"}}


def test_prefix_and_suffix_of_words(tmp_path):
    """BPE of CLIP's kind and of WordPiece's: parts that go on are other tokens than parts that begin or end."""
    words = ["a", "b", "##a", "##b", "a##b", "b</w>", "##b</w>", "ab</w>"]
    data = {"model": {"type": "BPE", "vocab": {w: i for i, w in enumerate(words)}, "merges": [["a", "##b</w>"]], "continuing_subword_prefix": "##", "end_of_word_suffix": "</w>"}} | FUSE
    model = llama2swift.Model(folder(tmp_path / "hf", len(words), **{"tokenizer.json": data}))
    assert (model.tokenize("ab"), model.tokenize("b"), model.tokenize("aab")) == ([7], [5], [0, 2, 6])


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
BYTE_NAMES = [f"<0x{i:02X}>" for i in range(256)]


def pieces_of(path, words, text, merges=(), added=(), pre=None, **model):
    data = {"model": {"type": "BPE", "vocab": {w: i for i, w in enumerate(words)}, "merges": list(merges)} | model, "pre_tokenizer": pre, "added_tokens": list(added)} | FUSE
    names = [*words, *(x["content"] for x in added if x["id"] >= len(words))]
    loaded = llama2swift.Model(folder(path / "hf", len(names), **{"tokenizer.json": data}))
    return [names[i] for i in loaded.tokenize(text, special=True)]


# Settings of the model that words of bytes have no place for were passed over. Right: `tokenizers` 0.23.3.
BESIDE_BYTES = {
    "suffix": (["a", "b", "a</w>", "b</w>", "Ġ", "Ã", "©</w>", "ab</w>"], "ab aab bé a", "ab</w> Ġ a ab</w> Ġ b Ã ©</w> Ġ a</w>", dict(merges=[["a", "b</w>"]], end_of_word_suffix="</w>")),
    "prefix": (["a", "b", "##a", "##b", "Ġ", "ab"], "ab aab b", "ab Ġ ##a ##a ##b Ġ ##b", dict(merges=[["a", "##b"]], continuing_subword_prefix="##")),
    "byte fallback": (["a", "Ġ", *BYTE_NAMES], "a é", "a Ġ <0xC3> <0x83> <0xC2> <0xA9>", dict(byte_fallback=True)),
    "unknowns in one": (["a", "Ġ", "<unk>"], "axyz a é xa", "a <unk> Ġ a Ġ <unk> Ġ <unk> a", dict(unk_token="<unk>", fuse_unk=True)),
}


@pytest.mark.parametrize("name", BESIDE_BYTES)
def test_settings_of_the_model_count_for_words_of_bytes_too(tmp_path, name):
    words, text, right, settings = BESIDE_BYTES[name]
    assert pieces_of(tmp_path, words, text, pre=BYTE_LEVEL, **settings) == right.split()


def test_bytes_of_prefix_and_suffix_stand_for_a_character_without_a_token(tmp_path):
    settings = dict(byte_fallback=True, continuing_subword_prefix="##", end_of_word_suffix="</w>", pre={"type": "WhitespaceSplit"})
    right = "a <0x23> <0x23> <0xC3> <0xA9> <0x3C> <0x2F> <0x77> <0x3E> a ##b</w>"
    assert pieces_of(tmp_path, ["a", "##b</w>", *BYTE_NAMES], "aé ab", **settings) == right.split()


def test_an_unknown_comes_behind_the_bytes_that_follow_it_and_nothing_is_lost(tmp_path):
    words, settings = ["b", "<unk>", "<0x0A>", "<0x61>"], dict(unk_token="<unk>", byte_fallback=True)
    assert pieces_of(tmp_path, words, "é\n\na", **settings) == ["<0x0A>", "<0x0A>", "<0x61>", "<unk>"]
    assert pieces_of(tmp_path, words, "éab", **settings) == ["<0x61>", "<unk>", "b"]


def test_space_that_one_token_took_is_not_taken_again(tmp_path):
    names = [dict(id=2, content=" ", lstrip=True, rstrip=True, normalized=False), dict(id=3, content="<x>", rstrip=True, normalized=False)]
    assert pieces_of(tmp_path, ["a", "b", " "], "  a   b<x>  a <x> ", added=names) == [" ", "a", " ", "b", "<x>", "a", " ", "<x>"]


# What is left of the text when Oniguruma's matches are taken out.
CLASSES = {r"[\w]": "½² ", r"\w": " ", r"[^\w\s]": "aBªⅫ_ x", r"[\W]": "aBªⅫ_x", "[[:word:]]": "½² ", "[[:upper:]]": "a½²ª_ x", "[[:lower:]]": "B½²Ⅻ_ ", r"[\w&&[^a]]": "a½² "}


@pytest.mark.parametrize("expression", CLASSES)
def test_classes_of_words_and_cases(tmp_path, expression):
    """Latin-1's small digits and fractions are words outside of brackets alone; cases are Unicode's properties, not its categories."""
    text, pre = "aB½²ªⅫ_ x", {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Removed", "invert": False}
    assert "".join(pieces_of(tmp_path, list(text), text, pre=pre)) == CLASSES[expression]


def fields(raw):
    """Number and content of each field of bytes in a protobuf message; others are passed over."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte, at = raw[at], at + 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(raw):
        tag = varint()
        if tag & 7 == 2:
            size = varint()
            yield tag >> 3, raw[at : at + size]
            at += size
        elif tag & 7 == 5:
            at += 4
        else:
            varint()


def test_precompiled_rules_of_sentencepiece(tmp_path):
    """What `transformers` puts into tokenizer.json for nmt_nfkc."""
    raw = bytes.fromhex(MODELS["nmt_nfkc, prefix True, remove extra True, suffix False, bytes True"]["file"])
    spec = dict(fields(dict(fields(raw))[3]))
    data = BASE | FUSE | {"normalizer": {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(spec[2]).decode()}}
    model = llama2swift.Model(folder(tmp_path / "hf", 8, **{"tokenizer.json": data}))
    assert model.tokenize("\uff41\u24d1\uff43a") == [0, 1, 2, 0]


def template(*single):
    tokens = {"<s>": {"id": "<s>", "ids": [8], "tokens": ["<s>"]}, "</s>": {"id": "</s>", "ids": [9], "tokens": ["</s>"]}}
    return {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}} if x == "A" else {"SpecialToken": {"id": x, "type_id": 0}} for x in single], "pair": [], "special_tokens": tokens}


NAMES = [{"id": 8, "content": "<s>", "special": True}, {"id": 9, "content": "</s>", "special": True}]
CONFIG = {"bos_token": "<s>", "eos_token": "</s>"}


@pytest.mark.parametrize("single, config, bos, eos", [
    (("A",), {}, False, False), (("<s>", "A"), {}, True, False), (("<s>", "A", "</s>"), {}, True, True), (("A", "</s>"), {}, False, True),
    (("<s>", "A"), {"add_bos_token": False, "add_eos_token": True}, False, True),
])  # fmt: skip
def test_bos_and_eos_of_the_template(tmp_path, single, config, bos, eos):
    data = BASE | FUSE | {"added_tokens": NAMES, "post_processor": template(*single)}
    path = folder(tmp_path / "hf", 10, **{"tokenizer.json": data, "tokenizer_config.json": CONFIG | config})
    llama2swift.convert(path, tmp_path / "m.gguf")
    for model in (llama2swift.Model(path), llama2swift.Model(tmp_path / "m.gguf")):
        assert model.special_tokens.adds_bos == bos
        assert model.tokenize_prompt("ab") == [8] * bos + [0, 1]
        assert model.special_tokens.adds_eos == eos
        assert model.tokenize("ab", bos=None, eos=None) == [8] * bos + [0, 1] + [9] * eos
        assert model.tokenize("ab", eos=True) == [0, 1, 9] and model.tokenize("ab") == [0, 1]


def test_another_token_before_a_text_is_refused(tmp_path):
    data = BASE | FUSE | {"added_tokens": NAMES, "post_processor": template("</s>", "A")}
    with pytest.raises(UnsupportedError, match="not BOS"):
        llama2swift.Model(folder(tmp_path / "hf", 10, **{"tokenizer.json": data, "tokenizer_config.json": CONFIG}))


def test_an_expression_that_never_ends_is_refused(tmp_path):
    """What takes a backtracking engine exponential time is refused by the call, and what takes one quadratic time is linear."""
    split = lambda r: {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": r}, "behavior": "Isolated", "invert": False}}
    model = llama2swift.Model(folder(tmp_path / "a", 8, **{"tokenizer.json": BASE | FUSE | split("(?:a|a)+$")}))
    assert model.tokenize("aaaa") == [0] * 4
    with pytest.raises(UnsupportedError, match="steps"):
        model.tokenize("a" * 60 + "b")
    for i, expression in enumerate((r"\s+$", r"\s*[\r\n]+|\s+(?!\S)", r"(?:\s+x)?a", r"a+b|a+c", r"(?:a+)+b")):
        model = llama2swift.Model(folder(tmp_path / str(i), 8, **{"tokenizer.json": BASE | FUSE | split(expression)}))
        start = time.process_time()
        assert model.tokenize(" " * 300_000 + "a" + "a" * 300_000)[-1] == 0
        assert time.process_time() - start < 20


def test_unigram_is_refused(tmp_path):
    path = folder(tmp_path / "hf", 3)
    (path / "tokenizer.model").write_bytes(F.sentencepiece_model([("<unk>", 0, 2), ("<s>", 0, 3), ("</s>", 0, 3)], F.varint(3 << 3) + F.varint(1)))
    with pytest.raises(UnsupportedError, match="unigram"):
        llama2swift.Model(path)


# Decoders of tokenizer.json. Right: `tokenizers` 0.23.3.

SPACED = ["a", "\u2581a", "a b", " b", "<0x20>", "\u2581", "b\u2581", "x"]
# decoder, tokens, text
DECODED = {
    "a space that is no mark stays": (dict(type="Metaspace", replacement="\u2581", prepend_scheme="always"), ["a b", "\u2581a"], "a b a"),
    "also at the begin": (dict(type="Metaspace", replacement="\u2581", prepend_scheme="first"), [" b", "b\u2581"], " bb "),
    "marks of the first token go": (dict(type="Metaspace", replacement="\u2581", prepend_scheme="first"), ["b\u2581", "\u2581a"], "b a"),
    "no mark goes": (dict(type="Metaspace", replacement="\u2581", prepend_scheme="never"), ["\u2581a", "\u2581a"], " a a"),
    "another mark": (dict(type="Metaspace", replacement="x", prepend_scheme="always"), ["x", "x", " b"], "  b"),
    "what is done behind the marks": (
        dict(type="Sequence", decoders=[dict(type="Metaspace", replacement="\u2581", prepend_scheme="always"), dict(type="Replace", pattern={"Regex": "^ "}, content="x")]), ["\u2581a", "\u2581a"], "axa"),
    "a byte's space": (dict(type="Sequence", decoders=[dict(type="Metaspace", replacement="\u2581", prepend_scheme="always"), dict(type="ByteFallback")]), ["<0x20>", "a"], " a"),
    "a name that is no byte's any more": (dict(type="Sequence", decoders=[dict(type="Replace", pattern={"String": "<"}, content="("), dict(type="ByteFallback")]), ["<0x20>"], "(0x20>"),
}  # fmt: skip


@pytest.mark.parametrize("name", DECODED)
def test_decoders_of_the_first_token(tmp_path, name):
    decoder, tokens, right = DECODED[name]
    data = {"decoder": decoder, "model": {"type": "BPE", "vocab": {t: i for i, t in enumerate(SPACED)}, "merges": []}}
    model = llama2swift.Model(folder(tmp_path / "hf", len(SPACED), **{"tokenizer.json": data}))
    ids = [SPACED.index(t) for t in tokens]
    assert model.detokenize(ids) == right
    streamed = model.decoder(text_start=True)
    assert "".join(streamed.append(i) for i in ids) + streamed.finish() == right


def added(id, content, **more):
    return dict(id=id, content=content, single_word=False, lstrip=False, rstrip=False, normalized=False, special=False) | more


def test_an_added_token_that_merges_make_too_is_given_as_they_give_it(tmp_path):
    """A byte's character, of which a text of bytes is made. One that is only a name stays it, so that a text comes back."""
    data = {"model": {"type": "BPE", "vocab": {"a": 0, "\u0120": 1, "\u00c3": 2, "\u00a9": 3}, "merges": []}, "pre_tokenizer": BYTE_LEVEL, "decoder": BYTE_LEVEL}
    data["added_tokens"] = [added(1, "\u0120"), added(2, "\u00c3"), added(4, "\u0120\u0120")]
    model = llama2swift.Model(folder(tmp_path / "hf", 5, **{"tokenizer.json": data}))
    for text, ids in (("a \u00e9a", [0, 1, 2, 3, 0]), ("\u0120\u0120", [4])):
        assert (model.tokenize(text), model.detokenize(ids)) == (ids, text)


def test_an_added_token_whose_name_is_nothing_when_normalized(tmp_path):
    """`tokenizers` finds it between any two bytes, and ends within characters."""
    data = BASE | {"normalizer": {"type": "Strip", "strip_left": True, "strip_right": True}, "added_tokens": [added(8, "  ", normalized=True)]}
    with pytest.raises(UnsupportedError, match="added token 8 is normalized"):
        llama2swift.Model(folder(tmp_path / "hf", 9, **{"tokenizer.json": data}))


def test_added_tokens_whose_normalized_names_are_the_same(tmp_path):
    """`tokenizers` 0.23.3 finds one of them, another one from run to run."""
    data = BASE | {"normalizer": {"type": "Lowercase"}, "added_tokens": [added(8, "AB", normalized=True), added(9, "Ab", normalized=True)]}
    with pytest.raises(UnsupportedError, match="added tokens 8 and 9 have the same name"):
        llama2swift.Model(folder(tmp_path / "hf", 10, **{"tokenizer.json": data}))
    data["added_tokens"][1]["normalized"] = False
    model = llama2swift.Model(folder(tmp_path / "hf", 10, **{"tokenizer.json": data}))
    assert [model.tokenize(x) for x in ("AB", "ab", "Ab")] == [[8], [8], [9]]


def test_the_token_that_begins_a_text_is_bos_where_no_file_names_one(tmp_path):
    """transformers puts it there whatever tokenizer_config.json says."""
    data = BASE | FUSE | {"added_tokens": NAMES, "post_processor": template("<s>", "A")}
    model = llama2swift.Model(folder(tmp_path / "hf", 10, **{"tokenizer.json": data}))
    assert (model.tokenize_prompt("ab"), model.special_tokens.bos) == ([8, 0, 1], 8)
