"""What the routes share: a place in the queue, a client that goes away, streams, and answers side by side."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol, TypeVar

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from . import errors
from .engine import Answer, Engine, Job, Piece, Token
from .errors import ApiError
from .models import Models
from .settings import Settings

Result = TypeVar("Result")


class Gate:
    """The bounded queue: how many answers may be under way or wait."""

    def __init__(self, settings: Settings):
        self.most, self.inside, self.closed = settings.queue, 0, False

    def enter(self, count: int) -> None:
        """Takes places. Raises ApiError 429 when there are not enough."""
        if self.inside and self.inside + count > self.most:
            raise ApiError(
                429, f"the server is busy: {self.inside} requests run or wait, its queue holds {self.most}", kind="rate_limit_error",
                code="rate_limit_exceeded", headers={"Retry-After": "1"},
            )  # fmt: skip
        self.inside += count

    def leave(self, count: int) -> None:
        """Gives them back."""
        self.inside -= count


class Work:
    """One HTTP request under way: its engine, its places, its answers. Closed at its end, however that comes about."""

    def __init__(self, models: Models, gate: Gate):
        self.models, self.gate = models, gate
        self.stack = AsyncExitStack()
        self.answers: list[Answer] = []
        self.id, self.created = uuid.uuid4().hex, int(time.time())

    async def engine(self, name: str | None, places: int = 1) -> Engine:
        """The engine, and a place in the queue for each answer."""
        self.models.name_of(name)
        self.gate.enter(places)
        self.stack.callback(self.gate.leave, places)
        return await self.stack.enter_async_context(self.models.use(name))

    def submit(self, engine: Engine, jobs: Sequence[Job]) -> list[Answer]:
        """An answer to each, cancelled when the request ends before it. A job for no tokens is refused for what would refuse another, and has no answer."""
        answers = []
        for job in jobs:
            if job.max_tokens == 0:
                engine.check(job)
                continue
            answers.append(engine.submit(job))
            self.answers.append(answers[-1])
            self.stack.callback(answers[-1].leave)
        return answers

    async def __aenter__(self) -> Work:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stack.aclose()


@asynccontextmanager
async def unless_kept(work: Work) -> AsyncIterator[list[bool]]:
    """Closes `work` at the end of the block, but for when the list was given something: then a stream does so."""
    kept: list[bool] = []
    try:
        yield kept
    finally:
        if not kept:
            await work.stack.aclose()


async def attended(http: Request, doing: Coroutine[Any, Any, Result]) -> Result:
    """`doing`, as long as the client is there; when it goes away it is cancelled at once."""
    task, gone = asyncio.ensure_future(doing), asyncio.ensure_future(_gone(http))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ApiError(499, "the client went away", kind="cancelled")
    finally:
        for one in (task, gone):
            one.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


class Run(Protocol):
    """What a route does for a request."""

    async def begin(self) -> None:
        """Everything that can be refused is refused here."""

    def events(self) -> AsyncIterator[Any]:
        """The answer in pieces."""
        ...


async def answered(
    http: Request, work: Work, run: Run, stream: bool | None, kept: list[bool], answers: Callable[[], Sequence[Answer]], whole: Callable[[], Any],
    done: bool = True,
) -> Any:  # fmt: skip
    """Begins `run` while the client is there: a stream of its events, which then closes `work` (kept, see `unless_kept`), or all of its
    answers waited for, and what `whole` makes of them."""
    if stream:
        await attended(http, run.begin())
        kept.append(True)
        return Stream(work, run.events(), done)

    async def all_at_once() -> Any:
        await run.begin()
        await all_of(answers())
        return whole()

    return await attended(http, all_at_once())


async def _gone(http: Request) -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass


class Stream(StreamingResponse):
    """Server-sent events; `work` is closed at the end, also when nobody has read anything."""

    def __init__(self, work: Work, events: AsyncIterator[Any], done: bool = True):
        super().__init__(_lines(events, done), media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self.work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self.work.stack.aclose()


async def _lines(events: AsyncIterator[Any], done: bool) -> AsyncIterator[bytes]:
    try:
        async for event in events:
            kind = event.get("type")  # those that have one have it as the stream's too
            yield (f"event: {kind}\n" if kind else "").encode() + b"data: " + json.dumps(event, ensure_ascii=False).encode("utf-8", "replace") + b"\n\n"
    except Exception as problem:  # the status is sent already: the stream says it
        yield b"data: " + json.dumps(errors.of(problem).body).encode() + b"\n\n"
        return
    if done:
        yield b"data: [DONE]\n\n"


async def side_by_side(answers: Sequence[Answer]) -> AsyncIterator[tuple[int, Piece]]:
    """The pieces of several answers as they come, each with its answer's index."""
    if len(answers) == 1:
        async for piece in answers[0]:
            yield 0, piece
        return
    queue: asyncio.Queue[tuple[int, Piece | BaseException | None]] = asyncio.Queue(64)

    async def pump(index: int, answer: Answer) -> None:
        try:
            async for one in answer:
                await queue.put((index, one))
            await queue.put((index, None))
        except Exception as problem:
            await queue.put((index, problem))

    tasks = [asyncio.ensure_future(pump(i, a)) for i, a in enumerate(answers)]
    try:
        left = len(tasks)
        while left:
            index, got = await queue.get()
            if isinstance(got, BaseException):
                raise got
            if got is None:
                left -= 1
            else:
                yield index, got
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def all_of(answers: Sequence[Answer]) -> None:
    """All of them to their ends."""
    async for _ in side_by_side(answers):
        pass


