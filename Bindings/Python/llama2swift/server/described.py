"""The schema at /openapi.json, of answers as shapes.py and native_shapes.py have them."""

from __future__ import annotations

from typing import Any, Dict, Union

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from .settings import Settings
from .shapes import Error


# without a type: some take the schema of a stream for that of its text, some for that of an event
_STREAM = {"text/event-stream": {"schema": {"description": "data: JSON, for each piece; OpenAI's end with data: [DONE]"}}}
_SAID = {
    400: "the request is wrong, or asks for what this server does not do", 401: "the API key", 404: "no such model", 408: "the body was too slow",
    413: "the body is too large", 429: "the queue is full; Retry-After says when", 500: "the server's fault", 503: "the model or memory is not there",
    504: "the time is over",
}  # fmt: skip
ERRORS: Dict[Union[int, str], Dict[str, Any]] = {status: {"model": Error, "description": said} for status, said in _SAID.items()}


def answers(model: Any, streams: bool = False) -> Dict[Union[int, str], Dict[str, Any]]:
    """`responses` of a route."""
    return {200: {"model": model, **({"content": dict(_STREAM)} if streams else {})}}


def describe(app: FastAPI, settings: Settings) -> None:
    """Makes the schema: FastAPI's, without the status 422, which this server does not give, and with the key."""

    def schema() -> Dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, routes=app.routes)
            for path in made["paths"].values():
                for operation in path.values():
                    operation["responses"].pop("422", None)
            for name in ("HTTPValidationError", "ValidationError"):
                made["components"]["schemas"].pop(name, None)
            if settings.api_keys:
                made["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
                for path, operations in made["paths"].items():
                    for operation in operations.values():
                        operation["security"] = [] if path == "/health" else [{"key": []}]
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = schema  # type: ignore[method-assign]
