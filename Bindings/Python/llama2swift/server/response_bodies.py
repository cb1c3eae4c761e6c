"""The bodies of /v1/responses: items, tools and formats as OpenAI's Responses API has them, made into a conversation. As in `bodies`, nothing is passed over."""

from __future__ import annotations

import json
from typing import Any, ClassVar, Dict, List, Literal, Optional, Union  # pydantic evaluates them, in Python 3.9 too

from pydantic import BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError
from typing_extensions import Annotated

from .bodies import Body, Refused, Sampled, StreamOptions, taken
from .conversation import Chat, Typed
from .errors import ApiError


class Text(Typed):
    """A part of a message, or of what a function gave. What an answer of ours has beside its text may come back with it."""

    what, known = "a part", ("input_text", "output_text")
    refused: ClassVar[Refused] = {
        "annotations": (([],), "a model is told nothing of them"),
        "prompt_cache_breakpoint": ((), "what was evaluated stays in memory as long as there is room"),
    }

    type: Literal["input_text", "output_text"]
    text: str
    logprobs: Optional[List[Any]] = taken()


class Message(Body):
    """One of a conversation."""

    refused: ClassVar[Refused] = {"phase": ((), "a model is told nothing of it")}

    type: Optional[Literal["message"]] = None
    role: Literal["user", "assistant", "system", "developer"]
    content: Union[str, List[Text]]
    id: Optional[str] = taken()
    status: Optional[str] = taken()


class _Item(Body):
    refused: ClassVar[Refused] = {
        "namespace": ((), "functions have no name spaces"), "caller": ((), "functions are called by the model only"), "async": ((False,), "a call is waited for"),
    }  # fmt: skip

    id: Optional[str] = taken()
    status: Optional[str] = taken()


class FunctionCall(_Item):
    """A function that was called."""

    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str


class FunctionCallOutput(_Item):
    """What it gave."""

    type: Literal["function_call_output"]
    call_id: str
    output: Union[str, List[Text]]
    name: Optional[str] = None


_ITEMS = ("message", "function_call", "function_call_output")


def _kind(item: Any) -> Optional[str]:
    kind = item.get("type") if isinstance(item, dict) else getattr(item, "type", None)
    return f"a {kind or 'message'}"


def _only_known(item: Any) -> Any:
    kind = item.get("type") if isinstance(item, dict) else None
    if isinstance(kind, str) and kind not in _ITEMS:
        raise PydanticCustomError("not_followed", "an item of type {type} is not supported, only {known}", {"type": kind[:40], "known": ", ".join(_ITEMS)})
    return item


Item = Annotated[
    Union[Annotated[Message, Tag("a message")], Annotated[FunctionCall, Tag("a function_call")], Annotated[FunctionCallOutput, Tag("a function_call_output")]],
    Discriminator(_kind), BeforeValidator(_only_known),
]  # fmt: skip


class ResponseTool(Typed):
    """A function that a model may call. strict: it is always."""

    what = "a tool"
    refused: ClassVar[Refused] = {
        "output_schema": ((), "what a function gives is not checked"), "defer_loading": ((False,), "a model is told all tools at once"), "allowed_callers": ((["direct"],), "functions are called by the model only"),
    }  # fmt: skip

    type: Literal["function"]
    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    description: Optional[str] = None
    strict: Optional[bool] = taken()
    parameters: Union[Dict[str, Any], bool, None] = None


class NamedTool(Typed):
    """The function to call."""

    what, known = "a choice", ("function", "allowed_tools")

    type: Literal["function"]
    name: str


