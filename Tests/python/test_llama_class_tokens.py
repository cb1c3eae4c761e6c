"""The class of llama-cpp-python over tokens, states, grammars and drafts: what programs that go token by token call."""

import inspect
import json

import pytest
from test_llama_class import PROMPT, TALK, alone, llm  # noqa: F401 (fixtures)
from tiny_gguf import random_model

import llama2swift
from llama2swift import Llama, LlamaGrammar


def test_tokens_and_states(llm, stories):
    assert llm.tokenize(b"Hello") == stories.tokenize_prompt("Hello") and llm.tokenize(b"Hello", add_bos=False) == stories.tokenize("Hello")
    assert llm.detokenize(llm.tokenize("Grüße".encode())).strip() == "Grüße".encode()
    assert (llm.n_ctx(), llm.n_vocab(), llm.n_embd(), llm.token_bos(), llm.token_eos()) == (1024, 512, 64, 1, 2)
    llm.reset()
    llm.eval(llm.tokenize(PROMPT.encode()))
    state, count = llm.save_state(), llm.n_tokens
    best = llm.sample(temp=0)
    llm.reset()
    llm.load_state(state)
    assert llm.n_tokens == count and llm.sample(temp=0) == best


def test_tokens_one_after_the_other(llm, stories):
    prompt = llm.tokenize(PROMPT.encode())
    drawn = llm.generate(prompt, temp=0)
    first = [next(drawn) for _ in range(8)]
    assert llm.detokenize(first, prev_tokens=prompt).decode() == alone(stories, PROMPT, 8)
    # what is sent stands behind the last one; the head is not evaluated again; without reset it goes on
    second = llm.generate(prompt, temp=0)
    assert [next(second), next(second)] == first[:2] and llm.n_tokens == len(prompt) + 1
    given = llm.tokenize(b" a dog", add_bos=False)
    after = second.send(given)
    assert llm.n_tokens == len(prompt) + 2 + len(given)
    on = llm.generate([after], temp=0, reset=False)
    with stories.context(length=64) as context:
        context.eval([*prompt, *first[:2], *given, after])
        assert next(on) == context.sample(llama2swift.Sampler(temperature=0))
    options = dict(top_k=20, top_p=0.9, min_p=0.02, repeat_penalty=1.3, frequency_penalty=0.4, presence_penalty=0.1)
    llm.set_seed(3)
    drawn, theirs = llm.generate(prompt, temp=1.1, **options), {"repetition_penalty" if k == "repeat_penalty" else k: v for k, v in options.items()}
    assert llm.detokenize([next(drawn) for _ in range(12)], prev_tokens=prompt).decode() == alone(stories, PROMPT, 12, temperature=1.1, seed=3, **theirs)
    for wrong, problem in (({"tokens": []}, ValueError), ({"tfs_z": 0.5}, ValueError), ({"penalize_nl": False}, ValueError), ({"mirostat_mode": 3}, ValueError), ({"nonsense": 1}, TypeError), ({"tokens": [10**6]}, llama2swift.errors.InvalidTokenError)):
        with pytest.raises(problem):
            next(llm.generate(**{"tokens": prompt, **wrong}))
    assert llm.token_nl() == stories.tokenize("\n", special=False)[-1]


def test_a_sample_by_hand_is_penalized_for_what_was_evaluated(llm, stories):
    llm.reset()
    llm.eval(prompt := llm.tokenize(PROMPT.encode()))
    assert llm.sample(temp=0) not in prompt and llm.sample(temp=0, repeat_penalty=1e-6) in prompt  # below 1 it is a reward
    state = llm.save_state()
    llm.load_state(state)
    assert llm.sample(temp=0, repeat_penalty=1e-6) == llm.sample(temp=0)  # a state is not asked for its tokens


def test_grammars_of_llama_cpp_pythons_class(llm, tmp_path):
    (tmp_path / "g.gbnf").write_text('root ::= " yes" | " no"')
    for grammar in (LlamaGrammar.from_string('root ::= " yes" | " no"', verbose=False), LlamaGrammar.from_file(tmp_path / "g.gbnf")):
        for _ in range(2):
            assert llm("Is it?", grammar=grammar)["choices"][0]["text"] in (" yes", " no")
    assert llm.detokenize([next(drawn) for drawn in [llm.generate(llm.tokenize(b"x"), grammar=grammar)] for _ in range(2)]).strip()[:1] in b"yn"
    schema = LlamaGrammar.from_json_schema('{"enum": ["cat", "dog"]}')
    assert json.loads(llm.create_chat_completion(TALK, grammar=schema, max_tokens=40)["choices"][0]["message"]["content"]) in ("cat", "dog")
    for make, problem in ((lambda: llm("x", grammar=LlamaGrammar.from_string("root ::= {")), ValueError), (lambda: LlamaGrammar.from_json_schema("{"), ValueError), (lambda: LlamaGrammar.from_string(5), TypeError)):
        with pytest.raises(problem):
            make()


