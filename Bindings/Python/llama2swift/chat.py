"""Chat templates that the library does not know, rendered with jinja2 (an optional extra)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from .errors import UnknownTemplateError
from .vocabulary import Vocabulary


def render(model: Vocabulary, messages: Sequence[Mapping[str, str]], add_generation_prompt: bool, unknown: Exception) -> str:
    """The conversation as text, in the file's own template."""
    template = model.chat_template
    if template is None:
        raise unknown
    try:
        from jinja2.exceptions import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError:
        raise UnknownTemplateError(f"{unknown}; with jinja2 installed it would be rendered") from None

    def refuse(message: str) -> NoReturn:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = refuse
    special = model.special_tokens

    def name(token: int | None) -> str:
        return "" if token is None else model.detokenize([token], special=True)

    try:
        return environment.from_string(template).render(
            messages=[dict(m) for m in messages], add_generation_prompt=add_generation_prompt,
            bos_token=name(special.bos), eos_token=name(special.eos),
        )  # fmt: skip
    except TemplateError as problem:
        raise UnknownTemplateError(f"the chat template refused the conversation: {problem}") from problem
