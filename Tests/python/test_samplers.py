"""Every step of a sampler: llama.cpp's exact vectors, the definitions, the order, what is refused."""

import math

import llama2swift
import numpy as np
import pytest
from llama2swift import Sampler
from llama2swift.errors import CancelledError, InvalidArgumentError, OutOfRangeError

FOUR = [0.1, 0.2, 0.3, 0.4]


def logits(probabilities):
    with np.errstate(divide="ignore"):
        return np.log(np.array(probabilities, np.float64)).astype(np.float32)


def left(sampler, row, accepted=()):
    for token in accepted:
        sampler.accept(token)
    ids, values = sampler.distribution(row)
    return dict(zip(ids.tolist(), np.exp(values.astype(np.float64)).tolist()))


# llama.cpp's tests/test-sampling.cpp: (steps, options, probabilities, what is left); what it gives in sorted order without
# ids is compared so. Its XTC and typical cases are not normalized again; here what is left always sums to 1.
VECTORS = [
    (["temperature"], dict(temperature=1), FOUR, FOUR),
    (["temperature"], dict(temperature=0), FOUR, [1]),
    (["temperature"], dict(temperature=1, dynamic_range=0, dynamic_exponent=1), FOUR, FOUR),
    (["temperature"], dict(temperature=0, dynamic_range=0, dynamic_exponent=1), FOUR, [1]),
    (["top_k"], dict(top_k=1), FOUR, [1]),
    (["top_k"], dict(top_k=3), FOUR, [0.44444, 0.33333, 0.22222]),
    (["top_k"], dict(top_k=4), FOUR, FOUR),
    (["top_k"], dict(top_k=0), FOUR, FOUR),
    (["top_p"], dict(top_p=0), FOUR, [1]),
    (["top_p"], dict(top_p=0.7), FOUR, [0.571429, 0.428571]),
    (["top_p"], dict(top_p=0.8), FOUR, [0.44444, 0.33333, 0.22222]),
    (["top_p"], dict(top_p=1), FOUR, FOUR),
    *((["min_p"], dict(min_p=p), FOUR, [q / sum(kept) for q in kept]) for p, kept in [
        (0.0, FOUR), (0.24, FOUR), (0.26, FOUR[1:]), (0.49, FOUR[1:]), (0.51, FOUR[2:]), (0.74, FOUR[2:]), (0.76, FOUR[3:]), (1.0, FOUR[3:])]),
    *((["xtc"], dict(xtc_probability=1, xtc_threshold=t), FOUR, [q / sum(kept) for q in kept]) for t, kept in [
        (0.09, [0.1]), (0.19, [0.2, 0.1]), (0.29, [0.3, 0.2, 0.1]), (0.39, FOUR)]),
    (["typical"], dict(typical_p=0.5), [0.97, 0.01, 0.01, 0.01], [1]),
    (["typical"], dict(typical_p=0.5), [0.4, 0.2, 0.2, 0.2], [1 / 3] * 3),
    (["top_n_sigma"], dict(top_n_sigma=1), FOUR, [0.428571, 0.571429]),
    (["top_n_sigma"], dict(top_n_sigma=0), FOUR, FOUR),
    (["top_n_sigma"], dict(top_n_sigma=3), FOUR, FOUR),
]  # fmt: skip
FIFTHS = [0.2] * 5
# by id: (options, accepted, what comes out)
HISTORIES = [
    *((dict(repetition_penalty=50), accepted, expected) for accepted, expected in [
        ([0], [0, 0.25, 0.25, 0.25, 0.25]), ([0, 1, 2], [0, 0, 0, 0.5, 0.5]), ([0, 1, 2, 0, 0], [0, 0, 0, 0.5, 0.5])]),
    *((dict(frequency_penalty=5, presence_penalty=5), accepted, expected) for accepted, expected in [
        ([0], [0.000011, 0.249997, 0.249997, 0.249997, 0.249997]),
        ([0, 1, 2], [0.000023, 0.000023, 0.000023, 0.499966, 0.499966]),
        ([0, 1, 2, 0, 0], [0.000000, 0.000023, 0.000023, 0.499977, 0.499977])]),
    *((dict(dry_multiplier=m, dry_base=1.1, dry_allowed_length=allowed, dry_last_n=len(accepted)), accepted, expected) for m, allowed, accepted, expected in [
        (1, 2, [0, 1], [0.25] * 4), (1, 2, [0, 1, 2, 0, 1], [0.296923, 0.296923, 0.109232, 0.296923]),
        (2, 2, [0, 1, 2, 0, 1], [0.241818, 0.241818, 0.032727, 0.241818, 0.241818]),
        (1, 4, [0, 1, 2, 3, 4, 0, 1], FIFTHS)]),
]  # fmt: skip


