"""A random walk over everything that a context can do; wherever it stands, logits equal those of a fresh context, bit for bit.

    walk.py --steps 10000 --seed 1 [--models stories,mixed,odd,smollm2]

An episode takes a model and two contexts with random kernels, threads, keys and values, batch size and length, and goes some
dozens of steps. It depends on its own number and the seed alone: a failure prints the command that repeats it.
"""

from __future__ import annotations

import argparse
import ctypes as C
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from block_types import typed_model
from pasts import Past, make_adapters, steer

import llama2swift
from llama2swift import _library as lib
from llama2swift import _structs as S
from llama2swift import errors as E

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
STEPS_OF_EPISODE = 40
MOST_THREADS = int(os.environ.get("WALK_THREADS", 4))  # fewer where others work on the machine, which then waits for each of them
POISON = 70  # a token of the odd model that turns all it meets into NaN: neighbours and successors must not notice


def models(names, folder) -> dict[str, tuple[llama2swift.Model, dict]]:
    """Each with its adapters."""
    mixed = ["Q4_K", "F16", "Q8_0", "Q6_K", "Q4_0", "BF16", "Q5_K", "F32", "Q4_1", "Q2_K", "Q5_1", "Q3_K", "Q5_0", "IQ4_XS"]
    made = {
        "stories": lambda: FIXTURES / "stories260K.bin",
        # eight heads on two, every kind of block side by side; a context longer than a page
        "mixed": lambda: typed_model(folder / "mixed.gguf", mixed, 5, vocabulary=130, dim=256, layers=3, heads=8, heads_kv=2, hidden=256),
        # nothing is a whole number of panels or vectors: heads of 24 on one, 7 rows of output beyond the last panel
        "odd": lambda: typed_model(
            folder / "odd.gguf", ["Q4_0", "F32", "Q5_1", "F16", "Q8_0"], 6, poison=POISON, vocabulary=71, dim=96, layers=4, heads=4, heads_kv=1, hidden=160
        ),
        "smollm2": lambda: os.environ["LLAMA2SWIFT_MODEL"],
    }  # fmt: skip
    loaded = {name: llama2swift.Model(made[name]()) for name in names}
    return {name: (model, make_adapters(name, model, folder)) for name, model in loaded.items()}


class Mismatch(AssertionError):
    pass


