"""LoRA adapters: what `peft` computes, on every path; per sequence, never shared with what was computed without them; or refused by name."""

import itertools
import threading

import adapters as L
import formats as F
import numpy as np
import pytest
from adapters_tools import TOKENS, folder, loaded, model, models, rows  # noqa: F401 (fixtures)
from conftest import FIXTURES

import llama2swift
from llama2swift import errors as E


def test_logits_are_those_of_peft(models, folder):
    golden = np.load(FIXTURES / "adapters.npz")["logits"]
    expected = []
    for model in models:  # the rows of q and k in each order
        loaded = {name: model.adapter(folder / name) for name, *_ in L.GOLDEN}
        found = [rows(model, [(loaded[name], scale) for name, scale in chosen]) for chosen in L.LISTS]
        for ours, theirs, plain in zip(found, golden, golden[:1].repeat(4, 0)):
            assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()
            assert ours is found[0] or np.abs(theirs - plain).max() > 0.1
        expected.append([f.tobytes() for f in found])
    assert expected[0] == expected[1]  # to the bit


def test_a_gguf_file_is_the_same_adapter(models, folder, loaded):
    for model in models:
        adapter = model.adapter(folder / "all.gguf")
        assert adapter.fingerprint == loaded["all"].fingerprint and (adapter.products, adapter.rank) == (15, 4)
    assert loaded["some"].fingerprint != loaded["all"].fingerprint and loaded["some"].rank == 17
    assert loaded["some"].bytes >= 4 * sum(a.size + b.size for a, b in L.GOLDEN[1][1].values())


def test_what_llama_cpp_converted_is_read(model, tmp_path):
    """Its converter knows one alpha and neither rsLoRA nor patterns: factor alpha / rank."""
    found = rows(model, [(model.adapter(FIXTURES / "adapter.gguf"), 1.0)])
    ranks = {name: a.shape[0] for name, (a, _) in L.GOLDEN[1][1].items()}
    L.write_peft(tmp_path / "same", L.GOLDEN[1][1], r=3, lora_alpha=2, target_modules=["q_proj", "v_proj", "down_proj"],
                 rank_pattern={L.module(n): r for n, r in ranks.items()})  # fmt: skip
    assert found.tobytes() == rows(model, [(model.adapter(tmp_path / "same"), 1.0)]).tobytes()
    assert found.tobytes() != rows(model).tobytes()


def test_the_same_bits_over_kernels_threads_splits_and_neighbours(model, loaded):
    chosen = [(loaded["some"], 0.5), (loaded["all"], -1.5)]
    expected, plain = rows(model, chosen), rows(model)
    for kernels, threads in itertools.product(llama2swift.kernels_available(), (1, 3)):
        for pieces, batch in (([TOKENS], 256), ([TOKENS[:9], TOKENS[9:66], *([t] for t in TOKENS[66:])], 16), *([([[t] for t in TOKENS], 1)] if threads == 1 else [])):
            found = rows(model, chosen, pieces, 1, kernels=kernels, threads=threads, batch_size=batch)
            assert found.tobytes() == expected.tobytes(), (kernels, threads, batch)
        with model.context(length=640, sequences=5, kv="f32", kernels=kernels, threads=threads, batch_size=37) as context:
            sets = [[], chosen, [(loaded["all"], 1.0)], chosen, []]
            for sequence, adapters in enumerate(sets):
                context.set_adapters(sequence, adapters)
            context.eval_batch([(t, s, s in (1, 4)) for i, t in enumerate(TOKENS) for s in ((0, 1, 2, 3, 4) if i % 3 else (4, 3, 2, 1, 0))])
            logits = context.logits()
            places = [s for i in range(len(TOKENS)) for s in ((1, 4) if i % 3 else (4, 1))]
            for sequence, wanted in ((1, expected), (4, plain)):
                assert logits[[p == sequence for p in places]].tobytes() == wanted.tobytes()
            del logits
    assert rows(model, [(loaded["all"], 0.0)]).tobytes() == plain.tobytes()


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_K", "Q4_0", "F16", "BF16"])
def test_on_other_types_of_weights(model, folder, tmp_path, kind):
    """The difference that an adapter makes is nearly that in F32, and the same bits on each kernel."""
    llama2swift.quantize(folder / "model.gguf", tmp_path / "m.gguf", {"Q4_K": "Q4_K_S"}.get(kind, kind))
    other = llama2swift.Model(tmp_path / "m.gguf")
    adapter, exact = other.adapter(folder / "all"), rows(model, [(model.adapter(folder / "all"), 1.0)])
    found = [rows(other, [(adapter, 1.0)], kernels=k, threads=t).tobytes() for k in llama2swift.kernels_available() for t in (1, 2)]
    assert len(set(found)) == 1
    error = np.abs(np.frombuffer(found[0], np.float32).reshape(exact.shape) - exact).mean()
    assert error < np.abs(rows(other) - rows(model)).mean() * 1.5 + 1e-4 < np.abs(rows(model) - exact).mean()


