"""Tests/trust/traps.py finds what could trap; that each was looked at is checked by `make trust`."""

import sys

from header import ROOT

sys.path.insert(0, str(ROOT / "Tests/trust"))
import traps

LINES = {
    "range": ["for i in 4...limit {", "a[start..<end]", "bytes[offset...]", "(4...limit).contains(x)"],
    "unwrap": ["x = list.first!", "try! f()", "y as! Z"],
    "cut": ["name.dropFirst(n)", "stack.removeLast(stack.count - at)", "text.prefix(limit - 3)"],
    "repeat": ["[UInt8](repeating: 0, count: n - 1)"],
    "stride": ["stride(from: 0, to: n, by: step)"],
    "divide": ["a = rows / heads", "if rows % heads == 0"],
    "convert": ["let n = Int32(value)", "UInt8(x - 1)", "Int(size * 2.5)"],
}
HARMLESS = ["for i in 0..<16 {", "0..<list.count", "n / 32", "x.dropFirst(2)", 'UInt8(ascii: "a")', "Int32(truncatingIfNeeded: x)", "a != b"]


def found(line, tmp_path, monkeypatch):
    source = tmp_path / "Sources/M/A.swift"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(line + "  // a...b and x! in a comment\n")
    monkeypatch.setattr(traps, "ROOT", tmp_path)
    return traps.candidates().get("M/A.swift", set())


def test_it_finds_each_kind(tmp_path, monkeypatch):
    for kind, lines in LINES.items():
        for line in lines:
            assert found(line, tmp_path, monkeypatch), (kind, line)


def test_what_cannot_trap_by_its_form_is_left_out(tmp_path, monkeypatch):
    for line in HARMLESS:
        assert found(line, tmp_path, monkeypatch) == set(), line


def test_everything_in_the_list_stands_under_a_reason():
    lists = traps.reviewed()
    assert traps.NEW not in lists and sum(map(len, lists.values())) > 200
    for reason, pairs in lists.items():
        assert len(reason) > 10 and pairs
