"""Every field of OpenAI's requests, as its own package has them, is followed, taken with its type, or refused by its name: none is passed over."""

import json
import typing
from types import SimpleNamespace

import pytest
from served import needs, served

needs()
import httpx  # noqa: E402

openai = pytest.importorskip("openai", reason="pip install -r Tests/requirements.txt")
from openai import types  # noqa: E402
from openai.types import chat as talking  # noqa: E402

from llama2swift.server import bodies, conversation  # noqa: E402

TALK = [{"role": "user", "content": "Tell me of a cat."}]
SCHEMA = {"type": "object", "properties": {"name": {"enum": ["Lily", "Tom"]}}, "required": ["name"], "additionalProperties": False}
OTHER = {"type": "object", "properties": {"age": {"$ref": "#/$defs/small"}}, "required": ["age"], "additionalProperties": False, "$defs": {"small": {"type": "integer", "minimum": 3, "maximum": 9}}}
TOOLS = [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in ("f", "g", "h")]
CALLED = {"role": "assistant", "tool_calls": [{"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}
NOT_FOLLOWED = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "object"}, "uniqueItems": True}}}


@pytest.fixture(scope="module")
def http():
    with served("--alias", "stories", "--chat-template", "chatml", "--context", 2048, "--temperature", 0, "--seed", 7) as one, httpx.Client(base_url=one.url, timeout=60) as client:
        yield client


def chat(http, **body):
    return http.post("/v1/chat/completions", json={"messages": TALK, "max_tokens": 40, **body})


BODIES = [
    (types.completion_create_params.CompletionCreateParamsNonStreaming, bodies.Completion), (talking.completion_create_params.CompletionCreateParamsNonStreaming, conversation.Chat),
    (types.embedding_create_params.EmbeddingCreateParams, bodies.Embeddings), (talking.ChatCompletionStreamOptionsParam, bodies.StreamOptions),
    (talking.ChatCompletionFunctionToolParam, conversation.Tool), (types.shared_params.FunctionDefinition, conversation.Function), (types.shared_params.ResponseFormatJSONSchema, conversation.ResponseFormat),
    (talking.ChatCompletionMessageFunctionToolCallParam, conversation.ToolCall), (talking.ChatCompletionNamedToolChoiceParam, conversation.ToolChoice),
    (talking.ChatCompletionAllowedToolsParam, conversation.AllowedTools), *((one, conversation.ChatMessage) for one in typing.get_args(talking.ChatCompletionMessageParam)),
]  # fmt: skip
# known to nobody here, and so refused as fields that are not known
ABSENT = {"prompt_cache_breakpoint"}


@pytest.mark.parametrize("theirs, ours", BODIES, ids=lambda one: one.__name__)
def test_every_field_of_openais_package_is_known(theirs, ours):
    known = {field.alias or name for name, field in ours.model_fields.items()} | set(ours.refused)
    fields = set(typing.get_type_hints(theirs))
    assert fields and not fields - known - ABSENT


REFUSED = {
    "store": True, "metadata": {"a": "b"}, "service_tier": "priority", "prediction": {"type": "content", "content": "A cat"}, "prompt_cache_retention": "24h",
    "prompt_cache_options": {"mode": "explicit"}, "functions": [{"name": "f"}], "function_call": {"name": "f"}, "modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"},
    "reasoning_effort": "low", "verbosity": "low", "web_search_options": {}, "moderation": {"model": "m"}, "user": 5, "safety_identifier": [], "prompt_cache_key": {}, "parallel_tool_calls": "no",
    "guided_json": {}, "min_tokens": 3, "id_slot": "0", "cache_prompt": 1,
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_followed_is_refused_by_its_name(http, name):
    answer = chat(http, **{name: REFUSED[name]})
    assert answer.status_code == 400 and answer.json()["error"]["param"].split(".")[0] == name and name in answer.json()["error"]["message"]


