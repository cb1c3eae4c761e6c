"""The language of chat templates: rendered as transformers renders it, refused by name, and held to time and memory."""

import gzip
import json
import os
import re
import subprocess
import sys
import time

import pytest
from chat_tools import model, user, write_model  # noqa: F401 (fixtures)
from conftest import FIXTURES
from header import ROOT

from llama2swift.errors import InvalidArgumentError, Llama2Error, UnknownTemplateError

sys.path.insert(0, str(ROOT / "Tests" / "tools"))
import make_template_golden as golden  # noqa: E402

# ---- The language

ROWS = [json.loads(line) for line in gzip.open(FIXTURES / "chat-templates.jsonl.gz", "rt", encoding="utf-8")]


def test_the_fixture_is_the_scripts():
    assert [row["template"] for row in ROWS] == golden.templates()


def test_small_templates_are_rendered_as_transformers_does(model, monkeypatch):
    monkeypatch.setattr(time, "localtime", lambda *_: golden.NOW.timetuple())
    wrong = []
    for row in ROWS:
        if re.fullmatch("[A-Za-z]{2,}", row["template"]):  # a word is a template's name, and none that this model has
            with pytest.raises(UnknownTemplateError, match="name"):
                model.chat_text(golden.MESSAGES, chat_template=row["template"])
            continue
        try:
            text = model.chat_text(golden.MESSAGES, chat_template=row["template"], **golden.VARIABLES) if row["template"] else ""
        except Llama2Error as problem:
            assert isinstance(problem, (UnknownTemplateError, InvalidArgumentError))
            text = None
        if text != row["text"]:
            wrong.append((row["template"], row["text"], text))
    assert wrong == []


@pytest.mark.parametrize(
    "template, named",
    [("{% include 'x' %}", "'include'"), ("a\n{% block b %}{% endblock %}", "line 2.*'block'"), ("{% autoescape true %}{% endautoescape %}", "'autoescape'"),
     ("{{ [1]|random }}", "'random'"), ("{{ {}|pprint }}", "'pprint'"), ("\n\n{{ lipsum() }}", r"line 3.*lipsum\(\)"), ("{{ 9223372036854775807 + 1 }}", "64 bits"),
     ("{{ {}.items }}", "builtin_function"), ("{{ self }}", "function"), ("{{ 1 ** 0.5 }}", "power")]
    # a call block stands on a call, not on what may end with one
    + [("{% macro f(a=1) %}{% endmacro %}{% call " + what + " %}{% endcall %}", "expected call") for what in ("1 if x else f()", "x or f()", "x and f(x or 1)", "not f()", "f")],
)  # fmt: skip
def test_what_the_language_here_does_not_have_is_refused_by_name(model, template, named):
    with pytest.raises(UnknownTemplateError, match=named):
        model.chat_text([user("x")], chat_template=template)