@pytest.mark.parametrize("case", VECTORS, ids=str)
def test_llama_cpp_vectors(case):
    steps, options, probabilities, expected = case
    found = left(Sampler(steps=steps, **options), logits(probabilities))
    assert sorted(found.values()) == pytest.approx(sorted(expected), abs=1e-5)


@pytest.mark.parametrize("case", HISTORIES, ids=str)
def test_llama_cpp_vectors_of_histories(case):
    options, accepted, expected = case
    sampler = Sampler(steps=["penalties", "dry"], dry_breakers=[], **options)
    found = left(sampler, logits([1 / len(expected)] * len(expected)), accepted)
    assert [found.get(i, 0) for i in range(len(expected))] == pytest.approx(expected, abs=1e-5)


def queue(text, size, k, p, m):
    """llama.cpp's test_sampler_queue over logits log(id): what each filter leaves, by integer sums."""
    least, kept = 0, size
    for step in text:
        if step == "k":
            least, kept = max(least, size - k), min(kept, k)
        elif step == "p":
            low, total, cumulative, count = size, size * (size - 1) // 2 - least * (least - 1) // 2, 0, 0
            while True:
                low, count = low - 1, count + 1
                cumulative += low
                if not cumulative < math.ceil(np.float32(p) * np.float32(total)) or count == kept:
                    break
            least, kept = low, count
        else:
            # as many as have l >= log(most) + log(m): ids of at least m * (size - 1)
            low = max(math.ceil(m * (size - 1) - 1e-9), 1, least)
            kept = size - low
            least = low
    return kept, least


QUEUES = [("k", 10000, 1.0, 1.0), ("k", 1, 1.0, 1.0), ("p", 10000, 1.0, 1.0), ("p", 10000, 0.0, 1.0), ("m", 10000, 1.0, 1.0), ("m", 10000, 1.0, 1e-12), ("k", 100, 1.0, 1.0),
          ("p", 10000, 0.0003, 1.0), ("p", 10000, 0.8, 1.0), ("m", 10000, 1.0, 9997.9 / 9999.0), ("m", 10000, 1.0, 0.1)] + [
    (text, 100, 0.8, 9997.9 / 9999.0 if text == "mp" else 0.1) for text in ("kp", "km", "pk", "pm", "mk", "mp", "kpm", "kmp", "pkm", "pmk", "mkp", "mpk")
] + [("mp", 100, 0.8, 0.1)]  # fmt: skip


@pytest.mark.parametrize("case", QUEUES, ids=str)
def test_llama_cpp_queues(case):
    text, k, p, m = case
    size = 10000
    names = {"k": "top_k", "p": "top_p", "m": "min_p"}
    steps = [names[c] for c in text]
    options = {n: v for n, v in dict(top_k=k, top_p=p, min_p=m).items() if n in steps}
    found = left(Sampler(steps=steps, **options), logits(np.arange(size)))
    kept, least = queue(text, size, k, p, m)
    if text == "k" and k == size or text == "p" and p == 1:  # id 0 has a probability of nothing and is no candidate here
        kept, least = size - 1, 1
    assert len(found) == kept and max(found) == size - 1 and min(found) == least


def test_dry_breakers_are_texts_of_the_model(stories):
    """llama.cpp's vector with the breaker {3}, on tokens of a vocabulary."""
    breaker = next(t for t in range(512) if stories.piece(t) == b"!")
    a, b, c = (next(t for t in range(512) if stories.piece(t) == x) for x in (b"a", b"b", b"c"))
    row = np.full(512, -np.inf, np.float32)
    row[[a, b, c, breaker]] = 0
    options = dict(steps=["dry"], dry_multiplier=1, dry_base=1.1, model=stories)
    history = [a, b, breaker, c, a, b]
    free = left(Sampler(**options, dry_breakers=[]), row, history)
    assert free[breaker] == pytest.approx(math.exp(-1) / (3 + math.exp(-1)), abs=1e-5)  # goes on with a b
    # one token by itself is never made less likely
    assert list(left(Sampler(**options, dry_breakers=["!"]), row, history).values()) == pytest.approx([0.25] * 4)
    # a breaker between cuts the repetition: a ! b before, a ! b now
    history = [a, breaker, b, c, a, breaker, b]
    assert left(Sampler(**options, dry_breakers=[]), row, history)[c] < 0.2
    assert left(Sampler(**options, dry_breakers=["!"]), row, history)[c] == pytest.approx(0.25)
    with pytest.raises(InvalidArgumentError, match="DRY with sequence breakers needs the model"):
        Sampler(dry_multiplier=1)


def softmax(row):
    e = np.exp(row.astype(np.float64) - row.max())
    return e / e.sum()


