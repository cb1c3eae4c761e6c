"""Builds and runs Tests/c/faults.c under Tests/c/inject.c: allocations and system calls that fail, one after the other."""

import os
import shutil
import subprocess
from pathlib import Path

from conftest import FIXTURES, ROOT

# kinds of inject.h
MALLOC, MMAP, THREAD, ALIGNED = 1, 2, 4, 1024
MEMORY = MALLOC | MMAP | ALIGNED
FILES = 8 | 16 | 32 | 64 | 128 | 256 | 512
LIBRARY = Path(os.environ.get("LLAMA2SWIFT_LIBRARY", ROOT / ".build/release/libllama2swift.so")).resolve()
STORIES = str(FIXTURES / "stories260K.bin")

LOADS = ["load", "load_copy", "load_interleaved", "preflight"]
CALLS = ["create", "create_sampler", "create_decoder", "decode", "eval", "eval_batch", "sample", "generate", "tokenize", "detokenize", "chat", "chat_long", "metadata", "perplexity", "score", "embeddings"]  # fmt: skip
LONG = {"chat_long": 300}  # 60,000 allocations, each of which the walk counts: these steps at least
WRITES = ["quantize", "convert", "importance"]


def build(folder: Path) -> Path:
    flags = ["-std=gnu99", "-Wall", "-Wextra", "-Werror", "-O1"]
    subprocess.run(["cc", *flags, "-shared", "-fPIC", ROOT / "Tests/c/inject.c", "-o", folder / "inject.so", "-ldl"], check=True)
    shutil.copy(LIBRARY, folder / "libllama2swift.so.0")
    subprocess.run(
        ["cc", *flags, f"-I{ROOT}/Include", ROOT / "Tests/c/faults.c", "-o", folder / "faults", folder / "inject.so", folder / "libllama2swift.so.0", "-Wl,-rpath,$ORIGIN"],
        check=True,
    )  # fmt: skip
    return folder


def run(folder: Path, *arguments, timeout=600) -> str:
    """What the walk prints; an AssertionError with it when a promise is broken or the process was killed."""
    done = subprocess.run(
        [folder / "faults", *map(str, arguments)], env=os.environ | {"LD_PRELOAD": str(folder / "inject.so")}, capture_output=True, text=True, timeout=timeout
    )  # fmt: skip
    assert done.returncode == 0, (arguments, done.returncode, done.stdout, done.stderr[-2000:])
    return done.stdout.strip()


def walk(folder: Path, operation: str, kinds: int, mode: str, code: int, step: int, model=STORIES, importance=None) -> dict[str, int]:
    """The figures of one walk: walked, faults, refused, survived, largest. A fresh folder holds the output."""
    step = max(step, LONG.get(operation, 0))
    output = folder / "out"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    extra = [importance] if importance else []
    text = run(folder, operation, kinds, mode, code, step, model, output / "output.gguf", *extra)
    words = text.split(": ")[1].replace("largest ", "").replace(" bytes", " largest").split(", ")
    return {name: int(number) for number, name in (word.split() for word in words)}
