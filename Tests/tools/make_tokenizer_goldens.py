#!/usr/bin/env python3
"""Writes Tests/fixtures/tokenizer-settings.json.xz: tokenizer files with every setting, texts, and what the oracles make of them.

    PYTHONPATH=Tests/compare:Tests/python python3 Tests/tools/make_tokenizer_goldens.py

Needs `tokenizers` and `sentencepiece`, whose ids and texts they are. The files are those of Tests/compare, where
`make compare` tries them on many more texts.
"""
import json
import lzma
from pathlib import Path

import sentencepiece
import sentencepiece_settings
import tokenizer_settings
import tokenizers

TEXTS = ["", " ", "hello world", "  hello  world ", "don't I'VE 12345", "<s>hello</s> world<|m|> x <x> y fox", *tokenizer_settings.texts(2024, 34)]

json_files, shared = [], {}
for name, t in tokenizer_settings.settings():
    data = json.loads(t.to_str())
    key = json.dumps([data["model"].pop("vocab"), data["model"].pop("merges")])
    data["base"] = shared.setdefault(key, len(shared))
    ids = [t.encode(x, add_special_tokens=False).ids for x in TEXTS]
    json_files.append({"name": name, "file": data, "ids": ids, "decoded": [t.decode(i) for i in ids]})

models = []
for name, raw in sentencepiece_settings.models():
    if ", " in name and not name.startswith(("nmt_nfkc, prefix True", "identity, prefix True", "nfkc_cf, prefix False, remove extra False, suffix True", "user", "no ", "unused")):
        continue
    sp = sentencepiece.SentencePieceProcessor(model_proto=raw)
    ids = [sp.encode(x) for x in TEXTS]
    decoded = [sp.decode([i for i in row if not sp.is_unknown(i)]) for row in ids]
    models.append({"name": name, "file": raw.hex(), "ids": ids, "decoded": decoded})

out = {
    "made by": f"tokenizers {tokenizers.__version__}, sentencepiece {sentencepiece.__version__}", "texts": TEXTS,
    "bases": [json.loads(k) for k in shared], "tokenizer.json": json_files, "tokenizer.model": models,
}  # fmt: skip
path = Path(__file__).parents[1] / "fixtures/tokenizer-settings.json.xz"
path.write_bytes(lzma.compress(json.dumps(out, ensure_ascii=False).encode(), preset=9 | lzma.PRESET_EXTREME))
print(len(json_files), "tokenizer.json,", len(models), "tokenizer.model,", path.stat().st_size, "bytes")
