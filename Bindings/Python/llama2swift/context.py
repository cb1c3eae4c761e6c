"""Contexts: sequences of tokens and their logits."""

from __future__ import annotations

import ctypes as C
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from . import _arguments as A
from . import _constants as K
from . import _library as lib
from . import _structs as S
from . import search
from ._calls import SHORT, Calls, Progress, library_flag, run
from ._closing import Handle
from .adapter import Adapter
from .errors import BusyError
from .generation import Generation, stop_strings
from .layers import NO_ROWS, LayerView, RowsMemory
from .modelfile import ModelFile
from .options import KERNELS, KV, POOLING, RoPE, context_options
from .results import ContextInfo, Perplexity, Score, Timings
from .sampler import Sampler
from .search import Found

Result = TypeVar("Result")
Logits = np.ndarray[Any, np.dtype[np.float32]]


def _perplexity(raw: S.PerplexityResult) -> Perplexity:
    return Perplexity(raw.perplexity, raw.mean, raw.standard_error, raw.tokens, raw.windows)


class Context(Handle):
    """A KV cache, logits and threads on a model. For one thread at a time (BusyError otherwise).

    length: positions of all sequences together, 0 for the model's (at most 4096). threads: 0 for the CPUs that this
    process may run on and whose time its control groups give it. pin_threads: each thread but the caller's stays on one CPU.
    sequences: how many there can be. batch_size: tokens of one pass. kv: "f32", "f16", "q8_0" or "q4_0", for keys and values;
    kv_values: for values, where they have another. kernels: "best", "reference", "avx2", "avx512", "neon", "dotprod"
    or "i8mm". energy: the folder where the kernel counts what processors take (/sys/class/powercap), None: it is not measured.
    embeddings: no logits are ever computed. rope: scaling in place of the file's.

    Ctrl-C, `cancel` and `close` end every long call some milliseconds later, with the context as before that call.
    """

    _not_copied = ": it is threads and memory of this process; make one of its model"

    def __init__(
        self, model: ModelFile, *, length: int = 0, threads: int = 0, sequences: int = 1, batch_size: int = 0,
        kv: str = "f16", kernels: str = "best", deterministic: bool = False, energy: A.Path | None = None,
        embeddings: bool = False, rope: RoPE | None = None, kv_values: str | None = None, pin_threads: bool = False,
    ):  # fmt: skip
        A.instance("model", model, ModelFile)
        options = context_options(length, threads, sequences, batch_size, kv, kernels, deterministic, embeddings, rope, kv_values, pin_threads)
        options.energy_path = None if energy is None else A.path("energy", energy)
        handle = C.c_void_p()
        lib.call("context_create", model._handle, C.byref(options), C.byref(handle), None, 0)
        self._hold("context", handle.value)
        self.model = model
        self._exports: weakref.WeakSet[_LogitsMemory | RowsMemory] = weakref.WeakSet()
        self._calls = Calls()
        self._cancel = library_flag(self._calls)
        self._layers = S.LayerCallback(0)
        lib.call("context_set_cancel", self._handle, *self._cancel)
        shape = model.hyperparameters
        # a pass reads the file once, whatever its tokens, and multiplies once for each
        self._bytes, self._weights, self._width = shape.file_bytes, shape.parameter_count, shape.embedding_length
        self._is_warm, self._is_slow = False, self.info.kernels == "reference"

    # Evaluation

    def _run(self, call: Callable[[], Result], *, tokens: int | None = None, progress: Progress | None = None) -> Result:
        """Makes a call that may be long. tokens: evaluated by it; None: it is long."""
        self._check_exports()
        # the first eval may have to read the file from the disk
        short = tokens is not None and self._is_warm and not self._is_slow and self._weights * max(tokens, 1) < SHORT and self._bytes < SHORT
        try:
            result = run(self._calls, call, short=short, progress=progress)
        except BusyError:
            lib.call("logits_rows", self._handle, C.byref(C.c_size_t()))  # after a fork, or when it is closed, that is the reason
            raise
        self._is_warm = True
        return result

    def eval(self, tokens: A.TokenIds, *, all_logits: bool = False) -> None:
        """Appends `tokens` to sequence 0; logits of the last one, or of all.

        All or nothing: after an error cache, positions and logits are as before. Raises ContextFullError,
        InvalidTokenError, CancelledError, BusyError, BufferError (an array of `logits()` is still alive).
        """
        ids = A.tokens("tokens", tokens)
        if A.flag("all_logits", all_logits):
            count = max(ids.count, 1)
            array = (S.BatchEntry * count)()
            fields = np.ctypeslib.as_array(C.cast(array, C.POINTER(C.c_int32)), (count, 3))  # token, sequence, flags
            if ids.count:
                fields[:, 0] = np.ctypeslib.as_array(C.cast(ids.pointer, C.POINTER(C.c_int32)), (count,))
            fields[:, 2] = K.BATCH_LOGITS
            self._run(lambda: lib.call("eval_batch", self._handle, array, ids.count), tokens=ids.count)
        else:
            self._run(lambda: lib.call("eval", self._handle, ids.pointer, ids.count), tokens=ids.count)

    def eval_batch(self, entries: Iterable[tuple[int, int, bool]]) -> None:
        """Appends (token, sequence, wants_logits) each to its sequence. Rows of `logits(row)` are the entries that asked,
        in their order. Errors as `eval`, and OutOfRangeError for a sequence that is not there."""
        if isinstance(entries, (str, bytes)) or not hasattr(entries, "__iter__"):
            raise A.refuse("entries", entries, "a list of (token, sequence, wants_logits)")
        rows = [_entry(f"entries[{i}]", entry) for i, entry in enumerate(entries)]
        array = (S.BatchEntry * max(len(rows), 1))(*(S.BatchEntry(*row) for row in rows))
        self._run(lambda: lib.call("eval_batch", self._handle, array, len(rows)), tokens=len(rows))

    def eval_layers(self, entries: Iterable[tuple[int, int, bool]], hidden: Logits | None = None) -> Logits:
        """`eval_batch` of a piece of a model's layers. hidden: (entries, embedding) of float32, what the layers before left of the same
        entries; None for a piece with layer 0. Returns the same behind this piece's layers; the last piece has the logits, too. Raises as
        `eval_batch`, and InvalidArgumentError (hidden states that are missing or not wanted, or hold NaN or infinity)."""
        if isinstance(entries, (str, bytes)) or not hasattr(entries, "__iter__"):
            raise A.refuse("entries", entries, "a list of (token, sequence, wants_logits)")
        rows = [_entry(f"entries[{i}]", entry) for i, entry in enumerate(entries)]
        shape = len(rows), self._width
        if hidden is not None:
            if not isinstance(hidden, np.ndarray) or hidden.dtype != np.float32:
                raise A.refuse("hidden", hidden, "an array of float32")
            if hidden.shape != shape:
                raise ValueError(f"hidden has shape {hidden.shape}, expected {shape}")
            hidden = np.ascontiguousarray(hidden)
        out: Logits = np.empty((max(len(rows), 1), self._width), np.float32)
        array = (S.BatchEntry * max(len(rows), 1))(*(S.BatchEntry(*row) for row in rows))
        floats = C.POINTER(C.c_float)
        given = None if hidden is None else hidden.ctypes.data_as(floats)
        self._run(lambda: lib.call("eval_layers", self._handle, array, len(rows), given, out.ctypes.data_as(floats)), tokens=len(rows))
        return out

    def perplexity(
        self, tokens: A.TokenIds, *, window: int = 0, progress: Callable[[Perplexity, int], object] | None = None
    ) -> Perplexity:
        """Of `tokens`, in windows that do not overlap (0: the context's length), of which the second half is counted: as
        llama.cpp's perplexity tool. progress(so far, windows in all); True stops (CancelledError). Empties the context."""
        ids, length, result = A.tokens("tokens", tokens), A.unsigned("window", window), S.sized(S.PerplexityResult)
        asks = Progress.of(A.function("progress", progress))
        callback = lib.PerplexityCallback(lambda so_far, windows, _: asks.ask(_perplexity(so_far.contents), windows) if asks else 0)
        kept = callback if asks else lib.PerplexityCallback(0)
        self._run(
            lambda: lib.call("perplexity", self._handle, ids.pointer, ids.count, length, kept, None, C.byref(result)), progress=asks
        )
        return _perplexity(result)

    def importance(
        self, tokens: A.TokenIds, output: A.Path, *, window: int = 0, progress: Callable[[float], object] | None = None
    ) -> None:
        """Evaluates `tokens` in windows and writes to `output` how much each column of each matrix matters, in llama.cpp's
        form (imatrix as GGUF), for `quantize`. progress: called with 0 to 1; True stops (CancelledError). Empties the context."""
        ids, length, path = A.tokens("tokens", tokens), A.unsigned("window", window), A.path("output", output)
        asks = Progress.of(A.function("progress", progress))
        kept = lib.ProgressCallback((lambda part, _: asks.ask(part)) if asks else 0)
        self._run(
            lambda: lib.call_naming((path,), "importance", self._handle, ids.pointer, ids.count, length, path, kept, None),
            progress=asks,
        )

    def score(self, prompt: A.TokenIds, continuation: A.TokenIds) -> Score:
        """How probable `continuation` is after `prompt` (at least one token). Empties the context."""
        before, after = A.tokens("prompt", prompt), A.tokens("continuation", continuation)
        values, best = np.zeros(max(after.count, 1), np.float32), np.zeros(max(after.count, 1), np.uint8)
        self._run(
            lambda: lib.call(
                "score", self._handle, before.pointer, before.count, after.pointer, after.count,
                values.ctypes.data_as(C.POINTER(C.c_float)), best.ctypes.data_as(C.POINTER(C.c_uint8)),
            )
        )  # fmt: skip
        return Score(values[: after.count], best[: after.count].astype(np.bool_))

    def embed(self, texts: Iterable[A.TokenIds], *, pooling: str = "mean", normalize: bool = False) -> Logits:
        """Embeddings of texts that are token ids: (texts, embedding length) of float32. What the logits would be computed from, the
        residual stream after its last norm; its mean over the tokens, or the "last" or "first" token's. normalize: to the length 1.
        Empties the context. Raises ContextFullError (a text longer than the context), InvalidTokenError, InvalidArgumentError."""
        if isinstance(texts, (str, bytes)) or not hasattr(texts, "__iter__"):
            raise A.refuse("texts", texts, "a list of texts, each a sequence of token ids")
        ids = [A.tokens(f"texts[{i}]", text) for i, text in enumerate(texts)]
        return self._embed(ids, POOLING[A.choice("pooling", pooling, POOLING)], A.flag("normalize", normalize))

    def embed_tokens(self, tokens: A.TokenIds, *, normalize: bool = False) -> Logits:
        """The same for each token of one text: (tokens, embedding length)."""
        return self._embed([A.tokens("tokens", tokens)], K.POOLING_NONE, A.flag("normalize", normalize))

    def _embed(self, texts: list[A.Tokens], pooling: int, normalize: bool) -> Logits:
        width, count = self.model.hyperparameters.embedding_length, sum(t.count for t in texts)
        values: Logits = np.empty((count if pooling == K.POOLING_NONE else len(texts), width), np.float32)
        if not texts:
            return values
        ids, at, needed = (C.c_int32 * max(count, 1))(), 0, C.c_size_t()
        for t in texts:
            C.memmove(C.byref(ids, 4 * at), t.pointer, 4 * t.count)
            at += t.count
        lengths = (C.c_size_t * len(texts))(*(t.count for t in texts))
        flags = K.EMBEDDINGS_NORMALIZE if normalize else 0
        self._run(
            lambda: lib.call(
                "embeddings", self._handle, ids, lengths, len(texts), pooling, flags, values.ctypes.data_as(C.POINTER(C.c_float)),
                values.size, C.byref(needed),
            )
        )  # fmt: skip
        return values

    def logits(self) -> Logits:
        """The logits of the last eval: (vocabulary,) for one row, (rows, vocabulary) for several; float32, read-only.

        It is the context's own memory, not a copy. While such an array is alive, whatever would change that memory is
        refused with BufferError, as for a bytearray with exports: copy it, or let it go. Raises NoLogitsError.
        """
        rows, count, pointer = C.c_size_t(), C.c_size_t(), C.POINTER(C.c_float)()
        lib.call("logits_rows", self._handle, C.byref(rows))
        lib.call("logits", self._handle, 0, C.byref(pointer), C.byref(count))
        memory = _LogitsMemory(self, C.addressof(pointer.contents), rows.value, count.value)
        self._exports.add(memory)
        array: Logits = np.asarray(memory)
        return array[0] if rows.value == 1 else array

    def _check_exports(self) -> None:
        if len(self._exports):
            raise BufferError("an array from logits() or of a LayerView is still in use; copy it or delete it before the next eval")

    def sample(self, sampler: Sampler) -> int:
        """Chooses a token from the last row of logits and accepts it. Raises NoLogitsError."""
        token = C.c_int32()
        A.instance("sampler", sampler, Sampler)._run(lambda: lib.call("sample", self._handle, sampler._handle, C.byref(token)))
        return token.value

    def generate(
        self, prompt: str | A.TokenIds = (), sampler: Sampler | None = None, *, max_tokens: int | None = None,
        stop: str | Sequence[str] = (), penalize_prompt: bool = False, adopt: bool = True,
        shift: bool = False, shift_keep: int | None = None, logprobs: int | None = None, echo: bool = False, report: bool = False, guess: bool = True,
        draft: Context | None = None,
    ) -> Generation:  # fmt: skip
        """Text as it is generated on sequence 0: an iterator of pieces, each of whole characters; also for `async for`.

        prompt: text (with BOS if the model expects it and the sequence is empty) or tokens; empty: goes on from the
        logits. max_tokens: None or 0 for no limit but the context. stop: strings that end the text and are never given out,
        not even in part. penalize_prompt: the sampler's penalties count the prompt's tokens too, as llama.cpp's do. adopt: an empty
        sequence begins with what the context has stored of the prompt, see `adopt`. shift: when the context is full, go on by
        `shift`, which drops the older half but for the first shift_keep positions (None or 0: 4).
        guess: evaluate several tokens at once where they can be guessed; the text is the same bit for bit. draft: a context of a smaller model with
        the same vocabulary that guesses too, as long as that pays; it is in use meanwhile, and its sequence 0 is written over. `close()` of the iterator, or
        letting go of it, ends the generation. Its `reason` says why it ended. logprobs: its `steps` tell the probability of every token and of
        so many of the best ones (at most 1024), by the model and after the sampler's steps; echo: of the prompt's tokens too; report: the
        steps without probabilities. Until then other calls on the context raise BusyError.
        """
        limit = 0 if max_tokens is None else A.unsigned("max_tokens", max_tokens)
        stops = stop_strings(stop)
        flags = K.GENERATE_PENALIZE_PROMPT if A.flag("penalize_prompt", penalize_prompt) else 0
        flags |= 0 if A.flag("adopt", adopt) else K.GENERATE_NO_ADOPT
        flags |= K.GENERATE_SHIFT if A.flag("shift", shift) else 0
        best = None if logprobs is None else A.unsigned("logprobs", logprobs, 32)
        flags |= 0 if best is None else K.GENERATE_LOGPROBS
        flags |= K.GENERATE_ECHO if A.flag("echo", echo) else 0
        told = A.flag("report", report) or best is not None or flags & K.GENERATE_ECHO != 0
        flags |= 0 if A.flag("guess", guess) else K.GENERATE_NO_GUESS
        kept = 0 if shift_keep is None else A.unsigned("shift_keep", shift_keep)
        chosen = Sampler() if sampler is None else A.instance("sampler", sampler, Sampler)
        drafting = None
        if draft is not None:
            A.instance("draft", draft, Context)._check_exports()
            drafting = draft, draft._calls, draft._handle
        self._check_exports()
        if isinstance(prompt, str):
            prompt = self.model.tokenize(prompt) if self.sequence_length() else self.model.tokenize_prompt(prompt)
        ids = A.tokens("prompt", prompt)
        self._is_warm = True
        return Generation(self, self._calls, self._handle, chosen, ids, limit, stops, flags, kept, best, told, drafting)

    def beam_search(
        self, prompt: str | A.TokenIds, *, width: int = 4, max_tokens: int = 64, length_penalty: A.Number = 1.0,
        early_stopping: bool | str = False, count: int = 1,
    ) -> list[Found]:  # fmt: skip
        """The `count` most probable texts that a search with `width` beams finds, the best first: transformers' algorithm.
        length_penalty: the sum of log-probabilities is divided by length^this. early_stopping: True stops at the first `width` texts that
        ended, False when no better one is likely, "never" when none is possible. `width` empty sequences are needed, and empty
        afterwards; beams share their pages. Raises as `eval`, InvalidArgumentError."""
        return search.beam_search(self, prompt, width, max_tokens, length_penalty, early_stopping, count)

    def best_of(self, prompt: str | A.TokenIds, samplers: Sequence[Sampler], *, max_tokens: int = 64) -> list[Found]:
        """A text of each sampler, evaluated side by side after one prompt, the most probable first. As many empty
        sequences are needed, and empty afterwards. Raises as `eval`, InvalidArgumentError."""
        return search.best_of(self, prompt, samplers, max_tokens)

    def generate_guided(
        self, prompt: str | A.TokenIds, negative: str | A.TokenIds, *, scale: A.Number = 1.5, sampler: Sampler | None = None, max_tokens: int = 64
    ) -> Iterator[str]:
        """Text under classifier-free guidance: away from what `negative` would give, the more so the larger `scale` is (1: not at all).
        Two empty sequences are needed, and empty afterwards. Raises as `eval`, InvalidArgumentError."""
        chosen = Sampler() if sampler is None else A.instance("sampler", sampler, Sampler)
        return search.pieces(self.model, search.guided(self, prompt, negative, scale, chosen, max_tokens))

    def cancel(self) -> None:
        """Ends the call under way in another thread, if there is one: that raises CancelledError, or a generation's `reason`
        becomes "cancelled". From any thread."""
        self._calls.cancel()

    def set_cancel(self, callback: Callable[[], object] | None) -> None:
        """`callback` is asked between the layers of every eval, by the thread that works; a true value cancels it (CancelledError),
        and the context is as before; what it raises does so, too. None removes it. Where `cancel` from another thread
        will do, that costs nothing."""
        A.function("callback", callback)
        calls = self._calls

        def ask(_: object) -> int:
            if calls.flag.value:
                return 1
            try:
                return 1 if callback is not None and callback() else 0
            except BaseException as problem:  # goes on in whoever made the call
                calls.problem = problem
                return 1

        cancel = (lib.CancelCallback(ask), None) if callback is not None else library_flag(calls)
        lib.call("context_set_cancel", self._handle, *cancel)
        self._cancel = cancel  # ctypes frees a callback that nobody holds

    def set_layer_callback(
        self, callback: Callable[[LayerView], object] | None, *, change: bool = False, layer: int | None = None,
        sequence: int | None = None, first_position: int = 0, positions: int = 0,
    ) -> None:  # fmt: skip
        """`callback` is shown the residual stream behind each layer (or behind `layer` only) of every eval, of all sequences or of one, at
        all positions or at `positions` from first_position on: see `LayerView`. A true value ends the eval (CancelledError); what it raises does so,
        too. None removes it. change: it may write to what it sees, and the eval goes on with that; what is computed at those positions and
        behind them is then never found by `adopt`. Calls on the context from inside raise BusyError. Raises OutOfRangeError."""
        A.function("callback", callback)
        options = S.sized(S.LayerOptions)
        writable = A.flag("change", change)
        options.flags = (K.LAYERS_CHANGE if writable else 0) | (K.LAYERS_SEQUENCE if sequence is not None else 0)
        if layer is not None:
            options.first_layer, options.layer_count = A.unsigned("layer", layer, 32), 1
        options.sequence = 0 if sequence is None else A.signed("sequence", sequence)
        options.first_position, options.position_count = A.unsigned("first_position", first_position), A.unsigned("positions", positions)
        calls, exports, context = self._calls, self._exports, weakref.ref(self)

        def ask(pointer: Any, _: object) -> int:
            try:
                view = pointer.contents
                memory = RowsMemory(context(), view, C.addressof(view.hidden.contents), writable)
                shown = LayerView(view.layer, view.sequence, view.position, np.asarray(memory))
                try:
                    return 1 if callback is not None and callback(shown) else 0
                finally:
                    shown.hidden = NO_ROWS
                    exports.add(memory)  # which forgets it at once, unless somebody kept an array
            except BaseException as problem:  # goes on in whoever made the call
                calls.problem = problem
                return 1

        kept = S.LayerCallback(ask) if callback is not None else S.LayerCallback(0)
        lib.call("context_set_layer_callback", self._handle, kept, None, C.byref(options))
        self._layers = kept  # ctypes frees a callback that nobody holds

    # Sequences

    def sequence_length(self, sequence: int = 0) -> int:
        """Positions of `sequence`. Raises OutOfRangeError."""
        value = C.c_size_t()
        lib.call("sequence_length", self._handle, A.signed("sequence", sequence), C.byref(value))
        return value.value

    def truncate(self, length: int, sequence: int = 0) -> None:
        """Removes the positions of `sequence` from `length` on, and forgets the logits. Raises OutOfRangeError."""
        number, wanted = A.signed("sequence", sequence), A.position("length", length)
        self._check_exports()
        lib.call("sequence_remove", self._handle, number, wanted)

    def copy_sequence(self, source: int, target: int, length: int | None = None) -> None:
        """`target` becomes the first `length` positions (None: all) of `source`, which share their memory until one of them
        goes on. The logits stay, unless `target` had positions. Raises OutOfRangeError, InvalidArgumentError."""
        first, second = A.signed("source", source), A.signed("target", target)
        count = self.sequence_length(first) if length is None else A.position("length", length)
        if self.sequence_length(second):
            self._check_exports()
        lib.call("sequence_copy", self._handle, first, second, count)

    def adopt(self, tokens: A.TokenIds, sequence: int = 0) -> int:
        """Starts `sequence`, which is empty, with the longest beginning of `tokens` that is stored anywhere in the context, in
        other sequences or in what is left of removed ones, but for the last token. Returns its length: evaluate the tokens
        from there on. Raises InvalidArgumentError, InvalidTokenError, OutOfRangeError."""
        ids, number, found = A.tokens("tokens", tokens), A.signed("sequence", sequence), C.c_size_t()
        lib.call("sequence_adopt", self._handle, number, ids.pointer, ids.count, C.byref(found))
        return found.value

    def shift(self, drop: int, sequence: int = 0, *, keep: int = 4) -> None:
        """Drops `drop` positions behind the first `keep`; the rest moves up, and there is room at the end. The logits, which are
        forgotten, are then not those of a fresh context, but the same bits after the same evals and shifts. Raises
        OutOfRangeError, ContextFullError."""
        number, head, gone = A.signed("sequence", sequence), A.position("keep", keep), A.position("drop", drop)
        self._check_exports()
        lib.call("sequence_shift", self._handle, number, head, gone)

    def set_adapters(self, sequence: int, adapters: Iterable[tuple[Adapter, float]]) -> None:
        """`sequence`, which is empty or has these already, has these (adapter, scale) from now on, until others are set; [] for none. What
        it has in the cache is found by `adopt` under the same adapters only. Raises InvalidArgumentError (more than 64, one twice, one of
        another model, a scale that is not finite, a sequence with positions), OutOfRangeError."""
        number = A.signed("sequence", sequence)
        array, count = scaled_adapters(adapters)
        lib.call("sequence_set_adapters", self._handle, number, array, count)

    def save_state(self, path: A.Path, sequence: int | None = None) -> None:
        """Writes the state of `sequence`, or of the whole context with its logits (None), to a file that is then complete or as
        it was. Format: STATE.md. Raises OutOfRangeError, InputOutputError."""
        name, number = A.path("path", path), _which(sequence)
        self._run(lambda: lib.call_naming((name,), "state_save", self._handle, number, name))

    def load_state(self, path: A.Path, sequence: int | None = None) -> None:
        """Takes a state over: of one sequence into `sequence`, which is empty, or (None) of a whole context in place of all that
        this one has. The next logits are the same bits as where it was saved. All or nothing. Raises InvalidArgumentError (another
        model or type of keys and values, a sequence that is not empty), FormatError, CorruptFileError, UnsupportedError,
        ContextFullError, OutOfRangeError, InputOutputError."""
        name, number = A.path("path", path), _which(sequence)
        self._run(lambda: lib.call_naming((name,), "state_load", self._handle, number, name))

    def state(self, sequence: int | None = None) -> bytes:
        """What `save_state` would write."""
        number, size, needed = _which(sequence), C.c_uint64(), C.c_size_t()
        lib.call("state_size", self._handle, number, C.byref(size))
        buffer = bytearray(size.value)
        raw = (C.c_char * max(len(buffer), 1)).from_buffer(buffer)
        self._run(lambda: lib.call("state_save_memory", self._handle, number, raw, len(buffer), C.byref(needed)))
        del raw
        return bytes(buffer)

    def set_state(self, state: bytes, sequence: int | None = None) -> None:
        """`load_state` from what `state` gave."""
        data, number = A.saved("state", state), _which(sequence)
        self._run(lambda: lib.call("state_load_memory", self._handle, number, data, len(data)))

    def reset(self) -> None:
        """Empties all sequences. What they had stays known to `adopt` as long as nobody needs the room."""
        self._check_exports()
        lib.call("context_reset", self._handle)

    # Facts

    @property
    def info(self) -> ContextInfo:
        """What this context is made of."""
        i = S.sized(S.ContextInfo)
        lib.call("context_get_info", self._handle, C.byref(i))
        kernels = next(name for name, number in KERNELS.items() if number == i.kernels)
        names = {number: name for name, number in KV.items()}
        return ContextInfo(
            i.context_length, i.max_sequences, i.batch_size, i.threads, kernels, names[i.type_k], i.memory_bytes, i.pages, i.pages_used,
            i.pages_shared, i.pages_cached, i.positions, names[i.type_v],
        )  # fmt: skip

    @property
    def timings(self) -> Timings:
        """Tokens and seconds since creation or the last reset."""
        t = S.sized(S.Timings)
        lib.call("context_timings", self._handle, C.byref(t))
        return Timings(
            t.prefill_tokens, t.prefill_nanoseconds / 1e9, t.decode_tokens, t.decode_nanoseconds / 1e9, t.prefill_cpu_nanoseconds / 1e9,
            t.decode_cpu_nanoseconds / 1e9, t.prefill_microjoules / 1e6, t.decode_microjoules / 1e6, t.energy_zones,
        )  # fmt: skip

    def close(self) -> None:
        """Frees cache and threads; a call under way in another thread ends soon, with CancelledError. Raises BufferError while an
        array of `logits()` is alive."""
        self._check_exports()
        self._calls.cancel()
        super().close()

    def __exit__(self, *_: object) -> None:
        if len(self._exports):
            self._calls.cancel()  # with arrays alive it ends with the last of them
        else:
            self.close()


