"""Quantizing, converting, perplexity and scores."""

import math
import resource
import subprocess
import sys

import gguf_reader
import numpy as np
import pytest
from conftest import FIXTURES
from tiny_gguf import random_model

import llama2swift
from llama2swift.errors import CancelledError, CorruptFileError, InvalidArgumentError, Llama2Error, OutOfRangeError

TYPES = "F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K".split()
SHAPE = dict(vocabulary=96, dim=256, layers=8, heads=8, heads_kv=2, hidden=512)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("tools") / "source.gguf"
    random_model(path, **SHAPE)
    return path


def run(path, tokens=range(40)):
    with llama2swift.Model(path).context() as context:
        context.eval(list(tokens), all_logits=True)
        return context.logits().astype(np.float64)


def test_every_type_runs_and_more_bits_are_nearer(source, tmp_path):
    reference, error = run(source), {}
    for kind in TYPES:
        llama2swift.quantize(source, tmp_path / "q.gguf", kind)
        error[kind] = np.abs(run(tmp_path / "q.gguf") - reference).mean() / np.abs(reference).mean()
    assert error["F32"] == 0 < error["F16"] < 0.02 and error["BF16"] < 0.05
    for better, worse in [("Q8_0", "Q6_K"), ("Q6_K", "Q5_K_S"), ("Q5_K_S", "Q4_K_S"), ("Q4_K_S", "Q3_K_S"), ("Q3_K_S", "Q2_K"), ("Q5_1", "Q4_1"), ("Q5_0", "Q4_0")]:
        assert error[better] < error[worse], error
    assert error["Q2_K"] < 1


# llama.cpp's rules for a model of 8 layers with four query heads to one: types of attn_v and ffn_down, layer by layer
MIXES = {
    "Q4_K_M": ([14, 12, 12, 14, 12, 12, 14, 14], [14, 12, 12, 14, 12, 12, 14, 14]),
    "Q4_K_S": ([13, 13, 13, 13, 12, 12, 12, 12], [13, 12, 12, 12, 12, 12, 12, 12]),
    "Q3_K_M": ([13, 13, 12, 12, 12, 12, 12, 12], [12] * 8),
    "Q3_K_L": ([13] * 8, [13] * 8),
    "Q2_K": ([12] * 8, [11] * 8),
    "Q5_K_M": ([14, 13, 13, 14, 13, 13, 14, 14], [14, 13, 13, 14, 13, 13, 14, 14]),
}


@pytest.mark.parametrize("mix", MIXES)
def test_mixes_give_more_bits_where_llama_cpp_does(source, tmp_path, mix):
    llama2swift.quantize(source, tmp_path / "q.gguf", mix)
    metadata, infos, _ = gguf_reader.read(tmp_path / "q.gguf")
    v, down = ([infos[f"blk.{i}.{n}.weight"][0] for i in range(8)] for n in ("attn_v", "ffn_down"))
    assert (v, down) == MIXES[mix]
    assert infos["output.weight"][0] == 14 and infos["output_norm.weight"][0] == 0
    assert metadata["general.quantization_version"] == 2 and metadata["general.file_type"] in (10, 12, 13, 14, 15, 17)


def test_overrides_and_rows_that_are_no_superblocks(source, tmp_path):
    llama2swift.quantize(source, tmp_path / "q.gguf", "Q4_0", overrides={"attn_q": "Q8_0", "blk.1.": "F16"})
    infos = gguf_reader.read(tmp_path / "q.gguf")[1]
    assert [infos[f"blk.{i}.attn_q.weight"][0] for i in (0, 1)] == [8, 8]
    assert [infos[f"blk.{i}.ffn_up.weight"][0] for i in (0, 1)] == [2, 1]
    random_model(tmp_path / "odd.gguf", vocabulary=64, dim=96, layers=1, heads=4, heads_kv=4, hidden=100)
    llama2swift.quantize(tmp_path / "odd.gguf", tmp_path / "q.gguf", "Q4_K_M")
    infos = gguf_reader.read(tmp_path / "q.gguf")[1]
    # 96 is three blocks of 32; 100 is no whole number of blocks at all
    assert infos["blk.0.attn_q.weight"][0] == 6 and infos["blk.0.ffn_down.weight"][0] == 1
    run(tmp_path / "q.gguf", range(5))
    llama2swift.quantize(tmp_path / "odd.gguf", tmp_path / "q.gguf", "Q2_K")
    assert gguf_reader.read(tmp_path / "q.gguf")[1]["blk.0.attn_q.weight"][0] == 2  # Q4_0


@pytest.mark.parametrize("kind", ["Q4_K_M", "Q8_0", "Q5_1", "Q2_K"])
def test_the_result_depends_on_nothing_but_the_input(source, tmp_path, kind):
    for name, threads in (("a", 1), ("b", 2), ("c", 5)):
        llama2swift.quantize(source, tmp_path / name, kind, threads=threads)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()


