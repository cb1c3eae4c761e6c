"""What a refused allocation, a failing system call, a full disk or a kill leaves behind: Tests/c/faults.c and real faults."""

import errno
import json
import os
import signal
import struct
import subprocess
import sys
import zipfile

import fault_tools as faults
import formats
import numpy as np
import pytest
from conftest import ROOT
from fault_tools import ALIGNED, FILES, MALLOC, MEMORY, STORIES, THREAD
from tiny_gguf import shape_metadata, write_gguf

import llama2swift
from llama2swift.errors import CorruptFileError, Llama2Error

SHORT = -1


@pytest.fixture(scope="module")
def walker(tmp_path_factory):
    return faults.build(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder, w = tmp_path_factory.mktemp("models"), formats.weights()
    (folder / "v2.bin").write_bytes(formats.llama2c(w, 2))
    llama2swift.convert(STORIES, folder / "stories.gguf", "F16")
    return [formats.write_hugging_face(folder / "hf", w), formats.write_meta(folder / "meta", w, shards=2, kind="HalfStorage"), folder / "v2.bin", folder / "stories.gguf"]


@pytest.mark.parametrize("operation", faults.LOADS + faults.CALLS + ["perplexity"] + faults.WRITES)
def test_refused_memory_is_a_status_and_leaves_nothing(walker, operation):
    for mode in ("one", "from"):
        faults.walk(walker, operation, MEMORY, mode, 0, 60)


@pytest.mark.parametrize("operation", ["decode", "eval"])
def test_these_have_no_allocation_that_could_fail(walker, operation):
    assert faults.walk(walker, operation, MEMORY, "from", 0, 0)["faults"] == 0


@pytest.mark.parametrize("index", range(4))
def test_refused_memory_while_any_format_is_loaded(walker, folders, index):
    for operation, mode in [("load", "from"), ("load_copy", "one"), ("load_interleaved", "one")]:
        assert faults.walk(walker, operation, MEMORY, mode, 0, 40, folders[index])["survived"] == 0


def test_a_thread_that_does_not_start_is_a_status(walker):
    assert faults.walk(walker, "create", THREAD, "one", 0, 0)["refused"] == 2
    assert faults.walk(walker, "quantize", THREAD, "one", 0, 0)["refused"] == 1


def test_a_load_lives_from_what_it_has_covered(walker, folders):
    faults.run(walker, "hostile", STORIES, *folders)


MANY = 30_000


def many_tensors(folder, w):
    empty = {f"blk.{i % 80}.{'x' * 40}.{i}.weight": (0, (32,), bytes(128)) for i in range(MANY)}
    write_gguf(folder / "tensors.gguf", shape_metadata(**formats.SHAPE), empty)
    return folder / "tensors.gguf"


def many_keys(folder, w):
    return formats.write_gguf_model(folder / "keys.gguf", w, metadata={f"general.base_model.{i}.{'x' * 40}": "a text" for i in range(MANY)})


def many_stored(folder, w):
    target = formats.write_hugging_face(folder / "hf", w)
    tensors = {f"model.layers.{i}.{'x' * 40}": np.zeros((2, 2), np.float32) for i in range(MANY)}
    (target / "model.safetensors").write_bytes(formats.safetensors(tensors))
    return target


def many_tokens(folder, w):
    """With merges, which are tokens too."""
    shape = formats.SHAPE | dict(vocabulary=MANY)
    target = formats.write_hugging_face(folder / "hf", formats.weights(shape), shape)
    letters = [chr(0x4E00 + i) for i in range(200)]
    pairs = [(a, b) for a in letters for b in letters][: MANY - 1000]
    words = letters + [a + b for a, b in pairs]
    vocabulary = {word: i for i, word in enumerate(words)}
    text = {"version": "1.0", "added_tokens": [], "model": {"type": "BPE", "vocab": vocabulary, "merges": [f"{a} {b}" for a, b in pairs]}}
    (target / "tokenizer.json").write_text(json.dumps(text))
    return target


def many_pieces(folder, w):
    shape = formats.SHAPE | dict(vocabulary=MANY)
    (folder / "model.bin").write_bytes(formats.llama2c(formats.weights(shape), 0, shape))
    pieces = b"".join(struct.pack("<fi", -i, 12) + f"  piece{i:05}".encode() for i in range(MANY))
    (folder / "tokenizer.bin").write_bytes(struct.pack("<i", 12) + pieces)
    return folder / "model.bin"


@pytest.mark.parametrize("make", [many_tensors, many_keys, many_stored, many_tokens, many_pieces])
def test_what_a_load_covers_follows_what_there_is(walker, tmp_path, make):
    """The reserve of 256 KiB is not enough for these: where a cover is too small, the process ends."""
    faults.run(walker, "hostile", make(tmp_path, formats.weights()))


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("operation", faults.WRITES)
def test_a_failing_system_call_leaves_the_old_file_or_the_new_one(walker, operation, code):
    assert faults.walk(walker, operation, FILES, "one", code, 0)["refused"] > 0


@pytest.mark.parametrize("operation", faults.WRITES + ["load", "load_copy"])
def test_interruptions_and_short_transfers_are_invisible(walker, operation):
    for mode, code in [("one", errno.EINTR), ("every", errno.EINTR), ("one", SHORT), ("every", SHORT)]:
        assert faults.walk(walker, operation, FILES, mode, code, 0)["refused"] == 0


def test_a_file_that_cannot_be_read_is_never_passed_over(walker, folders):
    """An error on the vocabulary beside the model is an error, not a model without a vocabulary."""
    for model in [STORIES, *folders[:2]]:
        assert faults.walk(walker, "load", FILES & ~512, "one", errno.EIO, 0, model)["survived"] == 0


def test_a_full_disk_leaves_the_old_file(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("a small file system can only be mounted by root")
    try:
        (disk / "out.gguf").write_bytes(b"old")
        with pytest.raises(Llama2Error, match="No space left"):
            llama2swift.convert(STORIES, disk / "out.gguf", "F32")
        assert [p.name for p in disk.iterdir()] == ["out.gguf"] and (disk / "out.gguf").read_bytes() == b"old"
    finally:
        subprocess.run(["umount", disk], check=True)


def python(code: str, *arguments) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], env=os.environ | {"PYTHONPATH": str(ROOT / "Bindings/Python")}, capture_output=True, text=True)  # fmt: skip


