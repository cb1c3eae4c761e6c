"""What is generated under a grammar is of its language, whatever the model would rather say."""

import json
import random
import subprocess

import numpy as np
import pytest
from grammar_tools import holds
from test_schemas import S

import llama2swift
from llama2swift.errors import ForbiddenError, InvalidArgumentError, InvalidTokenError, OutOfRangeError

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
