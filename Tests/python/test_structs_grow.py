"""A struct that has grown, with old and new callers and libraries, for each struct: Tests/c/grown.c.

The header whose structs have grown is today's with one more field in every struct that has struct_size; the library that
knows it is today's with its boundary compiled against that header.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import header
import pytest

ROOT = header.ROOT
LIBRARY = Path(os.environ.get("LLAMA2SWIFT_LIBRARY", ROOT / ".build/release/libllama2swift.so")).resolve()
SIZED = [name for name, declared in header.structs().items() if "struct_size" in declared]


def run(command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


def grow(text: str) -> str:
    """One more field at the end of every struct with struct_size."""
    return re.sub(
        r"(typedef struct \w+ \{\n    uint32_t struct_size;.*?)(\} \w+;)", r"\1    uint64_t grown;\n\2", text, flags=re.S
    )


def fill_new_field(source: str) -> str:
    """`llama2_memory(struct_size: ...)` gets the value of the new field, as whoever appends one must write it."""
    found, at = [], 0
    for start in re.finditer(rf"\b(?:{'|'.join(SIZED)})\((?=\s*struct_size:)", source):
        depth, end = 1, start.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(source[end], 0)
            end += 1
        found += [source[at : end - 1], ", grown: 0x5eed"]
        at = end - 1
    return "".join(found) + source[at:]


@pytest.fixture(scope="module")
def grown_header(tmp_path_factory):
    folder = tmp_path_factory.mktemp("Include")
    shutil.copy(ROOT / "Include/module.modulemap", folder)
    text = grow(header.HEADER.read_text())
    assert text.count("uint64_t grown;") == len(SIZED) >= 14
    (folder / "llama2swift.h").write_text(text)
    return folder


def build_commands() -> tuple[list[str], list[str]]:
    """How SwiftPM compiled the boundary and linked the library, from what it wrote down."""
    manifest = ROOT / ".build/release.yaml"
    if not manifest.exists() or not shutil.which("swiftc"):
        pytest.skip("the library was not built here")
    text = manifest.read_text()
    one = lambda name: json.loads(re.search(rf'^  "C\.{name}".*?^    args: (\[.*?\])$', text, re.M | re.S).group(1))  # noqa: E731
    return one(r"Llama2CAPI-[\w-]*\.module"), one(r"llama2swift-[\w-]*\.dylib")


@pytest.fixture(scope="module")
def grown_library(grown_header, tmp_path_factory):
    """The boundary compiled anew, everything below it as it is."""
    out = tmp_path_factory.mktemp("grown")
    compile_, link = build_commands()
    sources = out / "sources"
    sources.mkdir()
    for source in (ROOT / "Sources/Llama2CAPI").glob("*.swift"):
        (sources / source.name).write_text(fill_new_field(source.read_text()))
    compile_ = [re.sub(r"(?<=-fmodule-map-file=).*/Include/module\.modulemap", f"{grown_header}/module.modulemap", a) for a in compile_]
    assert any(str(grown_header) in a for a in compile_)
    # one object for the whole module; what SwiftPM keeps beside it is not wanted
    drop = {"-emit-dependencies": 0, "-emit-module": 0, "-emit-module-path": 1, "-output-file-map": 1, "-num-threads": 1, "-emit-objc-header": 0,
            "-emit-objc-header-path": 1, "-parseable-output": 0, "-serialize-diagnostics": 0}  # fmt: skip
    kept, skip = [], 0
    for argument in compile_:
        if skip:
            skip -= 1
        elif argument in drop:
            skip = drop[argument]
        elif not argument.startswith("@"):
            kept.append(argument)
    run([*kept, *sorted(sources.iterdir()), "-o", out / "boundary.o"], cwd=out)
    link = [f"{out}/libllama2swift.so" if a.endswith("libllama2swift.so") and "/" in a and not a.startswith("-") else a for a in link]
    expanded = []
    for argument in link:  # the list of objects is in a file
        expanded += shlex.split(Path(argument[1:]).read_text()) if argument.startswith("@") else [argument]
    objects = [a for a in expanded if "/Llama2CAPI.build/" not in a]
    assert len(objects) < len(expanded)
    run([*objects, out / "boundary.o"], cwd=out)
    return out / "libllama2swift.so"


def tell(include, library, folder, stories_path, *flags):
    link = folder / "libllama2swift.so.0"
    link.symlink_to(library)
    strict = ["-std=c89", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O1"]
    run(["cc", *strict, f"-I{include}", *flags, ROOT / "Tests/c/grown.c", "-o", folder / "grown", link, f"-Wl,-rpath,{folder}"])
    assert run([folder / "grown", stories_path, folder / "out.gguf"], timeout=120).splitlines()[-1] == "all checks passed"


def test_every_sized_struct_has_its_call():
    source = "".join(path.read_text() for path in (ROOT / "Tests/c").glob("grown*"))
    assert {name for name in SIZED if f"ROOM({name})" in source} == set(SIZED)


def test_todays_caller_and_library(tmp_path, stories_path):
    tell(ROOT / "Include", LIBRARY, tmp_path, stories_path)


def test_a_newer_caller_of_this_library(tmp_path, stories_path, grown_header):
    """Zero in what the library does not know is fine, content is refused, results end where the library does."""
    tell(grown_header, LIBRARY, tmp_path, stories_path, "-DGROWN")


def test_this_caller_of_a_newer_library(tmp_path, stories_path, grown_library):
    tell(ROOT / "Include", grown_library, tmp_path, stories_path)


def test_a_newer_caller_of_a_newer_library(tmp_path, stories_path, grown_header, grown_library):
    """What _init states reaches to the new field, so it is read."""
    tell(grown_header, grown_library, tmp_path, stories_path, "-DGROWN")


def test_the_oldest_program_and_a_newer_library(tmp_path, stories_path, grown_library):
    oldest, link = header.ABI / "0.1.0", tmp_path / "libllama2swift.so.0"
    link.symlink_to(grown_library)
    run(["cc", "-std=c99", f"-I{oldest}", oldest / "program.c", "-o", tmp_path / "program", link, f"-Wl,-rpath,{tmp_path}"])
    assert run([tmp_path / "program", stories_path], timeout=60).splitlines()[-1] == "all checks passed"


KINDS = ("model", "context", "sampler", "generate", "quantize", "grammar", "scheduler", "request")
DECLARED = "".join(f"    llama2_{k}_options {k};\n" for k in KINDS)
CALLED = "".join(f"    llama2_{k}_options_init(&{k}); llama2_{k}_options_init(NULL);\n" for k in KINDS)


@pytest.mark.parametrize("standard, language", [("c89", "c"), ("c99", "c"), ("c11", "c"), ("c++98", "c++"), ("c++17", "c++")])
def test_init_is_clean_in_every_standard_and_knows_its_type(standard, language):
    strict = ["-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{ROOT / 'Include'}"]
    compiler = ["cc"] if language == "c" else ["c++", "-Wold-style-cast"]
    command = [*compiler, f"-std={standard}", *strict, "-x", language, "-"]
    text = f"#include <llama2swift.h>\nvoid f(void);\nvoid f(void) {{\n{DECLARED}{CALLED}}}\n"
    run(command, input=text)
    wrong = text.replace("llama2_model_options_init(NULL)", "llama2_model_options_init(&context)")
    done = subprocess.run(command, input=wrong, capture_output=True, text=True)
    assert done.returncode != 0 and re.search("pointer type mismatch|invalid .static_cast", done.stderr), done.stderr


def test_struct_init_refuses_sizes_that_no_struct_has():
    import ctypes as C

    from llama2swift import _library as lib

    buffer = C.create_string_buffer(b"\xa5" * 8192)
    address = C.addressof(buffer)
    for size in (0, 3, 4097, 2**32, 2**63, 2**64 - 1):
        assert lib._cdll.llama2_struct_init(address, size) == -2 and buffer.raw.count(b"\xa5") == 8192
    assert lib._cdll.llama2_struct_init(None, 8) == -1
    for size in (4, 8, 61, 4096):
        C.memset(address, 0xA5, 8192)
        assert lib._cdll.llama2_struct_init(address + 1, size) == 0  # at any address
        assert buffer.raw[1 : 1 + size] == size.to_bytes(4, "little") + bytes(size - 4)
        assert buffer.raw[0] == 0xA5 and set(buffer.raw[1 + size : 8192]) == {0xA5}
