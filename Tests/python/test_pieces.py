"""A model in pieces of some layers each: the logits are one process's, bit for bit."""

import pickle

import adapters as L
import formats as F
import numpy as np
import pytest
from conftest import FIXTURES

import llama2swift
from llama2swift import errors as E

IDS = [3 + 11 * i * i % 490 for i in range(150)]
SPLITS = {1: [5], 2: [2, 3], 3: [1, 3, 1], 5: [1, 1, 1, 1, 1]}


def pieces(path, counts, **options):
    first, out = 0, []
    for count in counts:
        out.append(llama2swift.Model(path, first_layer=first, layer_count=count).context(**options))
        first += count
    return out


def through(contexts, entries, hidden=None):
    """The entries through all pieces; logits wanted of the last one only."""
    for context in contexts[:-1]:
        hidden = context.eval_layers([(t, s, False) for t, s, _ in entries], hidden)
    contexts[-1].eval_layers(entries, hidden)
    return np.atleast_2d(contexts[-1].logits()).copy()


@pytest.fixture(scope="module")
def gguf(stories_path, tmp_path_factory):
    path = tmp_path_factory.mktemp("pieces") / "q8.gguf"
    llama2swift.quantize(stories_path, path, "Q8_0")
    return path


@pytest.mark.parametrize("count", SPLITS)
@pytest.mark.parametrize("quantized", [False, True])
def test_logits_are_those_of_one_process(stories_path, gguf, count, quantized):
    path = gguf if quantized else stories_path
    options = dict(length=600, sequences=3, kv="f16")
    rounds = [[(t, 0, True) for t in IDS[:70]], [(t, s, s == 1) for t in IDS[:20] for s in (1, 2)], [(IDS[70], 0, True)], [(t, 0, i == 8) for i, t in enumerate(IDS[71:80])]]
    with llama2swift.Model(path).context(**options) as whole:
        expected = []
        for entries in rounds:
            whole.eval_batch(entries)
            expected.append(np.atleast_2d(whole.logits()).copy())
    for number, more in enumerate([dict(), dict(threads=3, batch_size=16), dict(kernels="reference")]):
        contexts = pieces(path, SPLITS[count], **options | more)
        for entries, wanted in zip(rounds, expected):
            assert through(contexts, entries).tobytes() == wanted.tobytes(), number
        for context in contexts:
            assert context.sequence_length(0) == 80
            context.copy_sequence(0, 1, 75)
        for context in contexts:
            context.close()


def test_smollm2_in_pieces(smollm2_path):
    entries = [(5 + 7 * i, 0, i % 4 == 3) for i in range(12)]
    with llama2swift.Model(smollm2_path).context(length=64) as whole:
        whole.eval_batch(entries)
        expected = whole.logits().tobytes()
    for counts in ([15, 15], [7, 20, 3], [1, 10, 8, 10, 1]):
        contexts = pieces(smollm2_path, counts, length=64)
        assert through(contexts, entries).tobytes() == expected, counts
        for context in contexts:
            context.close()


def test_each_piece_holds_its_own(stories_path):
    """Layers, bytes, keys and values: together what the whole has."""
    whole = llama2swift.Model(stories_path)
    shape, kv = whole.hyperparameters, llama2swift.preflight(stories_path, 256).kv_bytes
    parts = [llama2swift.Model(stories_path, first_layer=f, layer_count=c) for f, c in ((0, 2), (2, 2), (4, 1))]
    shapes = [p.hyperparameters for p in parts]
    assert [(s.first_layer, s.block_count, s.all_layers) for s in shapes] == [(0, 2, 5), (2, 2, 5), (4, 1, 5)]
    embedding = 512 * 64  # which the last piece makes its logits of: it is tied
    assert sum(s.parameter_count for s in shapes) == shape.parameter_count + embedding
    assert all(s.file_bytes < shape.file_bytes for s in shapes) and sum(s.file_bytes for s in shapes) == pytest.approx(shape.file_bytes + 4 * embedding, rel=0.05)
    memory = [p.context(256).info.memory_bytes for p in parts]
    assert whole.context(256).info.memory_bytes > max(memory) and kv > 0
    assert "2 of 5 layers" in parts[0].description
    again = pickle.loads(pickle.dumps(parts[1]))
    assert again.hyperparameters == shapes[1]
    last = llama2swift.Model(stories_path, first_layer=3).hyperparameters
    assert (last.first_layer, last.block_count) == (3, 2)


