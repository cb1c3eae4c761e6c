#!/usr/bin/env python3
"""The expressions of the library that end the process when a number is wrong, each looked at once: Tests/trust/traps.txt.

    traps.py            says which are new, and which lines of the list are of no use any more
    traps.py --write    the list anew: what is new comes under `LOOK AT THIS`, to be moved under a reason

Found are ranges, `!`, dropping and cutting, repeating, strides, divisions and conversions. An expression whose form alone says that
it cannot trap (RULES) is not in the list. The others stand in it under the reason why no number from a file or a caller can
make them trap; a line is `file: expression`, so that moving code about changes nothing.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIST = ROOT / "Tests/trust/traps.txt"
NEW = "LOOK AT THIS"
# The kernels are pointers and wrapping operators alone; what reaches them was checked above them.
LEFT_OUT = ("Llama2KernelsAVX2/", "Llama2KernelsAVX512/", "Llama2KernelsAVX512VBMI/", "Llama2KernelsAVXVNNI/", "Llama2KernelsNEON/", "Llama2KernelsDotProduct/", "Llama2KernelsI8MM/", "Llama2Kernels/Body/")

ATOM = r"(?:[\w.]+(?:\([^()]*\))?(?:\[[^\[\]]*\])?|\([^()]*\))"
TERM = rf"-?{ATOM}(?:\s*&?[-+*/%]\s*{ATOM})*"
KINDS = {
    "range": rf"(?<![\w)\]]){TERM}\s*\.\.[.<]\s*{TERM}|(?<=\[){TERM}\.\.\.(?=\])|(?<=\[)\.\.[.<]{TERM}(?=\])",
    "unwrap": r"[\w)\]]+!(?![=\w])|\btry!|\bas!",
    "cut": r"\.(?:dropFirst|dropLast|prefix|suffix|removeFirst|removeLast|remove\(at:)\(?[^)]*\)?",
    "repeat": r"repeating:[^\n]*?count:[^)]*\)",
    "stride": r"\bstride\([^)]*by:[^)]*\)",
    "divide": rf"{ATOM}\s*[/%]=?\s*{ATOM}",
    "convert": r"\b(?:U?Int(?:8|16|32|64)?)\((?!truncatingIfNeeded|exactly|clamping|bitPattern|littleEndian|bigEndian)[^()]*(?:\([^()]*\)[^()]*)*\)",
}
# Forms that cannot trap, and why.
RULES = [
    ("range", r"^\d[\w]*\s*\.\.[.<]\s*\d[\w<\s]*$", "both ends are literals in order"),
    ("range", r"^0\s*\.\.<\s*[\w.()]*(?:\.count|Count|Length|\.stride|\.size)$", "from 0 to the size of something, which is not negative"),
    ("range", r"^(?:'.'|UInt8\(ascii)", "letters in order"),
    ("cut", r"^\.(?:dropFirst|dropLast|prefix|suffix)\((?:\d*|while:.*)\)?$", "a literal number, or while a condition holds: shorter lists give less"),
    ("cut", r"^\.(?:prefix|suffix|dropFirst)\(?$|^\.(?:dropFirst|dropLast|prefix|suffix)\((?:[\w.]*\.count|min\(.*)\)?\)?$", "a size, which is not negative"),
    ("divide", r"[/%]=?\s*\d[\d_.]*$", "by a literal"),
    ("divide", r"^\s*[\w.]+\s*/\s*(?:Double|Float)\(", "of floats"),
    ("convert", r"\((?:ascii:|\d)", "a literal"),
    ("convert", r"^U?Int\d*\(bitPattern|^UInt8\(ascii", "bits"),
    ("convert", r"^Int\((?:[\w.\[\]]*(?:token|page|id|byte|layer|slot|sequence|entry|digit|scalar)[\w.\[\] +]*)\)$", "of 32 bits or fewer to 64"),
    ("convert", r"^U?Int(?:32|64)?\(LLAMA2_\w+\)$|^Int\(L2S_\w+\)$|^Int\(l2s_\w+\([^)]*\)\)$", "a constant of a header, or a small number of our own C"),
]


def stripped(text: str) -> str:
    """Without comments and the contents of texts."""
    text = re.sub(r'"""[\s\S]*?"""', '""', text)
    text = re.sub(r'"(?:\\.|[^"\\\n])*"', '""', text)
    return re.sub(r"//[^\n]*|/\*[\s\S]*?\*/", "", text)


def candidates() -> dict[str, set[str]]:
    """file -> expressions that no rule knows."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "Sources").rglob("*.swift")):
        name = str(path.relative_to(ROOT / "Sources"))
        if name.startswith(LEFT_OUT):
            continue
        text = stripped(path.read_text())
        for kind, pattern in KINDS.items():
            for match in re.finditer(pattern, text):
                expression = re.sub(r"\s+", " ", match.group()).strip()
                if not any(k == kind and re.search(rule, expression) for k, rule, _ in RULES):
                    found.setdefault(name, set()).add(expression)
    return found


def reviewed() -> dict[str, list[tuple[str, str]]]:
    """reason -> [(file, expression)]"""
    found: dict[str, list[tuple[str, str]]] = {}
    reason = None
    for line in LIST.read_text().splitlines() if LIST.exists() else []:
        if line.startswith("## "):
            reason = line[3:]
            found[reason] = []
        elif line and not line.startswith("#"):
            file, expression = line.split(": ", 1)
            found[reason].append((file, expression))
    return found


def compare():
    """(new, stale): pairs of file and expression."""
    now = {(file, e) for file, expressions in candidates().items() for e in expressions}
    known = {pair for reason, pairs in reviewed().items() if reason != NEW for pair in pairs}
    return now - known, known - now


def write():
    new, stale = compare()
    lists = {reason: [p for p in pairs if p not in stale] for reason, pairs in reviewed().items() if reason != NEW}
    if new:
        lists[NEW] = list(new)
    head = "# Expressions that could trap, each under the reason why none does: see traps.py.\n"
    LIST.write_text(head + "".join(f"\n## {reason}\n" + "".join(f"{f}: {e}\n" for f, e in sorted(set(pairs))) for reason, pairs in lists.items() if pairs))


if __name__ == "__main__":
    if "--write" in sys.argv:
        write()
    new, stale = compare()
    for file, expression in sorted(new):
        print(f"new: {file}: {expression}")
    for file, expression in sorted(stale):
        print(f"no longer there: {file}: {expression}")
    if not new and not stale:
        print(f"TRUST | 2 | every expression that could end the process was looked at | Tests/trust/traps.py | {sum(map(len, reviewed().values()))} in the list, {len(RULES)} forms that cannot")
    sys.exit(bool(new or stale))
