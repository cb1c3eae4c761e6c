"""Errors in OpenAI's shape: {"error": {"message", "type", "param", "code"}}, the message a sentence, where it can be the library's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.responses import JSONResponse

from .. import errors as library
from .bodies import Sampled


class ApiError(Exception):
    """A request that is not answered, and why."""

    def __init__(
        self, status: int, message: str, *, kind: str = "invalid_request_error", param: str | None = None, code: str | None = None,
        headers: Mapping[str, str] | None = None, **more: Any,
    ):  # fmt: skip
        super().__init__(message)
        self.status, self.headers = status, dict(headers or {})
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code, **more}}

    def response(self) -> JSONResponse:
        """It as an answer."""
        return JSONResponse(self.body, self.status, self.headers)


def refused(name: str, why: str) -> ApiError:
    """A field that is not followed."""
    return ApiError(400, f"{name}: {why}", param=name, code="unsupported_parameter")


def too_long(tokens: int, length: int) -> ApiError:
    """A prompt that does not fit; its type and figures are llama-server's, its code OpenAI's."""
    return ApiError(
        400, f"the request has {tokens} tokens, which exceeds the available context size of {length} tokens",
        kind="exceed_context_size_error", code="context_length_exceeded", n_prompt_tokens=tokens, n_ctx=length,
    )  # fmt: skip


# arguments of a sampler that requests have under other names, llama-server's
_NAMES = {
    "dynamic_range": "dynatemp_range", "dynamic_exponent": "dynatemp_exponent", "repetition_penalty": "repeat_penalty", "penalty_last_n": "repeat_last_n",
    "dry_last_n": "dry_penalty_last_n", "dry_breakers": "dry_sequence_breakers",
}  # fmt: skip


def of(problem: BaseException) -> ApiError:
    """What an exception of the library says to a client."""
    text = " ".join(str(problem).split()) or type(problem).__name__
    first = re.split(r"\W", text, maxsplit=1)[0]  # of logit_bias[5] too
    name = _NAMES.get(first, first)
    if name in Sampled.model_fields and not isinstance(problem, ApiError):
        return ApiError(400, name + text[len(first) :], param=name)
    if isinstance(problem, ApiError):
        return problem
    if isinstance(problem, library.ContextFullError):
        return ApiError(400, text, kind="exceed_context_size_error", code="context_length_exceeded")
    if isinstance(problem, (library.OutOfMemoryError, MemoryError)):
        return ApiError(503, text or "there is not enough memory", kind="unavailable_error", headers={"Retry-After": "1"})
    if isinstance(problem, (library.InputOutputError, library.FormatError)):
        return ApiError(503, text, kind="unavailable_error", code="model_not_available")
    kinds = (library.UnsupportedError, library.UnknownTemplateError, library.ForbiddenError, ValueError, TypeError, OverflowError)
    if isinstance(problem, (*kinds, library.OutOfRangeError)):
        return ApiError(400, text)
    return ApiError(500, text, kind="server_error")


def _place(parts: Sequence[Any]) -> str:
    """messages[0].content, without the names of a union's branches."""
    out = ""
    for part in parts:
        if isinstance(part, int):
            out += f"[{part}]"
        elif part != "body" and part.isidentifier() and part.islower() and part not in ("str", "int", "float", "bool", "list", "dict"):
            out += ("." if out else "") + part
    return out


def of_validation(problems: Sequence[Any]) -> ApiError:
    """The first of pydantic's findings as a sentence."""
    # of the branches of a union the one that got furthest, and what is refused by its name before all
    first: dict[str, Any] = max(problems, key=lambda p: (p["type"] == "not_followed", len(p["loc"])))
    name, message, kind = _place(first["loc"]), str(first["msg"]), first["type"]
    if kind == "json_invalid":
        return ApiError(400, f"the body is not JSON: {first.get('ctx', {}).get('error', message)}", code="invalid_json")
    if kind == "not_followed":
        param = ".".join(filter(None, [name, first["ctx"].get("name")]))
        return ApiError(400, message, param=param, code="unsupported_parameter")
    if kind == "extra_forbidden":
        return ApiError(400, f"{name}: this field is not known", param=name, code="unknown_parameter")
    if kind == "missing":
        what = f"{name} is missing" if name else "the body is missing: JSON, with Content-Type: application/json"
        return ApiError(400, what, param=name or None, code="missing_required_parameter")
    if kind == "model_attributes_type" and not name:
        return ApiError(400, "the body is no JSON object; is its Content-Type application/json?", code="invalid_json")
    message = message.removeprefix("Value error, ")
    return ApiError(400, f"{name}: {message}" if name else message, param=name or None, code="invalid_value")
