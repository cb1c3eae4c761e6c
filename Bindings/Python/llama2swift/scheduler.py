"""Many requests at once on one context: a thread of its own steps while there is work, and each request is an iterator of events."""

from __future__ import annotations

import ctypes as C
import math
import os
import threading
import weakref
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

from . import _arguments as A
from . import _constants as K
from . import _library as lib
from . import _structs as S
from ._closing import Closing, NotCopied
from ._engine import Engine, Event, Mailbox
from ._sequences import scaled_adapters
from .adapter import Adapter
from .context import Context
from .errors import BusyError, Llama2Error
from .generation import stop_strings
from .grammar import Grammar
from .sampler import Sampler


class Request(NotCopied, Iterator[Event], AsyncIterator[Event]):
    """A request to a Scheduler: its events, for `for` and for `async for`. `id` is its number. Letting go of it cancels it.

    `reason` is None until the last event was read. `tokens` is how many were chosen, `prompt_tokens` how many it began with,
    `adopted` how many of these were found and not evaluated: of what was read or is to be read.
    """

    _not_copied = ": it is text in the making"

    def __init__(self, engine: Engine, mailbox: Mailbox, scheduler: Scheduler):
        self._engine = engine
        self._scheduler: Scheduler | None = scheduler  # nobody else may have it, and it ends with whoever has it
        self._mailbox = mailbox
        self._reason: str | None = None
        self._finalizer = weakref.finalize(self, engine.cancel, mailbox)

    @property
    def id(self) -> int:
        """The number that the scheduler gave it."""
        return self._mailbox.id

    @property
    def reason(self) -> str | None:
        """The reason of the last event, once that was read."""
        return self._reason

    @property
    def prompt_tokens(self) -> int:
        """How many tokens it began with."""
        return self._mailbox.prompt_tokens

    @property
    def adopted(self) -> int:
        """How many of these were found and not evaluated, as of the latest event."""
        return self._mailbox.adopted

    @property
    def tokens(self) -> int:
        """How many were chosen, as of the latest event."""
        return self._mailbox.tokens

    def cancel(self) -> None:
        """Ends it soon: what came until then can still be read. From any thread; one that has ended is no matter."""
        self._engine.cancel(self._mailbox)

    def text(self) -> str:
        """All the text that was not read yet; waits for the end. Raises what the last event's `error` is."""
        pieces = []
        for event in self:
            pieces.append(event.text)
            if event.error is not None:
                raise event.error
        return "".join(pieces)

    def _see(self, event: Event | None) -> Event | None:
        if event is not None and event.reason is not None:
            self._reason = event.reason
            self._finalizer.detach()
            self._scheduler = None
        return event

    def __next__(self) -> Event:
        event = self._see(self._mailbox.take())
        if event is None:
            raise StopIteration
        return event

    def __aiter__(self) -> Request:
        return self

    async def __anext__(self) -> Event:
        event = self._see(await self._mailbox.take_async())
        if event is None:
            raise StopAsyncIteration
        return event

    def __enter__(self) -> Request:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()


