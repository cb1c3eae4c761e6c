"""Our answers beside those of programs that nobody here wrote. Run by `make compare`, not by `make test`."""

import os
import random
import sys
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
import pytest
import sentencepiece

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Tests" / "python"), str(ROOT / "Bindings" / "Python"), str(ROOT / "Bindings" / "Python" / "benchmarks")]

import fetch_model  # noqa: E402
import llama2swift  # noqa: E402
import make_model  # noqa: E402
from test_tokens import sentencepiece_metadata  # noqa: E402
from tiny_gguf import random_model  # noqa: E402

SHARED = Path(os.environ.get("LLAMA2SWIFT_SHARED", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="module")
def path():
    return str(fetch_model.fetch())


@pytest.fixture(scope="module")
def ours(path):
    return llama2swift.Model(path)


@pytest.fixture(scope="module")
def peer(path):
    return llama_cpp.Llama(path, n_ctx=512, logits_all=True, verbose=False)


def random_texts(count):
    dice = random.Random(42)
    alphabets = ["abc ", " \n\t", "aé漢🎉 ", "0123456789.,", "'sdtm LlRrEeVv", "<|im_start|>[/INST]</s>", "\u0301\u200d\u00a0ß"]
    for _ in range(count):
        alphabet = "".join(dice.sample(alphabets, 2)) + chr(dice.randrange(32, 0x3000))
        yield "".join(dice.choice(alphabet) for _ in range(dice.randint(0, 60)))
    for _ in range(count):
        yield "".join(chr(c) for c in (dice.randrange(1, 0x2FFFF) for _ in range(dice.randint(1, 20))) if not 0xD800 <= c < 0xE000)


def test_byte_level_tokens_equal_llama_cpps(ours, peer):
    wrong = [t for t in random_texts(2000) if ours.tokenize(t) != peer.tokenize(t.encode(), add_bos=False, special=False)]
    assert wrong == []


def test_sentencepiece_tokens_equal_sentencepieces(tmp_path):
    vocabulary = SHARED / "llama2-tokenizer.model"
    if not vocabulary.exists():
        pytest.skip(f"{vocabulary} is not there")
    random_model(tmp_path / "m.gguf", metadata=sentencepiece_metadata(vocabulary), vocabulary=32000, dim=32, layers=1, heads=2, heads_kv=1, hidden=32)
    model, oracle = llama2swift.Model(tmp_path / "m.gguf"), sentencepiece.SentencePieceProcessor(model_file=str(vocabulary))
    # sentencepiece ends at NUL and drops what it cannot show: neither is in these texts
    wrong = [t for t in random_texts(2000) if model.tokenize(t) != oracle.encode(t)]
    assert wrong == []


def test_metadata_equals_ggufs(ours, path):
    reader = gguf.GGUFReader(path)
    names = [n for n in reader.fields if not n.startswith("GGUF.")]
    assert list(ours.metadata) == names
    for name in names:
        value = reader.fields[name].contents()
        if isinstance(value, str):
            assert ours.metadata[name] == value
        elif isinstance(value, bool):
            assert ours.metadata[name] == str(value).lower()
        elif isinstance(value, int):
            assert ours.metadata[name] == str(value)
    assert sum(t.n_elements for t in reader.tensors) == ours.hyperparameters.parameter_count


def test_logits_agree_with_llama_cpps(ours, peer):
    tokens = ours.tokenize("The history of the city begins with a small settlement on the river, which the Romans called Lutetia. ")
    peer.reset()
    peer.eval(tokens)
    theirs = np.array(peer.scores[: len(tokens)], np.float64)
    with ours.context() as context:
        context.eval(tokens, all_logits=True)
        mine = context.logits().astype(np.float64)
    assert (mine.argmax(1) == theirs.argmax(1)).mean() > 0.9
    assert np.corrcoef(mine.ravel(), theirs.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("kind", make_model.TYPES)
def test_every_block_type_agrees_with_llama_cpps(kind, tmp_path):
    """Random weights: a rank correlation of the logits, position by position, is what can be asked for."""
    path = make_model.write("110m", kind, tmp_path / f"random-110m-{kind}.gguf")
    tokens = [(7919 * i + 13) % 30000 + 260 for i in range(48)]
    peer = llama_cpp.Llama(str(path), n_ctx=64, logits_all=True, verbose=False)
    peer.eval(tokens)
    theirs = np.array(peer.scores[: len(tokens)], np.float64)
    with llama2swift.Model(path).context(length=64) as context:
        context.eval(tokens, all_logits=True)
        mine = context.logits().astype(np.float64)
    for a, b in zip(mine, theirs):
        assert np.corrcoef(a, b)[0, 1] > 0.99
