"""What others have at addresses of theirs and this server has not: each is told what it is, or what there is in its place."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request

from .errors import ApiError

router = APIRouter(include_in_schema=False)
_STORED = "nothing is stored by this server"
# what stands at an address and below it, and why it is not there; llama-server's, OpenAI's and Anthropic's
_WHY = {
    "/v1/messages": "Anthropic's interface is not spoken here; there are /v1/chat/completions and /v1/responses",
    "/v1/complete": "Anthropic's interface is not spoken here; there is /v1/completions",
    "/infill": "filling in between a prompt and a suffix is not supported",
    **dict.fromkeys(("/rerank", "/reranking", "/v1/rerank", "/v1/reranking"), "there is no model here that ranks texts; there is /v1/embeddings"),
    "/embedding": "there is /v1/embeddings",
    "/lora-adapters": "adapters are not supported by this server",
    "/slots/{id}": "which request has which sequence is the scheduler's affair, and no state of one is a file; what was evaluated is found again by itself",
    **dict.fromkeys(("/models/load", "/models/unload", "/models/sse"), "models are loaded when they are asked for"),
    **dict.fromkeys(("/tools", "/cors-proxy"), "this server runs no tools and asks no other host"),
    "/v1/chat/completions/control": "an answer is ended by closing its connection",
    **dict.fromkeys(("/v1/stream", "/v1/streams"), "a stream is read by the one who asked for it, and once"),
    **dict.fromkeys(("/v1/audio", "/audio", "/v1/realtime"), "sound is not supported"),
    **dict.fromkeys(("/v1/images", "/v1/videos"), "images are not supported"),
    "/v1/moderations": "the server moderates nothing",
    "/v1/edits": "this was replaced by /v1/chat/completions",
    **dict.fromkeys(("/v1/files", "/v1/uploads", "/v1/vector_stores", "/v1/conversations", "/v1/threads", "/v1/containers"), _STORED),
    "/v1/batches": _STORED + "; requests are worked on side by side as they come",
    "/v1/assistants": _STORED + "; there are /v1/chat/completions and /v1/responses",
    **dict.fromkeys(("/v1/fine_tuning", "/v1/fine-tunes"), "models are not trained here"),
    "/v1/evals": "models are not judged over HTTP; the command is `llama2swift evaluate`",
}  # fmt: skip


def _refusing(path: str, why: str) -> Callable[[Request], Coroutine[Any, Any, None]]:
    async def refuse(http: Request) -> None:
        raise ApiError(501, f"{http.url.path[:200]} is not supported by this server: {why}", kind="not_supported_error", code="not_supported")

    refuse.__doc__ = why
    return refuse


for _path, _reason in _WHY.items():
    for _below in ("", "/{rest:path}"):
        router.add_api_route(_path + _below, _refusing(_path, _reason), methods=["GET", "POST", "PUT", "PATCH", "DELETE"], response_model=None)


@router.post("/props", response_model=None)
async def set_props() -> None:
    """llama-server's, which changes what a server was told at its start."""
    raise ApiError(501, "what this server was told at its start is not changed by requests", kind="not_supported_error", code="not_supported")


@router.api_route("/v1/chat/completions", methods=["GET"], response_model=None)
@router.api_route("/v1/chat/completions/{number:path}", methods=["GET", "POST", "DELETE"], response_model=None)
async def stored_chat(number: str = "") -> None:
    """What is not kept."""
    of = f"there is no chat completion {json.dumps(number[:100])}" if number else "there are no chat completions to list"
    raise ApiError(404, f"{of}: {_STORED}", kind="not_found_error", code="completion_not_found")