# What a number from the template could have ended the process with, or came out as another text. Right: Python's own.
NUMBERS = [
    ("{{ 'a b c'.split(none, 9223372036854775807) }}", str("a b c".split(None, 2**63 - 1))),
    ("{{ 'a b c'.rsplit(none, 9223372036854775807) }}", str("a b c".rsplit(None, 2**63 - 1))),
    ("{{ 'a b c'.split(none, 1) }}{{ 'a b c'.rsplit(none, 1) }}{{ ' a b '.split(none, 0) }}", str("a b c".split(None, 1)) + str("a b c".rsplit(None, 1)) + str(" a b ".split(None, 0))),
    ("{{ -5 | filesizeformat }} {{ 999.9 | filesizeformat }} {{ 1 | filesizeformat }}", "-5 Bytes 999 Bytes 1 Byte"),
    ("{{ '{:08,}'.format(1234) }} {{ '{:09,}'.format(1234) }} {{ '{:010,.1f}'.format(1234.5) }}", f"{1234:08,} {1234:09,} {1234.5:010,.1f}"),
    ("{{ '{:014_x}'.format(1048575) }} {{ '{:#012_b}'.format(5) }} {{ '{:08,}'.format(-1234) }}", f"{1048575:014_x} {5:#012_b} {-1234:08,}"),
    ("{{ 0.1 ** 7 }} {{ 0.1 ** 100 }} {{ (-1.5) ** -3 }} {{ 10.0 ** -300 }} {{ 1.1 ** 1000 }}", f"{0.1**7} {0.1**100} {(-1.5) ** -3} {10.0**-300} {1.1**1000}"),
    ("{{ 1e22 % -2.5 }} {{ -2.5 % 2.5 }} {{ 0 % -3.5 }} {{ -0.0 // 10 }} {{ 7.5 // -2 }} {{ -0.1 // 1e300 }}", f"{1e22 % -2.5} {-2.5 % 2.5} {0 % -3.5} {-0.0 // 10} {7.5 // -2} {-0.1 // 1e300}"),
    ("{{ (-0.0)|round(1, 'floor') }} {{ (-0.3)|round(0, 'ceil') }} {{ 2.55|round(1) }}", f"0.0 0.0 {round(2.55, 1)}"),
    ("{{ range(5, 0, -2)[-1::2] }} {{ range(10)[2:8:3] }} {{ range(10)[::-1]|list }} {{ range(1, 10, 3).index(7) }}", f"{range(5, 0, -2)[-1::2]} {range(10)[2:8:3]} {list(range(10)[::-1])} 2"),
    ("{{ 'ﬁ ǅ ß ẞ ı ꭰ Ꭰ ς İ'.casefold() }} {{ 'ǅaB ß'.swapcase() }}", "ﬁ ǅ ß ẞ ı ꭰ Ꭰ ς İ".casefold() + " " + "ǅaB ß".swapcase()),
    ("{{ 'ΑΣ'|title }} {{ 'ΑΣ'.title() }} {{ 'ΑΣ ΒΣ-ΓΣ'|title }} {{ \"o'neil (x) ab\"|title }}", "Ασ Ας Ασ Βσ-Γσ O'neil (X) Ab"),
    ("{{ ('a'|safe).rpartition('x') }}", "(Markup(''), Markup(''), Markup('a'))"),
    ("{{ 9007199254740993 / 3 }} {{ 7 / 9007199254740993 }} {{ -9223372036854775807 / 9223372036854775806 }} {{ 1 / 9223372036854775807 }} {{ 9223372036854775807 / -7 }}",
     f"{9007199254740993 / 3} {7 / 9007199254740993} {-9223372036854775807 / 9223372036854775806} {1 / 9223372036854775807} {9223372036854775807 / -7}"),
    ("{{ '१२'|int }} {{ '٣.٥'|float }} {{ '\u3000５ '|int(base=8) }} {{ '\x1f5'|int(-1) }} {{ '1_z'|int(base=36) }} {{ '1_e5'|float(-1) }}", f"12 3.5 5 -1 {int('1_z', 36)} -1"),
    ("{{ '{:*^7}|{:^5}|{:05}|{:<05}|{:x= 6}|{:=+7}'.format(true, 'ab', 'ab', 7, 5, 2.5) }} {{ '% 05d|%05c|%.0c|%#.0f|%#.0e'|format(7, 'a', 'b', 2, 3) }} {{ '{:#.0f}|{:5c}|{:#.0%}'.format(2.0, 65, 1) }}",
     "{:*^7}|{:^5}|{:05}|{:<05}|{:x= 6}|{:=+7}".format(True, "ab", "ab", 7, 5, 2.5) + " " + "% 05d|%05c|%.0c|%#.0f|%#.0e" % (7, "a", "b", 2, 3) + " " + "{:#.0f}|{:5c}|{:#.0%}".format(2.0, 65, 1)),
    ("{{ '{:,}|{:_}|{:12,}|{:012,}|{:#}'.format(123456.789, 1234567.0, 1234567.5, 1234567.5, 1e22) }}", "{:,}|{:_}|{:12,}|{:012,}|{:#}".format(123456.789, 1234567.0, 1234567.5, 1234567.5, 1e22)),
    ("{{ 'हिन्दी भाषा'|wordcount }} {{ 'e\u0301e'|wordcount }} {{ 'a½_٣b'|wordcount }}", "5 2 1"),
    ("{% for i in range(5) if i % 2 == 0 %}{{ loop.length }}{{ i }}{{ loop.last }}{{ loop.nextitem }} {% endfor %}", "30False2 32False4 34True "),
]


@pytest.mark.parametrize("template, right", NUMBERS)
def test_numbers_of_a_template_are_pythons(model, template, right):
    assert model.chat_text([user("x")], chat_template=template) == right


@pytest.mark.parametrize("template", ["{{ dict([][0]) }}", "{% filter length %}x{% endfilter %}", "{{ ''.endswith(1, 5) }}", "{% filter first %}{% endfilter %}",
                                      "{{ '{:-5}'.format('a') }}", "{{ '{:0=5}'.format('a') }}", "{{ '{:.1c}'.format(65) }}", "{{ '{:,x}'.format(65) }}", "{{ '{:s}'.format(true) }}"])
def test_what_python_refuses_is_no_text(model, template):
    with pytest.raises(UnknownTemplateError):
        model.chat_text([user("x")], chat_template=template)


def test_a_call_block_stands_on_a_call_whatever_its_arguments_are(model):
    template = "{% macro f(a=1) %}{{ a }}{{ caller() }}{% endmacro %}{% call f(2 if a else b or 3) %}x{% endcall %}{% call f(a or 4) %}y{% endcall %}"
    assert model.chat_text([user("x")], chat_template=template) == "3x4y"


