"""From the fields of a request to the arguments of a `Sampler`, a grammar and limits."""

from __future__ import annotations

import inspect
import os
import re
from typing import Any

from .. import Grammar, Sampler
from .._calling import or_called
from .bodies import Sampled
from .conversation import ResponseFormat
from .engine import Engine
from .errors import ApiError, refused
from .tools import Caller

_KNOWN = frozenset(inspect.signature(Sampler.__init__).parameters)
# llama-server's name: ours, and the values that ask for nothing
_OTHERS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "typical_p": ("typical_p", (1,)), "top_n_sigma": ("top_n_sigma", (-1, 0)), "xtc_probability": ("xtc_probability", (0,)),
    "xtc_threshold": ("xtc_threshold", (0.1,)), "mirostat": ("mirostat", (0,)), "mirostat_tau": ("mirostat_tau", (5,)),
    "mirostat_eta": ("mirostat_eta", (0.1,)), "dry_multiplier": ("dry_multiplier", (0,)), "dry_base": ("dry_base", (1.75,)),
    "dry_allowed_length": ("dry_allowed_length", (2,)), "dry_penalty_last_n": ("dry_last_n", ()), "dry_sequence_breakers": ("dry_breakers", ()),
    "dynatemp_range": ("dynamic_range", (0,)), "dynatemp_exponent": ("dynamic_exponent", (1,)),
}  # fmt: skip
BANNED = -1e30
# penalties, and where llama-server's are off
_OPENAIS, _LLAMA_SERVERS = ("frequency_penalty", "presence_penalty"), {"repeat_penalty": 1, "dry_multiplier": 0}
# llama-server's names of the steps, its letters for them, and ours
_STEPS = {
    "penalties": ("e", "penalties"), "dry": ("d", "dry"), "top_n_sigma": ("s", "top_n_sigma"), "top_k": ("k", "top_k"), "typ_p": ("y", "typical"),
    "top_p": ("p", "top_p"), "min_p": ("m", "min_p"), "xtc": ("x", "xtc"), "temperature": ("t", "temperature"),
}  # fmt: skip
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_LETTERS = {letter: name for name, (letter, _) in _STEPS.items()}


def arguments(engine: Engine, body: Sampled, index: int = 0) -> dict[str, Any]:
    """Those of the sampler of a request's choice `index`: each has a seed of its own, the first the one that was asked for."""
    s = engine.settings
    out: dict[str, Any] = {
        "temperature": s.temperature if body.temperature is None else body.temperature,
        "top_k": s.top_k if body.top_k is None else max(body.top_k, 0),
        "top_p": s.top_p if body.top_p is None else body.top_p,
        "min_p": s.min_p if body.min_p is None else body.min_p,
        "seed": seed(engine, body, index),
    }
    if body.mirostat:  # takes the place of what the server has on by itself
        out.update({name: off for name, off in (("top_k", 0), ("top_p", 1.0), ("min_p", 0.0)) if getattr(body, name) is None})
    if body.repeat_penalty is not None:
        out["repetition_penalty"] = body.repeat_penalty
    if body.repeat_last_n is not None:
        out["penalty_last_n"] = body.repeat_last_n
    elif body.follows_openai and not counts_prompt(body):
        out["penalty_last_n"] = -1  # llama-server's looks back at the last 64
    for name in ("frequency_penalty", "presence_penalty"):
        if getattr(body, name) is not None:
            out[name] = getattr(body, name)
    for name, (ours, neutral) in _OTHERS.items():
        value = getattr(body, name)
        if value is None or value in neutral:
            continue
        if ours not in _KNOWN:
            raise refused(name, "this sampler is not supported")
        out[ours] = engine.length if name == "dry_penalty_last_n" and value == -1 else value
        if name.startswith("dry_") and "model" in _KNOWN:
            out["model"] = engine.model
    if body.samplers is not None:
        out["steps"] = _order(body)
        for name in ("temperature", "top_k", "top_p", "min_p"):
            # the server's own are for steps that are done; what the request itself gives beside a list without it is refused
            if name not in out["steps"] and getattr(body, name) is None:
                del out[name]
    bias = _bias(engine, body.logit_bias)
    if body.ignore_eos:
        bias.update(dict.fromkeys(engine.ends(), BANNED))
    if bias:
        out["logit_bias"] = bias
    return out


def _order(body: Sampled) -> list[str]:
    """The steps in the order of `samplers`: names, or a string of letters. Bias comes first, as llama-server has it."""
    given = body.samplers or []
    if body.mirostat:
        raise ApiError(400, "samplers: mirostat has an order of its own", param="samplers")
    names = [_LETTERS.get(letter, letter) for letter in given] if isinstance(given, str) else given
    for name in names:
        if name not in _STEPS:
            raise ApiError(400, f"samplers: there is no sampler {name[:40]!r}, only {', '.join(_STEPS)}", param="samplers")
    return ["bias", *(_STEPS[name][1] for name in names)]


def seed(engine: Engine, body: Sampled, index: int = 0) -> int:
    """The one that was asked for, the server's, or a new one (-1 asks for that); the next ones for further choices."""
    given = engine.settings.seed if body.seed is None else None if body.seed == -1 else body.seed
    return ((int.from_bytes(os.urandom(4), "little") if given is None else given) + index) % 2**64


