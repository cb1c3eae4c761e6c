"""Many texts on one context: what they have in common is evaluated once, and what is left of many goes through the weights together.

Logits are a pure function of the tokens of a sequence (DESIGN.md), so that nothing here, neither who shares with whom nor who is in a
batch with whom, changes a bit of a result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .._common import common_length
from ..context import Context
from ..errors import ContextFullError
from ..footprint import Work
from ..model import Model
from ..results import Timings
from .asked import Answer, Prompt, Scored, Written, beginning
from .writer import Rows, Writer

PAGE = 64  # positions that sequences share or have for themselves: see the header
_STEM = 32  # what is shorter is not worth an eval of its own
_ROWS = 128  # of logits at once: some MiB for each
_SEQUENCES = 256

# How many texts are written at once.
SIDE_BY_SIDE = 16

# What is done with a row of logits.
Sink = Callable[[np.ndarray[Any, Any]], None]


class Engine:
    """A context of many sequences. longest: positions that the longest text takes; together: positions in all, 0 for some more."""

    def __init__(
        self, model: Model, *, longest: int, together: int = 0, threads: int = 0, kv: str = "f16", kernels: str = "best",
        tokens_at_once: int = 512, energy: str | None = None,
    ):  # fmt: skip
        self.model, self.batch = model, tokens_at_once
        # the longest text beside branches of it, or as many short ones as fill a batch, each with pages of its own
        length = max(together, longest + 16 * PAGE, 4 * tokens_at_once)
        self.context: Context = model.context(
            -(-length // PAGE) * PAGE, threads, sequences=_SEQUENCES, batch_size=tokens_at_once, kv=kv, kernels=kernels, energy=energy
        )  # fmt: skip
        self.rows = Rows(model.hyperparameters.vocabulary_size)
        self._ends: dict[int, bool] = {}
        self._prompt = self._generated = Work(0, 0.0, 0.0, 0.0 if energy else None)

    def close(self) -> None:
        """Frees the context."""
        self.context.close()

    # Evaluating

    def work(self) -> tuple[Work, Work]:
        """What was computed so far: for prompts and answers that were given, and for what was generated."""
        return self._prompt, self._generated

    def _count(self, before: Timings, after: Timings, written: float) -> None:
        """An eval, of which the part `written` was for tokens that had been generated."""
        tokens = after.prefill_tokens + after.decode_tokens - before.prefill_tokens - before.decode_tokens
        seconds = after.prefill_seconds + after.decode_seconds - before.prefill_seconds - before.decode_seconds
        cpu = after.prefill_cpu_seconds + after.decode_cpu_seconds - before.prefill_cpu_seconds - before.decode_cpu_seconds
        joules = None if not after.energy_zones else after.prefill_joules + after.decode_joules - before.prefill_joules - before.decode_joules
        for name, part in (("_prompt", 1 - written), ("_generated", written)):
            made = round(tokens * part)
            setattr(self, name, getattr(self, name) + Work(made, seconds * part, cpu * part, None if joules is None else joules * part))

    def _eval(self, entries: Sequence[tuple[int, int, Sink | None]], written: int = 0) -> None:
        """Evaluates (token, sequence, what gets its logits) in their order, as many at once as there is room for. written: how many of
        them were generated."""
        if not entries:
            return
        before = self.context.timings
        try:
            self._eval_parts(entries)
        finally:
            self._count(before, self.context.timings, written / len(entries))

    def _eval_parts(self, entries: Sequence[tuple[int, int, Sink | None]]) -> None:
        start = 0
        while start < len(entries):
            stop, rows = start, 0
            while stop < len(entries) and stop - start < self.batch and (rows < _ROWS or entries[stop][2] is None):
                rows += entries[stop][2] is not None
                stop += 1
            part = entries[start:stop]
            self.context.eval_batch([(token, sequence, sink is not None) for token, sequence, sink in part])
            sinks = [sink for _, _, sink in part if sink is not None]
            if sinks:
                self._give(sinks)
            start = stop

    def _give(self, sinks: Sequence[Sink]) -> None:
        """Each sink its row. The arrays are views of the context's memory, and gone when this returns: before the next eval."""
        logits = self.context.logits()
        for row, sink in zip(logits if len(sinks) > 1 else [logits], sinks):
            sink(row)

    def _clear(self, sequences: Sequence[int]) -> None:
        for sequence in sequences:
            self.context.truncate(0, sequence)

    def _stems(self, heads: Sequence[tuple[int, ...]], spare: int) -> None:
        """Evaluates once what several of `heads` begin with, in sequence `spare`, so that each of them finds it."""
        ordered = sorted(heads)
        index = 0
        while index < len(ordered) - 1:
            length = common_length(ordered[index], ordered[index + 1])
            end = index + 2
            if length >= _STEM:
                # as far as the next ones share at least three quarters of it
                while end < len(ordered) and common_length(ordered[index], ordered[end]) * 4 >= length * 3:
                    length = min(length, common_length(ordered[index], ordered[end]))
                    end += 1
                stem = list(ordered[index][:length])
                found = self.context.adopt(stem, spare) if length > 1 else 0
                try:
                    if length - found >= _STEM:
                        self._eval([(t, spare, None) for t in stem[found:]])
                except ContextFullError:
                    pass  # then each evaluates it for itself, or there is no room at all
                self._clear([spare])  # its pages stay where `adopt` finds them
                index = end
            else:
                index += 1

    # Scoring

    def score(self, groups: Sequence[Sequence[Scored]]) -> Iterator[list[Answer]]:
        """For each group, in order, the answers of its texts, which share their beginning: a question and its answers."""
        start = 0
        try:
            while start < len(groups):
                end = self._take(groups, start)
                yield from self._score_some(groups[start:end])
                start = end
        except (Exception, KeyboardInterrupt):
            self._clear(range(_SEQUENCES))  # what failed or was interrupted leaves nothing to the next
            raise

    def _take(self, groups: Sequence[Sequence[Scored]], start: int) -> int:
        """How far a batch reaches: a guess at what is new in each group."""
        tokens, sequences, end = 0, 1, start
        before: Sequence[int] = ()
        while end < len(groups):
            alike = beginning(groups[end])
            new = len(alike) - common_length(before, alike) + sum(max(0, len(s.tokens) - 1 - len(alike)) for s in groups[end])
            if end > start and (tokens + new > self.batch or sequences + 1 + len(groups[end]) > _SEQUENCES):
                break
            tokens, sequences, before, end = tokens + new, sequences + 1 + len(groups[end]), alike, end + 1
        return end

    def _score_some(self, groups: Sequence[Sequence[Scored]]) -> list[list[Answer]]:
        if len(groups) == 1 and len(groups[0]) > _SEQUENCES - 2:  # more answers than sequences
            half = len(groups[0]) // 2
            return [self._score_some([groups[0][:half]])[0] + self._score_some([groups[0][half:]])[0]]
        try:
            return self._branches(groups)
        except ContextFullError:
            self._clear(range(_SEQUENCES))
            if len(groups) > 1:
                half = len(groups) // 2
                return self._score_some(groups[:half]) + self._score_some(groups[half:])
            if len(groups[0]) > 1:  # one answer after the other
                return [[a for s in groups[0] for a in self._branches([[s]])[0]]]
            raise

    def _branches(self, groups: Sequence[Sequence[Scored]]) -> list[list[Answer]]:
        sums = [[_Sum() for _ in group] for group in groups]
        heads = [beginning(group) for group in groups]
        self._stems([head for head in heads if head], 0)
        # 1. the heads: rows that are wanted inside of them, too
        first, entries = 1, []
        for number, (group, head) in enumerate(zip(groups, heads)):
            wanted: dict[int, list[tuple[int, _Sum]]] = {}
            for scored, sum_ in zip(group, sums[number]):
                for position in range(scored.start - 1, len(head)):
                    wanted.setdefault(position, []).append((scored.tokens[position + 1], sum_))
            begin = min(wanted, default=len(head) - 1)
            found = self.context.adopt(list(head[: begin + 1]), first + number) if head else 0
            entries += [(head[p], first + number, self._sink(wanted[p]) if p in wanted else None) for p in range(found, len(head))]
        self._eval(entries)
        # 2. the branches, all in one
        branch, entries = first + len(groups), []
        for number, (group, head) in enumerate(zip(groups, heads)):
            for scored, sum_ in zip(group, sums[number]):
                if len(scored.tokens) - 1 == len(head):
                    continue  # its last token is asked about and needs no eval
                if head:
                    self.context.copy_sequence(first + number, branch)
                for position in range(len(head), len(scored.tokens) - 1):
                    asked = position >= scored.start - 1
                    entries.append((scored.tokens[position], branch, self._sink([(scored.tokens[position + 1], sum_)]) if asked else None))
                branch += 1
        self._eval(entries)
        self._clear(range(1, branch))
        return [[Answer(s.total, s.is_greedy) for s in group] for group in sums]

    def _sink(self, wanted: Sequence[tuple[int, _Sum]]) -> Sink:
        def take(row: np.ndarray[Any, Any]) -> None:
            best, scale = self.rows.best_and_scale(row)
            for token, sum_ in wanted:
                sum_.total += float(row[token]) - scale
                sum_.is_greedy &= token == best

        return take

    # Generating

    def generate(self, prompts: Sequence[Prompt], *, at_once: int = SIDE_BY_SIDE) -> Iterator[tuple[int, Written]]:
        """(index, text) of each prompt, as they end. at_once: how many are written side by side."""
        waiting = list(range(len(prompts)))[::-1]
        free = list(range(at_once, 0, -1))
        active: list[Writer] = []
        try:
            while waiting or active:
                self._admit(prompts, waiting, free, active)
                try:
                    entries = [entry for writer in active for entry in writer.entries()]
                    self._eval(entries, sum(bool(writer.written.tokens) for writer in active))
                except ContextFullError:
                    # a part may have been evaluated; the last one begins again when there is room
                    unfinished = [writer for writer in active if not writer.written.reason]
                    if len(active) == 1 or not unfinished:
                        raise
                    last = unfinished[-1]
                    active.remove(last)
                    self._clear([last.sequence])
                    free.append(last.sequence)
                    waiting.append(last.index)
                    for writer in active:
                        writer.go_on()
                for writer in [w for w in active if w.written.reason]:
                    active.remove(writer)
                    self._clear([writer.sequence])
                    free.append(writer.sequence)
                    yield writer.index, Written(writer.written.text, writer.written.reason, len(writer.written.tokens))
        finally:
            self._clear(range(at_once + 1))  # also what a text that was refused had found

    def _admit(self, prompts: Sequence[Prompt], waiting: list[int], free: list[int], active: list[Writer]) -> None:
        info = self.context.info
        room = info.context_length - info.positions - sum(PAGE + w.left for w in active)
        taken: list[int] = []
        new = 0
        while waiting and free and len(taken) < len(free):
            prompt = prompts[waiting[-1]]
            need = len(prompt.tokens) - (common_length(prompt.tokens, prompts[taken[-1]].tokens) if taken else 0) + prompt.max_tokens + PAGE
            if (active or taken) and (need > room or new > self.batch):
                break
            room, new = room - need, new + need - prompt.max_tokens
            taken.append(waiting.pop())
        if len(taken) > 1:
            self._stems([prompts[i].tokens for i in taken], 0)
        for index in taken:
            sequence = free.pop()
            found = self.context.adopt(list(prompts[index].tokens), sequence)
            active.append(Writer(self, index, prompts[index], sequence, found))

    def is_end(self, token: int) -> bool:
        """Whether a text ends with this token."""
        if token not in self._ends:
            self._ends[token] = self.model.is_end(token)
        return self._ends[token]


class _Sum:
    def __init__(self) -> None:
        self.total, self.is_greedy = 0.0, True
