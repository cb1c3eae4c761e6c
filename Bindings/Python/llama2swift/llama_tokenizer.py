"""What programs for llama-cpp-python import from `llama_cpp.llama_tokenizer`; its tokenizer of transformers is none of this: a model has its own.

    tokenizer = llm.tokenizer()
    tokenizer.decode(tokenizer.encode("Once upon a time"))
"""

from __future__ import annotations

from typing import Protocol

from . import _arguments as A


class _HasTokens(Protocol):
    """A `Llama`, which makes these."""

    def tokenize(self, text: bytes, add_bos: bool = ..., special: bool = ...) -> list[int]: ...

    def detokenize(self, tokens: list[int], prev_tokens: list[int] | None = ..., special: bool = ...) -> bytes: ...


__all__ = ["LlamaTokenizer"]


class LlamaTokenizer:
    """A model's vocabulary; names of control tokens in a text are these, unlike in `Llama.tokenize`."""

    def __init__(self, llama: _HasTokens):
        self._llama = llama

    def tokenize(self, text: bytes, add_bos: bool = True, special: bool = True) -> list[int]:
        """See `Llama.tokenize`."""
        return self._llama.tokenize(text, add_bos=add_bos, special=special)

    def detokenize(self, tokens: list[int], prev_tokens: list[int] | None = None, special: bool = False) -> bytes:
        """See `Llama.detokenize`."""
        return self._llama.detokenize(tokens, prev_tokens=prev_tokens, special=special)

    def encode(self, text: str, add_bos: bool = True, special: bool = True) -> list[int]:
        """The tokens of a text."""
        return self.tokenize(A.text("text", text), add_bos=add_bos, special=special)

    def decode(self, tokens: list[int]) -> str:
        """The text of tokens; what is no whole character at its ends is left out."""
        return self.detokenize(tokens).decode("utf-8", "ignore")
