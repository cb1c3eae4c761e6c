"""Every public call of the Python package with every kind of wrong argument: what must come of each is here.

KINDS has, for each kind of parameter, values that are wrong for it and the exception of each. CALLS says of every public
callable what it is called with when nothing is wrong, and which kind each parameter is. A callable or parameter that the package
gains without them fails the first test. An exception comes before anything has happened, and at once: nothing hangs.
"""

import array
import inspect
import threading

import adapters as L
import evaluation_items
import numpy as np
import pytest
from python_arguments_tools import KINDS
from argument_values import STORIES

import llama2swift

# One of these makes a grammar: two are as wrong as none.
GIVEN = dict(gbnf="second", json_schema="second", regex="text", choices="second")
FILES = dict(adapter="path+None", adapter_scale="real", type="type", threads="count32", progress="callback", keep_wider="flag", context_length="count32")
OPTIONS = dict(length="count32", threads="count32", sequences="count32", batch_size="count32", kv="word", kernels="word", embeddings="flag", rope="rope", kv_values="word or None")
MORE = {"deterministic": "flag", "energy": "path+None", "pin_threads": "flag"}
# name -> (how it is called when nothing is wrong, {parameter: kind})
CALLS = {
    "Model": (dict(path="path"), dict(path="path", copy="flag", context_length="count32", first_layer="count32", layer_count="count32", interleave="flag")),
    "ModelFile": (dict(path="path"), dict(path="path", copy="flag", context_length="count32", first_layer="count32", layer_count="count32", interleave="flag")),
    "Model.from_bytes": (dict(data="bytes"), dict(data="bytes", interleave="flag")),
    "Model.from_descriptor": (dict(descriptor="descriptor"), dict(descriptor="descriptor", copy="flag", interleave="flag")),
    "Model.tokenize": (dict(text="x"), dict(text="text", bos="flag or None", special="flag", eos="flag or None")),
    "Model.tokenize_prompt": (dict(text="x"), dict(text="text")),
    "Model.detokenize": (dict(tokens=[1]), dict(tokens="tokens", special="flag")),
    "Model.detokenize_bytes": (dict(tokens=[1]), dict(tokens="tokens", special="flag")),
    "Model.piece": (dict(token=1), dict(token="token", special="flag")),
    "Model.decoder": (dict(), dict(special="flag", text_start="flag")),
    "Model.is_end": (dict(token=1), dict(token="token")),
    **{f"Model.{name}": (dict(messages=[{"role": "user", "content": "x"}], add_generation_prompt=False), dict(
        messages="messages", add_generation_prompt="flag", continue_final_message="flag", tools="dicts", documents="dicts", chat_template="template")) for name in ("chat_tokens", "chat_text")},
    "Model.context": (dict(length=8), {**OPTIONS, **MORE}),
    "Model.adapter": (dict(path="adapter"), dict(path="path")),
    "Adapter": (dict(model="model", path="adapter"), dict(model="model", path="path")),
    "Context.set_layer_callback": (dict(callback=None), dict(callback="callback", change="flag", layer="count32 or None", sequence="int32 or None", first_position="count64", positions="count64")),
    "Context.set_adapters": (dict(sequence=1, adapters="adapters"), dict(sequence="int32", adapters="adapters")),
    "Model.embed": (dict(texts=["a"]), dict(texts="texts", pooling="word", normalize="flag", context="context", threads="count32")),
    "Model.score": (dict(prompt="a", continuation="b"), dict(prompt="str", continuation="str", context="context")),
    "Context": (dict(model="model", length=8), {"model": "model", **OPTIONS, **MORE}),
    "Context.eval": (dict(tokens=[1]), dict(tokens="tokens", all_logits="flag")),
    "Context.eval_layers": (dict(entries=[(1, 0, True)]), dict(entries="entries", hidden="hidden")),
    "Context.eval_batch": (dict(entries=[(1, 0, True)]), dict(entries="entries")),
    "Context.perplexity": (dict(tokens=[1] * 8, window=8), dict(tokens="tokens", window="count64", progress="callback")),
    "Context.importance": (dict(tokens=[1] * 8, output="out", window=8), dict(tokens="tokens", output="path", window="count64", progress="callback")),
    "Context.embed": (dict(texts=[[1], [2, 3]]), dict(texts="token texts", pooling="word", normalize="flag")),
    "Context.embed_tokens": (dict(tokens=[1]), dict(tokens="tokens", normalize="flag")),
    "Context.score": (dict(prompt=[1], continuation=[2]), dict(prompt="tokens", continuation="tokens")),
    "Context.sample": (dict(sampler="sampler"), dict(sampler="sampler+None")),
    "Context.generate": (dict(prompt="Once", max_tokens=2), dict(prompt="prompt", sampler="sampler", max_tokens="limit", stop="stop", penalize_prompt="flag", adopt="flag", shift="flag", shift_keep="limit", logprobs="limit", echo="flag", report="flag", guess="flag", draft="context", complete="flag")),
    "Context.beam_search": (dict(prompt="Once", width=1, max_tokens=2), dict(prompt="start", width="some", max_tokens="some", length_penalty="double", early_stopping="stopping", count="some")),
    "Context.best_of": (dict(prompt="Once", samplers="samplers", max_tokens=2), dict(prompt="start", samplers="list of samplers", max_tokens="some")),
    "Context.generate_guided": (dict(prompt="Once", negative="One", max_tokens=2), dict(prompt="start", negative="start", scale="real", sampler="sampler", max_tokens="some")),
    "Context.copy_sequence": (dict(source=0, target=1), dict(source="int32", target="int32", length="cut or None")),
    "Context.adopt": (dict(tokens=[1, 2], sequence=1), dict(tokens="tokens", sequence="int32")),
    "Context.shift": (dict(drop=0, keep=0), dict(drop="cut", sequence="int32", keep="cut")),
    "Context.save_state": (dict(path="out"), dict(path="path", sequence="int32 or None")),
    "Context.load_state": (dict(path="state"), dict(path="path", sequence="int32 or None")),
    "Context.state": (dict(), dict(sequence="int32 or None")),
    "Context.set_state": (dict(state="state bytes"), dict(state="bytes", sequence="int32 or None")),
    "Context.set_cancel": (dict(callback=None), dict(callback="callback")),
    "Context.sequence_length": (dict(), dict(sequence="int32")),
    "Context.truncate": (dict(length=0), dict(length="cut", sequence="int32")),
    "Decoder": (dict(model="model"), dict(model="model", special="flag", text_start="flag")),
    "Decoder.append": (dict(token=300), dict(token="token")),
    "Decoder.state": (dict(), dict()),
    "Sampler.state": (dict(), dict()),
    "Decoder.set_state": (dict(state="decoder bytes"), dict(state="bytes")),
    "Sampler.set_state": (dict(state="sampler bytes"), dict(state="bytes")),
    "Sampler": (
        dict(),
        dict(temperature="real", top_k="int32", top_p="real", min_p="real", repetition_penalty="real", frequency_penalty="real", presence_penalty="real",
             penalty_last_n="int32", logit_bias="bias", seed="seed", grammar="grammar+None",
             **dict.fromkeys(("typical_p", "top_a", "top_n_sigma", "epsilon_cutoff", "eta_cutoff", "xtc_probability", "xtc_threshold", "dynamic_range", "dynamic_exponent", "smoothing_factor",
                              "smoothing_curve", "mirostat_tau", "mirostat_eta", "dry_multiplier", "dry_base"), "real"),
             mirostat="count32", dry_allowed_length="int32", dry_last_n="int32", dry_breakers="few texts", no_repeat_ngram="count32", min_tokens="count64", text_bias="text bias", banned="banned",
             steps="steps", model="vocabulary"),
    ),
    "Sampler.sample": (dict(logits=np.zeros(5, np.float32)), dict(logits="row")),
    "Sampler.distribution": (dict(logits=np.zeros(5, np.float32)), dict(logits="row")),
    "Sampler.set_grammar": (dict(grammar=None), dict(grammar="grammar+None")),
    "Model.grammar": (dict(regex="a+"), dict(whitespace="mode", any_order="flag", ignore_unsupported="flag", **GIVEN)),
    "Grammar": (dict(model="model", regex="a+"), dict(model="model", whitespace="mode", any_order="flag", ignore_unsupported="flag", **GIVEN)),
    "Grammar.accepts": (dict(text="a"), dict(text="text")),
    "GrammarState": (dict(grammar="Grammar"), dict(grammar="grammar")),
    "GrammarState.allowed": (dict(), dict(within="limit")),
    "GrammarState.accept": (dict(token="token_a"), dict(token="token")),
    "GrammarState.withdraw": (dict(count=0), dict(count="count64")),
    "Sampler.accept": (dict(token=1), dict(token="token")),
    "Scheduler": (dict(context="calm"), dict(context="context", prompt_tokens_per_step="limit32", max_requests="count32", draft="context")),
    "Scheduler.submit": (
        dict(tokens=[1, 2], max_tokens=2),
        dict(tokens="tokens", max_tokens="limit", sampler="sampler", grammar="grammar", stops="stop", priority="int32", deadline="seconds", logprobs="limit32", penalize_prompt="flag", adapters="adapters", guess="flag", echo="flag", complete="flag"),
    ),
    "Scheduler.stats": (dict(), dict()),
    "generate_batch": (
        dict(context="calm", prompts=["Once"], samplers="samplers", max_tokens=2),
        dict(context="context", prompts="prompts", samplers="list of samplers+None", max_tokens="limit", stop="stop", penalize_prompt="flag", logprobs="limit32", echo="flag", guess="flag", complete="flag"),
    ),
    "quantize": (dict(path="path", output="out", type="Q8_0"), dict(path="path", output="path", overrides="rules", importance="path+None", **FILES)),
    "convert": (dict(path="path", output="out"), dict(path="path", output="path", **FILES)),
    "preflight": (dict(path="path"), dict(path="path", **OPTIONS)),
    "evaluate": (
        dict(model="path", data_folder="data", tasks="winogrande", limit=1),
        dict(model="path", data_folder="path", tasks="tasks", limit="limit", chat="flag", seed="count64", context_length="count32", threads="count32", kv="word", kernels="word",
             allow_code="flag", classifier="callback", journal="path+None", again="flag", progress="callback", watts="real+None", intensity="real+None", country="str+None", energy="path+None"),
    ),
    "RoPE": (dict(scaling="yarn", factor=2.0), dict(scaling="scaling", factor="positive or None", base="positive or None", attention="positive or None", trained_length="limit", beta_fast="positive or None", beta_slow="positive or None")),
    "printable": (dict(text="x"), dict(text="str")),
    "kernels_available": (dict(), dict()),
}  # fmt: skip
# Without parameters, or of those that only the package makes.
PLAIN = {"stats", "close", "reset", "finish", "logits", "cancel", "aclose", "start", "forced", "shortest"}
MADE_BY_OTHERS = {"Answer", "Batch", "Found", "TokenReport", "Evaluation", "Event", "Request", "Generation", "Vocabulary", "ContextInfo", "Hyperparameters", "LayerView", "Memory", "Perplexity", "Score", "SpecialTokens", "Tensor", "Timings"}

