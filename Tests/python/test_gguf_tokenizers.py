"""Names, ids and types of GGUF files: those that are read, and those that conversion writes for llama.cpp."""

import json

import formats as F
import pytest
from gguf_reader import read as read_gguf
from test_tokenizer_files import BYTE_NAMES, FUSE, added
from test_tokenizer_settings import BASE, MODELS, folder

import llama2swift
from llama2swift.errors import CorruptFileError, UnsupportedError


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
    "gpt-2": "gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 mellum modern-bert mpt olmo jais trillion granite-docling exaone4 jina-v1-en jina-v2-code roberta-bpe",
    "llama-bpe": "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano dbrx smaug-bpe chatglm-bpe glm4 glm5 jais-2 deepseek-llm",
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
