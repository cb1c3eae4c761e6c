"""JSON Schema: what satisfies it is accepted and nothing else, or it is refused by name."""

import json
import time

import pytest
from grammar_tools import holds

from llama2swift.errors import ForbiddenError, InvalidArgumentError, UnsupportedError

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
    # two references beside each other: both hold, whichever comes first
    *(({**dict(sorted({"$ref": "#/$defs/a", "$dynamicRef": "#n"}.items(), reverse=turned)), "$defs": {"a": {"type": "array"}, "n": {"$dynamicAnchor": "n", "minItems": 1}}},
       [[1], ["", 2]], [[], 1, {}]) for turned in (False, True)),
    # names that are addresses only where they are of schemas
    ({"properties": {"id": {"$ref": "#/$defs/id"}, "$id": {"type": "null"}}, "$defs": {"id": {"type": "integer"}}}, [{"id": 1}, {"$id": None}], [{"id": "a"}, {"$id": 1}]),
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
        ({"prefixItems": [{}], "items": [{}]}, "beside prefixItems"), ({"items": [{}], "prefixItems": [{}]}, "beside prefixItems"),
        ({"$id": "http://a/b", "$recursiveAnchor": True, "$ref": "c", "$defs": {"c": {"$id": "c", "$recursiveAnchor": True, "items": {"$recursiveRef": "#"}}}}, "several places"),
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


def test_an_address_may_be_written_with_escapes(stories):
    grammar = stories.grammar(json_schema=r'{"properties": {"a": {"$ref": "x"}}, "$defs": {"y": {"\u0024id": "x", "type": "integer"}}}')
    assert grammar.accepts('{"a": 1}') and not grammar.accepts('{"a": "b"}')
