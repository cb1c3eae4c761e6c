"""Many prompts in one call: each text as it is alone, evaluated side by side."""

from __future__ import annotations

import collections
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Union

from . import _arguments as A
from ._closing import AsyncClosing, NotCopied
from ._engine import Event
from ._waiting import Waiting
from .context import Context
from .generation import stop_strings
from .results import TokenReport
from .sampler import Sampler
from .scheduler import Request, Scheduler

Prompts = Sequence[Union[str, A.TokenIds]]


@dataclass(frozen=True)
class Answer:
    """What came of one prompt. tokens: those that were chosen, the end token among them. reason, error: as in `Event`. steps: what `generate`
    has in its `steps`, where logprobs or echo asked for it."""

    text: str
    tokens: list[int]
    reason: str
    error: BaseException | None
    steps: list[TokenReport]


def generate_batch(
    context: Context, prompts: Prompts, samplers: Sequence[Sampler] | None = None, *, max_tokens: int | None = None, stop: str | Sequence[str] = (),
    penalize_prompt: bool = False, logprobs: int | None = None, echo: bool = False, guess: bool = True,
    complete: bool = False,
) -> Batch:  # fmt: skip
    """A text of each prompt, side by side: events as they come, for `for` and `async for`, or all at the end with `results()`. Each
    text is that of `Context.generate` alone, bit for bit.

    prompts: texts (with BOS if the model expects it) or tokens. samplers: one for each; None: one with the defaults for each. What is
    left is for all, as in `generate`. As many run at once as the context has sequences, which share its positions; the others wait
    their turn. Until the last event was read, or `close()` of the batch, other calls on the context raise BusyError; its sequences are
    empty from then on. Raises as
    `Scheduler.submit`: all prompts are taken, or none."""
    return Batch(context, prompts, samplers, max_tokens, stop, penalize_prompt, logprobs, echo, guess, complete)


class Batch(AsyncClosing, NotCopied, Iterator["tuple[int, Event]"], AsyncIterator["tuple[int, Event]"]):
    """Texts in the making, of `generate_batch`: (number of the prompt, event) as they come, for `for` and for `async for`. The
    context is the batch's until the last event was read, or `close`."""

    _not_copied = ": it is text in the making"

    def __init__(
        self, context: Context, prompts: Prompts, samplers: Sequence[Sampler] | None, max_tokens: int | None, stop: str | Sequence[str],
        penalize_prompt: bool, logprobs: int | None, echo: bool, guess: bool, complete: bool = False,
    ):  # fmt: skip
        A.instance("context", context, Context)
        given = _list("prompts", prompts, "a list of texts or lists of tokens")
        ids = [context.model.tokenize_prompt(p) if isinstance(p, str) else A.token_list(f"prompts[{i}]", p) for i, p in enumerate(given)]
        chosen = [Sampler() for _ in ids] if samplers is None else [A.instance(f"samplers[{i}]", s, Sampler) for i, s in enumerate(_list("samplers", samplers, "a list of Samplers"))]
        if len(chosen) != len(ids):
            raise ValueError(f"samplers has {len(chosen)} for {len(ids)} prompts, expected one each")
        # all is looked at before the scheduler empties the context's sequences
        for name, value in (("max_tokens", max_tokens), ("logprobs", logprobs)):
            if value is not None:
                A.unsigned(name, value, 32 if name == "logprobs" else 64)
        for name, flag in (("penalize_prompt", penalize_prompt), ("echo", echo), ("guess", guess), ("complete", complete)):
            A.flag(name, flag)
        stop_strings(stop)
        # an RLock inside: a finalizer may run at any moment, also inside here
        self._changed = threading.Condition()
        self._waiting = Waiting()
        self._arrived: collections.deque[int] = collections.deque()  # whose event is next
        self._left = len(ids)
        self._events: list[list[Event]] = [[] for _ in ids]
        self._requests: list[Request] = []
        self._scheduler = Scheduler(context, max_requests=max(len(ids), 1))
        try:
            for index, tokens in enumerate(ids):
                request = self._scheduler.submit(
                    tokens, max_tokens, chosen[index], stops=stop, penalize_prompt=penalize_prompt, logprobs=logprobs, echo=echo, guess=guess,
                    complete=complete)  # fmt: skip
                self._requests.append(request)
            for index, request in enumerate(self._requests):
                request._mailbox.listen(_Listener(self._changed, self._waiting, self._arrived, index))
        except BaseException:
            self._scheduler.close()
            raise
        if not ids:
            self._scheduler.close()

    def _take(self, index: int) -> tuple[int, Event]:
        """The event that has arrived."""
        event = next(self._requests[index])
        self._events[index].append(event)
        if event.reason is not None:
            self._left -= 1
            if self._left == 0:
                self._scheduler.close()
        return index, event

    def __next__(self) -> tuple[int, Event]:
        with self._changed:
            while not self._arrived:
                if self._left == 0:
                    raise StopIteration
                self._changed.wait()
            index = self._arrived.popleft()
        return self._take(index)

    async def __anext__(self) -> tuple[int, Event]:
        while True:
            with self._changed:
                if self._arrived:
                    index = self._arrived.popleft()
                    break
                if self._left == 0:
                    raise StopAsyncIteration
                future = self._waiting.future()
            await future
        return self._take(index)

    def __aiter__(self) -> Batch:
        return self

    def results(self) -> list[Answer]:
        """What came of each prompt, in their order; waits for all. One that failed has its `error`, the others are whole."""
        for _ in self:
            pass
        return [_answer(events) for events in self._events]

    def close(self) -> None:
        """Ends what is under way ("cancelled"); the context is free for other calls. What had come can still be read."""
        self._scheduler.close()


class _Listener:
    """Told by the stepping thread. It does not hold the batch, so that one that is let go ends its scheduler."""

    def __init__(self, changed: threading.Condition, waiting: Waiting, arrived: collections.deque[int], index: int):
        self._changed, self._waiting, self._own, self._index = changed, waiting, arrived, index

    def __call__(self) -> None:
        with self._changed:
            self._own.append(self._index)
            self._changed.notify_all()
            self._waiting.wake()


def _list(name: str, value: Any, what: str) -> list[Any]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise A.refuse(name, value, what)
    return list(value)


def _answer(events: list[Event]) -> Answer:
    last = events[-1]
    return Answer(
        "".join(e.text for e in events), [e.token for e in events if e.token is not None], last.reason or "cancelled", last.error,
        [e.report for e in events if e.report is not None])  # fmt: skip
