"""The model type of lm-evaluation-harness: its three kinds of requests beside the library's own ways to the same figures.

Without the harness a TemplateLM of the same form stands in for its own; with it the real one is used, and its registry.
"""

import abc
import importlib
import os
import subprocess
import sys
import types

import pytest

import llama2swift
import llama2swift.lm_eval


def request(*arguments):
    return types.SimpleNamespace(args=arguments)


@pytest.fixture(scope="module")
def kind():
    """`LM`, a subclass of TemplateLM."""
    try:
        importlib.import_module("lm_eval.api.model")
        yield llama2swift.lm_eval.LM
        return
    except ImportError:
        pass

    class LM(abc.ABC):
        def __init__(self):
            self.cache_hook = types.SimpleNamespace(add_partial=lambda *_: None)

    class TemplateLM(LM):
        @property
        @abc.abstractmethod
        def eot_token_id(self): ...

        @abc.abstractmethod
        def tok_encode(self, string, **_): ...

        @abc.abstractmethod
        def _loglikelihood_tokens(self, requests, **_): ...

        @abc.abstractmethod
        def loglikelihood_rolling(self, requests): ...

        @abc.abstractmethod
        def generate_until(self, requests): ...

        def loglikelihood(self, requests, disable_tqdm=False):
            pairs = [((c, t), *(([self.prefix_token_id], self.tok_encode(t)) if c == "" else self._encode_pair(c, t))) for c, t in (r.args for r in requests)]
            return self._loglikelihood_tokens(pairs, disable_tqdm=disable_tqdm)

    modules = {"lm_eval": types.ModuleType("lm_eval"), "lm_eval.api": types.ModuleType("lm_eval.api"), "lm_eval.api.model": types.ModuleType("lm_eval.api.model")}
    modules["lm_eval.api.model"].TemplateLM = TemplateLM
    sys.modules.update(modules)
    yield llama2swift.lm_eval.LM
    for name in modules:
        del sys.modules[name]
    vars(llama2swift.lm_eval).pop("LM", None)


@pytest.fixture(scope="module")
def lm(kind, stories_path):
    return kind(path=stories_path, max_length=128, threads=1)


PAIRS = [("Once upon a time", " there was a girl"), ("Once upon a time", " a stone sang blue"), ("Tom had a ball. ", "It was red."), ("", "Once upon"), ("The cat", " sat")]


def test_log_probabilities_are_those_of_score(lm, stories):
    found = lm.loglikelihood([request(*pair) for pair in PAIRS], disable_tqdm=True)
    with stories.context(length=256, kv="f32") as context:
        for (before, after), (value, greedy) in zip(PAIRS, found):
            whole = stories.tokenize_prompt(before + after)
            cut = len(stories.tokenize_prompt(before.rstrip())) if before else 1
            right = context.score(whole[:cut], whole[cut:])
            assert value == pytest.approx(right.total, abs=2e-4) and greedy == bool(right.is_best.all())


def test_the_batch_changes_no_digit(kind, stories_path, lm):
    requests = [request(*pair) for pair in PAIRS]
    first = lm.loglikelihood(requests, disable_tqdm=True)
    other = kind(path=stories_path, max_length=128, threads=2, tokens_at_once=16)
    assert other.loglikelihood(requests[::-1], disable_tqdm=True)[::-1] == first
    assert [lm.loglikelihood([r], disable_tqdm=True)[0] for r in requests] == first


@pytest.mark.parametrize("count", [1, 50, 128, 129, 200, 256, 300])
def test_a_long_text_is_scored_once_a_token_with_all_the_context_there_is_room_for(lm, stories, count):
    text = "Once upon a time there was a little girl named Lily. She had a red ball and a dog. " * 16
    tokens = stories.tokenize(text)[:count]
    windows = list(lm._windows(tokens))
    assert sum(len(w.tokens) - w.start for w in windows) == count and all(len(w.tokens) <= 129 for w in windows)
    asked = [t for w in windows for t in w.tokens[w.start :]]
    assert asked == tokens and windows[0].tokens[0] == stories.special_tokens.bos
    if len(windows) > 1:
        assert len(windows[-1].tokens) == 129


def test_rolling_adds_up(lm, stories):
    text = "Once upon a time there was a little girl. " * 9
    (value,) = lm.loglikelihood_rolling([request(text)], disable_tqdm=True)
    with stories.context(length=256) as context:
        right = sum(context.score(list(w.tokens[: w.start]), list(w.tokens[w.start :])).total for w in lm._windows(stories.tokenize(text)))
    assert value == pytest.approx(right, abs=2e-3)
    assert lm.loglikelihood_rolling([request("")], disable_tqdm=True) == [0.0]


def test_names_of_control_tokens_are_these_in_every_text(lm, stories):
    """As the harness's own `hf` reads them: a task's text may begin with BOS. They were characters, and BOS stood there twice."""
    bos = stories.special_tokens.bos
    name = stories.detokenize([bos], special=True)
    assert lm.tok_encode(f"{name}Once upon") == lm.tok_encode("Once upon") and lm.tok_encode("Once upon").count(bos) == 1
    first, second, other = lm.loglikelihood([request("", f"{name}Once upon a time"), request("", "Once upon a time"), request(f"{name}Once", " upon")], disable_tqdm=True)
    assert first == second and other == lm.loglikelihood([request("Once", " upon")], disable_tqdm=True)[0]


