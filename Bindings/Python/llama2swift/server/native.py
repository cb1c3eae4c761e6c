"""What llama-server has beside OpenAI's interface: /completion, /tokenize, /detokenize, /apply-template, /health, /props, /metrics."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from typing import Any, List, Optional, Union  # FastAPI evaluates them, in Python 3.9 too

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from . import described, native_shapes, prompts, sampling
from .answering import Work, answered, entry, reason, timings, unless_kept
from .bodies import Detokenize, Native, Tokenize
from .conversation import ApplyTemplate
from .engine import Answer, Engine, Job, Token
from .errors import ApiError
from .reading import Route

router = APIRouter(route_class=Route)


class _Run:
    """A /completion under way: one answer a prompt."""

    def __init__(self, work: Work, engine: Engine, body: Native):
        self.work, self.engine, self.body = work, engine, body
        self.asked = sampling.one_of(n_predict=body.n_predict, max_tokens=body.max_tokens)
        self.several = isinstance(body.prompt, list) and bool(body.prompt) and not any(isinstance(one, int) for one in body.prompt)
        self.prompts: list[list[int]] = []
        self.answers: list[Answer] = []
        self.settings: list[dict[str, Any]] = []

    async def begin(self) -> None:
        """Everything that can be refused is refused here."""
        body, engine = self.body, self.engine
        self.prompts = await prompts.several(engine, body.prompt)
        grammar = await engine.compiled(sampling.grammar, body)
        probs, complete = body.n_probs or None, sampling.complete(body, grammar)
        for tokens in self.prompts:
            given = sampling.arguments(engine, body)
            limit = engine.limit(tokens, self.asked)
            self.settings.append(_settings(engine, body, given, self.asked))
            self.answers += self.work.submit(engine, [Job(tokens, limit, given, grammar, body.stops, logprobs=probs, complete=complete, **sampling.further(body))])

    def whole(self, index: int) -> dict[str, Any]:
        """The answer to a prompt."""
        prompt = self.prompts[index]
        given = {
            "index": index, "id_slot": 0, "stop": True, "model": self.engine.name, "tokens_evaluated": len(prompt), "generation_settings": self.settings[index],
            "prompt": self.engine.shown(prompt),
        }  # fmt: skip
        if not self.answers:  # no tokens were asked for: nothing was to be evaluated
            return {
                **given, "content": "", "tokens": [], "tokens_predicted": 0, "has_new_line": False, "truncated": False, "tokens_cached": 0, "stop_type": "limit",
                "stopping_word": "",
            }  # fmt: skip
        answer = self.answers[index]
        return {
            **given, "content": answer.text, "tokens": [t.id for t in answer.tokens] if self.body.return_tokens else [], "tokens_predicted": len(answer.tokens),
            "has_new_line": "\n" in answer.text, "truncated": answer.full, "tokens_cached": len(prompt) + len(answer.tokens),
            "timings": timings(answer), **self._ending(answer), **self._probs(answer.tokens),
        }  # fmt: skip

    def _ending(self, answer: Answer) -> dict[str, Any]:
        why = reason(answer)
        ended = bool(answer.tokens) and self.engine.model.is_end(answer.tokens[-1].id)
        kind = "limit" if why == "length" else "eos" if ended else "word"
        return {"stop_type": kind, "stopping_word": self._word(answer) if kind == "word" else ""}

    def _word(self, answer: Answer) -> str:
        """The stop string that ended an answer: the one behind its text, and of two the one that was whole first."""
        decoder = self.engine.model.decoder()
        said = "".join(decoder.append(t.id) for t in answer.tokens) + decoder.finish()
        rest = said[len(answer.text) :]
        return min((s for s in self.body.stops if rest.startswith(s)), key=len, default="")

    def _probs(self, tokens: Sequence[Token]) -> dict[str, Any]:
        if not self.body.n_probs:
            return {}
        engine, count = self.engine, self.body.n_probs
        if self.body.post_sampling_probs:
            return {"completion_probabilities": [
                {**_shown(engine, t.id, t.after), "top_probs": [one for i, p in t.top_after[:count] if (one := _shown(engine, i, p))["prob"] > 0]} for t in tokens
            ]}  # fmt: skip
        rows = [
            {"id": t.id, **entry(engine, t.id, t.logprob), "top_logprobs": [{"id": i, **entry(engine, i, p)} for i, p in t.top[:count]]} for t in tokens
        ]  # fmt: skip
        return {"completion_probabilities": rows}

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """The same in pieces: an event for each token, with those whose text was still to come."""
        if not self.answers:
            yield _only(self.whole(0), self.body.response_fields)
            return
        answer = self.answers[0]
        held: list[Token] = []
        async for piece in answer:
            held += piece.tokens
            if held and (piece.text or piece.tokens):
                event = {
                    "index": 0, "content": piece.text, "tokens": [t.id for t in held], "stop": False, "id_slot": 0, "tokens_predicted": len(answer.tokens),
                    "tokens_evaluated": len(answer.job.tokens), **self._probs(held), **({"timings": timings(answer)} if self.body.timings_per_token else {}),
                }  # fmt: skip
                held = []
                yield event
        yield _only({**self.whole(0), "content": "", "tokens": []}, self.body.response_fields)


def _shown(engine: Engine, token: int, logprob: float) -> dict[str, Any]:
    """A token of the probabilities after the sampler's steps."""
    raw = engine.piece(token)
    return {"id": token, "token": raw.decode("utf-8", "replace"), "bytes": list(raw), "prob": math.exp(logprob)}


