"""What Include/llama2swift.h declares: functions, structs, constants. Run it to write Tests/abi anew."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEADER = ROOT / "Include" / "llama2swift.h"
ABI = ROOT / "Tests" / "abi"


def plain() -> str:
    """The header without comments."""
    return re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S)


def functions() -> dict[str, list[str]]:
    """name -> parameter names, as declared."""
    found = {}
    for name, parameters in re.findall(r"^\s*(?:int32_t|void|const char \*)\s*\*?(llama2_\w+)\(([^;]*?)\);", plain(), re.M | re.S):
        names = [re.search(r"(\w+)\s*$", p).group(1) for p in parameters.split(",")]
        found[name] = [] if names == ["void"] else names
    return found


def structs() -> dict[str, list[str]]:
    """name -> fields."""
    found = {}
    for body, name in re.findall(r"typedef struct \w+ \{(.*?)\}\s*(\w+);", plain(), re.S):
        found[name] = [re.search(r"(\w+)\s*$", f).group(1) for f in body.split(";") if f.strip()]
    return found


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
    sys.exit((ABI / "layout.txt").write_text(layout()) * 0 or (ABI / "functions.txt").write_text(signatures()) * 0)
