"""`llama2swift serve` as clients meet it: OpenAI's own package, sync, async and streams, and plain HTTP."""

import asyncio
import base64
import json
import math
import re
import struct
import threading
import time

import pytest
from served import needs, served

import llama2swift

needs()
import httpx  # noqa: E402

openai = pytest.importorskip("openai", reason="pip install -r Tests/requirements.txt")
PROMPT = "Once upon a time, there was a"
SCHEMA = {"type": "object", "properties": {"name": {"enum": ["Lily", "Tom"]}, "age": {"type": "integer", "minimum": 3, "maximum": 9}}, "required": ["name", "age"], "additionalProperties": False}
TALK = [{"role": "user", "content": "Tell me of a cat."}]


def tool(name, schema=SCHEMA):
    return {"type": "function", "function": {"name": name, "description": "d", "parameters": schema}}


@pytest.fixture(scope="module")
def server():
    with served("--alias", "stories", "--chat-template", "chatml", "--context", 2048, "--request-context", 1024, "--temperature", 0, "--seed", 7) as one:
        yield one


@pytest.fixture(scope="module")
def client(server):
    with openai.OpenAI(api_key="none", base_url=server.url + "/v1", max_retries=0) as one:
        yield one


@pytest.fixture(scope="module")
def http(server):
    with httpx.Client(base_url=server.url, timeout=60) as one:
        yield one


def alone(model, prompt, count, **options):
    """The same text from the library itself."""
    with model.context(length=1024) as context:
        return "".join(context.generate(prompt, llama2swift.Sampler(**{"temperature": 0, "seed": 7, **options}), max_tokens=count))


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


# ---- What llama-server has


def test_native_completion(http, stories):
    got = http.post("/completion", json={"prompt": PROMPT, "n_predict": 6, "n_probs": 3, "return_tokens": True}).json()
    assert got["content"] == alone(stories, PROMPT, 6) and got["stop_type"] == "limit" and len(got["tokens"]) == 6
    assert [len(p["top_logprobs"]) for p in got["completion_probabilities"]] == [3] * 6
    mixed = http.post("/completion", json={"prompt": [*stories.tokenize_prompt("Once"), " upon a time, there was a"], "n_predict": 6}).json()
    assert mixed["content"] == got["content"] or mixed["tokens_evaluated"] != got["tokens_evaluated"]
    assert http.post("/completion", json={"prompt": [{"prompt_string": PROMPT}, PROMPT], "n_predict": 6, "id_slot": 0}).json()[0]["content"] == got["content"]
    only = http.post("/completion", json={"prompt": PROMPT, "n_predict": 6, "response_fields": ["content", "generation_settings/n_predict", "no"]}).json()
    assert only == {"content": got["content"], "generation_settings/n_predict": 6}
    with http.stream("POST", "/completion", json={"prompt": PROMPT, "n_predict": 6, "stream": True}) as stream:
        events = [json.loads(line[6:]) for line in stream.iter_lines() if line]
    assert "".join(e["content"] for e in events) == got["content"] and [e["stop"] for e in events] == [False] * (len(events) - 1) + [True]


def test_small_things(http, stories):
    assert http.get("/health").json() == {"status": "ok"}
    assert [m["id"] for m in http.get("/v1/models").json()["data"]] == ["stories"] and http.get("/v1/models/stories").json()["meta"]["n_vocab"] == 512
    tokens = http.post("/tokenize", json={"content": "Hello, <s> 漢", "parse_special": False}).json()["tokens"]
    assert tokens == stories.tokenize("Hello, <s> 漢") and http.post("/detokenize", json={"tokens": tokens}).json()["content"].strip() == "Hello, <s> 漢"
    assert http.post("/tokenize", json={"content": "<s>", "add_special": True}).json()["tokens"][:2] == [1, 1]
    talk = {"messages": TALK}
    assert http.post("/chat/completions/input_tokens", json=talk).json()["input_tokens"] == len(stories.chat_tokens(TALK, chat_template="chatml"))
    props = http.get("/props").json()
    assert props["default_generation_settings"]["n_ctx"] == 1024 and props["total_slots"] == 4
    assert http.get("/openapi.json").json()["openapi"].startswith("3.")


