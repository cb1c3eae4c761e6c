"""Beam search, best of n and guidance: forks of sequences that share their pages."""

import ctypes as C
import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest
from llama2swift import Sampler
from llama2swift import _library as lib
from llama2swift.errors import BusyError, ContextFullError, InvalidArgumentError, Llama2Error

GOLDEN = json.loads(gzip.decompress((Path(__file__).parents[1] / "fixtures" / "beams.json.gz").read_bytes()))


def test_beam_search_is_transformers(stories):
    """40 prompts with widths, length penalties and all three ways to stop: Tests/tools/make_beam_golden.py."""
    context = stories.context(length=1024, sequences=8, kv="f32")
    assert len(GOLDEN["cases"]) == 40
    for case in GOLDEN["cases"]:
        options = {"width" if k == "num_beams" else k: v for k, v in case["settings"].items()}
        found = context.beam_search(case["prompt"], max_tokens=case["max_tokens"], count=2, **options)
        assert [f.tokens for f in found] == [tokens for tokens, _ in case["found"]], case
        assert [f.score for f in found] == pytest.approx([score for _, score in case["found"]], rel=1e-5, abs=1e-4), case
    assert all(context.sequence_length(i) == 0 for i in range(8))


def test_one_beam_is_greedy(stories):
    context = stories.context(length=256, sequences=2)
    greedy = "".join(context.generate("Once upon a time", Sampler(temperature=0), max_tokens=20))
    context.reset()
    (found,) = context.beam_search("Once upon a time", width=1, max_tokens=20)
    assert found.text == greedy and len(found.tokens) == 20 and not found.ended
    with pytest.raises(InvalidArgumentError, match="4 empty sequences are needed, and 2 of the context's 2 are"):
        context.beam_search("x", width=4)
    context.eval([1, 2])
    with pytest.raises(InvalidArgumentError, match="2 empty sequences are needed, and 1"):
        context.beam_search("x", width=2)
    assert len(context.beam_search("x", width=1, max_tokens=3)[0].tokens) == 3 and context.sequence_length() == 2


def test_best_of_is_each_samplers_own_text(stories):
    context = stories.context(length=512, sequences=4)
    found = context.best_of("Once upon a time", [Sampler(seed=s) for s in range(4)], max_tokens=20)
    scores = [f.score for f in found]
    assert scores == sorted(scores, reverse=True) and len({f.text for f in found}) == 4
    prompt = stories.tokenize_prompt("Once upon a time")
    for f in found:
        assert f.score == pytest.approx(float(np.mean(context.score(prompt, f.tokens).log_probabilities)), abs=1e-4)
    alone = stories.context(length=128)
    texts = set()
    for seed in range(4):
        texts.add("".join(alone.generate("Once upon a time", Sampler(seed=seed), max_tokens=20)))
        alone.reset()
    assert {f.text for f in found} == texts


def test_a_penalty_that_makes_scores_nothing_is_refused(stories):
    """4^200 divides every score to nearly nothing, 4^-200 makes infinities of them: which text is the best would be no question of probability."""
    context = stories.context(length=256, sequences=2)
    for penalty in (200, -200, 1e308, -1e308):
        with pytest.raises(InvalidArgumentError, match="is not between 1e-100 and 1e100"):
            context.beam_search("Once", width=2, max_tokens=4, length_penalty=penalty)
    for penalty in (100, -100):
        assert all(math.isfinite(f.score) and f.score < 0 for f in context.beam_search("Once", width=2, max_tokens=4, count=2, length_penalty=penalty))
    assert context.beam_search("Once", width=2, max_tokens=1, length_penalty=1e308)[0].score < 0  # 1 to whatever power


