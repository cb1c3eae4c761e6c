"""Models: loading, facts, text to tokens and back."""

from __future__ import annotations

import ctypes as C
import os
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

from . import _library as lib
from . import _structs as S
from .errors import NotFoundError, UnknownTemplateError

_BOS, _SPECIAL, _DEFAULT_BOS = 1, 2, 4
_KERNELS = {"best": 0, "reference": 1, "avx2": 2, "avx512": 3}


@dataclass(frozen=True)
class Hyperparameters:
    """The shape of the model, in GGUF's words. Sizes in elements, `file_bytes` in bytes."""

    vocabulary_size: int
    embedding_length: int
    block_count: int
    feed_forward_length: int
    head_count: int
    head_count_kv: int
    head_dimension: int
    rope_dimension: int
    context_length: int
    rms_epsilon: float
    rope_scale: float
    rope_base: float
    parameter_count: int
    file_bytes: int


@dataclass(frozen=True)
class Tensor:
    """A tensor of the file, under GGUF's name; `rows` is 1 for a vector."""

    name: str
    type: str
    rows: int
    columns: int
    bytes: int


@dataclass(frozen=True)
class SpecialTokens:
    """Ids, None for those that the vocabulary does not have."""

    bos: int | None
    eos: int | None
    eot: int | None
    unknown: int | None
    adds_bos: bool


@dataclass(frozen=True)
class Memory:
    """Bytes that a model and a context take. The KV cache is touched as positions are used."""

    model_bytes: int
    kv_bytes: int
    work_bytes: int
    logits_bytes: int

    @property
    def total(self) -> int:
        return self.model_bytes + self.kv_bytes + self.work_bytes + self.logits_bytes


class Model:
    """A model file, mapped; shared by any number of contexts and threads.

    path: a GGUF file (of several, the first), a folder of Hugging Face's or Meta's, or a llama2.c checkpoint. copy: read it into memory of its own, for
    files that somebody else may truncate meanwhile. Raises InputOutputError, FormatError, CorruptFileError,
    UnsupportedError, OutOfMemoryError.
    """

    def __init__(self, path: str | os.PathLike[str], *, copy: bool = False):
        options = S.sized(S.ModelOptions)
        options.flags = 1 if copy else 0
        handle = C.c_void_p()
        lib.call("model_load", os.fsencode(path), C.byref(options), C.byref(handle), None, 0)
        self._keep(handle)

    def _keep(self, handle: C.c_void_p) -> None:
        self._handle = handle.value
        self._finalizer = weakref.finalize(self, lib.free, "model", self._handle)

    @classmethod
    def from_bytes(cls, data: bytes) -> Model:
        """A model from the bytes of one complete file, which are copied."""
        options = S.sized(S.ModelOptions)
        options.flags = 1
        return cls._loaded("model_load_memory", data, len(data), options)

    @classmethod
    def from_descriptor(cls, descriptor: int, *, copy: bool = False) -> Model:
        """A model from a file that is open for reading; the descriptor stays the caller's."""
        options = S.sized(S.ModelOptions)
        options.flags = 1 if copy else 0
        return cls._loaded("model_load_fd", descriptor, options)

    @classmethod
    def _loaded(cls, function: str, *arguments) -> Model:
        *first, options = arguments
        handle, model = C.c_void_p(), cls.__new__(cls)
        lib.call(function, *first, C.byref(options), C.byref(handle), None, 0)
        model._keep(handle)
        return model

    # Facts

    @property
    def hyperparameters(self) -> Hyperparameters:
        values = S.sized(S.Hyperparameters)
        lib.call("model_hyperparameters", self._handle, C.byref(values))
        return Hyperparameters(**{f.name: getattr(values, f.name) for f in fields(Hyperparameters)})

    @property
    def description(self) -> str:
        return lib.call_text("model_description", self._handle).decode()

    @property
    def metadata(self) -> Mapping[str, str]:
        """The file's metadata as text, read on demand; arrays by length and first elements."""
        return _Metadata(self)

    @property
    def tensors(self) -> list[Tensor]:
        count, out = C.c_size_t(), []
        lib.call("model_tensor_count", self._handle, C.byref(count))
        for index in range(count.value):
            info = S.sized(S.TensorInfo)
            name = lib.call_text("model_tensor", self._handle, index, C.byref(info)).decode("utf-8", "replace")
            out.append(Tensor(name, lib._cdll.llama2_type_name(info.type).decode(), info.rows, info.columns, info.bytes))
        return out

    @property
    def special_tokens(self) -> SpecialTokens:
        values = S.sized(S.SpecialTokens)
        lib.call("model_special_tokens", self._handle, C.byref(values))
        ids = (None if v < 0 else v for v in (values.bos, values.eos, values.eot, values.unknown))
        return SpecialTokens(*ids, bool(values.adds_bos))

    @property
    def chat_format(self) -> str:
        """"llama2", "chatml", or "" if the chat template is unknown."""
        return lib.call_text("chat_format", self._handle).decode()

    # Tokens

    def tokenize(self, text: str | bytes, bos: bool = False, special: bool = False) -> list[int]:
        """The tokens of `text`. bos: begin with BOS. special: names of control tokens in the text become these
        tokens, for trusted text only."""
        return self._tokenize(text, (_BOS if bos else 0) | (_SPECIAL if special else 0))

    def tokenize_prompt(self, text: str | bytes) -> list[int]:
        """The tokens of a text that begins a sequence: with BOS if the model expects it."""
        return self._tokenize(text, _DEFAULT_BOS)

    def _tokenize(self, text: str | bytes, flags: int) -> list[int]:
        raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else bytes(text)
        return lib.call_tokens("tokenize", self._handle, raw, len(raw), flags, capacity=len(raw) + 2)

    def detokenize(self, tokens: Iterable[int], special: bool = False) -> str:
        """The text of `tokens`; bytes that are not UTF-8 become U+FFFD. special: control tokens by their names."""
        return self.detokenize_bytes(tokens, special).decode("utf-8", "replace")

    def detokenize_bytes(self, tokens: Iterable[int], special: bool = False) -> bytes:
        """The bytes of `tokens`: detokenize_bytes(tokenize(x)) is x."""
        ids = lib.token_array(tokens)
        return lib.call_text("detokenize", self._handle, ids, len(ids), int(special))

    def is_end(self, token: int) -> bool:
        """Whether generation ends with `token`."""
        value = C.c_int32()
        lib.call("token_is_end", self._handle, token, C.byref(value))
        return bool(value.value)

    def chat_tokens(self, messages: Sequence[Mapping[str, str]], *, add_generation_prompt: bool = True) -> list[int]:
        """A conversation in the model's own format.

        messages: ``[{"role": "system" | "user" | "assistant", "content": text}, ...]``. The library knows Llama 2's
        format and ChatML, in which no text can become a control token. A template that it does not know is rendered
        with jinja2 if that is installed (``pip install llama2swift[chat-templates]``): there, names of control tokens
        in the messages do become control tokens. Raises UnknownTemplateError, InvalidArgumentError.
        """
        raw = [(str(m["role"]).encode(), str(m["content"]).encode("utf-8", "surrogateescape")) for m in messages]
        array = (S.Message * max(len(raw), 1))(*(S.Message(r, len(r), c, len(c)) for r, c in raw))
        guess = sum(len(c) for _, c in raw) + 32 * len(raw) + 64
        try:
            return lib.call_tokens(
                "chat_encode", self._handle, array, len(raw), 0 if add_generation_prompt else 1, capacity=guess
            )
        except UnknownTemplateError as unknown:
            from .chat import render

            text = render(self, messages, add_generation_prompt, unknown)
            tokens, bos = self.tokenize(text, special=True), self.special_tokens.bos
            if self.special_tokens.adds_bos and bos is not None and tokens[:1] != [bos]:
                tokens.insert(0, bos)
            return tokens

    def context(self, length: int = 0, threads: int = 0, **options):
        """A new Context on this model; see there for the options."""
        from .context import Context

        return Context(self, length=length, threads=threads, **options)

    def score(self, prompt: str, continuation: str, *, context=None):
        """How probable the text `continuation` is after the text `prompt`: a `Score`. Both are tokenized as one text, as
        evaluation harnesses do, so that no word is cut at the seam; `context`: one to use, which is emptied."""
        before = self.tokenize_prompt(prompt)
        whole = self.tokenize_prompt(prompt + continuation)
        cut = min(len(before), len(whole) - 1) if continuation else len(whole)
        own = context or self.context(length=max(len(whole), 4))
        return own.score(whole[:cut], whole[cut:])

    def close(self) -> None:
        """Frees the model; contexts made from it keep what they need."""
        self._finalizer()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<llama2swift.Model {self.description}>" if self._finalizer.alive else "<llama2swift.Model, closed>"


