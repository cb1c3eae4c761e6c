"""A model at work: a thin layer over the library's scheduler that the routes speak to."""

from __future__ import annotations

import asyncio
import json
import math
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import llama2swift

from .. import Context, ContextInfo, Grammar, Model, Sampler, Scheduler, scheduler
from ..errors import BusyError, InvalidArgumentError
from ..results import TokenReport
from . import errors
from .embedding import Embedder
from .errors import ApiError, too_long
from .settings import Settings

Result = TypeVar("Result")
_GRAMMARS = 32  # that are kept ready


@dataclass(frozen=True)
class Token:
    """One that was generated, or one of a prompt. top: [(id, natural logarithm)], the best first; logprob None: it has none.
    after, top_after: the same of what the sampler's steps left."""

    id: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()
    after: float = 0.0
    top_after: tuple[tuple[int, float], ...] = ()


@dataclass
class Job:
    """What is to be generated. sampler: arguments of `Sampler`; logprobs: how many of the best, None: no probabilities; echo: the prompt's too;
    complete: what the grammar asks for is whole within max_tokens; predict: seconds from the first token on, after which it ends with a line;
    penalize_prompt: penalties count the prompt's tokens."""

    tokens: list[int]
    max_tokens: int | None
    sampler: dict[str, Any]
    grammar: Grammar | None = None
    stops: tuple[str, ...] = ()
    logprobs: int | None = None
    echo: bool = False
    complete: bool = False
    predict: float | None = None
    penalize_prompt: bool = False
    begun: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Piece:
    """Some of an answer. tokens: those that were chosen; reason: why it ended here."""

    text: str
    tokens: tuple[Token, ...] = ()
    reason: str | None = None


class Answer:
    """An answer under way: iterate for its pieces; then its text, tokens, reason and times. prompt: its job's tokens, where they are
    echoed. `leave` frees its sequence."""

    def __init__(self, engine: Engine, job: Job, request: scheduler.Request):
        self.engine, self.job, self._request = engine, job, request
        self.text, self.reason = "", ""
        self.tokens: list[Token] = []
        self.prompt: list[Token] = []
        self.first = self.last = 0.0
        self._left = False

    @property
    def cached(self) -> int:
        """Positions of the prompt that were there already."""
        return self._request.adopted

    @property
    def full(self) -> bool:
        """Whether it ended because there was no more room."""
        return self.reason == "length" and len(self.job.tokens) + len(self.tokens) >= self.engine.length

    def leave(self) -> None:
        """Frees its sequence and counts what it took; once, however often it is called."""
        if not self._left:
            self._left = True
            self._request.cancel()
            self.engine.ended(self)

    def _count(self) -> None:
        """Counts its prompt, which is evaluated now. One that is echoed alone is asked for once more, and counted then."""
        if not self.job.echo:
            self.engine.meters.prompt(len(self.job.tokens), self.cached)

    async def __aiter__(self) -> AsyncIterator[Piece]:
        meters = self.engine.meters
        try:
            async for event in self._request:
                now = time.monotonic()
                if event.report is not None and event.report.prompt:
                    self.prompt.append(_token(event.report))
                    continue
                tokens = [] if event.token is None else [Token(event.token) if event.report is None else _token(event.report)]
                if tokens:
                    if self.tokens:
                        meters.between(now - self.last)
                    else:
                        self.first = now
                        meters.first(now - self.job.begun)
                        self._count()
                    self.last = now
                self.text += event.text
                self.tokens += tokens
                if event.reason == "error":
                    raise ApiError(500, "the generation failed", kind="server_error") if event.error is None else errors.of(event.error)
                over = self.job.predict is not None and "\n" in event.text and now - self.first > self.job.predict
                self.reason = event.reason or ("length" if over else "")
                yield Piece(event.text, tuple(tokens), self.reason or None)
                if self.reason:
                    return
        finally:
            self.leave()


def _token(report: TokenReport) -> Token:
    logprob = None if math.isnan(report.logprob) else report.logprob
    return Token(report.token, logprob, tuple(report.best), 0.0 if math.isnan(report.logprob_after) else report.logprob_after, tuple(report.best_after))


def _check_template(model: Model, template: str) -> None:
    """Raises UnknownTemplateError for one that cannot be followed, or is the name of none."""
    try:
        model.chat_text([{"role": "user", "content": "x"}], chat_template=template)
    except InvalidArgumentError:
        pass  # it refuses this conversation, and others perhaps not


