"""What answers of /v1/responses look like, as in shapes.py."""

from __future__ import annotations

from typing import Any, Dict, List, Literal, Optional, Union

from .shapes import Answer, Cached, ChatLogprob


class OutputText(Answer):
    """A text; its tokens where they are asked for."""

    type: Literal["output_text"]
    text: str
    annotations: List[None]
    logprobs: List[ChatLogprob]


class OutputMessage(Answer):
    """What the model says."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    status: Literal["completed", "incomplete"]
    content: List[OutputText]


class OutputCall(Answer):
    """A call of a function."""

    id: str
    type: Literal["function_call"]
    status: Literal["completed", "incomplete"]
    call_id: str
    name: str
    arguments: str


class Incomplete(Answer):
    """Why an answer is cut short."""

    reason: Literal["max_output_tokens"]


class Thought(Answer):
    """Tokens of thoughts: they are not told apart."""

    reasoning_tokens: Literal[0]


class Read(Cached):
    """What was evaluated before, and what was now and stays."""

    cache_write_tokens: int


class ResponseUsage(Answer):
    """Tokens of a request."""

    input_tokens: int
    input_tokens_details: Read
    output_tokens: int
    output_tokens_details: Thought
    total_tokens: int


class ResponseAnswer(Answer):
    """/v1/responses."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int = 0
    status: Literal["completed", "incomplete"]
    background: Literal[False]
    error: None
    incomplete_details: Optional[Incomplete]
    instructions: Optional[str]
    max_output_tokens: Optional[int]
    model: str
    output: List[Union[OutputMessage, OutputCall]]
    parallel_tool_calls: bool
    previous_response_id: None
    store: Literal[False]
    temperature: float
    top_p: float
    text: Dict[str, Any]
    tool_choice: Union[str, Dict[str, Any]]
    top_logprobs: int
    tools: List[Dict[str, Any]]
    truncation: Literal["disabled"]
    metadata: Dict[str, str]
    service_tier: Literal["default"]
    usage: ResponseUsage
