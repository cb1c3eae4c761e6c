"""/v1/responses as OpenAI's own package asks for it: the same answers as of a chat, in items, whole and as events; what is not followed is refused by its name."""

import json

import pytest
from served import needs
from server_tools import TALK, client, http, openai, server  # noqa: F401 (fixtures)

needs()
FLAG = {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"], "additionalProperties": False}
TOOLS = [{"type": "function", "name": name, "description": "d", "parameters": FLAG} for name in ("lamp", "door")]
NOT_FOLLOWED = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "object"}, "uniqueItems": True}}}
ASK = dict(model="stories", max_output_tokens=12)


def pieced(client, **more):
    """A stream's events and its last response; each event has the next number, and its items are those of the end."""
    events = list(client.responses.create(stream=True, **{**ASK, "input": "Tell me of a cat.", **more}))
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert [e.type for e in events[:2]] == ["response.created", "response.in_progress"] and events[0].response.status == "in_progress"
    last = events[-1].response
    assert events[-1].type == f"response.{last.status}"
    assert [e.item.model_dump() for e in events if e.type == "response.output_item.done"] == [i.model_dump() for i in last.output]
    assert [e.item.id for e in events if e.type == "response.output_item.added"] == [i.id for i in last.output]
    return events, last


def test_a_response_is_the_answer_of_a_chat(client):
    chat = client.chat.completions.create(model="stories", messages=[{"role": "system", "content": "Be brief."}, *TALK], max_tokens=12)
    got = client.responses.create(instructions="Be brief.", input=TALK[0]["content"], **ASK)
    assert got.output_text == chat.choices[0].message.content and got.id.startswith("resp_") and got.output[0].id.startswith("msg_")
    assert (got.status, got.incomplete_details.reason, got.output[0].status) == ("incomplete", "max_output_tokens", "incomplete")
    assert (got.usage.input_tokens, got.usage.output_tokens, got.usage.total_tokens) == (chat.usage.prompt_tokens, 12, chat.usage.total_tokens)
    assert client.responses.input_tokens.count(model="stories", instructions="Be brief.", input=TALK[0]["content"]).input_tokens == chat.usage.prompt_tokens
    parts = [{"role": "developer", "content": "Be brief."}, {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Tell me "}, {"type": "input_text", "text": "of a cat."}]}]
    assert client.responses.create(input=parts, **ASK).output_text == got.output_text
    assert (got.temperature, got.tool_choice, got.tools, got.store, got.metadata, got.service_tier) == (0, "auto", [], False, {}, "default")
    assert client.responses.create(input="x", metadata={"a": "b"}, temperature=1.5, top_p=0.5, **ASK).model_dump(include={"metadata", "temperature", "top_p"}) == {"metadata": {"a": "b"}, "temperature": 1.5, "top_p": 0.5}


def test_events_are_the_same_in_pieces(client, http):
    whole = client.responses.create(input="Tell me of a cat.", top_logprobs=2, **ASK)
    events, last = pieced(client, top_logprobs=2)
    deltas = [e for e in events if e.type == "response.output_text.delta"]
    assert "".join(e.delta for e in deltas) == last.output_text == whole.output_text
    plain = lambda found: [(p.token, p.logprob, [(t.token, t.logprob) for t in p.top_logprobs]) for p in found]  # noqa: E731
    expected = plain(whole.output[0].content[0].logprobs)
    assert len(expected) == 12 and plain(last.output[0].content[0].logprobs) == expected == [one for e in deltas for one in plain(e.logprobs)]
    assert (last.usage.input_tokens, last.usage.output_tokens) == (whole.usage.input_tokens, whole.usage.output_tokens)
    raw = http.post("/v1/responses", json={**ASK, "input": "x", "stream": True}).text.split("\n\n")
    assert all(one.startswith("event: " + json.loads(one.split("\n")[1][6:])["type"] + "\ndata: ") for one in raw[:-1]) and raw[-1] == ""


def test_functions_are_called_and_answer(client):
    options = dict(tools=TOOLS, tool_choice={"type": "function", "name": "door"}, max_output_tokens=60)
    got = client.responses.create(model="stories", input="x", **options)
    call = got.output[0]
    assert (got.status, call.type, call.name, set(json.loads(call.arguments))) == ("completed", "function_call", "door", {"on"}) and len(got.output) == 1
    events, last = pieced(client, input="x", **options)
    assert "".join(e.delta for e in events if e.type == "response.function_call_arguments.delta") == last.output[0].arguments == call.arguments
    assert sum(e.type == "response.function_call_arguments.delta" for e in events) > 3  # as they come
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "lamp"}]}
    for choice, names in (("required", {"lamp", "door"}), (allowed, {"lamp"})):
        made = client.responses.create(model="stories", input="x", tools=TOOLS, tool_choice=choice, max_output_tokens=80)
        assert {i.name for i in made.output} <= names and made.output[0].type == "function_call"
        assert pieced(client, input="x", tools=TOOLS, tool_choice=choice, max_output_tokens=80)[1].output[0].arguments == made.output[0].arguments
    # what came goes back as it came, and is the chat with the same calls
    items = [{"role": "user", "content": "x"}, *[i.model_dump(exclude_none=True) for i in got.output], {"type": "function_call_output", "call_id": call.call_id, "output": "ajar"}]
    talk = [
        {"role": "user", "content": "x"}, {"role": "assistant", "content": None, "tool_calls": [{"id": call.call_id, "type": "function", "function": {"name": "door", "arguments": call.arguments}}]},
        {"role": "tool", "tool_call_id": call.call_id, "content": "ajar"},
    ]  # fmt: skip
    then = client.responses.create(input=items, **ASK)
    assert then.output_text == client.chat.completions.create(model="stories", messages=talk, max_tokens=12).choices[0].message.content
    again = [*items, *[i.model_dump(exclude_none=True) for i in then.output], {"role": "user", "content": "y"}]
    assert client.responses.create(input=again, **ASK).output_text


