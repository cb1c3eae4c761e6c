"""/v1/responses: OpenAI's Responses API over chats. Nothing is stored: a conversation is in each request as a whole."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

from fastapi import APIRouter, Request

from . import chat, described, errors, native_shapes, prompts, response_shapes, tools
from .answering import Work, answered, chat_logprobs, reason, unless_kept
from .engine import Engine, Token
from .errors import ApiError
from .reading import Route
from .response_bodies import Respond

router = APIRouter(route_class=Route)
# where a chat has what a response has elsewhere
_PLACES = {"response_format": "text.format", "messages": "input"}


class _Run:
    """A response under way."""

    def __init__(self, work: Work, engine: Engine, body: Respond):
        self.work, self.engine, self.body = work, engine, body
        self.chat: chat.Run | None = None
        self.sampler: dict[str, Any] = {}
        self.number = -1

    async def begin(self) -> None:
        """Everything that can be refused is refused here."""
        try:
            self.chat = chat.Run(self.work, self.engine, self.body.chat())
            await self.chat.begin()
        except ApiError as problem:
            told = problem.body["error"]
            name, dot, rest = str(told["param"]).partition(".")
            if name in _PLACES:
                told["param"], told["message"] = _PLACES[name] + dot + rest, told["message"].replace(name, _PLACES[name])
            if rest == "function.parameters":  # a tool is its function here
                told["param"], told["message"] = f"{name}.parameters", told["message"].replace("function.parameters", "parameters", 1)
            raise
        self.sampler = self.chat.answers[0].job.sampler

    # The object

    def object(self, status: str, output: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        """The response as it is now."""
        body = self.body
        wanted = (body.text and body.text.format and body.text.format.model_dump(by_alias=True, exclude_none=True)) or {"type": "text"}
        choice = body.tool_choice
        return {
            "id": f"resp_{self.work.id}", "object": "response", "created_at": self.work.created, "status": status, "background": False, "error": None,
            "incomplete_details": None, "instructions": body.instructions, "max_output_tokens": body.max_output_tokens, "model": self.engine.name, "output": output,
            "parallel_tool_calls": body.parallel_tool_calls is not False, "previous_response_id": None, "store": False,
            "temperature": self.sampler.get("temperature", 1.0), "top_p": self.sampler.get("top_p", 1.0), "text": {"format": wanted},
            "tool_choice": choice if isinstance(choice, str) else choice.model_dump() if choice else "auto", "top_logprobs": body.top_logprobs or 0,
            "tools": [{"type": "function", "name": t.name, "description": t.description, "parameters": t.parameters, "strict": True} for t in body.tools or ()],
            "truncation": "disabled", "metadata": body.metadata or {}, "service_tier": "default", **more,
        }  # fmt: skip

    def ended(self, output: list[dict[str, Any]], why: str) -> dict[str, Any]:
        """The response at its end."""
        assert self.chat is not None
        answer = self.chat.answers[0]
        prompt, generated = len(self.chat.prompt), len(answer.tokens)
        usage = {
            "input_tokens": prompt, "input_tokens_details": {"cached_tokens": answer.cached, "cache_write_tokens": prompt - answer.cached},
            "output_tokens": generated, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": prompt + generated,
        }  # fmt: skip
        cut = why == "length"
        end = {"incomplete_details": {"reason": "max_output_tokens"}} if cut else {"completed_at": int(time.time())}
        return self.object("incomplete" if cut else "completed", output, usage=usage, **end)

    def probabilities(self, tokens: list[Token]) -> list[dict[str, Any]]:
        """Those of a text's tokens, where they are asked for."""
        return chat_logprobs(self.engine, tokens, self.body.top_logprobs or 0)["content"] if self.body.tells_probabilities else []

    # An answer as a whole

    def whole(self) -> dict[str, Any]:
        """The response, when all is done."""
        assert self.chat is not None
        answer = self.chat.answers[0]
        content, calls, why = self.chat.found(answer.text, reason(answer))
        status = "incomplete" if why == "length" else "completed"
        output = []
        if content or not calls:
            output.append(_message(_id("msg"), status, [_part(content or "", self.probabilities(answer.tokens))]))
        output += [_call(_id("fc"), status, c["id"], c["function"]["name"], c["function"]["arguments"]) for c in calls or ()]
        return self.ended(output, why)

    # An answer in pieces

    def event(self, kind: str, **more: Any) -> dict[str, Any]:
        """The next one of a stream."""
        self.number += 1
        return {"type": f"response.{kind}", "sequence_number": self.number, **more}

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """The same in pieces; an error at last, as one of them."""
        assert self.chat is not None
        items = _Items(self)
        try:
            for kind in ("created", "in_progress"):
                yield self.event(kind, response=self.object("in_progress", []))
            choice, answer = chat.Choice(self.chat.caller), self.chat.answers[0]
            async for piece in answer:
                choice.tokens += piece.tokens
                for delta in choice.add(piece.text):
                    for event in items.add(delta, choice.take()):
                        yield event
                if piece.reason:
                    deltas, why = choice.end(reason(answer))
                    for delta in deltas or ([] if items.output or items.now else [{"content": ""}]):
                        for event in items.add(delta, choice.take()):
                            yield event
                    for event in items.close("incomplete" if why == "length" else "completed", choice.take()):
                        yield event
                    yield self.event("incomplete" if why == "length" else "completed", response=self.ended(items.output, why))
        except Exception as problem:
            told = errors.of(problem).body["error"]["message"]
            yield self.event("failed", response=self.object("failed", items.output, error={"code": "server_error", "message": told}))


