"""Contexts: sequences of tokens, their logits, and text as it is generated."""

from __future__ import annotations

import ctypes as C
import os
import queue
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from . import _library as lib
from . import _structs as S
from .errors import Llama2Error
from .model import _KERNELS, Model, context_options
from .sampler import Sampler

_END = {1: "end", 2: "max_tokens", 3: "stop", 4: "closed", 5: "context_full"}


@dataclass(frozen=True)
class ContextInfo:
    context_length: int
    max_sequences: int
    batch_size: int
    threads: int
    kernels: str
    kv: str
    memory_bytes: int
    pages: int  # of 64 positions: in all, that a sequence has, that several have, kept for `adopt`
    pages_used: int
    pages_shared: int
    pages_cached: int
    positions: int  # in use, of context_length; shared ones count once


@dataclass(frozen=True)
class Timings:
    """Since creation or the last reset. Prefill: evals of more than one token; decode: of one."""

    prefill_tokens: int
    prefill_seconds: float
    decode_tokens: int
    decode_seconds: float


@dataclass(frozen=True)
class Perplexity:
    """How well a model predicts a text. mean and standard_error: of a token's negative log-probability, in nats."""

    value: float
    mean: float
    standard_error: float
    tokens: int
    windows: int


def _perplexity(raw: S.PerplexityResult) -> Perplexity:
    return Perplexity(raw.perplexity, raw.mean, raw.standard_error, raw.tokens, raw.windows)


@dataclass(frozen=True)
class Score:
    """Of a continuation, token by token: natural logarithms of probabilities, and whether it was the most probable one."""

    log_probabilities: np.ndarray
    is_best: np.ndarray

    @property
    def total(self) -> float:
        return float(self.log_probabilities.sum(dtype=np.float64))


