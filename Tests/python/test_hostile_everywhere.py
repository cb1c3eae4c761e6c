"""Files of every format cut and changed anywhere; and the memory that a refusal takes."""

import random

import formats as F
import pytest
from hostile_formats_tools import SHAPE, W
from test_hostile_meta import bomb, op
from test_hostile_tokenizers import PIECES

import llama2swift
from llama2swift.errors import Llama2Error


def test_memory_of_a_refusal_is_bounded(tmp_path):
    """Less than 64 MiB beyond the file, for the files that could cost most."""
    import subprocess
    import sys

    files = {
        "values": ("hf", "config.json", b"[" + b"0," * 3_000_000 + b"0]"), "objects": ("hf", "config.json", b"[" + b"{}," * 1_000_000 + b"0"),
        "strings": ("hf", "config.json", b"[" + b'"a",' * 1_000_000 + b"0"), "deep": ("hf", "config.json", b"[" * 5_000_000),
        "pickle": ("meta", "consolidated.00.pth", op(b"(" * 2_000_000)), "memo": ("meta", "consolidated.00.pth", bomb()),
    }  # fmt: skip
    for name, (folder, file, data) in files.items():
        F.write_hugging_face(tmp_path / "hf", W, SHAPE)
        F.write_meta(tmp_path / "meta", W, SHAPE)
        (tmp_path / folder / file).write_bytes(data)
        code = f"""
import llama2swift
def peak(): return int(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])
before = peak()
try: llama2swift.Model({str(tmp_path / folder)!r})
except llama2swift.Llama2Error: print(peak() - before)
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert int(done.stdout) < (64 << 10) + len(data) // 1024, name


# Everywhere: cut anywhere, and changed anywhere

FILES = {
    "safetensors": ("hf", "model.safetensors"), "config": ("hf", "config.json"), "tokenizer.model": ("hf", "tokenizer.model"),
    "pth": ("meta", "consolidated.00.pth"), "params": ("meta", "params.json"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_cut_or_changed_anywhere(tmp_path, name):
    folder, file = FILES[name]
    F.write_hugging_face(tmp_path / "hf", W, SHAPE)
    (tmp_path / "hf" / "tokenizer.model").write_bytes(F.sentencepiece_model(PIECES))
    F.write_meta(tmp_path / "meta", W, SHAPE)
    path = tmp_path / folder / file
    good, dice = path.read_bytes(), random.Random(name)
    llama2swift.Model(tmp_path / folder)
    refusals = 0
    head = min(len(good), 6000)
    for i in range(400):
        data = bytearray(good)
        if i % 4 == 0:
            del data[dice.randrange(len(data) if i % 8 else head) :]
        else:
            # the ends of a zip matter as much as the beginning
            for _ in range(dice.randint(1, 3)):
                at = dice.randrange(head)
                data[at if dice.random() < 0.6 else len(data) - 1 - at] = dice.choice([0, 255, dice.randrange(256)])
        path.write_bytes(data)
        try:
            model = llama2swift.Model(tmp_path / folder)
            with model.context(length=8, threads=1) as context:
                context.eval([1])
        except Llama2Error:
            refusals += 1
    assert refusals > 40
