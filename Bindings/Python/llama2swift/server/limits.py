"""What stands before the routes: keys, the size and pace of bodies, readers that do not read, and figures of every answer."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import errors
from .errors import ApiError
from .settings import Settings

log = logging.getLogger("llama2swift.server")
_OPEN = frozenset(("/health", "/v1/health"))


class Titled:
    """The outermost layer: names of headers are written as HTTP/1.1 is usually written; clients that keep names in a dict look for these."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [(name.title(), value) for name, value in message.get("headers", ())]}
            await send(message)

        await self.app(scope, receive, sending if scope["type"] == "http" else send)


class Guard:
    """What is refused here has the headers for other pages all the same: they are added outside of it."""

    def __init__(self, app: ASGIApp, settings: Settings, meters: Any, open_paths: frozenset[str] = frozenset()):
        self.app, self.settings, self.meters = app, settings, meters
        self.open = _OPEN | open_paths
        # as bytes of UTF-8, and as browsers send them, of Latin-1
        self.keys = [*(key.encode() for key in settings.api_keys), *(key.encode("latin-1") for key in settings.api_keys if max(key) < "\u0100" and not key.isascii())]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["method"] == "HEAD":  # of what can be read; whoever sends the answer leaves its body out
            scope = {**scope, "method": "GET"}
        began, status, sent = time.monotonic(), 0, False
        body: _Body | None = None

        async def sending(message: Message) -> None:
            nonlocal status, sent
            if body is not None and body.problem is not None and not sent:
                return  # what is made of half a body is for nobody: the problem itself is told, below
            if message["type"] == "http.response.start":
                status, sent = message["status"], True
            # somebody who does not read may not hold a sequence for ever
            await asyncio.wait_for(send(message), self.settings.write_timeout)

        try:
            self._check_key(scope)
            body = _Body(scope, receive, self.settings)
            await self.app(scope, body, sending)
            problem, body.problem = body.problem, None
            if problem is not None:
                raise problem
        except asyncio.TimeoutError:
            status = status or 408
            raise _Unread("nobody reads the answer") from None
        except Exception as raised:
            if body is not None:
                body.problem = None
            if isinstance(raised, ApiError):
                answer = raised.response()
            else:
                log.exception("this should not happen")
                answer = errors.ApiError(500, "an internal error; the server's log has more", kind="server_error").response()
            status = answer.status_code
            if sent:
                raise
            await answer(scope, receive, sending)
        finally:
            route = scope.get("route")
            path = getattr(route, "path", None) or "other"
            self.meters.answered(path, status or 499, time.monotonic() - began)

    def _check_key(self, scope: Scope) -> None:
        if not self.keys or scope["path"] in self.open or scope["method"] == "OPTIONS":
            return
        given = b""
        for name, value in scope["headers"]:
            if name == b"authorization" and value[:7].lower() == b"bearer ":
                given = value[7:].strip()
            elif name == b"x-api-key":
                given = value.strip()
        # all are compared, each in constant time
        if not sum([hmac.compare_digest(given, key) for key in self.keys]):
            raise ApiError(401, "the API key is missing or wrong", kind="authentication_error", code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})


class _Unread(Exception):
    pass


class _Body:
    """Receives a body that is neither too large nor too slow."""

    def __init__(self, scope: Scope, receive: Receive, settings: Settings):
        self.receive, self.most, self.size, self.whole = receive, settings.max_body, 0, False
        self.until = time.monotonic() + settings.body_timeout
        self.seconds = settings.body_timeout
        self.problem: ApiError | None = None
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value[:20]) > self.most:
                raise self._too_large()

    async def __call__(self) -> Message:
        if self.whole:
            return await self.receive()  # what comes now is the end
        try:
            message = await asyncio.wait_for(self.receive(), max(self.until - time.monotonic(), 0.01))
        except asyncio.TimeoutError:
            self.problem = ApiError(408, f"the body was not there after {self.seconds:g} seconds", kind="timeout", headers={"Connection": "close"})
            raise self.problem from None
        if message["type"] == "http.request":
            self.size += len(message.get("body", b""))
            self.whole = not message.get("more_body", False)
            if self.size > self.most:
                self.problem = self._too_large()
                raise self.problem
        return message

    def _too_large(self) -> ApiError:
        return ApiError(413, f"the body is larger than {self.most} bytes", code="body_too_large", headers={"Connection": "close"})
