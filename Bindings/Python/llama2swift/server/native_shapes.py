"""What llama-server's own answers look like, as in shapes.py."""

from __future__ import annotations

from typing import Any, Dict, List, Literal, Optional, Union

from pydantic import BaseModel

from .shapes import Answer, Timings


class NativeAnswer(BaseModel):
    """llama-server's /completion; with response_fields only those."""

    index: int = 0
    content: str = ""
    tokens: List[int] = []
    stop: bool = True
    stop_type: Literal["limit", "eos", "word"] = "limit"
    tokens_predicted: int = 0
    tokens_evaluated: int = 0
    truncated: bool = False
    timings: Optional[Timings] = None
    completion_probabilities: List[Dict[str, Any]] = []


class Piece(Answer):
    """A token and its text; its bytes where they are no text."""

    id: int
    piece: Union[str, List[int]]


class TokensAnswer(Answer):
    """/tokenize."""

    tokens: Union[List[int], List[Piece]]


class ContentAnswer(Answer):
    """/detokenize."""

    content: str


class PromptAnswer(Answer):
    """/apply-template."""

    prompt: str


class CountAnswer(Answer):
    """/v1/chat/completions/input_tokens."""

    object: Literal["response.input_tokens"]
    input_tokens: int


class HealthAnswer(Answer):
    """/health."""

    status: Literal["ok"]


class PropsAnswer(Answer):
    """/props."""

    default_generation_settings: Dict[str, Any]
    total_slots: int
    model_alias: str
    model_path: str
    description: str
    chat_template: str
    bos_token: str
    eos_token: str
    build_info: str
    modalities: Dict[str, bool]