def _bias(engine: Engine, given: Any) -> dict[int, float]:
    """A dict of OpenAI's, whose keys are numbers of tokens or texts, or a list of pairs of llama-server's, whose texts are never numbers. A text is all
    its tokens; what is said of a token twice is added, as llama-server does it. False: never."""
    pairs = list(given.items()) if isinstance(given, dict) else given or []
    out: dict[int, float] = {}
    size = engine.model.hyperparameters.vocabulary_size
    for pair in pairs:
        if len(pair) != 2 or isinstance(pair[0], (bool, float)) or isinstance(pair[1], str) or pair[1] is True:
            raise ApiError(400, "logit_bias: each is a token and a number, or false", param="logit_bias")
        which, value = pair
        if isinstance(which, int) or (isinstance(given, dict) and _NUMBER.fullmatch(which)):
            tokens = [int(which)]
        else:
            tokens = engine.model.tokenize(which)
        if not tokens:
            raise ApiError(400, "logit_bias: a text is empty: it has no tokens", param="logit_bias")
        for token in tokens:
            if not 0 <= token < size:
                raise ApiError(400, f"logit_bias: there is no token {token}, the vocabulary has {size}", param="logit_bias")
            out[token] = BANNED if value is False or out.get(token) == BANNED else out.get(token, 0.0) + value
    return out


def grammar(engine: Engine, body: Sampled, format_: ResponseFormat | None = None, caller: Caller | None = None) -> Grammar | None:
    """What the text is held to, given by one of the ways there are; beside a schema a model may also call the functions it has."""
    ways: dict[str, dict[str, Any]] = {}
    if body.grammar:
        ways["grammar"] = {"gbnf": body.grammar}
    if body.json_schema is not None:
        ways["json_schema"] = {"json_schema": body.json_schema}
    if format_ is not None and (format_.type != "text" or _schema(format_) is not None):
        ways["response_format"] = {"json_schema": _schema(format_)}
    if not ways:
        return None
    if len(ways) > 1:
        raise ApiError(400, f"{' and '.join(ways)}: a text can be held to one of them", param=list(ways)[1])
    name, of = next(iter(ways.items()))
    calls = caller if caller is not None and caller.tools else None
    if calls is not None and calls.forced:
        raise ApiError(400, f"tool_choice: the answer is held to {name} already", param="tool_choice")
    if calls is not None and name == "grammar":
        raise ApiError(400, "tools: a text that is held to a grammar calls nothing", param="tools")
    try:
        alone = engine.grammar(**of)  # also beside tools, so that what is wrong with it is told without them
        return alone if calls is None else engine.grammar(json_schema=or_called(of["json_schema"], calls.schema()))
    except MemoryError:
        raise  # the server's, not the request's
    except (ValueError, RuntimeError) as problem:
        raise ApiError(400, f"{name}: {' '.join(str(problem).split())}", param=name, code="invalid_schema") from None


def complete(body: Sampled, held: Grammar | None) -> bool:
    """Whether the text must be whole within its limit, which only one can be that is held to something."""
    if body.complete and body.t_max_predict_ms is not None and body.t_max_predict_ms > 0:
        raise ApiError(400, "complete: what ends when its time is over cannot be promised to be whole", param="complete")
    if body.complete and held is None:
        raise ApiError(400, "complete: the text is held to no schema or grammar that it could complete", param="complete")
    return bool(body.complete)


def _schema(format_: ResponseFormat) -> Any:
    if format_.type == "json_schema":
        if format_.json_schema is None:
            raise ApiError(400, "response_format: the type json_schema needs json_schema", param="response_format.json_schema")
        if format_.schema_ is not None:
            raise ApiError(400, "response_format: schema belongs to the type json_object", param="response_format.schema")
        return format_.json_schema.schema_
    if format_.json_schema is not None:
        raise ApiError(400, "response_format: json_schema belongs to the type json_schema", param="response_format.json_schema")
    if format_.type == "text":
        if format_.schema_ is not None:
            raise ApiError(400, "response_format: schema belongs to the type json_object", param="response_format.schema")
        return None
    return {"type": "object"} if format_.schema_ is None else format_.schema_


def further(body: Sampled) -> dict[str, Any]:
    """What else a `Job` is told."""
    own = body.t_max_predict_ms
    return {"predict": own / 1000 if own is not None and own > 0 else None, "penalize_prompt": counts_prompt(body)}


def counts_prompt(body: Sampled) -> bool:
    """Whether penalties count the prompt's tokens. llama-server's do; OpenAI's, which it says "how often that token was sampled" of, do not. Raises
    ApiError where a request of OpenAI's routes has both: there is one history."""
    theirs = [name for name, off in _LLAMA_SERVERS.items() if getattr(body, name) not in (None, off)]
    openais = [name for name in _OPENAIS if getattr(body, name)] if body.follows_openai else []
    if theirs and openais:
        raise ApiError(400, f"{theirs[0]} counts the prompt's tokens and {openais[0]} does not: a request has one of them", param=theirs[0])
    return not openais


def one_of(**given: int | None) -> int | None:
    """A limit that has several names; -1 is none. Raises ApiError when they contradict each other."""
    said = {name: None if value == -1 else value for name, value in given.items() if value is not None}
    if len(set(said.values())) > 1:
        raise ApiError(400, f"{' and '.join(said)} say different things", param=list(said)[1])
    return next(iter(said.values()), None)