def test_pages_of_other_adapters_are_never_found(model, loaded):
    expected = {name: rows(model, [(a, 1.0)], [TOKENS])[-1].tobytes() for name, a in loaded.items()} | {"": rows(model)[-1].tobytes()}
    with model.context(length=400, sequences=3, kv="f32") as context:
        def last(sequence, found):
            context.eval_batch([(t, sequence, i == len(TOKENS) - found - 1) for i, t in enumerate(TOKENS[found:])])
            return context.logits().tobytes()

        context.eval(TOKENS)
        context.set_adapters(1, [(loaded["all"], 1.0)])
        assert context.adopt(TOKENS, 1) == 0
        assert last(1, 0) == expected["all"]
        assert context.info.pages_shared == 0
        context.set_adapters(2, [(loaded["all"], 1.0)])
        assert context.adopt(TOKENS, 2) == 69 and last(2, 69) == expected["all"] and context.info.pages_shared == 1
        context.truncate(0, 2)
        for other in ([(loaded["all"], 0.5)], [(loaded["some"], 1.0)], [(loaded["all"], 1.0), (loaded["some"], 1.0)]):
            context.set_adapters(2, other)
            assert context.adopt(TOKENS, 2) == 0
        context.set_adapters(2, [])
        assert context.adopt(TOKENS, 2) == 69 and last(2, 69) == expected[""]
        # of a removed sequence, after the adapter was another meanwhile
        context.truncate(0, 1)
        context.truncate(0, 2)
        context.set_adapters(1, [(loaded["some"], 1.0)])
        assert context.adopt(TOKENS, 1) == 0 and last(1, 0) == expected["some"]
        context.set_adapters(2, [(loaded["all"], 1.0)])
        assert context.adopt(TOKENS, 2) == 69 and last(2, 69) == expected["all"]
        # a copy has the adapters of its source, also what follows
        context.copy_sequence(1, 0, 10)
        context.eval_batch([(t, 0, i == 59) for i, t in enumerate(TOKENS[10:])])
        assert context.logits().tobytes() == expected["some"]
        # they stay over a reset
        context.reset()
        assert context.adopt(TOKENS, 2) == 69 and last(2, 69) == expected["all"]


def test_adapters_are_set_of_empty_sequences(model, loaded):
    with model.context(length=64, sequences=2) as context:
        context.set_adapters(0, [(loaded["all"], 1.0)])
        context.eval(TOKENS[:5])
        before = context.logits().tobytes()
        context.set_adapters(0, [(loaded["all"], 1.0)])  # the same
        for other in ([], [(loaded["all"], 2.0)], [(loaded["some"], 1.0)]):
            with pytest.raises(E.InvalidArgumentError, match="has 5 positions that were computed with other adapters"):
                context.set_adapters(0, other)
        assert context.logits().tobytes() == before and context.sequence_length() == 5
        for wrong, match in [([(loaded["all"], 1.0)] * 2, "adapter 1 is in the list before"), ([(loaded["all"], np.inf)], "scale of adapter 0 is inf"), ([(loaded["all"], np.nan)], "scale")]:
            with pytest.raises(E.InvalidArgumentError, match=match):
                context.set_adapters(1, wrong)
        for sequence in (-1, 2):
            with pytest.raises(E.OutOfRangeError):
                context.set_adapters(sequence, [(loaded["all"], 1.0)])


