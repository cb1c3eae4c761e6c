"""What OpenAI's answers look like, and errors: for the schema at /openapi.json and for nothing else. Answers are written as dicts where they are
made, and Tests/compare/test_schema.py holds them to this."""

from __future__ import annotations

from typing import Any, Dict, List, Literal, Optional, Union

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """Nothing but what is said."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Problem(Answer):
    """Why a request is not answered; the last two of a prompt that is too long."""

    message: str
    type: str
    param: Optional[str]
    code: Optional[str]
    n_prompt_tokens: int = 0
    n_ctx: int = 0


class Error(Answer):
    """An answer with a status from 400 on."""

    error: Problem


class Cached(Answer):
    """What was evaluated before."""

    cached_tokens: int


class Usage(Answer):
    """Tokens of a request."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: Cached


class Timings(Answer):
    """llama-server's figures of a request."""

    cache_n: int
    prompt_n: int
    prompt_ms: float
    prompt_per_token_ms: float
    prompt_per_second: float
    predicted_n: int
    predicted_ms: float
    predicted_per_token_ms: float
    predicted_per_second: float


class Logprob(Answer):
    """A token and the natural logarithm of its probability."""

    token: str
    logprob: float
    bytes: List[int]


class ChatLogprob(Logprob):
    """One that was chosen, and the best ones."""

    top_logprobs: List[Logprob]


class ChatLogprobs(Answer):
    """Of a message."""

    content: List[ChatLogprob]
    refusal: None


class CalledFunction(Answer):
    """A function and its arguments, as JSON in a text."""

    name: str
    arguments: str


class CalledTool(Answer):
    """A call."""

    id: str
    type: Literal["function"]
    function: CalledFunction


class Said(Answer):
    """The model's message."""

    role: Literal["assistant"]
    content: Optional[str]
    refusal: None
    tool_calls: List[CalledTool] = []


class ChatChoice(Answer):
    """One of the answers."""

    index: int
    message: Said
    logprobs: Optional[ChatLogprobs]
    finish_reason: Literal["stop", "length", "tool_calls"]


class Verbose(Answer):
    """What the model was given."""

    prompt: str
    content: str


def _with_verbose(schema: Dict[str, Any]) -> None:
    """A name that begins with underscores is none of a field."""
    properties = {name: Verbose.model_json_schema()["properties"][name] for name in Verbose.model_fields}
    schema["properties"]["__verbose"] = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


class ChatAnswer(Answer):
    """/v1/chat/completions."""

    model_config = ConfigDict(json_schema_extra=_with_verbose)

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: str
    service_tier: Literal["default"] = "default"
    choices: List[ChatChoice]
    usage: Usage
    timings: Optional[Timings] = None


class TextLogprobs(Answer):
    """OpenAI's four lists."""

    tokens: List[str]
    token_logprobs: List[Optional[float]]
    text_offset: List[int]
    top_logprobs: List[Optional[Dict[str, float]]] = []


class TextChoice(Answer):
    """One of the texts."""

    index: int
    text: str
    logprobs: Optional[TextLogprobs]
    finish_reason: Literal["stop", "length"]


class TextAnswer(Answer):
    """/v1/completions."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: List[TextChoice]
    usage: Usage


class Row(Answer):
    """A vector, or its float32 as base64."""

    object: Literal["embedding"]
    index: int
    embedding: Union[List[float], str]


class RowsUsage(Answer):
    """Tokens of texts."""

    prompt_tokens: int
    total_tokens: int


class Rows(Answer):
    """/v1/embeddings."""

    object: Literal["list"]
    data: List[Row]
    model: str
    usage: RowsUsage


class Card(Answer):
    """A model. meta: of one that is loaded."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    loaded: bool
    aliases: List[str]
    meta: Dict[str, int] = {}


class Cards(Answer):
    """/v1/models."""

    object: Literal["list"]
    data: List[Card]
