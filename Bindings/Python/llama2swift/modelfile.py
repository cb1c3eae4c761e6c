"""An opened model file: what it says of itself."""

from __future__ import annotations

import ctypes as C
import os
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from . import _arguments as A
from . import _constants as K
from . import _library as lib
from . import _structs as S
from ._calls import Calls, run
from ._closing import Handle
from .errors import NotFoundError
from .results import Hyperparameters, Tensor
from .vocabulary import Vocabulary

Self = TypeVar("Self", bound="ModelFile")


class ModelFile(Handle, Vocabulary):
    """What `Model` is without contexts: a loaded file, its facts, text to tokens and back. When it is closed, contexts made from it keep what they need."""

    def __init__(self, path: A.Path, *, copy: bool = False, context_length: int = 0, first_layer: int = 0, layer_count: int = 0, interleave: bool = False):
        """path: a file or folder; copy: read it into memory of its own; context_length: positions it was trained on; first_layer,
        layer_count: a piece of it; interleave: copied, over all memory nodes; see `Model`."""
        raw = A.path("path", path)
        options = _model_options(copy, context_length, first_layer, layer_count, interleave)
        piece = int(options.first_layer), int(options.layer_count)
        self._pickled: tuple[str, bool, int, int, int, bool] | None = (os.path.abspath(os.fsdecode(raw)), bool(copy), options.context_length, *piece, bool(interleave))
        self._load((raw,), "model_load", raw, options=options)

    def _load(self, paths: tuple[bytes, ...], function: str, *arguments: Any, options: S.ModelOptions) -> None:
        def load() -> int | None:
            handle = C.c_void_p()
            if paths:
                lib.call_naming(paths, function, *arguments, C.byref(options), C.byref(handle), None, 0)
            else:
                lib.call(function, *arguments, C.byref(options), C.byref(handle), None, 0)
            return handle.value

        # a disk may be slow: Ctrl-C does not wait for it
        self._hold("model", run(Calls(), load, late=lambda handle: lib.free("model", handle)))

    @classmethod
    def from_bytes(cls: type[Self], data: bytes | bytearray | memoryview, *, interleave: bool = False) -> Self:
        """A model from the bytes of one complete file, which are copied; interleave: see `Model`."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise A.refuse("data", data, "bytes")
        raw = bytes(data)
        return cls._loaded("model_load_memory", raw, len(raw), _model_options(True, interleave=interleave))

    @classmethod
    def from_descriptor(cls: type[Self], descriptor: int, *, copy: bool = False, interleave: bool = False) -> Self:
        """A model from a file that is open for reading; the descriptor stays the caller's."""
        return cls._loaded("model_load_fd", A.signed("descriptor", descriptor), _model_options(copy, interleave=interleave))

    @classmethod
    def _loaded(cls: type[Self], function: str, *arguments: Any) -> Self:
        *first, options = arguments
        model = cls.__new__(cls)
        model._pickled = None
        model._load((), function, *first, options=options)
        return model

    # Facts

    @property
    def hyperparameters(self) -> Hyperparameters:
        """The shape of the model."""
        values = S.sized(S.Hyperparameters)
        lib.call("model_hyperparameters", self._handle, C.byref(values))
        return Hyperparameters(**{f.name: getattr(values, f.name) for f in fields(Hyperparameters)})

    @property
    def description(self) -> str:
        """A line for people: "llama 134.5M, Q4_1, 30 layers, GGUF v3"."""
        return lib.call_text("model_description", self._handle).decode()

    @property
    def metadata(self) -> Mapping[str, str]:
        """The file's metadata as text, read on demand; arrays by length and first elements. What a file says may hold control
        characters: `printable` makes a line for a terminal of it."""
        return _Metadata(self)

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors, in the file's order."""
        count, out = C.c_size_t(), []
        lib.call("model_tensor_count", self._handle, C.byref(count))
        for index in range(count.value):
            info = S.sized(S.TensorInfo)
            name = lib.call_text("model_tensor", self._handle, index, C.byref(info)).decode("utf-8", "replace")
            out.append(Tensor(name, lib._cdll.llama2_type_name(info.type).decode(), info.rows, info.columns, info.bytes))
        return out

    def __reduce__(self) -> tuple[Any, ...]:
        if not self._finalizer.alive:
            raise TypeError("this Model was closed: it cannot be pickled or copied")
        if self._pickled is None:
            raise TypeError("a Model that was not loaded from a path cannot be pickled or copied: there is nothing to load it from")
        return _load_again, (type(self), *self._pickled)

    def __repr__(self) -> str:
        return f"<llama2swift.Model {self.description}>" if self._finalizer.alive else "<llama2swift.Model, closed>"


def _load_again(kind: type[ModelFile], path: str, copy: bool, context_length: int = 0, first: int = 0, count: int = 0, interleave: bool = False) -> ModelFile:
    return kind(path, copy=copy, context_length=context_length, first_layer=first, layer_count=count, interleave=interleave)


def _model_options(copy: object, context_length: object = 0, first_layer: object = 0, layer_count: object = 0, interleave: object = False) -> S.ModelOptions:
    options = S.sized(S.ModelOptions)
    options.context_length = A.unsigned("context_length", context_length, 32)
    options.first_layer, options.layer_count = A.unsigned("first_layer", first_layer, 32), A.unsigned("layer_count", layer_count, 32)
    options.flags = (K.MODEL_COPY if A.flag("copy", copy) else 0) | (K.MODEL_INTERLEAVE if A.flag("interleave", interleave) else 0)
    return options


class _Metadata(Mapping[str, str]):
    def __init__(self, model: ModelFile):
        self._model = model

    def __getitem__(self, key: str) -> str:
        if not isinstance(key, str):
            raise KeyError(key)
        try:
            raw = key.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise KeyError(key) from None
        try:
            value = lib.call_text("model_metadata", self._model._handle, raw, len(raw))
        except NotFoundError:
            raise KeyError(key) from None
        return value.decode("utf-8", "replace")

    def __len__(self) -> int:
        count = C.c_size_t()
        lib.call("model_metadata_count", self._model._handle, C.byref(count))
        return count.value

    def __iter__(self) -> Iterator[str]:
        return (lib.call_text("model_metadata_key", self._model._handle, i).decode("utf-8", "surrogateescape") for i in range(len(self)))


def printable(text: str) -> str:
    """One line that does nothing to a terminal: control characters, the beginnings of escape sequences among them, what turns the
    direction of writing and what is no character become U+FFFD; line breaks, tabs and all other white space a space."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in A.string("text", text))
