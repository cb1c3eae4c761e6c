"""Expressions, choices and GBNF: texts that are of the language and texts that are not."""

import itertools
import json
import random
import re
import subprocess
import sys

import nasty_grammars
import numpy as np
import pytest
from grammar_tools import holds

from llama2swift.errors import InvalidArgumentError, UnsupportedError

# ---- regular expressions, choices, GBNF

EXPRESSIONS = [
    (r"a|b*", ["a", "", "bbb"], ["ab", "c"]),
    (r"(?i)yes|no", ["YES", "No"], ["yess"]),
    (r"[0-9]{2,3}(\.[0-9])?", ["12", "123.4"], ["1", "1234", "12."]),
    (r"\p{Lu}\p{Ll}*", ["Éa", "A"], ["a", "AB"]),
    # every category and script of Unicode, by its long and its short name; what nobody has assigned is in the category Other
    (r"\p{Nonspacing_Mark}\p{LC}|\p{gc=Cased_Letter}\p{General_Category=Pd}", ["\u0301a", "A-", "a\u2013"], ["aa", "a_", "\u01bb-"]),
    (r"\p{Cherokee}\p{Script=Grek}|\p{sc=Khitan_Small_Script}", ["\u13a0\u03b1", "\U00018b00"], ["\u13a0a", "\U00018aff"]),
    (r"\P{C}|\p{Cn}b", ["a", "\u0378b", "\U000e0fffb"], ["\u0378", "\ue000", "ab"]),
    (r"\p{Todhri}|[^\P{Lu}\P{Latin}]b", ["\U000105c0", "Éb"], ["\u0391b", "éb"]),
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


@pytest.mark.parametrize("expression", [r"(a)\1", r"\bword", r"(?=a)b", r"a{5,2}", "(", "[b-a]", r"(?<=a)b", "*", "a**", "a*+", "a++b", "a{2}{3}", "a{2}*", "(?i)é", r"(?i)[à-ü]", r"(?P<a b>x)", "(?P<>x)", "(?P<a>x)(?P<a>y)", r"\é", r"[\b]", r"[a-\d]", r"[--\pL]", r"(?i)\p{Lu}", r"\p{Klingon}", r"\p{gc=Greek}", r"\p{sc=Lu}", r"\p{sc=}", r"\p{Gre}"])
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