def test_the_cache_is_not_coarser_than_the_weights(lm, kind, stories_path, smollm2_path):
    """Weights in F32 had a cache in F16, with which log-probabilities are up to 9e-3 from those of transformers (wanted: 1e-3)."""
    exact = kind(path=stories_path, max_length=128, threads=1, kv="f32")
    requests = [request(*pair) for pair in PAIRS]
    assert lm.loglikelihood(requests, disable_tqdm=True) == exact.loglikelihood(requests, disable_tqdm=True)
    assert kind(path=stories_path, max_length=128, kv="f16").loglikelihood(requests, disable_tqdm=True) != exact.loglikelihood(requests, disable_tqdm=True)
    assert [model._cache() for model in (lm, kind(path=smollm2_path, max_length=64))] == ["f32", "f16"]
    for wrong in ("f99", 5):
        with pytest.raises((ValueError, TypeError), match="kv is "):
            kind(path=stories_path, kv=wrong)


def test_texts_are_those_of_generate(lm, stories):
    told = {"until": ["\n", "."], "max_gen_toks": 24, "do_sample": False, "temperature": 0.0}
    prompts = ["Once upon a time", "Tom had a red ball", "The sun was"]
    found = lm.generate_until([request(p, told) for p in prompts], disable_tqdm=True)
    for prompt, text in zip(prompts, found):
        with stories.context(length=128) as context:
            assert text == "".join(context.generate(prompt, llama2swift.Sampler(temperature=0), max_tokens=24, stop=["\n", "."]))


def test_what_is_not_followed_is_refused(lm, kind, stories_path):
    for told, sentence in (({"num_beams": 4}, "num_beams=4"), ({"nonsense": 1}, "nonsense=1"), ({"max_gen_toks": 0}, "0 tokens to generate"), ({"max_gen_toks": 500}, "500 tokens")):
        with pytest.raises(ValueError, match=sentence):
            lm.generate_until([request("Once", {"max_gen_toks": 8} | told)], disable_tqdm=True)
    with pytest.raises(ValueError, match="llama2swift computes on the CPU"):
        kind(path=stories_path, device="cuda:1")
    with pytest.raises(ValueError, match="without tokens"):
        lm.loglikelihood([request("Once", "")], disable_tqdm=True)


@pytest.mark.parametrize(
    "told, sentence",
    [
        ({"until": [3]}, "until is 3"), ({"until": ["a", None]}, "until is None"), ({"temperature": -1.0}, "temperature is -1.0"), ({"temperature": float("nan")}, "temperature is nan"), ({"temperature": "hot"}, "temperature"),
        ({"temperature": 1.0, "top_p": 2.0}, "top_p is 2.0"), ({"temperature": 1.0, "top_p": 0.0}, "top_p is 0.0"), ({"do_sample": "no"}, "do_sample is 'no'"), ({"do_sample": True}, "do_sample=True with a temperature of 0, or none"),
        ({"max_gen_toks": 1.5}, "max_gen_toks is 1.5"), ({"max_gen_toks": 4, "max_new_tokens": 9}, "max_gen_toks=4 and max_new_tokens=9 are of one thing"),
    ],
)  # fmt: skip
def test_values_that_mean_nothing_are_refused_and_break_nothing(lm, told, sentence):
    """One of `until` that was no text left a sequence behind, after which every request failed; the others were read as something else."""
    with pytest.raises((ValueError, TypeError), match=sentence):
        lm.generate_until([request("Once", {"max_gen_toks": 8} | told)], disable_tqdm=True)
    assert lm.generate_until([request("Once", {"max_gen_toks": 4, "max_new_tokens": 4, "do_sample": False, "temperature": 0.7})], disable_tqdm=True)


def test_what_is_drawn_depends_on_the_text_and_not_on_its_neighbours(lm):
    told = {"max_gen_toks": 12, "temperature": 1.0, "do_sample": True}
    first, other, again = lm.generate_until([request(t, told) for t in ("Once", "Tom had", "Once")], disable_tqdm=True)
    assert lm.generate_until([request("Tom had", told)], disable_tqdm=True) == [other] and lm.generate_until([request("Once", told)] * 2, disable_tqdm=True) == [first, again] and first != again


def test_a_template_that_is_named_is_refused(lm):
    assert lm.chat_template(True) == lm.chat_template("default") == lm.chat_template("")
    with pytest.raises(ValueError, match="a chat template called 'tool_use'"):
        lm.chat_template("tool_use")


def test_a_chat_is_the_models_template(kind, smollm2_path, smollm2):
    lm = kind(path=smollm2_path, max_length=256)
    talk = [{"role": "user", "content": "Hi"}]
    text = lm.apply_chat_template(talk)
    assert lm.tok_encode(text) == smollm2.chat_tokens(talk) and lm.chat_template() and "SmolLM2" in lm.tokenizer_name


def test_the_harness_finds_it(kind, stories_path):
    if not hasattr(sys.modules["lm_eval"], "__version__") and not getattr(sys.modules["lm_eval"], "__file__", None):
        pytest.skip("lm_eval is not installed")
    llama2swift.lm_eval.register()
    registry = importlib.import_module("lm_eval.api.registry")
    assert registry.get_model("llama2swift") is kind and issubclass(kind, importlib.import_module("lm_eval.api.model").TemplateLM)
    lm = registry.get_model("llama2swift").create_from_arg_string(f"path={stories_path},max_length=128", {"batch_size": 1, "device": None})
    assert lm.max_length == 128


def test_without_the_harness_the_command_says_what_to_do(tmp_path):
    (tmp_path / "lm_eval.py").write_text("raise ImportError('not here')\n")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run([sys.executable, "-m", "llama2swift.lm_eval", "--help"], capture_output=True, text=True, env=environment)
    assert done.returncode == 1 and "pip install llama2swift[eval]" in done.stderr.splitlines()[-1]
