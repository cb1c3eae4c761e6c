"""The thread that steps a scheduler, and where the events of each request go."""

from __future__ import annotations

import collections
import ctypes as C
import itertools
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import _constants as K
from . import _library as lib
from . import _structs as S
from ._calls import Calls
from ._waiting import Futures, Waiting, resolve
from .context import Context
from .errors import CancelledError, Llama2Error, error_for
from .generation import token_report
from .results import TokenReport

REASONS = {
    K.END_TOKEN: "stop", K.END_STOP: "stop", K.END_MAX_TOKENS: "length", K.END_CONTEXT: "length", K.END_CANCELLED: "cancelled",
    K.END_CALLBACK: "cancelled", K.END_DEADLINE: "deadline", K.END_ERROR: "error",
}  # fmt: skip


@dataclass(frozen=True)
class Event:
    """What came of a request: text (whole characters, possibly none), the token that was chosen (None: none was), and at the very
    end the reason: "stop" (the model ended its text, or a stop string came), "length" (max_tokens, or the context is full),
    "cancelled", "deadline" or "error", with `error` the exception that `Context.generate` would have raised. report: what `generate` has in
    its `steps`, where the request asked for it; of the prompt's tokens, which come first, the events have nothing else."""

    text: str
    token: int | None = None
    reason: str | None = None
    error: BaseException | None = None
    report: TokenReport | None = None


class Mailbox:
    """What the stepping thread puts and a reader takes. At most as many events as the context has positions."""

    def __init__(self) -> None:
        self.id = 0
        self.ended = False
        self.reports = False
        self.prompt_tokens = self.adopted = self.tokens = 0
        self.take_problem: Callable[[], BaseException | None] = lambda: None  # what a step of the sampler's raised
        self._events: collections.deque[Event] = collections.deque()
        # an RLock inside: the end of a request may come at any moment, also inside here
        self._changed = threading.Condition()
        self._waiting = Waiting()
        self._listener: Callable[[], None] | None = None

    def listen(self, listener: Callable[[], None]) -> None:
        """Calls it once for every event that is there or will be."""
        with self._changed:
            self._listener = listener
            for _ in self._events:
                listener()

    def put(self, event: Event) -> Futures:
        """The next event, from the thread that steps; after the end nothing is kept. Returns what is to be resolved then."""
        with self._changed:
            if self.ended:
                return []
            self._events.append(event)
            self.ended = event.reason is not None
            self._changed.notify_all()
            if self._listener is not None:
                self._listener()
            return self._waiting.take()

    def take(self) -> Event | None:
        """The next event, waited for; None behind the last."""
        with self._changed:
            while not self._events:
                if self.ended:
                    return None
                self._changed.wait()
            return self._events.popleft()

    async def take_async(self) -> Event | None:
        """The same for an event loop."""
        while True:
            with self._changed:
                if self._events:
                    return self._events.popleft()
                if self.ended:
                    return None
                future = self._waiting.future()
            await future


class Engine:
    """What the stepping thread needs. It does not hold the Scheduler, so that one that is let go ends it."""

    def __init__(self, handle: int | None, calls: Calls, context: Context, draft: Context | None):
        self.handle = handle
        self.calls = calls
        self.context = context
        self.draft = draft
        self.process = os.getpid()
        self.lock = threading.RLock()
        self.mailboxes: dict[int, Mailbox] = {}
        self.arrived: list[tuple[Mailbox, Event]] = []
        self.keys = itertools.count(1)
        self.work = threading.Event()
        self.closing = False
        self.problem: BaseException | None = None
        self.callback = S.EventCallback(self.receive)

    def receive(self, event: Any, key: int | None) -> int:
        """From the library, on the stepping thread, which nobody is told of before `deliver`."""
        mailbox = self.mailboxes.get(key or 0)
        if mailbox is None:
            return 1
        e = event.contents
        mailbox.id, mailbox.prompt_tokens, mailbox.adopted, mailbox.tokens = e.request, e.prompt_tokens, e.adopted, e.tokens
        text = lib.text(e, S.Event.piece, e.length).decode("utf-8", "replace")
        reason = None if e.reason == 0 else REASONS.get(e.reason, "error")
        error: BaseException | None = error_for(e.status, (e.error or b"").decode("utf-8", "replace")) if e.status else None
        error = mailbox.take_problem() or error if isinstance(error, CancelledError) else error
        if reason is not None:
            self.mailboxes.pop(key or 0, None)
        report = token_report(e.report.contents) if mailbox.reports and e.report else None
        self.arrived.append((mailbox, Event(text, None if e.token < 0 else e.token, reason, error, report)))
        return 0

    def deliver(self) -> None:
        """What came of a step, to all at once: whoever is woken at the first of its tokens would take the interpreter's lock from the callbacks of the others."""
        arrived, self.arrived = self.arrived, []
        resolve([future for mailbox, event in arrived for future in mailbox.put(event)])

    def cancel(self, mailbox: Mailbox) -> None:
        """Ends a request at the next step; one that is over already is none to end."""
        if self.process != os.getpid():
            return  # the requests are the parent's
        with self.lock:
            if mailbox.ended or mailbox.id == 0 or self.closing:
                return
            try:
                lib.call("scheduler_cancel", self.handle, mailbox.id)
            except Llama2Error:
                return  # the scheduler is gone, and its requests with it
            self.work.set()

    def run(self) -> None:
        """The thread: steps while there is work."""
        remaining = C.c_size_t()
        try:
            while not self.closing:
                self.work.wait()
                self.work.clear()
                remaining.value = 1
                while remaining.value and not self.closing:
                    try:
                        lib.call("scheduler_step", self.handle, C.byref(remaining))
                    except CancelledError:
                        self.calls.flag.value = 0  # by `Context.cancel`: all goes on
                    finally:
                        self.deliver()
        except BaseException as problem:
            self.problem = problem
        finally:
            self.end()

    def end(self) -> None:
        """Nothing steps any more: the requests that are left are told, and the context is free."""
        with self.lock:
            self.closing = True
            left, self.mailboxes = list(self.mailboxes.values()), {}
        problem = self.problem if isinstance(self.problem, Llama2Error) else None
        self.arrived += [(mailbox, Event("", None, "error" if self.problem else "cancelled", problem)) for mailbox in left]
        self.deliver()
        lib.free("scheduler", self.handle)
        self.leave()

    def leave(self) -> None:
        """The contexts are free for other calls."""
        self.calls.leave(self)
        if self.draft is not None:
            self.draft._calls.leave(self)
