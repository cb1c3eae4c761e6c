"""GGUF files in several parts that disagree, cut anywhere, changed anywhere."""

import random

import pytest
from hostile_tools import SHAPE, VOCABULARY, good, write_changed  # noqa: F401 (fixtures)
from tiny_gguf import tensor_shapes

import llama2swift
from llama2swift.errors import CorruptFileError, Llama2Error, UnsupportedError


def split(good_path, folder, change=lambda part, m: None, count=3):
    """The good model in `count` files."""
    from tiny_gguf import shape_metadata, write_gguf

    metadata = shape_metadata(**SHAPE) | VOCABULARY
    shapes = list(tensor_shapes(metadata, SHAPE["vocabulary"]).items())
    paths = []
    for part in range(count):
        mine = shapes[part::count]
        m = (metadata if part == 0 else {}) | {"split.no": part, "split.count": count, "split.tensors.count": len(shapes)}
        change(part, m)
        path = folder / f"model-{part + 1:05}-of-{count:05}.gguf"
        write_gguf(path, m, {n + ".weight": (0, s[::-1], b"\0\0\x80\x3f" * (s[0] * (s[1] if len(s) > 1 else 1))) for n, s in mine})
        paths.append(path)
    return paths


def test_a_model_in_three_files_loads(tmp_path):
    whole = tmp_path / "whole.gguf"
    write_changed(whole, lambda m, t: None)
    results = []
    for path in (whole, split(None, tmp_path)[0]):
        with llama2swift.Model(path).context() as context:
            context.eval([5, 6, 7])
            results.append(context.logits().tobytes())
    assert results[0] == results[1]


def test_files_of_a_split_model_that_disagree_are_refused(tmp_path):
    paths = split(None, tmp_path)
    with pytest.raises(Llama2Error, match="not the first"):
        llama2swift.Model(paths[1])
    paths[2].unlink()
    with pytest.raises(Llama2Error, match="00003-of-00003"):
        llama2swift.Model(paths[0])
    for number, (wrong, words) in enumerate([
        (lambda part, m: m.update({"split.no": 0}) if part == 1 else None, "file 2 of 3"),
        (lambda part, m: m.update({"split.count": 4}) if part == 2 else None, "file 3 of 3"),
        (lambda part, m: m.update({"split.count": 2**32 - 1}), "split.count"),
        (lambda part, m: m.update({"split.tensors.count": 99}), "99"),
    ]):  # fmt: skip
        folder = tmp_path / str(number)
        folder.mkdir()
        with pytest.raises(CorruptFileError, match=words):
            llama2swift.Model(split(None, folder, wrong)[0])


def load_and_step(path) -> bool:
    """True when it loads; then one token must evaluate too."""
    try:
        model = llama2swift.Model(path)
    except Llama2Error as problem:
        assert str(problem)
        return False
    with model, model.context(length=64, threads=1) as context:
        context.eval([3])
        assert context.logits().shape == (model.hyperparameters.vocabulary_size,)
        try:
            model.detokenize(model.tokenize("hello"))
        except UnsupportedError as problem:  # a key that was no longer tokenizer.ggml.model
            assert "no vocabulary" in str(problem)
    return True


def test_a_file_cut_anywhere_is_refused(smollm2_path, tmp_path):
    size = 98362432
    dice = random.Random(1)
    places = [*range(0, 60, 3), *(dice.randrange(2_000_000) for _ in range(90)), *(dice.randrange(size) for _ in range(90))]
    assert len(places) == 200
    path = tmp_path / "cut.gguf"
    with open(smollm2_path, "rb") as file:
        path.write_bytes(file.read())
    for place in sorted(places, reverse=True):
        with open(path, "r+b") as file:
            file.truncate(place)
        assert not load_and_step(path)


@pytest.mark.parametrize("part", range(10))
def test_a_changed_byte_loads_or_is_refused(good, tmp_path, part):
    """2,000 changes of one byte in the header part, in ten parts."""
    end = good.index(b"output.weight") + 13 + 32
    dice, path, loaded = random.Random(part), tmp_path / "changed.gguf", 0
    for _ in range(200):
        changed = bytearray(good)
        changed[dice.randrange(end)] = dice.randrange(256)
        path.write_bytes(changed)
        loaded += load_and_step(path)
    assert 0 < loaded < 200