@pytest.mark.parametrize("template", ["{{ -1e300 | filesizeformat }}", "{{ -1e19 | filesizeformat }}", "{{ 3.0 ** 2550 }}"])
def test_a_number_beyond_64_bits_or_a_double_is_refused(model, template):
    with pytest.raises(UnknownTemplateError, match="64 bits|out of range"):
        model.chat_text([user("x")], chat_template=template)


def test_a_template_that_refuses_a_conversation_is_heard(model):
    with pytest.raises(InvalidArgumentError, match="only one at a time"):
        model.chat_text([user("x")], chat_template="{{ raise_exception('only one at a time') }}")


# ---- Hostile templates

NEST = "[" * 5000
HOSTILE = {
    "division": "{{ 1/0 }}", "text": "{{ ('a' * 500000000)|length }}", "doubling": "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(64) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "lists": "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}", "loops": "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
    "nested values": "{% set ns = namespace(x=[]) %}{% for i in range(999) %}{% set ns.x = [ns.x] %}{% endfor %}", "macro": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "loop": "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "brackets": "{{ " + NEST, "blocks": "{% if 1 %}" * 5000, "signs": "{{ " + "-" * 100000 + "1 }}", "nots": "{{ " + "not " * 50000 + "1 }}",
    "conditions": "{{ " + "1 if 1 else " * 20000 + "1 }}", "ifs": "{{ 1" + " if 1" * 20000 + " }}", "sums": "{{ 1" + "+1" * 100000 + " }}", "dots": "{{ x" + ".y" * 100000 + " }}", "filters": "{{ 1" + "|string" * 100000 + " }}",
    "search": "{{ ('a' * 2000000).find('a' * 1000000 + 'b') }}", "self": "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}", "names": "".join(f"{{{{x{i}}}}}" for i in range(100000)), "sort": "{{ (range(100000)|list * 50)|sort|length }}",
    "captures": "{% set x %}" * 300, "replace": "{{ ('a' * 100000)|replace('', 'b' * 100000)|length }}", "indent": "{{ ('\n' * 1000000)|indent(1000) }}", "format": "{{ '%1000000000s' % 1 }}{{ '{:>1000000000}'.format(1) }}",
    "join": "{{ (['x' * 1000000] * 1000)|join }}", "power": "{{ 9 ** 9 ** 9 }}", "map": "{{ [[1]]|map('map','map','map','map','map','map','map','map','map','string')|list }}", "ends": "{% raw %}" * 3, "comment": "{#" * 100000,
    "zeros": "{{ '{:016000000,}'.format(1) }}", "ahead": "{% for i in (range(100000)|list) * 10 if true %}{{ loop.length if loop.first }}{% endfor %}",
    "scope": "{% for i in [1] %}" + "".join(f"{{% set a{i} = 1 %}}" for i in range(4000)) + "{% for i in range(100000) %}{{ messages and b }}{% endfor %}{% endfor %}",
    "quote": "{{ '" + "\\" * 99999, "center": "{{ 'x'|center(999999999) }}", "batch": "{{ [1]|batch(999999999, 2)|list }}", "json": "{{ ([[[[1] * 100] * 100] * 100])|tojson(indent=1000) }}",
}  # fmt: skip


def test_no_template_takes_long_or_much_or_raises_anything_foreign(tmp_path):
    """In a process of its own, whose memory is looked at: 64 MiB and the input."""
    script = """
import json, resource, sys, time
import llama2swift
model = llama2swift.Model(sys.argv[1])
model.chat_text([{"role": "user", "content": "x"}], chat_template="{{ 'a'|upper }}")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name, template in json.load(open(sys.argv[2])).items():
    start = time.process_time()
    try:
        model.chat_tokens([{"role": "user", "content": "x"}], chat_template=template)
    except llama2swift.Llama2Error:
        pass
    took, grew = time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    if took > 4 or grew > 96 << 10:
        print(name, took, grew)
"""
    write_model(tmp_path / "m.gguf")
    (tmp_path / "t.json").write_text(json.dumps(HOSTILE))
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "m.gguf", tmp_path / "t.json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_a_stack_of_64_kib_is_enough(tmp_path):
    """The deepest expressions, values and calls on a thread of a host's."""
    path = tmp_path / "m.gguf"
    write_model(path)
    program = tmp_path / "stack"
    library = os.path.realpath(os.environ["LLAMA2SWIFT_LIBRARY"])
    (tmp_path / "libllama2swift.so.0").symlink_to(library)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-O1", f"-I{ROOT / 'Include'}"]
    subprocess.run(["cc", *flags, ROOT / "Tests/c/chat_stack.c", "-o", program, tmp_path / "libllama2swift.so.0", f"-Wl,-rpath,{tmp_path}", "-lpthread"], check=True)
    done = subprocess.run([program, path], capture_output=True, text=True)
    assert done.returncode == 0 and "all of them" in done.stdout, (done.returncode, done.stdout, done.stderr)
