"""States: saved here, loaded there, and the next logits are the same bits; what is not as it was written is refused."""

import pytest
from state_tools import IDS, after, state, talk  # noqa: F401 (fixtures)

import llama2swift
from llama2swift import errors as E

PAGE = 64


def continued(stories, state, **options) -> list[bytes]:
    with stories.context(length=1024, sequences=4, **options) as context:
        context.set_state(state)
        return [after(context, IDS[300:303], s) for s in (0, 1, 3)]


def test_a_whole_context_goes_on_anywhere(stories, talk, state):
    logits, lengths = talk.logits().tobytes(), [talk.sequence_length(s) for s in range(4)]
    info = talk.info
    expected = continued(stories, state)
    for options in [dict(threads=3, batch_size=5), dict(length=2000, sequences=9), *(dict(kernels=k) for k in llama2swift.kernels_available())]:
        with stories.context(**dict(length=1024, sequences=4) | options) as context:
            context.eval([5] * 100)
            context.set_state(state)
            assert context.logits().tobytes() == logits and [context.sequence_length(s) for s in range(4)] == lengths
            assert (context.info.pages_used, context.info.pages_shared, context.info.positions) == (info.pages_used, info.pages_shared, info.positions)
            assert context.state() == state
            assert [after(context, IDS[300:303], s) for s in (0, 1, 3)] == expected
    # and where it was saved
    assert [after(talk, IDS[300:303], s) for s in (0, 1, 3)] == expected
    for s, length in enumerate(lengths):
        talk.truncate(length, s)


@pytest.mark.parametrize("kv", ["f16", "f32"])
@pytest.mark.parametrize("length", [1, 63, 64, 65, 200])
def test_one_sequence_goes_into_any_empty_one(stories, kv, length, tmp_path):
    with stories.context(length=512, kv=kv, sequences=2) as context, stories.context(length=512, kv=kv, sequences=3) as other:
        context.eval_batch([(t, 1, False) for t in IDS[:length]])
        context.save_state(tmp_path / "one", 1)
        assert (tmp_path / "one").read_bytes() == context.state(1) and len(context.state(1)) % 8 == 0
        other.eval(IDS[5:9])
        other.load_state(tmp_path / "one", 2)
        assert other.sequence_length(2) == length and len(other.logits().shape) == 1  # the logits stay
        assert after(other, [7, 8], 2) == after(context, [7, 8], 1)
    assert [p.name for p in tmp_path.iterdir()] == ["one"]


def test_pages_that_are_there_are_shared(stories):
    with stories.context(length=512, sequences=3) as context:
        context.eval(IDS[:200])
        state = context.state(0)
        context.set_state(state, 1)
        i = context.info
        assert (i.pages_used, i.pages_shared, i.positions) == (5, 3, 208)
        context.reset()
        context.set_state(state, 2)  # found among what is left of the others
        assert context.info.pages_used == 4 and context.adopt(IDS[:201], 0) == 200
        assert after(context, IDS[200:202], 2) == after(context, IDS[200:202], 0)


def test_a_loaded_sequence_is_found_by_adopt_but_not_what_was_shifted(stories, state):
    with stories.context(length=1024, sequences=4) as context, stories.context(length=1024) as fresh:
        context.set_state(state)
        assert context.adopt(IDS[:204], 2) == 203
        context.truncate(0, 2)
        shifted = IDS[:4] + IDS[74:200]
        assert context.adopt(shifted, 2) == 4
        assert after(context, shifted[4:], 2) == (fresh.eval(shifted), fresh.logits().tobytes())[1]


def test_generation_goes_on_from_the_logits(stories, greedy):
    with stories.context(length=256) as context, stories.context(length=256) as other:
        list(context.generate("Once upon a time", greedy, max_tokens=20))
        other.set_state(context.state())
        assert list(other.generate((), greedy, max_tokens=30)) == list(context.generate((), greedy, max_tokens=30))


def test_an_empty_state(stories):
    with stories.context(length=64) as context:
        whole, one = context.state(), context.state(0)
        context.eval(IDS[:9])
        context.set_state(whole)
        assert context.sequence_length() == 0
        context.set_state(one, 0)
        assert context.sequence_length() == 0
        with pytest.raises(E.NoLogitsError):
            context.logits()