class Context:
    """A KV cache, logits and threads on a model. For one thread at a time (BusyError otherwise).

    length: positions of all sequences together, 0 for the model's (at most 4096). threads: 0 for the CPUs that this
    process may run on. sequences: how many there can be. batch_size: tokens of one pass. kv: "f16" or "f32". kernels:
    "best", "reference", "avx2" or "avx512".
    """

    def __init__(
        self, model: Model, *, length: int = 0, threads: int = 0, sequences: int = 1, batch_size: int = 0,
        kv: str = "f16", kernels: str = "best", deterministic: bool = False,
    ):  # fmt: skip
        options = context_options(length, threads, sequences, batch_size, kv, kernels, deterministic)
        handle = C.c_void_p()
        lib.call("context_create", model._handle, C.byref(options), C.byref(handle), None, 0)
        self._handle = handle.value
        self._finalizer = weakref.finalize(self, lib.free, "context", self._handle)
        self.model = model
        self._exports: weakref.WeakSet[_LogitsMemory] = weakref.WeakSet()
        self._cancel: object = None

    # Evaluation

    def eval(self, tokens: Iterable[int], *, all_logits: bool = False) -> None:
        """Appends `tokens` to sequence 0; logits of the last one, or of all.

        All or nothing: after an error cache, positions and logits are as before. Raises ContextFullError,
        InvalidTokenError, CancelledError, BusyError, BufferError (an array of `logits()` is still alive).
        """
        self._check_exports()
        if all_logits:
            return self.eval_batch([(t, 0, True) for t in tokens])
        ids = lib.token_array(tokens)
        lib.call("eval", self._handle, ids, len(ids))

    def eval_batch(self, entries: Iterable[tuple[int, int, bool]]) -> None:
        """Appends (token, sequence, wants_logits) each to its sequence. Rows of `logits(row)` are the entries that asked,
        in their order. Errors as `eval`, and OutOfRangeError for a sequence that is not there."""
        self._check_exports()
        rows = list(entries)
        array = (S.BatchEntry * max(len(rows), 1))(*(S.BatchEntry(t, s, 1 if w else 0) for t, s, w in rows))
        lib.call("eval_batch", self._handle, array, len(rows))

    def perplexity(
        self, tokens: Iterable[int], *, window: int = 0, progress: Callable[[Perplexity, int], bool | None] | None = None
    ) -> Perplexity:
        """Of `tokens`, in windows that do not overlap (0: the context's length), of which the second half is counted: as
        llama.cpp's perplexity tool. progress(so far, windows in all); True stops. Empties the context."""
        self._check_exports()
        ids, result, problems = lib.token_array(tokens), S.sized(S.PerplexityResult), []

        def callback(so_far, windows, _):
            try:
                return 1 if progress(_perplexity(so_far.contents), windows) else 0
            except BaseException as problem:  # goes on in the caller, not in C
                problems.append(problem)
                return 1

        kept = lib.PerplexityCallback(callback) if progress else lib.PerplexityCallback(0)
        try:
            lib.call("perplexity", self._handle, ids, len(ids), window, kept, None, C.byref(result))
        except Llama2Error:
            if problems:
                raise problems[0] from None
            raise
        return _perplexity(result)

    def importance(
        self, tokens: Iterable[int], output, *, window: int = 0, progress: Callable[[float], bool | None] | None = None
    ) -> None:
        """Evaluates `tokens` in windows and writes to `output` how much each column of each matrix matters, in llama.cpp's
        form (imatrix as GGUF), for `quantize`. progress: called with 0 to 1; True stops. Empties the context."""
        self._check_exports()
        ids, problems = lib.token_array(tokens), []

        def callback(part, _):
            try:
                return 1 if progress(part) else 0
            except BaseException as problem:  # goes on in the caller, not in C
                problems.append(problem)
                return 1

        kept = lib.ProgressCallback(callback) if progress else lib.ProgressCallback(0)
        try:
            lib.call("importance", self._handle, ids, len(ids), window, os.fsencode(output), kept, None)
        except Llama2Error:
            if problems:
                raise problems[0] from None
            raise

    def score(self, prompt: Iterable[int], continuation: Iterable[int]) -> Score:
        """How probable `continuation` is after `prompt` (at least one token). Empties the context."""
        self._check_exports()
        before, after = lib.token_array(prompt), lib.token_array(continuation)
        values, best = np.zeros(max(len(after), 1), np.float32), np.zeros(max(len(after), 1), np.uint8)
        lib.call(
            "score", self._handle, before, len(before), after, len(after), values.ctypes.data_as(C.POINTER(C.c_float)),
            best.ctypes.data_as(C.POINTER(C.c_uint8)),
        )  # fmt: skip
        return Score(values[: len(after)], best[: len(after)].astype(bool))

    def logits(self) -> np.ndarray:
        """The logits of the last eval: (vocabulary,) for one row, (rows, vocabulary) for several; float32, read-only.

        It is the context's own memory, not a copy. While such an array is alive, whatever would change that memory is
        refused with BufferError, as for a bytearray with exports: copy it, or let it go. Raises NoLogitsError.
        """
        rows, count, pointer = C.c_size_t(), C.c_size_t(), C.POINTER(C.c_float)()
        lib.call("logits_rows", self._handle, C.byref(rows))
        lib.call("logits", self._handle, 0, C.byref(pointer), C.byref(count))
        memory = _LogitsMemory(self, C.addressof(pointer.contents), rows.value, count.value)
        self._exports.add(memory)
        array = np.asarray(memory)
        return array[0] if rows.value == 1 else array

    def _check_exports(self) -> None:
        if len(self._exports):
            raise BufferError("an array from logits() is still in use; copy it or delete it before the next eval")

    def sample(self, sampler: Sampler) -> int:
        """Chooses a token from the last row of logits and accepts it. Raises NoLogitsError."""
        token = C.c_int32()
        lib.call("sample", self._handle, sampler._handle, C.byref(token))
        return token.value

    def generate(
        self, prompt: str | Sequence[int] = (), sampler: Sampler | None = None, *, max_tokens: int = 0,
        stop: Sequence[str] = (), adopt: bool = True,
    ) -> Generation:  # fmt: skip
        """Text as it is generated on sequence 0: an iterator of pieces, each of whole characters.

        prompt: text (with BOS if the model expects it and the sequence is empty) or tokens; empty: goes on from the
        logits. max_tokens: 0 for no limit but the context. stop: strings that end the text and are never given out,
        not even in part. adopt: an empty sequence begins with what the context has stored of the prompt, see `adopt`. `close()` of the iterator, or letting go of it, ends the generation. Its `reason` says why
        it ended. Until then other calls on the context raise BusyError.
        """
        self._check_exports()
        if isinstance(prompt, str):
            begins = self.sequence_length() == 0
            tokens = self.model.tokenize_prompt(prompt) if begins else self.model.tokenize(prompt)
        else:
            tokens = list(prompt)
        return Generation(self, tokens, sampler or Sampler(), max_tokens, [stop] if isinstance(stop, str) else stop, 0 if adopt else 2)

    def set_cancel(self, callback: Callable[[], object] | None) -> None:
        """`callback` is asked between the layers of every eval; a true value cancels it (CancelledError), and the context is
        as before. None removes it."""
        function = lib.CancelCallback((lambda _: 1 if callback() else 0) if callback else 0)
        lib.call("context_set_cancel", self._handle, function, None)
        self._cancel = function  # ctypes frees a callback that nobody holds

    # Sequences

    def sequence_length(self, sequence: int = 0) -> int:
        """Positions of `sequence`."""
        value = C.c_size_t()
        lib.call("sequence_length", self._handle, sequence, C.byref(value))
        return value.value

    def truncate(self, length: int, sequence: int = 0) -> None:
        """Removes the positions of `sequence` from `length` on, and forgets the logits. Raises OutOfRangeError."""
        self._check_exports()
        lib.call("sequence_remove", self._handle, sequence, length if length >= 0 else 2**63)

    def copy_sequence(self, source: int, target: int, length: int | None = None) -> None:
        """`target` becomes the first `length` positions (None: all) of `source`, which share their memory until one of them
        goes on. The logits stay, unless `target` had positions. Raises OutOfRangeError, InvalidArgumentError."""
        if length is None:
            length = self.sequence_length(source)
        if self.sequence_length(target):
            self._check_exports()
        lib.call("sequence_copy", self._handle, source, target, length if 0 <= length < 2**63 else 2**63)

    def adopt(self, tokens: Iterable[int], sequence: int = 0) -> int:
        """Starts `sequence`, which is empty, with the longest beginning of `tokens` that is stored anywhere in the context, in
        other sequences or in what is left of removed ones, but for the last token. Returns its length: evaluate the tokens
        from there on. Raises InvalidArgumentError, InvalidTokenError, OutOfRangeError."""
        ids, found = lib.token_array(tokens), C.c_size_t()
        lib.call("sequence_adopt", self._handle, sequence, ids, len(ids), C.byref(found))
        return found.value

    def reset(self) -> None:
        """Empties all sequences. What they had stays known to `adopt` as long as nobody needs the room."""
        self._check_exports()
        lib.call("context_reset", self._handle)

    # Facts

    @property
    def info(self) -> ContextInfo:
        i = S.sized(S.ContextInfo)
        lib.call("context_get_info", self._handle, C.byref(i))
        kernels = next(name for name, number in _KERNELS.items() if number == i.kernels)
        kv = "f32" if i.flags & 1 else "f16"
        return ContextInfo(
            i.context_length, i.max_sequences, i.batch_size, i.threads, kernels, kv, i.memory_bytes, i.pages, i.pages_used,
            i.pages_shared, i.pages_cached, i.positions,
        )  # fmt: skip

    @property
    def timings(self) -> Timings:
        t = S.sized(S.Timings)
        lib.call("context_timings", self._handle, C.byref(t))
        return Timings(t.prefill_tokens, t.prefill_nanoseconds / 1e9, t.decode_tokens, t.decode_nanoseconds / 1e9)

    def close(self) -> None:
        """Frees cache and threads. Raises BufferError while an array of `logits()` is alive."""
        self._check_exports()
        self._finalizer()

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *_: object) -> None:
        if not len(self._exports):
            self.close()  # with arrays alive it ends with the last of them


