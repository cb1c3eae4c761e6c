"""`llama2swift.Llama`: the examples of llama-cpp-python's README run, answers are the library's, what is not supported says so."""

import copy
import json
import os
import pickle
import sys
import types

import numpy as np
import pytest

import llama2swift
from llama2swift import Llama
from llama2swift.errors import OutOfRangeError

PROMPT = "Once upon a time, there was a"
TALK = [{"role": "system", "content": "You are a helpful assistant that outputs in JSON."}, {"role": "user", "content": "Who won the world series in 2020"}]
SCHEMA = {"type": "object", "properties": {"team_name": {"enum": ["Dodgers", "Rays"]}}, "required": ["team_name"], "additionalProperties": False}
USER = {
    "type": "function",
    "function": {
        "name": "UserDetail",
        "parameters": {"type": "object", "title": "UserDetail", "properties": {"name": {"title": "Name", "enum": ["Jason", "Tom"]}, "age": {"title": "Age", "type": "integer", "minimum": 0, "maximum": 99}}, "required": ["name", "age"], "additionalProperties": False},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def llm(stories_path):
    with Llama(model_path=stories_path, n_ctx=1024, n_gpu_layers=-1, seed=1337, chat_format="chatml", verbose=False) as one:
        yield one


def alone(model, tokens, count, **options):
    with model.context(length=1024) as context:
        return "".join(context.generate(tokens, llama2swift.Sampler(**{"temperature": 0, **options}), max_tokens=count))


def test_tools_beside_a_schema_and_in_streams(stories_path):
    """Neither is passed over: of the schema or a call; and a stream says what the whole answer says."""
    other = {"type": "function", "function": {"name": "Other", "parameters": {"type": "object", "properties": {"city": {"enum": ["Oslo", "Lima"]}}, "required": ["city"], "additionalProperties": False}}}
    talk = [{"role": "user", "content": "Who?"}]
    with llama2swift.Llama(stories_path, chat_format="chatml", n_ctx=1024) as llm:
        for seed in range(3):
            options = dict(messages=talk, tools=[USER, other], tool_choice="required", seed=seed, temperature=1.0)
            whole = llm.create_chat_completion(**options)["choices"][0]
            chunks = [c["choices"][0] for c in llm.create_chat_completion(stream=True, **options)]
            calls = [t for c in chunks for t in c["delta"].get("tool_calls", [])]
            assert [c["function"] for c in calls] == [c["function"] for c in whole["message"]["tool_calls"]] and chunks[-1]["finish_reason"] == whole["finish_reason"] == "tool_calls"
            assert not any(c["delta"].get("content") for c in chunks)
        banned = {t: -1000.0 for t in range(llm.n_vocab()) if llm.detokenize([t])[:1] in (b" ", b"\t", b"\n", b"\r") or llm.detokenize([t]).startswith(b"c")}
        form = {"type": "json_object", "schema": other["function"]["parameters"]}
        got = llm.create_chat_completion(talk, tools=[other], response_format=form, logit_bias=banned, max_tokens=200)["choices"][0]
        assert got["finish_reason"] == "tool_calls" and got["message"]["tool_calls"][0]["function"]["name"] == "Other"
        with pytest.raises(ValueError, match="calls no tools"):
            llm.create_chat_completion(talk, tools=[other], grammar=llm.model.grammar(gbnf='root ::= "a"'))
        with pytest.raises(ValueError, match="custom"):
            llm.create_chat_completion(talk, tools=[{**other, "type": "custom"}])


def test_the_first_example(llm, stories):
    prompt = "Q: Name the planets in the solar system? A: "
    output = llm(prompt, max_tokens=32, stop=["Q:", "\n"], echo=True, temperature=0)
    assert output["object"] == "text_completion" and output["id"].startswith("cmpl-") and output["model"] == llm.model_path
    whole = alone(stories, prompt, 32)
    assert output["choices"][0]["text"] == prompt + whole.split("\n")[0].split("Q:")[0]
    assert output["usage"]["prompt_tokens"] == len(stories.tokenize_prompt(prompt))


def test_sampling_and_seeds(llm, stories):
    options = dict(temperature=1.2, top_k=20, top_p=0.9, min_p=0.02, frequency_penalty=0.3, presence_penalty=0.2)
    got = llm.create_completion(PROMPT, max_tokens=12, seed=5, repeat_penalty=1.1, logit_bias={"432": -2.0}, **options)
    assert got["choices"][0]["text"] == alone(stories, PROMPT, 12, seed=5, repetition_penalty=1.1, logit_bias={432: -2.0}, **options)
    llm.set_seed(9)
    drawn = [llm(PROMPT, max_tokens=8)["choices"][0]["text"] for _ in range(2)]
    llm.set_seed(9)
    assert drawn[0] != drawn[1] and drawn[0] == llm(PROMPT, max_tokens=8)["choices"][0]["text"] == alone(stories, PROMPT, 8, seed=9, temperature=0.8)


WRONG = {
    "prompt": [5, None, b"x", ["x"], [None], [[1]], {"x": 1}, 1.5], "logprobs": [1.5, "x", [1]], "stop": [5, b"x", [5], (1, 2), {"x": 1}], "grammar": [5, "root ::= x", {}],
    "logit_bias": [5, "x", [5], [(1, 2.0)], {1.5: 1.0}, {"x": 1.0}, {True: 1.0}], "temperature": ["x", None, []], "max_tokens": ["x", [1], False, -0.5, 2.0, float("inf")],
    "echo": [None, 2, "yes", []], "stream": [None, 2, "yes"], "model": [5, b"x", []], "top_k": [None, "x", -0.5, True], "repeat_penalty": [None, "x", True],
}  # fmt: skip
WRONG_CHAT = {"messages": [5, "x", [5], [["user", "x"]], {"role": "user"}], "response_format": [5, "json", []], "tools": [5, False, "", {}, ["x"], [{}], [{"function": 5}]], "top_logprobs": ["x", 1.5], "logprobs": [2, "yes", []], "stream": [None, 2, "yes"], "model": [5, []]}
BEYOND = [("prompt", [-1]), ("prompt", [10**6]), ("logprobs", -1), ("logit_bias", {2**31: 1.0}), ("repeat_penalty", 0), ("repeat_penalty", float("nan")), ("top_k", 2**31)]


@pytest.mark.parametrize("name, value", [(n, v) for n, values in WRONG.items() for v in values])
def test_a_wrong_argument_is_a_type_error_before_anything_starts(llm, name, value):
    with pytest.raises(TypeError, match=name):
        llm(**{"prompt": PROMPT, "max_tokens": 1, "stream": True, name: value})


@pytest.mark.parametrize("name, value", [(n, v) for n, values in WRONG_CHAT.items() for v in values])
def test_a_wrong_argument_of_a_chat_is_a_type_error(llm, name, value):
    with pytest.raises(TypeError, match=name):
        llm.create_chat_completion(**{"messages": TALK, "max_tokens": 1, name: value})


def test_a_number_beyond_what_there_is_keeps_its_error(llm):
    for name, value in BEYOND:
        with pytest.raises((ValueError, OverflowError)):
            llm(**{"prompt": PROMPT, "max_tokens": 1, name: value})
    with pytest.raises(TypeError, match="input"):
        Llama(model_path=llm.model_path, n_ctx=16, embedding=True).embed([5])


def test_streams_add_up(llm, stories):
    for prompt in (PROMPT, stories.tokenize_prompt(PROMPT)):
        chunks = list(llm(prompt, max_tokens=10, temperature=0, stream=True))
        assert "".join(c["choices"][0]["text"] for c in chunks) == alone(stories, PROMPT, 10) and chunks[-1]["choices"][0]["finish_reason"] == "length"
    stream = llm(PROMPT, max_tokens=500, temperature=0, stream=True)
    next(stream)
    stream.close()  # the context is free again
    chunks = list(llm.create_chat_completion(TALK, max_tokens=6, temperature=0, stream=True))
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant"}
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks) == alone(stories, stories.chat_tokens(TALK, chat_template="chatml"), 6)


def test_logprobs(llm, stories):
    got = llm(PROMPT, max_tokens=4, temperature=0, logprobs=2)["choices"][0]["logprobs"]
    tokens = stories.tokenize_prompt(PROMPT)
    with stories.context() as context:
        score = context.score(tokens, stories.tokenize_prompt(PROMPT + "".join(got["tokens"]))[len(tokens) :])
    assert got["token_logprobs"] == pytest.approx(score.log_probabilities.tolist(), abs=1e-4) and [len(t) for t in got["top_logprobs"]] == [2] * 4
    chat = llm.create_chat_completion(TALK, max_tokens=3, logprobs=True, top_logprobs=4)["choices"][0]["logprobs"]["content"]
    assert len(chat) == 3 and all(len(t["top_logprobs"]) == 4 for t in chat)


def test_json_mode_and_schema(llm):
    value = llm.create_chat_completion(messages=TALK, response_format={"type": "json_object", "schema": SCHEMA}, temperature=0.7)
    assert json.loads(value["choices"][0]["message"]["content"])["team_name"] in ("Dodgers", "Rays")
    assert llm.create_chat_completion(messages=TALK, response_format={"type": "json_object"}, max_tokens=8)["choices"][0]["message"]["content"].strip()[:1] in ("{", "")
    with pytest.raises(ValueError, match="response_format"):
        llm.create_chat_completion(messages=TALK, response_format={"type": "json_schema"})


def test_function_calling(stories_path):
    with Llama(model_path=stories_path, n_ctx=1024, chat_format="chatml-function-calling") as llm:
        talk = [{"role": "user", "content": "Extract Jason is 25 years old"}]
        for choice in ({"type": "function", "function": {"name": "UserDetail"}}, "required"):
            got = llm.create_chat_completion(messages=talk, tools=[USER], tool_choice=choice)["choices"][0]
            call = got["message"]["tool_calls"][0]["function"]
            assert call["name"] == "UserDetail" and json.loads(call["arguments"])["name"] in ("Jason", "Tom") and got["finish_reason"] == "tool_calls"
            chunks = list(llm.create_chat_completion(messages=talk, tools=[USER], tool_choice=choice, stream=True, seed=3))
            text = "".join(t["function"]["arguments"] for c in chunks for t in c["choices"][0]["delta"].get("tool_calls", []))
            assert set(json.loads(text)) == {"name", "age"}
        with pytest.raises(ValueError, match="'Other'"):
            llm.create_chat_completion(messages=talk, tools=[USER], tool_choice={"type": "function", "function": {"name": "Other"}})


def test_openai_classes(llm):
    pytest.importorskip("openai")
    assert llm.create_chat_completion_openai_v1(TALK, max_tokens=3).choices[0].message.role == "assistant"


@pytest.mark.parametrize("arguments, problem", [({"n_gpu_layers": 20}, ValueError), ({"draft_model": object()}, ValueError), ({"lora_path": "x"}, ValueError), ({"chat_format": "functionary-v2"}, ValueError), ({"rope_freq_base": 5e5}, ValueError), ({"nonsense": 1}, TypeError), ({"type_k": 8}, ValueError), ({"pooling_type": 9}, ValueError), ({"chat_handler": object()}, ValueError)])  # fmt: skip
def test_what_is_not_supported_is_refused_by_its_name(stories_path, arguments, problem):
    with pytest.raises(problem, match=next(iter(arguments))):
        Llama(model_path=stories_path, **arguments)


NO_NUMBER = [True, 1.5, "8", b"8", [1], np.float32(1), object()]
WRONG = {"n_threads": [*NO_NUMBER, -1, 2**40], "seed": [*NO_NUMBER, -2, 2**64], "last_n_tokens_size": [*NO_NUMBER, None, -2, 2**31], "embedding": [None, 2, "yes", []],
         "pooling_type": [True, 1.0, "1"], "type_k": [True, "f16"], "n_batch": [*NO_NUMBER, None, -1, 2**40]}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_an_argument_of_the_constructor_is_checked(stories_path, name):
    for value in WRONG[name]:
        with pytest.raises((TypeError, ValueError, OverflowError), match=name):
            Llama(model_path=stories_path, n_ctx=64, **{name: value})


def test_a_batch_larger_than_a_pass_takes_changes_nothing(stories_path):
    with Llama(model_path=stories_path, n_ctx=64, n_batch=100_000) as large, Llama(model_path=stories_path, n_ctx=64) as usual:
        texts = [one(PROMPT, max_tokens=8, temperature=0)["choices"][0]["text"] for one in (large, usual)]
    assert texts[0] == texts[1]


def test_ids_are_integers_and_no_bytes(llm):
    """bytes are a sequence of integers too: they were evaluated as ids."""
    for wrong in (b"ab", bytearray(b"ab"), {1, 2}, "ab", 5, [1.5], [True], [None], None):
        for call in (llm.eval, llm.generate, llm.detokenize, lambda ids: llm.detokenize([300], prev_tokens=ids) if ids is not None else llm.eval(None)):
            llm.reset()
            with pytest.raises(TypeError, match="expected"):
                call(wrong)
        assert llm.n_tokens == 0
    for wrong in (None, "yes", 2):
        with pytest.raises(TypeError, match="add_bos"):
            llm.tokenize(b"a", add_bos=wrong)
    for wrong in (*NO_NUMBER, -2, 2**64):
        with pytest.raises((TypeError, ValueError, OverflowError), match="seed"):
            llm.set_seed(wrong)
        with pytest.raises((TypeError, ValueError, OverflowError), match="seed"):
            llm(PROMPT, seed=wrong, max_tokens=1)
    tokens = llm.generate([1, 2])
    next(tokens)
    with pytest.raises(TypeError, match="send"):
        tokens.send(b"ab")


@pytest.mark.parametrize("last, seen", [(-1, [1, 2, 3]), (0, []), (2, [2, 3]), (64, [1, 2, 3])])
def test_how_far_the_repeat_penalty_looks_back(stories_path, monkeypatch, last, seen):
    """-1 is everything: the first token was left out."""
    accepted = []
    monkeypatch.setattr(llama2swift.Sampler, "accept", lambda sampler, token: accepted.append(token))
    with Llama(model_path=stories_path, n_ctx=64, last_n_tokens_size=last) as llm:
        llm.eval([1, 2, 3])
        llm.sample(repeat_penalty=1.1)
    assert accepted == seen


def test_a_pickled_or_copied_one_is_made_anew_of_the_same(stories_path):
    """As llama-cpp-python's. A copy that shared the context ended with it."""
    asked = dict(n_ctx=64, n_threads=1, seed=5, chat_format="chatml", verbose=False, draft_model=stories_path)
    with Llama(os.fsencode(stories_path), **asked) as one:
        assert one.model_path == str(stories_path)
        text = one(PROMPT, max_tokens=8)["choices"][0]["text"]
        copies = [pickle.loads(pickle.dumps(one)), copy.copy(one), copy.deepcopy(one)]
    for other in copies:
        with other:
            assert (other.n_ctx(), other.chat_format) == (64, "chatml") and other(PROMPT, max_tokens=8)["choices"][0]["text"] == text


def test_calls_that_are_refused(llm):
    for options in ({"suffix": "end"}, {"mirostat_mode": 3}, {"tfs_z": 0.5}, {"logits_processor": [len]}, {"stopping_criteria": [len]}):
        with pytest.raises(ValueError, match=next(iter(options))):
            llm(PROMPT, **options)
    with pytest.raises(TypeError, match="nonsense"):
        llm(PROMPT, nonsense=1)
    with pytest.raises(llama2swift.errors.ContextFullError):
        llm([1] * 1024)
    with pytest.raises(ValueError, match="empty"):
        llm([])


def test_from_pretrained(monkeypatch, stories_path):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match="pip install huggingface_hub"):
        Llama.from_pretrained(repo_id="a/b", filename="*.gguf")
    hub = types.ModuleType("huggingface_hub")
    hub.HfApi = lambda: types.SimpleNamespace(list_repo_files=lambda repo: ["a.Q4_0.gguf", "b.bin", "README.md"])
    hub.hf_hub_download = lambda repo_id, filename, local_dir, cache_dir: {"b.bin": stories_path}[filename]
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    with Llama.from_pretrained(repo_id="a/b", filename="*.bin", n_ctx=64) as llm:
        assert llm.n_ctx() == 64
    with pytest.raises(ValueError, match="0 files of a/b fit"):
        Llama.from_pretrained(repo_id="a/b", filename="*.safetensors")

    def unreachable():
        raise ConnectionError("no network")

    hub.HfApi = unreachable
    with pytest.raises(OSError, match="no network.*model_path"):
        Llama.from_pretrained(repo_id="a/b", filename="*.gguf")