PARTS = [
    ({"stream": True, "stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
    ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0]"), ({"tools": TOOLS, "tool_choice": {"type": "custom", "custom": {"name": "f"}}}, "tool_choice"),
    ({"tools": TOOLS, "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "i"}}]}}}, "tool_choice"),
    ({"tools": TOOLS, "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "none", "tools": []}}}, "tool_choice.allowed_tools.mode"),
    ({"tools": [{"type": "function", "function": {"name": "f", "strict": "yes"}}]}, "tools[0].function.strict"),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": 5, "schema": {}}}}, "response_format.json_schema.name"),
    ({"response_format": {"type": "text", "json_schema": {"schema": SCHEMA}}}, "response_format.json_schema"), ({"response_format": {"type": "text", "schema": SCHEMA}}, "response_format.schema"),
    ({"tools": TOOLS, "grammar": 'root ::= "a"'}, "tools"), ({"tools": TOOLS, "tool_choice": "required", "response_format": {"type": "json_object"}}, "tool_choice"),
    ({"messages": [{"role": "user", "content": "a", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}]}, "messages[0].tool_calls"),
    ({"messages": [{"role": "user", "content": "a", "tool_call_id": "x"}]}, "messages[0].tool_call_id"), ({"messages": [{"role": "user", "content": "a", "refusal": "no"}]}, "messages[0].refusal"),
    ({"messages": [{"role": "assistant", "content": "a", "refusal": "no"}]}, "messages[0].refusal"), ({"messages": [{"role": "assistant", "content": "a", "annotations": [{"type": "url_citation"}]}]}, "messages[0].annotations"),
    ({"messages": [{"role": "assistant", "tool_calls": [{"type": "custom", "custom": {"name": "f", "input": "x"}}]}]}, "messages[0].tool_calls[0]"),
    ({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "a", "name": "Tom"}]}, "messages[1].name"), ({"tools": TOOLS, "messages": [{"role": "developer", "content": "a", "name": "Tom"}]}, "messages[0].name"),
    *(({"messages": [{"role": "user", "content": "a"}, *calls, {"role": "tool", "tool_call_id": "y", "content": "5"}]}, f"messages[{1 + len(calls)}].tool_call_id") for calls in ([], [CALLED])),
    *(({"tools": [*TOOLS, {"type": "function", "function": {"name": "i", "parameters": given}}], "tool_choice": choice}, "tools[3].function.parameters")
      for given in ({"type": "string"}, {"type": ["array", "null"]}, False) for choice in ("auto", "required", "none")),
    ({"tools": [*TOOLS, {"type": "function", "function": {"name": "i", "parameters": NOT_FOLLOWED}}]}, "tools[3].function.parameters"), ({"stop": ["a", ""]}, "stop"), ({"stop": ["a"] * 65}, "stop"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}]}]}, "messages[0].content[0].prompt_cache_breakpoint"),
]  # fmt: skip


@pytest.mark.parametrize("body, param", PARTS, ids=[param for _, param in PARTS])
def test_parts_that_are_not_followed_are_refused_by_their_names(http, body, param):
    answer = chat(http, **body)
    assert answer.status_code == 400 and answer.json()["error"]["param"] == param, answer.text


def test_a_name_is_told_where_the_template_tells_names(stories):
    from llama2swift.server import errors, prompts
    from llama2swift.server.conversation import ChatMessage

    template = "{% for m in messages %}{{ m.role }} {{ m.name if m.role == 'user' }}: {{ m.content }}\n{% endfor %}"
    talk = [{"role": "system", "content": "a"}, {"role": "user", "content": "b", "name": "Tom"}]
    check = lambda talk: prompts.check_names(SimpleNamespace(model=stories), [ChatMessage(**m) for m in talk], talk, {"chat_template": template})  # noqa: E731
    check(talk)
    with pytest.raises(errors.ApiError, match="names of the role system"):
        check([{**talk[0], "name": "Lily"}, talk[1]])


@pytest.mark.parametrize("path", ["/v1/models?limit=1", "/v1/chat/completions?api-version=2024", "/health?x", "/metrics?name[]=a", "/props?modell=stories"])
def test_what_an_address_asks_for_is_not_passed_over(http, path):
    answer = http.post(path, json={"messages": TALK}) if "chat" in path else http.get(path)
    assert answer.status_code == 400 and answer.json()["error"]["param"] in path and answer.json()["error"]["code"] == "unknown_parameter"
    assert http.get("/props?model=stories").status_code == 200


