"""The library runs on systems older than the one that it is built on: which versions it asks for, and that nothing else is missing."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

LIBRARY = Path(os.environ.get("LLAMA2SWIFT_LIBRARY", ROOT / ".build/release/libllama2swift.so")).resolve()
# manylinux_2_27: Ubuntu 18.04, Debian 10, RHEL 8. Tags of auditwheel are told by the same numbers.
OLDEST = {"GLIBC": (2, 27), "GLIBCXX": (3, 4, 24), "CXXABI": (1, 3, 11), "GCC": (7, 0, 0)}


def undefined() -> list[tuple[str, str]]:
    """(symbol, version) of all that the loader has to find."""
    told = subprocess.run(["objdump", "-T", LIBRARY], check=True, capture_output=True, text=True).stdout
    return [(m[2], m[1] or "") for m in re.finditer(r"\*UND\*\s+\S+\s+(?:\((\S+)\))?\s*(\S+)$", told, re.MULTILINE)]


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the oldest versions are those of x86-64")
def test_no_symbol_is_newer_than_promised():
    symbols = undefined()
    assert len(symbols) > 100
    newer = [
        (name, version) for name, version in symbols
        if version and tuple(map(int, version.split("_")[1].split("."))) > OLDEST[version.split("_")[0]]
    ]  # fmt: skip
    assert not newer
    assert not [name for name, version in symbols if not version and name.startswith("__wrap_")]


def test_the_libraries_that_are_needed_are_those_of_every_system():
    told = subprocess.run(["objdump", "-p", LIBRARY], check=True, capture_output=True, text=True).stdout
    needed = set(re.findall(r"NEEDED\s+(\S+)", told))
    assert needed <= {"libc.so.6", "libm.so.6", "libstdc++.so.6", "libgcc_s.so.1", "libpthread.so.0", "libdl.so.2", "ld-linux-x86-64.so.2"}
    assert {"libpthread.so.0", "libdl.so.2"} <= needed  # before glibc 2.34 those have what the library calls


def test_the_readme_says_how_low_it_gets():
    assert f"glibc {'.'.join(map(str, OLDEST['GLIBC']))}" in (ROOT / "README.md").read_text()