def test_where_tokens_stand_and_what_they_have(llm, stories):
    """As llama-cpp-python lists them: places in prompt and answer together, and with echo the prompt's tokens but for BOS."""
    options = dict(max_tokens=12, temperature=1.3, seed=3, logprobs=2, stop=["zebra", "the q"])
    whole = llm(PROMPT, **options)["choices"][0]
    alone = whole["logprobs"]
    assert alone["text_offset"][0] == len(PROMPT) and alone["text_offset"] == sorted(alone["text_offset"])
    for name, place in zip(alone["tokens"], alone["text_offset"]):
        assert (PROMPT + whole["text"])[place:].startswith(name)
    assert all(name in top and len(top) in (2, 3) for name, top in zip(alone["tokens"], alone["top_logprobs"]))
    echoed = llm(PROMPT, echo=True, **options)["choices"][0]
    tokens = stories.tokenize_prompt(PROMPT)[1:]
    lists = echoed["logprobs"]
    assert echoed["text"] == PROMPT + whole["text"] and lists["text_offset"][0] == 0 and lists["token_logprobs"][0] is None and lists["top_logprobs"][0] is None
    for name in alone:
        assert len(lists[name]) == len(tokens) + len(alone[name])
    assert lists["text_offset"][len(tokens) :] == alone["text_offset"] and lists["tokens"][len(tokens) :] == alone["tokens"]
    with stories.context() as context:
        score = context.score(stories.tokenize_prompt(PROMPT)[:2], tokens[1:])
    assert lists["token_logprobs"][1 : len(tokens)] == pytest.approx(score.log_probabilities.tolist(), abs=1e-4)
    for echo, want in ((False, alone), (True, lists)):
        chunks = [c["choices"][0] for c in llm(PROMPT, echo=echo, stream=True, **options)]
        assert "".join(c["text"] for c in chunks) == (echoed if echo else whole)["text"]
        for name in ("tokens", "text_offset"):
            assert [one for c in chunks for one in c["logprobs"][name]] == want[name]


def test_a_temperature_below_zero_is_refused(llm):
    for call in (lambda: llm(PROMPT, max_tokens=1, temperature=-1), lambda: llm.create_chat_completion(TALK, max_tokens=1, temperature=-0.5)):
        with pytest.raises(OutOfRangeError, match="temperature"):
            call()


def test_best_tokens_are_refused_where_no_probabilities_are_asked_for(llm):
    with pytest.raises(ValueError, match="top_logprobs"):
        llm.create_chat_completion(TALK, max_tokens=1, top_logprobs=2)
