"""What is generated under a grammar is of its language, whatever the model would rather say."""

from __future__ import annotations

import itertools
import json
import random
import re
import subprocess
import sys
import time

import nasty_grammars
import numpy as np
import pytest

import llama2swift
from llama2swift.errors import ForbiddenError, InvalidArgumentError, InvalidTokenError, OutOfRangeError, UnsupportedError


def holds(grammar, yes, no):
    for text in yes:
        assert grammar.accepts(text), text
    for text in no:
        assert not grammar.accepts(text), text


# ---- regular expressions, choices, GBNF

EXPRESSIONS = [
    (r"a|b*", ["a", "", "bbb"], ["ab", "c"]),
    (r"(?i)yes|no", ["YES", "No"], ["yess"]),
    (r"[0-9]{2,3}(\.[0-9])?", ["12", "123.4"], ["1", "1234", "12."]),
    (r"\p{Lu}\p{Ll}*", ["Éa", "A"], ["a", "AB"]),
    (r"[[:alpha:]_]\w*", ["_a1"], ["1a"]),
    (r"^abc$", ["abc"], ["abcd"]),
    (r"\x{e9}.", ["éx", "éé"], ["é", "e\n"]),
    (r"\Qa.b\E+?", ["a.b", "a.bb"], ["axb"]),
    # folded first, then the opposite: the Kelvin sign folds to k
    (r"(?i)\W", ["-", "é"], ["k", "K", "s", "S", "a", "\u212a", "\u017f"]),
    (r"(?i)[^k]", ["a", "é"], ["k", "K", "\u212a"]),
    (r"(?i)\w[[:^lower:]]", ["a1", "\u212a-"], ["aA", "aa", "-1"]),
    (r"(?i)[\W]", ["-"], ["k"]),
    (r"(?i)\p{L}.", ["é.", "É.", "\u0345."], ["1."]),
    (r"^*a$?", ["a"], ["", "b"]),
    (r"^^a$$", ["a"], ["", "aa"]),
    (r"(^a|b)^c|^(^foo|^bar$)$", ["foo", "bar"], ["ac", "bc", "c", "foobar"]),
    (r"\A|-|(?:^A*){2,}", ["", "-", "A", "AA"], ["-A"]),
    # as RE2 reads them
    (r"a{01}|b{0,02}|c{0}|d{10}", ["a{01}", "b{0,02}", "", "d" * 10], ["a", "b", "bb"]),
    (r"(?P<a>x)(?<b_1>y)", ["xy"], ["x"]),
]


@pytest.mark.parametrize("expression, yes, no", EXPRESSIONS)
def test_a_regular_expression_is_the_whole_text(stories, expression, yes, no):
    holds(stories.grammar(regex=expression), yes, no)


@pytest.mark.parametrize("expression", [r"(a)\1", r"\bword", r"(?=a)b", r"a{5,2}", "(", "[b-a]", r"(?<=a)b", "*", "a**", "a*+", "a++b", "a{2}{3}", "a{2}*", "(?i)é", r"(?i)[à-ü]", r"(?P<a b>x)", "(?P<>x)", "(?P<a>x)(?P<a>y)", r"\é", r"[\b]", r"[a-\d]", r"[--\pL]", r"(?i)\p{Lu}"])
def test_what_no_automaton_can_follow_is_refused_by_name(stories, expression):
    with pytest.raises((UnsupportedError, InvalidArgumentError), match="regular expression"):
        stories.grammar(regex=expression)


def expression(rng, depth, mayLook=True):
    """One that Python reads as ECMA-262 does; no look-ahead in a loop without end."""
    kind = rng.choice("ab.^$^$" + "sssscl" * (depth > 0) + "?!?!" * (depth > 0 and mayLook))
    if kind in "ab.^$":
        return kind
    if kind in "?!":
        return f"(?{'=' if kind == '?' else '!'}{expression(rng, depth - 1)})"
    if kind == "l":
        least, most = rng.choice([(0, ""), (1, ""), (0, 1), (1, 2)])
        return f"(?:{expression(rng, depth - 1, mayLook and most != '')}){{{least},{most}}}"
    parts = [expression(rng, depth - 1, mayLook) for _ in range(rng.randint(2, 3))]
    return f"(?:{'|'.join(parts)})" if kind == "c" else "".join(parts)


def test_ends_of_a_text_and_looks_ahead_are_pythons(stories):
    rng, texts = random.Random(3), ["".join(t) for n in range(4) for t in itertools.product("ab", repeat=n)]
    for pattern in ["$^", "^^(?=a)a$$", "(?=^)a", "(?!^)b", "a(?=$)$", "(?:^|a)^b", "(?!$)$", "(?=$)^$"] + [expression(rng, 3) for _ in range(400)]:
        grammar, python = None, re.compile(pattern)
        try:
            grammar = stories.grammar(json_schema={"type": "string", "pattern": pattern})
        except InvalidArgumentError as problem:
            assert "no value" in str(problem), pattern
        for text in texts:
            assert (grammar is not None and grammar.accepts(json.dumps(text))) == (python.search(text) is not None), (pattern, text)