def test_requests_with_probabilities_are_the_schedulers_too(http, client):
    """One scheduler for all: what it counts says so, and that an echoed prompt is not evaluated again."""

    def counted():
        lines = http.get("/metrics").text.splitlines()
        return [float(next(line for line in lines if line.startswith(f"llama2swift_scheduler_{name} ")).split()[-1]) for name in ("tokens", "adopted_tokens")]

    for how in (dict(logprobs=2), dict(logprobs=2, echo=True)):
        before = counted()
        got = client.completions.create(model="stories", prompt=[9, *range(3, 200)], max_tokens=7, **how)
        tokens, adopted = (after - b for after, b in zip(counted(), before))
        assert tokens == 7 + ("echo" in how) and len(got.choices[0].logprobs.token_logprobs) == 7 + 198 * ("echo" in how)
        assert adopted == (197 if "echo" in how else 0)


def test_probabilities_after_sampling(http, stories):
    """Of what the steps left: they sum to one, and are given by `prob`."""
    asked = {"prompt": PROMPT, "n_predict": 4, "n_probs": 6, "temperature": 1.0, "top_k": 5, "top_p": 1.0, "min_p": 0.0, "seed": 3}
    rows = http.post("/completion", json={**asked, "post_sampling_probs": True}).json()["completion_probabilities"]
    before = http.post("/completion", json=asked).json()["completion_probabilities"]
    assert len(rows) == 4 and [r["id"] for r in rows] == [r["id"] for r in before]
    for row, other in zip(rows, before):
        assert len(row["top_probs"]) == 5 and sum(one["prob"] for one in row["top_probs"]) == pytest.approx(1, abs=1e-4)
        assert row["prob"] == pytest.approx(next(one["prob"] for one in row["top_probs"] if one["id"] == row["id"])) and row["prob"] > math.exp(other["logprob"])
        assert set(row) == {"id", "token", "bytes", "prob", "top_probs"}
    streamed = [json.loads(line[6:]) for line in http.post("/completion", json={**asked, "post_sampling_probs": True, "stream": True}).text.splitlines() if line.startswith("data: ")]
    assert [row for event in streamed[:-1] for row in event["completion_probabilities"]] == rows


def test_what_llama_servers_clients_ask_of_a_chat(http, stories):
    asked = {"messages": TALK, "max_tokens": 4}
    plain = http.post("/v1/chat/completions", json=asked).json()
    assert "timings" not in plain and "__verbose" not in plain
    told = http.post("/v1/chat/completions", json={**asked, "timings_per_token": True, "verbose": True}).json()
    assert told["timings"]["predicted_n"] == 4 and told["choices"] == plain["choices"]
    whole = b"".join(stories.piece(t, special=True) for t in stories.chat_tokens(TALK, chat_template="chatml")).decode()
    assert told["__verbose"] == {"prompt": whole, "content": plain["choices"][0]["message"]["content"]}
    lines = http.post("/v1/chat/completions", json={**asked, "timings_per_token": True, "verbose": True, "stream": True, "stream_options": {"include_usage": True}}).text.splitlines()
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    assert "timings" not in events[0] and all("timings" in e for e in events[1:]) and ["__verbose" in e for e in events] == [False] * (len(events) - 1) + [True]


