#!/usr/bin/env python3
"""Makes what the fuzz targets begin with: models for those that need one, and a corpus for each target.

seeds.py MODELS          the models only
seeds.py MODELS CORPUS   and CORPUS/TARGET/NAME
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
import adapters as L  # noqa: E402
import formats as F  # noqa: E402
from seeds_files import (  # noqa: E402
    CHATML, LLAMA2, SHAPE, gguf_seeds, hugging_face_seeds, importance_seeds, llama2c_seeds, meta_seeds, packed, sentencepiece_seeds, split_seeds,
)  # fmt: skip
from tiny_gguf import write_gguf  # noqa: E402

# Vocabularies

BYTES = [(f"<0x{i:02X}>", 0, 6) for i in range(256)]
WORDS = ["▁", "t", "h", "e", "▁t", "he", "▁the", "in", "i", "n", "▁in", "▁▁", "ö", "世", "界", "er", "r", "▁s", "s", "Once", "O", "nc"]


def sentencepiece(byte_tokens=True, **more) -> dict:
    pieces = [("<unk>", 0, 2), ("<s>", 0, 3), ("</s>", 0, 3)] + (BYTES if byte_tokens else [])
    pieces += [(w, -float(i), 1) for i, w in enumerate(WORDS)] + [("<|user|>", 0, 4), ("tool", 0, 4), ("unused", 0, 5)]
    return {
        "tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": [p[0] for p in pieces], "tokenizer.ggml.scores": [float(p[1]) for p in pieces],
        "tokenizer.ggml.token_type": [p[2] for p in pieces], "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
    } | more  # fmt: skip


def byte_alphabet() -> list[str]:
    """GPT-2's letter for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = iter(range(256, 512))
    return [chr(b) if b in plain else chr(next(rest)) for b in range(256)]


MERGES = ["Ġ t", "h e", "Ġt he", "i n", "e r", "Ġ i", "Ġ Ġ", "ĠĠ ĠĠ", "1 2", "3 4", "12 34", "' s", "Ċ Ċ", "a b", "ab ab", "Ã ¶"]


def byte_level(pre: str, **more) -> dict:
    tokens = byte_alphabet() + [m.replace(" ", "") for m in MERGES]
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    return {
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": pre, "tokenizer.ggml.tokens": tokens + special + ["<tool>"],
        "tokenizer.ggml.token_type": [1] * len(tokens) + [3] * 3 + [4], "tokenizer.ggml.merges": MERGES,
        "tokenizer.ggml.bos_token_id": len(tokens), "tokenizer.ggml.eos_token_id": len(tokens) + 2,
    } | more  # fmt: skip


VOCABULARIES = {
    "spm": sentencepiece(), "spm-bare": sentencepiece(False, **{"tokenizer.ggml.add_space_prefix": False}), "gpt2": byte_level("gpt-2"),
    "smollm": byte_level("smollm", **{"tokenizer.chat_template": CHATML}),
    "llama-bpe": byte_level("llama-bpe", **{"tokenizer.chat_template": "<|im_start|>system\nplain<|im_end|>", "tokenizer.ggml.add_bos_token": True}),
    "standard": byte_level("default"), "llama2-chat": sentencepiece(**{"tokenizer.chat_template": LLAMA2}),
    "other-chat": byte_level("gpt-2", **{"tokenizer.chat_template": "{{ '[INST] of another family' }}"}),
}  # fmt: skip


def float_model(path, vocabulary: int, metadata: dict, **change) -> None:
    shape = SHAPE | dict(vocabulary=vocabulary) | change
    F.write_gguf_model(path, F.weights(shape), shape, metadata)


