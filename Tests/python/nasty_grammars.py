"""Grammars of about n bytes that cost most for their size: long, deep, with chains of rules, names that are looked up again and again."""

import json


def chain(count, forwards):
    rules = [f"r{i} ::= r{i + 1}" if forwards else f"r{i + 1} ::= r{i}" for i in range(count)]
    return "\n".join(["root ::= r0" if forwards else f"root ::= r{count}", *rules, f'r{count if forwards else 0} ::= "a"']) + "\n"


def gbnf(size):
    n = size // 18
    return {
        "a literal": 'root ::= "' + "a" * size + '"',
        "alternatives": "root ::= " + " | ".join(f'"{i:07}"' for i in range(size // 12)),
        "repetitions of a repetition": 'root ::= "a"' + "*" * size,
        "repetitions of repetitions in braces": 'root ::= "a"' + "{2}" * (size // 3),
        "a loop whose body may be nothing": 'root ::= ("a"?){1000000000} # ' + "x" * size,
        "a loop in a loop": 'root ::= (("a"? "b"?){1000000}){1000000} # ' + "x" * size,
        "rules, each of the next": chain(n, True),
        "rules, each of the one before": chain(n, False),
        "rules that call each other both ways": "root ::= r0\n" + "".join(f'r{i} ::= "a" r{i + 1} | "b" r{max(i - 1, 0)}\n' for i in range(size // 40)) + f'r{size // 40} ::= "a"\n',
        "names of tokens": "root ::= " + "<s> " * (size // 4),
        "groups": 'root ::= ' + "(" * (size // 2) + '"a"' + ")" * (size // 2),
        "a class": "root ::= [" + "".join(chr(0x4E00 + i) for i in range(min(size // 3, 20000))) + "]",
        "comments": "root ::= \"a\"\n" + "#\n" * (size // 2),
    }  # fmt: skip


def regex(size):
    return {
        "repetitions of a repetition": "a" + "*" * size,
        "letters of Unicode, very often": r"(\p{L}{1000}){100}",
        "any text again and again": r"(.*\p{L}){1000}",
        "any text and a letter": "(.*a){2000}",
        "a long chain": "a{100000}",
        "a long chain of classes": r"\d{20000}",
        "optional letters": "(x?){1000}x{1000}",
        "alternatives": "|".join(f"{i:07}" for i in range(size // 8)),
        "a literal": "a" * size,
        "flags": "(?i)" * (size // 4) + "a",
    }


def schemas(size):
    few, many = size // 60, size // 30
    return {
        "required names": json.dumps({"type": "object", "required": [f"n{i:07}" for i in range(size // 12)]}),
        "members": json.dumps({"properties": {f"n{i:07}": True for i in range(size // 18)}}),
        "members that are required": json.dumps({"properties": {f"n{i:07}": True for i in range(few)}, "required": [f"n{i:07}" for i in range(few)]}),
        "references": json.dumps({"$defs": {f"d{i:06}": True for i in range(many)}, "anyOf": [{"$ref": f"#/$defs/d{i:06}"} for i in range(min(many, 1400))]}),
        "references from members": json.dumps({"$defs": {f"d{i:06}": {"type": "null"} for i in range(few)}, "properties": {f"p{i}": {"$ref": f"#/$defs/d{i:06}"} for i in range(few)}}),
        "a chain of references": json.dumps({"$ref": "#/$defs/d0", "$defs": {**{f"d{i}": {"required": ["x"], "properties": {"x": {"$ref": f"#/$defs/d{i + 1}"}}} for i in range(size // 80)}, f"d{size // 80}": {"type": "null"}}}),
        "numbers": json.dumps({"enum": list(range(size // 8))}),
        "no numbers": json.dumps({"type": "integer", "not": {"enum": list(range(size // 8))}}),
        "texts": json.dumps({"enum": [f"t{i:07}" for i in range(size // 12)]}),
        "keywords that are passed over": json.dumps({"properties": {f"n{i:06}": {"disallow": 1} for i in range(size // 30)}}),
        "many conditions": json.dumps({"allOf": [{"if": {"required": [f"a{i}"]}, "then": {"required": [f"b{i}"]}} for i in range(size // 60)]}),
    }  # fmt: skip


def all_of(size):
    for kind, texts in (("gbnf", gbnf(size)), ("regex", regex(size)), ("json_schema", schemas(size))):
        for name, text in texts.items():
            yield kind, name, text


# One grammar in a process of its own: seconds of its CPU, MiB that it took at most, what came of it.
RUN = """
import resource, sys, time; sys.path.insert(0, sys.argv[2])
import nasty_grammars, llama2swift
model = llama2swift.Model(sys.argv[1])
model.grammar(regex="a")
for kind, name, text in nasty_grammars.all_of(int(sys.argv[3])):
    if len(sys.argv) > 4 and sys.argv[4] != kind + ": " + name: continue
    what, before, start = "", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        grammar = model.grammar(**{kind: text}, ignore_unsupported=kind == "json_schema")
        what = "made"
        grammar.start().allowed()
        what = f"made, accepts: {grammar.accepts('a' * 1000)}"
    except llama2swift.errors.Llama2Error as error:
        what += f" {type(error).__name__}: {error}"
    print(f"{kind}: {name}", len(text), time.process_time() - start, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10, what[:150], sep="\\t", flush=True)
"""