MADE_BY_OTHERS |= {"Llama", "LlamaGrammar"}  # llama-cpp-python's shape: what their arguments may be is asked in test_llama_class.py


def parameters(function):
    declared = inspect.signature(function).parameters.items()
    return [name for name, p in declared if name not in ("self", "cls", "_") and not (name == "variables" and p.kind is p.VAR_KEYWORD)]


def test_every_public_callable_and_parameter_has_its_rows():
    for name in llama2swift.__all__:
        kind = getattr(llama2swift, name)
        if not callable(kind) or (isinstance(kind, type) and issubclass(kind, Exception)) or name in MADE_BY_OTHERS:
            continue
        assert list(CALLS[name][1]) and set(CALLS[name][1]) == set(parameters(kind)) or name == "kernels_available", name
        if name == "ModelFile" or not isinstance(kind, type):
            continue
        for member, function in inspect.getmembers(kind, callable):
            if member.startswith("_") or (member in PLAIN and not parameters(function)):
                continue
            assert set(CALLS[f"{name}.{member}"][1]) == set(parameters(function)), f"{name}.{member}"


@pytest.fixture(scope="module")
def world(stories_path, tmp_path_factory):
    model = llama2swift.Model(stories_path)
    folder = tmp_path_factory.mktemp("arguments")
    gguf = folder / "model.gguf"
    llama2swift.convert(stories_path, gguf, "F32")
    file = open(gguf, "rb")
    data = tmp_path_factory.mktemp("data")
    evaluation_items.write(data, {"winogrande": evaluation_items.FILES["winogrande"]})
    kept = model.grammar(regex="a+")
    context = model.context(length=64, sequences=4)
    context.save_state(folder / "state")
    adapter = L.write_adapter(folder / "adapter.gguf", L.adapter("w", lambda name: 2 * name.endswith("attn_q"), STORIES), 4)
    return dict(
        adapter=str(adapter), adapters=[(model.adapter(adapter), 0.5)],
        path=str(gguf), data=str(data), out=str(folder / "out.gguf"), model=model, Context=context, calm=model.context(length=16), Scheduler=llama2swift.Scheduler(model.context(length=16)), Model=model, Decoder=model.decoder(),
        Sampler=llama2swift.Sampler(), sampler=llama2swift.Sampler(), samplers=[llama2swift.Sampler()], Grammar=kept, GrammarState=kept.start(), token_a=next(t for t in range(512) if model.piece(t) == b"a"), bytes=gguf.read_bytes(), file=file, descriptor=file.fileno(), folder=folder,
        state=str(folder / "state"), **{"state bytes": context.state(), "sampler bytes": llama2swift.Sampler().state(), "decoder bytes": model.decoder().state()},
    )  # fmt: skip


