"""What a context says of given texts: how probable they are, what matters in them, their embeddings."""

from __future__ import annotations

import ctypes as C
from collections.abc import Callable, Iterable

import numpy as np

from . import _arguments as A
from . import _constants as K
from . import _library as lib
from . import _structs as S
from ._calls import Progress
from ._context import ContextBase, Logits
from .options import POOLING
from .results import Perplexity, Score


class Scoring(ContextBase):
    """Calls that empty the context and evaluate whole texts."""

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


def _perplexity(raw: S.PerplexityResult) -> Perplexity:
    return Perplexity(raw.perplexity, raw.mean, raw.standard_error, raw.tokens, raw.windows)
