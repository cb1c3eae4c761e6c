"""Text as it is generated: an engine's thread on one side, a reader or an event loop on the other."""

from __future__ import annotations

import ctypes as C
import os
import threading
import weakref
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from . import _arguments as A
from . import _constants as K
from . import _library as lib
from . import _structs as S
from ._calls import Calls
from ._closing import AsyncClosing, NotCopied
from ._stream import Stream
from .errors import CancelledError
from .results import TokenReport
from .sampler import Sampler

_REASONS = {
    K.END_TOKEN: "end", K.END_MAX_TOKENS: "max_tokens", K.END_STOP: "stop", K.END_CONTEXT: "context_full",
}  # fmt: skip
_MOST_STOPS, _LONGEST_STOP = 64, 4096  # the header's, see llama2_generate_options


def stop_strings(value: Any, name: str = "stop") -> list[bytes]:
    """The bytes of one stop string or several, checked. An empty one is none."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, (bytes, bytearray, memoryview, Mapping)) or not hasattr(value, "__iter__"):
        raise A.refuse(name, value, "a str or a list of them")
    stops = [A.string(f"{name}[{i}]", s).encode() for i, s in enumerate(value)]
    if len(stops) > _MOST_STOPS:
        raise ValueError(f"{name} has {len(stops)} strings, expected at most {_MOST_STOPS}")
    for i, stop in enumerate(stops):
        if len(stop) > _LONGEST_STOP:
            raise ValueError(f"{name}[{i}] has {len(stop)} bytes, expected at most {_LONGEST_STOP}")
    return stops


class Generation(AsyncClosing, NotCopied, Iterator[str], AsyncIterator[str]):
    """Pieces of text from `Context.generate`: for `for`, for `async for`, and best in a `with` or `async with`.

    `reason` is None until the end, then "end", "max_tokens", "stop", "context_full", "cancelled" (Ctrl-C, `close`, `cancel`, the
    end of a task) or "error". `text` is all that was generated, also what was not read before a `break`: it is what
    the context holds. `tokens` is how many were sampled, `prompt_tokens` how many of the prompt are in the sequence, `adopted` how
    many of these were found there. The engine works in
    a thread of its own, at most a few pieces ahead of the reader.
    """

    _not_copied = ": it is a thread at work; its text can"

    def __init__(
        self, context: object, calls: Calls, handle: int | None, sampler: Sampler, prompt: A.Tokens, max_tokens: int,
        stops: list[bytes], flags: int, shift_keep: int, best: int | None = None, reports: bool = False,
        draft: tuple[object, Calls, int | None] | None = None,
    ):  # fmt: skip
        self._reason: str | None = None
        self._stream = stream = Stream(calls)
        options = S.sized(S.GenerateOptions)
        options.flags, options.shift_keep = flags, shift_keep
        options.prompt, options.prompt_count = C.cast(prompt.pointer, C.POINTER(C.c_int32)), prompt.count
        texts = (S.Text * max(len(stops), 1))(*(S.Text(s, len(s)) for s in stops))
        options.stops, options.stop_count = texts, len(stops)
        options.max_tokens = max_tokens
        told = _teller(stream) if reports else None
        if told is not None:
            options.token_callback = C.cast(told, C.c_void_p)
            options.best = best or 0
        options.result = C.pointer(stream.result)
        kept = (context, sampler, prompt, texts, told, draft)  # alive while the thread works
        calls.enter(stream)
        try:
            if draft is not None:
                _, stream.draft_calls, options.draft = draft
                stream.draft_calls.enter(stream)
            self._stop = weakref.finalize(self, _abandon, stream)
            stream.thread = threading.Thread(
                target=_work, args=(stream, handle, sampler, options, kept), name="llama2swift-generate", daemon=True
            )
            stream.thread.start()
        except BaseException:
            # of a thread that has begun all the same, the end is its own
            if stream.thread is None or stream.thread.ident is None:
                stream.leave()
            stream.cancel()
            raise

    @property
    def reason(self) -> str | None:
        """Why it ended, None before."""
        return self._reason

    @property
    def text(self) -> str:
        """All that was generated until now, also what was not read."""
        with self._stream.changed:
            return "".join(self._stream.text)

    @property
    def steps(self) -> list[TokenReport]:
        """What is known of each token until now, those of the prompt first with echo; [] unless `generate` was asked for it."""
        with self._stream.changed:
            return list(self._stream.steps)

    @property
    def logprobs(self) -> list[float]:
        """The natural logarithms of the probabilities that the model gave to the tokens of `steps`."""
        return [step.logprob for step in self.steps]

    @property
    def tokens(self) -> int:
        """How many were sampled, the end token included; 0 before the end."""
        return self._stream.result.tokens if self._reason is not None else 0

    @property
    def prompt_tokens(self) -> int:
        """How many of the prompt are in the sequence; 0 before the end."""
        return self._stream.result.prompt_tokens if self._reason is not None else 0

    @property
    def adopted(self) -> int:
        """How many of these were found and not evaluated; 0 before the end."""
        return self._stream.result.adopted if self._reason is not None else 0

    @property
    def dropped(self) -> int:
        """How many positions shifts dropped; 0 before the end."""
        return self._stream.result.dropped if self._reason is not None else 0

    @property
    def guessed(self) -> int:
        """How many tokens were evaluated before they were chosen; 0 before the end."""
        return self._stream.result.guessed if self._reason is not None else 0

    @property
    def guessed_right(self) -> int:
        """How many of these were then chosen; 0 before the end."""
        return self._stream.result.guessed_right if self._reason is not None else 0

    def __next__(self) -> str:
        try:
            while True:
                piece = self._stream.read()
                if piece is None:
                    break
                if piece:
                    return piece
                self._stream.wait()
        except BaseException:  # of a signal's handler
            self._stream.cancel()
            self._stream.wait_for_end()
            self._finish()
            raise
        problem = self._finish()
        if problem is not None:
            raise problem
        raise StopIteration

    def __aiter__(self) -> Generation:
        return self

    async def __anext__(self) -> str:
        try:
            while True:
                piece = self._stream.read()
                if piece is None:
                    break
                if piece:
                    return piece
                await self._stream.change()
        except BaseException:  # the task was cancelled
            self._stream.cancel()
            await self._stream.async_end()
            self._finish()
            raise
        problem = self._finish()
        if problem is not None:
            raise problem
        raise StopAsyncIteration

    def _finish(self) -> BaseException | None:
        """After the end: the reason, and once what is to be raised."""
        stream = self._stream
        if self._reason is None:
            self._stop.detach()
            self._reason = _REASONS.get(stream.result.reason, "error")
            if stream.problem is not None:
                self._reason = "cancelled" if isinstance(stream.problem, CancelledError) else "error"
        problem, stream.problem = stream.problem, None
        # whoever cancelled it knows
        return None if stream.was_cancelled and isinstance(problem, CancelledError) else problem

    def cancel(self) -> None:
        """Ends the generation soon: what was generated can still be read, then it ends with `reason` "cancelled". From any thread."""
        self._stream.cancel()

    def close(self) -> None:
        """Ends the generation; the context is free for other calls afterwards. What was not read is in `text`."""
        self._stream.cancel()
        self._stream.wait_for_end()
        self._stream.unread.clear()
        self._finish()

    async def aclose(self) -> None:
        """`close` for an event loop."""
        self._stream.cancel()
        await self._stream.async_end()
        self._stream.unread.clear()
        self._finish()

    async def _aclose(self) -> None:
        await self.aclose()


def token_report(raw: S.TokenReport) -> TokenReport:
    """A copy of what the library tells about a token."""

    def pairs(rows: Any, count: int) -> list[tuple[int, float]]:
        return [(row.token, row.logit) for row in rows[:count]]

    return TokenReport(
        raw.token, lib.text(raw, S.TokenReport.text, raw.text_length), raw.log_probability, raw.log_probability_after, pairs(raw.best, raw.best_count), pairs(raw.best_after, raw.best_after_count),
        raw.nanoseconds / 1e9, _REASONS.get(raw.reason), bool(raw.is_of_prompt),
    )  # fmt: skip


def _teller(stream: Stream) -> Any:
    """The callback that collects reports."""

    def tell(report: Any, _: object) -> int:
        try:
            step = token_report(report.contents)
            with stream.changed:
                stream.steps.append(step)
            return 0
        except BaseException as problem:  # goes on in the reader, not in C
            stream.failed = problem
            return 1

    return S.TokenCallback(tell)


def _work(stream: Stream, context: int | None, sampler: Sampler, options: S.GenerateOptions, kept: object) -> None:
    problems: list[BaseException] = []

    def receive(piece: Any, length: int, _: object) -> int:
        try:
            stream.put(piece[:length].decode("utf-8", "replace"))
            return 0
        except BaseException as problem:  # goes on in the reader, not in C
            problems.append(problem)
            return 1

    problem: BaseException | None = None
    try:
        sampler._own.check()
        lib.call("generate", context, sampler._handle, C.byref(options), lib.PieceCallback(receive), None)
    except BaseException as raised:
        problem = raised
    asked = (stream.calls.take_problem() or sampler._own.take_problem()) if isinstance(problem, CancelledError) else None
    del kept, sampler
    stream.leave()
    stream.end(problems[0] if problems else stream.failed or asked or problem)


def _abandon(stream: Stream) -> None:
    """The iterator was let go, or the interpreter ends."""
    if stream.process != os.getpid():
        return  # the thread is the parent's
    stream.cancel()
    if stream.thread is not None and stream.thread is not threading.current_thread():
        stream.wait_for_end()