def test_embeddings(stories_path, llm, stories):
    with pytest.raises(RuntimeError, match="embedding=True"):
        llm.embed("Hello")
    if not hasattr(llama2swift.Context, "embed"):
        pytest.skip("this library has no embeddings")
    with Llama(model_path=stories_path, embedding=True) as one:
        got = one.create_embedding(["Hello, world!", "Tom"])
        assert len(got["data"]) == 2 and len(got["data"][1]["embedding"]) == len(stories.tokenize_prompt("Tom")) and len(got["data"][1]["embedding"][0]) == 64
    with Llama(model_path=stories_path, embedding=True, pooling_type=1) as one:
        assert one.embed("Tom") == pytest.approx(stories.embed(["Tom"])[0].tolist(), abs=1e-6)


def test_a_draft_changes_no_text(stories_path, stories, llm, tmp_path):
    """A path, a Model that stays the caller's, and llama-cpp-python's prompt lookup, as its README has it."""
    from llama2swift.llama_speculative import LlamaPromptLookupDecoding

    llama2swift.quantize(stories_path, tmp_path / "draft.gguf", "Q8_0")
    own = llama2swift.Model(tmp_path / "draft.gguf")
    for draft in (tmp_path / "draft.gguf", str(tmp_path / "draft.gguf"), own, LlamaPromptLookupDecoding(num_pred_tokens=10), None):
        with Llama(model_path=stories_path, n_ctx=1024, chat_format="chatml", draft_model=draft) as one:
            for options in (dict(temperature=0), dict(temperature=0.9, seed=4)):
                assert one(PROMPT, max_tokens=60, **options)["choices"] == llm(PROMPT, max_tokens=60, **options)["choices"]
                assert one.create_chat_completion(TALK, max_tokens=30, **options)["choices"] == llm.create_chat_completion(TALK, max_tokens=30, **options)["choices"]
            if isinstance(draft, llama2swift.Model):
                assert one._scheduler.stats()["guessed_right"] > 20
            one.eval(one.tokenize(b"x"))  # by hand, and then the draft goes on
            assert one(PROMPT, max_tokens=20, temperature=0)["choices"][0]["text"] == alone(stories, PROMPT, 20)
    assert own.tokenize("x")
    with pytest.raises(FileNotFoundError):
        Llama(model_path=stories_path, draft_model=tmp_path / "none.gguf")
    for given in (lambda ids: ids, 5, True, [own]):
        with pytest.raises(ValueError, match="draft_model"):
            Llama(model_path=stories_path, draft_model=given)
    for wrong in (dict(max_ngram_size=1.5), dict(num_pred_tokens="x")):
        with pytest.raises(TypeError):
            LlamaPromptLookupDecoding(**wrong)


def test_a_draft_of_another_vocabulary_is_refused(stories_path, tmp_path):
    random_model(tmp_path / "other.gguf", vocabulary=300, dim=64, layers=1, heads=4, heads_kv=4, hidden=64)
    with pytest.raises((ValueError, llama2swift.errors.UnsupportedError), match="vocabulary"):
        Llama(model_path=stories_path, draft_model=tmp_path / "other.gguf")