def resolved(world, arguments):
    return {k: world[v] if isinstance(v, str) and v in world else v for k, v in arguments.items()}


def target(world, name):
    owner, _, method = name.partition(".")
    return getattr(world[owner] if owner in ("Context", "Decoder", "Sampler", "Grammar", "GrammarState", "Scheduler") and method or (owner == "Model" and method and not method.startswith("from_")) else getattr(llama2swift, owner), method) if method else getattr(llama2swift, name)


def prepare(world):
    world["Context"].reset()
    world["Context"].set_adapters(1, [])  # embeddings take all sequences as one
    world["Context"].eval([1, 2, 3])


@pytest.mark.parametrize("name", CALLS)
def test_it_works_when_nothing_is_wrong(world, name):
    prepare(world)
    given = target(world, name)(**resolved(world, CALLS[name][0]))
    if isinstance(given, (llama2swift.Batch, llama2swift.Generation, llama2swift.Scheduler)):
        given.close()


CELLS = [
    pytest.param(name, parameter, value, problem, id=f"{name}-{parameter}-{number}")
    for name, (_, kinds) in CALLS.items()
    for parameter, kind in kinds.items()
    for number, (value, problem) in enumerate([(v, e) for v, e in KINDS[kind.split("+")[0]] if not ("+None" in kind and v is None)])
]


