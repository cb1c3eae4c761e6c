"""What llama-server has beside OpenAI's, the page, and going away."""

import ast
import base64
import json
import math
import re
import struct
import threading
import time
from pathlib import Path

import httpx  # noqa: E402
import pytest
from served import served
from server_tools import PROMPT, SCHEMA, TALK, alone, client, http, server  # noqa: F401 (fixtures)

import llama2swift

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


def test_annotations_that_are_evaluated_are_also_python_3_9s():
    """FastAPI and pydantic evaluate those of routes and bodies: `str | None` is an error in 3.9, and the server did not start there."""
    from llama2swift import server

    seen = 0
    for path in Path(server.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            found = []
            if isinstance(node, ast.AsyncFunctionDef) and any(isinstance(n, ast.Name) and n.id == "router" for one in node.decorator_list for n in ast.walk(one)):
                found = [one.annotation for one in node.args.args]
            elif isinstance(node, ast.ClassDef) and path.stem in ("bodies", "conversation", "listing", "native_shapes", "response_bodies", "response_shapes", "shapes"):
                found = [one.annotation for one in node.body if isinstance(one, ast.AnnAssign)]
            seen += len(found)
            assert not [f"{path.name}:{n.lineno}" for one in found for n in ast.walk(one) if isinstance(n, ast.BinOp)]
    assert seen > 250


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

        until = time.monotonic() + 20

        def refused():
            return sum(a.status_code == 429 for a in answers)

        def ask():  # again and again: an answer may end before the others are asked for
            with httpx.Client(base_url=server.url, timeout=60, headers={"Authorization": "Bearer one"}) as http:
                while refused() < 4 and time.monotonic() < until:
                    try:
                        answers.append(http.post("/v1/completions", json=body))
                    except httpx.ConnectError:  # it was stopped before it was asked
                        break

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        while refused() < 4 and time.monotonic() < until:
            time.sleep(0.01)
        code, _ = server.stop()  # what is at work is finished
        for thread in threads:
            thread.join()
        done = [a for a in answers if a.status_code != 429]
        assert refused() >= 4 and len(done) >= 2 and {a.status_code for a in done} == {200} and code == 0
        assert all(a.json()["usage"]["completion_tokens"] == 250 for a in done)
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
