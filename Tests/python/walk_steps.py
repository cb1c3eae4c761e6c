"""Steps of a walk (walk.py): what a context does with its sequences. Each returns its name."""

from __future__ import annotations

from pasts import Past
from walker import POISON, Mismatch, Walker

import llama2swift
from llama2swift import errors as E


def common(a: list[int], b: list[int]) -> int:
    """Length of the common beginning."""
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


class Steps(Walker):
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
