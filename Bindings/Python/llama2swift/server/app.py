"""The ASGI application."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from .. import __version__
from ..errors import Llama2Error
from . import absent, chat, completions, described, errors, listing, native, page, responses
from .answering import Gate
from .limits import Guard, Titled
from .meters import Meters
from .models import Models
from .settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """The application, for any ASGI server; models are loaded at its start and on demand."""
    meters = Meters()
    models, gate = Models(settings, meters), Gate(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(models.open)
        idle = asyncio.ensure_future(models.unload_idle()) if settings.idle_unload else None
        try:
            yield
        finally:
            if idle is not None:
                idle.cancel()
                with suppress(asyncio.CancelledError):
                    await idle
            await models.close()

    # no pages of documentation: they would load scripts from other hosts; the schema is at /openapi.json
    app = FastAPI(title="llama2swift", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.settings, app.state.meters, app.state.models, app.state.gate = settings, meters, models, gate
    app.state.began = int(time.time())
    meters.look = lambda: _gauges(models, gate)
    for router in (completions.router, chat.router, responses.router, native.router, listing.router):
        app.include_router(router, responses=described.ERRORS, dependencies=[Depends(_only_known)])
    app.include_router(absent.router)
    described.describe(app, settings)
    open_paths = page.add(app) if settings.page else frozenset()
    _handlers(app)
    app.add_middleware(Guard, settings=settings, meters=meters, open_paths=open_paths)
    if settings.cors_origins:
        every, here = "*" in settings.cors_origins, "localhost" in settings.cors_origins
        app.add_middleware(
            _Cors, allow_origins=() if every else [o for o in settings.cors_origins if o != "localhost"], allow_origin_regex=".*" if every else _HERE if here else None,
            allow_methods=["GET", "POST", "DELETE", "OPTIONS"], allow_headers=["*"], allow_credentials=True,
        )  # fmt: skip
    app.add_middleware(Titled)
    return app


async def _only_known(http: Request) -> None:
    """Refuses what is asked for in an address and would be passed over."""
    known = {one.alias for one in http.scope["route"].dependant.query_params}
    for name in http.query_params:
        if name not in known:
            raise errors.ApiError(400, f"{name[:200]}: this parameter of the address is not known", param=name[:200], code="unknown_parameter")


# every port of this machine, by each of its names
_HERE = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?"


class _Cors(CORSMiddleware):
    """Starlette's, but for the status of an answer to another page's question whether it may ask: the header that is not there says no."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """The answer to OPTIONS."""
        answer = super().preflight_response(request_headers)
        if answer.status_code == 400 and not self.is_allowed_origin(request_headers["origin"]):
            return Response(status_code=200, headers={k: v for k, v in answer.headers.items() if k.lower() in ("vary", "access-control-max-age")})
        return answer


def _gauges(models: Models, gate: Gate) -> dict[str, float]:
    out = {"requests_inside": float(gate.inside), "queue_limit": float(gate.most), "models_loaded": float(len(models.engines))}
    totals: dict[str, float] = {}
    for engine in list(models.engines.values()):
        info = engine.info()
        for name in ("positions", "pages", "pages_used", "pages_shared", "pages_cached", "memory_bytes"):
            key = f"cache_{name}" if name != "memory_bytes" else name
            totals[key] = totals.get(key, 0.0) + getattr(info, name)
        for name, value in engine.scheduler.stats().items():
            totals[f"scheduler_{name}"] = totals.get(f"scheduler_{name}", 0.0) + value
    return {**out, **totals}


def _handlers(app: FastAPI) -> None:
    async def api(_: Request, problem: Any) -> Any:
        return errors.of(problem).response()

    async def validation(_: Request, problem: Any) -> Any:
        return errors.of_validation(problem.errors()).response()

    async def http(request: Request, problem: Any) -> Any:
        said = {404: f"there is nothing at {request.url.path[:200]}", 405: f"{request.url.path[:200]} does not know {request.method}"}
        kind = "not_found_error" if problem.status_code == 404 else "invalid_request_error"
        return errors.ApiError(problem.status_code, said.get(problem.status_code, str(problem.detail)), kind=kind, headers=problem.headers).response()

    app.add_exception_handler(RequestValidationError, validation)
    app.add_exception_handler(HTTPException, http)
    for kind in (errors.ApiError, Llama2Error, ValueError, TypeError, OverflowError, MemoryError):
        app.add_exception_handler(kind, api)