class _Items:
    """The items of a stream, one after the other. output: those that are done; now: the one under way."""

    def __init__(self, run: _Run):
        self.run = run
        self.output: list[dict[str, Any]] = []
        self.now: dict[str, Any] | None = None
        self._text = ""
        self._tokens: list[Token] = []

    def add(self, delta: dict[str, Any], tokens: list[Token]) -> Iterator[dict[str, Any]]:
        """What a chat's delta is here."""
        if "content" in delta:
            if self.now is None:
                yield from self._open(_message(_id("msg"), "in_progress", []))
                yield self._event("content_part.added", content_index=0, part=_part("", []))
            self._text += delta["content"]
            self._tokens += tokens
            yield self._event("output_text.delta", content_index=0, delta=delta["content"], logprobs=self.run.probabilities(tokens))
        for call in delta.get("tool_calls", ()):
            if "id" in call:
                yield from self.close("completed", [])
                yield from self._open(_call(_id("fc"), "in_progress", call["id"], call["function"]["name"], ""))
            self._text += call["function"]["arguments"]
            yield self._event("function_call_arguments.delta", delta=call["function"]["arguments"])

    def close(self, status: str, tokens: list[Token]) -> Iterator[dict[str, Any]]:
        """The one under way is done. tokens: its last ones, which have no text."""
        if self.now is None:
            return
        if self.now["type"] == "message":
            self._tokens += tokens
            part = _part(self._text, self.run.probabilities(self._tokens))
            yield self._event("output_text.done", content_index=0, text=self._text, logprobs=part["logprobs"])
            yield self._event("content_part.done", content_index=0, part=part)
            self.now["content"] = [part]
        else:
            self.now["arguments"] = self._text
            yield self._event("function_call_arguments.done", name=self.now["name"], arguments=self._text)
        self.now["status"] = status
        yield self.run.event("output_item.done", output_index=len(self.output), item=self.now)
        self.output.append(self.now)
        self.now = None

    def _open(self, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
        self.now, self._text, self._tokens = dict(item), "", []
        yield self.run.event("output_item.added", output_index=len(self.output), item=item)

    def _event(self, kind: str, **more: Any) -> dict[str, Any]:
        assert self.now is not None
        return self.run.event(kind, item_id=self.now["id"], output_index=len(self.output), **more)


def _id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex}"


def _part(text: str, logprobs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


def _message(number: str, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": number, "type": "message", "role": "assistant", "status": status, "content": content}


def _call(number: str, status: str, call: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": number, "type": "function_call", "status": status, "call_id": call, "name": name, "arguments": arguments}


@router.post("/v1/responses/input_tokens", response_model=None, responses=described.answers(native_shapes.CountAnswer))
@router.post("/responses/input_tokens", include_in_schema=False)
async def input_tokens(http: Request, body: Respond) -> Any:
    """How many tokens a conversation has."""
    asked = body.chat()
    async with http.app.state.models.use(body.model) as engine:
        return {"object": "response.input_tokens", "input_tokens": len(await prompts.chat(engine, asked, tools.Caller(engine, asked)))}


@router.post("/v1/responses", response_model=None, responses=described.answers(response_shapes.ResponseAnswer, streams=True))
@router.post("/responses", include_in_schema=False)
async def respond(http: Request, body: Respond) -> Any:
    """A conversation goes on, in OpenAI's newer shape."""
    work = Work(http.app.state.models, http.app.state.gate)
    if body.stream_options and not body.stream:
        raise ApiError(400, "stream_options: only for stream=true", param="stream_options")
    if body.stream_options and body.stream_options.include_usage is not None:
        raise ApiError(400, "stream_options.include_usage belongs to chats: the last event of a response has it always", param="stream_options.include_usage")
    async with unless_kept(work) as kept:
        run = _Run(work, await work.engine(body.model), body)
        return await answered(http, work, run, body.stream, kept, lambda: run.chat.answers if run.chat else (), run.whole, done=False)


@router.api_route("/v1/responses/{number:path}", methods=["GET", "POST", "DELETE"], include_in_schema=False)
async def stored(number: str) -> Any:
    """What is not kept."""
    raise ApiError(404, f"there is no response {json.dumps(number[:100])}: nothing is stored by this server", kind="not_found_error", code="response_not_found")
