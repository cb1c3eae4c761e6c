"""How bodies are read: as JSON that says each thing once, in numbers that are numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise json.JSONDecodeError(f"an object says {name[:200]} twice", "", 0)
            seen.add(name)
    return made


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise json.JSONDecodeError(f"{text[:40]} is too large for a number", "", 0)
    return value


def _no_number(text: str) -> Any:
    raise json.JSONDecodeError(f"{text} is no number of it", "", 0)


class _Exact(Request):
    """Python's reader takes the last of two values for a key, NaN, and 1e999 as infinity; a request that says so says nothing certain."""

    async def json(self) -> Any:
        """The body."""
        try:
            return json.loads(await self.body(), object_pairs_hook=_object, parse_float=_number, parse_constant=_no_number)
        except json.JSONDecodeError:
            raise
        except RecursionError:
            raise json.JSONDecodeError("it is nested too deeply", "", 0) from None
        except ValueError as problem:  # a number of too many digits, bytes that are no text
            raise json.JSONDecodeError(" ".join(str(problem).split()), "", 0) from None


class Route(APIRoute):
    """A route whose bodies are read so."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's, given the other kind of request."""
        handler = super().get_route_handler()

        async def exact(request: Request) -> Response:
            return await handler(_Exact(request.scope, request.receive))

        return exact
