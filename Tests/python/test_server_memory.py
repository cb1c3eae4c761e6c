"""Memory that the system refuses for a moment is told as the server's state, and nothing is concluded from it."""

import asyncio
import types

import pytest
from served import needs

needs()
from llama2swift.errors import OutOfMemoryError, UnsupportedError  # noqa: E402
from llama2swift.server import bodies, errors, prompts, sampling  # noqa: E402
from llama2swift.server.engine import Engine  # noqa: E402


def refusing(*_, **__):
    raise OutOfMemoryError("no memory")


def test_a_grammar_without_memory_is_no_fault_of_the_request():
    engine = types.SimpleNamespace(grammar=refusing)
    with pytest.raises(OutOfMemoryError) as raised:
        sampling.grammar(engine, bodies.Native(prompt="x", grammar='root ::= "a"'))
    assert errors.of(raised.value).status == 503
    made = types.SimpleNamespace(_makers=None)
    with pytest.raises(OutOfMemoryError):
        asyncio.run(Engine.compiled(made, refusing, name="tools"))


def test_a_template_that_could_not_be_asked_is_asked_again():
    answers = [refusing, lambda *_, **__: "probe"]
    engine = types.SimpleNamespace(knows={}, model=types.SimpleNamespace(chat_text=lambda *a, **k: answers.pop(0)(*a, **k)))
    with pytest.raises(OutOfMemoryError):
        prompts.knows_tools(engine, None)
    assert prompts.knows_tools(engine, None) is True

    def unsupported(*_, **__):
        raise UnsupportedError("x")

    engine = types.SimpleNamespace(knows={}, model=types.SimpleNamespace(chat_text=unsupported))
    assert prompts.knows_tools(engine, None) is False
