"""What a server must survive: every answer has the right status and a sentence, and others do not notice."""

import socket
import threading

import pytest
from served import needs
from server_bad_input_tools import MB, http, read, refused, server  # noqa: F401 (fixtures)

needs()


@pytest.fixture(autouse=True)
def lives(http):
    """After each of these the server answers as before."""
    yield
    assert http.post("/v1/completions", json={"prompt": "Once upon a time", "max_tokens": 4}).json()["choices"][0]["text"] == ", there was a"


PROMPT, TALK = {"prompt": "Once"}, {"messages": [{"role": "user", "content": "Hi"}]}
SENTENCES = [
    ("/v1/completions", {**PROMPT, "suffix": "the end"}, "suffix", "filling in"),
    ("/v1/completions", {**PROMPT, "nonsense": 1}, "nonsense", "not known"),
    ("/v1/completions", {**PROMPT, "temperature": "hot"}, "temperature", "number"),
    ("/v1/completions", {**PROMPT, "temperature": True}, "temperature", "number"),
    ("/v1/completions", {**PROMPT, "temperature": -1}, "temperature", "greater"),
    ("/v1/completions", {**PROMPT, "max_tokens": 1.5}, "max_tokens", "integer"),
    ("/v1/completions", {**PROMPT, "n": 10**9}, "n", "at most 16"),
    ("/v1/completions", {**PROMPT, "n": 3, "best_of": 2}, "best_of", "less than n"),
    ("/v1/completions", {**PROMPT, "best_of": 2, "stream": True}, "best_of", "stream"),
    ("/v1/completions", {**PROMPT, "stop": ["x"] * 65}, "stop", "at most 64"),
    ("/v1/completions", {**PROMPT, "stop": ["x"] * 1_000_000}, "stop", "at most 64"),
    ("/v1/completions", {**PROMPT, "stop": [""]}, "stop", "empty"),
    ("/v1/completions", {**PROMPT, "logit_bias": {"512": 1}}, "logit_bias", "512"),
    ("/v1/completions", {**PROMPT, "logit_bias": {"1": "x"}}, "logit_bias", ""),
    ("/v1/completions", {**PROMPT, "max_tokens": 3, "n_predict": 4}, "n_predict", "different"),
    ("/v1/completions", {**PROMPT, "stream_options": {"include_usage": True}}, "stream_options", "stream"),
    ("/v1/completions", {**PROMPT, "samplers": ["top_k", "best"]}, "samplers", "best"),
    ("/v1/completions", {**PROMPT, "samplers": "kq"}, "samplers", "q"),
    ("/v1/completions", {**PROMPT, "samplers": ["top_k"], "top_p": 0.5}, None, "TOP_P"),
    ("/v1/completions", {**PROMPT, "samplers": ["top_k"], "mirostat": 2}, "samplers", "mirostat"),
    ("/v1/completions", {"prompt": []}, "prompt", "empty"),
    ("/v1/completions", {"prompt": [512]}, "prompt", "512"),
    ("/v1/completions", {"prompt": ["x"] * 10_000}, "prompt", ""),
    ("/v1/completions", {"prompt": None}, "prompt", ""),
    ("/v1/completions", {}, "prompt", "missing"),
    ("/v1/completions", {**PROMPT, "grammar": "root ::= ("}, "grammar", "grammar"),
    ("/v1/completions", {**PROMPT, "grammar": 'root ::= "a"', "json_schema": {}}, "json_schema", "one of them"),
    ("/v1/chat/completions", {"messages": []}, "messages", "at least 1"),
    ("/v1/chat/completions", {"messages": "Hi"}, "messages", "list"),
    ("/v1/chat/completions", {"messages": [{}]}, "messages[0].role", "missing"),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": 5}]}, "messages[0].content", ""),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "messages[0].content[0]", "image_url"),
    ("/v1/chat/completions", {**TALK, "response_format": {"type": "sound"}}, "response_format.type", ""),
    ("/v1/chat/completions", {**TALK, "response_format": {"type": "json_schema"}}, "response_format.json_schema", "needs"),
    ("/v1/chat/completions", {**TALK, "response_format": {"type": "json_object", "schema": {"type": "hiccup"}}}, "response_format", "type"),
    ("/v1/chat/completions", {**TALK, "tool_choice": "required"}, "tool_choice", "no tools"),
    ("/v1/chat/completions", {**TALK, "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice", "'g'"),
    ("/v1/chat/completions", {**TALK, "functions": [{"name": "f"}]}, "functions", "tools"),
    ("/v1/chat/completions", {**TALK, "reasoning_effort": "high"}, "reasoning_effort", "chat_template_kwargs"),
    ("/v1/chat/completions", {**TALK, "top_logprobs": 3}, "top_logprobs", "logprobs=true"),
    ("/v1/chat/completions", {**TALK, "modalities": ["audio"]}, "modalities", "text"),
    ("/v1/embeddings", {"input": "x", "dimensions": 8}, "dimensions", "shortened"),
    ("/v1/embeddings", {"input": []}, "input", "empty"),
    ("/completion", {"prompt": "x", "image_data": [{"id": 1}]}, "image_data", "images"),
    ("/detokenize", {"tokens": [1, -1]}, "tokens", "-1"),
    ("/v1/embeddings", {"input": [512]}, "input", "512"),
]  # fmt: skip


@pytest.mark.parametrize("path, body, param, sentence", SENTENCES, ids=lambda v: "" if isinstance(v, dict) else str(v)[:30])
def test_what_is_refused_by_its_name(http, path, body, param, sentence):
    error = refused(http.post(path, json=body), message=sentence)
    assert param is None or error["param"] == param


def test_what_clients_always_send_changes_nothing(http):
    plain = http.post("/v1/chat/completions", json={**TALK, "max_tokens": 5}).json()["choices"]
    more = {"user": "u", "metadata": {}, "store": False, "parallel_tool_calls": True, "modalities": ["text"], "prediction": None, "stream_options": None, "prompt_cache_key": "k", "safety_identifier": "s"}
    assert http.post("/v1/chat/completions", json={**TALK, "max_tokens": 5, **more}).json()["choices"] == plain


@pytest.mark.parametrize("raw", [b"", b"{", b"[1]", b"null", b"{" * 100_000, b"[" * 100_000, b'{"prompt": "\xff"}', b'{"prompt": 1e999999}', b'{"prompt": NaN}', b"\x00" * 1000, b'{"prompt": "x", "temperature": NaN}', b'{"prompt": "x", "max_tokens": ' + b"9" * 10_000 + b"}"])  # fmt: skip
def test_bodies_that_are_no_json(http, raw):
    refused(http.post("/v1/completions", content=raw, headers={"Content-Type": "application/json"}))


@pytest.mark.parametrize("raw, sentence", [
    (b'{"prompt": "a", "max_tokens": 1, "max_tokens": 2}', "max_tokens twice"), (b'{"prompt": "a", "logit_bias": {"5": 1, "5": 2}}', "5 twice"), (b'{"prompt": "a", "json_schema": {"type": "object", "type": "array"}}', "type twice"),
    (b'{"prompt": "a", "json_schema": {"minimum": NaN}}', "NaN"), (b'{"prompt": "a", "json_schema": {"maximum": -Infinity}}', "-Infinity"), (b'{"prompt": "a", "json_schema": {"maximum": 1e999}}', "1e999"), (b'{"prompt": "a", "logit_bias": {"5": -1e400}}', "-1e400"),
])  # fmt: skip
def test_bodies_that_say_two_things_or_no_number(http, raw, sentence):
    refused(http.post("/v1/completions", content=raw, headers={"Content-Type": "application/json"}), code="invalid_json", message=sentence)


def test_halves_of_surrogate_pairs(http):
    raw = b'{"prompt": "a\\ud800", "max_tokens": 2, "stop": "\\udfff"}'
    assert http.post("/v1/completions", content=raw, headers={"Content-Type": "application/json"}).status_code in (200, 400)
    raw = b'{"messages": [{"role": "user", "content": "a\\ud800"}], "max_tokens": 2}'
    assert http.post("/v1/chat/completions", content=raw, headers={"Content-Type": "application/json"}).status_code in (200, 400)


def test_very_many_prompts(http):
    """Refused before they take a place in the queue."""
    busy = threading.Thread(target=lambda: http.post("/v1/completions", json={"prompt": "Tom", "max_tokens": 300, "ignore_eos": True}))
    busy.start()
    for path in ("/v1/completions", "/completion"):
        for many in (["a"] * 129, [[5]] * 100_000, [""] * 500_000):
            refused(http.post(path, json={"prompt": many}), message="at most 128")
    refused(http.post("/v1/completions", json={"prompt": ["a"] * 128, "best_of": 4, "n": 4}), message="too many")
    busy.join()


def test_long_prompts(http):
    for path, body in (("/v1/completions", {"prompt": "a " * 1000}), ("/v1/completions", {"prompt": "a " * MB}), ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a " * MB}]})):
        error = refused(http.post(path, json=body), type="exceed_context_size_error", code="context_length_exceeded", message="exceeds the available context size")
        assert error["n_ctx"] == 512
    refused(http.post("/v1/completions", json={"prompt": "a" * 10 * MB}), 413, message=str(4 * MB))
    refused(http.post("/v1/completions", content=(b"x" * 65536 for _ in range(128))), 413)


def test_paths(http):
    refused(http.get("/nothing"), 404, type="not_found_error")
    refused(http.get("/v1/completions"), 405)
    refused(http.post("/v1/completions", json={**PROMPT, "model": "gpt-5"}), 404, code="model_not_found", message="stories")
    for path in ("/page/../../settings.py", "/page/..%2f..%2fsettings.py", "/page/%2e%2e/settings.py", "//etc/passwd", "/page/", "/page/app.js/..", "/v1/models/../../x"):
        with socket.create_connection((http.base_url.host, http.base_url.port)) as raw:
            raw.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            assert b" 404 " in read(raw).split(b"\r\n")[0], path
    refused(http.get("/slots"), 501)