class _LogitsMemory:
    """Stands behind every array of `logits()` and all its views: keeps the context alive, and is known to it."""

    def __init__(self, context: Context, address: int, rows: int, count: int):
        self.context = context
        self.__array_interface__ = {
            "shape": (rows, count), "typestr": "<f4", "data": (address, True), "version": 3,
        }  # fmt: skip


class Generation(Iterator[str]):
    """Pieces of text from `Context.generate`.

    `reason` is None until the end, then "end", "max_tokens", "stop", "closed" or "context_full"; `tokens` is how many were
    sampled, `adopted` how many of the prompt's were found stored. The engine works in a thread of its own, at most a few pieces ahead of the reader.
    """

    def __init__(self, context: Context, prompt: list[int], sampler: Sampler, max_tokens: int, stops: Sequence[str], flags: int = 0):
        self.reason: str | None = None
        self.tokens = 0
        self.prompt_tokens = 0
        self.adopted = 0
        self._pieces: queue.Queue[str | BaseException | None] = queue.Queue(maxsize=16)
        self._closed = threading.Event()
        self._result = S.sized(S.GenerateResult)
        self._context, self._sampler = context, sampler  # alive while the thread works
        arguments = (
            self._result, self._pieces, self._closed, context._handle, sampler._handle, prompt, max_tokens,
            [s.encode() for s in stops], flags,
        )  # fmt: skip
        # The thread does not hold the iterator: one that is let go, or the end of the interpreter, ends it.
        self._thread = threading.Thread(target=_work, args=arguments, name="llama2swift-generate", daemon=True)
        self._stop = weakref.finalize(self, _stop, self._thread, self._pieces, self._closed)
        self._thread.start()

    def __next__(self) -> str:
        if self.reason is not None:
            raise StopIteration
        item = self._pieces.get()
        if isinstance(item, str):
            return item
        self._end()
        if isinstance(item, BaseException):
            self.reason = "error"
            raise item
        raise StopIteration

    def _end(self) -> None:
        self._thread.join()
        self._stop.detach()
        self.reason = _END.get(self._result.reason, "error")
        self.tokens, self.prompt_tokens = self._result.tokens, self._result.prompt_tokens
        self.adopted = self._result.adopted

    def close(self) -> None:
        """Ends the generation; the context is free for other calls afterwards."""
        if self.reason is None:
            self._stop()
            self._end()

    def __enter__(self) -> Generation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _work(result, pieces: queue.Queue, closed: threading.Event, context, sampler, prompt, max_tokens, stops, flags) -> None:
    options = S.sized(S.GenerateOptions)
    options.flags = flags
    ids = lib.token_array(prompt)
    options.prompt, options.prompt_count = ids, len(ids)
    texts = (S.Text * max(len(stops), 1))(*(S.Text(s, len(s)) for s in stops))
    options.stops, options.stop_count = texts, len(stops)
    options.max_tokens = max_tokens
    options.result = C.pointer(result)

    def receive(piece, length, _):
        if not closed.is_set():
            pieces.put(piece[:length].decode("utf-8", "replace"))
        return 1 if closed.is_set() else 0

    try:
        lib.call("generate", context, sampler, C.byref(options), lib.PieceCallback(receive), None)
        pieces.put(None)
    except Llama2Error as problem:
        pieces.put(problem)


def _stop(thread: threading.Thread, pieces: queue.Queue, closed: threading.Event) -> None:
    """Ends the thread; makes room for what it may be waiting to put."""
    closed.set()
    while thread.is_alive():
        try:
            pieces.get(timeout=0.01)
        except queue.Empty:
            pass
