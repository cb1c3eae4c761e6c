"""What programs for llama-cpp-python import from `llama_cpp.llama_grammar`.

    from llama2swift import Llama, LlamaGrammar
    grammar = LlamaGrammar.from_string('root ::= "yes" | "no"')
    print(Llama(model_path="model.gguf")("Is water wet? ", grammar=grammar))
"""

from __future__ import annotations

import json
import os
from typing import Any

from . import _arguments as A
from .grammar import Grammar
from .model import Model

__all__ = ["LlamaGrammar"]


class LlamaGrammar:
    """A grammar before it is known for which model: a text in GBNF, or a JSON Schema. `Model.grammar` has more of both."""

    def __init__(self, *, _grammar: str):
        self._source: dict[str, Any] = {"gbnf": A.text("_grammar", _grammar)}
        self._made: tuple[Model, Grammar] | None = None

    @classmethod
    def from_string(cls, grammar: str, verbose: bool = True) -> LlamaGrammar:
        """Of a text in GBNF."""
        return cls(_grammar=grammar)

    @classmethod
    def from_file(cls, file: A.Path, verbose: bool = True) -> LlamaGrammar:
        """Of a file in GBNF. Raises OSError, UnicodeDecodeError."""
        with open(os.fspath(file), encoding="utf-8-sig") as opened:
            return cls(_grammar=opened.read())

    @classmethod
    def from_json_schema(cls, json_schema: str, verbose: bool = True) -> LlamaGrammar:
        """Of a JSON Schema as a text. Raises ValueError for one that is no JSON."""
        made = cls(_grammar="")
        made._source = {"json_schema": json.loads(A.text("json_schema", json_schema))}
        return made

    def of(self, model: Model) -> Grammar:
        """It for a model; raises what `Model.grammar` does."""
        if self._made is None or self._made[0] is not model:
            self._made = model, model.grammar(**self._source)
        return self._made[1]