class AllowedNames(Body):
    """A choice among some of the tools."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: List[NamedTool] = Field(min_length=1, max_length=128)


class TextFormat(Typed):
    """What an answer is held to. strict: it always is."""

    what, known = "a format", ("text", "json_object", "json_schema")

    type: Literal["text", "json_object", "json_schema"]
    name: Optional[str] = None
    description: Optional[str] = None
    strict: Optional[bool] = taken()
    schema_: Union[Dict[str, Any], bool, None] = Field(None, alias="schema")


class TextConfig(Body):
    """What kind of text is wanted."""

    refused: ClassVar[Refused] = {"verbosity": (("medium",), "it is not supported")}

    format: Optional[TextFormat] = None


_STORED = "nothing is stored by this server"
# what there is to include: probabilities, and of what never comes, nothing
PROBABILITIES, _NEVER = "message.output_text.logprobs", "reasoning.encrypted_content"


class Respond(Sampled):
    """/v1/responses."""

    refused: ClassVar[Refused] = {
        **Sampled.refused,
        "store": ((False,), _STORED), "previous_response_id": ((), _STORED + ": send the items of before again"), "conversation": ((), _STORED), "prompt": ((), _STORED),
        "background": ((False,), "an answer is waited for"), "background_options": ((), "an answer is waited for"),
        "truncation": (("disabled",), "no item is left out, a conversation that is too long is refused"), "context_management": (([],), "no item is left out"),
        "reasoning": (({}, {"effort": "none"}, {"effort": None, "summary": None}), "a model's template may know it: pass it in chat_template_kwargs"),
        "moderation": Chat.refused["moderation"], "access_programs": ((), "there are none"), "image": ((), "images are not supported"),
        **{name: Chat.refused[name] for name in ("service_tier", "prompt_cache_retention", "prompt_cache_options")},
    }  # fmt: skip

    model: Optional[str] = None
    input: Union[str, Annotated[List[Item], Field(max_length=4096)]]
    instructions: Optional[str] = None
    max_output_tokens: Optional[int] = Field(None, ge=1)
    max_tool_calls: Optional[int] = taken(ge=1)  # of tools that the server itself runs: there are none
    tools: Optional[List[ResponseTool]] = Field(None, max_length=128)
    tool_choice: Union[str, NamedTool, AllowedNames, None] = None
    parallel_tool_calls: Optional[bool] = None
    text: Optional[TextConfig] = None
    include: Optional[List[Literal["message.output_text.logprobs", "reasoning.encrypted_content"]]] = None
    top_logprobs: Optional[int] = Field(None, ge=0, le=20)
    stream: Optional[bool] = None
    stream_options: Optional[StreamOptions] = None
    metadata: Optional[Dict[str, str]] = Field(None, max_length=16)
    safety_identifier: Optional[str] = taken()
    prompt_cache_key: Optional[str] = taken()
    chat_template_kwargs: Optional[Dict[str, Any]] = None

    @property
    def tells_probabilities(self) -> bool:
        """Whether the tokens of a text are told."""
        return bool(self.top_logprobs) or PROBABILITIES in (self.include or ())

    def chat(self) -> Chat:
        """The same as a chat. Raises ApiError."""
        given = {name: getattr(self, name) for name in Sampled.model_fields if name in self.model_fields_set}
        given |= {"messages": self._messages(), "max_completion_tokens": self.max_output_tokens, "logprobs": self.tells_probabilities}
        given |= {name: getattr(self, name) for name in ("model", "parallel_tool_calls", "chat_template_kwargs")}
        given["top_logprobs"] = self.top_logprobs if self.tells_probabilities else None
        if self.tools:
            given["tools"] = [{"type": "function", "function": {k: v for k, v in t.model_dump().items() if k != "type"}} for t in self.tools]
        choice = self.tool_choice
        if isinstance(choice, AllowedNames):
            named = [_named(t.name) for t in choice.tools]
            given["tool_choice"] = {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": named}}
        else:
            given["tool_choice"] = _named(choice.name) if isinstance(choice, NamedTool) else choice
        if self.text and self.text.format:
            given["response_format"] = _format(self.text.format)
        return Chat(**given)

    def _messages(self) -> List[Dict[str, Any]]:
        out: List[Dict[str, Any]] = [] if self.instructions is None else [{"role": "system", "content": self.instructions}]
        calls = set()
        for index, item in enumerate([Message(role="user", content=self.input)] if isinstance(self.input, str) else self.input):
            if isinstance(item, Message):
                out.append({"role": item.role, "content": _parts(item.content)})
            elif isinstance(item, FunctionCall):
                _check_json(item.arguments, f"input[{index}].arguments")
                if not out or out[-1]["role"] != "assistant":
                    out.append({"role": "assistant", "content": None})
                calls.add(item.call_id)
                out[-1].setdefault("tool_calls", []).append({"id": item.call_id, "type": "function", "function": {"name": item.name, "arguments": item.arguments}})
            elif item.call_id not in calls:
                raise ApiError(400, f"input[{index}].call_id: there is no call {item.call_id[:64]!r} before it", param=f"input[{index}].call_id")
            else:
                out.append({"role": "tool", "tool_call_id": item.call_id, "content": _text(item.output), **({} if item.name is None else {"name": item.name})})
        if not out:
            raise ApiError(400, "input: there are no items", param="input")
        return out


def _check_json(text: str, place: str) -> None:
    try:
        json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise ApiError(400, f"{place} is no JSON", param=place) from None


def _parts(content: Union[str, List[Text]]) -> Union[str, List[Dict[str, str]]]:
    return content if isinstance(content, str) else [{"type": "text", "text": part.text} for part in content]


def _text(content: Union[str, List[Text]]) -> str:
    return content if isinstance(content, str) else "".join(part.text for part in content)


def _named(name: str) -> Dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def _format(given: TextFormat) -> Dict[str, Any]:
    if given.type != "json_schema":
        for name, value in (("schema", given.schema_), ("description", given.description), ("name", given.name)):
            if value is not None:
                raise ApiError(400, f"text.format.{name} belongs to the type json_schema", param=f"text.format.{name}")
        return {"type": given.type}
    for name, value in (("schema", given.schema_), ("name", given.name)):
        if value is None:
            raise ApiError(400, f"text.format: the type json_schema needs {name}", param=f"text.format.{name}")
    return {"type": "json_schema", "json_schema": {"name": given.name, "description": given.description, "schema": given.schema_}}
