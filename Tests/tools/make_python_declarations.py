"""Writes what the Python binding knows of Include/llama2swift.h: constants, structs, callbacks, signatures.

Output: Bindings/Python/llama2swift/_constants.py, _structs.py and _functions.py, which are committed; a test compares them
with what this makes. `python3 Tests/python/header.py` runs it. Values of constants are those of the compiler, by header.py.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Tests" / "python"))

import header  # noqa: E402

PACKAGE = ROOT / "Bindings" / "Python" / "llama2swift"
NOTE = "Made from Include/llama2swift.h by Tests/tools/make_python_declarations.py: not to be edited."

# C's type: ctypes' and, of a field, Python's. What is not here is a pointer, a struct or a callback, or an error.
NUMBERS = {
    "int32_t": ("C.c_int32", "int"), "uint32_t": ("C.c_uint32", "int"), "int64_t": ("C.c_int64", "int"), "uint64_t": ("C.c_uint64", "int"),
    "uint8_t": ("C.c_uint8", "int"), "size_t": ("C.c_size_t", "int"), "float": ("C.c_float", "float"), "double": ("C.c_double", "float"),
}  # fmt: skip


def class_name(name: str) -> str:
    """llama2_context_options -> ContextOptions, llama2_io -> IO."""
    words = name[len("llama2_") :].split("_")
    return "".join(w.upper() if len(w) <= 2 else w.capitalize() for w in words)


def ctypes_of(kind: str, structs: set[str], callbacks: set[str], handles: set[str]) -> str:
    """The ctypes type of a C type without const and spaces, as a parameter."""
    if kind in NUMBERS:
        return NUMBERS[kind][0]
    if kind in ("char*", "void*"):
        return "C.c_char_p" if kind == "char*" else "C.c_void_p"
    if kind in callbacks:
        return class_name(kind)
    base = kind[:-1]
    if not kind.endswith("*"):
        raise SystemExit(f"{kind} is a type that this script does not know")
    if base in handles:
        return "C.c_void_p"
    if base in structs:
        return f"C.POINTER({class_name(base)})"
    return f"C.POINTER({ctypes_of(base, structs, callbacks, handles)})"


def callbacks() -> dict[str, tuple[str, list[str]]]:
    """name -> (result, types of the parameters)."""
    found = {}
    for result, name, declared in re.findall(r"typedef\s+(\w+)\s*\(\*(llama2_\w+)\)\(([^)]*)\);", header.plain()):
        found[name] = result, [header.typed(p)[0] for p in declared.split(",")]
    return found


def handles() -> set[str]:
    return set(re.findall(r"typedef struct (\w+) \1;", header.plain()))


def constants() -> str:
    lines = [f'"""The header\'s constants without their LLAMA2_. {NOTE}"""\n']
    values = dict(re.findall(r"^(LLAMA2_\w+) (-?\d+)$", header.layout(), re.M))
    lines += [f"{name[len('LLAMA2_'):]} = {value}" for name, value in values.items()]
    return "\n".join(lines) + "\n"


def structs() -> str:
    kinds, called, opaque = header.fields(), callbacks(), handles()
    known = set(kinds)
    parts = [f'"""The header\'s structs and callbacks, declared anew for ctypes. {NOTE}"""\n']
    parts.append("from __future__ import annotations\n\nimport ctypes as C\nfrom typing import Any, TypeVar\n\nfrom . import _constants as K\n")
    for name, fields in kinds.items():
        annotations, pairs = [], []
        for field, kind in fields.items():
            if kind in called:  # an address: what ctypes makes of a Python function is kept by whoever set it
                kind = "void*"
            python = NUMBERS[kind][1] if kind in NUMBERS else "bytes | None" if kind == "char*" else "Any"
            annotations.append(f"    {field}: {python}")
            pairs.append(f'        ("{field}", {ctypes_of(kind, known, set(), opaque)}),')
        parts.append(f'\nclass {class_name(name)}(C.Structure):\n    """{name}"""\n')
        parts.append("\n".join(annotations) + "\n\n    _fields_ = [\n" + "\n".join(pairs) + "\n    ]\n")
    parts.append("")
    for name, (result, kinds_) in called.items():
        # a text that is given to a callback has a length and no terminator
        arguments = ["C.POINTER(C.c_char)" if k == "char*" else ctypes_of(k, known, set(called), opaque) for k in kinds_]
        returns = "None" if result == "void" else NUMBERS[result][0]
        parts.append(f"{class_name(name)} = C.CFUNCTYPE({', '.join([returns, *arguments])})")
    parts.append("\n# The header's numbers of structs.\nNUMBERS: dict[int, type[C.Structure]] = {")
    names = {c.lower(): c for c in header.constants() if c.startswith("LLAMA2_STRUCT_")}
    for name in kinds:
        constant = names.get("llama2_struct_" + name[len("llama2_") :])
        if constant is None:
            raise SystemExit(f"{name} has no LLAMA2_STRUCT_ number")
        parts.append(f"    K.{constant[len('LLAMA2_'):]}: {class_name(name)},")
    parts.append("}\n\nStruct = TypeVar(\"Struct\", bound=C.Structure)\n")
    parts.append(
        "\ndef sized(kind: type[Struct]) -> Struct:\n"
        '    """An empty struct that states its size."""\n'
        "    value = kind()\n"
        "    value.struct_size = C.sizeof(kind)\n"
        "    return value\n"
    )
    return "\n".join(parts)


def functions() -> str:
    known, called, opaque = set(header.fields()), set(callbacks()), handles()
    found = {}
    for result, name in re.findall(r"(int32_t|void|const char \*) ?(llama2_\w+)\(", re.sub(r"\s+", " ", header.plain())):
        found[name] = {"int32_t": "C.c_int32", "void": "None", "const char *": "C.c_char_p"}[result]
    lines = [f'"""The header\'s functions without their llama2_: what they return, what they take. {NOTE}"""\n']
    lines.append("from __future__ import annotations\n\nimport ctypes as C\nfrom typing import Any\n")
    used = sorted({class_name(k.rstrip("*")) for p in header.parameters().values() for k in p.values() if k.rstrip("*") in known | called})
    lines.append("from ._structs import (\n" + "".join(f"    {u},\n" for u in used) + ")\n")
    lines.append("SIGNATURES: dict[str, tuple[Any, list[Any]]] = {")
    for name, parameters in header.parameters().items():
        arguments = ", ".join(ctypes_of(k, known, called, opaque) for k in parameters.values())
        lines.append(f'    "{name[len("llama2_"):]}": ({found[name]}, [{arguments}]),')
    return "\n".join(lines) + "\n}\n"


def files() -> dict[Path, str]:
    """What belongs into each file."""
    return {PACKAGE / "_constants.py": constants(), PACKAGE / "_structs.py": structs(), PACKAGE / "_functions.py": functions()}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
