"""`llama2swift serve` as clients meet it: OpenAI's own package, sync, async and streams, and plain HTTP."""

import asyncio
import json

import pytest
from served import needs
from server_tools import PROMPT, SCHEMA, TALK, alone, client, http, openai, server  # noqa: F401 (fixtures)

needs()


def tool(name, schema=SCHEMA):
    return {"type": "function", "function": {"name": name, "description": "d", "parameters": schema}}


# ---- Completions


def test_a_completion_is_the_librarys_text(client, stories):
    got = client.completions.create(model="stories", prompt=PROMPT, max_tokens=20)
    assert got.choices[0].text == alone(stories, PROMPT, 20) and got.choices[0].finish_reason == "length"
    assert (got.usage.prompt_tokens, got.usage.completion_tokens) == (len(stories.tokenize_prompt(PROMPT)), 20)
    assert len(stories.tokenize(client.completions.create(model="stories", prompt=PROMPT).choices[0].text)) <= 17  # OpenAI's 16


def test_sampling_is_followed(client, stories):
    options = dict(temperature=1.3, top_p=0.9, seed=11, frequency_penalty=0.5, presence_penalty=0.25)
    got = client.completions.create(model="stories", prompt=PROMPT, max_tokens=20, extra_body={"top_k": 30, "min_p": 0.01}, **options)
    assert got.choices[0].text == alone(stories, PROMPT, 20, top_k=30, min_p=0.01, **options)
    best = stories.tokenize(got.choices[0].text)
    banned = client.completions.create(model="stories", prompt=PROMPT, max_tokens=8, logit_bias={str(t): -100 for t in best})
    assert not set(stories.tokenize(banned.choices[0].text)) & set(best[1:])


def test_several_prompts_and_choices(client, stories):
    # llama-server's order: names or letters, what is not named is not done
    steps = ["bias", "temperature", "top_k", "typical"]
    for order in (["temperature", "top_k", "typ_p"], "tky"):
        got = client.completions.create(model="stories", prompt=PROMPT, max_tokens=20, extra_body={"top_k": 30, "typical_p": 0.6, "samplers": order}, temperature=2, seed=5)
        assert got.choices[0].text == alone(stories, PROMPT, 20, top_k=30, typical_p=0.6, temperature=2, seed=5, steps=steps)
    got = client.completions.create(model="stories", prompt=PROMPT, max_tokens=20, extra_body={"samplers": []}, seed=5)
    assert got.choices[0].text == alone(stories, PROMPT, 20, seed=5, temperature=0.8, steps=["bias"])
    got = client.completions.create(model="stories", prompt=[PROMPT, "Tom"], n=2, max_tokens=6, temperature=1, seed=3, extra_body={"top_k": 0, "min_p": 0}, top_p=1)
    assert [c.index for c in got.choices] == [0, 1, 2, 3]
    expected = [alone(stories, p, 6, temperature=1, seed=s, top_k=0, top_p=1, min_p=0) for p in (PROMPT, "Tom") for s in (3, 4)]
    assert [c.text for c in got.choices] == expected
    tokens = stories.tokenize_prompt(PROMPT)
    assert client.completions.create(model="stories", prompt=tokens, max_tokens=6).choices[0].text == alone(stories, PROMPT, 6)
    both = client.completions.create(model="stories", prompt=[tokens, tokens], max_tokens=6)
    assert [c.text for c in both.choices] == [alone(stories, PROMPT, 6)] * 2


def test_best_of_is_the_most_probable(client):
    options = dict(model="stories", prompt=PROMPT, max_tokens=6, temperature=1.5, seed=5, logprobs=0)
    many = client.completions.create(n=4, **options).choices
    mean = lambda c: sum(c.logprobs.token_logprobs) / len(c.logprobs.token_logprobs)  # noqa: E731
    best = client.completions.create(best_of=4, n=1, **options)
    assert best.choices[0].text == max(many, key=mean).text and best.usage.completion_tokens == 24


def test_echo_and_logprobs_are_those_of_the_model(client, stories):
    got = client.completions.create(model="stories", prompt=PROMPT, max_tokens=3, echo=True, logprobs=2).choices[0]
    tokens = stories.tokenize_prompt(PROMPT + alone(stories, PROMPT, 3))
    with stories.context() as context:
        score = context.score(tokens[:1], tokens[1:])
    assert got.text.startswith(PROMPT) and got.logprobs.token_logprobs[0] is None
    assert got.logprobs.token_logprobs[1:] == pytest.approx(score.log_probabilities.tolist(), abs=1e-4)
    assert all(len(top) == 2 and max(top.values()) >= p - 1e-6 for top, p in zip(got.logprobs.top_logprobs[1:], got.logprobs.token_logprobs[1:]))
    assert [got.text[o : o + 4] for o in got.logprobs.text_offset[1:3]] == ["Once", " upo"]
    only = client.completions.create(model="stories", prompt=PROMPT, max_tokens=0, echo=True, logprobs=1)
    assert only.choices[0].text == PROMPT and only.choices[0].logprobs.token_logprobs[1:] == pytest.approx(score.log_probabilities[: len(stories.tokenize_prompt(PROMPT)) - 1].tolist(), abs=1e-4)


def test_stop_strings_are_never_given_out(client, stories):
    whole = alone(stories, PROMPT, 30)
    stop = whole[9:13]
    got = client.completions.create(model="stories", prompt=PROMPT, max_tokens=30, stop=[stop, "never"])
    assert got.choices[0].text == whole[: whole.index(stop)] and got.choices[0].finish_reason == "stop"
    pieces = [c.choices[0].text for c in client.completions.create(model="stories", prompt=PROMPT, max_tokens=30, stop=stop, stream=True)]
    assert "".join(pieces) == whole[: whole.index(stop)]