def test_slots_are_shown_where_that_was_asked_for(http):
    assert http.get("/slots").status_code == 501
    with served("--slots", "--parallel", 3, "--context", 20_000, "--host", "127.0.0.1,127.0.0.2", "--cors-origin", "localhost") as server, httpx.Client(base_url=server.url, timeout=60) as one:
        assert [(s["id"], s["n_ctx"], s["is_processing"]) for s in one.get("/slots").json()] == [(i, 20_000, False) for i in range(3)]
        with one.stream("POST", "/completion", json={"prompt": PROMPT, "n_predict": 15_000, "ignore_eos": True, "stream": True}) as answer:
            lines = answer.iter_lines()  # one that is let go of closes the stream
            next(lines)
            assert [s["is_processing"] for s in httpx.get(server.url.replace("127.0.0.1", "127.0.0.2") + "/slots", timeout=60).json()] == [True, False, False]
        # pages of this machine, of every port, and no others
        ask = {"Access-Control-Request-Method": "POST"}
        for origin, may in (("http://localhost:3000", True), ("http://127.0.0.1", True), ("https://[::1]:1", True), ("http://localhost.evil.example", False), ("http://evil.example", False), ("null", False)):
            got = one.options("/completion", headers={**ask, "Origin": origin})
            assert got.status_code == 200 and got.headers.get("access-control-allow-origin") == (origin if may else None), origin
        assert (b"Access-Control-Allow-Origin", b"http://localhost:3000") in one.options("/completion", headers={**ask, "Origin": "http://localhost:3000"}).headers.raw


def test_the_schema_says_what_is_answered(http):
    paths = http.get("/openapi.json").json()["paths"]
    assert set(paths) >= {"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models", "/completion", "/tokenize", "/health"}
    for path, operations in paths.items():
        for operation in operations.values():
            assert "422" not in operation["responses"] and {"200", "400", "429", "503"} <= set(operation["responses"]), path
            kinds = operation["responses"]["200"]["content"]
            assert "text/plain" in kinds if path == "/metrics" else kinds["application/json"]["schema"] not in ({}, None)


