"""uvicorn, told what it needs to know."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import socket
import sys
import threading
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from .app import create_app
from .errors import ApiError
from .settings import Settings


class Protocol(H11Protocol):
    """uvicorn's own; a connection on which no request comes, or no more than half of one, is closed after a while."""

    patience = 30.0

    def connection_made(self, transport: Any) -> None:
        """A client is there."""
        super().connection_made(transport)
        self._next = asyncio.get_running_loop().call_later(self.patience, self._look, None)

    def connection_lost(self, exc: Any) -> None:
        """It is gone; nothing looks after it any more, or all that its requests were made of would stay for the length of the patience."""
        self._next.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """An answer to what is no HTTP: in the shape of all others, and with what is wrong, which is the exception that uvicorn handles here."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # an answer is under way, and no other can be sent
            self.transport.close()
            return
        problem = sys.exc_info()[1]
        status = getattr(problem, "error_status_hint", 400)
        body = json.dumps(ApiError(status, f"this is no HTTP: {problem or msg}", code="invalid_http").body).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Connection", "close")]
        for event in (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _look(self, before: Any) -> None:
        """before: the request that was there when it was looked last."""
        if self.transport.is_closing():
            return
        if self.cycle is before and (before is None or before.response_complete):
            self.transport.close()
        else:
            self._next = asyncio.get_running_loop().call_later(self.patience, self._look, self.cycle)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises OSError, when another server has the port for instance."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as problem:
        raise OSError(problem.errno, f"{host}: {problem.strerror}") from None
    out = socket.socket(family, kind, proto)
    try:
        out.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        out.bind(address)
        out.listen(1024)
    except OSError as problem:
        out.close()
        raise OSError(problem.errno, f"{host}:{port}: {problem.strerror}") from None
    return out


def listeners(hosts: str, port: int) -> list[socket.socket]:
    """A socket at each of the addresses; with port 0 all have the port that the first one got. Raises OSError, ValueError."""
    names = [name.strip() for name in hosts.split(",")]
    if not all(names):
        raise ValueError(f"--host {hosts}: an address is empty")
    out: list[socket.socket] = []
    try:
        for name in names:
            out.append(listen(name, out[0].getsockname()[1] if out else port))
    except BaseException:
        for one in out:
            one.close()
        raise
    return out


def _connections() -> int:
    """How many connections there may be: silent ones must keep nobody out, so as many as this process may have files, but for some. (What
    is worked on is bounded by the queue.)"""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 1 << 16 if hard == resource.RLIM_INFINITY else min(hard, 1 << 16)
    if soft != resource.RLIM_INFINITY and soft < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
        except (OSError, ValueError):
            pass
    return max((most if soft == resource.RLIM_INFINITY else min(soft, most)) - 128, 64)


class _Server(uvicorn.Server):
    """Says where it is once it can be asked."""

    def __init__(self, config: uvicorn.Config, said: Any):
        super().__init__(config)
        self._said = said

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._said()


def serve(settings: Settings, ready: Any = None) -> int:
    """Serves until SIGTERM or Ctrl-C, then finishes what runs, for at most `grace` seconds. ready(address): called once it can be
    asked. Returns the exit status."""
    bound = listeners(settings.host, settings.port)
    host, port = bound[0].getsockname()[:2]
    name = f"[{host}]" if ":" in host else host
    Protocol.patience = settings.body_timeout
    app = create_app(settings)
    app.state.models.open()  # what is wrong with the model is said here, as by every command
    grace: Any = settings.grace  # uvicorn says whole seconds and takes others
    config = uvicorn.Config(
        app, http=Protocol, ws="none", log_level=settings.log, access_log=settings.log in ("debug", "trace"), server_header=False,
        timeout_keep_alive=30, timeout_graceful_shutdown=grace, h11_max_incomplete_event_size=64 << 10, backlog=1024,
        limit_concurrency=_connections(),
    )  # fmt: skip
    server = _Server(config, lambda: ready and ready(f"http://{name}:{port}"))
    if threading.current_thread() is threading.main_thread():
        # before uvicorn listens to it, and when it ends the process by it once more because all is done: to be told to end is no failure
        signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
    server.run(sockets=bound)
    return 0 if server.started else 1
