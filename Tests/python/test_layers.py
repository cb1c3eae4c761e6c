"""The residual stream behind layers: what is seen, what is changed, what it costs the others; control vectors."""

import threading

import adapters as L
import formats as F
import numpy as np
import pytest
from tiny_gguf import shape_metadata, write_gguf

import llama2swift
from llama2swift import errors as E

TOKENS, E_ = L.TOKENS, F.SHAPE["dim"]
DIRECTION = L.exact("direction", (E_,), 0.5)


def write(path, w, layers=2, biases=None):
    tensors = {n + ".weight": (0, x.shape[::-1], x.tobytes()) for n, x in w.items() if not n.startswith("blk.") or int(n.split(".")[1]) < layers}
    tensors |= {name: (0, x.shape, x.astype("<f4").tobytes()) for name, x in (biases or {}).items()}
    write_gguf(path, shape_metadata(**F.SHAPE | dict(layers=layers)), tensors)
    return llama2swift.Model(path)


def control(path, directions, **metadata):
    tensors = {f"direction.{n}": (0, x.shape[::-1], x.astype("<f4").tobytes()) for n, x in directions.items()}
    write_gguf(path, {"general.architecture": "controlvector", "controlvector.model_hint": "llama", "controlvector.layer_count": len(directions)} | metadata, tensors)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write(tmp_path_factory.mktemp("layers") / "m.gguf", L.base())


def rows(model, adapters=(), callback=None, tokens=TOKENS, **options) -> np.ndarray:
    named = {k: options.pop(k) for k in ("change", "layer", "sequence", "first_position", "positions") if k in options}
    with model.context(length=192, **dict(kv="f32") | options) as context:
        context.set_adapters(0, adapters)
        context.set_layer_callback(callback, **named)
        context.eval(tokens, all_logits=True)
        return np.atleast_2d(context.logits()).copy()


@pytest.mark.parametrize("options", [dict(), dict(threads=3, batch_size=16), dict(kernels="reference", batch_size=1)])
def test_what_is_seen_is_the_residual_stream(model, tmp_path, options):
    """Behind layer l it is what a model of l + 1 layers makes its logits of."""
    seen = {0: [], 1: []}

    def look(view):
        assert view.sequence == 0 and view.position == sum(len(r) for r in seen[view.layer]) and not view.hidden.flags.writeable
        seen[view.layer].append(view.hidden.copy())

    assert rows(model, callback=look, **options).tobytes() == rows(model).tobytes()
    w = L.base()
    for layer in (0, 1):
        x = np.concatenate(seen[layer]).astype(np.float64)
        logits = x / np.sqrt((x**2).mean(1, keepdims=True) + 1e-5) * w["output_norm"] @ w["output"].T
        expected = rows(write(tmp_path / f"{layer}.gguf", w, layer + 1))
        assert np.abs(logits - expected).max() <= 1e-5 * np.abs(expected).max()


def test_chosen_positions(model):
    seen = []
    note = lambda v: seen.append((v.layer, v.sequence, v.position, len(v.hidden)))  # noqa: E731
    with model.context(length=256, sequences=3, batch_size=7) as context:
        context.set_layer_callback(note, layer=1, sequence=2, first_position=3, positions=6)
        context.eval_batch([(t, s, False) for t in TOKENS[:10] for s in (0, 2)])
        assert [s[2] for s in seen] == [3, 4, 5, 6, 7, 8] and {(s[0], s[1], s[3]) for s in seen} == {(1, 2, 1)}
        seen.clear()
        context.set_layer_callback(note, first_position=10)
        context.eval_batch([(t, 2, False) for t in TOKENS[:9]])
        assert seen == [(0, 2, 10, 7), (1, 2, 10, 7), (0, 2, 17, 2), (1, 2, 17, 2)]
        seen.clear()
        context.set_layer_callback(None)
        context.eval(TOKENS[:3])
        assert not seen
        for wrong in (dict(layer=2), dict(sequence=3), dict(sequence=-1), dict(layer=2**32 - 1)):
            with pytest.raises(E.OutOfRangeError):
                context.set_layer_callback(note, **wrong)
        context.set_layer_callback(note, first_position=2**64 - 1, positions=2**64 - 1)
        context.eval(TOKENS[:3])
        assert not seen


def test_what_is_written_is_gone_on_with(model, tmp_path):
    """A vector added behind layer l is a bias of its last product."""

    def add(view):
        view.hidden[:] += DIRECTION

    for layer in (0, 1):
        expected = rows(write(tmp_path / f"{layer}.gguf", L.base(), biases={f"blk.{layer}.ffn_down.bias": DIRECTION}))
        found = rows(model, callback=add, change=True, layer=layer)
        assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max() and np.abs(found - rows(model)).max() > 0.01
        for options in (dict(threads=3, batch_size=16), dict(kernels="reference", batch_size=1)):
            assert rows(model, callback=add, change=True, layer=layer, **options).tobytes() == found.tobytes()