def test_tensors_are_those_of_the_file(source, tmp_path):
    llama2swift.quantize(source, tmp_path / "q.gguf", "Q4_K_M")
    names = {0: "F32", 12: "Q4_K", 14: "Q6_K"}
    _, infos, data = gguf_reader.read(tmp_path / "q.gguf")
    tensors = llama2swift.Model(tmp_path / "q.gguf").tensors
    assert [(t.name, t.type, t.columns, t.rows) for t in tensors] == [(n, names[k], s[0], s[1] if len(s) > 1 else 1) for n, (k, s, _) in infos.items()]
    assert sum(-(-t.bytes // 32) * 32 for t in tensors) == len(data)


def test_stories260k_is_converted_with_its_vocabulary(stories_path, stories, tmp_path):
    llama2swift.convert(stories_path, tmp_path / "s.gguf", "F32")
    model = llama2swift.Model(tmp_path / "s.gguf")
    assert model.tokenize("Once upon a time") == stories.tokenize("Once upon a time")
    tokens = stories.tokenize_prompt("Once upon a time")
    assert np.array_equal(run(tmp_path / "s.gguf", tokens), run(stories_path, tokens))


# What goes wrong


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "target.gguf"
    path.write_bytes(b"what was there before")
    yield path
    assert path.read_bytes() == b"what was there before"
    assert [p.name for p in tmp_path.iterdir() if ".part" in p.name] == []


def test_cancelling_leaves_the_old_file(source, target):
    parts = []
    with pytest.raises(CancelledError):
        llama2swift.quantize(source, target, "Q4_K_M", progress=lambda part: parts.append(part) or len(parts) == 3)
    assert len(parts) == 3 and parts == sorted(parts)


def test_an_exception_in_the_callback_comes_back(source, target):
    def fail(part):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        llama2swift.quantize(source, target, progress=fail)


def test_weights_that_are_not_finite(target, tmp_path):
    _, weights = random_model(tmp_path / "m.gguf", **SHAPE)
    raw = bytearray((tmp_path / "m.gguf").read_bytes())
    at = raw.index(weights["blk.1.attn_k"].tobytes())
    for value in (b"\0\0\xc0\x7f", b"\0\0\x80\x7f"):
        raw[at + 40 : at + 44] = value
        (tmp_path / "bad.gguf").write_bytes(raw)
        for kind in ("Q4_0", "Q8_0", "Q6_K"):
            with pytest.raises(CorruptFileError, match="blk.1.attn_k.weight"):
                llama2swift.quantize(tmp_path / "bad.gguf", target, kind)


def test_wrong_arguments(source, target, tmp_path):
    for kind in ("Q4", "q4_0", "", "IQ2_XXS", "Q9_9"):
        with pytest.raises(InvalidArgumentError):
            llama2swift.quantize(source, target, kind)
    with pytest.raises(InvalidArgumentError):
        llama2swift.convert(source, target, "Q4_0")
    with pytest.raises(Llama2Error):
        llama2swift.quantize(source, target, overrides={"attn_q": "IQ4_XS"})
    with pytest.raises(OSError if issubclass(Llama2Error, OSError) else Llama2Error):
        llama2swift.quantize(source, tmp_path / "no" / "such" / "folder.gguf")
    with pytest.raises(Llama2Error):
        llama2swift.quantize(tmp_path / "nothing.gguf", target)


def test_a_full_disk_leaves_the_old_file(source, target):
    """The limit on the size of files stands for the disk: writing fails in the middle."""
    code = f"""
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
import llama2swift
try:
    llama2swift.quantize({str(source)!r}, {str(target)!r}, "F16")
except llama2swift.Llama2Error as problem:
    print(problem)
    sys.exit(7)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 7 and "cannot write" in done.stdout, done.stderr


def test_memory_stays_small(tmp_path):
    """Some rows, not tensors: the peak grows by less than the 40 MB tensor of the file."""
    random_model(tmp_path / "m.gguf", vocabulary=40000, dim=256, layers=1, heads=4, heads_kv=4, hidden=256, tied=True)
    code = f"""
import llama2swift
def peak(): return int(next(l for l in open('/proc/self/status') if l.startswith('RssAnon')).split()[1])
before, seen = peak(), []
llama2swift.quantize({str(tmp_path / "m.gguf")!r}, {str(tmp_path / "q.gguf")!r}, "Q4_K_M", progress=lambda part: seen.append(peak()) or False)
print(max(seen) - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 32_000


@pytest.mark.parametrize("overrides, why", [
    ({"nonexistent": "Q4_0"}, "is in no tensor's name"),
    ({"attn_norm": "Q4_0"}, "is only in names of vectors"),
    ({"attn_": "Q5_0", "attn_q": "Q8_0"}, "earlier override takes"),
    ({"attn_q": "Q8_0", "attn_Q": "Q8_0"}, "is in no tensor's name"),
])  # fmt: skip
def test_an_override_that_changes_nothing_is_refused(source, tmp_path, overrides, why):
    with pytest.raises(InvalidArgumentError, match=why):
        llama2swift.quantize(source, tmp_path / "q.gguf", "Q4_0", overrides=overrides)
    assert not list(tmp_path.iterdir())


def test_an_importance_matrix_that_nothing_follows_is_refused(source, matrix, tmp_path):
    for kind in ("Q4_0", "Q8_0", "F16"):
        with pytest.raises(InvalidArgumentError, match="K types"):
            llama2swift.quantize(source, tmp_path / "q.gguf", kind, importance=matrix)
    llama2swift.quantize(source, tmp_path / "q.gguf", "Q8_0", importance=matrix, overrides={"ffn_down": "Q4_K"})


# The importance matrix


@pytest.fixture(scope="module")
def matrix(source, tmp_path_factory):
    path = tmp_path_factory.mktemp("importance") / "imatrix.gguf"
    with llama2swift.Model(source).context(length=64, batch_size=16) as context:
        context.importance([i % 96 for i in range(200)], path)
    return path


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
