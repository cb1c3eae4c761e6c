"""/v1/models, /v1/embeddings, and what the page asks for."""

from __future__ import annotations

import asyncio
import base64
import struct
from typing import Any, Dict, Optional, Union

from fastapi import APIRouter, Request

from . import described, shapes
from .answering import Work, attended
from .bodies import Body, Embeddings
from .engine import Engine
from .errors import ApiError, refused, too_long
from .reading import Route

router = APIRouter(route_class=Route)


def _model(http: Request, name: str) -> dict[str, Any]:
    models = http.app.state.models
    engine = models.engines.get(name)
    more: dict[str, Any] = {}
    if engine is not None:
        shape = engine.model.hyperparameters
        more["meta"] = {
            "n_vocab": shape.vocabulary_size, "n_ctx": engine.length, "n_ctx_train": shape.context_length, "n_embd": shape.embedding_length,
            "n_params": shape.parameter_count, "size": shape.file_bytes,
        }  # fmt: skip
    return {"id": name, "object": "model", "created": http.app.state.began, "owned_by": "llama2swift", "loaded": engine is not None, "aliases": [name], **more}


@router.get("/v1/models", response_model=None, responses=described.answers(shapes.Cards))
@router.get("/models", include_in_schema=False)
async def models(http: Request) -> Any:
    """Which models there are."""
    return {"object": "list", "data": [_model(http, name) for name in http.app.state.models.names]}


@router.get("/v1/models/{name:path}", response_model=None, responses=described.answers(shapes.Card))
async def model(http: Request, name: str) -> Any:
    """One of them."""
    if name not in http.app.state.models.names:
        raise ApiError(404, f"there is no model {name[:200]!r}", kind="not_found_error", param="model", code="model_not_found")
    return _model(http, name)


@router.post("/v1/embeddings", response_model=None, responses=described.answers(shapes.Rows))
@router.post("/embeddings", include_in_schema=False)
async def embeddings(http: Request, body: Embeddings) -> Any:
    """A vector for each text: the mean of its tokens', of length 1."""
    work = Work(http.app.state.models, http.app.state.gate)

    async def answer() -> Any:
        async with work:
            engine = await work.engine(body.model)
            length = engine.model.hyperparameters.embedding_length
            if body.dimensions not in (None, length):
                raise refused("dimensions", f"vectors have the model's length, which is {length}, and cannot be shortened")
            texts = await asyncio.to_thread(_texts, engine, body.input)
            rows = await engine.embedder.rows(texts)
            count = sum(map(len, texts))
            engine.meters.prompt(count, 0)
            data = [{"object": "embedding", "index": i, "embedding": _written(row, body.encoding_format)} for i, row in enumerate(rows)]
            return {"object": "list", "model": engine.name, "data": data, "usage": {"prompt_tokens": count, "total_tokens": count}}

    return await attended(http, answer())


def _texts(engine: Engine, given: Any) -> list[list[int]]:
    several = [given] if isinstance(given, str) or (given and isinstance(given[0], int)) else list(given)
    if not several:
        raise ApiError(400, "input: the list is empty", param="input")
    out = [engine.check_tokens(one, "input") if isinstance(one, list) else engine.prompt_tokens(one, special=False) for one in several]
    for index, tokens in enumerate(out):
        if not tokens:
            raise ApiError(400, f"input: text {index} is empty: it has no tokens", param="input")
        if len(tokens) > engine.length:
            raise too_long(len(tokens), engine.length)
    return out


def _written(row: list[float], form: str | None) -> Any:
    return base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode() if form == "base64" else row


class Check(Body):
    """/check: a schema, and a text that may be of it."""

    model: Optional[str] = None
    json_schema: Union[Dict[str, Any], bool]
    text: Optional[str] = None


@router.post("/check", include_in_schema=False)
async def check(http: Request, body: Check) -> Any:
    """Whether a schema can be followed, and whether a text is of it; for the page's schema box."""
    async with http.app.state.models.use(body.model) as engine:
        try:
            grammar = await engine.compiled(lambda e: e.grammar(json_schema=body.json_schema), name="json_schema")
        except ApiError as problem:
            return {"followed": False, "why": str(problem)}
        return {"followed": True, "accepted": None if body.text is None else grammar.accepts(body.text)}
