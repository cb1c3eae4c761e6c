"""Conversations and templates of about n bytes that cost most for their size."""

import ctypes as C
import json
import resource
import sys
import time

import nasty

EACH = "{% for m in messages %}{{ m.role }}{{ m.content }}{% endfor %}"


def talk(*contents, **more):
    return json.dumps([{"role": "user", "content": c, **more} for c in contents], ensure_ascii=False).encode()


def raw(content: bytes) -> bytes:
    return b'[{"role":"user","content":"' + content + b'"}]'


def conversations(size):
    """name -> fields of llama2_chat_options, under a template that writes each message."""
    return {
        "a long message": dict(messages=raw(b"a" * size)),
        "combining marks in the wrong order": dict(messages=raw(nasty.disordered(size))),
        "escapes": dict(messages=raw(b"\\u00e9" * (size // 6))),
        "surrogates": dict(messages=raw(b"\\ud83d\\ude00" * (size // 12))),
        "many messages": dict(messages=talk(*["x"] * (size // 34))),
        "many keys": dict(messages=talk("x", **{f"k{i}": 1 for i in range(size // 12)})),
        "one key again and again": dict(messages=b'[{"role":"user","content":"x"' + b',"k":1' * (size // 6) + b"}]"),
        "a key of combining marks": dict(messages=b'[{"role":"user","content":"x","' + nasty.disordered(size) + b'":1}]'),
        "a long number": dict(messages=b'[{"role":"user","content":"x","k":' + b"9" * size + b"}]"),
        "white space": dict(messages=b" " * size + talk("x")),
        "too deep": dict(messages=b"[" * size),
        "many tools": dict(messages=talk("x"), tools=b"[" + b"{}," * (size // 3) + b"{}]"),
        "documents": dict(messages=talk("x"), documents=json.dumps([{"text": "x"}] * (size // 15)).encode()),
        "many variables": dict(messages=talk("x"), variables=json.dumps({f"v{i}": i for i in range(size // 14)}).encode()),
    }


def templates(size):
    """name -> the same, with a template of the length or of much work."""
    almost = talk("a" * (size // 2), "a" * (size // 4) + "b")  # the second is nearly in the first, everywhere
    long, words = talk("a" * size), talk("a " * (size // 2))
    texts = {
        "text": "a" * size, "outputs": "{{ messages[0].content }}" * (size // 26), "a sum": "{{ " + "1+" * (size // 2) + "1 }}", "concatenation": "{{ " + "'a'~" * (size // 4) + "'a' }}",
        "parentheses": "{{ " + "(" * (size // 2) + "1" + ")" * (size // 2) + " }}", "negations": "{{ " + "-" * size + "1 }}", "conditions": "{% if true %}" * (size // 25) + "{% endif %}" * (size // 25),
        "settings": "{% set x = 1 %}" * (size // 15), "names": "".join(f"{{% set x{i} = 1 %}}" for i in range(size // 20)), "filters": "{{ 'a'" + "|upper" * (size // 6) + " }}", "comments": "{##}" * (size // 4),
        "a literal": "{{ '" + "a" * size + "' }}", "a list": "{{ [" + "1," * (size // 2) + "]|length }}", "members": "{{ x" + ".a" * (size // 2) + " }}", "blanks": "{{ 1" + " " * size + "}}", "unclosed": "{{ 1 }} {% if " * (size // 14),
        "macros": "".join(f"{{% macro m{i}() %}}{{% endmacro %}}" for i in range(size // 35)), "a chain of elif": "{% if false %}" + "{% elif false %}" * (size // 16) + "{% endif %}",
    }  # fmt: skip
    work = {
        "in": (almost, "{{ messages[1].content in messages[0].content }}"), "find": (almost, "{{ messages[0].content.find(messages[1].content) }}"), "count": (almost, "{{ messages[0].content.count(messages[1].content) }}"),
        "replace what is almost there": (almost, "{{ messages[0].content.replace(messages[1].content, 'x')|length }}"), "split at what is almost there": (almost, "{{ messages[0].content.split(messages[1].content)|length }}"),
        "replace": (long, "{{ messages[0].content|replace('a', 'bb') }}"), "replace nothing": (long, "{{ messages[0].content|replace('', 'x') }}"), "split and join": (words, "{{ messages[0].content.split(' ')|join('-') }}"),
        "words": (words, "{{ messages[0].content.split()|length }}"), "title": (words, "{{ messages[0].content|title }}"), "backwards": (long, "{{ messages[0].content[::-1] }}"), "trim": (talk(" " * size), "{{ messages[0].content|trim }}"),
        "letters": (long, "{% for c in messages[0].content %}{{ c }}{% endfor %}"), "tojson": (long, "{{ messages|tojson }}"), "indent": (talk("\n" * size), "{{ messages[0].content|indent(1) }}"), "sort": (long, "{{ messages[0].content|list|sort|length }}"),
        "unique": (long, "{{ messages[0].content|unique|list|length }}"), "equal": (talk("a" * (size // 2), "a" * (size // 2)), "{{ messages[0].content == messages[1].content }}"),
        "a text that grows": (talk("x"), "{% set n = namespace(t='') %}{% for i in range(" + str(size // 16) + ") %}{% set n.t = n.t ~ 'a' %}{% endfor %}{{ n.t|length }}"),
        "a list that grows": (talk("x"), "{% set n = namespace(t=[]) %}{% for i in range(" + str(size // 16) + ") %}{% set n.t = n.t + [i] %}{% endfor %}{{ n.t|length }}"),
        "strip letters": (long, "{{ messages[0].content.strip('ab') }}"), "starts with": (almost, "{{ messages[0].content.startswith(messages[1].content) }}"),
    }  # fmt: skip
    return {n: dict(messages=talk("x"), template=t.encode()) for n, t in texts.items()} | {n: dict(messages=m, template=t.encode()) for n, (m, t) in work.items()}


def all_of(size):
    yield from ((n, dict(template=EACH.encode()) | fields) for n, fields in conversations(size).items())
    yield from templates(size).items()


def run(model_path, size, only=None):
    """Prints for each: name, bytes, seconds of CPU, MiB at most more than before, what came of it."""
    import llama2swift
    from llama2swift import _library as lib
    from llama2swift import _structs as S

    model, needed = llama2swift.Model(model_path), C.c_size_t()
    for name, fields in all_of(size):
        if only not in (None, name):
            continue
        options = S.sized(S.ChatOptions)
        for field, text in fields.items():
            setattr(options, "template_text" if field == "template" else field, text)
            setattr(options, f"{field}_length", len(text))
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        status = lib._cdll.llama2_chat_render(model._handle, C.byref(options), None, 0, C.byref(needed))
        what = f"{status} {needed.value} {lib.last_error()}"
        print(name, sum(map(len, fields.values())), time.process_time() - start, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10, what[:150], sep="\t", flush=True)


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