def test_metrics_count(http):
    def value(name):
        lines = http.get("/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith(f"llama2swift_{name} ")).split()[-1])

    before = value("generated_tokens_total"), value("prompt_tokens_total"), value("time_to_first_token_seconds_count")
    http.post("/completion", json={"prompt": [1, 403, 407], "n_predict": 5})
    assert (value("generated_tokens_total"), value("prompt_tokens_total"), value("time_to_first_token_seconds_count")) == (before[0] + 5, before[1] + 3, before[2] + 1)
    assert value("requests_inside") == 0 and value("models_loaded") == 1


def test_embeddings(http, client, stories):
    if not hasattr(llama2swift.Context, "embed"):
        assert http.post("/v1/embeddings", json={"input": "x"}).status_code == 501
        pytest.skip("this library has no embeddings")
    texts = ["Once upon a time", "Tom"]
    expected = stories.embed(texts, pooling="mean", normalize=True)
    got = client.embeddings.create(model="stories", input=texts)  # the package asks for base64
    assert [d.embedding for d in got.data] == [pytest.approx(row.tolist(), abs=1e-6) for row in expected]
    plain = http.post("/v1/embeddings", json={"input": texts[0], "encoding_format": "float"}).json()
    raw = http.post("/v1/embeddings", json={"input": stories.tokenize_prompt(texts[0]), "encoding_format": "base64"}).json()["data"][0]["embedding"]
    assert plain["data"][0]["embedding"] == pytest.approx(list(struct.unpack("<64f", base64.b64decode(raw))), abs=1e-7)


# ---- The page


def test_the_page_asks_nobody_else(http):
    page = http.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy and "require-trusted-types-for 'script'" in policy
    assert "://" not in page.text and "<script>" not in page.text and " style=" not in page.text
    assert not re.findall(r"<[^>]+ on[a-z]+=", page.text)
    for part in ("app.js", "store.js", "style.css", "markdown-it.min.js", "purify.min.js", "LICENSES.txt", "icon.svg"):
        got = http.get("/page/" + part)
        assert got.status_code == 200 and got.headers["content-security-policy"] == policy
    code = http.get("/page/app.js").text + http.get("/page/store.js").text
    assert all(word not in code for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://", "https://"))
    assert http.post("/check", json={"json_schema": SCHEMA, "text": '{"name": "Tom", "age": 3}'}).json() == {"followed": True, "accepted": True}
    assert http.post("/check", json={"json_schema": {"type": "hiccup"}}).json()["followed"] is False


# ---- Going away, waiting, ending


def test_a_client_that_goes_away_frees_its_sequence(http):
    def inside():
        return next(float(line.split()[-1]) for line in http.get("/metrics").text.splitlines() if line.startswith("llama2swift_requests_inside "))

    for stream in (True, False):
        try:
            with http.stream("POST", "/completion", json={"prompt": PROMPT, "n_predict": 500, "ignore_eos": True, "stream": stream}, timeout=0.05) as answer:
                next(answer.iter_lines())
        except httpx.TimeoutException:
            pass
        until = time.monotonic() + 10
        while inside():
            assert time.monotonic() < until
            time.sleep(0.02)


def test_keys_queue_and_the_end():
    with served("--api-key", "one", "--queue", 2, "--context", 512, "--cors-origin", "http://a.example", LLAMA2SWIFT_API_KEY="two") as server:
        with httpx.Client(base_url=server.url, timeout=60) as http:
            assert http.get("/health").status_code == 200 and http.get("/").status_code == 200
            for key in (None, "three", "one "[:2], "ö"):
                got = http.get("/v1/models", headers={"Authorization": f"Bearer {key}".encode()} if key else {})
                assert got.status_code == 401 and got.json()["error"]["type"] == "authentication_error"
            for headers in ({"Authorization": "Bearer one"}, {"Authorization": "bearer two"}, {"X-Api-Key": "two"}):
                assert http.get("/v1/models", headers=headers).status_code == 200
            asked = {"Origin": "http://a.example", "Access-Control-Request-Method": "POST"}
            assert http.options("/v1/completions", headers=asked).headers["access-control-allow-origin"] == "http://a.example"
            assert "access-control-allow-origin" not in http.options("/v1/completions", headers={**asked, "Origin": "http://b.example"}).headers
        body = {"prompt": PROMPT, "max_tokens": 250, "ignore_eos": True, "temperature": 0}
        answers = []

        def ask():
            with httpx.Client(base_url=server.url, timeout=60, headers={"Authorization": "Bearer one"}) as http:
                answers.append(http.post("/v1/completions", json=body))

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 20
        while sum(a.status_code == 429 for a in answers) < 4 and time.monotonic() < until:
            time.sleep(0.01)
        code, _ = server.stop()  # while two are at work: they finish
        for thread in threads:
            thread.join()
        assert sorted(a.status_code for a in answers) == [200, 200, 429, 429, 429, 429] and code == 0
        assert all(a.json()["usage"]["completion_tokens"] == 250 for a in answers if a.status_code == 200)
        busy = next(a for a in answers if a.status_code == 429)
        assert busy.headers["retry-after"] == "1" and "queue holds 2" in busy.json()["error"]["message"]


def test_a_draft_changes_no_answer(stories_path, stories, tmp_path):
    llama2swift.quantize(stories_path, tmp_path / "draft.gguf", "Q8_0")
    with served("--context", 600, "--parallel", 2, "--temperature", 0, "--draft", tmp_path / "draft.gguf") as one, httpx.Client(base_url=one.url, timeout=60) as http:
        assert http.post("/completion", json={"prompt": PROMPT, "n_predict": 60}).json()["content"] == alone(stories, PROMPT, 60)
        lines = http.get("/metrics").text.splitlines()
        assert float(next(line for line in lines if line.startswith("llama2swift_scheduler_guessed_right ")).split()[-1]) > 20
    with pytest.raises(RuntimeError, match="2 are served"):
        with served("--draft", "x", models=(f"a={stories_path}", f"b={stories_path}")):
            pass
