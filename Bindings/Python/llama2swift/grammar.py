"""Grammars: what a generated text is held to."""

from __future__ import annotations

import ctypes as C
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, Union

import numpy as np

from . import _arguments as A
from . import _constants as K
from . import _library as lib
from . import _structs as S
from ._closing import Handle


class HasVocabulary(Protocol):
    """A model, seen from here: models make grammars, so that grammars cannot import them."""

    _handle: int | None


class HasJSONSchema(Protocol):
    """A pydantic model: its class."""

    def model_json_schema(self) -> dict[str, Any]:
        """Its JSON Schema."""
        ...


class GivesJSONSchema(Protocol):
    """pydantic's TypeAdapter: of a dataclass, a TypedDict, a list of models."""

    def json_schema(self) -> dict[str, Any]:
        """Its JSON Schema."""
        ...


# A schema: text of JSON, a dict, True or False, a pydantic model (its class) or a TypeAdapter.
Schema = Union[A.Text, Mapping[str, Any], bool, HasJSONSchema, GivesJSONSchema]


class Grammar(Handle):
    """A language of texts, made ready for one vocabulary. Never changes; any number of samplers and threads share it. When it is closed,
    samplers and states that were made with it go on.

    Made by `Model.grammar`.
    """

    _not_copied = "; make one of the same text"

    def __init__(
        self, model: HasVocabulary, *, gbnf: A.Text | None = None, json_schema: Schema | None = None, regex: A.Text | None = None,
        choices: Sequence[str] | None = None, whitespace: str = "free", any_order: bool = False, ignore_unsupported: bool = False,
    ):  # fmt: skip
        if not isinstance(getattr(model, "_handle", None), int):
            raise A.refuse("model", model, "a Model")
        given = {"gbnf": gbnf, "json_schema": json_schema, "regex": regex, "choices": choices}
        kinds = [name for name, value in given.items() if value is not None]
        if len(kinds) != 1:
            raise TypeError(f"a grammar is given by one of gbnf, json_schema, regex and choices, not by {' and '.join(kinds) or 'none'}")
        if gbnf is not None:
            kind, text = K.GRAMMAR_GBNF, A.text("gbnf", gbnf)
        elif regex is not None:
            kind, text = K.GRAMMAR_REGEX, A.text("regex", regex)
        elif json_schema is not None:
            kind, text = K.GRAMMAR_JSON_SCHEMA, _schema(json_schema)
        else:
            kind, text = K.GRAMMAR_CHOICES, _choices(choices)
        if whitespace not in ("free", "compact"):
            raise ValueError(f'whitespace is {A.shown(whitespace)}, expected "free" or "compact"')
        options = S.sized(S.GrammarOptions)
        options.flags = (
            (K.GRAMMAR_COMPACT if whitespace == "compact" else 0)
            | (K.GRAMMAR_ANY_ORDER if A.flag("any_order", any_order) else 0)
            | (K.GRAMMAR_IGNORE_UNSUPPORTED if A.flag("ignore_unsupported", ignore_unsupported) else 0)
        )
        handle = C.c_void_p()
        lib.call("grammar_create", model._handle, kind, text, len(text), C.byref(options), C.byref(handle), None, 0)
        self._hold("grammar", handle.value)
        shape = S.sized(S.Hyperparameters)
        lib.call("model_hyperparameters", model._handle, C.byref(shape))
        self._size = int(shape.vocabulary_size)

    def accepts(self, text: A.Text) -> bool:
        """Whether the whole of `text` is of the language: whether it could have been generated. That is less than what a validator of a schema
        takes: members come in their order (but for ``any_order=True``), and 2.0 is no ``"type": "integer"``."""
        raw, out = A.text("text", text), C.c_int32()
        lib.call("grammar_accepts", self._handle, raw, len(raw), C.byref(out))
        return bool(out.value)

    @property
    def ignored(self) -> list[str]:
        """What ``ignore_unsupported=True`` left out of a schema: path and keyword."""
        return lib.call_text("grammar_ignored", self._handle).decode("utf-8", "replace").splitlines()

    def start(self) -> GrammarState:
        """A text at its beginning, for those who choose tokens by themselves."""
        return GrammarState(self)