class _Metadata(Mapping[str, str]):
    def __init__(self, model: Model):
        self._model = model

    def __getitem__(self, key: str) -> str:
        raw = key.encode()
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
        return (lib.call_text("model_metadata_key", self._model._handle, i).decode() for i in range(len(self)))


def context_options(length, threads, sequences, batch_size, kv, kernels, deterministic) -> S.ContextOptions:
    if kv not in ("f16", "f32"):
        raise ValueError(f'kv is {kv!r}, expected "f16" or "f32"')
    if kernels not in _KERNELS:
        raise ValueError(f"kernels is {kernels!r}, expected one of {', '.join(_KERNELS)}")
    o = S.sized(S.ContextOptions)
    o.flags = (1 if kv == "f32" else 0) | (2 if deterministic else 0)
    for name, value in (
        ("context_length", length), ("max_sequences", sequences), ("batch_size", batch_size), ("threads", threads)
    ):  # fmt: skip
        if not 0 <= value < 2**32:
            raise ValueError(f"{name} is {value}")
        setattr(o, name, value)
    o.kernels = _KERNELS[kernels]
    return o


def preflight(
    path: str | os.PathLike[str], length: int = 0, threads: int = 0, *, sequences: int = 1, batch_size: int = 0,
    kv: str = "f16", kernels: str = "best",
) -> Memory:  # fmt: skip
    """The bytes that a model and a context would take, before anything of it is allocated."""
    options = context_options(length, threads, sequences, batch_size, kv, kernels, False)
    memory = S.sized(S.Memory)
    lib.call("preflight", os.fsencode(path), None, C.byref(options), C.byref(memory), None, 0)
    return Memory(memory.model_bytes, memory.kv_bytes, memory.work_bytes, memory.logits_bytes)


def kernels_available() -> list[str]:
    """The kernels that this machine can run, best last."""
    mask = C.c_uint32()
    lib.call("kernels_available", C.byref(mask))
    return [name for name, k in _KERNELS.items() if k and mask.value >> k & 1]