class Walker:
    """A context, and what must be in it: tokens[s] of each sequence, and (sequence, length) of each row of logits."""

    def __init__(self, walk: Episode):
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

    def eval(self) -> str:
        if not self.free():
            return self.remove()
        tokens = self.random_tokens(self.piece())
        if self.refused_for_a_copy(lambda: self.context.eval(tokens), self.state()):
            return "no room for a copy"
        self.added([(t, 0, i == len(tokens) - 1) for i, t in enumerate(tokens)])
        return "eval"

    def batch(self) -> str:
        if not self.free():
            return self.reset()
        entries = self.entries(self.piece())
        if self.refused_for_a_copy(lambda: self.context.eval_batch(entries), self.state()):
            return "no room for a copy"
        self.added(entries)
        return "batch with strangers"

    def reset(self) -> str:
        self.past += self.tokens
        self.context.reset()
        self.tokens, self.rows = [Past() for _ in self.tokens], []
        return "reset"

    def remove(self) -> str:
        sequence = self.dice.randrange(len(self.tokens))
        length = self.dice.randint(0, len(self.tokens[sequence]))
        self.context.truncate(length, sequence)
        self.past.append(self.tokens[sequence])
        self.tokens[sequence], self.rows = self.tokens[sequence].cut(length), []
        return "remove"

    def copy(self) -> str:
        """A sequence becomes the beginning of another."""
        if len(self.tokens) < 2:
            return self.eval()
        source, target = self.dice.sample(range(len(self.tokens)), 2)
        length = self.dice.choice([len(self.tokens[source]), self.dice.randint(0, len(self.tokens[source]))])
        self.context.copy_sequence(source, target, length)
        if self.tokens[target]:
            self.rows = []
        self.past.append(self.tokens[target])
        self.tokens[target], self.adapters[target] = self.tokens[source].cut(length), self.adapters[source]
        return "copy"

    def adopt(self) -> str:
        """An empty sequence begins with what is stored anywhere."""
        empty = [s for s, tokens in enumerate(self.tokens) if not tokens]
        if not empty:
            return self.remove()
        stem, sequence = self.dice.choice([*self.tokens, *self.past[-6:]]), self.dice.choice(empty)
        wanted = stem[: self.dice.randint(0, len(stem))] + self.random_tokens(self.dice.randint(1, 9))
        here = [tokens for tokens, adapters in zip(self.tokens, self.adapters) if adapters == self.adapters[sequence]]
        known = max((common(tokens[: tokens.pure()], wanted[:-1]) for tokens in here), default=0)
        found = self.context.adopt(wanted, sequence)
        if not known // 64 * 64 <= found < len(wanted):
            raise Mismatch(f"{found} of {len(wanted)} tokens found, {known} are there")
        self.tokens[sequence] = Past(wanted[:found])
        return "adopt"

    def save_and_load(self) -> str:
        """The whole context, or one sequence into an empty one."""
        empty = [s for s, tokens in enumerate(self.tokens) if not tokens]
        if empty and self.dice.random() < 0.5:
            source, target = self.dice.randrange(len(self.tokens)), self.dice.choice(empty)
            state, before = self.context.state(source), self.state()
            same = self.adapters[source] == self.adapters[target] or not self.tokens[source]
            try:
                self.context.set_state(state, target)
                self.tokens[target] = self.tokens[source]
            except E.ContextFullError:
                self.unchanged(before)
            except E.InvalidArgumentError:
                self.unchanged(before)
                if same:
                    raise
                return "load with other adapters"
            if not same:
                raise Mismatch("a state of other adapters was loaded")
            return "load a sequence"
        state, before = self.context.state(), self.state()
        if self.dice.random() < 0.7:
            self.context.reset()
            if self.dice.random() < 0.5:
                self.context.eval(self.random_tokens(self.dice.randint(1, self.options["length"])))
            if self.dice.random() < 0.3:  # in a context of its own
                self.context.close()
                self.context = self.model.context(**self.options)
                for sequence, adapters in enumerate(self.adapters):
                    self.context.set_adapters(sequence, adapters)
        self.context.set_state(state)
        if self.state()[:2] != before[:2]:
            raise Mismatch("a state that was saved and loaded is another")
        return "load all"

    def cancelled(self) -> str:
        """Cancels at the first question of a random layer of a random pass, or at one that may never come: slow work is asked about in between."""
        if not self.free():
            return self.remove()
        entries, asked = self.entries(self.piece()), 0
        layers = self.model.hyperparameters.block_count * -(-len(entries) // self.batch_size)
        at = self.dice.randint(1, layers + 1)

        def cancel():
            nonlocal asked
            asked += 1
            return asked == at

        before = self.state()
        self.context.set_cancel(cancel)
        try:
            if self.refused_for_a_copy(lambda: self.context.eval_batch(entries), before):
                self.context.set_cancel(None)
                return "no room for a copy"
            self.added(entries)
            done = True
        except E.CancelledError:
            self.unchanged(before)
            done = False
        self.context.set_cancel(None)
        if done != (asked < at) or asked < min(at, layers):
            raise Mismatch(f"cancel at {at} of {layers} layers: asked {asked} times, {'done' if done else 'cancelled'}")
        return "cancel behind the last layer" if done else "cancel"

    def unchanged(self, before) -> None:
        if self.state() != before:
            raise Mismatch("a call that failed changed lengths, logits or timings")

    def error(self) -> str:
        """A call that must fail, and change nothing."""
        c, dice, v = self.context, self.dice, self.walk.vocabulary
        count = dice.randint(1, max(1, min(self.free(), 20)))
        wrong, at, sequences = self.entries(count), dice.randrange(count), len(self.tokens)
        token, sequence, wanted = wrong[at]

        def replaced(*entry):
            return [*wrong[:at], entry, *wrong[at + 1 :]]

        def unknown_flag():
            array = (S.BatchEntry * count)(*(S.BatchEntry(t, s, w) for t, s, w in wrong))
            array[at].flags = 2 | array[at].flags
            lib.call("eval_batch", c._handle, array, count)

        calls = {
            "bad token": (E.InvalidTokenError, lambda: c.eval_batch(replaced(dice.choice([-1, v, 2**31 - 1, -(2**31)]), sequence, wanted))),
            "bad sequence": (E.OutOfRangeError, lambda: c.eval_batch(replaced(token, dice.choice([-1, sequences, 2**31 - 1]), wanted))),
            "unknown flag": (E.InvalidArgumentError, unknown_flag),
            "full context": (E.ContextFullError, lambda: c.eval_batch(self.entries(self.free() + dice.choice([1, 2, 100])))),
            "no tokens": (E.InvalidArgumentError, lambda: c.eval([])),
            "remove beyond the end": (E.OutOfRangeError, lambda: c.truncate(len(self.tokens[-1]) + 1, sequences - 1)),
            "remove from nowhere": (E.OutOfRangeError, lambda: c.truncate(0, sequences)),
            "bias beyond the vocabulary": (
                E.OutOfRangeError if self.rows else E.NoLogitsError, lambda: c.sample(llama2swift.Sampler(logit_bias={v: 1.0}))
            ),
            "score that does not fit": (E.ContextFullError, lambda: c.score([1], [1] * self.options["length"])),
        }  # fmt: skip
        # with no position left every entry is refused before it is looked at
        name = dice.choice(list(calls)) if self.free() else "full context"
        expected, call = calls[name]
        before = self.state()
        try:
            call()
        except expected:
            self.unchanged(before)
            return name
        raise Mismatch(f"{name} was not refused")

    def sample(self) -> str:
        """Reads the logits and changes nothing here."""
        before = self.state()
        try:
            token = self.context.sample(llama2swift.Sampler(seed=self.dice.randrange(99)))
        except E.NoLogitsError:
            token = 0
        except E.InvalidArgumentError:  # not numbers
            token = 0 if self.walk.poisoned and self.tokens[self.rows[-1][0]].has(POISON) else -1
        if not 0 <= token < self.walk.vocabulary:
            raise Mismatch(f"sampled {token}")
        self.unchanged(before)
        return "sample"

    def score(self) -> str:
        """Empties the context; a fresh one says the same."""
        tokens = self.random_tokens(self.dice.randint(2, 30))
        cut = self.dice.randint(1, len(tokens) - 1)
        with self.model.context(length=len(tokens), **self.kv) as fresh:
            fresh.set_adapters(0, self.adapters[0])
            expected = fresh.score(tokens[:cut], tokens[cut:]).log_probabilities
        if self.context.score(tokens[:cut], tokens[cut:]).log_probabilities.tobytes() != expected.tobytes():
            raise Mismatch("another score")
        self.tokens, self.rows = [Past() for _ in self.tokens], []
        return "score"

    def generate(self) -> str:
        """Greedy text, at times cancelled: the tokens are those that a fresh context chooses."""
        if not self.walk.has_text or self.free() < 2 or self.context.info.pages_shared:
            return self.batch()
        prompt, most = self.random_tokens(self.dice.choice([1, 3, 8])), self.dice.randint(1, 6)
        prompt = prompt[: self.free() - 1]
        start, chosen, end, room = len(self.tokens[0]), [], False, self.free()
        whole = self.tokens[0].plus(prompt)
        with self.model.context(length=whole.longest() + most, **self.kv) as fresh:
            fresh.set_adapters(0, self.adapters[0])
            whole.replay(fresh, fresh.eval)
            while len(chosen) < most and not end:
                token = int(fresh.logits().argmax())
                end = self.model.is_end(token)
                if not end:
                    chosen.append(token)
                    fresh.eval([token])
        left = self.dice.choice([10**9, self.dice.randint(1, 60)])

        def cancel():
            nonlocal left
            left -= 1
            return left <= 0

        before = self.state()
        self.context.set_cancel(cancel)
        try:
            text = self.context.generate(prompt, llama2swift.Sampler(temperature=0), max_tokens=most)
            list(text)
            kept = prompt + chosen[: room - len(prompt)]
            if not end and text.tokens != min(most, len(kept) - len(prompt) + 1):
                raise Mismatch(f"{text.tokens} tokens, expected {most}")
        except E.CancelledError:
            kept = (prompt + chosen)[: self.context.sequence_length() - start]
            if not kept:
                self.unchanged(before)
        self.context.set_cancel(None)
        if kept:
            if len(kept) < len(prompt):
                raise Mismatch("part of a prompt was kept")
            self.tokens[0] = self.tokens[0].plus(kept)
            self.rows = [(0, len(self.tokens[0]))]
        return "generate" if left > 0 else "generate, cancelled"

    # Shifts, adapters, layers

    def shift(self) -> str:
        sequence = self.dice.randrange(len(self.tokens))
        length, before = len(self.tokens[sequence]), self.state()
        keep = self.dice.choice([0, 4, self.dice.randint(0, length)])
        if self.dice.random() < 0.1:
            keep, drop = self.dice.choice([(length, 1), (0, length + 1), (2**63, 2**63), (2**64 - 1, 1), (1, 2**64 - 1)])
            try:
                self.context.shift(drop, sequence, keep=keep)
            except (E.OutOfRangeError, IndexError, OverflowError):
                self.unchanged(before)
                return "shift beyond the end"
            raise Mismatch(f"a shift of {drop} behind {keep} of {length}")
        keep = min(keep, length)
        drop = self.dice.randint(0, length - keep)
        if self.refused_for_a_copy(lambda: self.context.shift(drop, sequence, keep=keep), before):
            return "no room for a shift"
        if drop:
            self.past.append(self.tokens[sequence])
            self.tokens[sequence], self.rows = self.tokens[sequence].shifted(keep, drop), []
        else:
            self.unchanged(before)
        return "shift"

    def set_adapters(self) -> str:
        sequence, before = self.dice.randrange(len(self.tokens)), self.state()
        names = self.dice.sample(list(self.walk.adapters), self.dice.choice([0, 1, 1, 2]))
        wanted = [(self.walk.adapters[n], self.dice.choice([0.5, 1.0, -2.0])) for n in names]
        try:
            self.context.set_adapters(sequence, wanted)
        except E.InvalidArgumentError:
            self.unchanged(before)
            if not self.tokens[sequence]:
                raise
            return "adapters refused"
        if self.tokens[sequence] and wanted != self.adapters[sequence]:
            raise Mismatch("other adapters in the midst of a sequence")
        self.adapters[sequence] = wanted
        return "adapters"

    def overflow(self) -> str:
        """Keys and values that no type but F32 holds: all is as before, the neighbours too."""
        empty = [s for s, tokens in enumerate(self.tokens) if not tokens]
        if not empty or self.free() < 3 or self.context.info.pages_shared:
            return self.batch()
        sequence, dice = self.dice.choice(empty), self.dice
        kept, huge = self.adapters[sequence], [(self.walk.adapters[dice.choice(["keys", "one"])], dice.choice([1e12, -1e15]))]
        self.context.set_adapters(sequence, huge)
        self.adapters[sequence] = huge
        entries = [(t, sequence if i else dice.randrange(len(self.tokens)), dice.random() < 0.5) for i, t in enumerate(self.random_tokens(min(self.free(), dice.randint(2, 20))))]
        before, name = self.state(), "overflow"
        try:
            self.context.eval_batch(entries)
            self.added(entries)
            name = "overflow in F32"
        except E.UnsupportedError:
            self.unchanged(before)
        if not self.tokens[sequence]:
            self.context.set_adapters(sequence, kept)
            self.adapters[sequence] = kept
        return name

    def watched(self) -> str:
        """Who looks at layers changes nothing; calls from inside are refused."""
        if not self.free():
            return self.remove()
        entries, seen, before = self.entries(self.piece()), 0, self.state()

        def look(view):
            nonlocal seen
            seen += len(view.hidden)
            try:
                self.context.eval([1])
            except E.BusyError:
                return
            raise Mismatch("an eval in the midst of an eval")

        self.context.set_layer_callback(look)
        try:
            if self.refused_for_a_copy(lambda: self.context.eval_batch(entries), before):
                return "no room for a copy"
        finally:
            self.context.set_layer_callback(None)
        if seen != len(entries) * self.model.hyperparameters.block_count:
            raise Mismatch(f"{seen} rows were shown of {len(entries)} entries")
        self.added(entries)
        return "watched"

    def steered(self) -> str:
        """A sequence's stream is changed behind a layer, its neighbours' is not."""
        if not self.free():
            return self.remove()
        entries, before = self.entries(self.piece()), self.state()
        sequence, layer = self.dice.randrange(len(self.tokens)), self.dice.randrange(self.model.hyperparameters.block_count)
        self.context.set_layer_callback(steer, change=True, layer=layer, sequence=sequence)
        try:
            if self.refused_for_a_copy(lambda: self.context.eval_batch(entries), before):
                return "no room for a copy"
        except E.UnsupportedError:
            self.unchanged(before)
            return "steered beyond the cache's numbers"
        finally:
            self.context.set_layer_callback(None)
        old, own = self.tokens[sequence], [t for t, s, _ in entries if s == sequence]
        self.added(entries)
        if own:
            self.tokens[sequence] = old.steered(own, layer)
        return "steered"

    def embed(self) -> str:
        """Empties the context; a fresh one says the same."""
        if any(a != self.adapters[0] for a in self.adapters):
            return self.copy()
        texts = [self.random_tokens(self.dice.randint(1, 20)) for _ in range(self.dice.randint(1, 4))]
        how = dict(pooling=self.dice.choice(["mean", "last", "first"]), normalize=self.dice.random() < 0.5)
        found = self.context.embed(texts, **how)
        with self.model.context(length=20, **self.kv) as fresh:
            fresh.set_adapters(0, self.adapters[0])
            expected = np.concatenate([fresh.embed([text], **how) for text in texts])
        if found.tobytes() != expected.tobytes():
            raise Mismatch(f"other embeddings ({how})")
        self.tokens, self.rows = [Past() for _ in self.tokens], []
        return "embed"

    def starved(self) -> str:
        """The system refuses memory in the midst of a call: nothing has changed, or all has been done. Under Tests/c/inject.c only."""
        inject = getattr(C.CDLL(None), "inject_arm", None)
        if inject is None:
            return self.error()
        dice, c, empty = self.dice, self.context, [s for s, tokens in enumerate(self.tokens) if not tokens]
        done = lambda *_: None  # noqa: E731
        calls = {"state": (c.state, done), "one state": (lambda: c.state(0), done)}
        if self.free():
            entries = [(t, s, True) for t, s, _ in self.entries(self.piece())]
            calls["batch"] = (lambda: self.refused_for_a_copy(lambda: c.eval_batch(entries), before), lambda refused: None if refused else self.added(entries))
        state, source = c.state(), dice.randrange(len(self.tokens))
        calls["load all"] = (lambda: c.set_state(state), done)
        if empty and self.adapters[source] == self.adapters[empty[0]]:
            one = c.state(source)

            def loaded(full):
                if not full:
                    self.tokens[empty[0]] = self.tokens[source]

            calls["load a sequence"] = (lambda: self.refused_for_room(lambda: c.set_state(one, empty[0]), before), loaded)
        if empty:
            wanted = [(dice.choice(list(self.walk.adapters.values())), 0.75)]
            calls["adapters"] = (lambda: c.set_adapters(empty[-1], wanted), lambda _: self.adapters.__setitem__(empty[-1], wanted))
        name, before = dice.choice(list(calls)), self.state()
        call, apply = calls[name]
        # aligned memory only: that is the library's checked allocations, Python asks for none
        C.CDLL(None).inject_arm(C.c_uint(1024), C.c_int(dice.choice([0, 1])), C.c_long(dice.randint(1, 4)), C.c_int(12), C.c_size_t(0))
        try:
            result = call()
        except E.OutOfMemoryError:
            C.CDLL(None).inject_disarm()
            self.unchanged(before)
            return f"no memory: {name}"
        finally:
            C.CDLL(None).inject_disarm()
        apply(result)
        return f"memory enough: {name}"

    def refused_for_room(self, call, before) -> bool:
        try:
            call()
            return False
        except E.ContextFullError:
            self.unchanged(before)
            return True

    STEPS = {eval: 8, batch: 8, remove: 3, reset: 1, cancelled: 6, error: 6, sample: 1, score: 1, generate: 2, copy: 4, adopt: 4, save_and_load: 2, shift: 3, set_adapters: 3, overflow: 1, watched: 1, steered: 2, embed: 0.5, starved: 1}


def common(a: list[int], b: list[int]) -> int:
    """Length of the common beginning."""
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


class Episode:
    def __init__(self, name: str, model, adapters: dict, seed: int, number: int):
        self.name, self.model, self.adapters, self.number = name, model, adapters, number
        self.dice = random.Random(f"{seed} {number}")
        self.vocabulary = model.hyperparameters.vocabulary_size
        self.large = model.hyperparameters.parameter_count > 10**7
        available = llama2swift.kernels_available()
        self.kernels = [k for k in available if not self.large or k != "reference"] or available
        self.poisoned = name == "odd"
        self.has_text = name in ("stories", "smollm2")
        self.counts: Counter[str] = Counter()
        self.comparisons = 0

    def run(self, steps: int) -> None:
        walkers = [Walker(self) for _ in range(2)]
        kinds, weights = list(Walker.STEPS), list(Walker.STEPS.values())
        for step in range(steps):
            walker, name = self.dice.choice(walkers), "?"
            try:
                name = self.dice.choices(kinds, weights)[0](walker)
                walker.check_lengths()
                if self.dice.random() < 0.35:
                    self.comparisons += walker.check_rows(most=2)
            except (Mismatch, E.Llama2Error) as problem:
                raise Mismatch(f"step {step} ({name}) of episode {self.number} on {self.name}, {walker.options}: {problem}") from problem
            self.counts[name] += 1
        # the whole cache: every sequence goes on by a token
        for walker in walkers:
            entries = [(t, s, True) for s, t in enumerate(walker.random_tokens(len(walker.tokens)))]
            while walker.free() < len(entries) or walker.refused_for_a_copy(lambda: walker.context.eval_batch(entries), walker.state()):
                walker.remove()
            walker.added(entries)
            self.comparisons += walker.check_rows(most=len(entries))
            walker.context.close()


def walk(steps: int, seed: int, loaded: dict, only: int | None = None) -> tuple[Counter, int]:
    """Counts of steps by kind, and comparisons. Raises Mismatch with the way to repeat it."""
    counts, compared, number, names = Counter(), 0, 0, list(loaded)
    while counts.total() < steps:
        name = names[number % len(names)]
        if only is None or only == number:
            episode = Episode(name, *loaded[name], seed, number)
            try:
                episode.run(STEPS_OF_EPISODE if only is not None else min(STEPS_OF_EPISODE, steps - counts.total()))
            except Mismatch as problem:
                again = f"python3 Tests/python/walk.py --seed {seed} --episode {number} --models {','.join(names)}"
                raise Mismatch(f"{problem}\nrepeat: {again}") from problem
            counts += episode.counts
            if counts.total() % 1000 < episode.counts.total() and steps > 1000:
                print(f"{counts.total()} steps", file=sys.stderr, flush=True)
            compared += episode.comparisons
            if only is not None:
                break
        number += 1
    return counts, compared


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--episode", type=int, help="only this one")
    parser.add_argument("--models", default="stories,mixed,odd" + (",smollm2" if os.environ.get("LLAMA2SWIFT_MODEL") else ""))
    given, start = parser.parse_args(), time.monotonic()
    print(f"seed {given.seed}, models {given.models}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        try:
            counts, compared = walk(given.steps, given.seed, models(given.models.split(","), Path(folder)), given.episode)
        except Mismatch as problem:
            print(f"FAILED {problem}")
            return 1
    for name, count in counts.most_common():
        print(f"{count:7} {name}")
    print(f"{counts.total()} steps, {compared} comparisons with fresh contexts, 0 differences, {time.monotonic() - start:.0f} s, seed {given.seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