def test_steered_pages_are_never_shared(model):
    expected = rows(model)[-1].tobytes()
    with model.context(length=600, sequences=4, kv="f32") as context:
        def last(sequence, first=0):
            context.eval_batch([(t, sequence, i == len(TOKENS) - 1 - first) for i, t in enumerate(TOKENS[first:])])
            return context.logits().tobytes()

        context.set_layer_callback(lambda v: v.hidden.__iadd__(1) is None, change=True, sequence=0)
        assert last(0) != expected
        assert context.adopt(TOKENS, 1) == 0 and last(1) == expected
        assert context.info.pages_shared == 0
        assert context.adopt(TOKENS, 2) == 69 and last(2, 69) == expected
        # from where it was steered on
        context.truncate(0, 2)
        context.truncate(0, 1)
        context.reset()
        other = [(t * 5 + 1) % 96 for t in TOKENS]
        context.set_layer_callback(lambda v: v.hidden.__iadd__(1) is None, change=True, first_position=40)
        context.eval(other)
        assert context.adopt(other, 3) == 40
        # a state says so, too
        state = context.state(0)
        context.reset()
        context.set_state(state, 1)
        assert context.adopt(other, 3) == 40
        # who only looks disturbs nobody
        context.set_layer_callback(lambda v: None)
        context.reset()
        assert last(2) == expected and context.adopt(TOKENS, 3) == 69


def test_a_callback_that_calls_back_in_raises_or_stops(model):
    found = []
    with model.context(length=128, kv="f32") as context:
        context.eval(TOKENS[:5])
        before = context.logits().tobytes()

        def back(view):
            for call in (lambda: context.eval([1]), context.reset, lambda: context.set_layer_callback(None), lambda: context.sequence_length(), lambda: context.state()):
                with pytest.raises(E.BusyError):
                    call()
                found.append(view.layer)

        context.set_layer_callback(back)
        context.eval(TOKENS[5:8])
        assert found == [0] * 5 + [1] * 5
        context.truncate(5)
        context.eval([3])
        for callback, problem in ((lambda v: v.layer == 1, E.CancelledError), (lambda v: 1 / 0, ZeroDivisionError)):
            context.set_layer_callback(callback)
            with pytest.raises(problem):
                context.eval(TOKENS[:9])
            assert context.sequence_length() == 6
        # an array that stays is known
        kept = []
        context.set_layer_callback(lambda v: kept.append(v.hidden))
        context.eval([4])
        with pytest.raises(BufferError):
            context.eval([4])
        kept.clear()
        context.set_layer_callback(None)
        context.reset()
        context.eval(TOKENS[:5])
        assert context.logits().tobytes() == before


def test_freed_from_inside(model):
    context = model.context(length=128)
    context.set_layer_callback(lambda v: context._finalizer() is not None)
    done = threading.Thread(target=lambda: context.eval(TOKENS))
    done.start()
    done.join()
    with pytest.raises(E.BadHandleError):
        context.sequence_length()


# ---- Control vectors


def test_a_control_vector_is_the_same_addition(model, tmp_path):
    adapter = model.adapter(control(tmp_path / "c.gguf", {1: DIRECTION}))
    assert (adapter.products, adapter.rank) == (0, 0)

    def add(scale):
        return lambda view: view.hidden.__iadd__(np.float32(scale) * DIRECTION) is None

    for scale in (1.0, -0.5):
        expected = rows(model, callback=add(scale), change=True, layer=1)
        for options in (dict(), dict(threads=3, batch_size=16), dict(kernels="reference", batch_size=1)):
            assert rows(model, [(adapter, scale)], **options).tobytes() == expected.tobytes()


def test_control_vectors_of_some_sequences_beside_lora(model, tmp_path):
    vector = model.adapter(control(tmp_path / "c.gguf", {1: DIRECTION}))
    lora = model.adapter(L.write_adapter(tmp_path / "a.gguf", L.GOLDEN[0][1], 6))
    sets = [[], [(vector, 1.0)], [(lora, 1.0)], [(lora, 1.0), (vector, 0.5)]]
    expected = [rows(model, chosen)[-1].tobytes() for chosen in sets]
    assert len(set(expected)) == 4
    with model.context(length=600, sequences=4, kv="f32", threads=2) as context:
        for sequence, chosen in enumerate(sets):
            context.set_adapters(sequence, chosen)
        context.eval_batch([(t, s, i == len(TOKENS) - 1) for i, t in enumerate(TOKENS) for s in range(4)])
        assert [row.tobytes() for row in context.logits()] == expected
        assert context.info.pages_shared == 0
        # steered by a file, it is still a function of tokens and adapters: found under the same
        context.truncate(0, 2)
        context.set_adapters(2, sets[3])
        assert context.adopt(TOKENS, 2) == 69


@pytest.mark.parametrize(
    "directions, metadata, match",
    [
        ({0: DIRECTION}, {}, "direction.0 is no direction.N with N from 1 on"), ({2: DIRECTION}, {}, "direction.2 is for a layer that this model of 2 layers"), ({"1x": DIRECTION}, {}, "direction.1x is no"),
        ({1: DIRECTION[:-1]}, {}, r"direction.1 has shape \[63\], expected \[64\]"), ({1: DIRECTION.reshape(1, -1)}, {}, "direction.1 has type F32 and shape"), ({1: DIRECTION * np.nan}, {}, "direction.1, row 0, column 0: nan is not finite"),
        ({}, {}, "holds no tensors"), ({1: DIRECTION}, {"controlvector.model_hint": "qwen2"}, 'model_hint is "qwen2"'), ({1: DIRECTION}, {"controlvector.magic": 1}, "controlvector.magic is none"),
    ],
)  # fmt: skip
def test_control_vectors_that_are_refused_by_name(model, tmp_path, directions, metadata, match):
    with pytest.raises((E.UnsupportedError, E.CorruptFileError), match=match):
        model.adapter(control(tmp_path / "c.gguf", directions, **metadata))


def test_a_control_vector_cannot_be_merged(model, tmp_path):
    with pytest.raises(E.UnsupportedError, match="is a control vector"):
        llama2swift.convert(model._pickled[0], tmp_path / "m.gguf", adapter=control(tmp_path / "c.gguf", {1: DIRECTION}))
