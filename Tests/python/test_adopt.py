"""What sequences find of each other, and random walks over all that is done with them."""

import numpy as np
import pytest
from sequences_tools import PAGE, batch, fresh, info, tokens  # noqa: F401 (fixtures)

from llama2swift import errors as E

# Adopt


@pytest.mark.parametrize("common", [1, 40, 64, 100, 128, 160, 199])
def test_the_longest_common_beginning_is_found(stories, fresh, common):
    stored = tokens(200)
    wanted = [*stored[:common], 505, *tokens(60, 9)]
    with stories.context(length=1024, sequences=3) as context:
        batch(context, (1, stored))
        assert context.adopt(wanted, 2) == common == context.sequence_length(2)
        assert info(context)[3] == 200  # stored once
        assert batch(context, (2, wanted[common:]), (1, [5])) == [fresh(wanted), fresh([*stored, 5])]


def test_the_last_token_is_left_to_be_evaluated(stories, fresh):
    stored = tokens(128)
    with stories.context(length=512, sequences=3) as context:
        context.eval(stored)
        for count in (128, 65, 64, 2):
            assert context.adopt(stored[:count], 1) == count - 1
            assert batch(context, (1, [stored[count - 1]])) == [fresh(stored[:count])]
            context.truncate(0, 1)
        assert context.adopt(stored[:1], 1) == 0


def test_removed_sequences_are_found_until_their_room_is_needed(stories, fresh):
    talks = [tokens(130, seed) for seed in range(3)]
    with stories.context(length=512, sequences=2) as context:
        for talk in talks:
            context.eval(talk)
            context.reset()
        assert info(context) == (0, 0, 9, 0)
        for talk in talks:
            assert context.adopt(talk) == 129
            assert batch(context, (0, talk[129:])) == [fresh(talk)]
            context.reset()
        context.adopt(talks[0])  # used last of all
        context.reset()
        other = tokens(400, 7)
        assert batch(context, (0, other)) == [fresh(other)]  # 7 of 9 pages: the others' go first
        context.reset()
        assert context.adopt(talks[1]) == 0 and context.adopt(talks[2]) == 0
        assert context.adopt(talks[0], 1) >= 64
        assert batch(context, (1, talks[0][context.sequence_length(1) :])) == [fresh(talks[0])]


def meeting(count: int) -> np.ndarray:
    """First pages of tokens, (count, 64), that all fall into one list of PrefixIndex, as its hash has it."""
    pages = np.random.default_rng(5).integers(3, 512, (70_000, PAGE)).astype(np.uint64)
    pages[1::2, :63] = pages[::2, :63]  # half of them differ in the last token alone
    prime, hash_ = np.uint64(0x100000001B3), np.full(len(pages), 0xCBF29CE484222325 ^ 1, np.uint64)
    with np.errstate(over="ignore"):
        hash_ *= prime
        for column in pages.T:
            hash_ = (hash_ ^ column) * prime
    place = (hash_ ^ hash_ >> np.uint64(32)) & np.uint64(4095)
    return pages[place == np.bincount(place.astype(int)).argmax()][:count]


def test_prefixes_whose_hashes_meet_are_told_apart(stories, fresh):
    """What is found is compared token by token: a hash that is the same costs a look, and is never an answer."""
    found = [[int(t) for t in page] for page in meeting(16)]
    assert len(found) == 16 and len(set(map(tuple, found))) == 16
    with stories.context(length=64 * 100, sequences=4) as context:
        for stored in found[::2]:
            batch(context, (1, [*stored, 7]))
            context.truncate(0, 1)
        for turn in range(2):
            for i, page in enumerate(found):
                wanted = [*page, 5, 6 + turn]
                adopted = context.adopt(wanted, 2)
                assert adopted >= PAGE if turn or i % 2 == 0 else adopted < PAGE
                assert batch(context, (2, wanted[adopted:])) == [fresh(wanted)]
                context.truncate(0, 2)


def test_what_does_not_fit_is_not_adopted(stories):
    with stories.context(length=128, sequences=2) as context:
        stored = tokens(100)
        context.eval(stored)
        context.reset()
        batch(context, (1, tokens(60, 5)))
        found = context.adopt(stored)
        assert found in (64, 68) and context.info.positions <= 128
        with pytest.raises(E.ContextFullError):
            context.eval([1] * (129 - context.info.positions))


def test_wrong_adoptions_change_nothing(stories):
    with stories.context(length=512, sequences=2) as context:
        context.eval(tokens(70))
        before = info(context), context.logits().tobytes()
        for ids, sequence, problem in [
            ([1, 2], 0, E.InvalidArgumentError), ([], 1, E.InvalidArgumentError), ([1, 512], 1, E.InvalidTokenError), ([-1], 1, E.InvalidTokenError),
            ([1], 2, E.OutOfRangeError), ([1], -1, E.OutOfRangeError),
        ]:  # fmt: skip
            with pytest.raises(problem):
                context.adopt(ids, sequence)
        assert (info(context), context.logits().tobytes()) == before


def test_the_same_beginning_evaluated_twice_is_stored_once(stories, fresh):
    prompt = tokens(150)
    with stories.context(length=1024, sequences=4) as context:
        for s in range(4):
            assert batch(context, (s, [*prompt, 30 + s])) == [fresh([*prompt, 30 + s])]
        assert info(context) == (6, 2, 0, 2 * PAGE + 4 * 23)
        assert batch(context, *((s, [40]) for s in range(4))) == [fresh([*prompt, 30 + s, 40]) for s in range(4)]


