"""The rooms of Sources: who may import whom, and that what CONTRIBUTING.md says about adding things is so, by counting files."""

import re
import subprocess

import pytest
from conftest import ROOT

SOURCES = ROOT / "Sources"
ALWAYS = {"Glibc", "Synchronization", "Builtin"}
BOUNDARY = {"CLlama2Swift", "LinuxSystem", "Llama2Core", "Llama2Engine"}


def table() -> list[set[str]]:
    """The rooms of DESIGN.md, line by line, from the top down."""
    rows = re.findall(r"^\| (`.*?`) \|", (ROOT / "DESIGN.md").read_text(), re.MULTILINE)
    lines = []
    for row in rows:
        names = re.findall(r"`(?:\.\.\.)?(\w+)`", row)
        # `...AVX2` continues the first name of its line
        parts = [n if "..." + n not in row else next(x for x in names if x.startswith("Llama2")) + n for n in names]
        lines.append(set(parts))
    return lines


def imports(room: str) -> set[str]:
    found = set()
    for path in (SOURCES / room).rglob("*.swift"):
        if not path.is_symlink():
            found |= set(re.findall(r"^\s*(?:@\w+ )?(?:public |internal |package |private )?import (?:\w+ )?(\w+)", path.read_text(), re.MULTILINE))
    return found - ALWAYS


def test_the_table_has_every_room():
    named = set().union(*table())
    assert named == {p.name for p in SOURCES.iterdir() if p.is_dir()}


def test_a_room_imports_only_what_stands_above_it():
    above: set[str] = {"CLlama2Swift"}
    for line in table():
        for room in line:
            # the instruction sets' modules share a line with the one that chooses between them
            known = above | (line if room == "Llama2Kernels" else set())
            assert imports(room) <= known, room
        above |= line


def test_the_boundary_knows_core_and_engine_only():
    assert imports("Llama2CAPI") == BOUNDARY


def test_the_boundary_reaches_for_nothing_behind_engine():
    for path in (SOURCES / "Llama2CAPI").glob("*.swift"):
        assert not re.search(r"\.(inference|weights|file)\b", path.read_text()), path


NOT_KEYS = {"rope.freqs", "llama.cpp"}  # a tensor of Meta's, and whose pre-tokenizers they are


def test_the_names_of_metadata_stand_in_one_file():
    """What turns another format into GGUF's keys and what reads them cannot mean different ones. Comments may say them."""
    family = r"(?:llama|general|rope|split|imatrix|controlvector|adapter\.(?:type|lora)|tokenizer\.(?:ggml|llama2swift|chat_template))\b\.?"
    named = {}
    for path in SOURCES.rglob("*.swift"):
        texts = re.findall(r'"(?:\\.|[^"\\\n])*"', re.sub(r"^\s*//.*", "", path.read_text(), flags=re.MULTILINE))
        found = {key for text in texts for key in re.findall(rf"(?<![\w.\\(])(?:{family})(?:(?<=\.)[a-z_][\w.]*|(?<=\.)(?=\")|(?<=template))", text)} - NOT_KEYS
        if found:
            named[path.relative_to(SOURCES).as_posix()] = found
    assert set(named) == {"Llama2Formats/MetadataKey.swift"}, named
    assert {"llama.", "general.", "split.count", "tokenizer.ggml.", "tokenizer.chat_template"} <= named["Llama2Formats/MetadataKey.swift"]


TABLES = {
    "Sources/UnicodeData/unicode_data.c", "Sources/BlockTables/include/block_tables.h",
    "Bindings/Python/llama2swift/_structs.py",  # what header.py makes is as long as the header
    "Tests/tools/make_template_golden.py",  # templates
}  # fmt: skip


def test_no_file_is_longer_than_300_lines():
    """One that is has two concepts. Tables are as long as they are, and a frozen header as it was."""
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "Sources", "Bindings", "Tests"], cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    code = [f for f in files or everything() if f.endswith((".swift", ".c", ".h", ".py", ".sh")) and not f.startswith("Tests/abi/") and (ROOT / f).is_file()]
    assert len(code) > 600
    assert {f for f in code if not (ROOT / f).is_symlink() and len((ROOT / f).read_text().splitlines()) > 300} == TABLES


def everything():
    """Where there is no git."""
    return [p.relative_to(ROOT).as_posix() for folder in ("Sources", "Bindings", "Tests") for p in (ROOT / folder).rglob("*") if "build" not in p.parts]


# The recipes: files that name a thing, beside its tests. That of a block format is in test_kernel_modules.py.


def named_in(words: str, *folders: str) -> set[str]:
    found = set()
    for folder in folders:
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".swift", ".h", ".c", ".py") and not path.is_symlink() and re.search(rf"\b(?:{words})\b", path.read_text()):
                found.add(path.relative_to(ROOT).as_posix())
    return found


STEPS = {  # file: what the code calls the step and its options
    "XTC": "XTCStep|xtcProbability|xtcThreshold", "Typical": "TypicalStep|typicalP", "DRY": "DRYStep|dryMultiplier|dryAllowedLength",
    "Smoothing": "SmoothingStep|smoothingFactor|smoothingCurve",
}  # fmt: skip


@pytest.mark.parametrize("step", STEPS)
def test_a_step_of_the_sampler_is_three_files(step):
    """Its own, its options, the list of steps; what carries options over the boundary is one file for all steps."""
    files = named_in(STEPS[step], "Sources")
    assert files - {"Sources/Llama2Engine/SamplerTexts.swift"} == {  # the breakers of DRY are texts
        f"Sources/Llama2Sampling/Steps/{step}.swift", "Sources/Llama2Sampling/SamplerOptions.swift", "Sources/Llama2Sampling/Step.swift",
        "Sources/Llama2CAPI/SamplerOptionsAPI.swift",
    }  # fmt: skip


@pytest.mark.parametrize("function", ["sequence_shift", "sampler_accept", "state_size", "model_tensor", "chat_render"])
def test_a_function_of_the_header_is_four_files(function):
    """The header, its family's file, the Python method, and the declarations that header.py makes."""
    files = named_in(f"llama2_{function}|{function}(?=\")", "Include", "Sources", "Bindings/Python/llama2swift")
    assert len(files) == 4 and {"Include/llama2swift.h", "Bindings/Python/llama2swift/_functions.py"} < files, files
