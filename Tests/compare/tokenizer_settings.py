"""Tokenizer files with every setting that is read, and texts that show them: made here, for the oracles and for us."""

import itertools
import json
import random
import tempfile
from pathlib import Path

import formats as F

U = "\u2581"
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace("{1,3}", "")
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DEEPSEEK = [
    r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
]  # fmt: skip
OTHERS = [
    r"\s+$", r"(?<=\d)(?=\D)", r"[a-z&&[^aeiou]]+", r"\w+|[^\w\s]+", r"(?>a+)b|c++|x{2,3}?", r"\bt|o\b", r"^h|d$", r"\A\s+|\s+\z", r"[[:upper:]][[:lower:]]*",
    r"(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+", r"\d{1,3}(?=(?:\d{3})*\b)", r"\p{Han}+|\P{L}", r"(?i)the|HELLO", r"[^\S\n]+|\n", r"l*?o", r"\x41|\u00e9|\t", r"(?=(\d{3})+(?!\d))",
]  # fmt: skip

WORDS = "the quick brown fox hello world don't it's we'll I'VE 12345 1 234 café naïve x = y + 1; if(a<b){return;} http://a.b/c?d=e#f".split(" ")
ODD = list(
    " \n\t\r'\"!?.,;:-_()[]{}<>|@#$%^&*+=/\\~`0123456789aAzZsStTéÉßœñçøÅΩωжЖאب中文字かなカナ한글ไทยहिन्दीি"
    "\u00a0\u200b\u200d\u2028\u3000\ufeff\u2581\u0301\u0308\u0323\u0345½²³ⅣⅳﬁﬀＡｂ１️😀👍🏽👩‍👧🇩🇪İıſKǅʼn\u0149\u1e9e\u0130\u03c2\u03a3\x00\x01\x7f\x85\u061c\u17b4"
) + ["  ", "    ", "\r\n", "e\u0301", "a\u0323\u0307", "\u1100\u1161\u11a8", "각", "<s>", "</s>", "<|m|>", "<x>", "fox"]  # fmt: skip


def texts(seed, count):
    """Random texts: words, odd characters, and both."""
    dice = random.Random(seed)
    for _ in range(count):
        parts = []
        for _ in range(dice.randrange(1, 14)):
            kind = dice.random()
            if kind < 0.4:
                parts.append(dice.choice(["", " ", " ", "  ", "\n"]) + dice.choice(WORDS))
            elif kind < 0.9:
                parts.append(dice.choice(ODD))
            elif kind < 0.97:
                parts.append(dice.choice(ODD) * dice.randrange(1, 6))
            else:
                parts.append(chr(dice.choice([dice.randrange(0x20, 0x3000), dice.randrange(0x3000, 0xD800), dice.randrange(0x10000, 0x20000)])))
        yield "".join(parts)


