"""Samplers beside llama.cpp's: 1,000 rows of SmolLM2's logits each, the greatest difference of a probability.

First each inside llama.cpp's own chain, whose top-k of 40 comes before most; then each alone over all 49,152 tokens. What llama.cpp adds up in
floats of 32 bits is added up here in 64. Where a border falls between the two sums one of them keeps a token more: such rows are counted and compared by
what both kept. Over the whole vocabulary that is common with top-p, typical and top-n-sigma, and the entropy of the dynamic temperature is off; there both
are held against the formula in numpy, in doubles, too: ours is the formula to 1e-6.
"""

import ctypes as C
import sys
from pathlib import Path

import llama_cpp as peer
import numpy as np
import pytest
from sampler_formulas import dynamic, mirostat, sigma, top_p, typical

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Bindings" / "Python")]

import fetch_model  # noqa: E402
import llama2swift  # noqa: E402
from llama2swift import Sampler  # noqa: E402

ROWS = 1000
MOST = 1e-6
CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


@pytest.fixture(scope="module")
def model():
    return llama2swift.Model(fetch_model.fetch())


@pytest.fixture(scope="module")
def tokens(model):
    """A text of 1,001 tokens that repeats itself: the same pages twice, and lists."""
    text = (ROOT / "README.md").read_text()[:2200] + "\n" + (ROOT / "README.md").read_text()[:1400] + "\nthe cat sat on the mat, the cat sat on the hat: " * 8
    found = model.tokenize(text)
    assert len(found) > ROWS
    return found[: ROWS + 1]


@pytest.fixture(scope="module")
def rows(model, tokens):
    """(ROWS, vocabulary): what the model says behind each token."""
    with model.context(length=1024) as context:
        context.eval(tokens[:ROWS], all_logits=True)
        return np.array(context.logits(), np.float32)


@pytest.fixture(scope="module")
def words():
    """llama.cpp's vocabulary of the same file."""
    peer.llama_backend_init()
    options = peer.llama_model_default_params()
    options.vocab_only = True
    loaded = peer.llama_model_load_from_file(str(fetch_model.fetch()).encode(), options)
    yield peer.llama_model_get_vocab(loaded)
    peer.llama_model_free(loaded)


class Chain:
    """llama.cpp's steps one after another, and its softmax (`dist`) at the end."""

    def __init__(self, *steps):
        self.steps = [*steps]
        self.end = peer.llama_sampler_init_dist(0)

    def accept(self, token):
        for step in self.steps:
            peer.llama_sampler_accept(step, token)

    def left(self, row, draws=False):
        """(ids, probabilities); `draws`: the last step has drawn and has made them itself."""
        table = np.zeros(len(row), CANDIDATE)
        table["id"], table["logit"] = np.arange(len(row)), row
        data = C.cast(table.ctypes.data, C.POINTER(peer.llama_token_data))
        array = peer.llama_token_data_array(data=data, size=len(row), selected=-1, sorted=False)
        for step in self.steps if draws else [*self.steps, self.end]:
            peer.llama_sampler_apply(step, C.byref(array))
        kept = np.frombuffer((C.c_char * (array.size * CANDIDATE.itemsize)).from_address(C.addressof(array.data.contents)), CANDIDATE).copy()
        kept = kept[kept["p"] > 0]
        return kept["id"], kept["p"].astype(np.float64)

    def close(self):
        for step in [*self.steps, self.end]:
            peer.llama_sampler_free(step)


def difference(ours, theirs, size):
    """(the greatest difference of a probability, how many ids only one has, their greatest probability)."""
    mine, other = np.zeros(size), np.zeros(size)
    ids, logs = ours
    mine[ids] = np.exp(logs.astype(np.float64))
    other[theirs[0]] = theirs[1]
    # A probability that is nothing in 32 bits: llama.cpp's expf gives 0 where e^x is not.
    apart = ((mine > 1e-30) != (other > 1e-30)) & (np.maximum(mine, other) > MOST)
    if not apart.any():
        return float(np.abs(mine - other).max()), 0, 0.0
    both = (mine > 0) & (other > 0)
    mine, last = np.where(both, mine, 0), float(np.maximum(mine, other)[apart].max())
    other = np.where(both, other, 0)
    return float(np.abs(mine / mine.sum() - other / other.sum()).max()), int(apart.sum()), last


def init(name, *arguments):
    return getattr(peer, f"llama_sampler_init_{name}")(*arguments)


def penalties(vocabulary, last, repetition, frequency, presence):
    return init("penalties", peer.llama_vocab_n_tokens(vocabulary), last, repetition, frequency, presence)


def dry(vocabulary, multiplier, base, allowed, last, breakers):
    return init("dry", vocabulary, multiplier, base, allowed, last, (C.c_char_p * max(len(breakers), 1))(*breakers), len(breakers))


def bias(vocabulary, pairs):
    table = (peer.llama_logit_bias * len(pairs))(*(peer.llama_logit_bias(token=t, bias=b) for t, b in pairs.items()))
    return init("logit_bias", peer.llama_vocab_n_tokens(vocabulary), len(pairs), table)


