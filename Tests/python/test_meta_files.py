"""Meta's folders: the trained length, tied and transposed tensors, F64, checkpoints of training, a pickle that is not alone."""

import json

import formats as F
import numpy as np
import pytest
import reference as R
from tiny_gguf import shape_metadata

import llama2swift
from llama2swift.errors import CorruptFileError, Llama2Error, UnsupportedError

SHAPE = dict(F.SHAPE)
W = F.weights(SHAPE)
TOKENS = [1, 5, 9, 3, 7]


def logits(path, **options):
    with llama2swift.Model(path, **options).context(length=16, kv="f32") as context:
        context.eval(TOKENS)
        return context.logits().copy()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return logits(F.write_meta(tmp_path_factory.mktemp("plain") / "meta", W, SHAPE))


def folder(tmp_path, params=None, pth=None):
    path = F.write_meta(tmp_path / "meta", W, SHAPE)
    if params is not None:
        (path / "params.json").write_text(json.dumps(params))
    if pth is not None:
        (path / "consolidated.00.pth").write_bytes(pth)
    return path


# The trained length. A stand-in has the keys that the published models are told by, not their size.


def params(without=(), **more):
    return {k: v for k, v in (F.params(SHAPE) | {"rope_theta": None} | more).items() if k not in without}


LENGTHS = {
    "Llama 1 7B": (dict(without=["n_kv_heads"], norm_eps=1e-6), 2048, False),
    "Llama 1 or 2, of no published size": (dict(without=["n_kv_heads"]), 2048, False),
    "Llama 2 70B": (dict(), 4096, True),
    "Llama 2 34B, theta said": (dict(rope_theta=10000.0), 4096, True),
    "Llama 3": (dict(rope_theta=500000.0), 8192, True),
    "Llama 3.1": (dict(rope_theta=500000.0, use_scaled_rope=True), 131072, True),
    "Code Llama 34B": (dict(rope_theta=1000000), 16384, True),
    "stated": (dict(max_seq_len=777, rope_theta=1000000), 777, True),
    "another theta": (dict(rope_theta=50000.0), 4096, False),
}


@pytest.mark.parametrize("name", LENGTHS)
def test_trained_length(tmp_path, name):
    more, length, certain = LENGTHS[name]
    w, shape = W, SHAPE
    if "n_kv_heads" in more.get("without", ()):
        shape = dict(SHAPE, heads_kv=SHAPE["heads"])
        w = F.weights(shape)
    path = F.write_meta(tmp_path / "meta", w, shape)
    (path / "params.json").write_text(json.dumps(params(**more)))
    model = llama2swift.Model(path)
    assert model.hyperparameters.context_length == length
    assert ("or more: its params.json does not say" in model.description) != certain
    asked = llama2swift.Model(path, context_length=12345)
    assert asked.hyperparameters.context_length == 12345 and "or more" not in asked.description


@pytest.mark.parametrize("dim, layers, epsilon, length", [(8192, 80, 1e-5, 2048), (4096, 32, 1e-5, 4096), (5120, 40, 1e-5, 4096), (6656, 60, 1e-6, 2048), (4096, 32, 1e-6, 2048)])
def test_trained_length_of_published_sizes(tmp_path, dim, layers, epsilon, length):
    """The sentence about a tensor that does not fit comes after the keys: what params.json gives is seen in a file of its own size only, so this
    asks the command that reads sizes first. Sparse files serve: no weight is looked at."""
    heads, hidden, vocabulary = dim // 128, 256, 32
    shapes = {"tok_embeddings": (vocabulary, dim), "norm": (dim,), "output": (vocabulary, dim)}
    for i in range(layers):
        for name, shape in {"attention.wq": (dim, dim), "attention.wk": (dim, dim), "attention.wv": (dim, dim), "attention.wo": (dim, dim), "feed_forward.w1": (hidden, dim),
                            "feed_forward.w2": (dim, hidden), "feed_forward.w3": (hidden, dim), "attention_norm": (dim,), "ffn_norm": (dim,)}.items():  # fmt: skip
            shapes[f"layers.{i}.{name}"] = shape
    # every tensor is a view of the beginning of one storage
    count = dim * dim
    tensors = {n + ".weight": F._Tensor("0", "HalfStorage", count, s) for n, s in shapes.items()}
    (tmp_path / "consolidated.00.pth").write_bytes(F.pth({"x": np.zeros(count, "f2")}, "HalfStorage", pickled=F.state_dict(tensors)))
    (tmp_path / "params.json").write_text(json.dumps({"dim": dim, "n_layers": layers, "n_heads": heads, "norm_eps": epsilon, "vocab_size": -1, "multiple_of": 256}))
    model = llama2swift.Model(tmp_path)
    assert model.hyperparameters.context_length == length
    assert ("does not say" in model.description) == ((dim, epsilon) == (4096, 1e-6))


def test_a_key_of_params_that_nobody_knows(tmp_path):
    for key, value in (("sliding_window", 4096), ("moe", {"num_experts": 8}), ("quantization_args", {"scheme": "int4"}), ("head_dim", 128)):
        with pytest.raises(UnsupportedError, match=key):
            llama2swift.Model(folder(tmp_path, params(**{key: value})))
    llama2swift.Model(folder(tmp_path, params(sliding_window=None, max_batch_size=4, vocab_size=SHAPE["vocabulary"])))
    with pytest.raises(CorruptFileError, match="vocab_size is 97"):
        llama2swift.Model(folder(tmp_path, params(vocab_size=97)))


