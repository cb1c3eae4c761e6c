"""The numeric contract: logits are the same bits, whatever runs beside them and however they are computed."""

import random
import threading

import numpy as np
import pytest
from block_types import typed_model

import llama2swift

KERNELS = llama2swift.kernels_available()


def tokens_for(model, count, seed=5):
    return np.random.default_rng(seed).integers(3, model.hyperparameters.vocabulary_size, count).tolist()


def logits_of(model, tokens, splits=(), **options) -> bytes:
    """The logits of every token, evaluated in pieces that end at `splits`."""
    with model.context(**{"length": 512, "threads": 1} | options) as context:
        out, first = [], 0
        for end in [*splits, len(tokens)]:
            context.eval(tokens[first:end], all_logits=True)
            out.append(context.logits().tobytes())
            first = end
        return b"".join(out)


@pytest.fixture(scope="module", params=["smollm2", "stories", "mixed"])
def model(request, tmp_path_factory):
    if request.param != "mixed":
        return request.getfixturevalue(request.param)
    kinds = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q8_0", "Q4_K", "Q6_K"]
    shape = dict(vocabulary=130, dim=256, layers=3, heads=4, heads_kv=2, hidden=512)
    return llama2swift.Model(typed_model(tmp_path_factory.mktemp("mixed") / "mixed.gguf", kinds, **shape))


@pytest.mark.parametrize("kv", ["f16", "f32"])
def test_threads_do_not_matter(model, kv):
    tokens = tokens_for(model, 70)
    expected = logits_of(model, tokens, kv=kv)
    assert np.isfinite(np.frombuffer(expected, "<f4")).all()
    for threads in range(2, 9):
        assert logits_of(model, tokens, threads=threads, kv=kv) == expected


@pytest.mark.parametrize("kernels", KERNELS)
def test_kernels_do_not_matter(model, kernels):
    count = 20 if kernels == "reference" else 140
    tokens = tokens_for(model, count)
    assert logits_of(model, tokens, kernels=kernels, threads=2) == logits_of(model, tokens, threads=2)


@pytest.mark.parametrize("kernels", [k for k in KERNELS if k != "reference"])
def test_splits_of_the_prompt_do_not_matter(model, kernels):
    count = 30 if model.hyperparameters.block_count > 10 else 70
    tokens = tokens_for(model, count)
    expected = logits_of(model, tokens, kernels=kernels)
    for split in range(1, count):
        assert logits_of(model, tokens, [split], kernels=kernels, threads=2) == expected
    dice = random.Random(7)
    for _ in range(10):
        splits = sorted(dice.sample(range(1, count), dice.randint(2, 8)))
        assert logits_of(model, tokens, splits, kernels=kernels, threads=2) == expected
    assert logits_of(model, tokens, range(1, count), kernels=kernels) == expected  # one by one
    for batch_size in (1, 7, 64):
        assert logits_of(model, tokens, kernels=kernels, batch_size=batch_size) == expected


def test_neighbours_in_the_batch_do_not_matter(model):
    dice = random.Random(11)
    sequences = {s: tokens_for(model, 66 + s, seed=s) for s in range(5)}
    alone = {s: logits_of(model, tokens) for s, tokens in sequences.items()}
    with model.context(length=1024, sequences=5, threads=2) as context:
        done = dict.fromkeys(sequences, 0)
        got = {s: b"" for s in sequences}
        while any(done[s] < len(t) for s, t in sequences.items()):
            entries = []
            for _ in range(dice.randint(1, 40)):
                s = dice.randrange(5)
                if done[s] < len(sequences[s]):
                    entries.append((sequences[s][done[s]], s, True))
                    done[s] += 1
            if entries:
                context.eval_batch(entries)
                rows = np.atleast_2d(context.logits())
                for (_, s, _), row in zip(entries, rows):
                    got[s] += row.tobytes()
                del rows, row
        assert got == alone


def test_place_in_the_cache_does_not_matter(model):
    tokens = tokens_for(model, 100)
    expected = logits_of(model, tokens)
    with model.context(length=1024, sequences=3) as context:
        # pages are taken in turns, given back, and taken again in another order
        for s in (1, 2, 1, 2, 1):
            context.eval_batch([(t, s, False) for t in tokens_for(model, 50, seed=s)])
        context.truncate(10, 2)
        context.eval(tokens[:40])
        context.truncate(70, 1)
        context.truncate(25, 0)
        context.eval_batch([(t, 0, True) for t in tokens[25:]])
        assert context.logits().tobytes() == expected[25 * len(expected) // 100 :]


def test_two_contexts_at_once_do_not_matter(model):
    tokens = tokens_for(model, 90)
    expected = logits_of(model, tokens)
    got = [b""] * 4

    def work(i):
        got[i] = logits_of(model, tokens, [i + 1, 50], threads=2)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert got == [expected] * 4


def test_copied_file_gives_the_same(stories_path):
    tokens = list(range(5, 60))
    assert logits_of(llama2swift.Model(stories_path, copy=True), tokens) == logits_of(llama2swift.Model(stories_path), tokens)


@pytest.mark.parametrize("head_dim", [8, 24, 64])
@pytest.mark.parametrize("kernels", KERNELS)
def test_numbers_that_are_none_stay_in_their_sequence(tmp_path, kernels, head_dim):
    """A token whose embedding is NaN: beside it in the batch, before it in the same memory, after it in the same cache."""
    shape = dict(vocabulary=71, dim=64, layers=3, heads=4, heads_kv=2, hidden=96, head_dim=head_dim)
    poison, tokens = 70, list(range(1, 12))
    for kinds in (["Q8_0", "F32", "F16"], ["Q4_0"]):
        model = llama2swift.Model(typed_model(tmp_path / f"{kinds[0]}.gguf", kinds, poison=poison, **shape))
        with model.context() as context:
            context.eval(tokens)
            expected = context.logits().tobytes()
            context.eval([poison])
            assert np.isnan(context.logits()).all()
        for threads, batch_size in ((1, 0), (2, 0), (2, 5), (3, 0)):
            with model.context(sequences=2, threads=threads, batch_size=batch_size, kernels=kernels) as context:
                context.eval([poison] * 70)
                context.reset()
                context.eval_batch([(poison, 1, True)] * 3 + [(t, 0, True) for t in tokens])
                assert context.logits()[-1].tobytes() == expected
                context.reset()
                context.eval_batch([(t, 0, i == len(tokens) - 1) for i, t in enumerate(tokens)] + [(poison, 1, True)])
                assert context.logits()[0].tobytes() == expected
                context.reset()
                context.eval_batch([(poison, 1, True)] * 2)
                for token in tokens:
                    context.eval([token])
                assert context.logits().tobytes() == expected