async def echoed(answer: Answer) -> list[Token]:
    """The prompt's probabilities, of a job that echoes it and is for nothing else."""
    async for _ in answer:
        pass
    reason(answer)
    return answer.prompt


def reason(answer: Answer) -> str:
    """OpenAI's finish_reason. Raises ApiError where the server's time was over: a part would look like the whole."""
    if answer.reason == "deadline":
        raise ApiError(504, f"the answer took more than this server's {answer.engine.settings.timeout:g} seconds", kind="timeout", code="timeout")
    if answer.reason == "cancelled":
        raise ApiError(503, "the server ends", kind="unavailable_error", headers={"Retry-After": "5"})
    return "stop" if answer.reason == "stop" else "length"


def usage(prompts: Sequence[Answer], answers: Sequence[Answer], prompt_tokens: int | None = None) -> dict[str, Any]:
    """OpenAI's. prompts: one answer of each prompt."""
    prompt = sum(len(a.job.tokens) for a in prompts) if prompt_tokens is None else prompt_tokens
    generated = sum(len(a.tokens) for a in answers)
    return {
        "prompt_tokens": prompt, "completion_tokens": generated, "total_tokens": prompt + generated,
        "prompt_tokens_details": {"cached_tokens": sum(a.cached for a in prompts)},
    }  # fmt: skip


def timings(answer: Answer) -> dict[str, Any]:
    """llama-server's: the first token belongs to the prompt, the others are decoded."""
    prompt = len(answer.job.tokens) - answer.cached
    prompt_ms = max((answer.first or time.monotonic()) - answer.job.begun, 1e-9) * 1e3
    count, ms = len(answer.tokens), max(answer.last - answer.first, 0.0) * 1e3
    further = max(count - 1, 0)
    return {
        "cache_n": answer.cached, "prompt_n": prompt, "prompt_ms": prompt_ms, "prompt_per_token_ms": prompt_ms / max(prompt, 1),
        "prompt_per_second": 1e3 * prompt / prompt_ms, "predicted_n": count, "predicted_ms": ms,
        "predicted_per_token_ms": ms / further if further else 0.0, "predicted_per_second": 1e3 / ms * further if further and ms else 0.0,
    }  # fmt: skip


def entry(engine: Engine, token: int, logprob: float | None) -> dict[str, Any]:
    """A token of a chat's probabilities: bytes are exact, the text may be a part of a character."""
    raw = engine.piece(token)
    return {"token": raw.decode("utf-8", "replace"), "logprob": -9999.0 if logprob is None else max(logprob, -9999.0), "bytes": list(raw)}


def chat_logprobs(engine: Engine, tokens: Sequence[Token], top: int) -> dict[str, Any]:
    """Those of a chat."""
    content = [{**entry(engine, t.id, t.logprob), "top_logprobs": [entry(engine, i, p) for i, p in t.top[:top]]} for t in tokens]
    return {"content": content, "refusal": None}
