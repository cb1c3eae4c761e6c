"""Steps that remember, that look for texts, and of one's own; and what a sampler refuses."""

import math

import numpy as np
import pytest
from samplers_tools import left, logits, random_row, softmax

import llama2swift
from llama2swift import Sampler
from llama2swift.errors import CancelledError, InvalidArgumentError, OutOfRangeError


def test_xtc_follows_its_probability():
    row, sampler = logits([0.6, 0.4]), Sampler(steps=["xtc"], xtc_probability=0.5, xtc_threshold=0.3, seed=3)
    share = np.mean([sampler.sample(row) for _ in range(3000)])
    assert share == pytest.approx(0.5 + 0.5 * 0.4, abs=0.03)


@pytest.mark.parametrize("version", [1, 2])
def test_mirostat_by_its_paper(version):
    """The candidates of each step and the path of mu, from the algorithm in plain numpy."""
    size, tau, eta = 300, 3.0, 0.2
    sampler = Sampler(mirostat=version, mirostat_tau=tau, mirostat_eta=eta, temperature=0.9, seed=9)
    mu = 2 * tau
    for step in range(30):
        row = random_row(100 + step, size)
        z = row.astype(np.float64) / np.float32(0.9)
        order = np.argsort(-z, kind="stable")
        p = softmax(z)[order]
        if version == 1:
            i = np.arange(99)
            t, b = np.log((i + 2) / (i + 1)), np.log(p[i] / p[i + 1])
            s = (t * b).sum() / (t * t).sum()
            kept = max(int(((s - 1) * 2**mu / (1 - size ** -(s - 1))) ** (1 / s)), 1)
        else:
            kept = max(int((-np.log2(p) <= mu).sum()), 1)
        kept = min(kept, size)
        found = left(sampler, row)
        assert sorted(found) == sorted(order[:kept].tolist()), step
        token = sampler.sample(row)
        q = p[:kept] / p[:kept].sum()
        mu -= eta * (-np.log2(q[order[:kept].tolist().index(token)]) - tau)
    # it replaces the usual filters, and those that are asked for stay
    assert len(left(Sampler(mirostat=2), np.zeros(100, np.float32))) == 100
    assert len(left(Sampler(mirostat=2, top_k=7), np.zeros(100, np.float32))) == 7
    first = [sampler.sample(random_row(s, size)) for s in range(5)]
    sampler.reset()
    again = [sampler.sample(random_row(s, size)) for s in range(5)]
    sampler.reset()
    assert again == [sampler.sample(random_row(s, size)) for s in range(5)] and len(first) == 5


def test_no_ngram_comes_twice():
    row = np.zeros(6, np.float32)
    sampler = Sampler(no_repeat_ngram=2, top_k=0, top_p=1, min_p=0, temperature=1)
    assert set(left(sampler, row, [0, 1, 2, 0])) == {0, 2, 3, 4, 5}  # 0 1 was there
    assert set(left(Sampler(no_repeat_ngram=1), row, [0, 1, 4])) == {2, 3, 5}
    assert set(left(Sampler(no_repeat_ngram=3), row, [0, 1])) == set(range(6))
    random = Sampler(no_repeat_ngram=3, temperature=1, seed=5, top_k=0, top_p=1, min_p=0)
    text = [random.sample(row) for _ in range(150)]
    grams = [tuple(text[i : i + 3]) for i in range(len(text) - 2)]
    assert len(set(grams)) == len(grams)


def test_no_end_before_the_least_number_of_tokens(stories):
    end = next(t for t in range(512) if stories.is_end(t))
    row = np.full(512, -5, np.float32)
    row[end] = 5
    sampler = Sampler(temperature=0, min_tokens=3, model=stories)
    assert [sampler.sample(row) == end for _ in range(5)] == [False] * 3 + [True] * 2
    sampler.reset()
    assert sampler.sample(row) != end
    context = stories.context(length=64)
    generation = context.generate("Once", Sampler(temperature=0, logit_bias={end: 100.0}, min_tokens=7, model=stories))
    list(generation)
    assert generation.reason == "end" and generation.tokens == 8
    with pytest.raises(InvalidArgumentError, match="min_tokens needs the model"):
        Sampler(min_tokens=1)


