"""The binary interface: what is exported, where the fields lie, what the library needs, what code it holds."""

import os
import re
import subprocess

import header
import pytest

LIBRARY = os.environ.get("LLAMA2SWIFT_LIBRARY", header.ROOT / ".build/release/libllama2swift.so")


def run(*command, **options) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


STANDARDS = [("c89", "c"), ("c99", "c"), ("c11", "c"), ("c++98", "c++"), ("c++17", "c++")]


@pytest.mark.parametrize("standard, language", STANDARDS)
def test_header_compiles_alone(standard, language):
    strict = ["-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    run("cc", f"-std={standard}", *strict, "-x", language, str(header.HEADER))


def test_layout_and_constants_are_those_committed():
    assert header.layout() == (header.ABI / "layout.txt").read_text()


def test_functions_are_those_committed():
    assert header.signatures() == (header.ABI / "functions.txt").read_text()


def test_library_exports_the_header_and_nothing_else():
    exported = [line.split()[-1] for line in run("nm", "-D", "--defined-only", str(LIBRARY)).splitlines()]
    assert sorted(name.split("@")[0] for name in exported) == sorted(header.functions())


def test_library_needs_only_the_system():
    dynamic = run("readelf", "-d", str(LIBRARY))
    needed = {name.split(".so")[0] for name in re.findall(r"NEEDED.*\[(.*?)\]", dynamic)}
    assert needed <= {"libc", "libm", "libstdc++", "libgcc_s", "libopenblas", "ld-linux-x86-64", "ld-linux-aarch64"}
    assert re.search(r"SONAME.*\[libllama2swift.so.0\]", dynamic)
    assert "NODELETE" in dynamic


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="x86 only")
def test_wide_registers_are_used_in_their_own_modules_only():
    """A machine without AVX must be able to run everything that is not behind the choice of kernels."""
    modules = {"zmm": ("Llama2KernelsAVX512",), "ymm": ("Llama2KernelsAVX512", "Llama2KernelsAVX2")}
    function, found, wrong = "", {"zmm": 0, "ymm": 0}, set()
    with subprocess.Popen(["objdump", "-d", "--no-show-raw-insn", str(LIBRARY)], stdout=subprocess.PIPE, text=True) as dump:
        for line in dump.stdout:
            if line.endswith(">:\n"):
                function = line.split("<", 1)[1][:-3]
            else:
                for register, allowed in modules.items():
                    if "%" + register in line:
                        found[register] += 1
                        if not any(module in function for module in allowed):
                            wrong.add(function)
    assert found["zmm"] > 100 and found["ymm"] > 100
    assert wrong == set()