def write_models(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, vocabulary in VOCABULARIES.items():
        float_model(folder / f"{name}.gguf", len(vocabulary["tokenizer.ggml.tokens"]), vocabulary)
    # ffn_down has rows of one superblock, for which an importance matrix counts
    float_model(folder / "quantize.gguf", 8, {}, dim=32, hidden=256)
    shape = SHAPE | dict(vocabulary=64, dim=2, heads=1, hidden=2)
    (folder / "sentencepiece-beside.bin").write_bytes(F.llama2c(F.weights(shape, tied=True), 0, shape))


TEXTS = [
    b"", b" ", b"Once upon a time, there was a little girl.", "Hellö 世界 🌍 \u200d ▁ x".encode(), b"\xff\xfe\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80", b"  the   in\t\n\r\n  don't I'LL 1234567 $+<=>^~|",
    b"<s>[INST] <<SYS>> </s><|im_start|>user<|im_end|>tool<tool>", b"\0\1\2", "e\u0301\u1100\u1161\u0300".encode() * 3, b"abababababab" * 8, b"\xe4\xb8", " \u00a0\u2003\u3000 ".encode(),
]  # fmt: skip


def text_seeds() -> dict[str, bytes]:
    return {f"{m}-{f}-{i}": bytes([m, f]) + text for m in range(8) for i, text in enumerate(TEXTS) for f in ((0, 7) if i else (3, 9))}


def token_seeds() -> dict[str, bytes]:
    lists = [[], [1], [3 + 0xE4, 3 + 0xB8, 3 + 0x96], list(range(0, 320, 7)), [0xF0, 0x9F, 0x8C, 0x8D], [270, 259, 1, 2, 259], [0x1800, 5], [0x17FF, 0xFFFF]]
    return {f"{m}-{f}-{i}": bytes([m, f]) + struct.pack(f"<{len(t)}H", *t) for m in range(8) for f in range(4) for i, t in enumerate(lists)}


def chat_seeds() -> dict[str, bytes]:
    def message(role, text):
        return bytes([role, len(text)]) + text

    dialogs = [
        [], [(1, b"Hello")], [(0, b"Be brief."), (1, b" hi ")], [(0, b"x"), (1, b"a"), (2, b"b"), (1, b"c")], [(2, b"a")], [(1, b"a"), (1, b"b")], [(3, b"tool")], [(0, b"alone")],
        [(1, b"<|im_end|><|im_start|>system [/INST] </s><<SYS>> <|user|> <tool>")], [(1, " \u3000\u00a0x \xa0".encode()), (2, b"\xff\xfe"), (1, b"")], [(15, b"ab")],
    ]  # fmt: skip
    return {f"{m}-{f}-{i}": bytes([m, f]) + b"".join(message(r, t) for r, t in d) for m in range(8) for f in range(3) for i, d in enumerate(dialogs)}


def template_seeds() -> dict[str, bytes]:
    """The small templates that are compared with transformers', with other variables and messages."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
    import make_template_golden as golden

    variables, messages = (json.dumps(v).encode() for v in (golden.VARIABLES, golden.MESSAGES))
    lines = [line.encode() for line in golden.TEMPLATES.split("\n")]
    return {f"{i}": line + b"\0" + variables + (b"\0" + messages if i % 2 else b"") for i, line in enumerate(lines)}


def sampler_seeds() -> dict[str, bytes]:
    def options(kind, *floats, k=0, last=0, bias=(), rest=b"\5\1t\3the"):
        f = list(floats) + [0.0] * (6 - len(floats))
        return struct.pack("<BI6f2iB", kind, 7, *f, k, last, len(bias)) + b"".join(struct.pack("<if", *b) for b in bias) + rest

    nan, inf = float("nan"), float("inf")
    return {
        "default": options(0), "greedy": options(1), "warm": options(0, 2.0, 0.5, 0.1, 1.3, 0.5, 0.5, k=5, last=-1), "off": options(0, 1.0, 1.0, -1.0, 1.0, k=-1, last=3),
        "bias": options(0, bias=[(5, 3.0), (6, -inf), (5, 1.0), (300, 1.0)]), "negative": options(0, bias=[(-1, 0.0)]), "nan": options(0, nan), "inf": options(0, 1.0, inf),
        "beyond": options(0, -1.0, 2.0, 2.0, -1.0, inf, nan, k=-5, last=-7), "flag": struct.pack("<BB", 2, 9), "size": struct.pack("<BB", 4, 3) + options(0)[1:],
        "large": options(0, 3e38, 1e-38, 1.0, 3e38, 3e38, -3e38, k=2**31 - 1, last=2**31 - 1), "all-forbidden": options(1, bias=[(i, -inf) for i in range(31)]),
        "stops": options(1, rest=b"\5" + b"\1e\0\4<|us\37" + b"x" * 31),
        "every-bias": options(0)[:37] + b"\xff" + struct.pack("<f", -inf), "huge-bias": options(1, 1.0)[:37] + b"\xff" + struct.pack("<f", 3.4e38),
    }  # fmt: skip


def grammar_seeds() -> dict[str, bytes]:
    def one(kind, text, flags=0, model=0):
        return bytes([model, kind + 4 * flags]) + text.encode()

    schemas = [
        '{"type":"object","properties":{"a":{"type":"integer","minimum":-5,"maximum":99},"b":{"enum":["x",1,null]}},"required":["a"],"additionalProperties":false}',
        '{"type":"array","items":{"$ref":"#"},"maxItems":3,"contains":{"type":"array"},"minContains":0}',
        '{"oneOf":[{"type":"string","pattern":"^a.*b$","maxLength":9},{"type":"number","multipleOf":0.5}],"not":{"const":"ab"}}',
        '{"type":"object","patternProperties":{"^n":{"type":"number"}},"propertyNames":{"maxLength":4},"minProperties":1,"dependentRequired":{"na":["nb"]}}',
        '{"if":{"type":"string"},"then":{"format":"date-time"},"else":{"anyOf":[{"type":"boolean"},{"type":"array","uniqueItems":true,"items":{"enum":[1,2]}}]}}',
        "true", '{"$ref":"#/$defs/a","$defs":{"a":{"allOf":[{"minimum":1.5},{"exclusiveMaximum":2}]}}}',
    ]  # fmt: skip
    rules = ['root ::= "a" | [b-d]* root2\nroot2 ::= ("x" root2 "y")?', "root ::= [^\\n]{2,4} . #c\n", 'root ::= <[300]> !<[301]>* "z"+']
    expressions = ["a|b*c{2,3}", "(?i)[[:alpha:]]+\\p{Lu}?", "^(x|y)$", "(a*)*b"]
    return {
        **{f"gbnf{i}": one(0, t) for i, t in enumerate(rules)}, **{f"schema{i}": one(1, t, i % 8, i % 2) for i, t in enumerate(schemas)},
        **{f"regex{i}": one(2, t) for i, t in enumerate(expressions)}, "choices": one(3, '["a","ab","\\u00e9"]'),
    }  # fmt: skip


def state_seeds() -> dict[str, bytes]:
    def edits(kind, *pairs):
        return bytes([kind]) + b"".join(struct.pack("<HI", at // 4, value) for at, value in pairs)

    most = 2**32 - 1
    return {
        "whole": edits(2), "one": edits(0), "unsigned": edits(10, (48, 1)), "raw": b"\3L2STATE\0" + bytes(80), "empty": b"\3", "cut": edits(6, (128, 0)),
        "one-sequence": edits(0, (48, 1), (52, 1)), "counts": edits(2, (52, most), (56, most)), "rows": edits(2, (60, 7)), "references": edits(2, (64, most), (68, most)),
        "numbers": edits(2, (80, 1), (80, 5)), "length": edits(2, (84, most)), "pure": edits(2, (88, 3)), "pages": edits(2, (96, 1), (100, 0)), "positions": edits(2, (136, 63)),
    }  # fmt: skip


def saved_seeds() -> dict[str, bytes]:
    def edits(kind, *pairs):
        return bytes([kind]) + b"".join(struct.pack("<BI", at // 4, value) for at, value in pairs)

    most = 2**32 - 1
    return {
        "sampler": edits(0), "decoder": edits(2), "unsigned": edits(16, (40, 1)), "raw": b"\1L2SAMPL\0" + bytes(120), "raw-decoder": b"\3L2DECOD\0" + bytes(56), "empty": b"\1",
        "cut": edits(12, (64, 0)), "generator": edits(0, (40, 7)), "mu": edits(0, (76, 0x7FF80000)), "chosen": edits(0, (84, most)), "banned": edits(0, (88, 3)), "history": edits(0, (96, 2)),
        "taken": edits(0, (104, 2)), "token": edits(0, (112, most)), "last": edits(0, (150, 5)), "start": edits(2, (32, 1), (36, 9)), "held": edits(2, (48, 2), (52, 0x97E6)), "begun": edits(2, (44, 1)),
    }  # fmt: skip


def adapter_seeds(tmp: Path) -> dict[str, bytes]:
    shape = SHAPE | dict(vocabulary=8, dim=32, hidden=256)
    weights = L.adapter("w", lambda name: 2 if name.endswith(("attn_q", "ffn_down", "output")) else 0, shape)
    small = {n: x for n, x in weights.items() if n == "blk.0.attn_q"}

    def folder(data=F.safetensors(L.peft_tensors(small, shape)), **more):
        return packed({0: json.dumps(L.settings(**dict(r=2, target_modules=["q_proj"]) | more)), 1: data})

    def gguf(weights=small, **more):
        return packed({2: L.write_adapter(tmp / "a.gguf", weights, **more).read_bytes()})

    control = tmp / "control.gguf"
    write_gguf(control, {"general.architecture": "controlvector", "controlvector.model_hint": "llama"}, {"direction.1": (0, (32,), bytes(128))})
    patterns = dict(use_rslora=True, rank_pattern={"^model\\.layers\\.[0-9]+.*": 2, "x|y": 3}, alpha_pattern={"(a*)*b?": 1.5, "q_proj": 4}, layers_to_transform=[0], layers_pattern=["layers"])
    return {
        "peft": folder(), "patterns": folder(**patterns), "regex": folder(target_modules=".*(q|k)_proj$", exclude_modules=["x"]), "dora": folder(use_dora=True), "pissa": folder(init_lora_weights="pissa"),
        "f16": folder(F.safetensors(L.peft_tensors(small, shape), "F16"), target_modules="all-linear"), "all": folder(F.safetensors(L.peft_tensors(weights, shape)), target_modules=None),
        "gguf": gguf(), "gguf-all": gguf(weights), "gguf-f16": gguf(kind="F16", alpha=None), "nothing": packed({0: "{}"}), "control": packed({2: control.read_bytes()}),
    }  # fmt: skip


def scheduler_seeds() -> dict[str, bytes]:
    def asked(kind=1, tokens=9, seed=0, first=32, longest=8, priority=0, stop=0, does=0):
        return bytes([0, kind, tokens, seed, first, 0, longest, priority, stop, 101, 32, does])

    head = bytes([0, 0])
    return {
        "one": head + asked(), "nothing": head, "many": head + asked() * 9 + b"\1" * 20, "between": head + (asked() + b"\1\2") * 6, "warm": head + b"".join(asked(0, 12, seed) for seed in range(6)),
        "full": head + asked(1, 40, longest=0) * 5, "before": head + asked(longest=32) * 3 + b"\1\1" + asked(priority=5) * 3 + b"\1", "cancelled": head + asked() * 3 + b"\1\7\17" + b"\3\1\0\0\0",
        "grammar": head + asked(64, longest=30) * 2 + asked(65, longest=0), "probabilities": head + asked(1 + 4 * 12, stop=32) * 2, "stops": head + asked(1, stop=1) + asked(0, stop=3), "limited": bytes([3, 5]) + asked() * 5,
        "from inside": head + asked(does=1) + asked(does=2 + 16) + asked(does=4) + asked(does=8) + asked()[1:], "nobody": head + asked(129, stop=8) + asked(), "deadline": head + asked(stop=252, longest=32) * 3,
    }  # fmt: skip


def search_seeds() -> dict[str, bytes]:
    def asked(kind=0, first=32, count=5, longest=8, width=4, flags=0, penalty=1, room=2, more=b""):
        return bytes([kind, first, count, longest, width, flags, penalty, room]) + more

    def best(*samplers, odd=0, **more):
        return asked(1, room=len(samplers), more=bytes([odd]) + b"".join(bytes(s) for s in samplers), **more)

    return {
        "beams": asked(), "full": asked(flags=1, penalty=0), "exact": asked(flags=2, penalty=3), "both": asked(flags=3), "one": asked(width=1, room=1), "long": asked(longest=20, width=5, room=5),
        "in use": asked(4 + 32, width=4), "too many": asked(4, width=5), "cancelled": asked(8, longest=20, more=b"\3"), "token": asked(count=128 + 4, more=b"\xff\xff\0\0"), "room": asked(longest=20, room=64 + 47),
        "penalty": asked(penalty=255, more=b"\0\0\xf8\x7f\0\0\0\0"), "steep": asked(penalty=9), "endless": asked(longest=255, more=b"\1\0\0\0"), "reserved": asked(flags=254), "no prompt": asked(count=0),
        "best": best((0, 1), (0, 2), (2, 3)), "greedy": best((1, 0), (5, 0), (9, 0)), "grammar": best((16, 1), (17, 2), (18, 3), (20, 4), longest=12), "twice": best((0, 1), (0, 2), odd=255),
        "beams of best": best((0, 1), odd=240), "best cancelled": asked(9, longest=20, room=2, more=b"\4\0" + bytes([0, 1, 0, 2])), "guide": b"\3\4" + bytes(range(0, 160, 10)) + b"\14",
        "guide nothing": b"\3\4" + b"\7" * 17, "guide infinity": b"\3\2" + b"\xff\0\0\x80\x7f" * 17,
    }  # fmt: skip


def corpora(tmp: Path) -> dict[str, dict[str, bytes]]:
    return {
        "gguf": gguf_seeds(tmp), "split": split_seeds(tmp), "safetensors": hugging_face_seeds(), "meta": meta_seeds(), "llama2c": llama2c_seeds(),
        "sentencepiece": sentencepiece_seeds(), "importance": importance_seeds(tmp), "tokenize": text_seeds(), "detokenize": token_seeds(), "decoder": token_seeds(),
        "chat": chat_seeds(), "template": template_seeds(), "sampler": sampler_seeds(), "grammar": grammar_seeds(), "state": state_seeds(), "saved": saved_seeds(), "adapter": adapter_seeds(tmp),
        "scheduler": scheduler_seeds(), "search": search_seeds(),
    }  # fmt: skip


if __name__ == "__main__":
    import tempfile

    write_models(Path(sys.argv[1]))
    if len(sys.argv) > 2:
        with tempfile.TemporaryDirectory() as tmp:
            for target, seeds in corpora(Path(tmp)).items():
                folder = Path(sys.argv[2]) / target
                folder.mkdir(parents=True, exist_ok=True)
                for name, data in seeds.items():
                    (folder / name.replace("/", "-").replace(" ", "-")).write_bytes(data)
                print(f"{target}: {len(seeds)} seeds, {sum(map(len, seeds.values()))} bytes")
