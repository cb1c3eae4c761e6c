"""Sequences that share their pages: nothing is computed twice, nothing is lost, and no bit changes."""

import pytest
from sequences_tools import PAGE, batch, fresh, info, tokens  # noqa: F401 (fixtures)

from llama2swift import errors as E

# Copy


@pytest.mark.parametrize("length", [1, 63, 64, 65, 100, 128, 150])
def test_a_copy_goes_on_as_its_own(stories, fresh, length):
    prompt = tokens(150)
    with stories.context(length=1024, sequences=3, batch_size=16) as context:
        context.eval(prompt)
        before = context.logits().tobytes()
        context.copy_sequence(0, 2, length)
        assert context.sequence_length(2) == length and context.logits().tobytes() == before
        assert info(context) == (3, -(-length // PAGE), 0, 150)  # no page was copied
        a, b = batch(context, (2, [7, 8, 9]), (0, [10]))
        assert a == fresh([*prompt[:length], 7, 8, 9]) and b == fresh([*prompt, 10])
        a, b = batch(context, (0, [11]), (2, [12] * 70))
        assert a == fresh([*prompt, 10, 11]) and b == fresh([*prompt[:length], 7, 8, 9, *[12] * 70])


def test_copies_of_copies_and_the_end_of_their_source(stories, fresh):
    prompt = tokens(100)
    with stories.context(length=1024, sequences=8) as context:
        context.eval(prompt)
        for s in range(1, 8):
            context.copy_sequence(s - 1, s, 101 - s)
        context.truncate(0)
        context.truncate(0, 3)
        found = batch(context, *((s, [20 + s]) for s in (7, 1, 2, 4, 5, 6)))
        assert found == [fresh([*prompt[: 101 - s], 20 + s]) for s in (7, 1, 2, 4, 5, 6)]


def test_a_copy_replaces_what_was_there(stories, fresh):
    with stories.context(length=512, sequences=2) as context:
        batch(context, (0, tokens(70, 1)), (1, tokens(130, 2)))
        context.copy_sequence(0, 1, 66)
        with pytest.raises(E.NoLogitsError):
            context.logits()
        assert context.sequence_length(1) == 66
        assert batch(context, (1, [5])) == [fresh([*tokens(70, 1)[:66], 5])]
        context.copy_sequence(1, 0, 0)
        assert context.sequence_length(0) == 0


def test_wrong_copies_change_nothing(stories):
    with stories.context(length=512, sequences=3) as context:
        batch(context, (0, tokens(70, 1)), (1, tokens(130, 2)))
        before = info(context), context.logits().tobytes()
        for arguments, problem in [
            ((0, 0, 10), E.InvalidArgumentError), ((0, 1, 71), E.OutOfRangeError), ((2, 0, 1), E.OutOfRangeError), ((0, 3, 1), E.OutOfRangeError),
            ((-1, 0, 1), E.OutOfRangeError), ((0, 1, -1), E.OutOfRangeError), ((0, 1, 2**63), E.OutOfRangeError),
        ]:  # fmt: skip
            with pytest.raises(problem):
                context.copy_sequence(*arguments)
        assert (info(context), context.logits().tobytes()) == before
        assert [context.sequence_length(s) for s in range(3)] == [70, 130, 0]


def test_shared_positions_count_once_and_a_copied_page_takes_room(stories, fresh):
    with stories.context(length=256, sequences=4) as context:
        prompt = tokens(200)
        context.eval(prompt)
        for s in (1, 2, 3):
            context.copy_sequence(0, s, 200)
        assert info(context) == (4, 4, 0, 200)
        context.eval([5])  # goes on in the page that all have
        assert info(context) == (4, 4, 0, 201)
        assert batch(context, (1, [6])) == [fresh([*prompt, 6])]  # 8 positions of the last page, and its own
        assert info(context)[3] == 210
        context.eval([7] * 46)
        before = info(context), context.logits().tobytes()
        with pytest.raises(E.ContextFullError, match="1 more tokens do not fit: 256 of 256.*sequence 0 holds 247, sequence 1 holds 201.*share counts once"):
            batch(context, (2, [8]))
        assert (info(context), context.logits().tobytes()) == before
        context.truncate(240)
        with pytest.raises(E.ContextFullError):  # its part of the page would have to be copied: 8 and 1, and 7 are left
            batch(context, (2, [8]))
        context.truncate(238)
        assert batch(context, (2, [8])) == [fresh([*prompt, 8])]


def test_a_cancelled_eval_gives_copied_pages_back(stories, fresh):
    prompt = tokens(100)
    with stories.context(length=512, sequences=3, batch_size=8) as context:
        context.eval(prompt)
        context.copy_sequence(0, 1, 90)
        context.copy_sequence(0, 2, 100)
        before = info(context)
        for at in (1, 5, 6, 30):
            asked = 0

            def cancel():
                nonlocal asked
                asked += 1
                return asked == at

            context.set_cancel(cancel)
            with pytest.raises(E.CancelledError):
                context.eval_batch([(9, s, False) for _ in range(70) for s in (0, 1, 2)])
            context.set_cancel(None)
            assert info(context) == before
            assert [context.sequence_length(s) for s in range(3)] == [100, 90, 100]
        assert batch(context, (1, [3]), (2, [4]), (0, [5])) == [fresh([*prompt[:90], 3]), fresh([*prompt, 4]), fresh([*prompt, 5])]