def _entry(name: str, entry: Any) -> tuple[int, int, int]:
    if isinstance(entry, (str, bytes)) or not hasattr(entry, "__iter__"):
        raise A.refuse(name, entry, "(token, sequence, wants_logits)")
    values = tuple(entry)
    if len(values) != 3:
        raise ValueError(f"{name} is {A.shown(entry)}, expected (token, sequence, wants_logits)")
    token, sequence, wants = values
    return (
        A.token(f"{name}[0]", token), A.signed(f"{name}[1]", sequence), K.BATCH_LOGITS if A.flag(f"{name}[2]", wants) else 0,
    )  # fmt: skip


def scaled_adapters(adapters: object) -> tuple[Any, int]:
    """An array of them for C, and how many."""
    if isinstance(adapters, (str, bytes)) or not isinstance(adapters, Iterable):
        raise A.refuse("adapters", adapters, "a list of (adapter, scale)")
    rows = [_scaled(f"adapters[{i}]", entry) for i, entry in enumerate(adapters)]
    return (S.ScaledAdapter * max(len(rows), 1))(*(S.ScaledAdapter(adapter._handle, scale, 0) for adapter, scale in rows)), len(rows)


def _scaled(name: str, entry: object) -> tuple[Adapter, float]:
    if not isinstance(entry, (tuple, list)):
        raise A.refuse(name, entry, "(adapter, scale)")
    if len(entry) != 2:
        raise ValueError(f"{name} has {len(entry)} elements, expected (adapter, scale)")
    return A.instance(f"{name}[0]", entry[0], Adapter), A.real(f"{name}[1]", entry[1])


def _which(sequence: int | None) -> int:
    return K.ALL_SEQUENCES if sequence is None else A.signed("sequence", sequence)


class _LogitsMemory:
    """Stands behind every array of `logits()` and all its views: keeps the context alive, and is known to it."""

    def __init__(self, context: Context, address: int, rows: int, count: int):
        self.context = context
        self.__array_interface__ = {
            "version": 3, "shape": (rows, count), "typestr": "<f4", "data": (address, True),
        }  # fmt: skip