def test_streams_say_the_same(client):
    options = dict(model="stories", prompt=PROMPT, max_tokens=12, n=2, temperature=1, logprobs=1)
    whole = client.completions.create(**options)
    chunks = list(client.completions.create(stream=True, stream_options={"include_usage": True}, **options))
    for i in (0, 1):
        mine = [c.choices[0] for c in chunks if c.choices and c.choices[0].index == i]
        assert "".join(c.text for c in mine) == whole.choices[i].text and mine[-1].finish_reason == "length"
        assert sum((c.logprobs.token_logprobs for c in mine), []) == whole.choices[i].logprobs.token_logprobs
        assert sum((c.logprobs.text_offset for c in mine), []) == whole.choices[i].logprobs.text_offset
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens and len({c.id for c in chunks}) == 1


# ---- Chats


def test_a_chat_is_the_templates_prompt(client, stories):
    tokens = stories.chat_tokens(TALK, chat_template="chatml")
    got = client.chat.completions.create(model="stories", messages=TALK, max_completion_tokens=12)
    assert got.choices[0].message.content == alone(stories, tokens, 12) and got.usage.prompt_tokens == len(tokens)
    parts = [{"role": "developer", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "kind."}]}, *TALK]
    same = [{"role": "system", "content": "Be kind."}, *TALK]
    a, b = (client.chat.completions.create(model="stories", messages=m, max_tokens=8).choices[0].message.content for m in (parts, same))
    assert a == b


def test_chat_streams(client):
    options = dict(model="stories", messages=TALK, max_tokens=10, n=2, temperature=1, logprobs=True, top_logprobs=3)
    whole = client.chat.completions.create(**options)
    chunks = list(client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **options))
    for i in (0, 1):
        mine = [c.choices[0] for c in chunks if c.choices and c.choices[0].index == i]
        assert mine[0].delta.role == "assistant"
        assert "".join(c.delta.content or "" for c in mine) == whole.choices[i].message.content
        tokens = [t for c in mine if c.logprobs for t in c.logprobs.content]
        assert [t.logprob for t in tokens] == [t.logprob for t in whole.choices[i].logprobs.content] and all(len(t.top_logprobs) == 3 for t in tokens)
    assert b"".join(bytes(t.bytes) for t in whole.choices[0].logprobs.content).decode() == whole.choices[0].message.content
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_async_clients_side_by_side(server, stories):
    async def talk():
        async with openai.AsyncOpenAI(api_key="none", base_url=server.url + "/v1") as client:

            async def one(count):
                stream = await client.completions.create(model="stories", prompt=PROMPT, max_tokens=count, stream=True)
                return "".join([c.choices[0].text async for c in stream])

            return await asyncio.gather(*(one(n) for n in range(1, 13)))

    assert asyncio.run(talk()) == [alone(stories, PROMPT, n) for n in range(1, 13)]


def test_answers_are_of_their_schema(client):
    for form in ({"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}}, {"type": "json_object", "schema": SCHEMA}):
        got = client.chat.completions.create(model="stories", messages=TALK, response_format=form, temperature=1, seed=2)
        value = json.loads(got.choices[0].message.content)
        assert value["name"] in ("Lily", "Tom") and 3 <= value["age"] <= 9 and len(value) == 2 and got.choices[0].finish_reason == "stop"
    got = client.chat.completions.create(model="stories", messages=TALK, response_format={"type": "json_object"}, max_tokens=5)
    assert got.choices[0].message.content.lstrip()[:1] in ("{", "")


@pytest.mark.parametrize("choice, names, ends", [("required", ["f", "g"], "tool_calls"), ({"type": "function", "function": {"name": "g"}}, ["g"], "stop")])
def test_tools_are_called_by_their_schema(client, choice, names, ends):
    options = dict(model="stories", messages=TALK, tools=[tool("f"), tool("g")], tool_choice=choice, temperature=1, seed=4)
    got = client.chat.completions.create(**options).choices[0]
    call = got.message.tool_calls[0].function
    assert call.name in names and set(json.loads(call.arguments)) == {"name", "age"} and got.finish_reason == ends and got.message.content is None
    chunks = [c.choices[0] for c in client.chat.completions.create(stream=True, **options)]
    calls = [t for c in chunks for t in c.delta.tool_calls or []]
    assert "".join(t.function.arguments or "" for t in calls) == call.arguments and [t.function.name for t in calls if t.function.name] == [call.name]
    assert chunks[-1].finish_reason == ends


def test_a_conversation_with_tools_goes_on(http):
    calls = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"name": "Tom", "age": 3}'}}]
    talk = [*TALK, {"role": "assistant", "content": None, "tool_calls": calls}, {"role": "tool", "tool_call_id": "c1", "content": "He is small."}]
    text = http.post("/apply-template", json={"messages": talk, "tools": [tool("f")]}).json()["prompt"]
    assert '"name": "f"' in text and "Result of f: He is small." in text and '{"name": "f", "arguments": {"name": "Tom", "age": 3}}' in text
    got = http.post("/v1/chat/completions", json={"messages": talk, "tools": [tool("f")], "tool_choice": "auto", "max_tokens": 5})
    assert got.status_code == 200 and got.json()["choices"][0]["message"]["content"]
