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


K_TYPES = {"Q2_K": 10, "Q3_K": 11, "Q4_K": 14, "Q5_K": 16, "Q6_K": 18}


@pytest.mark.parametrize("kind", K_TYPES)
def test_k_types_lose_no_more_than_llama_cpps(tmp_path, kind):
    """Squared error of every matrix of a random model, ours and theirs, relative to its squares."""
    shape = dict(vocabulary=512, dim=512, layers=2, heads=8, heads_kv=4, hidden=1024)
    _, weights = random_model(tmp_path / "f.gguf", **shape)
    every = {"attn": kind, "ffn": kind, "output.weight": kind, "token_embd": kind}
    llama2swift.quantize(tmp_path / "f.gguf", tmp_path / "ours.gguf", "F16", overrides=every)
    options = llama_cpp.llama_model_quantize_default_params()
    options.ftype, options.pure, options.nthread = K_TYPES[kind], True, 2
    assert llama_cpp.llama_model_quantize(str(tmp_path / "f.gguf").encode(), str(tmp_path / "theirs.gguf").encode(), options) == 0
    errors = {}
    for name in ("ours", "theirs"):
        for tensor in gguf.GGUFReader(tmp_path / f"{name}.gguf").tensors:
            if len(tensor.shape) > 1 and tensor.tensor_type.name == kind:
                reference = weights[tensor.name.removesuffix(".weight")]
                difference = gguf.dequantize(tensor.data, tensor.tensor_type) - reference
                errors.setdefault(tensor.name, {})[name] = float((difference**2).sum() / (reference**2).sum())
    both = [e for e in errors.values() if len(e) == 2]
    assert len(both) >= 14
    means = {n: float(np.mean([e[n] for e in both])) for n in ("ours", "theirs")}
    print(kind, {n: f"{m:.6f}" for n, m in means.items()})
    assert all(e["ours"] <= e["theirs"] * 1.0001 for e in both)


def test_perplexity_equals_llama_cpps(path, ours):
    """The same windows by llama.cpp's logits: the tool's own arithmetic over its API."""
    words = (ROOT / "README.md").read_text() + (ROOT / "CONTRIBUTING.md").read_text()
    tokens, window = ours.tokenize(words), 256
    model = llama_cpp.Llama(path, n_ctx=window, n_batch=window, logits_all=True, verbose=False)
    values = []
    for first in range(0, len(tokens) - window + 1, window):
        part = tokens[first : first + window]
        model.reset()
        model.eval(part)
        logits = np.array(model.scores[:window], np.float64)
        log = logits - logits.max(1, keepdims=True)
        log -= np.log(np.exp(log).sum(1, keepdims=True))
        values += [-log[i, part[i + 1]] for i in range(window // 2, window - 1)]
    theirs = float(np.exp(np.mean(values)))
    with ours.context(length=window) as context:
        mine = context.perplexity(tokens, window=window)
    print(f"perplexity {mine.value:.4f}, llama.cpp {theirs:.4f}")
    assert mine.tokens == len(values) and abs(mine.value / theirs - 1) < 0.005


def test_llama_cpp_loads_what_we_convert(tmp_path, ours, path):
    """SmolLM2 to every type that llama.cpp reads as well: the same tokens, and the same best token most of the time."""
    text = "The quick brown fox jumps over the lazy dog. In a hole in the ground there lived a hobbit."
    for kind in ("F16", "Q8_0", "Q5_1", "Q4_K_M", "Q3_K_M", "Q2_K"):
        llama2swift.quantize(path, tmp_path / "q.gguf", kind)
        theirs, mine = llama_cpp.Llama(str(tmp_path / "q.gguf"), n_ctx=64, logits_all=True, verbose=False), llama2swift.Model(tmp_path / "q.gguf")
        tokens = mine.tokenize(text)
        assert tokens == theirs.tokenize(text.encode(), add_bos=False)
        theirs.eval(tokens)
        with mine.context() as context:
            context.eval(tokens, all_logits=True)
            same = context.logits().argmax(1) == np.array(theirs.scores[: len(tokens)]).argmax(1)
        print(kind, f"{same.mean():.2f}")
        assert same.mean() >= 0.85


@pytest.mark.parametrize("mix", {"Q2_K": 10, "Q3_K_S": 11, "Q3_K_M": 12, "Q3_K_L": 13, "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18, "Q4_0": 2, "Q8_0": 7}.items())
def test_mixes_are_llama_cpps(tmp_path, path, mix):
    """The type of every tensor, where all rows are whole superblocks and in SmolLM2, where they are not."""
    random_model(tmp_path / "m.gguf", vocabulary=512, dim=256, layers=20, heads=8, heads_kv=2, hidden=512)
    for source in (str(tmp_path / "m.gguf"), path):
        llama2swift.quantize(source, tmp_path / "ours.gguf", mix[0])
        options = llama_cpp.llama_model_quantize_default_params()
        options.ftype, options.nthread, options.allow_requantize = mix[1], 2, True
        assert llama_cpp.llama_model_quantize(source.encode(), str(tmp_path / "theirs.gguf").encode(), options) == 0
        ours, theirs = ({t.name: t.tensor_type.name for t in gguf.GGUFReader(tmp_path / f"{n}.gguf").tensors} for n in ("ours", "theirs"))
        assert {n: (t, theirs[n]) for n, t in ours.items() if t != theirs[n]} == {}