def test_banned_texts_over_the_borders_of_tokens(stories):
    """No text has them, also where single letters would write them; and exactly what would complete one is forbidden."""
    context = stories.context(length=256)
    prompt = "Once upon a time, there was a little girl named Lily."
    plain = "".join(context.generate(prompt, Sampler(temperature=0), max_tokens=150))
    words = [w for w in (" to", "park", "mom", "he", ". ") if w in plain]
    assert len(words) >= 3
    for seed in range(4):
        context.reset()
        sampler = Sampler(temperature=1.5, seed=seed, top_k=0, top_p=1, min_p=0, banned=words, model=stories)
        text = "".join(context.generate(prompt, sampler, max_tokens=150))
        assert text and not any(w in text for w in words)
    # token by token against a search in the text
    pieces = [stories.piece(t) for t in range(512)]
    sampler = Sampler(temperature=2, seed=1, top_k=0, top_p=1, min_p=0, banned=["abab", "ba!", "b"], model=stories)
    row, text = np.zeros(512, np.float32), b""
    for _ in range(60):
        found = set(left(sampler, row))
        assert found == {t for t, piece in enumerate(pieces) if not any(w in (text + piece)[len(text) - 3 if len(text) > 3 else 0 :] for w in (b"abab", b"ba!", b"b"))}
        text += pieces[sampler.sample(row)]
    one = Sampler(temperature=1, banned=["ab"], model=stories, top_k=0, top_p=1, min_p=0)
    a, b = (pieces.index(x) for x in (b"a", b"b"))
    row[:] = -np.inf
    row[[a, b]] = 0, -50
    assert one.sample(row) == a and set(left(one, row)) == {a}
    one.reset()
    assert set(left(one, row)) == {a, b}
    with pytest.raises(InvalidArgumentError, match="banned_texts needs the model"):
        Sampler(banned=["x"])


def test_bias_by_text(stories):
    tokens = stories.tokenize("a dog", bos=False)
    row = np.zeros(512, np.float32)
    found = left(Sampler(steps=["bias"], text_bias={"a dog": 2.0}, model=stories), row)
    assert {t for t, p in found.items() if p > 1 / 512} == set(tokens)


# ---- Own steps


def test_an_own_step_sees_and_changes_candidates_without_a_copy():
    row, seen = random_row(8), []

    def step(ids, values):
        seen.append((ids.copy(), values.copy()))
        assert not ids.flags.writeable and values.base is not None
        values[ids % 2 == 0] = -np.inf
        values *= 0.5

    found = left(Sampler(steps=[step]), row)
    assert np.array_equal(seen[0][0], np.arange(len(row))) and np.array_equal(seen[0][1], row)
    odd = np.arange(1, len(row), 2)
    assert [found[i] for i in odd.tolist()] == pytest.approx(softmax(row[odd] * np.float32(0.5)).tolist(), abs=1e-6)
    # behind a filter: by rank, with the temperature
    left(Sampler(steps=["temperature", "top_k", step], temperature=0.5, top_k=5), row)
    order = np.argsort(-row, kind="stable")[:5]
    assert np.array_equal(seen[1][0], order) and seen[1][1] == pytest.approx((row[order] * 2).tolist(), rel=1e-6)


