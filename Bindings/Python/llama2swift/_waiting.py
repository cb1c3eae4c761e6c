"""Event loops that wait for what another thread does."""

from __future__ import annotations

import asyncio


class Waiting:
    """Futures of event loops, to be resolved when something has changed. Whoever calls holds the lock that guards what changes."""

    def __init__(self) -> None:
        self._futures: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    def future(self) -> asyncio.Future[None]:
        """For the running event loop: done after the next `wake`. To be awaited without the lock."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._futures.append((loop, future))
        return future

    def wake(self) -> None:
        """Resolves all of them, from any thread."""
        futures, self._futures = self._futures, []
        for loop, future in futures:
            try:
                loop.call_soon_threadsafe(_resolve, future)
            except RuntimeError:  # the loop was closed
                pass


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
