"""Requests one after the other, token by token and with probabilities, in the shape of the library's scheduler: for hosts that have
one at a time."""

from __future__ import annotations

import collections
import itertools
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._waiting import Waiting
from .context import Context
from .errors import CancelledError
from .grammar import Grammar
from .sampler import Sampler
from .search import log_softmax


@dataclass(frozen=True)
class Event:
    """text: whole characters, those that may begin a stop string come later. token: None where there is only text. logprobs: the
    token's own and the best, [(id, natural logarithm)]. reason: None, "stop", "length", "cancelled", "deadline" or "error"."""

    text: str = ""
    token: int | None = None
    logprobs: tuple[float, list[tuple[int, float]]] | None = None
    reason: str | None = None
    error: str | None = None


class Request:
    """One that was submitted: iterate for its events."""

    def __init__(self, number: int, options: dict[str, Any]):
        self.id, self.options = number, options
        self.adopted = 0
        self.stopped = threading.Event()
        self._changed = threading.Condition()
        self._events: collections.deque[Event] = collections.deque()
        self._ended = False
        self._waiting = Waiting()

    def put(self, event: Event) -> None:
        """From the worker."""
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()
            self._waiting.wake()

    def cancel(self) -> None:
        """Ends it soon, with the reason "cancelled"."""
        self.stopped.set()

    def _take(self) -> Event | None:
        event = self._events.popleft() if self._events else None
        self._ended = self._ended or (event is not None and event.reason is not None)
        return event

    def __iter__(self) -> Iterator[Event]:
        while not self._ended:
            with self._changed:
                while not self._events:
                    self._changed.wait()
                event = self._take()
            assert event is not None
            yield event

    async def __aiter__(self) -> AsyncIterator[Event]:
        while not self._ended:
            with self._changed:
                event = self._take()
                future = self._waiting.future() if event is None else None
            if event is not None:
                yield event
            elif future is not None:
                await future


class Scheduler:
    """One worker on one context."""

    def __init__(self, context: Context, prompt_tokens_per_step: int = 0):
        self._context = context
        self._step = prompt_tokens_per_step or 256
        self._length = context.info.context_length
        self._numbers = itertools.count(1)
        self._queue: collections.deque[Request] = collections.deque()
        self._changed = threading.Condition()
        self._running = 0
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="llama2swift-scheduler", daemon=True)
        self._thread.start()

    def submit(
        self, tokens: Sequence[int], max_tokens: int | None = None, sampler: Sampler | None = None, grammar: Grammar | None = None,
        stops: Sequence[str] = (), priority: int = 0, deadline: float | None = None, logprobs: int = 0,
    ) -> Request:  # fmt: skip
        """Puts a request into the queue. deadline: seconds from now."""
        options = dict(
            tokens=list(tokens), max_tokens=max_tokens, sampler=sampler or Sampler(), grammar=grammar, stops=[s for s in stops if s],
            deadline=None if deadline is None else time.monotonic() + deadline, logprobs=logprobs,
        )  # fmt: skip
        request = Request(next(self._numbers), options)
        with self._changed:
            if self._closed:
                raise CancelledError("the scheduler was closed")
            self._queue.append(request)
            self._changed.notify_all()
        return request

    def stats(self) -> dict[str, int]:
        """How many wait and run."""
        return {"waiting": len(self._queue), "running": self._running}

    def close(self) -> None:
        """Ends all requests, with the reason "cancelled"."""
        with self._changed:
            self._closed = True
            for request in self._queue:
                request.cancel()
            self._changed.notify_all()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._closed:
                    self._changed.wait()
                if not self._queue:
                    return
                request = self._queue.popleft()
                self._running = 1
            try:
                for event in self._events(request):
                    request.put(event)
            except BaseException as problem:
                request.put(Event(reason="error", error=" ".join(str(problem).split())))
            self._running = 0

    def _events(self, request: Request) -> Iterator[Event]:
        o, context = request.options, self._context
        tokens, sampler, most = o["tokens"], o["sampler"], o["max_tokens"]
        model = context.model
        sampler.set_grammar(o["grammar"])
        context.reset()
        done = request.adopted = context.adopt(tokens)
        while done < len(tokens):
            reason = self._ends(request)
            if reason:
                yield Event(reason=reason)
                return
            context.eval(tokens[done : done + self._step])
            done = min(done + self._step, len(tokens))
        decoder, text = model.decoder(), _Text(o["stops"])
        count = 0
        while True:
            reason = self._ends(request)
            if reason:
                yield Event(text.rest() if reason == "deadline" else "", reason=reason)
                return
            row = np.array(context.logits(), np.float64) if o["logprobs"] else None
            token = context.sample(sampler)
            count += 1
            if model.is_end(token):
                more, stopped = text.add(decoder.finish())
                yield Event(more + ("" if stopped else text.rest()), token, _logprobs(row, token, o["logprobs"]), "stop")
                return
            more, stopped = text.add(decoder.append(token))
            reason = "stop" if stopped else "length" if count == most or done + count > self._length else None
            if reason == "length":
                last, stopped = text.add(decoder.finish())
                more += last + ("" if stopped else text.rest())
                reason = "stop" if stopped else "length"
            yield Event(more, token, _logprobs(row, token, o["logprobs"]), reason)
            if reason:
                return
            context.eval([token])

    def _ends(self, request: Request) -> str | None:
        if request.stopped.is_set() or self._closed:
            return "cancelled"
        deadline = request.options["deadline"]
        return "deadline" if deadline is not None and time.monotonic() > deadline else None


def _logprobs(row: np.ndarray[Any, Any] | None, token: int, count: int) -> tuple[float, list[tuple[int, float]]] | None:
    """Natural logarithms of the probabilities that the model itself gives, before any sampler."""
    if row is None:
        return None
    logs = log_softmax(row)
    best = np.argsort(-logs, kind="stable")[:count]
    return float(logs[token]), [(int(i), float(logs[i])) for i in best]


class _Text:
    """Holds back what may be the beginning of a stop string."""

    def __init__(self, stops: Sequence[str]):
        self._stops, self._held = stops, ""

    def add(self, piece: str) -> tuple[str, bool]:
        """What can be given out, and whether a stop string came."""
        self._held += piece
        found = [at for at in (self._held.find(stop) for stop in self._stops) if at >= 0]
        if found:
            out, self._held = self._held[: min(found)], ""
            return out, True
        keep = max((n for stop in self._stops for n in range(1, len(stop)) if self._held.endswith(stop[:n])), default=0)
        cut = len(self._held) - keep
        out, self._held = self._held[:cut], self._held[cut:]
        return out, False

    def rest(self) -> str:
        out, self._held = self._held, ""
        return out