def settings():
    """(name, tokenizer) of the package `tokenizers`."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders as D, models, normalizers as N, pre_tokenizers as P, trainers

    lines = [" ".join(WORDS), "Hello World THE end\n\n" + " ".join(WORDS).upper(), "cafe\u0301 é ① ﬁ ½ 中文字 한글 кот"] * 20
    byte_level = lambda **k: P.ByteLevel(**({"add_prefix_space": False} | k))
    split = lambda r, b="isolated", i=False: P.Split(Regex(r), b, i)
    behaviors = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
    tokens = [
        AddedToken("<s>", special=True), AddedToken("</s>", special=True), AddedToken("<|m|>", special=False, lstrip=True), AddedToken("<x>", special=False, rstrip=True, normalized=False),
        AddedToken("fox", special=False, single_word=True),
    ]  # fmt: skip

    def base(byte):
        """One vocabulary of bytes' characters, one of characters with byte fallback; no other part set."""
        t = Tokenizer(models.BPE() if byte else models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
        t.pre_tokenizer = byte_level() if byte else P.Metaspace(U, "always", False)
        first = ["<s>", "</s>"] if byte else ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
        t.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=600, special_tokens=first, initial_alphabet=P.ByteLevel.alphabet() if byte else [], show_progress=False))
        data = json.loads(t.to_str())
        data["added_tokens"] = [x for x in data["added_tokens"] if not x["content"].startswith("<0x")]
        return data

    bases = {byte: base(byte) for byte in (True, False)}

    def train(normalizer, pre, byte, decoder, changes=None, added=True):
        data = json.loads(json.dumps(bases[byte]))
        data["model"].update(changes or {})
        t = Tokenizer.from_str(json.dumps(data))
        for part, value in (("normalizer", normalizer), ("pre_tokenizer", pre), ("decoder", decoder)):
            setattr(t, part, value)
        if added:
            t.add_tokens(tokens)
        return t

    for name, normalizer in {
        "none": None, "NFC": N.NFC(), "NFD": N.NFD(), "NFKC": N.NFKC(), "NFKD": N.NFKD(), "Lowercase": N.Lowercase(), "StripAccents": N.Sequence([N.NFD(), N.StripAccents()]),
        "Strip": N.Strip(), "Strip left": N.Strip(left=True, right=False), "Prepend": N.Prepend("xy"), "Replace text": N.Replace("th", "ht"), "Replace expression": N.Replace(Regex(r"[aeiou]+\b"), "*"),
        "Nmt": N.Nmt(), "BertNormalizer": N.BertNormalizer(), "BertNormalizer, all off": N.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False),
        "Sequence": N.Sequence([N.NFKC(), N.Lowercase(), N.Replace(Regex(" {2,}"), " "), N.Strip()]),
    }.items():  # fmt: skip
        yield f"normalizer {name}", train(normalizer, byte_level(), True, D.ByteLevel())
    for name, pre in {
        "ByteLevel, prefix": byte_level(add_prefix_space=True), "ByteLevel, no expression": byte_level(use_regex=False), "Digits": P.Sequence([P.Digits(), byte_level()]),
        "Digits, individual": P.Sequence([P.Digits(individual_digits=True), byte_level()]), "WhitespaceSplit": P.Sequence([P.WhitespaceSplit(), byte_level()]),
        "Whitespace": P.Sequence([P.Whitespace(), byte_level()]), "CharDelimiterSplit": P.Sequence([P.CharDelimiterSplit("o"), byte_level()]), "BertPreTokenizer": P.Sequence([P.BertPreTokenizer(), byte_level()]),
        "FixedLength": P.Sequence([P.FixedLength(3), byte_level()]), "Falcon": P.Sequence([P.Punctuation("contiguous"), byte_level(), P.Digits(), split("[0-9][0-9][0-9]")]),
        "DeepSeek": P.Sequence([*(split(r) for r in DEEPSEEK), byte_level(use_regex=False)]), "Metaspace then ByteLevel": P.Sequence([P.Metaspace(), byte_level(use_regex=False)]),
        **{f"Punctuation {b}": P.Sequence([P.Punctuation(b), byte_level()]) for b in behaviors},
        **{f"Split {b}{', inverted' if i else ''}": P.Sequence([split(r"\s+|o", b, i), byte_level(use_regex=False)]) for b, i in itertools.product(behaviors, (False, True))},
        "Split text": P.Sequence([P.Split("e", "merged_with_next"), byte_level(use_regex=False)]),
        **{f"Split {r}": P.Sequence([split(r), byte_level(use_regex=False)]) for r in [LLAMA3, QWEN2, O200K, *OTHERS]},
    }.items():  # fmt: skip
        yield f"pre-tokenizer {name}", train(None, pre, True, D.ByteLevel())
    yield "ignore_merges", train(None, P.Sequence([split(LLAMA3), byte_level(use_regex=False)]), True, D.ByteLevel(), {"ignore_merges": True})
    spm = D.Sequence([D.Replace(U, " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)])
    for scheme, cuts in itertools.product(("always", "first", "never"), (False, True)):
        yield f"Metaspace {scheme}{', split' if cuts else ''}", train(None, P.Metaspace(U, scheme, cuts), False, spm if not cuts else D.Metaspace(U, scheme, cuts))
    legacy = lambda *before: N.Sequence([*before, N.Prepend(U), N.Replace(" ", U)])
    for name, normalizer in {"legacy": legacy(), "legacy, NFKC": legacy(N.NFKC()), "Replace alone": N.Replace(" ", U), "spaces to one": legacy(N.Replace(Regex(" {2,}"), " "))}.items():
        yield f"byte fallback, {name}", train(normalizer, None, False, spm)
    yield "no decoder", train(legacy(), None, False, None)
    yield "Metaspace first behind Strip", train(N.Strip(), P.Metaspace(U, "first", False), False, spm)
    yield "no byte fallback", train(legacy(), None, False, spm, {"byte_fallback": False})
    yield "no byte fallback, unknowns apart", train(legacy(), None, False, spm, {"byte_fallback": False, "fuse_unk": False})
    yield "no unknown", train(legacy(), None, False, spm, {"byte_fallback": False, "unk_token": None})


def folder(tokenizer, place=None):
    """A model's folder with that tokenizer.json."""
    place = Path(place or tempfile.mkdtemp()) / "hf"
    data = tokenizer if isinstance(tokenizer, dict) else json.loads(tokenizer.to_str())
    count = max([*data["model"]["vocab"].values(), *(x["id"] for x in data["added_tokens"])]) + 1
    shape = dict(F.SHAPE, vocabulary=count, layers=1)
    F.write_hugging_face(place, F.weights(shape), shape)
    (place / "tokenizer.json").write_text(json.dumps(data))
    return place
