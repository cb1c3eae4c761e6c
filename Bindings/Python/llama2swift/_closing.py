"""What is closed: `with`, `async with`, and why it cannot be copied, said once."""

from __future__ import annotations

import weakref
from typing import Any, ClassVar, TypeVar

from . import _library as lib

Self = TypeVar("Self", bound="Closing")
AsyncSelf = TypeVar("AsyncSelf", bound="AsyncClosing")


class NotCopied:
    """Refuses to be pickled and copied."""

    # what the sentence ends with
    _not_copied: ClassVar[str] = ""

    def __reduce__(self) -> tuple[Any, ...]:
        name = type(self).__name__
        raise TypeError(f"{'an' if name[0] in 'AEIOU' else 'a'} {name} cannot be pickled or copied{self._not_copied}")


class Closing:
    """Closed by `close`, or at the end of a `with`."""

    def close(self) -> None:
        """Ends it."""
        raise NotImplementedError

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClosing(Closing):
    """The same for `async with`."""

    async def _aclose(self) -> None:
        """`close` for an event loop."""
        self.close()

    async def __aenter__(self: AsyncSelf) -> AsyncSelf:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._aclose()


class Handle(Closing, NotCopied):
    """What stands behind a handle of the library's, which is freed by `close` or with the object."""

    _handle: int | None

    def _hold(self, kind: str, handle: int | None) -> None:
        self._handle = handle
        self._finalizer = weakref.finalize(self, lib.free, kind, handle)
        # at the interpreter's end other threads may still use it, and would raise into nothing; the end of the process frees all
        self._finalizer.atexit = False

    def close(self) -> None:
        """Frees it."""
        self._finalizer()