def test_the_tier_is_told_where_it_is_asked_for(http):
    assert "service_tier" not in chat(http).json()
    assert [chat(http, service_tier=one).json()["service_tier"] for one in ("auto", "default")] == ["default", "default"]
    events = [json.loads(line[6:]) for line in chat(http, service_tier="auto", stream=True).text.splitlines() if line.startswith("data: {")]
    assert events and all(one["service_tier"] == "default" for one in events)


def test_a_vector_has_the_length_that_it_has(http):
    length = len(http.post("/v1/embeddings", json={"input": "a"}).json()["data"][0]["embedding"])
    assert http.post("/v1/embeddings", json={"input": "a", "dimensions": length}).status_code == 200
    answer = http.post("/v1/embeddings", json={"input": "a", "dimensions": length - 1})
    assert answer.status_code == 400 and str(length) in answer.json()["error"]["message"]


def test_texts_and_tokens_stand_side_by_side(http, stories):
    mixed = ["Once upon", stories.tokenize_prompt("Once upon")]
    a, b = (one["text"] for one in http.post("/v1/completions", json={"prompt": mixed, "max_tokens": 4}).json()["choices"])
    assert a == b
    rows = [one["embedding"] for one in http.post("/v1/embeddings", json={"input": mixed}).json()["data"]]
    assert rows[0] == rows[1] == http.post("/v1/embeddings", json={"input": "Once upon"}).json()["data"][0]["embedding"]


def test_allowed_tools_are_those_that_may_be_called(http):
    for mode, names in (("required", ["h"]), ("required", ["g", "h"])):
        choice = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [{"type": "function", "function": {"name": name}} for name in names]}}
        got = [chat(http, tools=TOOLS, tool_choice=choice, temperature=1, seed=seed).json()["choices"][0] for seed in range(4)]
        assert {one["message"]["tool_calls"][0]["function"]["name"] for one in got} <= set(names) and {one["finish_reason"] for one in got} == {"tool_calls"}
    choice["allowed_tools"]["mode"] = "auto"
    prompt = lambda **more: chat(http, tools=TOOLS, max_tokens=1, verbose=True, **more).json()["__verbose"]["prompt"]  # noqa: E731
    assert '"name": "f"' in prompt() and '"name": "f"' not in prompt(tool_choice=choice) and '"name": "g"' in prompt(tool_choice=choice)


CALLS = '{"name": "f", "arguments": {"name": "Tom"}}\n{"name": "g", "arguments": {"name": "Lily"}}'


@pytest.mark.parametrize("stream", [False, True])
def test_one_call_where_calls_may_not_stand_side_by_side(stream):
    """What a model would say is written here by a server whose sampler has no choice: a bias would need the model's goodwill."""
    from llama2swift.server import tools

    class Held:
        def grammar(self, **_):
            return self

        def accepts(self, _):
            return True

    for parallel, names in ((None, ["f", "g"]), (True, ["f", "g"]), (False, ["f"])):
        body = conversation.Chat.model_validate({"messages": TALK, "tools": TOOLS, "parallel_tool_calls": parallel})
        caller = tools.Caller(Held(), body)
        if stream:
            from llama2swift.server.chat import Choice

            one = Choice(caller)
            assert [delta for letter in CALLS for delta in one.add(letter)] == []
            (delta,), why = one.end("stop")
            assert [c["function"]["name"] for c in delta["tool_calls"]] == names and why == "tool_calls"
        else:
            assert [c["function"]["name"] for c in caller.calls(CALLS)] == names


def test_beside_a_schema_a_model_may_call_what_it_has(http, stories):
    """Held to the schema or to a call, and to nothing else; which of them follows from letters that may not come."""
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": OTHER}}
    pieces = [stories.piece(token) for token in range(stories.hyperparameters.vocabulary_size)]

    def said(letter, **more):
        banned = {str(token): -1000 for token, piece in enumerate(pieces) if any(c in piece for c in b" \t\r\n") or piece.startswith(letter)}
        return chat(http, response_format=form, logit_bias=banned, max_tokens=200, **more).json()["choices"][0]

    got = said(b"n", tools=TOOLS)
    assert got["finish_reason"] == "stop" and "tool_calls" not in got["message"] and 3 <= json.loads(got["message"]["content"])["age"] <= 9
    got = said(b"a", tools=TOOLS)
    assert got["finish_reason"] == "tool_calls" and got["message"]["content"] is None
    assert set(json.loads(got["message"]["tool_calls"][0]["function"]["arguments"])) == {"name"}
    bad = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "hiccup"}}}
    error = chat(http, tools=TOOLS, response_format=bad).json()["error"]
    assert error["param"] == "response_format" and "anyOf" not in error["message"]


