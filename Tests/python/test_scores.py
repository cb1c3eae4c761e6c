"""Importance matrices, perplexity and scores."""

import math
import subprocess
import sys

import gguf_reader
import numpy as np
import pytest
from quantize_tools import SHAPE, matrix, source  # noqa: F401 (fixtures)
from tiny_gguf import random_model

import llama2swift
from llama2swift.errors import CancelledError, CorruptFileError, InvalidArgumentError, Llama2Error, OutOfRangeError


def test_importance_is_the_squares_of_the_inputs(source, matrix):
    metadata, infos, _ = gguf_reader.read(matrix)
    assert metadata["general.type"] == "imatrix" and metadata["imatrix.chunk_count"] == 3 and metadata["imatrix.chunk_size"] == 64
    assert len(infos) == 2 * 7 * 8
    # the first layer's input is the normed embedding: by hand
    table, norm = (gguf_reader.tensor(source, n) for n in ("token_embd.weight", "blk.0.attn_norm.weight"))
    x = table[[i % 96 for i in range(192)]].astype(np.float64)
    normed = x / np.sqrt((x * x).mean(1, keepdims=True) + 1e-5) * norm
    sums = gguf_reader.tensor(matrix, "blk.0.attn_q.weight.in_sum2").ravel()
    assert np.allclose(sums, (normed**2).sum(0), rtol=1e-4)
    assert gguf_reader.tensor(matrix, "blk.0.attn_q.weight.counts").item() == 192
    for kind, columns in (("attn_v", 256), ("attn_output", 256), ("ffn_up", 256), ("ffn_down", 512)):
        sums = gguf_reader.tensor(matrix, f"blk.7.{kind}.weight.in_sum2").ravel()
        assert sums.shape == (columns,) and (sums > 0).all()


def test_importance_makes_weighted_errors_less(source, matrix, tmp_path):
    weights = {n: gguf_reader.tensor(source, n).astype(np.float64) for n in ("blk.3.ffn_down.weight", "blk.5.attn_q.weight")}
    for kind in ("Q2_K", "Q3_K_S", "Q4_K_S", "Q6_K"):
        error = {}
        for name, importance in (("plain", None), ("weighted", matrix)):
            llama2swift.quantize(source, tmp_path / "q.gguf", kind, importance=importance)
            llama2swift.convert(tmp_path / "q.gguf", tmp_path / "f.gguf", "F32")
            error[name] = sum(
                (((gguf_reader.tensor(tmp_path / "f.gguf", n) - w) ** 2) * gguf_reader.tensor(matrix, n + ".in_sum2")).sum() for n, w in weights.items()
            )
        assert error["weighted"] < error["plain"], (kind, error)


def test_importance_of_another_model_or_no_importance(source, matrix, tmp_path):
    random_model(tmp_path / "other.gguf", **(SHAPE | {"hidden": 768}))
    with pytest.raises(CorruptFileError, match="ffn_down"):
        llama2swift.quantize(tmp_path / "other.gguf", tmp_path / "q.gguf", "Q4_K_S", importance=matrix)
    with pytest.raises(Llama2Error, match="imatrix"):
        llama2swift.quantize(source, tmp_path / "q.gguf", "Q4_K_S", importance=source)
    good = bytearray(matrix.read_bytes())
    _, infos, data = gguf_reader.read(matrix)
    start = len(good) - len(data)
    for name, value in (("blk.0.attn_q.weight.in_sum2", b"\0\0\xc0\x7f"), ("blk.0.attn_q.weight.in_sum2", b"\0\0\x80\xbf"), ("blk.0.attn_q.weight.counts", bytes(4))):
        bad, at = good[:], start + infos[name][2]
        bad[at : at + 4] = value
        (tmp_path / "bad.gguf").write_bytes(bad)
        with pytest.raises(CorruptFileError, match="blk.0.attn_q"):
            llama2swift.quantize(source, tmp_path / "q.gguf", "Q4_K_S", importance=tmp_path / "bad.gguf")
    assert not (tmp_path / "q.gguf").exists()


# Perplexity and scores


