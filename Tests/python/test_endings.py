"""Texts that must be complete within so many tokens: they are, whatever the model would rather say."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

import llama2swift
from llama2swift.errors import ForbiddenError, InvalidArgumentError, UnsupportedError

NUMBERS = {"type": "array", "items": {"type": "integer", "minimum": 0}, "uniqueItems": True, "minItems": 12}
PERSON = {
    "type": "object", "required": ["name", "tags"], "additionalProperties": False,
    "properties": {"name": {"type": "string", "minLength": 3}, "age": {"type": "integer"}, "tags": {"type": "array", "items": {"enum": ["a", "bb"]}, "minItems": 2}},
}  # fmt: skip

# grammar, the length in bytes of the shortest texts
SHORTEST = [
    (dict(regex="(abc|[0-9]{4}-x)+z{3,}"), 6), (dict(regex="a*"), 0), (dict(regex="(abcdef|x{7})y|z{9}"), 7), (dict(choices=["hello there", "hi", "help"]), 2),
    (dict(gbnf='root ::= "[" item ("," item){2,} "]"\nitem ::= [a-z]+ | "(" item ")"'), 7),
    (dict(gbnf='root ::= a\na ::= "x" a | b\nb ::= "yyyy" | "x" c\nc ::= "z"'), 2), (dict(gbnf='root ::= ("a"{3} | "bb"){2} "c"?'), 4),
    (dict(json_schema={}), 1), (dict(json_schema={"type": "string"}), 2), (dict(json_schema={"type": "string", "minLength": 7}), 9),
    (dict(json_schema={"type": "string", "pattern": '^"+\\n$'}), 6), (dict(json_schema={"type": "object"}), 2), (dict(json_schema={"const": {"a\n": [1, "é"]}}), 16),
    (dict(json_schema={"enum": ["long text", 5.25, None]}), 4), (dict(json_schema={"type": "number", "exclusiveMinimum": 9}), 2),
    (dict(json_schema=PERSON), len('{"name":"abc","tags":["a","a"]}')), (dict(json_schema=NUMBERS), len(json.dumps([*range(12)]).replace(" ", ""))),
    (dict(json_schema={"type": "object", "minProperties": 3}), len('{"":0,"a":0,"b":0}')),
    (dict(json_schema={"type": "object", "properties": {"a": {"const": "long"}, "bb": {"const": 1}, "c": {"const": 22}}, "minProperties": 2, "additionalProperties": False}), len('{"bb":1,"c":22}')),
    (dict(json_schema={"type": "array", "contains": {"type": "object", "required": ["k"]}, "minContains": 2, "minItems": 3}), len('[{"k":0},{"k":0},0]')),
    (dict(json_schema={"type": "array", "prefixItems": [{"const": "first"}, {"type": "boolean"}], "items": {"type": "null"}, "minItems": 4}), len('["first",true,null,null]')),
    (dict(json_schema={"type": "array", "items": {"enum": ["aa", "b", 1, True]}, "uniqueItems": True, "minItems": 3}), len('[1,"b",true]')),
    (dict(json_schema={"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "properties": {"left": {"$ref": "#/$defs/tree"}, "leaf": {"type": "null"}}, "minProperties": 1, "additionalProperties": False}}}), len('{"leaf":null}')),
    (dict(json_schema={"anyOf": [{"type": "array", "minItems": 4}, {"type": "object", "required": ["abcdefghij"]}]}), len("[0,0,0,0]")),
    (dict(json_schema={"type": "object", "properties": {"kind": {"enum": ["x", "y"]}}, "required": ["kind"], "if": {"properties": {"kind": {"const": "x"}}}, "then": {"required": ["needed by x"]}}), len('{"kind":"y"}')),
    (dict(json_schema={"type": "object", "required": ["b", "a"], "minProperties": 3}, any_order=True), len('{"b":0,"a":0,"":0}')),
    # keys that must come, and others that must differ from each other
    (dict(json_schema={"type": "object", "propertyNames": {"pattern": "^(\\w\\d)+$"}, "not": {"propertyNames": {"not": {"const": "a4"}}}}), len('{"a4":0}')),
    (dict(json_schema={"type": "object", "propertyNames": {"pattern": "^(\\w\\d)+$"}, "not": {"propertyNames": {"not": {"const": "a4"}}}}, any_order=True), len('{"a4":0}')),
    (dict(json_schema={"type": "string", "format": "date"}), 12), (dict(json_schema={"type": "array", "items": {"type": "string", "maxLength": 1}, "uniqueItems": True, "minItems": 3}), len('["","a","b"]')),
]  # fmt: skip


@pytest.mark.parametrize("given, length", SHORTEST)
def test_the_shortest_text_is_known_and_of_the_language(stories, given, length):
    grammar = stories.grammar(**given)
    found = grammar.start().shortest()
    assert grammar.accepts(found.text)
    assert len(found.text) == length, found


def walk(model, grammar, budget, dice, state=None, text=b""):
    """Any tokens that fit, until the text ended; the text and how many they were."""
    state = state or grammar.start()
    for used in range(budget):
        allowed = np.flatnonzero(state.allowed(within=budget - used))
        assert len(allowed), f"a dead end behind {text!r}"
        token = int(dice.choice(list(allowed)))
        state.accept(token)
        if model.is_end(token):
            return text, used + 1
        text += model.piece(token)
    raise AssertionError(f"{text!r} did not end within {budget} tokens")


@pytest.mark.parametrize("given, length", SHORTEST)
def test_whatever_fits_comes_to_its_end(smollm2, given, length):
    grammar, dice = smollm2.grammar(**given), random.Random(1)
    least = grammar.start().shortest().tokens
    assert least <= length
    for more in (1, 3, 20):
        for _ in range(2):
            text, _ = walk(smollm2, grammar, least + more, dice)
            assert grammar.accepts(text), text


@pytest.mark.parametrize("given, length", SHORTEST)
def test_from_anywhere_the_end_is_as_near_as_is_said(stories, given, length):
    """A walk without a limit, and behind each of its tokens one that must end."""
    grammar, dice = stories.grammar(**given), random.Random(2)
    state, taken, text = grammar.start(), [], b""
    for _ in range(12):
        found = state.shortest()
        assert grammar.accepts(text + found.text), (text, found)
        again = grammar.start()
        for token in taken:
            again.accept(token)
        whole, used = walk(stories, grammar, found.tokens + 1, dice, again, text)
        assert grammar.accepts(whole), whole
        assert used <= found.tokens + 1
        allowed = [t for t in np.flatnonzero(state.allowed()) if not stories.is_end(int(t))]
        if not allowed:
            break
        token = int(dice.choice(allowed))
        state.accept(token)
        taken.append(token)
        text += stories.piece(token)


def test_far_from_the_limit_all_that_may_come_fits(smollm2):
    state = smollm2.grammar(json_schema=PERSON).start()
    for token in smollm2.tokenize('{"name": "Ann Other", "age": 3'):
        assert (state.allowed(within=5000) == state.allowed()).all()
        state.accept(token)
    near, far = state.allowed(within=state.shortest().tokens + 1), state.allowed()
    assert near.any() and (near <= far).all() and near.sum() < far.sum()


def test_too_few_tokens_take_a_shortest_way(stories):
    grammar = stories.grammar(json_schema=PERSON)
    state, text = grammar.start(), b""
    while not state.complete:
        before = state.shortest().tokens
        token = int(np.flatnonzero(state.allowed(within=0))[0])
        state.accept(token)
        assert state.shortest().tokens < before
        text += stories.piece(token)
    json.loads(text)
    assert state.shortest() == (b"", 0)


def test_a_state_says_its_end_and_stays(stories):
    state = stories.grammar(json_schema=NUMBERS).start()
    before, found = state.allowed(), state.shortest()
    for token in stories.tokenize("[3,")[1:]:
        state.accept(token)
    behind = state.shortest()
    assert 3 not in json.loads(b"[" + behind.text)
    state.allowed(within=5)
    assert state.shortest() == behind
    state.reset()
    assert state.shortest() == found and (state.allowed() == before).all()
    ended = stories.grammar(regex="a").start()
    ended.accept(int(np.flatnonzero(ended.allowed())[0]))
    ended.accept(next(t for t in range(512) if stories.is_end(t)))
    assert ended.shortest() == (b"", 0)
    with pytest.raises(ForbiddenError):
        ended.allowed(within=3)


def test_what_is_too_far_is_refused_by_name(stories):
    state = stories.grammar(json_schema={"type": "string", "minLength": 1_000_000}).start()
    with pytest.raises(UnsupportedError, match="no end within"):
        state.shortest()
    assert (state.allowed(within=5) == state.allowed()).all()


# ---- generating


@pytest.mark.parametrize("more", [0, 1, 5, 40])
def test_a_generation_is_complete_at_its_limit(smollm2, more):
    grammar = smollm2.grammar(json_schema=PERSON)
    limit = grammar.start().shortest().tokens + 1 + more
    for seed in range(3):
        with smollm2.context(length=256) as context:
            pieces = context.generate("A person:", llama2swift.Sampler(temperature=1.5, seed=seed, grammar=grammar), max_tokens=limit, complete=True)
            text = "".join(pieces)
            assert pieces.reason == "end" and grammar.accepts(text), text


def test_alone_in_a_batch_and_with_guesses_the_text_is_the_same(smollm2):
    grammar = smollm2.grammar(json_schema=PERSON)

    def samplers():
        return [llama2swift.Sampler(temperature=1.2, seed=s, grammar=grammar) for s in range(4)]

    alone = []
    for guess in (False, True):
        texts = []
        for sampler in samplers():
            with smollm2.context(length=256) as context:
                texts.append("".join(context.generate("A person:", sampler, max_tokens=24, complete=True, guess=guess)))
        alone.append(texts)
    with smollm2.context(length=1024, sequences=4) as context:
        batch = llama2swift.generate_batch(context, ["A person:"] * 4, samplers(), max_tokens=24, complete=True).results()
    assert alone[0] == alone[1] == [one.text for one in batch]
    assert all(grammar.accepts(text) for text in alone[0]) and all(one.reason == "stop" for one in batch)


def test_a_full_context_is_a_limit_too(smollm2):
    grammar = smollm2.grammar(json_schema=PERSON)
    prompt = smollm2.tokenize_prompt("A person:")
    with smollm2.context(length=len(prompt) + grammar.start().shortest().tokens + 4) as context:
        pieces = context.generate(prompt, llama2swift.Sampler(temperature=1, seed=7, grammar=grammar), complete=True)
        assert grammar.accepts("".join(pieces)) and pieces.reason == "end"


def test_far_from_the_limit_the_text_is_as_without(smollm2):
    grammar = smollm2.grammar(choices=["yes", "no", "perhaps"])
    texts = []
    for complete in (False, True):
        with smollm2.context(length=128) as context:
            sampler = llama2swift.Sampler(seed=3, grammar=grammar)
            texts.append("".join(context.generate("Is it? ", sampler, max_tokens=60, complete=complete)))
    assert texts[0] == texts[1] in ("yes", "no", "perhaps")


def test_nothing_to_complete_is_refused(stories):
    with stories.context(length=64) as context:
        with pytest.raises(InvalidArgumentError, match="without a grammar"):
            "".join(context.generate("Once", max_tokens=4, complete=True))
        scheduler = llama2swift.Scheduler(context)
        with pytest.raises(InvalidArgumentError, match="without a grammar"):
            scheduler.submit(stories.tokenize_prompt("Once"), 4, complete=True)
        request = scheduler.submit(stories.tokenize_prompt("Once"), 4, grammar=stories.grammar(regex="ab+"), complete=True)
        assert "".join(event.text for event in request).startswith("ab")
        scheduler.close()


def test_a_saved_sampler_goes_on_to_the_same_end(smollm2):
    grammar = smollm2.grammar(json_schema=PERSON)
    with smollm2.context(length=256) as context:
        sampler = llama2swift.Sampler(temperature=1, seed=5, grammar=grammar)
        head = "".join(context.generate("A person:", sampler, max_tokens=6))
        other = llama2swift.Sampler(temperature=1, seed=99, grammar=grammar)
        other.set_state(sampler.state())
        tail = "".join(context.generate((), other, max_tokens=40, complete=True))
    assert grammar.accepts(head + tail)