def _only(whole: dict[str, Any], fields: list[str] | None) -> dict[str, Any]:
    """The fields that were asked for; a/b: b of a. What is not there is left out, as llama-server has it."""
    if not fields:
        return whole
    out = {}
    for field in fields:
        value: Any = whole
        for name in field.split("/"):
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            out[field] = value
    return out


def _settings(engine: Engine, body: Native | None, given: dict[str, Any], asked: int | None) -> dict[str, Any]:
    most = engine.settings.max_tokens or None
    limits = [n for n in (asked, most) if n is not None]
    bias = given.get("logit_bias", {})
    return {
        "n_predict": min(limits, default=-1), "seed": given["seed"],
        # a step that is not done has the value that does nothing
        "temperature": given.get("temperature", 1.0), "top_k": given.get("top_k", 0), "top_p": given.get("top_p", 1.0), "min_p": given.get("min_p", 0.0),
        "repeat_penalty": given.get("repetition_penalty", 1.0), "repeat_last_n": given.get("penalty_last_n", 64),
        "presence_penalty": given.get("presence_penalty", 0.0), "frequency_penalty": given.get("frequency_penalty", 0.0),
        "stop": list(body.stops) if body else [], "n_probs": (body.n_probs or 0) if body else 0, "stream": bool(body and body.stream),
        "logit_bias": [{"token": t, "bias": None if b == sampling.BANNED else b} for t, b in bias.items()],
        "grammar": (body.grammar or "") if body else "", "n_keep": 0, "adaptive_target": -1.0, "adaptive_decay": 0.9, "ignore_eos": bool(body and body.ignore_eos), "max_tokens": min(limits, default=-1),
    }  # fmt: skip


@router.post("/completion", response_model=None, responses=described.answers(Union[native_shapes.NativeAnswer, List[native_shapes.NativeAnswer]], streams=True))
@router.post("/completions", include_in_schema=False)
async def completion(http: Request, body: Native) -> Any:
    """A text goes on, as llama-server has it."""
    state = http.app.state
    work = Work(state.models, state.gate)
    async with unless_kept(work) as kept:
        count = prompts.count(body.prompt)
        if body.stream and count > 1:
            raise ApiError(400, "stream: only for one prompt", param="stream")
        engine = await work.engine(body.model, count)
        run = _Run(work, engine, body)

        def whole() -> Any:
            answers = [_only(run.whole(i), body.response_fields) for i in range(len(run.prompts))]
            return answers if run.several and len(answers) > 1 else answers[0]

        return await answered(http, work, run, body.stream, kept, lambda: run.answers, whole, done=False)


