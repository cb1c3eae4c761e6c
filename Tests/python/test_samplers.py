"""Every step of a sampler: llama.cpp's exact vectors, the definitions, the order, what is refused."""

import math

import numpy as np
import pytest
from samplers_tools import left, logits, random_row, softmax

from llama2swift import Sampler
from llama2swift.errors import InvalidArgumentError

FOUR = [0.1, 0.2, 0.3, 0.4]


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
