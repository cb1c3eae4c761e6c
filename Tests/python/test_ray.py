"""Many prompts in many processes: the texts are those of one process. What needs Ray itself is skipped without it."""

import asyncio
import json
import os
import re
import signal
import urllib.error
import urllib.request

import numpy as np
import pytest
from served import served

import llama2swift.ray
from llama2swift.ray import Completion, Generate

NAMES = ("Lily", "Tom", "Ben", "Mia", "Sam", "Anna", "Tim", "Sue", "Max", "Amy")
PROMPTS = [f"Once upon a time {name} had {count} {thing}" for name in NAMES for count in ("one", "two") for thing in ("dogs", "red balls", "cups")]


def texts(**options):
    made = Generate(**{"max_tokens": 12, **options})
    return list(made({"prompt": np.array(PROMPTS, dtype=object)})["text"])


def test_a_text_depends_on_its_prompt_alone(stories_path):
    for options in (dict(path=stories_path), dict(path=stories_path, temperature=0.9, top_p=0.9, seed=3)):
        whole = texts(**options)
        made = Generate(**{"max_tokens": 12, **options}, at_once=3)
        pieces = [t for start in range(0, len(PROMPTS), 7) for t in made({"prompt": PROMPTS[start : start + 7], "id": [0] * 7})["text"]]
        assert pieces == whole and len(set(whole)) > 10


def test_what_is_refused(stories_path):
    for options, sentence in (
        (dict(max_tokens=0), "max_tokens is 0, expected 1 to 511"), (dict(max_tokens=512), "expected 1 to 511"), (dict(at_once=0), "at_once is 0"), (dict(top_p=0), "top_p is 0"),
        (dict(temperature=float("nan")), "temperature is nan"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=sentence):
            Generate(stories_path, **options)
    made = Generate(stories_path, max_tokens=505)
    with pytest.raises(ValueError, match=r"a prompt of \d+ tokens and 505 to be written need \d+ positions, the context has 512"):
        made({"prompt": ["Once upon a time there was a girl"]})
    with pytest.raises(ValueError, match="a batch without a column 'prompt'; it has text"):
        made({"text": ["x"]})
    for taken in ("text", "text_reason"):  # the texts were written over it
        with pytest.raises(ValueError, match=f"a batch that has a column '{taken}' already"):
            made({"prompt": ["Once"], taken: ["mine"]})
    for names in (dict(column="text"), dict(column="a_reason", output="a"), dict(output="prompt")):
        with pytest.raises(ValueError, match="the texts would replace the prompts"):
            Generate(stories_path, **names)
    assert {k: list(v) for k, v in made({"prompt": [], "id": []}).items()} == {"prompt": [], "id": [], "text": [], "text_reason": []}
    for column in ([5], [None], [b"Once"], np.array([1, 2]), np.array(["Once", 5], object)):  # a number is no prompt, though it has a text
        with pytest.raises(TypeError, match="prompt"):
            made({"prompt": column})
    for wrong in (dict(stop=[5]), dict(stop=5), dict(chat="yes"), dict(threads="2"), dict(seed=1.5), dict(column=5), dict(kv=5), dict(at_once="x")):
        with pytest.raises(TypeError):
            Generate(**{"path": stories_path, **wrong})
    # before the file is looked at
    with pytest.raises(TypeError):
        Generate("no file", max_tokens="x")


def test_a_batch_of_any_form_keeps_its_columns(stories_path):
    """Of pandas' form columns were Series, which are no arrays; of pyarrow's it had none."""

    class Series:
        def __init__(self, values):
            self.values = values

        def __array__(self, dtype=None, copy=None):
            return np.array(self.values, dtype=dtype)

        def __iter__(self):
            return iter(self.values)

    class Table:
        column_names = ("prompt",)

    made = Generate(stories_path, max_tokens=4)
    frame = {"prompt": Series(PROMPTS[:3]), "id": Series([7, 8, 9]), "tags": [[1], [2], [3]]}
    out = made(frame)
    assert list(out["text"]) == list(made({"prompt": PROMPTS[:3]})["text"]) and out["tags"] == [[1], [2], [3]]
    assert isinstance(out["id"], np.ndarray) and list(out["id"]) == [7, 8, 9] and list(out["prompt"]) == PROMPTS[:3]
    for wrong in (Table(), ["Once"], None):
        with pytest.raises(TypeError, match='batch_format is "numpy" or "pandas"'):
            made(wrong)


class Request:
    """As much of a request of HTTP as a replica reads."""

    def __init__(self, text):
        self.text = text

    async def json(self):
        return json.loads(self.text)


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("{", "no JSON object"), ("[" * 100000, "no JSON object"), ("[1]", "no JSON object"), ('{"prompt": 5}', "no JSON object"), ("{}", "no JSON object"),
        ('{"prompt": "Once", "max_tokens": 3}', "the request has 'max_tokens', which nothing would follow"),
        (json.dumps({"prompt": "a b " * 400}), r"positions, the context has 512"), ('{"prompt": "\\ud800"}', "."),
    ],
)  # fmt: skip
def test_a_request_that_is_not_followed_is_400(stories_path, text, sentence):
    pytest.importorskip("starlette")
    answer = asyncio.run(Completion({"path": stories_path, "max_tokens": 8})(Request(text)))
    assert answer.status_code == 400 and re.search(sentence, json.loads(answer.body)["error"])  # was 200


