"""Programs in C of Tests/c, built and run against the library under test."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from header import ROOT

LIBRARY = Path(os.environ.get("LLAMA2SWIFT_LIBRARY", ROOT / ".build/release/libllama2swift.so")).resolve()
STRICT = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O1"]


def build(name: str, folder: Path, *, linked: bool = True) -> Path:
    """Tests/c/NAME.c as a program in `folder`; not linked: it opens the library itself."""
    soname = folder / "libllama2swift.so.0"
    if not soname.exists():
        soname.symlink_to(LIBRARY)
    link = [str(LIBRARY), f"-Wl,-rpath,{folder}"] if linked else []
    program = folder / name
    source = ROOT / "Tests/c" / f"{name}.c"
    subprocess.run(["cc", *STRICT, f"-I{ROOT}/Include", str(source), "-o", str(program), *link, "-ldl", "-lpthread"], check=True)
    return program


def run(program: Path, *arguments, timeout: float = 120, **options) -> str:
    """What the program prints; it must end with 0, which it does when everything is as it should be."""
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, **options)
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