def test_a_text_is_held_to_its_format(client):
    form = {"type": "json_schema", "name": "state", "schema": FLAG, "strict": True}
    with client.responses.stream(model="stories", input="x", text={"format": form}, max_output_tokens=200, temperature=1, extra_body={"seed": 3}) as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    assert final.status == "completed" and set(json.loads(final.output_text)) == {"on"} and final.text.format.name == "state"
    assert client.responses.create(input="x", text={"format": {"type": "text"}}, **ASK).output_text


REFUSED = [
    ("store", dict(store=True)), ("previous_response_id", dict(previous_response_id="resp_1")), ("conversation", dict(conversation="c")), ("background", dict(background=True)),
    ("reasoning", dict(reasoning={"effort": "high"})), ("truncation", dict(truncation="auto")), ("include[0]", dict(include=["file_search_call.results"])),
    ("tools[0]", dict(tools=[{"type": "web_search"}])), ("tools[0].defer_loading", dict(tools=[{**TOOLS[0], "defer_loading": True}])), ("tool_choice", dict(tool_choice="required")),
    ("text.format", dict(text={"format": {"type": "json_schema", "name": "x", "schema": {"type": "strong"}}})), ("text.format.name", dict(text={"format": {"type": "json_schema", "schema": FLAG}})),
    ("text.format.schema", dict(text={"format": {"type": "text", "schema": FLAG}})), ("text.verbosity", dict(text={"verbosity": "low"})), ("input", dict(input=[])),
    ("input[0]", dict(input=[{"type": "item_reference", "id": "msg_1"}])), ("input[0].content[0]", dict(input=[{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}])),
    ("input[0].role", dict(input=[{"role": "critic", "content": "x"}])), ("input[1].call_id", dict(input=[{"role": "user", "content": "x"}, {"type": "function_call_output", "call_id": "n", "output": ""}])),
    ("input[0].arguments", dict(input=[{"type": "function_call", "call_id": "c", "name": "lamp", "arguments": "{"}])), ("input[0].phase", dict(input=[{"role": "assistant", "content": "x", "phase": "commentary"}])),
    ("tools[1].parameters", dict(tools=[TOOLS[0], {**TOOLS[1], "parameters": {"type": "string"}}])), ("tools[0].parameters", dict(tools=[{**TOOLS[0], "parameters": NOT_FOLLOWED}])),
    ("max_output_tokens", dict(max_output_tokens=0)), ("top_logprobs", dict(top_logprobs=21)), ("metadata.a", dict(metadata={"a": 1})), ("messages", dict(messages=TALK)), ("max_tokens", dict(max_tokens=5)),
    ("stream_options", dict(stream_options={"include_obfuscation": False})), ("stream_options.include_usage", dict(stream=True, stream_options={"include_usage": True})),
]  # fmt: skip


@pytest.mark.parametrize("param, more", REFUSED)
def test_what_is_not_followed_is_refused_by_its_name(http, param, more):
    got = http.post("/v1/responses", json={"input": "x", **more})
    assert got.status_code == 400 and got.json()["error"]["param"] == param, got.text


def test_nothing_is_stored(client):
    for ask in (client.responses.retrieve, client.responses.delete, client.responses.cancel):
        with pytest.raises(openai.NotFoundError, match="nothing is stored"):
            ask("resp_1")