@pytest.mark.parametrize("name, parameter, value, problem", CELLS)
def test_a_wrong_argument(world, name, parameter, value, problem):
    prepare(world)
    before = sorted(p.name for p in world["folder"].iterdir())
    threads = threading.active_count()
    with pytest.raises(problem) as raised:
        target(world, name)(**{**resolved(world, CALLS[name][0]), parameter: value})
    assert str(raised.value) and "\n" not in str(raised.value)
    assert world["Context"].sequence_length() == 3 or name in ("Context.perplexity", "Context.importance", "Context.score")
    assert sorted(p.name for p in world["folder"].iterdir()) == before and threading.active_count() == threads


@pytest.mark.parametrize(
    "tokens",
    [
        (1, 5, 9), iter([1, 5, 9]), range(1, 10, 4), array.array("q", [1, 5, 9]), array.array("B", [1, 5, 9]), np.array([1, 5, 9]), np.array([1, 5, 9], np.uint8),
        np.array([1, 0, 5, 0, 9])[::2], np.array([1, 5, 9], ">i8"), [np.int64(1), np.int32(5), 9], np.array([1, 5, 9], object), memoryview(array.array("i", [1, 5, 9])),
    ],
)  # fmt: skip
def test_integers_of_every_kind_are_tokens(stories, tokens):
    with stories.context(length=8) as one, stories.context(length=8) as two:
        one.eval(tokens)
        two.eval([1, 5, 9])
        assert (one.logits() == two.logits()).all()