USUAL = [b"\n", b":", b'"', b"*"]
BIAS = {5: 3.0, 700: -2.5, 28: float("-inf")}
# Without top-n-sigma: llama.cpp leaves what it cuts among the candidates, with a probability of nothing, of which typical then takes the logarithm.
WHOLE = dict(repetition_penalty=1.1, dry_multiplier=0.8, top_k=60, typical_p=0.95, top_p=0.9, min_p=0.02, xtc_probability=1, temperature=0.7, dynamic_range=0.3)


def own(v, *, first=(), top_k=40, typical=None, top_p=0.95, min_p=0.05, xtc=None, last=("temp", 0.8)):
    """llama.cpp's chain with its defaults."""
    chain = [*first, init("top_k", top_k)]
    chain += [init("typical", typical, 0)] if typical is not None else []
    chain += [init("top_p", top_p, 0), init("min_p", min_p, 0)]
    return chain + ([init("xtc", 1.0, xtc, 0, 1)] if xtc is not None else []) + [init(*last)]


# name: (ours, llama.cpp's for its vocabulary)
CHAINS = {
    "the default": (dict(), own),
    "temperature 1.7": (dict(temperature=1.7), lambda v: own(v, last=("temp", 1.7))),
    "temperature 0": (dict(temperature=0), lambda v: own(v, last=("temp", 0.0))),
    "dynamic temperature 1 +- 0.5": (dict(temperature=1, dynamic_range=0.5), lambda v: own(v, last=("temp_ext", 1.0, 0.5, 1.0))),
    "dynamic temperature 0.7 +- 0.7, exponent 2": (dict(temperature=0.7, dynamic_range=0.7, dynamic_exponent=2), lambda v: own(v, last=("temp_ext", 0.7, 0.7, 2.0))),
    "top-k 5": (dict(top_k=5), lambda v: own(v, top_k=5)),
    "top-p 0.5": (dict(top_p=0.5), lambda v: own(v, top_p=0.5)),
    "min-p 0.3": (dict(min_p=0.3), lambda v: own(v, min_p=0.3)),
    "typical 0.9": (dict(typical_p=0.9), lambda v: own(v, typical=0.9)),
    "typical 0.3": (dict(typical_p=0.3), lambda v: own(v, typical=0.3)),
    "top-n-sigma 1": (dict(top_n_sigma=1), lambda v: own(v, first=[init("top_n_sigma", 1.0)])),
    "XTC, threshold 0.1": (dict(xtc_probability=1, xtc_threshold=0.1), lambda v: own(v, xtc=0.1)),
    "XTC, threshold 0.02": (dict(xtc_probability=1, xtc_threshold=0.02), lambda v: own(v, xtc=0.02)),
    "repetition 1.3": (dict(repetition_penalty=1.3), lambda v: own(v, first=[penalties(v, 64, 1.3, 0.0, 0.0)])),
    "frequency 0.5, presence 0.7, last 200": (
        dict(frequency_penalty=0.5, presence_penalty=0.7, penalty_last_n=200), lambda v: own(v, first=[penalties(v, 200, 1.0, 0.5, 0.7)])),
    "DRY 0.8": (dict(dry_multiplier=0.8, dry_last_n=400), lambda v: own(v, first=[dry(v, 0.8, 1.75, 2, 400, USUAL)])),
    "DRY 2, base 1.1, length 4, no breakers": (
        dict(dry_multiplier=2, dry_base=1.1, dry_allowed_length=4, dry_last_n=1000, dry_breakers=[]), lambda v: own(v, first=[dry(v, 2.0, 1.1, 4, 1000, [])])),
    "DRY 0.8, breakers of several tokens": (
        dict(dry_multiplier=0.8, dry_breakers=["the cat", ", the"]), lambda v: own(v, first=[dry(v, 0.8, 1.75, 2, 64, [b"the cat", b", the"])])),
    "logit bias": (dict(logit_bias=BIAS), lambda v: own(v, first=[bias(v, BIAS)])),
    "top-n-sigma 2, XTC": (dict(top_n_sigma=2, xtc_probability=1), lambda v: own(v, first=[init("top_n_sigma", 2.0)], xtc=0.1)),
    "all others": (WHOLE, lambda v: own(
        v, first=[penalties(v, 64, 1.1, 0.0, 0.0), dry(v, 0.8, 1.75, 2, 64, USUAL)], top_k=60, typical=0.95, top_p=0.9, min_p=0.02, xtc=0.1,
        last=("temp_ext", 0.7, 0.3, 1.0))),
}  # fmt: skip


