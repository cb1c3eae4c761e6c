"""Quantizing, converting, perplexity and scores."""

import subprocess
import sys

import gguf_reader
import numpy as np
import pytest
from quantize_tools import SHAPE, matrix, source  # noqa: F401 (fixtures)
from tiny_gguf import random_model

import llama2swift
from llama2swift.errors import CancelledError, CorruptFileError, InvalidArgumentError, Llama2Error

TYPES = "F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K".split()


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
