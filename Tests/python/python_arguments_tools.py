"""Values that a parameter of each kind refuses, and how."""

import array
import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np

import llama2swift

NOTHING = object()


class Odd:
    """What has a __str__ and a __bool__ and is nothing."""


class Lying:
    def __index__(self):
        return "5"


NO_NUMBERS = [None, "5", b"5", 5.0, math.nan, [], [5], {}, Odd(), Lying(), True, False, np.float32(5), np.array([5]), np.array(5.0), np.bool_(True), 5j, Decimal(5), Fraction(5)]
NO_TEXTS = [None, 5, 5.0, ["x"], Odd(), np.array([1, 2])]
TYPE, VALUE, OVER = TypeError, ValueError, OverflowError


def every(values, problem):
    return [(v, problem) for v in values]


TOKENS = every([None, "12", b"12", bytearray(b"12"), 5, 5.0, Odd(), {1: 2}, {1, 2}, ["1"], [1.0], [None], [[1]], [1, True], [np.float64(1)], ("1",), np.array([1.0]), np.array([True])], TYPE) + [
    (np.array(["1"]), TYPE), (array.array("d", [1.0]), TYPE), (np.array([[1]]), VALUE), (np.array(5), VALUE),
    ([1, 2**31], OVER), ([-(2**31) - 1], OVER), ([2**64 + 1], OVER), (np.array([2**31]), OVER), (np.array([2**63], np.uint64), OVER), (np.array([1, 2**40], object), OVER),
]  # fmt: skip

