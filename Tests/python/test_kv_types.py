"""The cache in F32, F16, Q8_0 and Q4_0, keys and values apart: near to F32, the same bits however it is computed, and all that is done with pages."""

import itertools

import numpy as np
import pytest
from tiny_gguf import random_model

import llama2swift
from llama2swift.errors import InvalidArgumentError, UnsupportedError

TYPES = ["f32", "f16", "q8_0", "q4_0"]
PAIRS = [(k, v) for k, v in itertools.product(TYPES, TYPES) if "q" in k + v]
SHAPES = {
    "64": dict(vocabulary=72, dim=128, layers=2, heads=6, heads_kv=2, hidden=96, head_dim=64),
    "96": dict(vocabulary=72, dim=64, layers=2, heads=2, heads_kv=1, hidden=96, head_dim=96),
    "40": dict(vocabulary=72, dim=64, layers=2, heads=4, heads_kv=4, hidden=96, head_dim=40),
    "6": dict(vocabulary=72, dim=48, layers=2, heads=8, heads_kv=2, hidden=64),
}
TOKENS = [(5 * i * i + 7 * i + 3) % 72 for i in range(150)]  # more than two pages


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kv")
    for name, shape in SHAPES.items():
        random_model(folder / f"{name}.gguf", **shape)
    return {name: llama2swift.Model(folder / f"{name}.gguf") for name in SHAPES}


def logits(model, pieces=(TOKENS,), **options):
    with model.context(**{"length": 192, **options}) as context:
        rows = []
        for piece in pieces:
            context.eval(piece, all_logits=True)
            rows.append(np.atleast_2d(context.logits()).copy())
        return np.concatenate(rows)


@pytest.mark.parametrize("name", SHAPES)
def test_the_smaller_the_type_the_larger_the_error_and_none_is_large(models, name):
    exact, sizes = logits(models[name], kv="f32"), [models[name].context(length=192, kv=t).info for t in TYPES]
    errors = [np.abs(logits(models[name], kv=t) - exact).max() / np.abs(exact).max() for t in TYPES[1:]]
    assert errors[0] < 2e-3 and errors[0] < errors[1] < 0.02 and errors[1] < errors[2] < 0.3
    assert [(i.kv, i.kv_values) for i in sizes] == [(t, t) for t in TYPES]
    if name == "64":
        kv = [i.memory_bytes for i in sizes]
        assert kv[0] > kv[1] > kv[2] > kv[3]


@pytest.mark.parametrize("kernels", llama2swift.kernels_available())
@pytest.mark.parametrize("name", SHAPES)
def test_the_same_bits_over_kernels_threads_and_splits(models, name, kernels):
    for k, v in PAIRS if name == "64" else [("q8_0", "q8_0"), ("q4_0", "q4_0"), ("f16", "q4_0")]:
        whole = logits(models[name], kv=k, kv_values=v, kernels="reference", threads=1)
        for pieces, batch, threads in (((TOKENS,), 64, 1), ([TOKENS[:3], TOKENS[3:70], *([t] for t in TOKENS[70:76]), TOKENS[76:]], 15, 2)):
            found = logits(models[name], pieces, kv=k, kv_values=v, kernels=kernels, threads=threads, batch_size=batch)
            assert found.tobytes() == whole.tobytes(), (k, v)


def test_keys_and_values_are_apart(models):
    found = {pair: logits(models["64"], kv=pair[0], kv_values=pair[1]).tobytes() for pair in itertools.product(TYPES, TYPES)}
    assert len(set(found.values())) == 16


@pytest.mark.parametrize("k, v", [("q8_0", "q8_0"), ("q4_0", "q4_0"), ("q8_0", "q4_0"), ("f16", "q8_0"), ("q4_0", "f32")])
@pytest.mark.parametrize("name", SHAPES)
def test_pages_are_copied_adopted_saved_and_loaded(models, name, k, v):
    options, model = dict(kv=k, kv_values=v, length=600, sequences=4, threads=1), models[name]
    fresh = logits(model, kv=k, kv_values=v)[-1].tobytes()
    with model.context(**options) as context, model.context(**options) as other:
        context.eval(TOKENS[:100])
        context.copy_sequence(0, 1, 90)
        context.eval([5] * 20)  # sequence 0 goes its own way
        context.eval_batch([(t, 1, i == 59) for i, t in enumerate(TOKENS[90:])])
        assert context.logits().tobytes() == fresh
        found = context.adopt(TOKENS, 2)
        assert found >= 128
        context.eval_batch([(t, 2, i == 149 - found) for i, t in enumerate(TOKENS[found:])])
        assert context.logits().tobytes() == fresh
        other.set_state(context.state(1), 3)
        other.truncate(149, 3)
        other.eval_batch([(TOKENS[149], 3, True)])
        assert other.logits().tobytes() == fresh
        other.set_state(context.state())
        assert other.state() == context.state()
    for wrong in (dict(kv="f16"), dict(kv="q8_0", kv_values="f16"), dict(kv=v, kv_values=k) if k != v else dict(kv="f32")):
        with model.context(length=600, sequences=4, **wrong) as third, pytest.raises(InvalidArgumentError, match="keys and values in " + k.upper()):
            third.set_state(state_of(model, options))


def state_of(model, options):
    with model.context(**options) as context:
        context.eval(TOKENS[:70])
        return context.state()


