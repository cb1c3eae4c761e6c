"""/v1/completions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter, Request

from . import described, prompts, sampling, shapes
from .answering import Work, answered, echoed, reason, side_by_side, unless_kept, usage
from .bodies import Completion
from .engine import Answer, Engine, Job, Token
from .errors import ApiError
from .reading import Route

router = APIRouter(route_class=Route)
_DEFAULT_TOKENS = 16  # OpenAI's


class _Run:
    """A completion under way: `best_of` answers to each prompt, of which the best `n` are given."""

    def __init__(self, work: Work, engine: Engine, body: Completion):
        self.work, self.engine, self.body = work, engine, body
        self.n = body.n or 1
        self.best_of = body.best_of or self.n
        asked = sampling.one_of(max_tokens=body.max_tokens, n_predict=body.n_predict)
        unlimited = -1 in (body.max_tokens, body.n_predict)
        self.asked = None if unlimited else _DEFAULT_TOKENS if asked is None else asked
        self.prompts: list[list[int]] = []
        self.scores: list[list[Token]] = []
        self.answers: list[list[Answer]] = []  # of each prompt

    async def begin(self) -> None:
        """Everything that can be refused is refused here."""
        body, engine = self.body, self.engine
        self.prompts = await prompts.several(engine, body.prompt)
        limits = [engine.limit(tokens, self.asked) for tokens in self.prompts]
        grammar = await engine.compiled(sampling.grammar, body)
        logprobs = body.logprobs if body.logprobs is not None else 1 if self.best_of > self.n else None
        complete = sampling.complete(body, grammar)
        jobs = [
            [
                Job(tokens, most, sampling.arguments(engine, body, i), grammar, body.stops, logprobs=logprobs, complete=complete, **sampling.further(body))
                for i in range(self.best_of)
            ]
            for tokens, most in zip(self.prompts, limits)
        ]
        if body.echo and body.logprobs is not None:
            # before the answers, which then find the prompts evaluated
            jobs_before = [Job(tokens, 1, {"temperature": 0.0}, logprobs=body.logprobs, echo=True) for tokens in self.prompts]
            self.scores = [await echoed(answer) for answer in self.work.submit(engine, jobs_before)]
        self.answers = [self.work.submit(engine, group) for group in jobs]

    @property
    def running(self) -> list[Answer]:
        """All answers."""
        return [answer for group in self.answers for answer in group]

    def chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        """The frame around choices."""
        return {
            "id": f"cmpl-{self.work.id}", "object": "text_completion", "created": self.work.created, "model": self.engine.name,
            "system_fingerprint": self.engine.fingerprint, "choices": choices,
        }  # fmt: skip

    def echo(self, index: int) -> tuple[str, list[Token]]:
        """A prompt's text and probabilities, where they are asked for."""
        if not self.body.echo:
            return "", []
        given = self.body.prompt if isinstance(self.body.prompt, str) else self.body.prompt[index]
        text = given if isinstance(given, str) else self.engine.model.detokenize(self.prompts[index])
        return text, self.scores[index] if self.scores else []

    def usage(self) -> dict[str, Any]:
        """What it took."""
        first = [group[0] for group in self.answers if group]
        return usage(first, self.running, sum(map(len, self.prompts)))

    def whole(self) -> dict[str, Any]:
        """The answer, when all is done."""
        choices: list[dict[str, Any]] = []
        for index in range(len(self.prompts)):
            text, scored = self.echo(index)
            group = self.answers[index]
            if self.best_of > self.n:
                group = sorted(group, key=_mean, reverse=True)[: self.n]
            for answer in group:
                choices.append(self.choice(len(choices), text + answer.text, scored + answer.tokens, reason(answer), _Places(self, text)))
            for _ in range(self.n if not group else 0):  # no tokens were asked for
                choices.append(self.choice(len(choices), text, scored, "length", _Places(self, text)))
        return {**self.chunk(choices), "usage": self.usage()}

    def choice(self, index: int, text: str, tokens: Sequence[Token], why: str | None, places: _Places) -> dict[str, Any]:
        """One of the choices, or a part of one: places knows where its tokens stand."""
        lists = None if self.body.logprobs is None else self.logprobs(tokens, places)
        return {"index": index, "text": text, "logprobs": lists, "finish_reason": why}

    def logprobs(self, tokens: Sequence[Token], places: _Places) -> dict[str, Any]:
        """OpenAI's four lists."""
        engine, top = self.engine, self.body.logprobs
        lists: dict[str, Any] = {
            "tokens": [_named(engine.piece(t.id)) for t in tokens], "token_logprobs": [t.logprob for t in tokens], "text_offset": [places.next(t.id) for t in tokens],
        }  # fmt: skip
        if top:
            lists["top_logprobs"] = [self._best(t, top) if t.logprob is not None else None for t in tokens]
        return lists

    def _best(self, token: Token, count: int) -> dict[str, float]:
        """The best ones and the one that came, as OpenAI has them. Of tokens that are written alike it is the most probable one's."""
        out: dict[str, float] = {}
        for number, logprob in [*token.top[:count], (token.id, token.logprob or 0.0)]:
            out.setdefault(_named(self.engine.piece(number)), logprob)
        return out

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """The same in pieces."""
        options = self.body.stream_options
        wants = bool(options and options.include_usage)
        more: dict[str, Any] = {"usage": None} if wants else {}
        places: list[_Places] = []
        for index in range(len(self.prompts)):
            text, scored = self.echo(index)
            for number in range(self.n):
                at = index * self.n + number
                places.append(_Places(self, text))
                if text or scored:
                    yield {**self.chunk([self.choice(at, text, scored, None, places[at])]), **more}
                if not self.answers[index]:
                    yield {**self.chunk([self.choice(at, "", [], "length", places[at])]), **more}
        answers = self.running
        held: list[list[Token]] = [[] for _ in answers]
        async for index, piece in side_by_side(answers):
            held[index] += piece.tokens
            if piece.text:
                yield {**self.chunk([self.choice(index, piece.text, held[index], None, places[index])]), **more}
                held[index] = []
            if piece.reason:
                why = reason(answers[index])
                yield {**self.chunk([self.choice(index, "", held[index], why, places[index])]), **more}
        if wants:
            yield {**self.chunk([]), "usage": self.usage()}


