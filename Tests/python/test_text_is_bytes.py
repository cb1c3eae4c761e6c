"""Text from a file or a caller is bytes: no String is compared, hashed or searched in the library, but for the files in STILL.

Swift's String compares by canonical equivalence: two keys that differ in their bytes can be the same one to it, and a run of
combining marks in the wrong order costs the square of its length. What is compared is bytes (`ByteText`, [UInt8],
buffers); String is for sentences. The compiler tells: comparing, hashing and searching are calls of these functions of its library.
"""

import os
import subprocess
from pathlib import Path

import pytest
from header import ROOT

FORBIDDEN = {
    "_stringCompareWithSmolCheck": "== or < of String",
    "_stringCompareInternal": "== or < of String, Substring or Character",
    "$sSS4hash4into": "String as a key",
    "$sSs4hash4into": "Substring as a key",
    "$sSJ4hash4into": "Character as a key",
    "$sSSSHsWP": "String as a key",
    "$sSS9hasPrefix": "hasPrefix",
    "$sSS9hasSuffix": "hasSuffix",
}
# Source files that still do, on names of tensors, settings of tokenizers and types. None may be added; each that is mended leaves.
STILL = {
    *(f"Llama2Formats/{n}.swift" for n in ("HuggingFaceFolder", "HuggingFaceTokenizer", "ImportanceFile", "MetaFolder", "Metadata", "ModelFile", "PickledTensors", "Safetensors", "StoredTensor")),
    *(f"Llama2Tokenizer/{n}.swift" for n in ("ChatFormat", "PreTokenizer", "Tokenizer")),
    *(f"Llama2Engine/{n}.swift" for n in ("FileType", "Model", "Quantizer")),
    "Llama2CAPI/ToolsAPI.swift", "Llama2Jinja/Numbers.swift", "Llama2Model/Hyperparameters.swift", "Llama2Model/Weights.swift",
}  # fmt: skip


def objects():
    built = Path(os.environ.get("LLAMA2SWIFT_LIBRARY", ROOT / ".build/release/libllama2swift.so")).resolve().parent
    found = sorted(built.glob("Llama2*.build/*.swift.o"))
    return [o for o in found if not o.parent.name.startswith("Llama2SwiftTests")]


def test_no_string_is_compared_where_none_was_before():
    if not objects():
        pytest.skip("the library was not built here")
    names, wrong = {p.name for p in (ROOT / "Sources").rglob("*.swift")}, {}
    for thing in objects():
        source = thing.name.removesuffix(".o")
        if source not in names:
            continue  # of a file that is gone
        undefined = subprocess.run(["nm", "-u", thing], check=True, capture_output=True, text=True).stdout
        uses = {what for symbol, what in FORBIDDEN.items() if symbol in undefined}
        if uses:
            wrong[f"{thing.parent.name.removesuffix('.build')}/{source}"] = uses
    assert {s: u for s, u in wrong.items() if s not in STILL} == {}


def test_the_check_finds_them(tmp_path):
    """Each kind, in a program of a line."""
    if not objects():
        pytest.skip("the library was not built here")
    lines = {
        "equal": "public func f(_ a: String, _ b: String) -> Bool { a == b }",
        "switch": 'public func f(_ a: String) -> Int { switch a { case "llama": 1; default: 2 } }',
        "key": "public func f(_ a: [String: Int], _ b: String) -> Int? { a[b] }",
        "set": "public func f(_ a: Set<String>, _ b: String) -> Bool { a.contains(b) }",
        "prefix": "public func f(_ a: String, _ b: String) -> Bool { a.hasPrefix(b) }",
        "list": "public func f(_ a: [String], _ b: String) -> Bool { a.contains(b) }",
        "character": 'public func f(_ a: String) -> Bool { a.contains("/") }',
    }
    for name, text in lines.items():
        source, made = tmp_path / f"{name}.swift", tmp_path / f"{name}.o"
        source.write_text(text + "\n")
        subprocess.run(["swiftc", "-O", "-parse-as-library", "-c", source, "-o", made, "-module-name", "M"], check=True, capture_output=True)
        undefined = subprocess.run(["nm", "-u", made], check=True, capture_output=True, text=True).stdout
        assert any(symbol in undefined for symbol in FORBIDDEN), (name, undefined)
