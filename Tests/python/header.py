"""What Include/llama2swift.h declares: functions, structs, constants.

Tests/abi has a folder for each version with what it declared. Run this file to write that of the header's own version;
those of older versions are history and never change. It also writes the Python binding's declarations anew.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEADER = ROOT / "Include" / "llama2swift.h"
ABI = ROOT / "Tests" / "abi"


def version() -> str:
    """The header's own, as 1.2.3."""
    numbers = (re.search(rf"^#define LLAMA2_VERSION_{part} (\d+)", HEADER.read_text(), re.M).group(1) for part in ("MAJOR", "MINOR", "PATCH"))
    return ".".join(numbers)


def versions() -> list[str]:
    """Those with a folder in Tests/abi, oldest first."""
    return sorted((f.name for f in ABI.iterdir() if f.is_dir()), key=lambda v: [int(n) for n in v.split(".")])


def committed(version: str) -> tuple[dict[str, int], dict[str, tuple[int, int]], dict[str, int], dict[str, str]]:
    """({struct: size}, {struct.field: (offset, size)}, {constant: value}, {function: signature}) of a version."""
    sizes, fields, values = {}, {}, {}
    for line in (ABI / version / "layout.txt").read_text().splitlines():
        words = line.split()  # no `match`: the wheel's tests run in Python 3.9 too
        if words[1] == "offset":
            fields[words[0]] = (int(words[2]), int(words[4]))
        elif words[1] == "size":
            sizes[words[0]] = int(words[2])
        else:
            values[words[0]] = int(words[1])
    lines = (ABI / version / "functions.txt").read_text().splitlines()
    return sizes, fields, values, {re.search(r"llama2_\w+", line).group(): line for line in lines}


def first_sizes() -> dict[str, int]:
    """The size of each struct in the version that brought it: what struct_size may never be required to exceed."""
    found = {}
    for name in versions():
        found = committed(name)[0] | found
    return found


def plain() -> str:
    """The header without comments."""
    return re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S)


def typed(declaration: str) -> tuple[str, str]:
    """(type without const, name) of a parameter or field."""
    kind, name = re.fullmatch(r"\s*(.*?)(\w+)\s*", declaration, re.S).groups()
    return re.sub(r"\bconst\b|\s", "", kind), name


def parameters() -> dict[str, dict[str, str]]:
    """function -> {parameter: type}, as declared."""
    found = {}
    for name, declared in re.findall(r"^\s*(?:int32_t|void|const char \*)\s*\*?(llama2_\w+)\(([^;]*?)\);", plain(), re.M | re.S):
        found[name] = {} if declared.strip() == "void" else {n: t for t, n in map(typed, declared.split(","))}
    return found


def functions() -> dict[str, list[str]]:
    """name -> parameter names, as declared."""
    return {name: list(declared) for name, declared in parameters().items()}


def fields() -> dict[str, dict[str, str]]:
    """struct -> {field: type}."""
    return {
        name: {n: t for t, n in (typed(f) for f in body.split(";") if f.strip())}
        for body, name in re.findall(r"typedef struct \w+ \{(.*?)\}\s*(\w+);", plain(), re.S)
    }


def structs() -> dict[str, list[str]]:
    """name -> fields."""
    return {name: list(declared) for name, declared in fields().items()}


def values() -> dict[str, int]:
    """Constants and their values, as committed for this version."""
    return committed(version())[2]


def constants() -> list[str]:
    return re.findall(r"^#define (LLAMA2_\w+) \S", plain(), re.M)


def layout() -> str:
    """Offset and size of every field, value of every constant, as the C compiler sees them."""
    lines = []
    for name, fields in structs().items():
        lines.append(f'printf("{name} size %zu\\n", sizeof({name}));')
        for f in fields:
            lines.append(f'printf("{name}.{f} offset %zu size %zu\\n", offsetof({name}, {f}), sizeof((({name} *)0)->{f}));')
    lines += [f'printf("{c} %ld\\n", (long)({c}));' for c in constants()]
    code = "#include <stdio.h>\n#include <llama2swift.h>\nint main(void) {\n" + "\n".join(lines) + "\nreturn 0; }\n"
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "layout.c", Path(folder) / "layout"
        source.write_text(code)
        subprocess.run(["cc", f"-I{HEADER.parent}", source, "-o", program], check=True)
        return subprocess.run([program], check=True, capture_output=True, text=True).stdout


def signatures() -> str:
    text = re.sub(r"\s+", " ", plain())
    return "".join(sorted(m.strip() + ";\n" for m in re.findall(r"(?:int32_t|void|const char \*)\s*\*?llama2_\w+\([^;]*\)(?=;)", text)))


if __name__ == "__main__":
    folder = ABI / version()
    folder.mkdir(exist_ok=True)
    (folder / "layout.txt").write_text(layout())
    (folder / "functions.txt").write_text(signatures())
    subprocess.run([sys.executable, str(ROOT / "Tests" / "tools" / "make_python_declarations.py")], check=True)
