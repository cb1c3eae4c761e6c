"""Conversations on their way to the library: checked, and as JSON."""

from __future__ import annotations

import calendar
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Union

from . import _arguments as A
from . import _constants as K
from . import _structs as S
from ._calling import said
from .errors import UnknownTemplateError

Message = Mapping[str, Any]
Messages = Sequence[Message]
Objects = Union[Sequence[Mapping[str, Any]], None]


class Conversation:
    """What `llama2_chat_options` points to, held as long as it is used."""

    def __init__(
        self, messages: Messages, tools: Objects, documents: Objects, template: str | None, opens: object, continues: object,
        variables: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self.messages = [_message(f"messages[{i}]", m) for i, m in enumerate(_list("messages", messages, "messages"))]
        # BOS is not asked for twice, an answer not begun in a message that goes on
        self.flags = 0 if A.flag("add_generation_prompt", opens) else K.CHAT_NO_PROMPT
        if A.flag("continue_final_message", continues):
            self.flags = K.CHAT_CONTINUE | K.CHAT_NO_PROMPT
        self._extra = {"tools": _objects("tools", tools), "documents": _objects("documents", documents), "variables": dict(variables) or None}
        self._template = None if template is None else A.text("chat_template", A.string("chat_template", template))
        if self._template == b"":
            raise ValueError("chat_template is empty")
        if self._template is not None and b"/" in self._template and not any(mark in self._template for mark in (b"{", b"<")):
            # it would be written out in place of all that is said
            raise UnknownTemplateError(f"chat_template is {A.shown(template)}, which is no template: a path that leads nowhere, or a text that says nothing of a conversation")

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing but roles and texts."""
        plain = all(m.keys() == {"role", "content"} and m["content"] is not None for m in self.messages)
        return plain and self._template is None and not any(self._extra.values())

    def options(self) -> Any:
        """The struct. Raises UnicodeEncodeError for texts that are not Unicode, which JSON cannot say."""
        options = S.sized(S.ChatOptions)
        options.flags = self.flags
        options.time = calendar.timegm(time.localtime())
        texts = {"messages": _json("messages", self.messages)}
        texts |= {name: _json(name, value) for name, value in self._extra.items() if value is not None}
        for name, raw in texts.items():
            setattr(options, name, raw)
            setattr(options, f"{name}_length", len(raw))
        if self._template is not None:
            options.template_text = self._template
            options.template_length = len(self._template)
        return options

    @property
    def size(self) -> int:
        """About how many bytes of text there are."""
        return sum(len(said(m["content"]) or "") + 32 for m in self.messages) + 64


def _json(name: str, value: object) -> bytes:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, RecursionError) as problem:
        raise TypeError(f"{name}: {problem}") from None
    except UnicodeEncodeError:
        raise
    except ValueError as problem:
        raise ValueError(f"{name}: {problem}") from None
    return text.encode()


def _list(name: str, value: Any, what: str) -> list[Any]:
    if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__iter__"):
        raise A.refuse(name, value, f"a list of {what}")
    return list(value)


def _objects(name: str, value: Any) -> list[dict[str, Any]] | None:
    if value is None:
        return None
    out = []
    for i, item in enumerate(_list(name, value, "dicts")):
        if not isinstance(item, Mapping):
            raise A.refuse(f"{name}[{i}]", item, "a dict")
        out.append(dict(item))
    return out


def _message(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise A.refuse(name, value, 'a dict with "role" and "content"')
    message = dict(value)
    calls = message.get("tool_calls") is not None
    missing = [key for key in ("role", "content") if key not in message and not (calls and key == "content")]
    if missing:
        raise ValueError(f'{name} has no "{missing[0]}"')
    A.string(f'{name}["role"]', message["role"])
    content = message.setdefault("content", None)
    if isinstance(content, (list, tuple)):
        message["content"] = [_part(f'{name}["content"][{i}]', part) for i, part in enumerate(content)]
    elif not (content is None and calls):
        A.string(f'{name}["content"]', content)
    return message


def _part(name: str, part: object) -> dict[str, Any]:
    if not isinstance(part, Mapping) or part.get("type") != "text":
        raise A.refuse(name, part, 'a part of type "text": {"type": "text", "text": ...}')
    A.string(f'{name}["text"]', part.get("text"))
    return dict(part)
