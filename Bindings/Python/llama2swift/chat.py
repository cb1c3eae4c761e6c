"""Chat templates that the library does not know, rendered with jinja2 (an optional extra)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from .errors import UnknownTemplateError


def render(
    template: str | None, messages: Sequence[Mapping[str, str]], add_generation_prompt: bool, bos: str, eos: str, unknown: Exception
) -> str:
    """The conversation as text, in the file's own template; bos, eos: the names of these tokens."""
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
    try:
        return environment.from_string(template).render(
            messages=[dict(m) for m in messages], add_generation_prompt=add_generation_prompt,
            bos_token=bos, eos_token=eos,
        )  # fmt: skip
    except TemplateError as problem:
        raise UnknownTemplateError(f"the chat template refused the conversation: {problem}") from problem
