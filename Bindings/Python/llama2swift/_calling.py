"""Functions that a model may call: told in words, made into a schema, found in a text. JSON shapes are OpenAI's."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_TOLD = """You can call these functions, given as JSON with their parameters:
{tools}
To call one, answer with nothing but a JSON object {{"name": NAME, "arguments": {{...}}}}."""


def said(content: Any) -> Any:
    """A content as one text: of parts what they say together."""
    return "".join(part["text"] for part in content) if isinstance(content, list) else content


def in_words(talk: list[dict[str, Any]], tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same conversation for a template that knows nothing of tools: they are told in the system's message, calls and their
    results are texts."""
    out: list[dict[str, Any]] = []
    names: dict[Any, str] = {}
    for message in talk:
        message = {**message, "content": said(message["content"])} if "content" in message else message
        one = {k: v for k, v in message.items() if k not in ("tool_calls", "tool_call_id")}
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
    return with_told(out, _TOLD.format(tools="\n".join(json.dumps(t["function"], ensure_ascii=False) for t in tools))) if tools else out


def with_told(talk: list[dict[str, Any]], told: str) -> list[dict[str, Any]]:
    """The same conversation with a text at the end of the system's message, or as one."""
    if talk and talk[0]["role"] == "system":
        return [{**talk[0], "content": f"{said(talk[0]['content'])}\n\n{told}"}, *talk[1:]]
    return [{"role": "system", "content": told}, *talk]


def or_called(schema: Any, call: Any) -> Any:
    """The schema of a text that is of one of both."""
    return {"anyOf": [_moved(schema, "#/anyOf/0"), _moved(call, "#/anyOf/1")]}


def arguments_of(parameters: Any) -> Any:
    """The schema of a function's arguments, which are an object whatever it says; None: it takes nothing. Raises ValueError where they cannot be one."""
    if parameters is None:
        return {"type": "object", "properties": {}}
    if parameters is True:
        return {"type": "object"}
    kind = parameters.get("type", ["object"]) if isinstance(parameters, dict) else None
    if kind == "object":
        return parameters
    if not isinstance(kind, list) or "object" not in kind:
        raise ValueError(f"arguments are an object, which {json.dumps(parameters) if kind is None else f'the type {json.dumps(kind)}'} is none of")
    return {**parameters, "type": "object"}


def one_of(functions: list[tuple[str, Any]]) -> Any:
    """The schema of a call of one of them: (name, schema of its arguments)."""
    ways = []
    for index, (name, parameters) in enumerate(functions):
        inner = _moved(parameters, f"#/anyOf/{index}/properties/arguments")
        properties = {"name": {"const": name}, "arguments": inner}
        ways.append({"type": "object", "properties": properties, "required": ["name", "arguments"], "additionalProperties": False})
    return {"anyOf": ways}


def made(name: str, arguments: str) -> dict[str, Any]:
    """A call in OpenAI's shape."""
    return {"id": "call_" + uuid.uuid4().hex[:24], "type": "function", "function": {"name": name, "arguments": arguments}}


def _moved(schema: Any, place: str) -> Any:
    """A schema that now stands at `place` of a larger one: what it refers to moved along."""
    if isinstance(schema, list):
        return [_moved(one, place) for one in schema]
    if not isinstance(schema, dict) or isinstance(schema.get("$id"), str):  # with a name of its own it is a document of its own
        return schema
    out = {k: _moved(v, place) for k, v in schema.items()}
    ref = schema.get("$ref")
    if isinstance(ref, str) and (ref == "#" or ref.startswith("#/")):  # an anchor is found wherever it stands
        out["$ref"] = place + ref[1:]
    return out


def values(text: str) -> list[Any] | None:
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
