"""What tokenizer files say beyond the cases of the fixture: words with prefixes, ends of texts, GGUF's names and ids."""

import base64
import json
import time

import formats as F
import pytest
from gguf_reader import read as read_gguf
from test_tokenizer_settings import BASE, MODELS, folder

import llama2swift
from llama2swift.errors import CorruptFileError, UnsupportedError

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


def test_rows_that_stand_for_nothing_have_no_text(tmp_path):
    """Of a padded embedding: `tokenizers` has no token for them, llama.cpp gives none of type unused. One that merges make has its text."""
    path = folder(tmp_path / "hf", 12, **{"tokenizer.json": BASE | FUSE})
    llama2swift.convert(path, tmp_path / "m.gguf")
    plain = folder(tmp_path / "plain", 6)
    (plain / "tokenizer.model").write_bytes(F.sentencepiece_model([("<unk>", 0, 2), ("<s>", 0, 3), ("</s>", 0, 3), ("a", -1, 1)], trainer=F.field(3, 2), normalizer=F.field(3, 0)))
    for source, rows in ((path, (8, 12)), (tmp_path / "m.gguf", (8, 12)), (plain, (4, 6))):
        model = llama2swift.Model(source)
        assert {model.piece(i, special=special) for i in range(*rows) for special in (True, False)} == {b""}
        first = rows[0] - 1
        assert model.detokenize([first, *range(*rows), first]) == model.detokenize([first, first])
    model, (hole,) = typed(tmp_path / "typed.gguf", [("[PAD1]", 5)])
    assert model.piece(hole) == b""
    types = [5 if t in ("hell", "h") else 1 for t in TOKENS]
    model = gguf(tmp_path / "m.gguf", "gpt-2", **{"tokenizer.ggml.token_type": types})
    assert (model.detokenize(model.tokenize("hell h")), model.tokenize("hell")) == ("hell h", [TOKENS.index("hell")])


# What conversion writes for llama.cpp. Right: its reading of these files.


def test_an_id_that_is_none_has_no_sign(tmp_path):
    """llama.cpp loads no file in which an id is of another type than u32."""
    for name, path in (("json", folder(tmp_path / "json", 8, **{"tokenizer.json": BASE | FUSE})), ("model", folder(tmp_path / "model", 3))):
        if name == "model":
            (path / "tokenizer.model").write_bytes(F.sentencepiece_model([("<unk>", 0, 2), ("a", -1, 1), ("b", -2, 1)], trainer=F.field(3, 2) + F.field(41, 2**64 - 1) + F.field(42, 2**64 - 1)))
        llama2swift.convert(path, tmp_path / f"{name}.gguf")
        metadata = read_gguf(tmp_path / f"{name}.gguf")[0]
        assert [metadata[f"tokenizer.ggml.{key}_token_id"] for key in ("bos", "eos")] == [2**32 - 1] * 2
        assert metadata["tokenizer.ggml.add_bos_token"] is False
        assert llama2swift.Model(tmp_path / f"{name}.gguf").special_tokens == llama2swift.Model(path).special_tokens


LEGACY = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]}
METASPACE = {"type": "Metaspace", "replacement": "\u2581", "split": False}
# the name that a vocabulary with byte fallback gets: llama.cpp's only where it makes the same tokens of every text
NAMED = {
    "legacy": (dict(normalizer=LEGACY), "llama"),
    "legacy, names as they are": (dict(normalizer=LEGACY, added_tokens=[added(259, "<x>")]), "llama"),
    "legacy, a name in the normalized text": (dict(normalizer=LEGACY, added_tokens=[added(259, "<x>", normalized=True)]), "llama2swift"),
    "a name that takes white space": (dict(normalizer=LEGACY, added_tokens=[added(259, "<x>", rstrip=True)]), "llama2swift"),
    "never": (dict(pre_tokenizer=METASPACE | {"prepend_scheme": "never"}), "llama"),
    "always: none where there is one": (dict(pre_tokenizer=METASPACE | {"prepend_scheme": "always"}), "llama2swift"),
    "first: none behind a name": (dict(pre_tokenizer=METASPACE | {"prepend_scheme": "first"}), "llama2swift"),
}  # fmt: skip


