"""The modules of instruction sets hold their own code only, and a block format is one place."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "Sources"
MODULES = ["Llama2KernelsAVX2", "Llama2KernelsAVXVNNI", "Llama2KernelsAVX512", "Llama2KernelsAVX512VBMI"]


def code_symbols(module):
    """(name) of every function that the module's objects define, local ones too."""
    objects = sorted((ROOT / f".build/release/{module}.build").glob("*.o"))
    if not objects:
        pytest.skip(f"{module} is not built here")
    # an object whose source is gone stays behind in the folder
    objects = [o for o in objects if any((SOURCES / module).rglob(o.name.removesuffix(".o")))]
    lines = subprocess.run(["nm", "--defined-only", *map(str, objects)], capture_output=True, text=True, check=True).stdout.splitlines()
    return [line.split()[2] for line in lines if re.match(r"[0-9a-f]+ [tTwWuU] ", line)]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_of_an_instruction_set_defines_no_function_of_another_module(module):
    """One such copy (of Array, say) could be the one that the linker keeps for everybody: a machine without the instructions would die in it."""
    symbols = code_symbols(module)
    assert len(symbols) > 20
    foreign = [s for s in symbols if f"{len(module)}{module}" not in s]
    assert foreign == []


@pytest.mark.parametrize("module", MODULES)
def test_a_module_of_an_instruction_set_exports_its_table_only(module):
    objects = sorted((ROOT / f".build/release/{module}.build").glob("*.o"))
    objects = [o for o in objects if any((SOURCES / module).rglob(o.name.removesuffix(".o")))]
    if not objects:
        pytest.skip(f"{module} is not built here")
    tables = [line for line in subprocess.run(["nm", "--defined-only", *map(str, objects)], capture_output=True, text=True, check=True).stdout.splitlines() if re.search(r" T .*11kernelTable", line)]
    assert len(tables) == 1


@pytest.mark.parametrize("module", ["Llama2KernelsDotProduct", "Llama2KernelsI8MM"])
def test_the_modules_of_arm64_are_one_set_of_sources(module):
    """What differs between them is behind the compiler's macros in ArmIntrinsics; a file that one lacks would not compile there, and nobody has tried."""
    real = SOURCES / "Llama2KernelsNEON"
    files = {p.relative_to(real): p.resolve() for p in real.rglob("*.swift")}
    assert len(files) > 20
    assert files == {p.relative_to(SOURCES / module): p.resolve() for p in (SOURCES / module).rglob("*.swift")}


def own_sources():
    """Swift and C sources, links left out: a link is another place to be compiled, not another place to be edited."""
    return [p for p in SOURCES.rglob("*") if p.suffix in (".swift", ".h", ".c") and not p.is_symlink()]


FAMILIES = SOURCES / "Llama2Core/Formats"
FORMATS = {name: p.name for p in FAMILIES.glob("*.swift") for name in re.findall(r"^enum (\w+): (?:Block|Plain)Format", p.read_text(), re.M)}
# named elsewhere for what they are used for: numbers of every tensor, types of the cache, mixes, and kernels with functions of their own
USED = {"F32", "F16", "BF16", "Q4_0", "Q4_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"}


@pytest.mark.parametrize("name", sorted(FORMATS.keys() - USED))
def test_a_format_on_plain_kernels_is_two_files(name):
    """Its family's file and the list of types; a kernel of its own in an instruction set's module comes on top. Q5_0 and Q5_1, which are written
    too, stand in for two of the K family."""
    named = {p.relative_to(SOURCES).as_posix() for p in own_sources() if re.search(rf"\b{name}\b", p.read_text(), re.IGNORECASE)}
    plain = {p for p in named if not p.startswith((*MODULES, "Llama2KernelsNEON"))}
    expected = {f"Llama2Core/Formats/{FORMATS[name]}", "Llama2Core/BlockType.swift"}
    assert plain - ({"Llama2Core/Formats/K.swift"} if name.startswith("Q5") else set()) == expected


def test_every_format_is_in_its_familys_list_and_among_the_types():
    """What a kernel does with a number is looked up in the lists; nobody decodes a type that is in one only."""
    assert len(FORMATS) > 20
    types = (SOURCES / "Llama2Core/BlockType.swift").read_text()
    for name, family in FORMATS.items():
        assert f"case {name}.number: visitor.visit({name}.self)" in (FAMILIES / family).read_text(), name
        assert f"visitor.visit(any: {name}.self)" in types, name


def test_no_switch_over_types_has_a_default():
    """A type that somebody forgets must not compile."""
    for path in own_sources():
        for switch in re.finditer(r"switch (?:\w+\.)?type \{(.*?)\n(\s*)\}", path.read_text(), re.S):
            if re.search(r"case \.(f32|q4_0|q4_K|q8_0)\b", switch[1]):
                assert "default:" not in switch[1], path