class Scheduler(Closing, NotCopied):
    """Many requests at once on one context, whose sequences they share: it is the scheduler's until `close`, other calls on it raise
    BusyError.

    A step evaluates one batch: a token of every request under way, and pieces of the prompts of others. What is stored of a
    prompt's beginning is not evaluated again. Who has a higher priority comes first; equals come in the order in which they
    came and share what there is; when the cache is full, the least important request gives its room up and is computed again later.
    The text of a request is that of `Context.generate` alone, bit for bit.

    prompt_tokens_per_step: tokens of prompts at most in a step in which other requests decode; None or 0: twice as many as decode,
    at least 16; where more still have a prompt than decode, as many times more. max_requests: waiting and running ones (BusyError beyond). draft: a context of a smaller model with the same vocabulary and as many
    sequences that guesses, see `Context.generate`; it is the scheduler's, too. `submit`, `cancel`, `stats` and
    `close` are for any thread.
    """

    _not_copied = ": it is a thread at work"

    def __init__(
        self, context: Context, *, prompt_tokens_per_step: int | None = None, max_requests: int = 1024, draft: Context | None = None
    ):  # fmt: skip
        A.instance("context", context, Context)
        options = S.sized(S.SchedulerOptions)
        options.prompt_tokens_per_step = 0 if prompt_tokens_per_step is None else A.unsigned("prompt_tokens_per_step", prompt_tokens_per_step, 32)
        options.max_requests = A.unsigned("max_requests", max_requests, 32)
        context._check_exports()
        if draft is not None:
            A.instance("draft", draft, Context)._check_exports()
            options.draft = draft._handle
        handle = C.c_void_p()
        engine = Engine(None, context._calls, context, draft)
        context._calls.enter(engine)
        try:
            if draft is not None:
                draft._calls.enter(engine)
            lib.call("scheduler_create", context._handle, C.byref(options), C.byref(handle), None, 0)
            engine.handle = handle.value
            self._engine = engine
            self._thread = threading.Thread(target=engine.run, name="llama2swift-scheduler", daemon=True)
            self._finalizer = weakref.finalize(self, _close, engine, self._thread)
            self._thread.start()
        except BaseException:
            lib.free("scheduler", handle.value)
            engine.leave()
            raise

    @property
    def context(self) -> Context:
        """The context that it has."""
        return self._engine.context

    def submit(
        self, tokens: A.TokenIds, max_tokens: int | None = None, sampler: Sampler | None = None, grammar: Grammar | None = None,
        stops: str | Sequence[str] = (), priority: int = 0, deadline: A.Number | None = None, logprobs: int | None = None,
        penalize_prompt: bool = False, guess: bool = True, echo: bool = False, adapters: Iterable[tuple[Adapter, float]] = (),
        complete: bool = False,
    ) -> Request:  # fmt: skip
        """Hands in a request: tokens of a prompt, with BOS where the model wants it.

        max_tokens: None or 0 for no limit but the context. sampler: in use until the request ends (BusyError for two at once); None: one
        with the defaults. grammar: set on the sampler. stops: strings that end the text and are never given out. priority: the
        more the sooner. deadline: seconds from now, looked at between steps. penalize_prompt, guess, complete, logprobs, echo: as in `Context.generate`;
        with either of the last two events have a `report`. adapters: as in `Context.set_adapters`.
        Raises ContextFullError (more tokens than the context has positions), InvalidTokenError, BusyError, InvalidArgumentError.
        """
        o = S.sized(S.RequestOptions)
        ids = A.tokens("tokens", tokens)
        o.tokens, o.token_count = C.cast(ids.pointer, C.POINTER(C.c_int32)), ids.count
        o.max_tokens = 0 if max_tokens is None else A.unsigned("max_tokens", max_tokens)
        chosen = Sampler() if sampler is None else A.instance("sampler", sampler, Sampler)
        o.sampler = chosen._handle
        if grammar is not None:
            o.grammar = A.instance("grammar", grammar, Grammar)._handle
        strings = stop_strings(stops, "stops")
        texts = (S.Text * max(len(strings), 1))(*(S.Text(s, len(s)) for s in strings))
        o.stops, o.stop_count = texts, len(strings)
        o.adapters, o.adapter_count = scaled_adapters(adapters)
        o.priority = A.signed("priority", priority)
        o.deadline_milliseconds = 0 if deadline is None else _milliseconds(deadline)
        o.flags = K.REQUEST_PENALIZE_PROMPT if A.flag("penalize_prompt", penalize_prompt) else 0
        o.flags |= 0 if A.flag("guess", guess) else K.REQUEST_NO_GUESS
        if logprobs is not None:
            o.flags |= K.REQUEST_LOGPROBS
            o.best = A.unsigned("logprobs", logprobs, 32)
        o.flags |= K.REQUEST_ECHO if A.flag("echo", echo) else 0
        o.flags |= K.REQUEST_COMPLETE if A.flag("complete", complete) else 0
        engine, mailbox, number = self._engine, Mailbox(), C.c_uint64()
        mailbox.reports = logprobs is not None or echo
        mailbox.prompt_tokens = ids.count
        mailbox.take_problem = chosen._own.take_problem
        key = next(engine.keys)
        o.callback, o.user_data = C.cast(engine.callback, C.c_void_p), key
        with engine.lock:
            if engine.process != os.getpid():
                lib.call("scheduler_submit", engine.handle, C.byref(o), C.byref(number))  # raises ForkedError
            if engine.closing:
                raise engine.problem if isinstance(engine.problem, Llama2Error) else BusyError("this scheduler is closed")
            engine.mailboxes[key] = mailbox
            try:
                lib.call("scheduler_submit", engine.handle, C.byref(o), C.byref(number))
            except BaseException:
                del engine.mailboxes[key]
                raise
            mailbox.id = number.value
        engine.work.set()
        return Request(engine, mailbox, self)

    def stats(self) -> dict[str, int]:
        """How it is doing. Now: `waiting` and `running` requests. Since it was made: `prompt_tokens` of requests that have begun,
        `adopted_tokens` of these that were found and not evaluated, `tokens` chosen, `evaluated_tokens` in all, `steps`, `preemptions` (how
        often a request gave up its room). The cache: `pages`, `pages_used`, `pages_shared`, `pages_cached`, `positions`. Guessing: `guessed_tokens`, of these `guessed_right`."""
        raw = S.sized(S.SchedulerStats)
        lib.call("scheduler_get_stats", self._engine.handle, C.byref(raw))
        return {name: int(getattr(raw, name)) for name in (field[0] for field in raw._fields_) if name not in ("struct_size", "reserved")}

    def close(self) -> None:
        """Ends all requests ("cancelled") and the thread; the context is free for other calls afterwards."""
        self._finalizer()


def _milliseconds(deadline: A.Number) -> int:
    seconds = A.real("deadline", deadline)
    if not seconds >= 0:
        raise ValueError(f"deadline is {seconds}, expected 0 or more seconds")
    return max(1, math.ceil(seconds * 1000)) if seconds < 1e15 else 0


def _close(engine: Engine, thread: threading.Thread) -> None:
    """The scheduler was closed or let go, or the interpreter ends."""
    if engine.process != os.getpid():
        return  # the thread is the parent's
    engine.closing = True
    engine.calls.cancel(engine)  # the step under way
    engine.work.set()
    if thread is not threading.current_thread():
        thread.join()
