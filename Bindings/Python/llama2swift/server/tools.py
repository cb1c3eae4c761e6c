"""Tools in a request: how a model is told of them, and what forces a call."""

from __future__ import annotations

import json
from typing import Any

from .. import Grammar
from .._calling import Splitter, arguments_of, in_words, made, one_of, values, with_told
from .conversation import AllowedChoice, Chat, ChatMessage, Tool, ToolChoice
from .engine import Engine
from .errors import ApiError

__all__ = ["Caller", "Splitter", "in_words", "made", "messages", "plain", "with_told"]


def plain(tools: list[Tool]) -> list[dict[str, Any]]:
    """As templates want them."""
    out = []
    for tool in tools:
        given = tool.function.parameters
        f = {"name": tool.function.name, "description": tool.function.description or "", "parameters": arguments_of(None) if given is None else given}
        out.append({"type": "function", "function": f})
    return out


# whose field it is: a template would pass over it elsewhere
_BELONGS = {"tool_calls": "assistant", "refusal": "assistant", "reasoning_content": "assistant", "tool_call_id": "tool"}


def messages(given: list[ChatMessage]) -> list[dict[str, Any]]:
    """As templates want them; a developer's message is a system's."""
    out = []
    asked: set[str | None] = set()
    for index, one in enumerate(given):
        if one.tool_call_id is not None and one.role == "tool" and one.tool_call_id not in asked:
            raise ApiError(400, f"messages[{index}].tool_call_id: there is no call {one.tool_call_id[:64]!r} before it", param=f"messages[{index}].tool_call_id")
        asked.update(c.id for c in one.tool_calls or ())
        message: dict[str, Any] = {"role": "system" if one.role == "developer" else one.role}
        for name, role in _BELONGS.items():
            if getattr(one, name) not in (None, []) and one.role != role:
                raise ApiError(400, f"messages[{index}].{name} belongs to the role {role}", param=f"messages[{index}].{name}")
        if one.refusal is not None and (one.content or one.tool_calls):
            raise ApiError(400, f"messages[{index}] has a refusal and more beside it", param=f"messages[{index}].refusal")
        if isinstance(one.content, list):
            message["content"] = [{"type": "text", "text": part.text or ""} for part in one.content]
        elif one.content is not None or not one.tool_calls:
            message["content"] = one.refusal if one.content is None and one.refusal is not None else one.content
        for name in ("name", "tool_call_id", "reasoning_content"):
            if getattr(one, name) is not None:
                message[name] = getattr(one, name)
        if message.get("content", "") is None:
            raise ApiError(400, f"messages[{index}] has no content", param=f"messages[{index}].content")
        if one.tool_calls:
            message["tool_calls"] = [_call(f"messages[{index}].tool_calls[{i}]", c.id, c.function.name, c.function.arguments) for i, c in enumerate(one.tool_calls)]
        out.append(message)
    return out


def _call(place: str, number: str | None, name: str, arguments: str) -> dict[str, Any]:
    try:
        value = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        raise ApiError(400, f"{place}: the arguments are no JSON", param=place) from None
    return {"id": number, "type": "function", "function": {"name": name, "arguments": value}}


def _arguments(place: str, given: Any) -> Any:
    try:
        return arguments_of(given)
    except ValueError as problem:
        raise ApiError(400, f"{place}: {problem}", param=place, code="invalid_schema") from None


class Caller:
    """What a chat says of tools. mode: "none", "auto", "required" (one of them), "named" (that one)."""

    def __init__(self, engine: Engine, body: Chat):
        self.engine, self.tools, choice = engine, list(body.tools or []), body.tool_choice
        names = [t.function.name for t in self.tools]
        self.parameters = {t.function.name: _arguments(f"tools[{i}].function.parameters", t.function.parameters) for i, t in enumerate(self.tools)}
        if len(set(names)) < len(names):
            raise ApiError(400, "tools: two functions have the same name", param="tools")
        self.mode = "auto" if self.tools else "none"
        if choice is not None and not self.tools and choice != "none":
            raise ApiError(400, "tool_choice: there are no tools", param="tool_choice")
        if isinstance(choice, (ToolChoice, AllowedChoice)):
            among = {t.function.name for t in ([choice] if isinstance(choice, ToolChoice) else choice.allowed_tools.tools)}
            for name in sorted(among - set(names)):
                raise ApiError(400, f"tool_choice: there is no function {name!r}", param="tool_choice")
            self.tools = [t for t in self.tools if t.function.name in among]
            self.mode = "named" if isinstance(choice, ToolChoice) else choice.allowed_tools.mode
        elif choice in ("none", "auto", "required"):
            self.mode = choice if self.tools else "none"
        elif choice is not None:
            raise ApiError(400, 'tool_choice: expected "none", "auto", "required" or a function', param="tool_choice")
        if self.mode == "none":
            self.tools = []
        self.most = 1 if body.parallel_tool_calls is False else None
        # OpenAI: a call that was asked for by its name ends with "stop"
        self.ends = "stop" if self.mode == "named" else "tool_calls"
        if self.mode == "required" and len(self.tools) == 1:
            self.mode = "named"

    @property
    def forced(self) -> bool:
        """Whether the answer is a call, whatever the model would say."""
        return self.mode in ("required", "named")

    def schema(self) -> Any:
        """What a forced call is held to: the arguments of the one function, or the name and arguments of one of them."""
        if self.mode == "named":
            return self.parameters[self.tools[0].function.name]
        return one_of([(t.function.name, self.parameters[t.function.name]) for t in self.tools])

    def _held(self, name: str) -> Grammar:
        """What arguments are told by, in the schema's order or another."""
        return self.engine.grammar(json_schema=self.parameters[name], any_order=True)

    async def check(self) -> None:
        """Raises ApiError for a function whose schema is not followed: when it is called it would be too late."""
        for index, tool in enumerate(self.tools if not self.forced else []):
            await self.engine.compiled(lambda _, name: self._held(name), tool.function.name, name=f"tools[{index}].function.parameters")

    def calls(self, text: str) -> list[dict[str, Any]] | None:
        """The calls that a whole text is, None if it is something else."""
        if self.mode == "named":
            return [made(self.tools[0].function.name, text)]
        found = values(text)
        if not found:
            return None
        known = {t.function.name for t in self.tools}
        out = []
        for value in found:
            name, arguments = (value.get("name"), value.get("arguments", value.get("parameters"))) if isinstance(value, dict) else (None, None)
            if not isinstance(name, str) or name not in known or not isinstance(arguments, dict):
                return None
            written = json.dumps(arguments, ensure_ascii=False)
            if not self._held(name).accepts(written):  # whether these are its arguments is for the grammar to say
                return None
            out.append(made(name, written))
        return out[: self.most]