def test_what_a_schema_is_for_is_told_to_the_model(http):
    def prompt(more, **body):
        return chat(http, response_format={"type": "json_schema", "json_schema": {"name": "cat", "schema": SCHEMA, **more}}, verbose=True, **body).json()["__verbose"]["prompt"]

    said = "The answer is JSON called cat: who it is"
    assert said in prompt({"description": "who it is"}) and "JSON" not in prompt({})
    told = prompt({"description": "who it is"}, messages=[{"role": "system", "content": "Be kind."}, *TALK])
    assert told.index("Be kind.") < told.index(said) < told.index("Tell me") and told.count("system") == 1


def test_where_tokens_stand_is_told_alike_in_a_stream(http):
    """What a stop string holds back of a stream moves no token."""
    body = {"prompt": "The cat sat", "max_tokens": 60, "stop": ["the", " a dog"], "logprobs": 1, "echo": True, "seed": 1, "temperature": 0.8}
    whole = http.post("/v1/completions", json=body).json()["choices"][0]["logprobs"]
    lines = http.post("/v1/completions", json={**body, "stream": True}).text.splitlines()
    parts = [json.loads(line[6:])["choices"][0]["logprobs"] for line in lines if line.startswith("data: {")]
    for name in ("tokens", "text_offset"):
        assert whole[name] and [one for part in parts for one in part[name]] == whole[name]


@pytest.mark.parametrize("samplers", ["", [], ["top_k"], "pk"])
def test_steps_that_are_left_out_are_shown_as_doing_nothing(http, samplers):
    answer = http.post("/completion", json={"prompt": "Once", "n_predict": 3, "samplers": samplers, "seed": 3})
    assert answer.status_code == 200
    shown = answer.json()["generation_settings"]
    assert shown["temperature"] == 1 and shown["min_p"] == 0 and (shown["top_k"] == 0) == (samplers in ("", []))


@pytest.mark.parametrize("stops, word", [(["zzz", "time"], "time"), (["upon a", "upon"], "upon"), (["e"], "e"), (["zzz"], "")])
def test_the_stop_string_that_ended_a_text_is_named(http, stops, word):
    answer = http.post("/completion", json={"prompt": "Say:", "n_predict": 20, "stop": stops, "grammar": 'root ::= "Once upon a time."'}).json()
    assert answer["stopping_word"] == word and answer["stop_type"] == ("word" if word else "eos") and not any(one in answer["content"] for one in stops)


@pytest.mark.parametrize("name, value", [("dynatemp_exponent", -1), ("repeat_penalty", 1e-300), ("dry_penalty_last_n", -2), ("dry_allowed_length", -1), ("mirostat_tau", -1)])
def test_a_value_outside_its_range_is_refused_by_the_requests_name(http, name, value):
    error = chat(http, **{name: value, "dry_multiplier": 0.5, "mirostat": 2}).json()["error"]
    assert name in error["message"] and error["param"] == name


def test_a_forced_call_that_ends_at_the_limit_is_the_same_in_a_stream(http):
    """Whole, but for the token that would end it: a call, and its reason is the limit."""
    reasons = set()
    for most in range(10, 40):
        body = {"tools": TOOLS, "tool_choice": "required", "max_tokens": most, "seed": 3, "temperature": 1}
        whole = chat(http, **body).json()["choices"][0]
        events = [json.loads(line[6:])["choices"][0] for line in chat(http, stream=True, **body).text.splitlines() if line.startswith("data: {")]
        calls = [one["function"] for event in events for one in event["delta"].get("tool_calls", [])]
        assert calls == [one["function"] for one in whole["message"].get("tool_calls", [])] and events[-1]["finish_reason"] == whole["finish_reason"]
        assert "".join(event["delta"].get("content") or "" for event in events) == (whole["message"]["content"] or "")
        reasons.add((whole["finish_reason"], bool(calls)))
    assert reasons == {("length", False), ("length", True), ("tool_calls", True)}