@pytest.mark.parametrize("k, v", [("q8_0", "q8_0"), ("q4_0", "q4_0"), ("f32", "q4_0"), ("q8_0", "f16")])
def test_a_shift_turns_keys_on(tmp_path, k, v):
    """In one layer keys and values depend on their tokens alone: after a shift it is as if the rest had been evaluated anew, but for
    one rounding of the keys more."""
    random_model(tmp_path / "one.gguf", **SHAPES["64"] | {"layers": 1})
    model = llama2swift.Model(tmp_path / "one.gguf")
    with model.context(length=192, kv="f32") as exact:
        exact.eval([*TOKENS[:3], *TOKENS[70:]])
        right, results = exact.logits().copy(), []
    for threads in (1, 3):
        with model.context(length=192, kv=k, kv_values=v, threads=threads) as context:
            context.eval(TOKENS[:149])
            context.shift(67, keep=3)
            context.eval([TOKENS[149]])
            results.append(context.logits().copy())
    assert results[0].tobytes() == results[1].tobytes()
    assert np.abs(results[0] - right).max() < {"q8_0": 0.02, "q4_0": 0.3, "f32": 0.3}[k] * np.abs(right).max()


def test_numbers_beyond_a_scale_are_refused_and_nan_stays_nan(tmp_path):
    def model(size):
        path = tmp_path / "m.gguf"
        from tiny_gguf import shape_metadata, tensor_shapes, write_gguf

        m, random = shape_metadata(**SHAPES["64"]), np.random.default_rng(0)
        w = {n: random.standard_normal(s).astype("<f4") for n, s in tensor_shapes(m, 72).items()}
        w["blk.1.attn_k"] *= size
        write_gguf(path, m, {n + ".weight": (0, x.shape[::-1], x.tobytes()) for n, x in w.items()})
        return llama2swift.Model(path)

    with model(1e8).context(length=64, kv="q8_0") as context:
        with pytest.raises(UnsupportedError, match="layer 1.*Q8_0"):
            context.eval(TOKENS[:5])
        assert context.sequence_length() == 0
    with model(float("nan")).context(length=64, kv="q4_0") as context:
        context.eval(TOKENS[:5])
        assert np.isnan(context.logits()).all()


def test_the_flag_keeps_its_meaning(stories):
    import ctypes as C

    from llama2swift import _constants as K
    from llama2swift import _library as lib
    from llama2swift import _structs as S

    for flags, type_k, type_v, expected in ((0, 0, 0, (2, 2)), (1, 0, 0, (1, 1)), (1, 3, 0, (3, 1)), (0, 0, 4, (2, 4)), (1, 2, 2, (2, 2))):
        options, handle, info = S.sized(S.ContextOptions), C.c_void_p(), S.sized(S.ContextInfo)
        options.flags, options.type_k, options.type_v, options.context_length = flags, type_k, type_v, 16
        lib.call("context_create", stories._handle, C.byref(options), C.byref(handle), None, 0)
        lib.call("context_get_info", handle, C.byref(info))
        assert (info.type_k, info.type_v) == expected and info.flags == (K.CONTEXT_KV_F32 if expected == (1, 1) else 0)
        lib.free("context", handle)


def turned(x):
    """By the Walsh-Hadamard matrix of Sylvester, along the last axis."""
    m = np.ones((1, 1))
    while len(m) < x.shape[-1]:
        m = np.block([[m, m], [m, -m]])
    return x @ m / np.sqrt(len(m))


def test_the_scale_of_4_bits_is_that_of_least_squares(models):
    """STATE.md read by hand: values of the first layer depend on their tokens alone, so that those of F32 are what was rounded."""
    d, heads, layers, count, model = 64, 2, 2, 64, models["64"]

    def first_page(kv):
        with model.context(length=192, kv="f32", kv_values=kv) as context:
            context.eval(TOKENS[:count])
            page = context.state(0)
        at = len(page) - (8 + 4 * count + layers * heads * count * (4 * d + {"f32": 4 * d, "q4_0": 4 + d // 2}[kv]) + 8)  # the page is the last section
        return page[at + 8 + 4 * count + heads * 4 * d * count :]  # behind the tokens and the first layer's keys

    exact = turned(np.frombuffer(first_page("f32")[: heads * count * d * 4], "<f4").reshape(heads * count, d).astype(float)).reshape(heads, count, 2, 32)
    raw, size = first_page("q4_0"), count * (4 + d // 2)
    for head in range(heads):
        part = raw[head * size : (head + 1) * size]
        scales = np.frombuffer(part[: 4 * count], "<f2").reshape(2, count).T.astype(float)
        bytes_ = np.frombuffer(part[4 * count :], np.uint8).reshape(count, 32)
        integers = np.stack([bytes_ & 15, bytes_ >> 4], 1).astype(float)
        integers -= 16 * (integers > 7)
        x = exact[head]
        most = np.take_along_axis(x, np.abs(x).argmax(2)[..., None], 2)
        first = np.clip(np.rint(x / (most / -8)), -8, 7)
        best = (x * first).sum(2) / (first**2).sum(2)
        assert np.abs(scales / best - 1).max() < 2**-10
        assert (integers == np.clip(np.rint(x / scales[..., None]), -8, 7)).mean() > 0.999  # F32 rounds a tie otherwise, once in a while
        errors = [((x - s[..., None] * np.clip(np.rint(x / s[..., None]), -8, 7)) ** 2).sum() for s in (scales, most[..., 0] / -8)]
        assert errors[0] < 0.98 * errors[1]
