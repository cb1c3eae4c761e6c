"""Beam search, best of n and guidance: forks of sequences that share their pages."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from llama2swift import Sampler
from llama2swift.errors import InvalidArgumentError

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
    with pytest.raises(InvalidArgumentError, match="8 empty sequences are needed"):
        context.beam_search("x", width=4)
    context.eval([1, 2])
    with pytest.raises(InvalidArgumentError, match="2 empty sequences are needed"):
        context.beam_search("x", width=1)


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