# kind -> (value, exception)
KINDS = {
    "path": every([None, 5, 5.0, ["x"], Odd(), True], TYPE) + [("a\0b", VALUE), (b"a\0b", VALUE), (Path("a\0b"), VALUE)],
    "text": every(NO_TEXTS, TYPE) + [("\ud800", VALUE)],
    "str": every([*NO_TEXTS, b"x"], TYPE),
    "word": every([*NO_TEXTS, b"f16"], TYPE) + [("f16\0", VALUE), ("nonsense", VALUE)],
    "type": every([*NO_TEXTS, b"Q8_0"], TYPE) + [("Q8_0\0", VALUE), ("nonsense", VALUE)],
    "token": every(NO_NUMBERS, TYPE) + every([2**31, 2**32 + 2, -(2**31) - 1, 2**64, 2**64 + 2, 10**30], OVER),
    "tokens": TOKENS,
    "count32": every(NO_NUMBERS, TYPE) + every([-1, -(2**70)], VALUE) + every([2**32, 2**64 + 1], OVER),
    "count32 or None": every([v for v in NO_NUMBERS if v is not None], TYPE) + every([-1, -(2**70)], VALUE) + every([2**32, 2**64 + 1], OVER),
    "count64": every(NO_NUMBERS, TYPE) + every([-1, -(2**70)], VALUE) + every([2**64, 2**64 + 1, 10**30], OVER),
    "limit": every([v for v in NO_NUMBERS if v is not None], TYPE) + every([-1, -(2**70)], VALUE) + every([2**64, 10**30], OVER),
    "seed": every([v for v in NO_NUMBERS if v is not None], TYPE) + every([-1], VALUE) + every([2**64], OVER),
    "limit32": every([v for v in NO_NUMBERS if v is not None], TYPE) + every([-1], VALUE) + every([2**32], OVER),
    "seconds": every(["5", b"5", [], [5], {}, Odd(), True, False, np.array([5.0]), np.bool_(True), 5j], TYPE) + every([1e39, -1e300, 10**400], OVER) + [(math.nan, VALUE), (-1, VALUE)],
    "int32": every(NO_NUMBERS, TYPE) + every([2**31, -(2**31) - 1, 2**64], OVER),
    "int32 or None": every([v for v in NO_NUMBERS if v is not None], TYPE) + every([2**31, -(2**31) - 1, 2**64], OVER),
    "cut": every(NO_NUMBERS, TYPE) + every([2**64, 2**64 + 3, -(2**64) - 1], OVER) + every([-1, 2**63], IndexError),
    "cut or None": every([v for v in NO_NUMBERS if v is not None], TYPE) + every([2**64, -(2**64) - 1], OVER) + every([-1, 2**63], IndexError),
    "double": every([None, "5", b"5", [], [5], {}, Odd(), True, False, np.array([5.0]), np.bool_(True), 5j], TYPE) + [(10**400, OVER), (1e39, VALUE), (-1e300, VALUE), (math.nan, VALUE)],
    "real": every([None, "5", b"5", [], [5], {}, Odd(), True, False, np.array([5.0]), np.bool_(True), 5j], TYPE) + every([1e39, -1e300, 10**400], OVER) + [(math.nan, VALUE)],
    "flag": every([None, "yes", "", 2, -1, 1.0, 0.0, [], Odd(), np.array([True])], TYPE),
    "flag or None": every(["yes", "", 2, -1, 1.0, 0.0, [], Odd(), np.array([True])], TYPE),
    "callback": every([5, "x", [], True], TYPE),
    "stop": every([None, 5, b"x", Odd(), [b"x"], [5], [None], ["x", 5], {"x": 1}.values, np.array([1])], TYPE) + [(["x"] * 65, VALUE), (["x" * 4097], VALUE), ("\ud800", VALUE), ({"x": 1}, TYPE)],
    "hidden": every([5, "x", [[1.0] * 64], Odd(), np.zeros((1, 64))], TYPE) + every([np.zeros((1, 63), np.float32), np.zeros(64, np.float32), np.zeros((2, 64), np.float32), np.zeros((1, 64), np.float32)], VALUE),
    "prompt": [(v, e) for v, e in TOKENS if not isinstance(v, str)] + [("\ud800", VALUE)],
    "adapters": every([None, 5, "12", b"12", [5], [None], ["ab"], [("x", 1.0)], [(None, 1.0)]], TYPE) + every([[()], [(1,)]], VALUE),
    "start": [(v, e) for v, e in TOKENS if not isinstance(v, str)] + [([], VALUE)],
    "some": every([None, "5", 5.0, b"5", Odd(), True], TYPE) + every([-1, 0], VALUE) + [(2**64, OVER)],
    "stopping": every([None, 5, "always", Odd(), 1.0], TYPE),
    "list of samplers": every([None, 5, "x", Odd(), [5], [None], llama2swift.Sampler()], TYPE) + [([], VALUE)],
    "prompts": every([None, 5, "Once", b"Once", Odd(), [5], [None], [1, 2], [["1"]]], TYPE) + [(["\ud800"], VALUE), ([[2**31]], OVER)],
    "sampler": every([5, "greedy", Odd(), llama2swift.Sampler], TYPE),
    "grammar": every([5, "x", Odd(), llama2swift.Grammar], TYPE),
    "second": every(["root ::= \"a\"", b"{}", 5, 5.0, ["x"], Odd()], TYPE),
    "mode": every([None, 5, b"free", "none", "", Odd()], VALUE),
    "model": every([None, 5, "model.gguf", Odd(), llama2swift.Model], TYPE),
    "context": every([5, "x", Odd(), llama2swift.Context], TYPE),
    "vocabulary": every([5, "model.gguf", Odd(), llama2swift.Model], TYPE),
    "entries": every([None, 5, "12", b"12", [5], ["123"], [(1.0, 0, True)], [(1, "0", True)], [(1, True, False)], [(1, 0, 5)], [(1, 0, None)], [(None, 0, True)]], TYPE)
    + every([[(1, 0)], [(1, 0, True, 5)], [()]], VALUE) + every([[(2**32 + 1, 0, True)], [(1, 2**32, True)], [(1, -(2**31) - 1, True)]], OVER),
    "word or None": every([v for v in NO_TEXTS if v is not None] + [b"f16"], TYPE) + [("f16\0", VALUE), ("nonsense", VALUE)],
    "rope": every([5, "yarn", {"type": "yarn"}, Odd(), llama2swift.RoPE], TYPE),
    "positive or None": every(["5", b"5", [], Odd(), True, 5j], TYPE) + every([1e39, 10**400], OVER) + every([0.0, -1, math.nan, math.inf], VALUE),
    "scaling": every([5, b"yarn", ["yarn"], Odd()], TYPE) + every(["dynamic", "YARN", ""], VALUE),
    "texts": every([None, 5, "hello", b"hello", [5], [b"x"], [None], ["x", 5], [[1]]], TYPE),
    "token texts": every([None, 5, "12", b"12", [5], ["12"], [None], [1, [2]], [[1.0]], [["1"]]], TYPE) + every([[[2**31]]], OVER),
    "messages": every([None, 5, "hello", b"hello", {"role": "user", "content": "x"}, [5], ["x"], [None], [("user", "x")], [{"role": 5, "content": "x"}], [{"role": "user", "content": 5}], [{"role": "user", "content": None}], [{"role": "user", "content": [{"type": "image"}]}], [{"role": "user", "content": ["x"]}], [{"role": "user", "content": [{"type": "text", "text": 5}]}]], TYPE)
    + every([[{"role": "user"}], [{"content": "x"}], [{}]], VALUE),
    "dicts": every([5, "x", {"a": 1}, [5], [None], ["x"], Odd(), [{"a": Odd()}], [{"a": b"x"}]], TYPE) + [([{"a": math.nan}], VALUE)],
    "template": every([5, b"x", [], Odd()], TYPE) + [("", VALUE)],
    "bias": every([5, "x", [1], [(1, 2.0)], {"1": 1.0}, {1.0: 1.0}, {1: "1"}, {1: None}, {None: 1.0}, {True: 1.0}], TYPE) + every([{2**31: 1.0}, {1: 1e300}], OVER) + [({1: math.nan}, VALUE)],
    "few texts": every([5, "x", b"x", [5], [b"x"], [None], {"x": 1}], TYPE) + [(["\ud800"], VALUE), (["x"] * 65, VALUE), (["x" * 41], VALUE), ([""], VALUE)],
    "banned": every([5, "x", b"x", [5], [b"x"], [None], {"x": 1}], TYPE) + [(["x"] * 1025, VALUE), (["x" * 257], VALUE), ([""], VALUE), (["x"], VALUE)],
    "text bias": every([5, "x", ["x"], {5: 1.0}, {"x": "1"}, {"x": None}, {None: 1.0}], TYPE) + [({"x": 1e300}, OVER), ({"x": math.nan}, VALUE), ({"": 1.0}, VALUE)],
    "steps": every([5, "top_k", b"top_k", {"top_k": 1}, [5], [None], [b"top_k"]], TYPE) + every([[], ["nonsense"], ["top_k"] * 65], VALUE),
    "row": every([5, "x", [1.0], Odd(), np.zeros((2, 2), np.float32), np.zeros(5, np.int32)], TYPE) + every([np.zeros(0, np.float32), np.full(5, np.nan, np.float32)], VALUE),
    "rules": every([5, "attn=Q8_0", [("a", "Q8_0")], {5: "Q8_0"}, {"a": 5}, {"a": None}, {b"a": "Q8_0"}], TYPE) + [({"a\0b": "Q8_0"}, VALUE), ({"a": "Q8_0\0"}, VALUE), ({"a": "nonsense"}, VALUE)],
    "tasks": every([None, 5, b"piqa", Odd(), [5], [b"piqa"]], TYPE) + every(["", "nonsense", [], ["piqa", "nonsense"]], VALUE),
    "bytes": every([None, 5, "x", [1, 2], Odd(), True, np.array([1])], TYPE),
    "descriptor": every(NO_NUMBERS, TYPE) + every([2**31, 2**64], OVER) + [(-1, OSError)],
}  # fmt: skip