def test_guidance_follows_its_formula(stories):
    context = stories.context(length=256, sequences=2)
    plain = "".join(context.generate("Once upon a time", Sampler(temperature=0), max_tokens=15))
    context.reset()
    assert "".join(context.generate_guided("Once upon a time", "Mom said", scale=1, sampler=Sampler(temperature=0), max_tokens=15)) == plain
    text = "".join(context.generate_guided("Once upon a time", "Mom said", scale=2.5, sampler=Sampler(temperature=0), max_tokens=15))
    # by hand, on fresh contexts
    one, two, made = stories.tokenize_prompt("Once upon a time"), stories.tokenize_prompt("Mom said"), []
    for _ in range(15):
        rows = []
        for tokens in (one, two):
            fresh = stories.context(length=128)
            fresh.eval(tokens + made)
            row = np.array(fresh.logits(), np.float64)
            rows.append(row - row.max() - np.log(np.exp(row - row.max()).sum()))
        made.append(int(np.argmax(rows[1] + 2.5 * (rows[0] - rows[1]))))
    assert text == stories.detokenize(one + made)[len(stories.detokenize(one)) :]


def test_what_searches_refuse_changes_nothing(stories):
    context = stories.context(length=64, sequences=3)
    context.eval([1, 403, 407])
    rows = context.logits().copy()
    for wrong in (dict(width=3), dict(prompt=[1] * 65), dict(prompt=[1, 512]), dict(width=257)):
        with pytest.raises(Llama2Error):
            context.beam_search(**{"prompt": "Once", "width": 2, "max_tokens": 4, **wrong})
    for samplers in ([Sampler()] * 2, [Sampler() for _ in range(3)]):
        with pytest.raises((InvalidArgumentError, BusyError)):
            context.best_of("Once", samplers, max_tokens=4)
    assert context.sequence_length() == 3 and np.array_equal(context.logits(), rows)
    # what does not fit leaves the sequences empty
    with pytest.raises(ContextFullError):
        context.beam_search("Once upon a time", width=2, max_tokens=64, early_stopping="never", length_penalty=5)
    assert [context.sequence_length(i) for i in range(3)] == [3, 0, 0]


def test_guided_rows(stories):
    """The formula by numpy; what cannot come; what cannot come by the other row alone."""
    rng = np.random.default_rng(3)
    a, b = rng.normal(0, 4, 300).astype(np.float32), rng.normal(0, 4, 300).astype(np.float32)
    a[5] = b[6] = -np.inf
    p, q = (row.astype(np.float64) - np.log(np.exp(row.astype(np.float64)).sum()) for row in (a, b))
    for scale in (0.0, 0.5, 1.0, 3.0):
        with np.errstate(invalid="ignore"):
            expected = scale * p - (scale - 1) * q
        expected[5] = -np.inf
        expected[6] = p[6] if scale == 1 else np.inf if scale > 1 else -np.inf
        found = guide(a, b, scale)
        assert np.isneginf(found[5]) and np.allclose(np.delete(found, [5, 6]), np.delete(expected, [5, 6]), atol=1e-4)
        assert found[6] == pytest.approx(np.clip(expected[6], -3.4028235e38, 3.4028235e38), rel=1e-6)
    for wrong in (dict(scale=math.nan), dict(a=np.full(300, -np.inf, np.float32)), dict(b=np.full(300, np.nan, np.float32))):
        with pytest.raises(InvalidArgumentError):
            guide(**{"a": a, "b": b, "scale": 2.0, **wrong})


def guide(a, b, scale):
    mixed = np.empty(len(a), np.float32)
    pointers = [x.ctypes.data_as(C.POINTER(C.c_float)) for x in (a, b, mixed)]
    lib.call("guide_logits", *pointers[:2], len(a), scale, pointers[2])
    return mixed


def test_own_steps_end_a_search_with_what_they_raised(stories):
    def step(ids, logits):
        raise KeyError("mine")

    context = stories.context(length=128, sequences=2)
    with pytest.raises(KeyError, match="mine"):
        context.best_of("Once", [Sampler(), Sampler(steps=["top_k", step])], max_tokens=4)
    assert [context.sequence_length(i) for i in range(2)] == [0, 0]
    assert len(context.best_of("Once", [Sampler(seed=1), Sampler(seed=2)], max_tokens=4)) == 2


def test_a_grammar_ends_its_text_in_best_of(stories):
    context = stories.context(length=128, sequences=2)
    words = stories.grammar(choices=["red", "blue"])
    found = context.best_of("Once", [Sampler(grammar=words, seed=1), Sampler(grammar=words, seed=9)], max_tokens=20)
    assert all(f.text in ("red", "blue") and f.ended for f in found)
