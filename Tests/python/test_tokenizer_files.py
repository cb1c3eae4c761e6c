"""What tokenizer files say beyond the cases of the fixture: words with prefixes, ends of texts, GGUF's names and ids."""

import base64
import time

import formats as F
import pytest
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