def test_a_cache_keeps_states_that_the_context_has_no_room_for(stories_path, tmp_path):
    """llama-cpp-python's `set_cache`: the same texts, and what stands in the cache is not evaluated again."""
    from llama2swift.llama_cache import LlamaCache, LlamaDiskCache, LlamaRAMCache

    head = "Once upon a time, there was a little girl named Lily. She loved to play with her ball in the park. " * 2
    others = [f"{name} had a big red car and a dog that was very happy to see the sun in the sky. " * 4 for name in ("Tom", "Sue", "Ben")]
    with Llama(stories_path, n_ctx=256) as one, Llama(stories_path, n_ctx=256) as plain:
        cache = LlamaRAMCache(capacity_bytes=1 << 26)
        one.set_cache(cache)
        asked = [head + "One day", *others, head + "One day, she"]
        for prompt in asked:
            options = dict(max_tokens=8, temperature=0.7, seed=3)
            assert one(prompt, **options)["choices"] == plain(prompt, **options)["choices"]
        assert len(cache.cache_state) == 5 and cache.cache_size == sum(s.llama_state_size for s in cache.cache_state.values())
        tokens = one.tokenize(asked[0].encode())
        assert tuple(tokens) in cache and one.longest_token_prefix(max(cache.cache_state, key=lambda k: one.longest_token_prefix(k, tokens)), tokens) == len(tokens)
        # while one answer is under way another is not kept, and ends none
        stream = one(others[0], stream=True, max_tokens=20, temperature=0)
        begun = [next(stream)]
        assert one(others[1], max_tokens=4, temperature=0)["choices"] == plain(others[1], max_tokens=4, temperature=0)["choices"]
        assert "".join(c["choices"][0]["text"] for c in [*begun, *stream]) == plain(others[0], max_tokens=20, temperature=0)["choices"][0]["text"]
        found = []
        for llm in (one, plain):
            for prompt in others:  # what the context has room for is of these now
                llm(prompt, max_tokens=1, temperature=0)
            before = llm.context.timings.prefill_tokens
            llm(asked[0], max_tokens=1, temperature=0)
            found.append(llm.context.timings.prefill_tokens - before)
        assert found[0] <= 1 and found[1] > len(tokens) / 2, found
        one.set_cache(None)
        assert one.cache is None
        small = LlamaCache(capacity_bytes=1)
        one.set_cache(small)
        one("Once", max_tokens=1)
        assert not small.cache_state
        for wrong in (5, "x", object()):
            with pytest.raises(TypeError, match="cache"):
                one.set_cache(wrong)
    with pytest.raises(TypeError, match="capacity_bytes"):
        LlamaRAMCache("big")
    try:
        import diskcache  # noqa: F401
    except ImportError:
        with pytest.raises(ImportError, match="pip install diskcache"):
            LlamaDiskCache(tmp_path / "cache")


def test_what_else_llama_cpp_pythons_class_has(llm):
    import numpy as np

    tokenizer, text = llm.tokenizer(), "Tom has a red ball. Grüße"
    tokens = tokenizer.encode(text)
    assert tokens == llm.tokenize(text.encode(), special=True) == tokenizer.tokenize(text.encode()) and tokenizer.decode(tokens).strip() == text
    assert tokenizer.detokenize(tokens[1:], prev_tokens=tokens[:1]) == llm.detokenize(tokens[1:], prev_tokens=tokens[:1]) and llm.pooling_type() == 0
    llm.reset()
    assert not llm.eval_tokens and not llm.eval_logits
    llm.eval(tokens)
    assert list(llm.eval_tokens) == tokens and len(llm.eval_logits) == 1
    row = np.array(llm.eval_logits[0])
    got = llm.logits_to_logprobs(llm.eval_logits[0])
    assert np.allclose(got, row - np.log(np.exp(row - row.max()).sum()) - row.max(), atol=1e-5) and np.exp(got).sum() == pytest.approx(1, abs=1e-5)
    both = llm.logits_to_logprobs(np.array([[0, -np.inf, 0], [1e4, 0, 0]], np.float32), axis=-1)
    assert both[0].tolist() == pytest.approx([-0.6931472, -np.inf, -0.6931472]) and both[1].tolist() == [0, -1e4, -1e4]
    assert (llm.longest_token_prefix([1, 2, 3], [1, 2, 4]), llm.longest_token_prefix([], [1]), llm.longest_token_prefix([1, 2], [1, 2, 3])) == (2, 0, 2)