def test_an_answer_that_must_be_complete_is(http):
    schema = {"type": "object", "properties": {"name": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}}, "required": ["name", "tags"]}
    for most in (30, 45):
        body = {"response_format": {"type": "json_schema", "json_schema": {"name": "one", "schema": schema}}, "max_tokens": most, "seed": most, "temperature": 1}
        choice = chat(http, complete=True, **body).json()["choices"][0]
        assert choice["finish_reason"] == "stop" and set(json.loads(choice["message"]["content"])) >= {"name", "tags"}
        answer = http.post("/completion", json={"prompt": "Say:", "n_predict": most, "json_schema": schema, "complete": True, "seed": most, "temperature": 1}).json()
        assert answer["stop_type"] == "eos" and "name" in json.loads(answer["content"])
        answer = http.post("/v1/completions", json={"prompt": "Say:", "max_tokens": most, "json_schema": schema, "complete": True}).json()
        assert answer["choices"][0]["finish_reason"] == "stop" and "tags" in json.loads(answer["choices"][0]["text"])
    refused = chat(http, complete=True)
    assert refused.status_code == 400 and refused.json()["error"]["param"] == "complete"


def test_an_answer_of_no_tokens_has_all_that_others_have(http):
    none, one = (http.post("/completion", json={"prompt": "Once upon", "n_predict": count, "seed": 3}).json() for count in (0, 1))
    assert set(one) - set(none) == {"timings"} and (none["content"], none["tokens_predicted"], none["stop_type"], none["stopping_word"]) == ("", 0, "limit", "")
    for name in ("tokens_evaluated", "prompt", "model", "stop"):
        assert none[name] == one[name], name
    assert none["generation_settings"]["n_predict"] == 0


@pytest.mark.parametrize("field", [{"dry_base": -3, "dry_multiplier": 1}, {"stop": ["\\ud800"]}, {"dry_multiplier": 1, "dry_sequence_breakers": ["\\ud800"]}])
def test_what_is_refused_is_refused_for_no_tokens_too(http, field):
    raw = json.dumps({"prompt": "Once upon"} | field).replace("\\\\ud800", "\\ud800")
    for path, limit in (("/completion", "n_predict"), ("/v1/completions", "max_tokens")):
        for count in (0, 1):
            answer = http.post(path, content=raw[:-1] + f', "{limit}": {count}}}', headers={"Content-Type": "application/json"})
            assert answer.status_code == 400, (path, count, answer.text)


def test_arguments_are_an_object_whatever_a_schema_leaves_open(http):
    """Also where two schemas have anchors of the same kind of names, which are found wherever they stand."""
    both = {"anyOf": [{"type": "string"}, {"type": "object", "properties": {"a": {"enum": ["b"]}}, "required": ["a"], "additionalProperties": False}]}
    anchored = {**SCHEMA, "properties": {"name": {"$ref": "#who"}}, "$defs": {"w": {"$anchor": "who", "enum": ["Lily", "Tom"]}}}
    for given in (True, {"maxProperties": 0}, {"type": ["object", "null"], "maxProperties": 0}, both, anchored):
        for others in ([], TOOLS[:1]):
            body = dict(tools=[{"type": "function", "function": {"name": "i", "parameters": given}}, *others], tool_choice="required", max_tokens=200, seed=3, temperature=1)
            choice = chat(http, **body).json()["choices"][0]
            if given is True and choice["finish_reason"] == "length":
                assert not choice["message"]["tool_calls"] if others else choice["message"]["tool_calls"][0]["function"]["arguments"].startswith("{")
                continue
            assert isinstance(json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"]), dict), (given, choice)


@pytest.mark.parametrize("name, told", [*((name, f'"{name}" is the name of no format and of none') for name in ("mistral", "llama-2", "x.jinja")), ("{% nonsense %}", "nonsense"), ("templates/none.jinja", "leads nowhere")])
def test_a_template_that_is_none_is_told_at_the_start(name, told):
    with pytest.raises(RuntimeError, match=told):
        with served("--chat-template", name):
            pass