# name: (ours, llama.cpp's, the formula where llama.cpp's sums in 32 bits decide)
ALONE = {
    "temperature 0.8": (dict(steps=["temperature"], temperature=0.8), lambda v: [init("temp", 0.8)], None),
    "top-k 40": (dict(steps=["top_k"], top_k=40), lambda v: [init("top_k", 40)], None),
    "min-p 0.05": (dict(steps=["min_p"], min_p=0.05), lambda v: [init("min_p", 0.05, 0)], None),
    "repetition 1.3": (dict(steps=["penalties"], repetition_penalty=1.3), lambda v: [penalties(v, 64, 1.3, 0.0, 0.0)], None),
    "DRY 0.8": (dict(steps=["dry"], dry_multiplier=0.8, dry_last_n=400), lambda v: [dry(v, 0.8, 1.75, 2, 400, USUAL)], None),
    "XTC, threshold 0.02": (dict(steps=["xtc"], xtc_probability=1, xtc_threshold=0.02), lambda v: [init("xtc", 1.0, 0.02, 0, 1)], None),
    "top-p 0.95": (dict(steps=["top_p"], top_p=0.95), lambda v: [init("top_p", 0.95, 0)], lambda row: top_p(row, float(np.float32(0.95)))),
    "typical 0.9": (dict(steps=["typical"], typical_p=0.9), lambda v: [init("typical", 0.9, 0)], lambda row: typical(row, float(np.float32(0.9)))),
    "top-n-sigma 3": (dict(steps=["top_n_sigma"], top_n_sigma=3), lambda v: [init("top_n_sigma", 3.0)], lambda row: sigma(row, 3)),
    "dynamic temperature 1 +- 0.5": (
        dict(steps=["temperature"], temperature=1, dynamic_range=0.5), lambda v: [init("temp_ext", 1.0, 0.5, 1.0)], lambda row: dynamic(row, 0.5)),
}  # fmt: skip


class Seen:
    """What the rows of one sampler have shown."""

    def __init__(self, name):
        self.name, self.worst, self.apart, self.last = name, 0.0, 0, 0.0

    def add(self, ours, theirs, size):
        worst, apart, last = difference(ours, theirs, size)
        self.worst, self.apart, self.last = max(self.worst, worst), self.apart + (apart > 0), max(self.last, last)

    def hold(self, apart=ROWS // 100):
        print(f"{self.name}: difference {self.worst:.1e}, another border in {self.apart} rows (probability at most {self.last:.1e})")
        assert self.worst <= MOST and self.apart <= apart


def rows_of(name, model, tokens, rows, words, options, theirs):
    """(row, ours, llama.cpp's) of each row, with what came before it accepted."""
    ours, chain = Sampler(model=model, **options), Chain(*theirs(words))
    for row, token in zip(rows, tokens):
        ours.accept(token)
        chain.accept(token)
        yield row, ours.distribution(row), chain.left(row)
    chain.close()


@pytest.mark.parametrize("name", CHAINS)
def test_in_llama_cpps_own_chain(name, model, tokens, rows, words):
    seen = Seen(name)
    for row, ours, theirs in rows_of(name, model, tokens, rows, words, *CHAINS[name]):
        seen.add(ours, theirs, len(row))
    seen.hold()


@pytest.mark.parametrize("name", ALONE)
def test_alone_over_the_whole_vocabulary(name, model, tokens, rows, words):
    *both, formula = ALONE[name]
    seen, exact, off = Seen(name), 0.0, 0.0
    for row, ours, theirs in rows_of(name, model, tokens, rows, words, *both):
        seen.add(ours, theirs, len(row))
        if formula is not None:
            expected, mine, other = formula(row), np.zeros(len(row)), np.zeros(len(row))
            mine[ours[0]], other[theirs[0]] = np.exp(ours[1].astype(np.float64)), theirs[1]
            exact, off = max(exact, float(np.abs(mine - expected).max())), max(off, float(np.abs(other - expected).max()))
    if formula is None:
        return seen.hold()
    print(f"{name}: {exact:.1e} from the formula, llama.cpp {off:.1e}; another border in {seen.apart} rows")
    assert exact <= MOST


@pytest.mark.parametrize("version", [1, 2])
def test_mirostat_is_the_formula_and_llama_cpps_but_for_its_overflow(version, rows):
    """Along our own path: llama.cpp's begins anew at every row, with the mu that the formula has reached."""
    tau, eta, size, overflown, borders = 5.0, 0.1, rows.shape[1], 0, 0
    ours, mu = Sampler(mirostat=version, mirostat_tau=tau, mirostat_eta=eta, temperature=1, seed=7), 2 * tau
    for row in rows:
        chain = Chain(init("mirostat", size, 1, mu / 2, eta, 100) if version == 1 else init("mirostat_v2", 1, mu / 2, eta))
        theirs, mine, (exact, overflows) = chain.left(row, draws=True), ours.distribution(row), mirostat(row, mu, version)
        chain.close()
        ids = np.flatnonzero(exact > 0)
        apart, other, _ = difference(mine, (ids, exact[ids]), size)
        assert apart <= MOST and other <= 1
        if overflows:
            overflown += 1
        else:
            # its softmax over all tokens is summed in 32 bits, and decides where the border falls
            apart, other, _ = difference(mine, theirs, size)
            assert apart <= 5e-4 and other <= 5
            borders += other > 0
        mu -= eta * (-np.log2(exact[ours.sample(row)]) - tau)
    print(f"mirostat {version}: overflows in {overflown} rows, other borders in {borders}")
    assert overflown == 0 or version == 1
    assert borders <= ROWS // 4
