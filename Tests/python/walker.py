"""What the steps of a walk (walk.py) go by: a context, what must be in it, and how it is held against fresh ones."""

from __future__ import annotations

import os

import numpy as np
from pasts import Past

from llama2swift import errors as E

MOST_THREADS = int(os.environ.get("WALK_THREADS", 4))  # fewer where others work on the machine, which then waits for each of them
POISON = 70  # a token of the odd model that turns all it meets into NaN: neighbours and successors must not notice


class Mismatch(AssertionError):
    pass


class Walker:
    """A context, and what must be in it: tokens[s] of each sequence, and (sequence, length) of each row of logits."""

    def __init__(self, walk):  # an Episode of walk.py
        self.walk, self.dice, self.model = walk, walk.dice, walk.model
        dice, large = self.dice, walk.large
        kinds = ["f16", "f16", "f32", "q8_0", "q4_0"]
        self.kv = dict(kv=dice.choice(kinds), kv_values=dice.choice(kinds))
        if dice.random() < 0.3:
            self.kv = dict(kv=dice.choice(["f16", "f32"]))
        self.options = dict(
            **self.kv, sequences=dice.randint(1, 4), length=dice.choice([80, 128] if large else [70, 130, 200]),
            batch_size=dice.choice([1, 5, 16, 64, 0]), threads=min(dice.choice([1, 1, 2, 2, 3, 4]), MOST_THREADS), kernels=dice.choice(walk.kernels),
        )  # fmt: skip
        self.context = self.model.context(**self.options)
        self.batch_size = self.context.info.batch_size
        self.tokens = [Past() for _ in range(self.options["sequences"])]
        self.adapters: list[list] = [[] for _ in self.tokens]  # (adapter, scale) of each sequence
        self.rows: list[tuple[int, int]] = []
        self.past: list[Past] = []  # what was removed: some of it is still known

    # What is there

    def free(self) -> int:
        """What sequences share counts once; who goes on in a page behind another needs more than the tokens themselves."""
        return self.options["length"] - self.context.info.positions

    def logits(self) -> np.ndarray | None:
        try:
            return np.atleast_2d(self.context.logits()).copy()
        except E.NoLogitsError:
            return None

    def state(self):
        """Everything that a failure must leave as it is."""
        logits = self.logits()
        return [self.context.sequence_length(s) for s in range(len(self.tokens))], logits is not None and logits.tobytes(), self.context.timings

    def check_lengths(self) -> None:
        found = [self.context.sequence_length(s) for s in range(len(self.tokens))]
        if found != [len(t) for t in self.tokens]:
            raise Mismatch(f"lengths are {found}, expected {[len(t) for t in self.tokens]}")

    def check_rows(self, most: int) -> int:
        """Some rows of logits against fresh contexts."""
        logits = self.logits()
        if (0 if logits is None else len(logits)) != len(self.rows):
            raise Mismatch(f"{0 if logits is None else len(logits)} rows of logits, expected {len(self.rows)}")
        healthy = [i for i, (s, n) in enumerate(self.rows) if not self.walk.poisoned or not self.tokens[s].cut(n).has(POISON)]
        chosen = self.dice.sample(healthy, min(most, len(healthy)))
        for row in chosen:
            sequence, length = self.rows[row]
            fresh = self.fresh(self.tokens[sequence].cut(length), self.adapters[sequence])
            if not np.array_equal(fresh.view(np.uint32), logits[row].view(np.uint32)):
                where = np.flatnonzero(fresh.view(np.uint32) != logits[row].view(np.uint32))
                raise Mismatch(f"row {row} (sequence {sequence}, {length} tokens): {len(where)} logits differ, the first at {where[0]}")
        return len(chosen)

    def fresh(self, tokens: Past, adapters: list) -> np.ndarray:
        """The logits after `tokens` in a context of its own, made in another way."""
        dice = self.dice
        with self.model.context(
            length=tokens.longest(), **self.kv, threads=min(dice.choice([1, 2]), MOST_THREADS), kernels=dice.choice(self.walk.kernels), batch_size=dice.choice([0, 0, 9])
        ) as context:

            def pieces(wanted):
                cut = dice.choice([0, 0, dice.randrange(len(wanted))])
                for piece in filter(None, (wanted[:cut], wanted[cut:])):
                    context.eval(piece)

            context.set_adapters(0, adapters)
            tokens.replay(context, pieces)
            return context.logits().copy()

    # Steps: each returns a name for the count

    def random_tokens(self, count: int) -> list[int]:
        return [self.dice.randrange(self.walk.vocabulary - self.walk.poisoned) for _ in range(count)]

    def piece(self) -> int:
        """How many tokens: mostly few, at times as many as fit."""
        return max(1, min(self.free(), self.dice.choice([1, 1, 1, 2, 3, 7, 16, 17, 40, 70])))

    def entries(self, count: int) -> list[tuple[int, int, bool]]:
        """A batch: runs of random sequences, some of which want logits; rarely with poison."""
        out, share = [], self.dice.choice([0, 0.2, 1])
        while len(out) < count:
            sequence = self.dice.randrange(len(self.tokens))
            run = min(self.dice.choice([1, 1, 2, 9]), count - len(out))
            out += [(t, sequence, self.dice.random() < share) for t in self.random_tokens(run)]
        if self.walk.poisoned and self.dice.random() < 0.2:
            at = self.dice.randrange(count)
            out[at] = (POISON, *out[at][1:])
        return out

    def added(self, entries) -> None:
        self.rows = []
        for token, sequence, wanted in entries:
            self.tokens[sequence] = self.tokens[sequence].plus([token])
            if wanted:
                self.rows.append((sequence, len(self.tokens[sequence])))

    def refused_for_a_copy(self, call, before) -> bool:
        """Whether `call` found no room, which is right where a shared page has to be copied first."""
        try:
            call()
            return False
        except E.ContextFullError:
            self.unchanged(before)
            if not self.context.info.pages_shared:
                raise
            return True

    def unchanged(self, before) -> None:
        if self.state() != before:
            raise Mismatch("a call that failed changed lengths, logits or timings")

    def refused_for_room(self, call, before) -> bool:
        try:
            call()
            return False
        except E.ContextFullError:
            self.unchanged(before)
            return True