def test_requests_of_a_replica_come_one_at_a_time_and_are_the_texts_of_one_process(stories_path):
    pytest.importorskip("starlette")

    async def ask():
        replica = Completion({"path": stories_path, "max_tokens": 12})
        return await asyncio.gather(*(replica(Request(json.dumps({"prompt": p}))) for p in PROMPTS[:8]))

    answers = asyncio.run(ask())
    assert {a.status_code for a in answers} == {200} and [json.loads(a.body)["text"] for a in answers] == texts(path=stories_path)[:8]


@pytest.fixture(scope="module")
def ray():
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.data")
    # two actors, and room for what reads and hands out
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), "LLAMA2SWIFT_LIBRARY": os.environ["LLAMA2SWIFT_LIBRARY"]}})
    yield ray
    ray.shutdown()


def test_two_actors_give_what_one_process_gives(ray, stories_path):
    items = [{"prompt": p} for p in PROMPTS]
    data = ray.data.from_items(items, override_num_blocks=4).map_batches(Generate, fn_constructor_kwargs=dict(path=stories_path, max_tokens=12), batch_size=8, concurrency=2)
    found = {row["prompt"]: row["text"] for row in data.take_all()}
    assert [found[p] for p in PROMPTS] == texts(path=stories_path)


def test_an_actor_that_is_killed_loses_nothing(ray, stories_path, tmp_path):
    class Dies(Generate):
        def __call__(self, batch):
            done = super().__call__(batch)
            try:
                os.close(os.open(tmp_path / "died", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return done
            os.kill(os.getpid(), signal.SIGKILL)

    data = ray.data.from_items([{"prompt": p} for p in PROMPTS], override_num_blocks=4).map_batches(Dies, fn_constructor_kwargs=dict(path=stories_path, max_tokens=12), batch_size=8, concurrency=2)
    found = {row["prompt"]: row["text"] for row in data.take_all()}
    assert (tmp_path / "died").exists() and [found[p] for p in PROMPTS] == texts(path=stories_path)


# ---- Ray Serve


@pytest.fixture
def serve(ray):
    serve = pytest.importorskip("ray.serve")
    yield serve
    serve.shutdown()


def ask(path, told):
    request = urllib.request.Request(f"http://127.0.0.1:8000{path}", json.dumps(told).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read())


def test_a_deployment_gives_what_one_process_gives(serve, stories_path):
    serve.run(llama2swift.ray.deployment(stories_path, max_tokens=12), route_prefix="/write")
    assert [ask("/write", {"prompt": p})[1]["text"] for p in PROMPTS[:4]] == texts(path=stories_path)[:4]
    status, told = ask("/write", {"prompt": "Once", "temperature": 1})
    assert status == 400 and "'temperature'" in told["error"]


def test_the_server_is_deployed_with_openais_interface(serve, stories_path):
    pytest.importorskip("prometheus_client")
    serve.run(llama2swift.ray.server(stories_path, any_model=True), route_prefix="/api")
    status, told = ask("/api/v1/completions", {"model": "x", "prompt": PROMPTS[0], "max_tokens": 12, "temperature": 0})
    assert status == 200 and told["choices"][0]["text"] == texts(path=stories_path)[0]
    assert ask("/api/v1/completions", {"model": "x", "prompt": 5.5})[0] == 400


def test_ray_datas_http_requests_are_answered_by_our_server(ray, stories_path):
    llm = pytest.importorskip("ray.data.llm")
    for name in ("fastapi", "uvicorn", "prometheus_client"):
        pytest.importorskip(name)
    with served("--any-model", "--parallel", 8, models=(stories_path,)) as server:
        config = llm.HttpRequestProcessorConfig(url=f"{server.url}/v1/completions", batch_size=8, concurrency=2)
        made = llm.build_processor(
            config, preprocess=lambda row: {"payload": {"model": "x", "prompt": row["prompt"], "max_tokens": 12, "temperature": 0}, "prompt": row["prompt"]},
            postprocess=lambda row: {"prompt": row["prompt"], "text": row["http_response"]["choices"][0]["text"]},
        )  # fmt: skip
        found = {row["prompt"]: row["text"] for row in made(ray.data.from_items([{"prompt": p} for p in PROMPTS])).take_all()}
    assert [found[p] for p in PROMPTS] == texts(path=stories_path)


def test_what_a_served_server_is_not_told(stories_path):
    pytest.importorskip("ray.serve")
    with pytest.raises(ValueError, match="port is not the server's to say under Ray Serve"):
        llama2swift.ray.server(stories_path, port=1)
    with pytest.raises(TypeError):
        llama2swift.ray.server(stories_path, nonsense=1)
