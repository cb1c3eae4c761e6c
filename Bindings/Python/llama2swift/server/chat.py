"""/v1/chat/completions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request

from . import described, native_shapes, prompts, sampling, shapes, tools
from .answering import Work, answered, chat_logprobs, reason, side_by_side, timings, unless_kept, usage
from .conversation import Chat
from .engine import Answer, Engine, Job, Token
from .errors import ApiError
from .reading import Route

router = APIRouter(route_class=Route)


class Run:
    """A chat's answers under way."""

    def __init__(self, work: Work, engine: Engine, body: Chat):
        self.work, self.engine, self.body = work, engine, body
        self.asked = sampling.one_of(max_completion_tokens=body.max_completion_tokens, max_tokens=body.max_tokens, n_predict=body.n_predict)
        self.caller = tools.Caller(engine, body)
        self.prompt: list[int] = []
        self.answers: list[Answer] = []

    async def begin(self) -> None:
        """Everything that can be refused is refused here."""
        body, engine = self.body, self.engine
        grammar = await engine.compiled(sampling.grammar, body, body.response_format, self.caller)
        if self.caller.forced:
            grammar = await engine.compiled(lambda e: e.grammar(json_schema=self.caller.schema(), whitespace="compact"), name="tools")
        await self.caller.check()
        self.prompt = await prompts.chat(engine, body, self.caller)
        most = engine.limit(self.prompt, self.asked)
        top = (body.top_logprobs or 0) if body.logprobs else None
        complete = sampling.complete(body, grammar)
        jobs = [
            Job(self.prompt, most, sampling.arguments(engine, body, i), grammar, body.stops, logprobs=top, complete=complete, **sampling.further(body))
            for i in range(body.n or 1)
        ]
        self.answers = self.work.submit(engine, jobs)

    def frame(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        """What is around choices."""
        return {
            "id": f"chatcmpl-{self.work.id}", "object": kind, "created": self.work.created, "model": self.engine.name,
            "system_fingerprint": self.engine.fingerprint, "choices": choices, **({} if self.body.service_tier is None else {"service_tier": "default"}),
        }  # fmt: skip

    def logprobs(self, tokens: list[Token]) -> dict[str, Any] | None:
        """Where they are asked for."""
        return chat_logprobs(self.engine, tokens, self.body.top_logprobs or 0) if self.body.logprobs else None

    def usage(self) -> dict[str, Any]:
        """What it took."""
        return usage(self.answers[:1], self.answers, len(self.prompt))

    def found(self, text: str, why: str) -> tuple[str | None, list[dict[str, Any]] | None, str]:
        """A whole text's content, its calls and why it ended."""
        if self.caller.mode == "none":
            return text, None, why
        if self.caller.forced:
            calls = self.caller.calls(text)  # a call that was cut short says so: "length"
            return (None, calls, self.caller.ends if why == "stop" else why) if calls else (text, None, why)
        split = tools.Splitter()
        said = split.add(text)
        calls = self.caller.calls(split.rest()) if why == "stop" else None
        return (said.rstrip() or None, calls, "tool_calls") if calls else (text, None, why)

    def whole(self) -> dict[str, Any]:
        """The answer, when all is done."""
        choices: list[dict[str, Any]] = []
        for index, answer in enumerate(self.answers):
            content, calls, why = self.found(answer.text, reason(answer))
            message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
            if calls:
                message["tool_calls"] = calls
            choices.append({"index": index, "message": message, "logprobs": self.logprobs(answer.tokens), "finish_reason": why})
        if not self.answers:  # no tokens were asked for
            message = {"role": "assistant", "content": "", "refusal": None}
            choices = [{"index": i, "message": message, "logprobs": None, "finish_reason": "length"} for i in range(self.body.n or 1)]
        return {**self.frame("chat.completion", choices), "usage": self.usage(), **self.more(True)}

    def more(self, ended: bool = False) -> dict[str, Any]:
        """What llama-server's clients may ask for beside OpenAI's fields: figures, and at the end what the model was given."""
        body = self.body
        more: dict[str, Any] = {}
        if body.timings_per_token and self.answers:
            more["timings"] = timings(self.answers[0])
        verbose = self.engine.settings.log in ("debug", "trace") if body.verbose is None else body.verbose
        if verbose and ended:
            more["__verbose"] = {"prompt": self.engine.shown(self.prompt), "content": self.answers[0].text if self.answers else ""}
        return more

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """The same in pieces."""
        options = self.body.stream_options
        wants = bool(options and options.include_usage)

        def event(index: int, delta: dict[str, Any], tokens: list[Token] | None = None, why: str | None = None) -> dict[str, Any]:
            choice = {"index": index, "delta": delta, "logprobs": self.logprobs(tokens) if tokens else None, "finish_reason": why}
            begins = "role" in delta
            return {**self.frame("chat.completion.chunk", [choice]), **({"usage": None} if wants else {}), **({} if begins else self.more(why is not None and not wants))}

        for index in range(self.body.n or 1):
            yield event(index, {"role": "assistant", "content": None})
            if not self.answers:
                yield event(index, {}, why="length")
        streams = [Choice(self.caller) for _ in self.answers]
        async for index, piece in side_by_side(self.answers):
            one = streams[index]
            one.tokens += piece.tokens
            for delta in one.add(piece.text):
                yield event(index, delta, one.take())
            if piece.reason:
                why = reason(self.answers[index])
                deltas, why = one.end(why)
                for delta in deltas:
                    yield event(index, delta, one.take())
                yield event(index, {}, one.take(), why)
        if wants:
            yield {**self.frame("chat.completion.chunk", []), "usage": self.usage(), **self.more(True)}


class Choice:
    """One answer of a stream: text as it comes; what may be a call, when it is known to be one."""

    def __init__(self, caller: tools.Caller):
        self.caller = caller
        self.tokens: list[Token] = []
        self._split, self._text, self._number = tools.Splitter(), "", 0

    def take(self) -> list[Token]:
        """The tokens that have not been sent."""
        out, self.tokens = self.tokens, []
        return out

    def add(self, text: str) -> list[dict[str, Any]]:
        """The deltas of a piece."""
        self._text += text
        if self.caller.mode == "named" and text:  # nothing but the arguments: they stream
            call = tools.made(self.caller.tools[0].function.name, text)
            self._number += 1
            return [{"tool_calls": [{"index": 0, **(call if self._number == 1 else {"function": {"arguments": text}})}]}]
        if self.caller.mode == "auto":
            text = self._split.add(text)
        if not text or self.caller.mode in ("required", "named"):
            return []
        return [{"content": text}]

    def end(self, why: str) -> tuple[list[dict[str, Any]], str]:
        """The deltas at the end, and why it ended."""
        if self.caller.mode in ("none", "named"):
            return [], self.caller.ends if self.caller.mode == "named" and why == "stop" else why
        forced = self.caller.mode == "required"
        rest = self._text if forced else self._split.rest()
        # a call that was forced and is whole is one, also where the limit came before the model could end it
        calls = self.caller.calls(rest) if rest and (forced or why == "stop") else None
        if calls:
            return [{"tool_calls": [{"index": i, **call} for i, call in enumerate(calls)]}], "tool_calls" if why == "stop" else why
        return ([{"content": rest}] if rest else []), why


@router.post("/v1/chat/completions/input_tokens", response_model=None, responses=described.answers(native_shapes.CountAnswer))
@router.post("/chat/completions/input_tokens", include_in_schema=False)
async def input_tokens(http: Request, body: Chat) -> Any:
    """How many tokens a conversation has."""
    async with http.app.state.models.use(body.model) as engine:
        return {"object": "response.input_tokens", "input_tokens": len(await prompts.chat(engine, body, tools.Caller(engine, body)))}


@router.post("/v1/chat/completions", response_model=None, responses=described.answers(shapes.ChatAnswer, streams=True))
@router.post("/chat/completions", include_in_schema=False)
async def chat_completions(http: Request, body: Chat) -> Any:
    """A conversation goes on."""
    state = http.app.state
    work, n = Work(state.models, state.gate), body.n or 1
    if n > state.settings.max_choices:
        raise ApiError(400, f"n is {n}, at most {state.settings.max_choices} are possible", param="n")
    if body.top_logprobs is not None and not body.logprobs:
        raise ApiError(400, "top_logprobs: only with logprobs=true", param="top_logprobs")
    if body.stream_options and not body.stream:
        raise ApiError(400, "stream_options: only for stream=true", param="stream_options")
    async with unless_kept(work) as kept:
        engine = await work.engine(body.model, n)
        run = Run(work, engine, body)
        return await answered(http, work, run, body.stream, kept, lambda: run.answers, run.whole)
