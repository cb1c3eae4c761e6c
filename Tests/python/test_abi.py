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
    assert header.layout() == (header.ABI / header.version() / "layout.txt").read_text()


def test_functions_are_those_committed():
    assert header.signatures() == (header.ABI / header.version() / "functions.txt").read_text()


OLDER = [v for v in header.versions() if v != header.version()]


def test_the_folders_of_versions_are_those_that_there_were():
    """One that disappears would take its promises along."""
    assert header.versions()[:1] == ["0.1.0"] and header.version() == header.versions()[-1]


@pytest.mark.parametrize("older", OLDER)
def test_everything_of_an_older_version_is_there_and_the_same(older):
    sizes, fields, values, signatures = header.committed(older)
    now_sizes, now_fields, now_values, now_signatures = header.committed(header.version())
    assert signatures.items() <= now_signatures.items()
    assert fields.items() <= now_fields.items()
    changing = {f"LLAMA2_VERSION_{part}" for part in ("MAJOR", "MINOR", "PATCH")}
    assert {n: v for n, v in values.items() if n not in changing}.items() <= now_values.items()
    for name, size in sizes.items():
        if f"{name}.struct_size" in fields:
            assert now_sizes[name] >= size, name
        else:  # in arrays, or without a size of its own: a program compiled before could not say which it has
            assert now_sizes[name] == size, name


@pytest.mark.parametrize("older", OLDER)
def test_what_was_appended_to_a_struct_lies_behind_what_there_was(older):
    sizes, fields, _, _ = header.committed(older)
    _, now_fields, _, _ = header.committed(header.version())
    for name, (offset, _) in now_fields.items():
        if name not in fields and name.split(".")[0] in sizes:
            assert offset >= sizes[name.split(".")[0]], name


def test_a_program_of_the_oldest_version_links_and_runs(tmp_path, stories_path):
    """Its header, its structs, every function that it knew; compiled as it would have been then."""
    oldest, program = header.ABI / "0.1.0", tmp_path / "program"
    link = tmp_path / "libllama2swift.so.0"
    link.symlink_to(os.path.abspath(LIBRARY))
    strict = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"]
    run("cc", *strict, f"-I{oldest}", str(oldest / "program.c"), "-o", str(program), str(link), f"-Wl,-rpath,{tmp_path}")
    source = (oldest / "program.c").read_text()
    assert set(header.committed("0.1.0")[3]) <= set(re.findall(r"llama2_\w+(?=\()", source))
    done = subprocess.run([str(program), stories_path], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["all checks passed"]), done.stdout + done.stderr


def test_library_exports_the_header_and_nothing_else():
    exported = [line.split()[-1] for line in run("nm", "-D", "--defined-only", str(LIBRARY)).splitlines()]
    assert sorted(name.split("@")[0] for name in exported) == sorted(header.functions())


def test_library_needs_only_the_system():
    dynamic = run("readelf", "-d", str(LIBRARY))
    needed = {name.split(".so")[0] for name in re.findall(r"NEEDED.*\[(.*?)\]", dynamic)}
    assert needed <= {"libc", "libm", "libstdc++", "libgcc_s", "libopenblas", "libpthread", "libdl", "ld-linux-x86-64", "ld-linux-aarch64"}
    assert re.search(r"SONAME.*\[libllama2swift.so.0\]", dynamic)
    assert "NODELETE" in dynamic


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="x86 only")
def test_wide_registers_are_used_in_their_own_modules_only():
    """A machine without AVX must be able to run everything that is not behind the choice of kernels."""
    modules = {"zmm": ("Llama2KernelsAVX512", "Llama2KernelsAVX512VBMI"), "ymm": ("Llama2KernelsAVX512", "Llama2KernelsAVX512VBMI", "Llama2KernelsAVXVNNI", "Llama2KernelsAVX2")}
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