class Engine:
    """One loaded model."""

    def __init__(self, name: str, path: str, settings: Settings, meters: Any):
        self.name, self.path, self.settings, self.meters = name, path, settings, meters
        self.used = time.monotonic()
        self.model = Model(path, copy=settings.copy, interleave=settings.interleave)
        self._check(settings)
        if settings.chat_template is not None:
            _check_template(self.model, settings.chat_template)
        self.context = Context(
            self.model, length=settings.context, threads=settings.threads, sequences=settings.parallel, batch_size=settings.batch, kv=settings.kv,
        )  # fmt: skip
        self._info = self.context.info
        self.length = settings.request_context or self._info.context_length
        if self.length > self._info.context_length:
            raise ValueError(f"--request-context is {self.length}: there are {self._info.context_length} positions for all requests, see --context")
        self.draft = None
        if settings.draft is not None:
            length = self._info.context_length
            draft = Model(settings.draft, copy=settings.copy, interleave=settings.interleave)
            self.draft = Context(draft, length=length, threads=settings.threads, sequences=settings.parallel, kv=settings.kv)
        self.scheduler = Scheduler(self.context, prompt_tokens_per_step=settings.batch or 0, draft=self.draft)
        self.special = self.model.special_tokens
        self.fingerprint = f"b{llama2swift.__version__}-llama2swift"
        self.running = 0
        self.knows: dict[str, bool] = {}  # whether its template does, of what was asked for yet: see `prompts`
        self._grammars: OrderedDict[str, Grammar] = OrderedDict()
        self._lock = threading.Lock()
        self._makers = ThreadPoolExecutor(2, "grammars")
        self._ends: list[int] | None = None
        self.embedder = Embedder(self.model, settings)

    def _check(self, s: Settings) -> None:
        """What is wrong with what requests are given where they say nothing is said at the start, and not to each of them."""
        Sampler(temperature=s.temperature, top_k=s.top_k, top_p=s.top_p, min_p=s.min_p, seed=s.seed)

    def info(self) -> ContextInfo:
        """The context's figures; while it is at work those of the last time that it was not."""
        try:
            self._info = self.context.info
        except BusyError:
            pass
        return self._info

    # Text

    def prompt_tokens(self, text: str, *, special: bool = True, bos: bool | None = None) -> list[int]:
        """Of a text that is a whole prompt; names of control tokens in it are these, as llama-server has it. A text that is too
        long by far is refused before any work."""
        longest = 64 * self.length + 4096
        if len(text) > longest:
            raise ApiError(
                400, f"the prompt has {len(text)} characters, which exceeds the available context size of {self.length} tokens",
                kind="exceed_context_size_error", code="context_length_exceeded", n_prompt_tokens=len(text), n_ctx=self.length,
            )  # fmt: skip
        return self.model.tokenize(text, bos=self.special.adds_bos if bos is None else bos, special=special)

    def check_tokens(self, tokens: Sequence[int], field: str = "prompt") -> list[int]:
        """Token ids of a client, in a field of this name."""
        size = self.model.hyperparameters.vocabulary_size
        for index, token in enumerate(tokens):
            if not 0 <= token < size:
                raise ApiError(400, f"{field}: token {index} is {token}, the vocabulary has {size}", param=field)
        return list(tokens)

    def piece(self, token: int) -> bytes:
        """A token's bytes, a control token's name."""
        return self.model.piece(token, special=True)

    def shown(self, tokens: Sequence[int]) -> str:
        """What a model was given, as llama-server shows it: each token's text or name, and nothing left out."""
        return b"".join(map(self.piece, tokens)).decode("utf-8", "replace")

    def ends(self) -> list[int]:
        """The tokens that end a text."""
        if self._ends is None:
            self._ends = [t for t in range(self.model.hyperparameters.vocabulary_size) if self.model.is_end(t)]
        return self._ends

    def grammar(self, **of: Any) -> Grammar:
        """A grammar, from among the last ones if it was asked for before."""
        key = json.dumps(of, sort_keys=False, ensure_ascii=True)
        with self._lock:
            if key in self._grammars:
                self._grammars.move_to_end(key)
                return self._grammars[key]
        made = self.model.grammar(**of)
        with self._lock:
            self._grammars[key] = made
            while len(self._grammars) > _GRAMMARS:
                self._grammars.popitem(last=False)
        return made

    async def compiled(self, make: Callable[..., Result], *arguments: Any, name: str | None = None) -> Result:
        """A grammar, made in a thread, of which there are two: large ones take their time, and keep only each other waiting. name: of what
        is refused."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._makers, make, self, *arguments)
        except (ValueError, RuntimeError) as problem:
            if name is None or isinstance(problem, MemoryError):
                raise
            raise ApiError(400, f"{name}: {' '.join(str(problem).split())}", param=name, code="invalid_schema") from None

    # Work

    def room(self, tokens: Sequence[int]) -> int:
        """Positions that are left beside a prompt. Raises ApiError when there are none."""
        if len(tokens) >= self.length:
            raise too_long(len(tokens), self.length)
        if not tokens:
            raise ApiError(400, "the prompt is empty: it has no tokens", param="prompt")
        return self.length - len(tokens)

    def limit(self, tokens: Sequence[int], asked: int | None) -> int:
        """How many tokens an answer may have: what was asked for, the server's limit, the room."""
        limits = [self.room(tokens)] + [n for n in (asked, self.settings.max_tokens or None) if n is not None]
        return min(limits)

    def check(self, job: Job) -> None:
        """Raises what `submit` would, of a job for no tokens."""
        Sampler(**job.sampler)
        for stop in job.stops:
            stop.encode()

    def submit(self, job: Job) -> Answer:
        """Into the scheduler."""
        sampler = Sampler(**job.sampler)
        request = self.scheduler.submit(
            job.tokens, max_tokens=job.max_tokens, sampler=sampler, grammar=job.grammar, stops=job.stops, deadline=self.settings.timeout or None,
            logprobs=job.logprobs, echo=job.echo, complete=job.complete, penalize_prompt=job.penalize_prompt,
        )  # fmt: skip
        self.running += 1
        return Answer(self, job, request)

    def ended(self, answer: Answer) -> None:
        """An answer is at its end, or was left."""
        self.running -= 1
        if not answer.job.echo:
            self.meters.generated(len(answer.tokens))

    def close(self) -> None:
        """Ends what runs and frees the model."""
        self._makers.shutdown(cancel_futures=True)
        self.embedder.close()
        self.scheduler.close()
        self.context.close()
        if self.draft is not None:
            self.draft.close()
            self.draft.model.close()
        self.model.close()