def test_freed_adapters_serve_those_who_have_them(folder):
    model = llama2swift.Model(folder / "model.gguf")
    adapter, other = model.adapter(folder / "all"), llama2swift.Model(folder / "model.gguf").adapter(folder / "all")
    expected = rows(model, [(adapter, 1.0)]).tobytes()
    with model.context(length=96, kv="f32") as context:
        with pytest.raises(E.InvalidArgumentError, match="adapter 0 was loaded for another model"):
            context.set_adapters(0, [(other, 1.0)])
        context.set_adapters(0, [(adapter, 1.0)])
        closing = threading.Thread(target=lambda: (adapter.close(), model.close()))
        closing.start()
        context.eval(TOKENS, all_logits=True)
        closing.join()
        assert context.logits().tobytes() == expected
        context.reset()
        context.eval(TOKENS, all_logits=True)
        assert context.logits().tobytes() == expected
        with pytest.raises(E.BadHandleError):
            context.set_adapters(0, [(adapter, 1.0)])
    with pytest.raises(E.BadHandleError):
        _ = adapter.rank


def test_states_say_which_adapters(model, loaded):
    chosen = [(loaded["some"], 0.5), (loaded["all"], -1.5)]
    with model.context(length=400, sequences=3, kv="f32") as context, model.context(length=400, sequences=3, kv="f32") as other:
        context.set_adapters(1, chosen)
        for sequence in (0, 1):
            context.eval_batch([(t, sequence, i == 68) for i, t in enumerate(TOKENS[:69])])
        context.copy_sequence(1, 2)
        one, whole = context.state(1), context.state()
        for state, sequence in ((one, 1), (whole, None)):
            for wrong in ([], chosen[:1], chosen[::-1], [chosen[0], (chosen[1][0], 1.5)]):
                other.set_adapters(1, wrong)
                with pytest.raises(E.InvalidArgumentError, match="sequence 1 of the state was computed with other adapters"):
                    other.set_state(state, sequence)
        other.set_adapters(1, chosen)
        other.set_state(one, 1)
        with pytest.raises(E.InvalidArgumentError, match="sequence 2 of the state was computed with other adapters"):
            other.set_state(whole)
        other.set_adapters(2, chosen)
        other.set_state(whole)
        assert other.state() == whole and other.info.pages_shared == context.info.pages_shared == 2
        for sequence, adapters in ((0, []), (1, chosen), (2, chosen)):
            other.eval_batch([(TOKENS[69], sequence, True)])
            assert other.logits().tobytes() == rows(model, adapters)[-1].tobytes()
        # a page of two sequences with other adapters is a lie
        head, table = bytearray(whole[:80]), bytearray(whole[80:])
        assert int.from_bytes(table[12:16], "little") == 0 and int.from_bytes(table[24 + 12 : 24 + 16], "little") == 2
        table[24 + 16 : 24 + 24] = table[16:24]
        size = len(table) - len(whole[80:]) + 8 * -(-(16 * 3 + 4 * 6 + 16 * 4) // 8)
        table[size : size + 8] = _fnv(table[:size])
        with pytest.raises(E.CorruptFileError, match="out of its place"):
            other.set_state(bytes(head + table))


def _fnv(data) -> bytes:
    h = 0xCBF29CE484222325
    for i in range(0, len(data), 8):
        h = (h ^ int.from_bytes(data[i : i + 8], "little")) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return h.to_bytes(8, "little")


@pytest.mark.parametrize("source", ["model.gguf", "hf"])
def test_an_adapter_becomes_part_of_a_file(model, folder, tmp_path, source):
    expected = rows(model, [(model.adapter(folder / "all"), 0.5)])
    llama2swift.convert(folder / source, tmp_path / "m.gguf", "F32", adapter=folder / "all", adapter_scale=0.5)
    found = rows(llama2swift.Model(tmp_path / "m.gguf"))
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    # quantized from the sum, not before
    llama2swift.quantize(folder / source, tmp_path / "q.gguf", "Q8_0", adapter=folder / "all.gguf", adapter_scale=0.5, threads=3)
    llama2swift.quantize(tmp_path / "m.gguf", tmp_path / "q2.gguf", "Q8_0")
    assert (tmp_path / "q.gguf").read_bytes() == (tmp_path / "q2.gguf").read_bytes()


def test_what_cannot_be_merged(folder, tmp_path):
    F.write_gguf_model(tmp_path / "tied.gguf", L.base(tied=True))
    with pytest.raises(E.UnsupportedError, match="shares with the embedding"):
        llama2swift.convert(tmp_path / "tied.gguf", tmp_path / "m.gguf", adapter=folder / "all")
    with pytest.raises(FileNotFoundError) as problem:
        llama2swift.convert(folder / "hf", tmp_path / "m.gguf", adapter=tmp_path / "nothing")
    assert problem.value.filename.endswith("nothing") and not (tmp_path / "m.gguf").exists()
    with pytest.raises(ValueError, match="adapter_scale is 0"):
        llama2swift.convert(folder / "hf", tmp_path / "m.gguf", adapter=folder / "all", adapter_scale=0)
    with pytest.raises(ValueError, match="without an adapter"):
        llama2swift.convert(folder / "hf", tmp_path / "m.gguf", adapter_scale=0.5)
    # beside the shared output matrix it counts, as in PEFT
    model = llama2swift.Model(tmp_path / "tied.gguf")
    assert rows(model, [(model.adapter(folder / "all"), 1.0)]).tobytes() != rows(model).tobytes()


def test_generation_perplexity_and_shift_count_them(model, loaded, tmp_path):
    merged = tmp_path / "m.gguf"
    llama2swift.convert(model_path := model._pickled[0], merged, "F32", adapter=L.write_adapter(tmp_path / "a.gguf", L.GOLDEN[0][1], 6))
    assert model_path
    with model.context(length=128, kv="f32") as context, llama2swift.Model(merged).context(length=128, kv="f32") as other:
        context.set_adapters(0, [(loaded["all"], 1.0)])
        assert context.perplexity(TOKENS, window=32).mean == pytest.approx(other.perplexity(TOKENS, window=32).mean, rel=1e-4)
        assert context.score(TOKENS[:5], TOKENS[5:9]).log_probabilities == pytest.approx(other.score(TOKENS[:5], TOKENS[5:9]).log_probabilities, rel=1e-3)
        for c in (context, other):
            c.eval(TOKENS)
            c.shift(30)
            c.eval(TOKENS[:3])
        assert np.abs(context.logits() - other.logits()).max() <= 1e-4 * np.abs(other.logits()).max()


def test_embeddings_have_them_when_all_sequences_do(model, loaded):
    texts = [TOKENS[:9], TOKENS[3:30]]
    with model.context(length=64, sequences=2, kv="f32") as context:
        plain = context.embed(texts)
        context.set_adapters(0, [(loaded["all"], 1.0)])
        with pytest.raises(E.InvalidArgumentError, match="sequences 0 and 1 have different adapters"):
            context.embed(texts)
        context.set_adapters(1, [(loaded["all"], 1.0)])
        both = context.embed(texts)
        assert np.abs(both - plain).max() > 1e-3
    with model.context(length=64, kv="f32") as alone:
        alone.set_adapters(0, [(loaded["all"], 1.0)])
        assert alone.embed(texts).tobytes() == both.tobytes()