@pytest.mark.parametrize("case", NAMED)
def test_a_vocabulary_has_llama_cpps_name_where_it_reads_the_same(tmp_path, case):
    change, name = NAMED[case]
    words = ["<unk>", *BYTE_NAMES, "\u2581", "a"]
    data = {"model": {"type": "BPE", "vocab": {w: i for i, w in enumerate(words)}, "merges": [], "unk_token": "<unk>", "byte_fallback": True, "fuse_unk": True}} | FUSE | change
    path = folder(tmp_path / "hf", 260, **{"tokenizer.json": data})
    llama2swift.convert(path, tmp_path / "m.gguf")
    assert read_gguf(tmp_path / "m.gguf")[0]["tokenizer.ggml.model"] == name
    # what tokenizer_config.json says of a name counts too
    if len(data.get("added_tokens", [])) == 1 and name == "llama":
        (path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": {"259": added(259, "<x>", lstrip=True)}}))
        llama2swift.convert(path, tmp_path / "m.gguf")
        assert read_gguf(tmp_path / "m.gguf")[0]["tokenizer.ggml.model"] == "llama2swift"


# tokenizer.model


def test_spaces_of_pieces_that_are_no_marks_stay(tmp_path):
    """sentencepiece takes a mark at the begin of a text, and no space that a piece has itself."""
    pieces = [("<unk>", 0, 2), ("<s>", 0, 3), ("</s>", 0, 3), ("\u2581a", -1, 1), (" x", -2, 4), ("  ", -3, 4), ("a", -4, 1)]
    path = folder(tmp_path / "hf", len(pieces))
    for extra in (0, 1):
        (path / "tokenizer.model").write_bytes(F.sentencepiece_model(pieces, trainer=F.field(3, 2), normalizer=F.field(4, extra)))
        model = llama2swift.Model(path)
        for ids, right in (([3, 3], "a a"), ([4, 3], " x a"), ([5, 6], "  a")):
            streamed = model.decoder(text_start=True)
            assert (model.detokenize(ids), "".join(streamed.append(i) for i in ids) + streamed.finish()) == (right, right)


def rewritten(raw, *more):
    return raw + b"".join(F.field(number, value) for number, value in more)


def test_rules_for_decoded_texts_are_refused(tmp_path):
    """denormalizer_spec: sentencepiece changes the whole text by them, which a text that comes token by token never is."""
    raw = bytes.fromhex(next(iter(MODELS.values()))["file"])
    path = folder(tmp_path / "hf", len(list(F.sentencepiece_pieces(raw))))
    (path / "tokenizer.model").write_bytes(rewritten(raw, (5, F.field(2, b"\x04\0\0\0\0\0\0\0"))))
    with pytest.raises(UnsupportedError, match="denormalizer_spec"):
        llama2swift.Model(path)
    (path / "tokenizer.model").write_bytes(rewritten(raw, (5, F.field(1, b"identity") + F.field(3, 0))))
    assert llama2swift.Model(path).tokenize("a")


def test_a_byte_of_tokenizer_model_has_the_type_of_one(tmp_path):
    """sentencepiece takes none by its name; llama.cpp, in its own files, does."""
    pieces = [("<unk>", 0, 2), ("<s>", 0, 3), ("</s>", 0, 3), ("a", -1, 1), ("<0x41>", -2, 1)]
    for kind in (1, 4):
        path = folder(tmp_path / f"hf{kind}", 5)
        (path / "tokenizer.model").write_bytes(F.sentencepiece_model([*pieces[:4], (*pieces[4][:2], kind)], trainer=F.field(3, 2), normalizer=F.field(3, 0)))
        llama2swift.convert(path, tmp_path / f"m{kind}.gguf")
        for source in (path, tmp_path / f"m{kind}.gguf"):
            assert llama2swift.Model(source).tokenize("Aa") == [0, 3]


# GGUF

BYTES, extra = [chr(b) if 0x21 <= b <= 0x7E or 0xA1 <= b <= 0xAC or 0xAE <= b else None for b in range(256)], 0x100
for b in range(256):
    if BYTES[b] is None:
        BYTES[b], extra = chr(extra), extra + 1
TOKENS = BYTES + ["he", "ll", "hell", "hello", "12", "Ġh"]
MERGES = ["h e", "l l", "he ll", "hell o", "1 2", "Ġ h"]


def gguf(path, pre, **more):
    shape = dict(F.SHAPE, vocabulary=len(TOKENS), layers=1)
    metadata = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": pre, "tokenizer.ggml.tokens": TOKENS, "tokenizer.ggml.merges": MERGES}
    F.write_gguf_model(path, F.weights(shape), shape, {k: v for k, v in (metadata | more).items() if v is not None})
    return llama2swift.Model(path)


# what each family of names does with "hello 12 hello": digits alone, or not; a word that is a token without merges, or not
KNOWN = {
    "gpt-2": "gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 mellum modern-bert mpt olmo jais trillion granite-docling exaone4",
    "llama-bpe": "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano dbrx smaug-bpe chatglm-bpe glm4 glm5",
    "smollm": "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2",
    "qwen2": "qwen2 deepseek-r1-qwen kormo f2llmv2 megrez stablelm2 hunyuan solar-open grok-2 qwen35 ufakzeka seed-coder bailingmoe bailingmoe2 llada-moe laguna exaone-moe",
    "others": "default falcon gpt-4o llama4 kanana2 talkie minimax-m2 tekken deepseek-v3 hunyuan-dense joyai-llm hy_v4 deepseek-coder poro-chat bloom gpt3-finnish viking minicpm5",
}


def test_names_of_gguf_are_known(tmp_path):
    one, two = TOKENS.index("1"), TOKENS.index("2")
    for family, names in KNOWN.items():
        for name in names.split():
            ids = gguf(tmp_path / "m.gguf", name).tokenize("hello 12")
            assert ids[0] == TOKENS.index("hello"), name
            if family in ("smollm", "qwen2"):
                assert ids[-2:] == [one, two], name
            elif family != "others":
                assert ids[-1] == TOKENS.index("12"), name
    for name in ("kimi-k2", "afmoe", "superbpe", "tiny_aya", "gemma4", "sarvam-moe", "whitespace", "youtu", "llama-bp", "llama-bpe\u0301", "gpt-2\0"):
        with pytest.raises(UnsupportedError, match="pre-tokenizer"):
            gguf(tmp_path / "m.gguf", name)


def test_byte_level_without_merges_is_refused(tmp_path):
    with pytest.raises(CorruptFileError, match="merges"):
        gguf(tmp_path / "m.gguf", "gpt-2", **{"tokenizer.ggml.merges": None})


def test_an_id_of_minus_one_is_none(tmp_path):
    for value in (-1, 2**32 - 1):
        model = gguf(tmp_path / "m.gguf", "gpt-2", **{"tokenizer.ggml.bos_token_id": value, "tokenizer.ggml.eos_token_id": value})
        assert model.tokenize("hello", bos=True) == [TOKENS.index("hello")]
    with pytest.raises(CorruptFileError):
        gguf(tmp_path / "m.gguf", "gpt-2", **{"tokenizer.ggml.bos_token_id": len(TOKENS)})


# Types that follow from names. Right: llama.cpp, src/llama-vocab.cpp.

CONTROL, USER_DEFINED, NORMAL = 3, 4, 1


def typed(path, names, **more):
    """A byte-level vocabulary with tokens (name, type) behind the others; and their ids."""
    tokens, types = TOKENS + [name for name, _ in names], [1] * len(TOKENS) + [kind for _, kind in names]
    shape = dict(F.SHAPE, vocabulary=len(tokens), layers=1)
    metadata = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2", "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.merges": MERGES, "tokenizer.ggml.token_type": types}
    F.write_gguf_model(path, F.weights(shape), shape, metadata | more)
    return llama2swift.Model(path), [tokens.index(name) for name, _ in names]


@pytest.mark.parametrize("kind", [NORMAL, USER_DEFINED, CONTROL])
@pytest.mark.parametrize("name", ["<|im_end|>", "</s>", "[EOT]", "<|fim_prefix|>", "<MID>", "<|file_sep|>", "[PAD]"])
def test_ends_and_marks_of_filling_in_are_control_tokens(tmp_path, name, kind):
    model, (token,) = typed(tmp_path / "m.gguf", [(name, kind)])
    assert model.tokenize(f"he{name}", special=True)[1:] == [token]
    assert token not in model.tokenize(f"he{name}")
    assert (model.piece(token), model.piece(token, special=True)) == (b"", name.encode())


def test_a_mark_of_filling_in_that_a_key_names_instead(tmp_path):
    for key in ("fim_pre_token_id", "prefix_token_id"):
        model, (token,) = typed(tmp_path / "m.gguf", [("<PRE>", USER_DEFINED)], **{f"tokenizer.ggml.{key}": 5})
        assert (model.tokenize("<PRE>"), model.piece(token)) == ([token], b"<PRE>")


def test_marks_of_channels_are_given(tmp_path):
    model, ids = typed(tmp_path / "m.gguf", [(name, CONTROL) for name in ("<|channel|>", "<|message|>", "<|start|>", "<|constrain|>")])
    assert model.detokenize(ids) == "<|channel|><|message|><|start|><|constrain|>"
    model, ids = typed(tmp_path / "m.gguf", [(name, CONTROL) for name in ("<|end|>", "<|return|>", "<|call|>")], **{"tokenizer.ggml.eos_token_id": len(TOKENS)})
    assert ([model.is_end(i) for i in ids], model.detokenize(ids)) == ([False, True, True], "<|end|>")
    model, ids = typed(tmp_path / "m.gguf", [("</s>", CONTROL), ("<|tool_response>", NORMAL)], **{"tokenizer.ggml.eos_token_id": len(TOKENS)})
    assert ([model.is_end(i) for i in ids], model.detokenize(ids)) == ([False, True], "</s>")


def test_white_space_behind_the_names_of_phi_3(tmp_path):
    """llama.cpp tells the vocabulary by the model's name: its files do not say what is stripped. White space is C's."""
    names = [("<|user|>", USER_DEFINED), ("<s>", USER_DEFINED)]
    for name, strips in (("My Phi-3 mini", True), ("phi3", True), ("phi", False)):
        model, (user, begin) = typed(tmp_path / "m.gguf", names, **{"general.name": name})
        assert (model.tokenize("<|user|> \n\t") == [user]) == strips
        assert model.tokenize("<|user|>\u3000")[1:] == model.tokenize("\u3000")
        assert model.tokenize("<s>  ") == [begin, *model.tokenize("  ")]


def test_white_space_before_the_mask_of_jina(tmp_path):
    for pre, strips in (("jina-v2-de", True), ("jina-v2-es", True), ("gpt-2", False)):
        model, (mask,) = typed(tmp_path / "m.gguf", [("<mask>", USER_DEFINED)], **{"tokenizer.ggml.pre": pre})
        assert (model.tokenize("he  <mask>")[1:] == [mask]) == strips