def reference_perplexity(model, tokens, window):
    """From the logits, by the definition."""
    values = []
    with model.context(length=window) as context:
        for first in range(0, len(tokens) - window + 1, window):
            part = list(tokens[first : first + window])
            asked = part[:]
            if model.special_tokens.adds_bos:
                asked[0] = model.special_tokens.bos
            context.reset()
            context.eval(asked, all_logits=True)
            logits = np.array(context.logits(), np.float64)
            log = logits - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True)) - logits.max(1, keepdims=True)
            values += [-log[i, part[i + 1]] for i in range(window // 2, window - 1)]
    return np.array(values)


@pytest.mark.parametrize("window", [4, 64, 129])
def test_perplexity_is_its_definition(stories, window):
    text = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. " * 6
    tokens = stories.tokenize_prompt(text)
    expected = reference_perplexity(stories, tokens, window)
    seen = []
    with stories.context(length=256) as context:
        got = context.perplexity(tokens, window=window, progress=lambda p, windows: seen.append((p.windows, windows)) and None)
    assert got.tokens == len(expected) and math.isclose(got.mean, expected.mean(), rel_tol=1e-5)
    assert math.isclose(got.value, math.exp(got.mean), rel_tol=1e-9)
    assert math.isclose(got.standard_error, expected.std() / math.sqrt(len(expected) - 1), rel_tol=1e-4)
    assert seen == [(i + 1, len(tokens) // window) for i in range(len(tokens) // window)]


def test_a_model_prefers_its_own_stories(stories):
    words = "once upon a time there was a little dog who liked to play with his friends in the big park".split()
    good, bad = " ".join(words), " ".join(sorted(words))
    assert stories.score("", good).total > stories.score("", bad).total + 20


def test_score_is_the_logits(stories):
    tokens = stories.tokenize_prompt("Once upon a time there was a cat")
    with stories.context() as context:
        score = context.score(tokens[:5], tokens[5:])
        context.eval(tokens, all_logits=True)
        logits = np.array(context.logits(), np.float64)[4:-1]
    log = logits - logits.max(1, keepdims=True)
    log -= np.log(np.exp(log).sum(1, keepdims=True))
    assert np.allclose(score.log_probabilities, log[np.arange(len(tokens) - 5), tokens[5:]], atol=1e-5)
    assert list(score.is_best) == [int(row.argmax()) == t for row, t in zip(logits, tokens[5:])]
    assert len(context_free_score(stories).log_probabilities) == 0


def context_free_score(model):
    return model.context().score([1], [])


def test_what_cannot_be_scored(stories):
    with stories.context(length=32) as context:
        for prompt, continuation, problem in [([], [1], InvalidArgumentError), ([1], [512], Llama2Error), ([-1], [1], Llama2Error), ([1] * 20, [1] * 13, Llama2Error)]:
            with pytest.raises(problem):
                context.score(prompt, continuation)
        for tokens, window, problem in [([1] * 31, 32, InvalidArgumentError), ([1] * 100, 33, OutOfRangeError), ([1] * 100, 3, OutOfRangeError), ([1] * 30 + [512] * 40, 32, Llama2Error)]:
            with pytest.raises(problem):
                context.perplexity(tokens, window=window)
        with pytest.raises(CancelledError):
            context.perplexity([1] * 100, progress=lambda *_: True)
        with pytest.raises(ZeroDivisionError):
            context.perplexity([1] * 100, progress=lambda *_: 1 / 0)
        context.eval([1, 2, 3])  # the context is as good as new


def test_command_line(tmp_path, stories_path):
    text = tmp_path / "text.txt"
    text.write_text("Once upon a time there was a little dog. " * 60)
    call = lambda *a: subprocess.run([sys.executable, "-m", "llama2swift", *map(str, a)], capture_output=True, text=True)  # noqa: E731
    done = call("quantize", stories_path, tmp_path / "q.gguf", "Q8_0", "--tensor-type", "attn_q=F16")
    assert done.returncode == 0 and "MiB" in done.stdout, done.stderr
    done = call("convert", stories_path, tmp_path / "c.gguf")
    assert done.returncode == 0 and "F16" in done.stdout, done.stderr
    done = call("perplexity", tmp_path / "q.gguf", text, "-c", 256)
    assert done.returncode == 0 and done.stdout.startswith("perplexity "), done.stderr
    told = call("info", tmp_path / "q.gguf").stdout
    assert "SentencePiece BPE" in told and "'</s>'" in told and "llama2" in told and "kv_bytes" in told and "Q8_0" in told
    done = call("importance", stories_path, text, tmp_path / "i.gguf", "-c", 128)
    assert done.returncode == 0 and (tmp_path / "i.gguf").exists(), done.stderr
    done = call("quantize", stories_path, tmp_path / "x.gguf", "Q7")
    assert done.returncode == 1 and "Q4_K_M" in done.stderr
