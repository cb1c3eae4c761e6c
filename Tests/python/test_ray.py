"""Many prompts in many processes: the texts are those of one process. What needs Ray itself is skipped without it."""

import os
import signal

import numpy as np
import pytest

import llama2swift.ray
from llama2swift.ray import Generate

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
    for column in ([5], [None], [b"Once"], np.array([1, 2]), np.array(["Once", 5], object)):  # a number is no prompt, though it has a text
        with pytest.raises(TypeError, match="prompt"):
            made({"prompt": column})
    for wrong in (dict(stop=[5]), dict(stop=5), dict(chat="yes"), dict(threads="2"), dict(seed=1.5), dict(column=5), dict(kv=5), dict(at_once="x")):
        with pytest.raises(TypeError):
            Generate(**{"path": stories_path, **wrong})
    # before the file is looked at
    with pytest.raises(TypeError):
        Generate("no file", max_tokens="x")


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