def test_an_own_step_in_generate_and_what_it_raises(stories):
    context = stories.context(length=64)
    plain = "".join(context.generate("Once upon", Sampler(temperature=0), max_tokens=10))
    context.reset()
    assert "".join(context.generate("Once upon", Sampler(temperature=0, steps=[lambda ids, z: None, "temperature"]), max_tokens=10)) == plain

    def fails(ids, values):
        raise KeyError("mine")

    context.reset()
    with pytest.raises(KeyError, match="mine"):
        list(context.generate("Once", Sampler(steps=[fails])))
    with pytest.raises(KeyError):
        Sampler(steps=[fails]).sample(np.zeros(5, np.float32))
    kept = []
    keeper = Sampler(steps=[lambda ids, values: kept.append(values)])
    with pytest.raises(BufferError):
        keeper.sample(np.zeros(5, np.float32))
    with pytest.raises(BufferError):
        keeper.sample(np.zeros(5, np.float32))
    kept.clear()
    with pytest.raises(TypeError, match="returned"):
        Sampler(steps=[lambda ids, values: 5]).sample(np.zeros(5, np.float32))

    def broken(ids, values):
        values[2] = np.nan

    sampler = Sampler(steps=[broken, "temperature"], temperature=1, seed=4)
    with pytest.raises(InvalidArgumentError, match="token 2 the logit"):
        sampler.sample(np.zeros(5, np.float32))
    with pytest.raises(InvalidArgumentError, match="no token can be chosen"):
        Sampler(steps=[lambda ids, values: values.fill(-np.inf)]).sample(np.zeros(5, np.float32))


def test_a_failed_sample_leaves_the_sampler_as_it_was():
    row, fails = random_row(2), [False]

    def step(ids, values):
        if fails[0]:
            raise CancelledError("no")

    options = dict(steps=["xtc", step, "temperature"], xtc_probability=0.5, xtc_threshold=0.05, temperature=1.2, seed=8)
    one, other = Sampler(**options), Sampler(**options)
    expected = [one.sample(row) for _ in range(20)]
    found = []
    for _ in range(20):
        fails[0] = True
        with pytest.raises(CancelledError):
            other.sample(row)
        fails[0] = False
        other.distribution(row)
        found.append(other.sample(row))
    assert found == expected


# ---- What is refused


@pytest.mark.parametrize("options, name", [
    (dict(typical_p=1.5), "typical_p"), (dict(top_a=-1), "top_a"), (dict(epsilon_cutoff=2), "epsilon_cutoff"), (dict(eta_cutoff=-0.1), "eta_cutoff"),
    (dict(xtc_probability=1.1), "xtc_probability"), (dict(xtc_threshold=-1), "xtc_threshold"), (dict(dynamic_range=-1), "dynamic_range"),
    (dict(dynamic_exponent=-1), "dynamic_exponent"), (dict(smoothing_factor=-1), "smoothing_factor"), (dict(smoothing_curve=0.5), "smoothing_curve"),
    (dict(mirostat=3), "mirostat"), (dict(mirostat_tau=-1), "mirostat_tau"), (dict(mirostat_eta=math.inf), "mirostat_eta"), (dict(dry_multiplier=-1), "dry_multiplier"),
    (dict(dry_base=0.5), "dry_base"), (dict(dry_last_n=-2), "dry_last_n"), (dict(no_repeat_ngram=1025), "no_repeat_ngram"),
])  # fmt: skip
def test_values_beyond_their_range_are_refused_by_name(options, name):
    with pytest.raises((OutOfRangeError, InvalidArgumentError), match=name):
        Sampler(**options)
    if isinstance(next(iter(options.values())), float):
        with pytest.raises((OutOfRangeError, InvalidArgumentError), match=name):
            Sampler(**{next(iter(options)): math.nan})


def test_a_list_that_would_pass_something_over_is_refused():
    for options, name in [(dict(top_k=5), "TOP_K"), (dict(temperature=0.5), "TEMPERATURE"), (dict(xtc_probability=0.5), "XTC"), (dict(presence_penalty=1), "PENALTIES")]:
        with pytest.raises(InvalidArgumentError, match=f"does not have: {name}"):
            Sampler(steps=["top_p"], **options)
    Sampler(steps=["top_p"], temperature=0.8, top_k=40)  # what is usual asks for nothing
    with pytest.raises(ValueError, match="expected one of"):
        Sampler(steps=["nonsense"])


def test_a_sampler_for_another_vocabulary_is_refused(stories, smollm2):
    sampler = Sampler(min_tokens=1, model=stories)
    context = smollm2.context(length=16)
    context.eval([1])
    with pytest.raises(InvalidArgumentError, match="another vocabulary"):
        context.sample(sampler)


def test_the_binding_exports_steps():
    assert llama2swift.Sampler.STEPS["top_k"] == 5 and len(llama2swift.Sampler.STEPS) == 14