def test_many_copies_of_one_prompt(stories, fresh):
    """Two hundred sequences on the room of one."""
    prompt = tokens(120)
    with stories.context(length=2048, sequences=200) as context:
        context.eval(prompt)
        for s in range(1, 200):
            context.copy_sequence(0, s, 120)
        assert info(context) == (2, 2, 0, 120)
        chosen = (0, 77, 199)
        assert batch(context, *((s, [s + 3]) for s in chosen)) == [fresh([*prompt, s + 3]) for s in chosen]


# Generate


def test_generate_begins_with_what_is_stored(stories, greedy):
    prompt = tokens(200)
    with stories.context(length=512) as context, stories.context(length=512) as other:
        first = context.generate(prompt, greedy, max_tokens=10)
        text = "".join(first)
        assert (first.adopted, first.prompt_tokens) == (0, 200)
        context.reset()
        again = context.generate(prompt, greedy, max_tokens=10)
        assert "".join(again) == text and (again.adopted, again.prompt_tokens, again.tokens) == (199, 200, first.tokens)
        assert context.timings.prefill_tokens == 0
        context.reset()
        plain = context.generate(prompt, greedy, max_tokens=10, adopt=False)
        assert "".join(plain) == text and plain.adopted == 0 and context.timings.prefill_tokens == 200
        other.eval(prompt)
        assert "".join(other.generate([], greedy, max_tokens=10)) == text


def test_a_prompt_that_fails_leaves_the_sequence_empty(stories, greedy):
    prompt = tokens(100)
    with stories.context(length=128) as context:
        list(context.generate(prompt, greedy, max_tokens=1))
        context.reset()
        before = info(context)
        with pytest.raises(E.ContextFullError, match="140 more tokens do not fit: 0 of 128"):
            list(context.generate([*prompt, *tokens(40, 3)], greedy, max_tokens=1))
        context.set_cancel(lambda: True)
        with pytest.raises(E.CancelledError):
            list(context.generate(prompt, greedy, max_tokens=1))
        assert context.sequence_length() == 0 and info(context) == before


# Random walks


def common(a: list[int], b: list[int]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happened_logits_are_those_of_a_fresh_context(stories, fresh, seed):
    """Evals, batches, copies, adoptions, removals and cancels of sequences with common beginnings, in little room."""
    dice = np.random.default_rng(seed)
    stems = [tokens(210, s) for s in range(3)]
    length, sequences = int(dice.choice([260, 400, 900])), int(dice.integers(2, 6))
    with stories.context(length=length, sequences=sequences, batch_size=int(dice.choice([16, 64, 256])), threads=int(dice.integers(1, 3))) as context:
        has: list[list[int]] = [[] for _ in range(sequences)]

        def pieces():
            chosen = dice.permutation(sequences)[: dice.integers(1, sequences + 1)]
            for s in sorted(int(s) for s in chosen):
                stem = stems[int(dice.integers(3))]
                more = stem[len(has[s]) : len(has[s]) + int(dice.choice([1, 3, 30, 70]))] if has[s] == stem[: len(has[s])] else []
                yield s, [int(t) for t in (more or dice.integers(3, 8, dice.integers(1, 4)))]

        for _ in range(120):
            match dice.choice(["eval", "eval", "eval", "copy", "adopt", "remove", "cancel"]):
                case "eval":
                    steps = list(pieces())
                    try:
                        found = batch(context, *steps)
                    except E.ContextFullError:
                        drop = int(dice.integers(sequences))
                        context.truncate(0, drop)
                        has[drop] = []
                        continue
                    for (s, ids), row in zip(steps, found, strict=True):
                        has[s] = has[s] + ids
                        assert row == fresh(has[s]), (seed, s, len(has[s]))
                case "copy":
                    a, b = (int(x) for x in dice.permutation(sequences)[:2])
                    n = int(dice.integers(len(has[a]) + 1))
                    context.copy_sequence(a, b, n)
                    has[b] = has[a][:n]
                case "adopt":
                    empty = [s for s in range(sequences) if not has[s]]
                    if empty:
                        wanted = stems[int(dice.integers(3))][: int(dice.integers(1, 211))]
                        known, found = max(common(h, wanted[:-1]) for h in has), context.adopt(wanted, empty[0])
                        has[empty[0]] = wanted[:found]
                        assert known // PAGE * PAGE <= found < len(wanted)
                        assert found >= known or context.info.positions > length - PAGE
                case "remove":
                    s = int(dice.integers(sequences))
                    n = int(dice.integers(len(has[s]) + 1))
                    context.truncate(n, s)
                    has[s] = has[s][:n]
                case "cancel":
                    before, left = info(context)[0::3], int(dice.integers(1, 12))

                    def cancel():
                        nonlocal left
                        left -= 1
                        return left <= 0

                    context.set_cancel(cancel)
                    steps = list(pieces())
                    try:
                        for (s, ids), row in zip(steps, batch(context, *steps), strict=True):
                            has[s] = has[s] + ids
                            assert row == fresh(has[s])
                    except (E.CancelledError, E.ContextFullError):
                        assert info(context)[0::3] == before
                    context.set_cancel(None)
            assert [context.sequence_length(s) for s in range(sequences)] == [len(h) for h in has]
            assert context.info.positions <= min(length, sum(map(len, has)))