class ShortestEnd(NamedTuple):
    """How a text can be brought to its end."""

    text: bytes
    tokens: int


class GrammarState(Handle):
    """A text on its way through a grammar. One thread at a time."""

    def __init__(self, grammar: Grammar):
        if not isinstance(grammar, Grammar):
            raise A.refuse("grammar", grammar, "a Grammar")
        handle = C.c_void_p()
        lib.call("grammar_start", grammar._handle, C.byref(handle), None, 0)
        self._hold("grammar_state", handle.value)
        self._size = grammar._size

    def allowed(self, *, within: int | None = None) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """(vocabulary,) of bool: the tokens that may come. within: only those behind which the text can still be complete with so many tokens, this one
        and the end token among them; where so few do not suffice, those that bring the end nearest. Raises ForbiddenError when an end token was
        taken."""
        words = np.zeros((self._size + 31) // 32, dtype="<u4")
        needed = C.c_size_t()
        pointer = words.ctypes.data_as(C.POINTER(C.c_uint32))
        if within is None:
            lib.call("grammar_state_allowed", self._handle, pointer, len(words), C.byref(needed))
        else:
            lib.call("grammar_state_allowed_within", self._handle, A.unsigned("within", within), pointer, len(words), C.byref(needed))
        return np.unpackbits(words.view(np.uint8), bitorder="little")[: self._size].astype(np.bool_)

    def accept(self, token: int) -> None:
        """Takes a token. Raises ForbiddenError, and nothing has changed, for one that may not come; InvalidTokenError."""
        lib.call("grammar_state_accept", self._handle, A.token("token", token))

    def withdraw(self, count: int = 1) -> None:
        """Gives back the last `count` tokens. Raises OutOfRangeError when so many were not taken."""
        lib.call("grammar_state_withdraw", self._handle, A.unsigned("count", count))

    def reset(self) -> None:
        """Back to the beginning."""
        lib.call("grammar_state_reset", self._handle)

    @property
    def complete(self) -> bool:
        """Whether the text may end here."""
        out = C.c_int32()
        lib.call("grammar_state_complete", self._handle, C.byref(out))
        return bool(out.value)

    def shortest(self) -> ShortestEnd:
        """The shortest text that completes what was taken so far, and how many tokens are enough to write it, the end token not counted."""
        tokens = C.c_uint64()
        return ShortestEnd(lib.call_text("grammar_state_shortest", self._handle, C.byref(tokens)), int(tokens.value))

    def forced(self) -> bytes:
        """The bytes that must come next, as far as there is only one way to go on."""
        return lib.call_text("grammar_state_forced", self._handle)


def _schema(schema: Schema) -> bytes:
    if isinstance(schema, (str, bytes, bytearray, memoryview)):
        return A.text("json_schema", schema)
    value: object = schema
    for name in ("model_json_schema", "json_schema"):  # of pydantic's models and of its TypeAdapter
        made = getattr(schema, name, None)
        if not isinstance(schema, (Mapping, bool)) and callable(made):
            value = made()
            break
    if not isinstance(value, (Mapping, bool)):
        raise A.refuse("json_schema", schema, "JSON as text, a dict, a bool, a pydantic model or a TypeAdapter")
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value).encode()


def _choices(choices: Sequence[str] | None) -> bytes:
    if isinstance(choices, (str, bytes)) or not isinstance(choices, Sequence):
        raise A.refuse("choices", choices, "a list of str")
    for choice in choices:
        if not isinstance(choice, str):
            raise A.refuse("a choice", choice, "str")
    return json.dumps(list(choices), ensure_ascii=False).encode()