@router.post("/tokenize", response_model=None, responses=described.answers(native_shapes.TokensAnswer))
async def tokenize(http: Request, body: Tokenize) -> Any:
    """The tokens of a text."""
    async with http.app.state.models.use(body.model) as engine:
        special = body.parse_special is not False
        bos = bool(body.add_special) and engine.special.adds_bos
        tokens = await asyncio.to_thread(lambda: engine.model.tokenize(body.content, bos=bos, special=special))
        if not body.with_pieces:
            return {"tokens": tokens}
        return {"tokens": [{"id": t, "piece": _text_or_bytes(engine.piece(t))} for t in tokens]}


def _text_or_bytes(raw: bytes) -> str | list[int]:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return list(raw)


@router.post("/detokenize", response_model=None, responses=described.answers(native_shapes.ContentAnswer))
async def detokenize(http: Request, body: Detokenize) -> Any:
    """The text of tokens."""
    async with http.app.state.models.use(body.model) as engine:
        tokens = engine.check_tokens(body.tokens, "tokens")
        return {"content": await asyncio.to_thread(lambda: engine.model.detokenize(tokens, special=True))}


@router.post("/apply-template", response_model=None, responses=described.answers(native_shapes.PromptAnswer))
async def apply_template(http: Request, body: ApplyTemplate) -> Any:
    """What a conversation is as a text."""
    async with http.app.state.models.use(body.model) as engine:
        messages, more = prompts.talk(engine, body, list(body.tools or []))
        await asyncio.to_thread(prompts.check_names, engine, body.messages, messages, more)
        return {"prompt": await asyncio.to_thread(lambda: engine.model.chat_text(messages, **more))}


@router.get("/health", response_model=None, responses=described.answers(native_shapes.HealthAnswer))
@router.get("/v1/health", include_in_schema=False)
async def health(http: Request) -> Any:
    """Whether the server works."""
    return {"status": "ok"}


def _name(engine: Engine, token: int | None) -> str:
    return "" if token is None else engine.piece(token).decode("utf-8", "replace")


@router.get("/props", response_model=None, responses=described.answers(native_shapes.PropsAnswer))
async def props(http: Request, model: Optional[str] = None) -> Any:
    """What a model is and how the server uses it."""
    state = http.app.state
    async with state.models.use(model) as engine:
        s, special = engine.settings, engine.special
        given = {"seed": 0xFFFFFFFF if s.seed is None else s.seed, "temperature": s.temperature, "top_k": s.top_k, "top_p": s.top_p, "min_p": s.min_p}
        return {
            "default_generation_settings": {"n_ctx": engine.length, "params": _settings(engine, None, given, None)},
            "total_slots": s.parallel, "model_alias": engine.name, "model_path": engine.path, "description": engine.model.description,
            "chat_template": engine.model.chat_templates.get(s.chat_template or "default", s.chat_template or ""), "bos_token": _name(engine, special.bos), "eos_token": _name(engine, special.eos),
            "build_info": engine.fingerprint, "modalities": {"vision": False, "audio": False},
        }  # fmt: skip


@router.get("/metrics", response_model=None, responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}, response_class=PlainTextResponse)
async def metrics(http: Request) -> Any:
    """Figures for Prometheus."""
    if not http.app.state.settings.metrics:
        raise ApiError(501, "this server gives no metrics", kind="not_supported_error")
    return PlainTextResponse(http.app.state.meters.text(), media_type="text/plain; version=0.0.4")


@router.get("/slots", include_in_schema=False)
async def slots(http: Request, model: Optional[str] = None) -> Any:
    """As many as there are requests that can be worked on, and how many are: which one a request has is the scheduler's affair."""
    state = http.app.state
    if not state.settings.slots:
        raise ApiError(501, "this server shows no slots, see --slots", kind="not_supported_error")
    async with state.models.use(model) as engine:
        return [{"id": i, "n_ctx": engine.length, "is_processing": i < engine.running, "speculative": engine.draft is not None} for i in range(engine.settings.parallel)]