def test_a_killed_quantize_leaves_the_old_file_and_no_model(tmp_path):
    output = tmp_path / "out.gguf"
    output.write_bytes(b"old")
    done = python(
        "import os, signal, sys, llama2swift\n"
        "llama2swift.quantize(sys.argv[1], sys.argv[2], 'Q8_0', progress=lambda part: part > 0.5 and os.kill(os.getpid(), signal.SIGKILL))",
        STORIES, output,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL and output.read_bytes() == b"old"
    (left,) = set(tmp_path.iterdir()) - {output}
    assert left.name.endswith(".part")
    with pytest.raises(Llama2Error):
        llama2swift.Model(left)
    llama2swift.quantize(STORIES, output, "Q8_0")  # not disturbed by it
    llama2swift.Model(output)


TRUNCATED = """
import os, sys, llama2swift
model = llama2swift.Model(sys.argv[1], copy=sys.argv[2] == "copy")
os.truncate(sys.argv[1], 0)
with model.context() as context:
    context.eval([1, 403, 407])
    print(context.logits().tobytes().hex())
"""


def test_a_truncated_file_harms_a_mapped_model_only(tmp_path, stories):
    path = tmp_path / "model.bin"
    path.write_bytes(open(STORIES, "rb").read())
    copied = python(TRUNCATED, path, "copy")
    with stories.context() as context:
        context.eval([1, 403, 407])
        assert copied.stdout.strip() == context.logits().tobytes().hex(), copied.stderr
    path.write_bytes(open(STORIES, "rb").read())
    assert python(TRUNCATED, path, "map").returncode == -signal.SIGBUS


def test_nested_pickles_are_freed_without_recursion(tmp_path):
    (tmp_path / "params.json").write_text("{}")
    with zipfile.ZipFile(tmp_path / "consolidated.00.pth", "w") as archive:
        archive.writestr("consolidated/data.pkl", b"\x80\2)" + b"\x85" * 200_000 + b".")
    with pytest.raises(CorruptFileError, match="no dictionary"):
        llama2swift.Model(tmp_path)


def test_checked_memory_does_not_touch_the_reserve(walker):
    """Of a context every piece is checked, so each refusal of one is out of memory."""
    assert faults.walk(walker, "create", ALIGNED, "one", 0, 0)["survived"] == 0
    assert faults.walk(walker, "create", MALLOC, "one", 0, 0)["survived"] == 0
