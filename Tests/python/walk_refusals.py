"""Steps of a walk (walk.py) that fail, or change what is computed: refusals, hosts that look and steer, memory that there is not."""

from __future__ import annotations

import ctypes as C

import numpy as np
from pasts import Past, steer
from walker import Mismatch, Walker

import llama2swift
from llama2swift import _library as lib
from llama2swift import _structs as S
from llama2swift import errors as E


class Refusals(Walker):
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