def random_row(seed, count=400):
    return np.random.default_rng(seed).normal(0, 3, count).astype(np.float32)


def by_definition(name, value, p):
    """The ids that a filter keeps, from its paper's words."""
    entropy = -(p[p > 0] * np.log(p[p > 0])).sum()
    if name == "top_a":
        return p >= value * p.max() ** 2
    if name == "epsilon_cutoff":
        return (p >= value) | (p == p.max())
    if name == "eta_cutoff":
        return (p >= min(value, math.sqrt(value) * math.exp(-entropy))) | (p == p.max())
    order = np.argsort(np.abs(-np.log(p) - entropy), kind="stable")
    count = int(np.searchsorted(np.cumsum(p[order]), value, side="right")) + 1
    return np.isin(np.arange(len(p)), order[:count])


@pytest.mark.parametrize("name, value", [("top_a", 0.2), ("top_a", 0.9), ("epsilon_cutoff", 0.003), ("epsilon_cutoff", 0.9), ("eta_cutoff", 0.002), ("typical_p", 0.2), ("typical_p", 0.9)])  # fmt: skip
def test_filters_by_their_definition(name, value):
    step = {"epsilon_cutoff": "epsilon", "eta_cutoff": "eta", "typical_p": "typical"}.get(name, name)
    for seed in range(8):
        row = random_row(seed)
        p = softmax(row)
        kept = by_definition(name, float(np.float32(value)), p)
        found = left(Sampler(steps=[step], **{name: value}), row)
        assert set(found) == set(np.flatnonzero(kept).tolist())
        assert [found[i] for i in sorted(found)] == pytest.approx((p[kept] / p[kept].sum()).tolist(), abs=1e-6)


@pytest.mark.parametrize("curve", [1, 1.7, 3])
def test_smoothing_and_dynamic_temperature(curve):
    row = random_row(3)
    d = row.astype(np.float64) - row.max()
    k, s = (3 - curve) / 2, (curve - 1) / 2
    found = left(Sampler(steps=["smoothing"], smoothing_factor=0.3, smoothing_curve=curve), row)
    expected = softmax(-0.3 * (k * d**2 - s * d**3))
    assert [found.get(i, 0) for i in range(len(row))] == pytest.approx(expected.tolist(), abs=1e-6)
    p = softmax(row)
    t = 0.5 + 1.0 * (-(p * np.log(p)).sum() / math.log(len(p))) ** curve
    found = left(Sampler(steps=["temperature"], temperature=1, dynamic_range=0.5, dynamic_exponent=curve), row)
    assert [found.get(i, 0) for i in range(len(row))] == pytest.approx(softmax(row / t).tolist(), abs=1e-6)


def test_the_order_is_that_of_the_list():
    row = random_row(5)
    hot, cold = (left(Sampler(steps=s, temperature=3, min_p=0.1), row) for s in (["temperature", "min_p"], ["min_p", "temperature"]))
    p, q = softmax(row), softmax(row / 3)
    assert set(hot) == set(np.flatnonzero(q >= np.float32(0.1) * q.max())) and set(cold) == set(np.flatnonzero(p >= np.float32(0.1) * p.max()))
    # logits are changed behind a filter too, and the temperature before counts
    sampler = Sampler(steps=["temperature", "top_k", "bias", "penalties"], temperature=0.5, top_k=3, logit_bias={int(np.argsort(row)[-2]): 100.0}, presence_penalty=1)
    best = np.argsort(row)[::-1][:3].tolist()
    found = left(sampler, row, [best[0]])
    assert set(found) == set(best) and found[best[1]] == pytest.approx(1)
    z = np.array([2 * row[best[0]] - 1, 2 * row[best[2]]], np.float64)
    assert math.log(found[best[0]] / found[best[2]]) == pytest.approx(z[0] - z[1], abs=1e-4)
    # twice is twice
    assert left(Sampler(steps=["temperature"] * 2, temperature=0.5), row) == pytest.approx(left(Sampler(steps=["temperature"], temperature=0.25), row))


def test_the_default_is_the_usual_order():
    row = random_row(6, 2000)
    names = ["bias", "penalties", "dry", "top_n_sigma", "top_k", "typical", "top_p", "top_a", "min_p", "epsilon", "eta", "xtc", "temperature", "smoothing"]
    options = dict(typical_p=0.9, top_a=0.01, top_n_sigma=2.5, epsilon_cutoff=1e-3, smoothing_factor=0.2, dynamic_range=0.3, xtc_probability=1, xtc_threshold=0.05)
    one, other = Sampler(**options), Sampler(**options, steps=names)
    assert left(one, row) == left(other, row)
    assert [one.sample(row) for _ in range(20)] == [other.sample(row) for _ in range(20)]


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
