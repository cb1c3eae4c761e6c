"""Every setting of tokenizer files on 20,000 random texts: ids and texts as `tokenizers` and `sentencepiece` make them.

    make compare ARGS="-k tokenizer"        LLAMA2SWIFT_TEXTS: how many texts
"""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Tests" / "python"), str(ROOT / "Tests" / "compare"), str(ROOT / "Bindings" / "Python")]

import sentencepiece  # noqa: E402
import sentencepiece_settings  # noqa: E402
import tokenizer_settings  # noqa: E402

import llama2swift  # noqa: E402

COUNT = int(os.environ.get("LLAMA2SWIFT_TEXTS", 20_000))
MODELS = dict(sentencepiece_settings.models())
FILES = dict(tokenizer_settings.settings())


@pytest.mark.parametrize("name", MODELS)
def test_tokenizer_model(tmp_path, name):
    peer = sentencepiece.SentencePieceProcessor(model_proto=MODELS[name])
    ours = llama2swift.Model(sentencepiece_settings.folder(MODELS[name], tmp_path))
    for text in tokenizer_settings.texts(7, COUNT):
        ids = peer.encode(text)
        assert ours.tokenize(text) == ids, ascii(text)
        assert ours.detokenize(ids) == peer.decode([i for i in ids if not peer.is_unknown(i)]), ascii(text)


@pytest.mark.parametrize("name", FILES)
def test_tokenizer_json(tmp_path, name):
    peer = FILES[name]
    ours = llama2swift.Model(tokenizer_settings.folder(peer, tmp_path))
    for text in tokenizer_settings.texts(7, COUNT):
        ids = peer.encode(text, add_special_tokens=False).ids
        assert ours.tokenize(text, special=True) == ids, ascii(text)
        if "<" not in text:  # behind a name the space that a Prepend put there goes, so that a text comes back
            assert ours.detokenize(ids) == peer.decode(ids), ascii(text)
