"""Fields that are followed as those have them who made them, and what a server is told at its start."""

import asyncio
import json
import time
from types import SimpleNamespace

import pytest
from served import needs, served

needs()
import httpx  # noqa: E402
from server_tools import PROMPT, TALK  # noqa: E402

import llama2swift  # noqa: E402
from llama2swift.server import errors, prompts  # noqa: E402
from llama2swift.server.embedding import Embedder  # noqa: E402
from llama2swift.server.models import Models  # noqa: E402
from llama2swift.server.settings import Settings  # noqa: E402


@pytest.fixture(scope="module")
def server():
    with served("--alias", "stories", "--chat-template", "chatml", "--context", 2048, "--temperature", 0, "--seed", 7) as one:
        yield one


@pytest.fixture(scope="module")
def http(server):
    with httpx.Client(base_url=server.url, timeout=60) as one:
        yield one


def complete(http, **body):
    answer = http.post("/v1/completions", json={"prompt": PROMPT, "max_tokens": 40, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]


def native(http, **body):
    answer = http.post("/completion", json={"prompt": PROMPT, "n_predict": 40, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer, param):
    assert answer.status_code == 400 and answer.json()["error"]["param"] == param, answer.text
    return answer.json()["error"]["message"]


def test_a_seed_below_zero_is_one_and_minus_one_asks_for_another_each_time(http):
    drawn = {seed: {complete(http, seed=seed, temperature=1.5)["text"] for _ in range(3)} for seed in (-5, -6, 2**63 - 1, -1)}
    assert [len(texts) for texts in drawn.values()] == [1, 1, 1, 3] and drawn[-5] != drawn[-6]


@pytest.mark.parametrize("field, value", [("frequency_penalty", 1.5), ("presence_penalty", 2), ("repeat_penalty", 1.5), ("dry_multiplier", 2.0)])
def test_penalties_count_what_they_are_said_to_count(http, stories, field, value):
    """OpenAI's how often a token was sampled before, however long ago; llama-server's the prompt's as well, of the last 64."""
    prompt = PROMPT + " cat named Tom. Tom was a cat. One day, Tom the cat"
    openais = field in ("frequency_penalty", "presence_penalty")
    ours = {"repeat_penalty": "repetition_penalty"}.get(field, field)
    more = {"model": stories} if field.startswith("dry") else {}

    def alone(last, penalize_prompt):
        with stories.context(length=512) as context:
            sampler = llama2swift.Sampler(temperature=0, penalty_last_n=last, **{ours: value}, **more)
            return "".join(context.generate(prompt, sampler, max_tokens=120, penalize_prompt=penalize_prompt))

    assert complete(http, prompt=prompt, max_tokens=120, **{field: value})["text"] == alone(-1 if openais else 64, not openais)
    assert native(http, prompt=prompt, n_predict=120, **{field: value})["content"] == alone(64, True)
    assert len({alone(-1, False), alone(64, True)}) == 2
    if openais:
        assert complete(http, prompt=prompt, max_tokens=120, repeat_last_n=3, **{field: value})["text"] == alone(3, False)
        both = {"prompt": prompt, "max_tokens": 2, field: value, "repeat_penalty": 1.2}
        assert field in refused(http.post("/v1/completions", json=both), "repeat_penalty")
        assert http.post("/completion", json=both).status_code == 200


def test_a_time_limit_ends_with_a_line_and_hides_no_other(http, stories):
    held = {"grammar": 'root ::= ("a\\n" | "b\\n")+', "temperature": 1.0, "ignore_eos": True, "n_predict": 500}
    cut, whole = native(http, **held, t_max_predict_ms=1), native(http, **held)
    assert cut["stop_type"] == "limit" and cut["content"].endswith("\n") and cut["content"] == whole["content"][: len(cut["content"])]
    assert cut["tokens_predicted"] < whole["tokens_predicted"] == 500
    for never in ({"t_max_predict_ms": -1}, {"t_max_predict_ms": 0}, {"t_max_predict_ms": 1, "grammar": 'root ::= [a-z]+'}):
        assert native(http, **{**held, **never})["tokens_predicted"] == 500
    assert "promised" in refused(http.post("/completion", json={"prompt": "x", "json_schema": {}, "complete": True, "t_max_predict_ms": 5}), "complete")
    with served("--context", 2048, "--timeout", 0.001) as one:
        body = {"prompt": PROMPT, "max_tokens": 2000, "ignore_eos": True}
        assert [httpx.post(one.url + "/v1/completions", json={**body, **more}).status_code for more in ({}, {"t_max_predict_ms": -1}, {"t_max_predict_ms": 10**9})] == [504] * 3


def test_biases_of_numbers_and_of_texts(http, stories):
    shown = lambda given: {one["token"]: one["bias"] for one in native(http, n_predict=1, logit_bias=given)["generation_settings"]["logit_bias"]}  # noqa: E731
    digits = dict.fromkeys(stories.tokenize("40"), 1.5)
    assert shown({"40": 1.5}) == {40: 1.5} == shown([[40, 1.5]]) and shown([["40", 1.5]]) == digits != {40: 1.5}  # of llama-server's pairs a text is one
    assert shown([[40, 1.5], [40, 2]]) == {40: 3.5} and shown([[40, 1.5], [40, False], [40, 2]]) == {40: None}
    for wrong in ({"": 1}, [["", 1]], {"-3": 1}, {"600": 1}, [[True, 1]], [[1.5, 1]], [[1]], {"5": 1e300}):
        assert "logit_bias" in refused(http.post("/v1/completions", json={"prompt": "x", "max_tokens": 1, "logit_bias": wrong}), "logit_bias")


def test_the_last_event_of_a_stream_has_the_fields_that_were_asked_for(http):
    for count in (3, 0):
        body = {"prompt": PROMPT, "n_predict": count, "stream": True, "response_fields": ["stop_type", "generation_settings/seed"]}
        events = [json.loads(line[6:]) for line in http.post("/completion", json=body).text.splitlines() if line]
        assert events[-1] == {"stop_type": "limit", "generation_settings/seed": 7} and len(events) == count + 1


def test_the_token_that_came_is_told_beside_the_best(http):
    for echo in (False, True):
        lists = complete(http, logprobs=2, temperature=2.0, top_k=0, top_p=1, min_p=0, seed=3, echo=echo)["logprobs"]
        rows = [row for row in zip(lists["tokens"], lists["token_logprobs"], lists["top_logprobs"]) if row[2] is not None]
        assert all(top[token] == own and 2 <= len(top) <= 3 for token, own, top in rows) and any(len(top) == 3 for _, _, top in rows)


def test_a_prompt_is_echoed_as_it_was_given(http):
    text = "<s> Once  upon</s> a\ttime </s>"
    chosen = complete(http, prompt=text, echo=True, logprobs=0, max_tokens=2)
    lists = chosen["logprobs"]
    assert chosen["text"].startswith(text)
    ends = [*lists["text_offset"][1:], len(chosen["text"])]
    shown = [chosen["text"][a:b] for a, b in zip(lists["text_offset"], ends)]
    assert "".join(shown) == chosen["text"] and shown.count("</s>") == 2 and shown[0] == "<s>" and " upon" in shown
    assert complete(http, prompt=text, echo=True, max_tokens=0)["text"] == text


def test_what_no_template_tells_is_refused(http, stories):
    talk = [*TALK, {"role": "assistant", "content": "Tom.", "reasoning_content": "A cat."}, *TALK]
    for path in ("/v1/chat/completions", "/apply-template"):
        assert "reasoning" in refused(http.post(path, json={"messages": talk}), "messages[1].reasoning_content")
        assert "variable" in refused(http.post(path, json={"messages": TALK, "chat_template_kwargs": {"enable_thinking": False}}), "chat_template_kwargs.enable_thinking")
    template = "{% for m in messages %}{% if loop.last and m.reasoning_content %}({{ m.reasoning_content }}){% endif %}{{ m.content }}{% if loud %}!{% endif %}{% endfor %}"
    engine = SimpleNamespace(model=stories, knows={}, settings=SimpleNamespace(chat_template=template))
    assert prompts.knows_reasoning(engine, template) and not prompts.knows_tools(engine, template)
    prompts._check_variables(engine, {"loud": True})
    for name in ("lou", "oud", "l.*d"):
        with pytest.raises(errors.ApiError, match="no such variable"):
            prompts._check_variables(engine, {name: True})


@pytest.mark.parametrize("arguments, told", [
    (("--top-p", 7), "top_p is 7"), (("--temperature", -1), "temperature is -1"), (("--min-p", 2), "min_p is 2"), (("--context", 256, "--request-context", 300), "there are 256"),
    (("--body-timeout", 0), "no time"), (("--write-timeout", 0), "no time"),
])  # fmt: skip
def test_what_no_request_could_be_answered_with_is_told_at_the_start(arguments, told):
    with pytest.raises(RuntimeError, match=told):
        with served(*arguments):
            pass


def test_marks_of_the_byte_order_are_of_no_text(tmp_path):
    (tmp_path / "t.jinja").write_text("\ufeff{% for m in messages %}{{ m.content }}{% endfor %}", encoding="utf-8")
    (tmp_path / "keys").write_text("\ufeffone\r\ntwo\r\n", encoding="utf-8")
    with served("--chat-template", tmp_path / "t.jinja", "--api-key-file", tmp_path / "keys", "--context", 256) as one, httpx.Client(base_url=one.url) as http:
        for key in ("one", "two"):
            answer = http.post("/apply-template", json={"messages": TALK}, headers={"Authorization": f"Bearer {key}"})
            assert answer.json() == {"prompt": TALK[0]["content"]}


def test_a_text_may_be_as_long_as_the_context(http, stories):
    """OpenAI's 2048 is how many texts there may be, not of how many letters or tokens one is."""
    text = "Once upon a time there was a cat. " * 70
    tokens = stories.tokenize_prompt(text)
    assert len(text) > 2300 and 600 < len(tokens) < 2048
    rows = [http.post("/v1/embeddings", json={"input": given}).json() for given in (text, tokens, [text])]
    assert {one["usage"]["prompt_tokens"] for one in rows} == {len(tokens)} and len({str(one["data"][0]["embedding"]) for one in rows}) == 1
    assert "2049 texts" in refused(http.post("/v1/embeddings", json={"input": ["a"] * 2049}), "input")
    for given in ([1] * 2049, "cat " * 5000):
        assert http.post("/v1/embeddings", json={"input": given}).json()["error"]["code"] == "context_length_exceeded"


def test_vectors_that_nobody_waits_for_are_made_no_further(stories):
    texts = [stories.tokenize_prompt("Once upon a time. " * 60)] * 400

    async def asked():
        embedder = Embedder(stories, SimpleNamespace(threads=0, timeout=0.0))
        try:
            task = asyncio.ensure_future(embedder.rows(texts))
            await asyncio.sleep(0.05)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            began = time.process_time()
            assert len(await embedder.rows([texts[0][:4]])) == 1
            after = time.process_time() - began
        finally:
            embedder.close()
        late = Embedder(stories, SimpleNamespace(threads=0, timeout=0.01))
        try:
            with pytest.raises(errors.ApiError) as raised:
                await late.rows(texts)
        finally:
            late.close()
        return after, raised.value.status

    began = time.process_time()
    with stories.context(2048, sequences=64, embeddings=True) as context:
        context.embed(texts)
    whole = time.process_time() - began
    after, status = asyncio.run(asked())
    assert after < whole / 2 and status == 504


def test_a_model_that_was_unloaded_meanwhile_ends_no_watch():
    """Of two that nobody has asked for one goes while the other is unloaded; the watch goes on, and takes nothing that has come since."""
    models = Models(Settings(models={"a": "a", "b": "b", "c": "c"}, idle_unload=0.05), None)
    closed = []

    def engine(name, used):
        def close():
            closed.append(name)
            if name == "a":
                models.engines["b"] = engine("b anew", time.monotonic() + 100)
                del models.engines["c"]

        return SimpleNamespace(name=name, used=used, close=close)

    models.engines.update({name: engine(name, 0.0) for name in "abc"})

    async def watch():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(models.unload_idle(), 0.4)

    asyncio.run(watch())
    assert closed == ["a"] and list(models.engines) == ["b"]


def test_a_prompt_is_counted_once_and_when_it_was_evaluated():
    def counted(http):
        return {name: float(line.split()[-1]) for line in http.get("/metrics").text.splitlines() if line.startswith("llama2swift_") for name in [line.split()[0]]}

    with served("--context", 512, "--parallel", 1, "--temperature", 0) as one, httpx.Client(base_url=one.url, timeout=60) as http:
        count = len(http.post("/tokenize", json={"content": PROMPT, "add_special": True}).json()["tokens"])
        http.post("/v1/completions", json={"prompt": PROMPT, "max_tokens": 5, "echo": True, "logprobs": 1})
        seen = counted(http)
        assert seen["llama2swift_prompt_tokens_total"] == count and seen["llama2swift_generated_tokens_total"] == 5
        running = {"prompt": PROMPT, "max_tokens": 480, "ignore_eos": True, "stream": True, "n": 16}
        with http.stream("POST", "/v1/completions", json=running) as first:
            lines = first.iter_lines()  # held, or the connection ends with it
            next(lines)
            with pytest.raises(httpx.ReadTimeout):  # waits for the one sequence, and goes away
                httpx.post(one.url + "/v1/completions", json={"prompt": [5] * 400, "max_tokens": 5}, timeout=0.05)
        until = time.monotonic() + 20
        while counted(http)["llama2swift_requests_inside"]:
            assert time.monotonic() < until
        assert counted(http)["llama2swift_prompt_tokens_total"] == 2 * count