def test_an_expression_that_explodes_is_refused_in_bounded_time(stories):
    with pytest.raises(UnsupportedError, match="too large"):
        stories.grammar(regex="(a|b)*a(a|b){18}")


# What takes long or much for its size is refused, or is neither; on a thread whose stack is small.
def test_no_grammar_takes_long_or_much_or_ends_the_process(stories_path):
    """In a process of its own, whose memory is looked at: 128 MiB and 64 times the text, which the library has ready."""
    done = subprocess.run([sys.executable, "-c", nasty_grammars.RUN, stories_path, nasty_grammars.__file__.rpartition("/")[0], str(1 << 16)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(rows) == len(list(nasty_grammars.all_of(1000)))
    for name, size, seconds, mib, what in rows:
        assert float(seconds) < 8 and int(mib) < 128 + int(size) // 16384, (name, seconds, mib, what)


def test_repetitions_of_repetitions_are_one_or_nested(stories):
    holds(stories.grammar(gbnf='root ::= "a"+? "b"'), ["b", "ab", "aab"], ["a"])
    holds(stories.grammar(gbnf='root ::= "a"??'), ["", "a"], ["aa"])
    holds(stories.grammar(gbnf='root ::= "a"{2}{3}'), ["aaaaaa"], ["aa", "aaaa", "aaaaaaa"])
    holds(stories.grammar(gbnf='root ::= "a"{2}*'), ["", "aa", "aaaa"], ["a", "aaa"])


def test_many_rules_alternatives_and_numbers_are_followed(stories):
    chain = "root ::= r0\n" + "".join(f"r{i} ::= r{i + 1}\n" for i in range(3000)) + 'r3000 ::= "a"\n'
    holds(stories.grammar(gbnf=chain), ["a"], ["", "b"])
    words = stories.grammar(gbnf="root ::= " + " | ".join(f'"w{i}"' for i in range(30000)))
    holds(words, ["w0", "w29999", "w12345"], ["w30000", "w", "w012"])
    literal = stories.grammar(gbnf='root ::= "' + "ab" * 10000 + '"')
    holds(literal, ["ab" * 10000], ["ab" * 9999, "ab" * 10000 + "a"])
    holds(stories.grammar(json_schema={"enum": list(range(0, 9000, 3))}), ["0", "8997", "300", "3.0"], ["1", "9000", "-3"])
    big = {"enum": [3 * 10**30, 3 * 10**30 + 1, 10**30 // 3], "multipleOf": 10**29}
    holds(stories.grammar(json_schema=big), [str(3 * 10**30)], [str(3 * 10**30 + 1), str(10**30 // 3)])


def test_choices_are_the_only_texts(stories):
    holds(stories.grammar(choices=["yes", "yes please", 'a "quoted" é']), ["yes", "yes please", 'a "quoted" é'], ["", "ye", "yes ", "no"])


GBNF = [
    ('root ::= "a" | [b-d]+', ["a", "bcd"], ["", "ab"]),
    ('root ::= expr\nexpr ::= term ([-+*/] term)*\nterm ::= [0-9]+ | "(" expr ")"', ["1+(2*(3-4))"], ["1+", "(1"]),
    ('root ::= "x"{2,3} "y"? # a comment\n', ["xx", "xxxy"], ["x", "xxxx"]),
    ('root ::= [^"\\n] . "\\x41" [\\u00e9]', ["ab" + "A" + "é"], ["ab" + "A" + "e"]),
    ('root ::= ("a"\n | "b")\n other\nother ::= "c" |\n "d"', [], []),
    ("root ::= item*\nitem ::= [a-z] item | \".\"", ["ab.c.", ""], ["ab"]),
]


@pytest.mark.parametrize("text, yes, no", [case for case in GBNF if case[1]])
def test_gbnf_is_llama_cpps(stories, text, yes, no):
    holds(stories.grammar(gbnf=text), yes, no)


@pytest.mark.parametrize(
    "text, what",
    [
        ('root ::= root "a" | "b"', "left recursion"), ('root ::= a "x"\na ::= "y"? root | "z"', "left recursion"), ("root ::= x", "not defined"),
        ('root ::= "a" root', "no finite text"), ('other ::= "a"', "no rule root"), ('root ::= "a', "does not end"), ("root = 1", "line 1"),
        ('root ::= "a"\n\nb ::= "\\q"', "line 3"), ("root ::= <[99999]>", "vocabulary"), ("root ::= <nosuchtoken>", "no single token"), ("root ::= *", "nothing"),
        ('root ::= "a"{3,1}', "repetition"), ("root ::= " + "(" * 10000, "nested deeper"),
        ('root ::= "a" []', "without characters"), ("root ::= [^]", "without characters"),
    ],
)  # fmt: skip
def test_a_wrong_grammar_is_refused_with_its_line_or_rule(stories, text, what):
    with pytest.raises((InvalidArgumentError, UnsupportedError), match=what):
        stories.grammar(gbnf=text)


def test_tokens_are_taken_whole(stories):
    state = stories.grammar(gbnf="root ::= <[300]> !<[301]> [a-z]*").start()
    assert np.flatnonzero(state.allowed()).tolist() == [300]
    state.accept(300)
    allowed = state.allowed()
    assert not allowed[301] and allowed[302]


# ---- schemas

S = [
    ({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["a"], "additionalProperties": False},
     [{"a": 1}, {"a": -5, "b": "x\u00e9\"\\"}], [{}, {"b": "x"}, {"a": 1.5}, {"a": 1, "c": 2}]),
    ({"type": "integer", "minimum": -12, "exclusiveMaximum": 105}, [-12, 0, 104], [-13, 105, 1000]),
    ({"type": "number", "minimum": 0.5, "maximum": 2.25}, [0.5, 1, 2.25, 2.2], [0.4, 2.26, 3, -1]),
    ({"type": "integer", "multipleOf": 7}, [0, 7, -14, 700], [1, 8]),
    ({"type": "number", "multipleOf": 0.25}, [0.25, 1, -2.5], [0.3, 0.125]),
    ({"type": "string", "minLength": 2, "maxLength": 3}, ["ab", "é€\U0001f600", "abc"], ["a", "abcd"]),
    ({"type": "string", "pattern": "^a[0-9]+$"}, ["a1"], ["a", "xa1"]),
    ({"type": "string", "pattern": "b"}, ["abc"], ["ac"]),
    ({"type": "string", "pattern": "^(?!foo)[a-z]+$"}, ["bar", "fo"], ["foo", "foobar"]),
    ({"type": "string", "format": "date"}, ["2024-02-29"], ["2023-02-29", "2024-13-01"]),
    ({"type": "string", "format": "ipv6"}, ["::1", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4"], ["1::2::3", "1:2"]),
    ({"type": "string", "format": "uuid"}, ["12345678-1234-1234-1234-1234567890ab"], ["12345678"]),
    ({"type": "string", "format": "regex"}, ["", "^a+$", "[a-z]{2,3}", "(a|b)*c?", "(?:x(?=y))", "[^\\]]", "[-a]", "a{3}b{2,}", "((((a))))", "\\/", "é"], ["[", "(", ")", "a**", "a{3,2}", "[b-a]", "\\", "[]", "a{1,"]),
    ({"type": "string", "format": "uri-template"}, ["", "http://x/{a}", "a/{?b,c}", "{+x:3}", "{a.b}"], ["{", "{}", "{a", "a b", "%2", "{a:0}"]),
    ({"type": "string", "format": "iri"}, ["http://é.x/ü?\ue000#é", "a:b"], ["é", "/a", "http://x/ y"]),
    ({"type": "string", "format": "iri-reference"}, ["é", "/a", "", "#ü"], ["a b", "%"]),
    ({"type": "string", "format": "idn-hostname"}, ["abc.de", "日本.jp", "straße.de", "a-b"], ["-a", "a-", "a..b", "", "a--b"]),
    ({"type": "string", "format": "idn-email"}, ["é@x.de", "a.b@x"], ["a", "@", "a@@b", "a @b"]),
    ({"enum": ["x", 1, None, {"a": [1]}]}, ["x", 1, None, {"a": [1]}], ["y", 2, False, {"a": [2]}]),
    ({"const": [1, "a"]}, [[1, "a"]], [[1], [1, "a", 2]]),
    ({"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2}, [[True], [True, False]], [[], [1], [True] * 3]),
    ({"type": "array", "prefixItems": [{"const": 1}, {"const": 2}], "items": False}, [[], [1], [1, 2]], [[2], [1, 2, 3]]),
    ({"type": "array", "contains": {"const": 5}, "minContains": 2, "items": {"type": "integer"}}, [[5, 5], [1, 5, 2, 5]], [[5], [1, 2]]),
    ({"type": "array", "items": {"enum": ["a", "b", "c"]}, "uniqueItems": True, "minItems": 2}, [["a", "c"], ["c", "b", "a"]], [["a", "a"], ["a"]]),
    ({"type": "array", "items": {"type": "string"}, "uniqueItems": True, "minItems": 3}, [["a", "b", "c"], ["", "a", "aa"], ["\u00e9", "\U0001f600", '"\\']],
     [["a", "b", "a"], ["\u00e9", "x", "\u00e9"], ["", "", "a"], ["a", "b"]]),
    ({"type": "array", "items": {"type": "string", "pattern": "^[ap]?b*$", "maxLength": 3}, "uniqueItems": True, "minItems": 4},
     [["a", "p", "", "ab", "abb", "b"]], [["a", "p", "ab", "ab"], ["bbbb", "a", "b", "p"]]),
    ({"type": "array", "items": {"type": "string", "pattern": "^[ap]$"}, "uniqueItems": True}, [[], ["p", "a"]], [["a", "a"], ["a", "p", "a"]]),
    ({"type": "array", "items": {"type": "number"}, "uniqueItems": True}, [[1.0, 2.5, 10, 1.5, 100, -1], [0, 0.5]], [[1, 1.0], [2.5, 1, 2.5], [0, 0.0]]),
    ({"type": "array", "items": {"type": ["number", "string", "boolean", "null"]}, "uniqueItems": True}, [[1, "1", True, None, False, "true"]], [[True, "a", True], [None, None]]),
    ({"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 500}, "uniqueItems": True, "minItems": 2}, [[1, 10, 100, 500]], [[1, 10, 1], [501, 1]]),
    ({"type": "array", "items": {"enum": [f"item {i}" for i in range(300)]}, "uniqueItems": True}, [["item 1", "item 10", "item 299"]], [["item 1", "item 2", "item 1"], ["item"]]),
    ({"enum": [{"c": []}, "b"], "unevaluatedProperties": False}, ["b"], [{"c": []}]),
    ({"type": "object", "not": {"patternProperties": {"^f": {"type": "integer"}}}}, [{"foo": "x"}, {"a": 1, "fo": None, "fe": 1}, {"fe": 1, "fo": None}], [{}, {"foo": 1}, {"a": "x"}]),
    ({"type": "object", "not": {"propertyNames": {"pattern": "^a"}}}, [{"b": 1}, {"a": 1, "b": 2}, {"b": 1, "c": 2}, {"b": 1, "a": 2, "c": 3}], [{}, {"a": 1, "ab": 2}]),
    ({"type": "object", "not": {"propertyNames": False}}, [{"b": 1}, {"a": 1, "b": 2, "c": 3}], [{}]),
    ({"type": "object", "not": {"properties": {"x": {}}, "additionalProperties": {"type": "integer"}}}, [{"b": "s"}, {"x": 1, "b": None}], [{}, {"x": "s"}, {"x": "s", "b": 1}]),
    ({"type": "object", "allOf": [{"not": {"patternProperties": {"a": {"type": "integer"}}}}, {"not": {"patternProperties": {"b": {"type": "string"}}}}], "maxProperties": 2},
     [{"ab": None}, {"a": "x", "b": 1}, {"ab": "x", "b": 3}], [{"ab": "x"}, {"ab": 1}, {"a": "x"}, {}, {"c": 1, "d": 1, "ab": None}]),
    ({"type": "object", "minProperties": 3, "properties": {"q": {"type": "integer"}}, "required": ["q"]}, [{"q": 1, "b": 2, "c": 3}], [{"q": 1, "b": 2}, {"a": 1, "b": 2, "c": 3}]),
    ({"type": "object", "propertyNames": {"enum": ["a", "b", "c"]}, "minProperties": 2}, [{"a": 1, "b": 2}, {"b": 1, "c": 1}], [{"a": 1}, {"a": 1, "d": 1}]),
    ({"type": "array", "maxItems": 2, "items": {"type": "integer", "minimum": 0, "maximum": 99}, "allOf": [{"contains": {"multipleOf": 3}, "minContains": 2}, {"contains": {"multipleOf": 5}}]},
     [[3, 15], [15, 15], [15, 6]], [[3, 6], [15], [5, 3], [3, 3, 5]]),
    ({"type": "array", "items": {"type": "integer"}, "allOf": [{"contains": {"multipleOf": 3}, "maxContains": 1}, {"contains": {"multipleOf": 5}, "minContains": 2}]},
     [[3, 5, 10], [5, 15], [1, 5, 1, 15, 5]], [[3, 5], [3, 6, 5, 5], [15, 15]]),
    ({"type": "object", "anyOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"properties": {"b": {"type": "integer"}}, "required": ["b"]}], "unevaluatedProperties": False},
     [{"a": 1}, {"b": 2}, {"a": 1, "b": 2}], [{"a": 1, "b": "x"}, {"a": 1, "c": 1}, {}]),
    ({"type": "object", "if": {"properties": {"k": {"const": 1}}, "required": ["k"]}, "then": {"properties": {"v": {}}}, "unevaluatedProperties": {"type": "string"}},
     [{"k": 1, "v": 2}, {"k": 1, "w": "x"}, {"v": "x"}], [{"k": 2, "v": 1}, {"k": 1, "w": 3}]),
    ({"type": "array", "prefixItems": [{"const": 1}], "contains": {"type": "string"}, "unevaluatedItems": {"type": "null"}}, [[1, "x", None], [1, None, "x"]], [[1, 2, "x"], [1, None]]),
    ({"type": "number", "allOf": [{"multipleOf": 6}, {"multipleOf": 4}, {"not": {"multipleOf": 5}}]}, [12, 24, -36], [60, 6, 4, 1]),
    ({"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 3}]}, ["x", 4], [2, None]),
    ({"oneOf": [{"type": "integer", "multipleOf": 2}, {"type": "integer", "multipleOf": 3}]}, [2, 3, 4, 9], [6, 12, 1]),
    ({"allOf": [{"type": "object", "properties": {"a": {"minimum": 3}}}, {"properties": {"a": {"type": "integer", "maximum": 5}}, "required": ["a"]}]},
     [{"a": 3}, {"a": 5, "b": None}], [{"a": 6}, {"a": 2}, {}, 7]),
    ({"not": {"type": ["string", "object"]}}, [1, None, []], ["x", {}]),
    ({"type": "string", "not": {"enum": ["a", "ab"]}}, ["", "abc", "b"], ["a", "ab"]),
    ({"type": "object", "if": {"properties": {"k": {"const": 1}}, "required": ["k"]}, "then": {"required": ["v"]}, "else": {"required": ["w"]},
      "properties": {"k": {}, "v": {}, "w": {}}}, [{"k": 1, "v": 0}, {"k": 2, "w": 0}, {"w": 1}], [{"k": 1, "w": 0}, {"k": 2, "v": 0}]),
    ({"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "dependentRequired": {"a": ["b"]}}, [{}, {"b": 1}, {"a": 1, "b": 2}], [{"a": 1}, {"a": 1, "c": 1}]),
    ({"type": "object", "patternProperties": {"^n_": {"type": "integer"}}, "additionalProperties": {"type": "string"}},
     [{"n_a": 1, "x": "y"}], [{"n_a": "1"}, {"x": 1}]),
    ({"type": "object", "propertyNames": {"pattern": "^[a-c]+$"}, "maxProperties": 1}, [{}, {"abc": 1}], [{"d": 1}, {"a": 1, "b": 2}]),
    ({"type": "object", "minProperties": 1}, [{"x": 1}], [{}]),
    ({"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "properties": {"v": {"type": "integer"}, "l": {"$ref": "#/$defs/tree"}},
      "required": ["v"], "additionalProperties": False}}}, [{"v": 1, "l": {"v": 2}}], [{"l": {"v": 1}}, {"v": 1, "l": {}}]),
    # names that share bytes with those of the schema, half a character too, and are not among them
    ({"type": "object", "properties": {"start_date": {"type": "integer"}, "\u00e9a": {"type": "null"}, "no": False}, "additionalProperties": {"type": "string"}},
     [{"start": "x", "start_": "", "start_datez": "", "\u00e8": "x", "\u00e9": "", "n": "", "not": "", "": ""}, {"start_date": 1, "\u00e9a": None}],
     [{"start_date": "x"}, {"\u00e9a": "x"}, {"no": "x"}, {"start": 1}, {"not": None}]),
    # a pattern that only names of the schema match leaves no others
    ({"type": "object", "properties": {"a": {"type": "null"}, "b": {}}, "patternProperties": {"^[ab]$": {}}, "additionalProperties": False, "minProperties": 1},
     [{"a": None}, {"a": None, "b": 1}, {"b": {}}], [{}, {"a": 1}, {"c": 1}, {"ab": 1}]),
    ({"type": "object", "properties": {"a": {"type": "null"}}, "patternProperties": {"^[ab]$": {}}, "additionalProperties": False, "required": ["a", "b"]},
     [{"a": None, "b": 1}], [{"b": {}}, {"a": None}, {"a": None, "c": 1}]),
    ({"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}}, "propertyNames": {"enum": ["a", "b", "c"]}},
     [{"a": None, "b": None, "c": 1}, {"c": []}], [{"b": 1}, {"d": 1}]),
    ({"type": "string", "pattern": "^(?:ab|cd)$|^x"}, ["ab", "x", "xyz"], ["abx", "yx", ""]),
    ({"type": "string", "pattern": "(?:^a)?b$"}, ["ab", "b", "cb", "cab"], ["a", "ba"]),
    (True, [1, {}, [None]], []),
    ({"type": "string", "format": "nosuchformat", "description": 5, "x-own": {}}, ["anything"], [1]),
]  # fmt: skip


@pytest.mark.parametrize("schema, yes, no", S, ids=[json.dumps(s[0])[:60] for s in S])
def test_a_schema_accepts_what_satisfies_it_and_nothing_else(stories, schema, yes, no):
    grammar = stories.grammar(json_schema=schema)
    for value in yes:
        for text in (json.dumps(value), json.dumps(value, ensure_ascii=False), json.dumps(value, indent=2)):
            assert grammar.accepts(text), text
    holds(grammar, [], [json.dumps(value) for value in no])
    compact = stories.grammar(json_schema=schema, whitespace="compact")
    holds(compact, [json.dumps(value, separators=(",", ":")) for value in yes], [" 1", "{ }"])


def test_members_come_in_the_schemas_order_or_in_any(stories):
    schema = {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a", "b"]}
    assert not stories.grammar(json_schema=schema).accepts('{"b":1,"a":2}')
    assert stories.grammar(json_schema=schema, any_order=True).accepts('{"b":1,"z":0,"a":2}')


@pytest.mark.parametrize(
    "schema, what",
    [
        ({"type": "array", "items": {"type": "object"}, "uniqueItems": True}, "uniqueItems"), ({"multipleOf": 123457}, "multipleOf"),
        ({"allOf": [{"contains": {"const": i}} for i in range(6)]}, "contains"), ({"allOf": [{"contains": {"const": i}, "minContains": 20} for i in range(3)]}, "contains"),
        ({"type": "array", "items": {"type": "string", "maxLength": 0}, "uniqueItems": True, "minItems": 2}, "no value"),
        ({"$ref": "http://elsewhere.example/schema"}, r"\$ref .*elsewhere"), ({"type": "string", "pattern": r"(a)\1"}, "#: pattern"),
        ({"not": {"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": False}}, "unevaluatedProperties"), ({"type": "text"}, "#: type"),
        ({"type": "string", "enum": [1]}, "nothing|no value"), ({"$ref": "#"}, "leads back to itself"), ({"items": 5}, "#/items"),
        ({"type": "object", "required": ["a"], "properties": {"a": False}}, "no value"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "object", "required": ["x"], "properties": {"x": {"$ref": "#/$defs/a"}}}}}, "no value"),
        ({"allOf": [{"anyOf": [{"required": [f"a{i}{j}"]} for j in range(4)]} for i in range(9)], "type": "object"}, "combinations|too large"),
    ],
)  # fmt: skip
def test_what_a_schema_says_and_cannot_be_followed_is_refused_by_name(stories, schema, what):
    with pytest.raises((UnsupportedError, InvalidArgumentError), match=what):
        stories.grammar(json_schema=schema)


def test_items_that_must_differ_are_remembered_token_by_token(stories):
    grammar = stories.grammar(json_schema={"type": "array", "items": {"type": "string"}, "uniqueItems": True}, whitespace="compact")
    state = grammar.start()
    quote, comma, letter = (stories.tokenize("a" + text)[-1] for text in ('"', ",", "b"))
    assert [stories.piece(t) for t in (quote, comma, letter)] == [b'"', b",", b"b"]
    bracket = next(t for t in range(512) if stories.piece(t) == b"[")
    for token in (bracket, quote, letter, quote, comma, quote, letter):
        state.accept(token)
    assert not state.allowed()[quote]  # "b" a second time
    with pytest.raises(ForbiddenError):
        state.accept(quote)
    state.accept(letter)
    state.accept(quote)
    state.withdraw(6)  # back inside of the first
    state.accept(letter)
    for token in (quote, comma, quote, letter, quote):
        state.accept(token)  # "bb", and now "b" is new


def test_free_keys_that_are_counted_come_once(stories):
    grammar = stories.grammar(json_schema={"type": "object", "minProperties": 3})
    holds(grammar, ['{"a":1,"b":2,"c":3}'], ['{"a":1,"a":2,"b":3}', '{"a":1,"\\u0061":2,"b":3}'])


def test_counts_that_nobody_reaches_are_no_limit_or_refused(stories):
    for huge in ("18446744073709551616", "1e300", "2.5E+19", "2147483647"):
        holds(stories.grammar(json_schema=f'{{"maxItems":{huge},"maxLength":{huge},"maxProperties":{huge},"contains":{{}},"maxContains":{huge}}}'), ["[1,2]", '"ab"', '{"a":1}'], ["[]"])
        holds(stories.grammar(json_schema=f'{{"type":"string","pattern":"^a*$","maxLength":{huge}}}'), ['"aa"'], ['"b"'])
        with pytest.raises(InvalidArgumentError, match="no value"):
            stories.grammar(json_schema=f'{{"type":"string","not":{{"maxLength":{huge}}}}}')
    for name in ("minItems", "minLength", "minProperties", "minContains"):
        for huge in ("18446744073709551616", "1e300", "1e19"):
            with pytest.raises(UnsupportedError, match=f"#: {name} of 1000000000 or more"):
                stories.grammar(json_schema=f'{{"contains":{{}},"{name}":{huge}}}')
        for wrong in ("-1", "1.5", "1e-300", "-1e19", '"1"'):
            with pytest.raises(InvalidArgumentError, match=f"#: {name} is no count"):
                stories.grammar(json_schema=f'{{"{name}":{wrong}}}')


def test_no_multiple_is_one_to_who_reads_it_as_a_double(stories):
    tenths = {"type": "number", "not": {"multipleOf": 0.1}}
    holds(stories.grammar(json_schema=tenths), ["0.25", "-12.345600"], ["0.2", "0.20000000000000000001", "1234567890.00000000000000001"])
    holds(stories.grammar(json_schema={"type": "integer", "not": {"multipleOf": 2}}), ["3", "-123456789012345"], ["4", "3.5", "9007199254740993"])
    for schema in ({"type": "integer", "minimum": 10**20, "not": {"multipleOf": 7}}, {"type": "number", "exclusiveMinimum": 10**17, "not": {"type": "integer"}}):
        with pytest.raises(UnsupportedError, match="longer than a double tells apart"):
            stories.grammar(json_schema=schema)


def test_a_schema_in_itself_that_closes_its_items_has_an_end(stories):
    tree = {"type": "array", "prefixItems": [{"$ref": "#"}], "contains": {"type": "integer"}, "minContains": 0, "unevaluatedItems": {"$ref": "#"}}
    began = time.process_time()
    holds(stories.grammar(json_schema=tree), ["[]", "[[],1,[]]", "[[[],2]]"], ["[1]", "[[],null]", "[[],[1]]"])
    assert time.process_time() - began < 2


def test_sums_of_conditions_are_refused_in_bounded_time(stories):
    words = {"type": "string", "pattern": r"^$|(^(?:\S+\s+){0,99}\S+$)", "maxLength": 5000}
    divisors = {"allOf": [{"multipleOf": n} for n in (6.75, 19, 9.5, 2.125)]}
    for schema in (words, divisors):
        began = time.process_time()
        with pytest.raises(UnsupportedError, match="too large|remainders"):
            stories.grammar(json_schema=schema)
        assert time.process_time() - began < 2


def test_what_is_left_out_on_request_is_listed(stories):
    grammar = stories.grammar(json_schema={"type": "string", "pattern": r"(a)\1"}, ignore_unsupported=True)
    assert grammar.ignored == ["#/pattern"] and grammar.accepts('"x"')


# ---- generating

SCHEMA = {
    "type": "object", "additionalProperties": False, "required": ["name", "age", "tags"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 12}, "age": {"type": "integer", "minimum": 0, "maximum": 130},
        "tags": {"type": "array", "items": {"enum": ["red", "green", "blue"]}, "minItems": 1, "maxItems": 3},
    },
}  # fmt: skip


def valid(value) -> bool:
    return (
        list(value) == ["name", "age", "tags"] and 1 <= len(value["name"]) <= 12 and 0 <= value["age"] <= 130
        and 1 <= len(value["tags"]) <= 3 and set(value["tags"]) <= {"red", "green", "blue"}
    )  # fmt: skip


def test_generated_json_satisfies_its_schema(stories):
    grammar, context = stories.grammar(json_schema=SCHEMA, whitespace="compact"), stories.context(length=256)
    for seed in range(10):
        context.reset()
        text = "".join(context.generate("Once", llama2swift.Sampler(temperature=1, seed=seed, grammar=grammar)))
        assert valid(json.loads(text)), text


def test_generated_json_of_the_real_model_satisfies_its_schema(smollm2):
    grammar, context = smollm2.grammar(json_schema=SCHEMA), smollm2.context(length=512)
    sampler = llama2swift.Sampler(temperature=0, grammar=grammar)
    for _ in range(2):  # a prompt begins the grammar anew
        context.reset()
        text = "".join(context.generate("A person as JSON:", sampler, max_tokens=300))
        assert valid(json.loads(text)), text


@pytest.mark.parametrize("schema", [s[0] for s in S], ids=[json.dumps(s[0])[:60] for s in S])
def test_the_least_likely_way_never_ends_nowhere(stories, schema):
    """Tokens at random among those that are allowed: there always is one, and what is complete is accepted."""
    grammar, draw = stories.grammar(json_schema=schema), random.Random(1)
    state = grammar.start()
    ids = []
    for _ in range(150):
        allowed = np.flatnonzero(state.allowed())
        assert len(allowed), stories.detokenize_bytes(ids)
        if state.complete and len(ids) > 5:
            assert grammar.accepts(b"".join(stories.piece(i) for i in ids))
        token = int(draw.choice(allowed))
        state.accept(token)
        if stories.is_end(token):
            assert grammar.accepts(b"".join(stories.piece(i) for i in ids))
            break
        ids.append(token)


def test_the_least_likely_token_of_the_model_leads_on(stories):
    """The short form of Tests/compare/grammar_proofs.py: all schemas, by rows of logits over a text."""
    with stories.context(length=64) as context:
        context.eval(stories.tokenize("Once upon a time there was a little girl who said: what is JSON?"), all_logits=True)
        rows = np.array(context.logits(), np.float32)
    is_end = np.array([stories.is_end(t) for t in range(rows.shape[1])])
    for schema, *_ in S:
        state = stories.grammar(json_schema=schema).start()
        for turn in range(60):
            allowed = np.flatnonzero(state.allowed() & ~is_end)
            if not len(allowed):
                assert state.complete
                break
            state.accept(int(allowed[np.argmin(rows[turn % len(rows)][allowed])]))


def test_an_integer_is_written_without_a_point(stories):
    """As the header says: JSON Schema counts 2.0 among the integers, many readers of JSON do not. Escapes of plain letters are the letters."""
    holds(stories.grammar(json_schema={"type": "integer"}), ["2", "-10"], ["2.0", "2e0", "2.5"])
    holds(stories.grammar(json_schema={"enum": ["abc"]}), ['"abc"', '"\\u0061bc"'], ['"\\u0062bc"'])
    holds(stories.grammar(json_schema={"properties": {"abc": {"type": "null"}}, "additionalProperties": False}), ['{"\\u0061bc":null}'], ['{"\\u0062":null}'])


def test_allowed_is_what_accept_takes(stories):
    state = stories.grammar(json_schema=SCHEMA).start()
    for token in stories.tokenize('{"name": "Tim')[:4]:
        piece = stories.piece(token)
        if not state.allowed()[token]:
            continue
        allowed = state.allowed()
        for other in range(512):
            if allowed[other]:
                state.accept(other)
                state.withdraw()
            else:
                with pytest.raises(ForbiddenError):
                    state.accept(other)
        assert (state.allowed() == allowed).all()
        state.accept(token)
        assert piece


def test_a_state_says_what_must_come(stories):
    state = stories.grammar(json_schema={"type": "object", "properties": {"key": {"const": "value"}}, "required": ["key"], "additionalProperties": False},
                            whitespace="compact").start()  # fmt: skip
    # a key may be written with escapes, so its first character is a choice
    assert state.forced() == b'{"'
    assert not state.complete


def test_errors_leave_a_state_as_it_was(stories):
    grammar = stories.grammar(regex="[a-c]+")
    state = grammar.start()
    before = state.allowed()
    with pytest.raises(InvalidTokenError):
        state.accept(100000)
    with pytest.raises(OutOfRangeError):
        state.withdraw(1)
    assert (state.allowed() == before).all()
    with pytest.raises(TypeError):
        stories.grammar()
    with pytest.raises(TypeError):
        stories.grammar(regex="a", gbnf="b")
    for wrong in ({"json_schema": 5}, {"json_schema": [1]}, {"choices": "abc"}, {"choices": [5]}, {"choices": 5}, {"gbnf": 5}):
        with pytest.raises(TypeError):
            stories.grammar(**wrong)
    with pytest.raises(ValueError):
        stories.grammar(regex="a", whitespace="none")
    with pytest.raises(TypeError):
        llama2swift.Sampler(grammar="a")


def test_a_grammar_of_another_vocabulary_is_refused(stories, smollm2):
    sampler = llama2swift.Sampler(grammar=smollm2.grammar(regex="a+"))
    context = stories.context(length=16)
    context.eval([1, 2])
    with pytest.raises(InvalidArgumentError, match="another vocabulary"):
        context.sample(sampler)


def test_the_c_example_gives_json_that_satisfies_its_schema(tmp_path, stories_path):
    import os

    from header import ROOT

    library = os.path.abspath(os.environ["LLAMA2SWIFT_LIBRARY"])
    (tmp_path / "libllama2swift.so.0").symlink_to(library)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{ROOT / 'Include'}"]
    subprocess.run(["cc", *flags, str(ROOT / "Bindings/C/json.c"), "-o", str(tmp_path / "json"), str(tmp_path / "libllama2swift.so.0"), f"-Wl,-rpath,{tmp_path}"], check=True)
    done = subprocess.run([tmp_path / "json", stories_path, "Once", json.dumps(SCHEMA)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and valid(json.loads(done.stdout)), done
    done = subprocess.run([tmp_path / "json", stories_path, "Once", '{"type": "text"}'], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "type" in done.stderr


def test_a_pydantic_model_goes_in_and_an_instance_comes_out(stories, stories_path, monkeypatch, capsys):
    pydantic = pytest.importorskip("pydantic", minversion="2")
    import runpy
    import sys

    from header import ROOT

    example = runpy.run_path(str(ROOT / "Bindings/Python/instance.py"))
    for seed in range(3):
        got = example["recipe"](stories, "Once", seed)
        assert isinstance(got, example["Recipe"]) and 2 <= len(got.ingredients) <= 5 and got.difficulty in ("easy", "medium", "hard")
    monkeypatch.setattr(sys, "argv", ["instance.py", stories_path])
    runpy.run_path(str(ROOT / "Bindings/Python/instance.py"), run_name="__main__")
    assert capsys.readouterr().out.startswith("Recipe(title=")
    # TypeAdapter: of what is no model
    adapter = pydantic.TypeAdapter(dict[str, set[int]])
    grammar = stories.grammar(json_schema=adapter)
    assert grammar.accepts('{"a": [1, 2], "b": []}') and not grammar.accepts('{"a": [1, 1]}') and not grammar.accepts('{"a": ["x"]}')
    with pytest.raises(TypeError, match="pydantic"):
        stories.grammar(json_schema=object())
