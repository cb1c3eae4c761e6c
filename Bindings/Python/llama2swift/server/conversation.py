"""The bodies of conversations: messages, tools, and what an answer is held to. As in `bodies`, nothing is passed over."""

from __future__ import annotations

from typing import Any, ClassVar, Dict, List, Literal, Optional, Union  # pydantic evaluates them, in Python 3.9 too

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from .bodies import Body, Refused, Sampled, StreamOptions, taken


class Typed(Body):
    """What says of which type it is: one that this server does not know is refused by its name."""

    what: ClassVar[str]
    known: ClassVar[tuple[str, ...]] = ("function",)

    @model_validator(mode="before")
    @classmethod
    def _only_known(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("type"), str) and data["type"] not in cls.known:
            told = {"what": cls.what, "type": data["type"][:40], "known": " and ".join(cls.known)}
            raise PydanticCustomError("not_followed", "{what} of type {type} is not supported, only {known}", told)
        return data


class Part(Typed):
    """A part of a message."""

    what, known = "a part", ("text",)

    type: str
    text: Optional[str] = None

    @model_validator(mode="after")
    def _has_text(self) -> Part:
        if self.text is None:
            raise ValueError("a part of type text has no text")
        return self


class Called(Body):
    """A function that was called, its arguments as JSON in a text."""

    name: str
    arguments: str


class ToolCall(Typed):
    """A call of a tool, in an assistant's message."""

    what = "a call"

    id: Optional[str] = None
    index: Optional[int] = None
    type: Optional[Literal["function"]] = None
    function: Called


class ChatMessage(Body):
    """One of a conversation."""

    refused: ClassVar[Refused] = {
        "annotations": (([],), "a model is told nothing of them"),
        "audio": ((), "sound is not supported"),
        "function_call": ((), "this was replaced by tool_calls"),
    }

    role: str
    content: Union[str, List[Part], None] = None
    refusal: Optional[str] = None
    reasoning_content: Optional[str] = None
    name: Optional[str] = None
    tool_calls: Optional[List[ToolCall]] = Field(None, max_length=128)
    tool_call_id: Optional[str] = None


class Function(Body):
    """A function that a model may call. strict: it is always."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    description: Optional[str] = None
    strict: Optional[bool] = taken()
    parameters: Union[Dict[str, Any], bool, None] = None


class Tool(Typed):
    """A tool: a function."""

    what = "a tool"

    type: Literal["function"]
    function: Function


class NamedFunction(Body):
    """The function to call."""

    name: str


class ToolChoice(Typed):
    """The tool to call."""

    what, known = "a choice", ("function", "allowed_tools")

    type: Literal["function"]
    function: NamedFunction


class AllowedTools(Body):
    """Some of the tools, and whether one of them must be called."""

    mode: Literal["auto", "required"]
    tools: List[ToolChoice] = Field(min_length=1, max_length=128)


class AllowedChoice(Body):
    """A choice among some of the tools."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


class Schema(Body):
    """A schema. strict: it always is; description: told to the model."""

    name: Optional[str] = taken()
    description: Optional[str] = None
    strict: Optional[bool] = taken()
    schema_: Union[Dict[str, Any], bool] = Field(alias="schema")


class ResponseFormat(Body):
    """What an answer is held to."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: Optional[Schema] = None
    schema_: Union[Dict[str, Any], bool, None] = Field(None, alias="schema")


class Chat(Sampled):
    """/v1/chat/completions."""

    refused: ClassVar[Refused] = {
        **Sampled.refused,
        "functions": (([],), "this was replaced by tools"),
        "function_call": (("none", "auto"), "this was replaced by tool_choice"),
        "audio": ((), "sound is not supported"),
        "modalities": ((["text"],), "only text is supported"),
        "web_search_options": ((), "the server searches nothing"),
        "reasoning_effort": (("none",), "a model's template may know it: pass it in chat_template_kwargs"),
        "verbosity": (("medium",), "it is not supported"),
        "reasoning_format": (("none",), "thoughts are not told apart from the answer"),
        "moderation": ((), "the server moderates nothing"),
        "store": ((False,), "nothing is stored by this server"),
        "metadata": (({},), "nothing is stored that it could belong to"),
        "service_tier": (("auto", "default"), "there is one tier, default"),
        "prediction": ((), "what is guessed comes from the prompt and from the server's draft model"),
        "prompt_cache_retention": (("in_memory",), "what was evaluated stays in memory as long as there is room, for no time that could be told"),
        "prompt_cache_options": (({}, {"mode": "implicit"}), "what was evaluated stays in memory as long as there is room, for no time that could be told"),
    }

    model: Optional[str] = None
    messages: List[ChatMessage] = Field(min_length=1, max_length=4096)
    max_tokens: Optional[int] = Field(None, ge=-1)
    max_completion_tokens: Optional[int] = Field(None, ge=-1)
    n_predict: Optional[int] = Field(None, ge=-1)
    n: Optional[int] = Field(None, ge=1)
    logprobs: Optional[bool] = None
    top_logprobs: Optional[int] = Field(None, ge=0, le=20)
    stream: Optional[bool] = None
    stream_options: Optional[StreamOptions] = None
    response_format: Optional[ResponseFormat] = None
    tools: Optional[List[Tool]] = Field(None, max_length=128)
    tool_choice: Union[str, ToolChoice, AllowedChoice, None] = None
    parallel_tool_calls: Optional[bool] = None
    service_tier: Optional[str] = None
    safety_identifier: Optional[str] = taken()
    prompt_cache_key: Optional[str] = taken()
    chat_template_kwargs: Optional[Dict[str, Any]] = None
    add_generation_prompt: Optional[bool] = None
    continue_final_message: Optional[bool] = None
    timings_per_token: Optional[bool] = None
    verbose: Optional[bool] = None


class ApplyTemplate(Body):
    """/apply-template."""

    model: Optional[str] = None
    messages: List[ChatMessage] = Field(min_length=1, max_length=4096)
    tools: Optional[List[Tool]] = Field(None, max_length=128)
    chat_template_kwargs: Optional[Dict[str, Any]] = None
    add_generation_prompt: Optional[bool] = None
    continue_final_message: Optional[bool] = None