def test_the_context_length_of_the_caller_counts_everywhere(tmp_path):
    gguf = F.write_gguf_model(tmp_path / "m.gguf", W, SHAPE)
    assert llama2swift.Model(gguf).hyperparameters.context_length == 256
    model = llama2swift.Model(gguf, context_length=512)
    assert model.hyperparameters.context_length == 512 and model.metadata["llama.context_length"] == "512"
    assert model.context().length == 512 if hasattr(model.context(), "length") else True
    llama2swift.convert(folder(tmp_path), tmp_path / "c.gguf", "F32", context_length=640)
    assert llama2swift.Model(tmp_path / "c.gguf").hyperparameters.context_length == 640
    for bad in (2**30 + 1, 2**32 - 1):
        with pytest.raises((Llama2Error, ValueError, OverflowError)):
            llama2swift.Model(gguf, context_length=bad)


def test_dynamic_scaling_ends_where_the_model_was_trained_whatever_the_caller_says(tmp_path):
    path = F.write_hugging_face(tmp_path / "hf", W, SHAPE, rope_scaling={"type": "dynamic", "factor": 2.0})
    assert llama2swift.Model(path, context_length=100).hyperparameters.context_length == 100
    with pytest.raises(UnsupportedError, match="dynamic"):
        llama2swift.Model(path, context_length=257)


# Tensors


def test_one_storage_under_two_names(tmp_path):
    tensors = F.meta_tensors(W, SHAPE)
    del tensors["output.weight"]
    ready = {n: F._Tensor(str(i), "FloatStorage", x.size, x.shape) for i, (n, x) in enumerate(tensors.items())}
    ready["output.weight"] = F._Tensor(str(list(tensors).index("tok_embeddings.weight")), "FloatStorage", W["token_embd"].size, W["token_embd"].shape)
    path = folder(tmp_path, pth=F.pth(tensors, pickled=F.state_dict(ready)))
    tied = {n: x for n, x in W.items() if n != "output"}
    right = R.logits(shape_metadata(**SHAPE), tied, TOKENS)[-1]
    assert np.abs(logits(path) - right).max() < 1e-5 * np.abs(right).max()
    llama2swift.convert(path, tmp_path / "o.gguf", "F32")
    assert logits(tmp_path / "o.gguf").tobytes() == logits(path).tobytes()


@pytest.mark.parametrize("kind, dtype", [("FloatStorage", "<f4"), ("HalfStorage", "<f2"), ("DoubleStorage", "<f8")])
def test_transposed_and_shifted_tensors(tmp_path, kind, dtype):
    """Columns first, and behind others in one storage: what torch.save makes of views."""
    import io
    import zipfile

    w = {n: x.astype("<f2").astype("<f4") for n, x in W.items()}
    tensors, data, ready = F.meta_tensors(w, SHAPE), b"", {}
    size = np.dtype(dtype).itemsize
    total = sum(x.size for x in tensors.values())
    for i, (name, x) in enumerate(tensors.items()):
        offset = len(data) // size
        if x.ndim == 2 and i % 2:
            ready[name] = F._Tensor("0", kind, total, x.shape, strides=(1, x.shape[0]), offset=offset)
            data += np.ascontiguousarray(x.T).astype(dtype).tobytes()
        else:
            ready[name] = F._Tensor("0", kind, total, x.shape, offset=offset)
            data += x.astype(dtype).tobytes()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("consolidated/data.pkl", F.state_dict(ready))
        archive.writestr("consolidated/data/0", data)
    found = logits(folder(tmp_path, pth=out.getvalue()))
    right = logits(F.write_meta(tmp_path / "right", w, SHAPE, kind="FloatStorage" if kind != "HalfStorage" else kind))
    assert found.tobytes() == right.tobytes()


def test_views_cannot_make_much_of_little(tmp_path):
    """Transposed views are copied: of one storage, as many as fit a file would take any amount of memory."""
    shape = (4096, 4096)
    tensors = {f"layers.{i}.attention.wq.weight": F._Tensor("0", "HalfStorage", 1 << 24, shape, strides=(1, 4096)) for i in range(64)}
    path = folder(tmp_path, pth=F.pth({"x": np.zeros(1 << 24, "f2")}, "HalfStorage", pickled=F.state_dict(tensors)))
    with pytest.raises(CorruptFileError, match="shares its bytes with others"):
        llama2swift.Model(path)


@pytest.mark.parametrize("key", ["model", "state_dict", "module"])
def test_a_checkpoint_of_training(tmp_path, plain, key):
    import io

    tensors = F.meta_tensors(W, SHAPE)
    ready = {n: F._Tensor(str(i), "FloatStorage", x.size, x.shape) for i, (n, x) in enumerate(tensors.items())}

    def pickled(outer):
        out = io.BytesIO()
        F._Pickler(out, protocol=2).dump(outer)
        return out.getvalue()

    assert logits(folder(tmp_path, pth=F.pth(tensors, pickled=pickled({key: ready, "step": 3, "rate": 1e-4, "name": "x", "done": True, "none": None})))).tobytes() == plain.tobytes()
    for more in ({"optimizer": {"x": 1}}, {"extra": ready["norm.weight"]}):
        with pytest.raises(UnsupportedError, match=f'"{next(iter(more))}" beside the state dict'):
            llama2swift.Model(folder(tmp_path, pth=F.pth(tensors, pickled=pickled({key: ready} | more))))
    with pytest.raises(CorruptFileError, match="two state dicts"):
        llama2swift.Model(folder(tmp_path, pth=F.pth(tensors, pickled=pickled({"model": ready, "state_dict": dict(ready)}))))


def test_two_pickles_are_one_too_many(tmp_path):
    tensors = F.meta_tensors(W, SHAPE)
    for name in ("other/data.pkl", "data.pkl"):
        path = folder(tmp_path, pth=F.pth(tensors, extra=[(name, F.state_dict(tensors))]))
        with pytest.raises(CorruptFileError, match="several entries data.pkl"):
            llama2swift.Model(path)