def test_arguments_stand_where_llama_cpp_python_has_them(llm, stories):
    """A program may give them by their places: another order would be another text, and no error."""
    orders = {
        "sample": "top_k top_p min_p typical_p temp repeat_penalty frequency_penalty presence_penalty tfs_z mirostat_mode mirostat_eta mirostat_tau penalize_nl logits_processor grammar idx",
        "generate": "tokens top_k top_p min_p typical_p temp repeat_penalty reset frequency_penalty presence_penalty tfs_z mirostat_mode mirostat_tau mirostat_eta penalize_nl logits_processor stopping_criteria grammar",
        "create_completion": "prompt suffix max_tokens temperature top_p min_p typical_p logprobs echo stop frequency_penalty presence_penalty repeat_penalty top_k stream seed tfs_z mirostat_mode mirostat_tau mirostat_eta model stopping_criteria logits_processor grammar logit_bias",
        "create_chat_completion": "messages functions function_call tools tool_choice temperature top_p top_k min_p typical_p stream stop seed response_format max_tokens presence_penalty frequency_penalty repeat_penalty tfs_z mirostat_mode mirostat_tau mirostat_eta model logits_processor grammar logit_bias logprobs top_logprobs",
        "embed": "input normalize truncate return_count", "create_embedding": "input model", "tokenize": "text add_bos special", "detokenize": "tokens prev_tokens special",
    }  # fmt: skip
    for name, order in orders.items():
        kinds = inspect.signature(getattr(llm, name)).parameters.values()
        assert [p.name for p in kinds if p.kind is p.POSITIONAL_OR_KEYWORD] == order.split(), name
    llm.reset()
    llm.eval(llm.tokenize(PROMPT.encode()))
    llm.set_seed(5)
    by_place = [llm.sample(7, 0.9, 0.01, 0.8, 1.3, 1.1, 0.2, 0.1) for _ in range(6)]
    llm.set_seed(5)
    assert by_place == [llm.sample(top_k=7, top_p=0.9, min_p=0.01, typical_p=0.8, temp=1.3, repeat_penalty=1.1, frequency_penalty=0.2, presence_penalty=0.1) for _ in range(6)]
    one = llm.sample(temp=0, grammar=LlamaGrammar.from_string('root ::= "Zebra"'))
    assert b"Zebra".startswith(stories.piece(one).strip())


@pytest.mark.parametrize("options, theirs", [
    ({"typical_p": 0.4, "temperature": 1.2}, {"typical_p": 0.4, "temperature": 1.2}),
    ({"mirostat_mode": 2, "mirostat_tau": 3.0, "mirostat_eta": 0.2, "temperature": 0.3, "top_k": 1}, {"mirostat": 2, "mirostat_tau": 3.0, "mirostat_eta": 0.2, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}),
    ({"mirostat_mode": 1, "repeat_penalty": 1.4}, {"mirostat": 1, "repetition_penalty": 1.4, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}),
    ({"mirostat_mode": 1, "temperature": 0.0}, {"temperature": 0}),
])  # fmt: skip
def test_typical_and_mirostat_are_followed(llm, stories, options, theirs):
    """Mirostat stands in place of what else chooses, the temperature too, as llama-cpp-python's class has it."""
    usual = {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05, "seed": 11}
    expected = alone(stories, PROMPT, 24, **{**usual, **theirs})
    assert llm(PROMPT, max_tokens=24, seed=11, **options)["choices"][0]["text"] == expected
    options["temp"] = options.pop("temperature", 0.8)
    llm.set_seed(11)
    drawn = llm.generate(prompt := llm.tokenize(PROMPT.encode()), **options)
    assert llm.detokenize([next(drawn) for _ in range(24)], prev_tokens=prompt).decode() == expected


def test_of_tokens_that_are_written_alike_the_most_probable_is_told(llm, stories, monkeypatch):
    from llama2swift._llama_logprobs import Shown
    from llama2swift.results import TokenReport

    monkeypatch.setattr(Shown, "_name", lambda self, token: "ab"[token % 2])
    report = TokenReport(7, b"b", -3.0, -3.0, [(2, -0.5), (3, -1.0), (4, -2.0)], [], 0.0, None, False)
    assert Shown(stories, "", False, 3).lists([report])["top_logprobs"] == [{"a": -0.5, "b": -1.0}]


def test_lengths_are_those_that_are_asked_for(stories_path, tmp_path):
    """0 is the model's own, also beyond the 4096 that a Context takes where nothing is said; a text is cut or refused."""
    random_model(tmp_path / "long.gguf", vocabulary=300, dim=64, layers=1, heads=4, heads_kv=4, hidden=64, metadata={"llama.context_length": 8192})
    with Llama(model_path=tmp_path / "long.gguf", n_ctx=0) as long:
        assert long.n_ctx() == 8192
    with Llama(model_path=stories_path, n_ctx=64, embedding=True, n_threads=1) as short:
        text = "Once upon a time. " * 40
        assert len(short.embed(text)) == 64
        with pytest.raises(llama2swift.errors.ContextFullError, match="64"):
            short.embed(["Tom", text], truncate=False)
    with pytest.raises(TypeError, match="n_ctx"):
        Llama(model_path=stories_path, n_ctx=None)