class _Places:
    """Where the tokens of a choice stand in its text, one after the other: what a stop string holds back of a stream moves none.
    Places are those of whole characters; control tokens have no width, but where the prompt, which is echoed, calls them by their names."""

    def __init__(self, run: _Run, echoed: str):
        self._engine, self._echoed = run.engine, echoed
        self._decoder, self._at = run.engine.model.decoder(text_start=bool(run.body.echo)), 0

    def next(self, token: int) -> int:
        """The next token's."""
        at, text = self._at, self._decoder.append(token)
        if not text and at < len(self._echoed) and not self._engine.model.piece(token):
            name = self._engine.piece(token).decode("utf-8", "replace")
            text = name if self._echoed.startswith(name, at) else ""
        self._at += self._width(text)
        return at

    def _width(self, text: str) -> int:
        """In a prompt that is echoed, which may lack the space that tokenizers add behind a control token."""
        if self._at >= len(self._echoed) or self._echoed.startswith(text, self._at):
            return len(text)
        return min(len(text.removeprefix(" ")), len(self._echoed) - self._at)


def _mean(answer: Answer) -> float:
    values = [t.logprob for t in answer.tokens if t.logprob is not None]
    return sum(values) / len(values) if values else float("-inf")


def _named(raw: bytes) -> str:
    """A token's text; one that is a part of a character as OpenAI writes it: bytes:\\xe6\\xbc."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{b:02x}" for b in raw)


@router.post("/v1/completions", response_model=None, responses=described.answers(shapes.TextAnswer, streams=True))
async def completions(http: Request, body: Completion) -> Any:
    """A text goes on."""
    state = http.app.state
    work = Work(state.models, state.gate)
    n, best_of = body.n or 1, body.best_of or body.n or 1
    if best_of < n:
        raise ApiError(400, f"best_of is {best_of}, less than n, which is {n}", param="best_of")
    if best_of > state.settings.max_choices:
        raise ApiError(400, f"{'best_of' if body.best_of else 'n'} is {best_of}, at most {state.settings.max_choices} are possible", param="best_of" if body.best_of else "n")
    if body.stream and best_of > n:
        raise ApiError(400, "best_of: a stream cannot know which answer is the best", param="best_of")
    if body.stream_options and not body.stream:
        raise ApiError(400, "stream_options: only for stream=true", param="stream_options")
    places = best_of * prompts.count(body.prompt)
    if places > state.settings.max_choices * 8:
        raise ApiError(400, f"{prompts.count(body.prompt)} prompts with {best_of} answers each are too many for one request", param="prompt")
    async with unless_kept(work) as kept:
        engine = await work.engine(body.model, places)
        run = _Run(work, engine, body)
        return await answered(http, work, run, body.stream, kept, lambda: run.running, run.whole)
