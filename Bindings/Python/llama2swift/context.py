"""Contexts: sequences of tokens and their logits."""

from __future__ import annotations

import ctypes as C
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from . import _arguments as A
from . import _constants as K
from . import _library as lib
from . import _structs as S
from . import search
from ._context import Logits
from ._scoring import Scoring
from ._sequences import Sequences
from .generation import Generation, stop_strings
from .layers import NO_ROWS, LayerView, RowsMemory
from .sampler import Sampler
from .search import Found


class Context(Sequences, Scoring):
    """A KV cache, logits and threads on a model. For one thread at a time (BusyError otherwise).

    length: positions of all sequences together, 0 for the model's (at most 4096). threads: 0 for the CPUs that this
    process may run on and whose time its control groups give it. pin_threads: each thread but the caller's stays on one CPU, of several memory nodes in turn.
    sequences: how many there can be. batch_size: tokens of one pass. kv: "f32", "f16", "q8_0" or "q4_0", for keys and values;
    kv_values: for values, where they have another. kernels: "best", "reference", "avx2", "avxvnni", "avx512", "avx512vbmi",
    "neon", "dotprod" or "i8mm". energy: the folder where the kernel counts what processors take (/sys/class/powercap), None: it is not measured.
    embeddings: no logits are ever computed. rope: scaling in place of the file's.

    Ctrl-C, `cancel` and `close` end every long call some milliseconds later, with the context as before that call.
    """

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

    def sample(self, sampler: Sampler) -> int:
        """Chooses a token from the last row of logits and accepts it. Raises NoLogitsError."""
        token = C.c_int32()
        A.instance("sampler", sampler, Sampler)._run(lambda: lib.call("sample", self._handle, sampler._handle, C.byref(token)))
        return token.value

    def generate(
        self, prompt: str | A.TokenIds = (), sampler: Sampler | None = None, *, max_tokens: int | None = None,
        stop: str | Sequence[str] = (), penalize_prompt: bool = False, adopt: bool = True,
        shift: bool = False, shift_keep: int | None = None, logprobs: int | None = None, echo: bool = False, report: bool = False, guess: bool = True,
        draft: Context | None = None, complete: bool = False,
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
        steps without probabilities. complete: what the sampler's grammar asks for is whole when max_tokens are chosen or the context is full, as far as
        they suffice for the shortest text (`GrammarState.shortest`, and an end token); InvalidArgumentError without a grammar. Until then other calls on the context raise BusyError.
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
        flags |= K.GENERATE_COMPLETE if A.flag("complete", complete) else 0
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
