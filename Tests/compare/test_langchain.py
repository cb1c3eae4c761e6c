"""LangChain's `ChatOpenAI` against the server: answers, streams, tools, structured output, async, embeddings. Skipped without langchain-openai (PyPI)."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
from served import needs, served  # noqa: E402

needs()
langchain = pytest.importorskip("langchain_openai", reason="pip install langchain-openai")
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage  # noqa: E402
from langchain_core.tools import tool  # noqa: E402
from pydantic import BaseModel, Field  # noqa: E402

import llama2swift  # noqa: E402

LOOP = asyncio.new_event_loop()  # one: langchain keeps its connections
TALK = [SystemMessage("You tell stories."), HumanMessage("Once upon a time")]


@tool
def weather(city: Literal["Rome", "Oslo"], days: Annotated[int, Field(ge=1, le=9)] = 1) -> str:
    """The weather of a city."""
    return f"{city}: rain for {days} days"


class Person(BaseModel):
    """Somebody."""

    name: Literal["Lily", "Tom"]
    age: int = Field(ge=3, le=9)


@pytest.fixture(scope="module")
def server():
    with served("--alias", "stories", "--chat-template", "chatml", "--context", 2048, "--api-key", "k") as one:
        yield one


@pytest.fixture
def chat(server):
    return langchain.ChatOpenAI(model="stories", base_url=server.url + "/v1", api_key="k", temperature=0, max_tokens=16, seed=1)


@pytest.fixture(scope="module")
def expected(stories):
    tokens = stories.chat_tokens([{"role": "system", "content": TALK[0].content}, {"role": "user", "content": TALK[1].content}], chat_template="chatml")
    with stories.context(length=512) as context:
        return "".join(context.generate(tokens, llama2swift.Sampler(temperature=0), max_tokens=16))


@pytest.fixture(scope="module")
def stories():
    return llama2swift.Model(Path(__file__).resolve().parents[1] / "fixtures/stories260K.bin")


def test_invoke_batch_and_what_is_told(chat, expected):
    got = chat.invoke(TALK)
    assert got.content == expected and got.usage_metadata["output_tokens"] == 16 and got.response_metadata["finish_reason"] == "length"
    assert [one.content for one in chat.batch([TALK, TALK, TALK])] == [expected] * 3
    assert len(chat.bind(logprobs=True, top_logprobs=2).invoke(TALK).response_metadata["logprobs"]["content"]) == 16
    assert chat.bind(stop=[expected[5:8]]).invoke(TALK).content == expected[:5]


def test_streams(chat, expected):
    chunks = list(chat.stream(TALK))
    assert "".join(c.content for c in chunks) == expected and len(chunks) > 3
    told = list(chat.stream(TALK, stream_usage=True))
    assert sum(c.usage_metadata["output_tokens"] for c in told if c.usage_metadata) == 16


def test_async(chat, expected):
    async def all_of_it():
        one = await chat.ainvoke(TALK)
        parts = [c.content async for c in chat.astream(TALK)]
        return one.content, "".join(parts), [r.content for r in await chat.abatch([TALK] * 2)]

    assert LOOP.run_until_complete(all_of_it()) == (expected, expected, [expected] * 2)


@pytest.mark.parametrize("choice", ["any", "required", "weather", {"type": "function", "function": {"name": "weather"}}])
def test_tools(chat, choice):
    bound = chat.model_copy(update={"max_tokens": 400}).bind_tools([weather], tool_choice=choice, strict=True)
    got = bound.invoke(TALK)
    assert got.tool_calls[0]["name"] == "weather" and set(got.tool_calls[0]["args"]) <= {"city", "days"} and got.tool_calls[0]["args"]["city"] in ("Rome", "Oslo") and not got.invalid_tool_calls
    whole = None
    for chunk in bound.stream(TALK):
        whole = chunk if whole is None else whole + chunk
    assert [(c["name"], c["args"]) for c in whole.tool_calls] == [(c["name"], c["args"]) for c in got.tool_calls]
    answered = [*TALK, AIMessage("", tool_calls=got.tool_calls), ToolMessage("rain", tool_call_id=got.tool_calls[0]["id"])]
    assert isinstance(chat.bind_tools([weather]).invoke(answered).content, str)


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output(chat, method):
    held = chat.model_copy(update={"max_tokens": 300, "temperature": 0.7})
    form = held.with_structured_output(Person, method=method, include_raw=True, strict=True)
    got = form.invoke("Tell me of a person, as JSON.")
    assert isinstance(got["parsed"], Person) and 3 <= got["parsed"].age <= 9, got
    assert isinstance(LOOP.run_until_complete(form.ainvoke("Tell me of a person."))["parsed"], Person)
    assert list(held.with_structured_output(Person, method=method, strict=True).stream("Tell me of a person."))[-1].age >= 3


def test_errors_are_those_of_openai(chat, server):
    import openai

    with pytest.raises(openai.NotFoundError, match="no model"):
        langchain.ChatOpenAI(model="gpt-5", base_url=server.url + "/v1", api_key="k").invoke(TALK)
    with pytest.raises(openai.AuthenticationError):
        langchain.ChatOpenAI(model="stories", base_url=server.url + "/v1", api_key="wrong").invoke(TALK)
    with pytest.raises(openai.BadRequestError, match="context size"):
        chat.invoke("word " * 5000)


def test_embeddings_and_completions(server, stories):
    rows = langchain.OpenAIEmbeddings(model="stories", base_url=server.url + "/v1", api_key="k", check_embedding_ctx_length=False).embed_documents(["Once", "Tom"])
    expected = stories.embed(["Once", "Tom"], pooling="mean", normalize=True)
    assert [len(r) for r in rows] == [64, 64] and rows[0] == pytest.approx(expected[0].tolist(), abs=1e-5)
    text = langchain.OpenAI(model="stories", base_url=server.url + "/v1", api_key="k", temperature=0, max_tokens=6)
    assert text.invoke("Once upon a time") == "".join(text.stream("Once upon a time")) != ""


def test_the_responses_api(server, expected):
    options = dict(model="stories", base_url=server.url + "/v1", api_key="k", temperature=0, use_responses_api=True, max_retries=0)
    chat = langchain.ChatOpenAI(max_tokens=16, **options)
    text = lambda message: "".join(part["text"] for part in message.content if part["type"] == "text")  # noqa: E731
    answer = chat.invoke(TALK)
    assert text(answer) == expected and answer.usage_metadata["output_tokens"] == 16
    assert "".join(map(text, chat.stream(TALK))) == expected
    assert isinstance(langchain.ChatOpenAI(max_tokens=200, **options).with_structured_output(Person, method="json_schema").invoke(TALK), Person)
    longer = langchain.ChatOpenAI(max_tokens=100, **options)
    strict = {"type": "function", "name": "weather", "parameters": {**weather.args_schema.model_json_schema(), "additionalProperties": False}}
    called = longer.bind_tools([strict], tool_choice="weather").invoke(TALK)
    assert called.tool_calls[0]["name"] == "weather" and called.tool_calls[0]["args"]["city"] in ("Rome", "Oslo")
    then = longer.invoke([*TALK, called, ToolMessage("rain", tool_call_id=called.tool_calls[0]["id"]), HumanMessage("And then?")])
    assert text(then)
