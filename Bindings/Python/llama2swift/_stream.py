"""Between the engine's thread, which makes pieces of text, and a reader or an event loop."""

from __future__ import annotations

import collections
import os
import threading

from . import _structs as S
from ._calls import Calls
from ._waiting import Waiting
from .results import TokenReport

# Pieces that the engine may be ahead of the reader.
_AHEAD = 16


class Stream:
    """What the two sides share. The engine's side does not hold the iterator, so that one that is let go ends it."""

    def __init__(self, calls: Calls):
        self.calls = calls
        self.draft_calls: Calls | None = None
        self.process = os.getpid()
        self.result = S.sized(S.GenerateResult)
        self.problem: BaseException | None = None
        self.failed: BaseException | None = None  # in a callback
        self.was_cancelled = False
        self.ended = False
        self.thread: threading.Thread | None = None
        self.text: list[str] = []
        self.steps: list[TokenReport] = []
        self.unread: collections.deque[str] = collections.deque()
        # an RLock inside: the end of an iterator may come at any moment, also inside here
        self.changed = threading.Condition()
        self._waiting = Waiting()

    def leave(self) -> None:
        """The contexts are free for other calls."""
        self.calls.leave(self)
        if self.draft_calls is not None:
            self.draft_calls.leave(self)

    def put(self, piece: str) -> None:
        """From the engine: waits for room."""
        with self.changed:
            self.text.append(piece)
            self.unread.append(piece)
            self._tell()
            while len(self.unread) >= _AHEAD and not self.was_cancelled:
                self.changed.wait()

    def end(self, problem: BaseException | None) -> None:
        """From the engine, at last."""
        with self.changed:
            self.problem = problem
            self.ended = True
            self._tell()

    def cancel(self) -> None:
        """Ends the generation soon. From anywhere."""
        with self.changed:
            if not self.ended:
                self.was_cancelled = True
                self.calls.cancel(self)
            self.changed.notify_all()

    def _tell(self) -> None:
        self.changed.notify_all()
        self._waiting.wake()

    def read(self) -> str | None:
        """The next piece, "" when there is none yet, None at the end."""
        with self.changed:
            if self.unread:
                self.changed.notify_all()
                return self.unread.popleft()
            return None if self.ended else ""

    def wait(self) -> None:
        """Until there is a piece, or the end."""
        with self.changed:
            while not (self.unread or self.ended):
                self.changed.wait()

    def wait_for_end(self) -> None:
        """Until the engine has let go of the context."""
        with self.changed:
            while not self.ended:
                self.changed.wait()

    async def change(self) -> None:
        """Until something has changed, or the end."""
        with self.changed:
            if self.unread or self.ended:
                return
            future = self._waiting.future()
        await future

    async def async_end(self) -> None:
        """`wait_for_end` for an event loop."""
        while not self.ended:
            with self.changed:
                if self.ended:
                    return
                future = self._waiting.future()
            await future
