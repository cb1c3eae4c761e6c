"""From a request to tokens."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from . import tools
from .bodies import PromptString
from .conversation import ApplyTemplate, Chat, ChatMessage
from .engine import Engine
from .errors import ApiError, refused


def _variables(body: Chat | ApplyTemplate) -> dict[str, Any]:
    if body.add_generation_prompt and body.continue_final_message:
        raise ApiError(400, "add_generation_prompt and continue_final_message exclude each other", param="continue_final_message")
    own = dict(body.chat_template_kwargs or {})
    reserved = {"messages", "tools", "documents", "add_generation_prompt", "continue_final_message", "chat_template"} & set(own)
    if reserved:
        raise ApiError(400, f"chat_template_kwargs: {min(reserved)} has a field of its own", param="chat_template_kwargs")
    own["continue_final_message"] = bool(body.continue_final_message)
    own["add_generation_prompt"] = body.add_generation_prompt is not False and not body.continue_final_message
    return own


_ASKED = [{"role": "user", "content": "x"}]
_TOOL = {"type": "function", "function": {"name": "probe", "description": "", "parameters": {"type": "object", "properties": {}}}}


def knows_tools(engine: Engine, template: str | None) -> bool:
    """Whether a template writes the tools it is given."""
    return _writes(engine, "tools", _ASKED, tools=[_TOOL], chat_template=template)


def knows_reasoning(engine: Engine, template: str | None) -> bool:
    """Whether a template writes what an answer was thought out by, of the last one at least."""
    talk = [*_ASKED, {"role": "assistant", "content": "y", "reasoning_content": "probe"}]
    return _writes(engine, "reasoning_content", talk, chat_template=template, add_generation_prompt=False)


def _writes(engine: Engine, name: str, talk: list[dict[str, Any]], **more: Any) -> bool:
    """Whether a template writes what is called probe."""
    if name not in engine.knows:
        try:
            engine.knows[name] = "probe" in engine.model.chat_text(talk, **more)
        except MemoryError:
            raise  # which says nothing of the template
        except (RuntimeError, ValueError):
            engine.knows[name] = False
    return engine.knows[name]


def _check_variables(engine: Engine, given: dict[str, Any]) -> None:
    """Raises ApiError for variables that no template which may be meant speaks of."""
    chosen, known = engine.settings.chat_template, engine.model.chat_templates
    text = "\n".join(known.values()) if chosen is None else known.get(chosen, chosen)
    for name in given:
        if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text):
            raise refused(f"chat_template_kwargs.{name}", "the model's template knows no such variable")


def talk(engine: Engine, body: Chat | ApplyTemplate, given: list[Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The messages, and what else the template is called with."""
    template = engine.settings.chat_template
    messages, more = tools.messages(body.messages), _variables(body)
    _check_variables(engine, body.chat_template_kwargs or {})
    more["chat_template"] = template
    for index, message in enumerate(messages):
        if "reasoning_content" in message and not knows_reasoning(engine, template):
            raise refused(f"messages[{index}].reasoning_content", "the model's template tells no reasoning")
    uses = any(m.get("tool_calls") or m["role"] == "tool" for m in messages)
    if given or uses:
        if knows_tools(engine, template):
            more["tools"] = tools.plain(given) if given else None
        else:
            messages = tools.in_words(messages, tools.plain(given))
    wanted = body.response_format.json_schema if isinstance(body, Chat) and body.response_format else None
    if wanted is not None and wanted.description:
        messages = tools.with_told(messages, f"The answer is JSON{' called ' + wanted.name if wanted.name else ''}: {wanted.description}")
    return messages, more


async def chat(engine: Engine, body: Chat, caller: tools.Caller) -> list[int]:
    """The tokens of a conversation."""
    size = sum(len(str(m.content)) for m in body.messages)
    if size > 64 * engine.length + 65536:
        raise ApiError(
            400, f"the conversation has {size} characters, which exceeds the available context size of {engine.length} tokens",
            kind="exceed_context_size_error", code="context_length_exceeded", n_prompt_tokens=size, n_ctx=engine.length,
        )  # fmt: skip
    messages, more = talk(engine, body, caller.tools)

    def tokens() -> list[int]:
        check_names(engine, body.messages, messages, more)
        return engine.model.chat_tokens(messages, **more)

    return await asyncio.to_thread(tokens)


def check_names(engine: Engine, given: list[ChatMessage], messages: list[dict[str, Any]], more: dict[str, Any]) -> None:
    """Raises ApiError where the template says the same without the names of who speaks: few templates know any. given: what the messages were."""
    first: dict[str, int] = {}
    for index, one in enumerate(given):
        if one.name is not None and one.role != "tool":
            first.setdefault("system" if one.role == "developer" else one.role, index)
    whole = engine.model.chat_text(messages, **more) if first else ""
    for role, index in first.items():
        without = [{k: v for k, v in m.items() if k != "name" or m["role"] != role} for m in messages]
        if engine.model.chat_text(without, **more) == whole:
            raise refused(f"messages[{index}].name", f"the model's template tells no names of the role {role}")


def count(prompt: Any) -> int:
    """How many prompts there are. Raises ApiError when there are none, or too many."""
    if not isinstance(prompt, list) or any(isinstance(one, int) for one in prompt):
        return 1
    if not prompt:
        raise ApiError(400, "prompt: the list is empty", param="prompt")
    if len(prompt) > 128:
        raise ApiError(400, f"prompt: there are {len(prompt)}, at most 128 are possible", param="prompt")
    return len(prompt)


async def several(engine: Engine, prompt: Any) -> list[list[int]]:
    """The prompts of a completion: a text, texts, tokens, lists of tokens; of llama-server's also texts and tokens mixed."""
    if isinstance(prompt, PromptString):
        prompt = prompt.prompt_string
    if isinstance(prompt, list):
        prompt = [one.prompt_string if isinstance(one, PromptString) else one for one in prompt]
    if isinstance(prompt, str):
        return [await asyncio.to_thread(engine.prompt_tokens, prompt)]
    count(prompt)
    if all(isinstance(one, int) for one in prompt):
        return [engine.check_tokens(prompt)]
    if any(isinstance(one, int) for one in prompt):  # texts among tokens: one prompt
        out: list[int] = []
        for index, one in enumerate(prompt):
            out += engine.check_tokens([one]) if isinstance(one, int) else engine.prompt_tokens(one, bos=engine.special.adds_bos and index == 0)
        return [out]
    return [engine.check_tokens(one) if isinstance(one, list) else await asyncio.to_thread(engine.prompt_tokens, one) for one in prompt]
