"""Event loops that wait for what another thread does."""

from __future__ import annotations

import asyncio
from typing import List, Tuple

Futures = List[Tuple[asyncio.AbstractEventLoop, "asyncio.Future[None]"]]


class Waiting:
    """Futures of event loops, to be resolved when something has changed. Whoever calls holds the lock that guards what changes."""

    def __init__(self) -> None:
        self._futures: Futures = []

    def future(self) -> asyncio.Future[None]:
        """For the running event loop: done after the next `wake`. To be awaited without the lock."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._futures.append((loop, future))
        return future

    def wake(self) -> None:
        """Resolves all of them, from any thread."""
        resolve(self.take())

    def take(self) -> Futures:
        """All of them, for `resolve`."""
        futures, self._futures = self._futures, []
        return futures


def resolve(futures: Futures) -> None:
    """From any thread. A loop is woken once, however many of them are its own."""
    of: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for loop, future in futures:
        of.setdefault(loop, []).append(future)
    for loop, its in of.items():
        try:
            loop.call_soon_threadsafe(_resolve, its)
        except RuntimeError:  # the loop was closed
            pass


def _resolve(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
