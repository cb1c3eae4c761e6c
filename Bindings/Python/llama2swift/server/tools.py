"""Tools: how a model is told of them, what forces a call, and how a call is found in a text."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

from .bodies import Chat, ChatMessage, Tool, ToolChoice
from .engine import Engine
from .errors import ApiError

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_TOLD = """You can call these functions, given as JSON with their parameters:
{tools}
To call one, answer with nothing but a JSON object {{"name": NAME, "arguments": {{...}}}}."""


def parameters(tool: Tool) -> Any:
    """A function's schema; without one it takes nothing."""
    given = tool.function.parameters
    return {"type": "object", "properties": {}} if given is None else given


def plain(tools: list[Tool]) -> list[dict[str, Any]]:
    """As templates want them."""
    out = []
    for tool in tools:
        f = {"name": tool.function.name, "description": tool.function.description or "", "parameters": parameters(tool)}
        out.append({"type": "function", "function": f})
    return out


def messages(given: list[ChatMessage]) -> list[dict[str, Any]]:
    """As templates want them; a developer's message is a system's."""
    out = []
    for index, one in enumerate(given):
        message: dict[str, Any] = {"role": "system" if one.role == "developer" else one.role}
        if isinstance(one.content, list):
            message["content"] = "".join(part.text or "" for part in one.content)
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


def in_words(talk: list[dict[str, Any]], tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same conversation for a template that knows nothing of tools: they are told in the system's message, calls and their
    results are texts."""
    out: list[dict[str, Any]] = []
    names: dict[Any, str] = {}
    for message in talk:
        one = {k: v for k, v in message.items() if k not in ("tool_calls", "tool_call_id", "name")}
        if message.get("tool_calls"):
            names.update({c["id"]: c["function"]["name"] for c in message["tool_calls"]})
            calls = "\n".join(json.dumps(c["function"], ensure_ascii=False) for c in message["tool_calls"])
            one["content"] = "\n".join(filter(None, [message.get("content"), calls]))
        elif message["role"] == "tool":
            name = names.get(message.get("tool_call_id")) or message.get("name") or "the function"
            one = {"role": "user", "content": f"Result of {name}: {message['content']}"}
            if out and out[-1]["role"] == "user":
                out[-1]["content"] += "\n" + one["content"]
                continue
        out.append(one)
    if tools:
        told = _TOLD.format(tools="\n".join(json.dumps(t["function"], ensure_ascii=False) for t in tools))
        if out and out[0]["role"] == "system":
            out[0]["content"] = f"{out[0]['content']}\n\n{told}"
        else:
            out.insert(0, {"role": "system", "content": told})
    return out


class Caller:
    """What a chat says of tools. mode: "none", "auto", "required" (one of them), "named" (that one)."""

    def __init__(self, engine: Engine, body: Chat):
        self.engine, self.tools, choice = engine, list(body.tools or []), body.tool_choice
        names = [t.function.name for t in self.tools]
        if len(set(names)) < len(names):
            raise ApiError(400, "tools: two functions have the same name", param="tools")
        self.mode = "auto" if self.tools else "none"
        if choice is not None and not self.tools and choice != "none":
            raise ApiError(400, "tool_choice: there are no tools", param="tool_choice")
        if isinstance(choice, ToolChoice):
            if choice.function.name not in names:
                raise ApiError(400, f"tool_choice: there is no function {choice.function.name!r}", param="tool_choice")
            self.mode, self.tools = "named", [t for t in self.tools if t.function.name == choice.function.name]
        elif choice in ("none", "auto", "required"):
            self.mode = choice if self.tools else "none"
        elif choice is not None:
            raise ApiError(400, 'tool_choice: expected "none", "auto", "required" or a function', param="tool_choice")
        if self.mode == "none":
            self.tools = []
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
            return parameters(self.tools[0])
        ways = []
        for index, tool in enumerate(self.tools):
            inner = _moved(parameters(tool), f"#/anyOf/{index}/properties/arguments")
            ways.append(
                {
                    "type": "object", "properties": {"name": {"const": tool.function.name}, "arguments": inner},
                    "required": ["name", "arguments"], "additionalProperties": False,
                }
            )  # fmt: skip
        return {"anyOf": ways}

    def calls(self, text: str) -> list[dict[str, Any]] | None:
        """The calls that a whole text is, None if it is something else."""
        if self.mode == "named":
            return [made(self.tools[0].function.name, text)]
        values = _values(text)
        if not values:
            return None
        known = {t.function.name: t for t in self.tools}
        out = []
        for value in values:
            name, arguments = (value.get("name"), value.get("arguments", value.get("parameters"))) if isinstance(value, dict) else (None, None)
            if not isinstance(name, str) or name not in known or not isinstance(arguments, dict):
                return None
            written = json.dumps(arguments, ensure_ascii=False)
            # in the schema's order or another: whether these are its arguments is for the grammar to say
            if not self.engine.grammar(json_schema=parameters(known[name]), any_order=True).accepts(written):
                return None
            out.append(made(name, written))
        return out


def made(name: str, arguments: str) -> dict[str, Any]:
    """A call in OpenAI's shape."""
    return {"id": "call_" + uuid.uuid4().hex[:24], "type": "function", "function": {"name": name, "arguments": arguments}}


def _moved(schema: Any, place: str) -> Any:
    """A schema that now stands at `place` of a larger one: what it refers to moved along."""
    if isinstance(schema, list):
        return [_moved(one, place) for one in schema]
    if not isinstance(schema, dict):
        return schema
    out = {k: _moved(v, place) for k, v in schema.items()}
    ref = schema.get("$ref")
    if isinstance(ref, str) and ref.startswith("#"):
        out["$ref"] = place + ref[1:]
    return out


def _values(text: str) -> list[Any] | None:
    """The JSON values that a text consists of: one behind the other, in a list, or each in <tool_call> tags."""
    text = re.sub(rf"{_OPEN}|{_CLOSE}|<\|python_tag\|>|\[TOOL_CALLS\]", " ", text).strip()
    decoder, at, out = json.JSONDecoder(), 0, []
    while at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return None
        out += value if isinstance(value, list) else [value]
        while at < len(text) and text[at] in " \t\r\n;,":
            at += 1
    return out


class Splitter:
    """Divides a text that comes in pieces into what is surely said and what may be calls, which is held back until the end."""

    def __init__(self) -> None:
        self._held, self._calls = "", False

    def add(self, piece: str) -> str:
        """What can be given out."""
        self._held += piece
        begin = self._held.lstrip()
        if self._calls or not begin or begin[0] in "{[" or begin.startswith(_OPEN):
            self._calls = self._calls or bool(begin)
            return ""
        at = self._held.find(_OPEN)
        if at >= 0:
            self._calls = True
        else:
            keep = max((n for n in range(1, len(_OPEN)) if self._held.endswith(_OPEN[:n])), default=0)
            at = len(self._held) - keep
        out, self._held = self._held[:at], self._held[at:]
        return out

    def rest(self) -> str:
        """What is held back, at the end."""
        return self._held