def test_what_a_piece_refuses(stories_path):
    first, last = pieces(stories_path, [2, 3], length=64)
    entries = [(t, 0, False) for t in IDS[:4]]
    hidden = first.eval_layers(entries)
    assert hidden.shape == (4, 64) and hidden.dtype == np.float32
    nan, inf = hidden.copy(), hidden.copy()
    nan[2, 5], inf[3, 63] = np.nan, np.inf
    for context, given, wanted, match in [
        (first, hidden, entries, "hidden states are given for layers 0 to 1 of 5"), (last, None, entries, "hidden states are missing for layers 2 to 4 of 5"),
        (last, nan, entries, "hold nan in row 2, column 5"), (last, inf, entries, "hold inf in row 3, column 63"), (first, None, [(1, 0, True)], "logits are wanted of layers 0 to 1 of 5"),
    ]:  # fmt: skip
        before = context.sequence_length()
        with pytest.raises(E.InvalidArgumentError, match=match):
            context.eval_layers(wanted, given)
        assert context.sequence_length() == before
    for shape in ((3, 64), (4, 63)):
        with pytest.raises(ValueError, match="hidden has shape"):
            last.eval_layers(entries, np.zeros(shape, np.float32))
    for context in (first, last):
        for call in (lambda c: c.eval([1]), lambda c: c.eval_batch([(1, 0, True)]), lambda c: c.perplexity(IDS[:16], window=8), lambda c: c.score([1], [2]), lambda c: list(c.generate([1], max_tokens=1))):
            with pytest.raises(E.UnsupportedError, match="this model is a piece, layers"):
                call(context)
    for wrong in (dict(first_layer=5), dict(layer_count=6), dict(first_layer=3, layer_count=3), dict(first_layer=2**32 - 1), dict(layer_count=2**32 - 1)):
        with pytest.raises(E.OutOfRangeError, match="layers from"):
            llama2swift.Model(stories_path, **wrong)
    with pytest.raises(E.InvalidArgumentError, match="LLAMA2_MODEL_COPY"):
        llama2swift.Model(stories_path, copy=True, layer_count=2)


def test_what_comes_from_elsewhere_is_never_adopted(stories_path):
    first, last = pieces(stories_path, [2, 3], length=400, sequences=3)
    entries = [(t, 0, False) for t in IDS[:100]]
    hidden = first.eval_layers(entries)
    last.eval_layers(entries, hidden * np.float32(1.5))
    assert first.adopt(IDS[:100], 1) == 99 and last.adopt(IDS[:100], 1) == 0
    # states are of a piece
    state = last.state(0)
    other = pieces(stories_path, [3, 2], length=400)
    with pytest.raises(E.InvalidArgumentError, match="of another model"):
        other[1].set_state(state, 0)
    last.set_state(state, 2)
    assert last.sequence_length(2) == 100


def test_adapters_of_pieces(tmp_path):
    model = F.write_gguf_model(tmp_path / "m.gguf", L.base())
    path = L.write_adapter(tmp_path / "a.gguf", L.GOLDEN[0][1], 6)
    whole = llama2swift.Model(model)
    entries = [(t, 0, True) for t in L.TOKENS]
    with whole.context(length=128) as context:
        context.set_adapters(0, [(whole.adapter(path), 1.0)])
        context.eval_batch(entries)
        expected = context.logits().tobytes()
    contexts = pieces(model, [1, 1], length=128)
    adapters = [c.model.adapter(path) for c in contexts]
    assert [a.products for a in adapters] == [7, 8]
    for context, adapter in zip(contexts, adapters):
        context.set_adapters(0, [(adapter, 1.0)])
    assert through(contexts, entries).tobytes() == expected


def test_of_a_huggingface_folder(tmp_path):
    folder = F.write_hugging_face(tmp_path / "hf", L.base())
    entries = [(t, 0, True) for t in L.TOKENS]
    with llama2swift.Model(folder).context(length=128) as context:
        context.eval_batch(entries)
        expected = context.logits().tobytes()
    assert through(pieces(folder, [1, 1], length=128), entries).tobytes() == expected
    assert (FIXTURES / "stories260K.bin").exists()
