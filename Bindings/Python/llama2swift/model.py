"""Models: a file, and contexts on it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from . import _arguments as A
from .adapter import Adapter
from .context import Context
from .modelfile import ModelFile
from .options import POOLING, RoPE
from .results import Score


class Model(ModelFile):
    """A model file, mapped; shared by any number of contexts and threads.

    path: a GGUF file (of several, the first), a folder of Hugging Face's or Meta's, or a llama2.c checkpoint. copy: read it into
    memory of its own, for files that somebody else may truncate meanwhile. context_length: positions the model was trained on, where
    that is known better than the file says it (Meta's do not); 0: as the file says. first_layer, layer_count (0: to the last): a piece of a
    model whose other layers are computed elsewhere: `Context.eval_layers`. interleave: copied, its pages in turn on each memory node (NUMA) that
    the process may use; UnsupportedError where the system refuses that, as for containers without SYS_NICE. Raises FileNotFoundError and its sisters (all are
    InputOutputError), FormatError, CorruptFileError, UnsupportedError, OutOfMemoryError. Pickled and copied by its path: the copy
    loads the file again.
    """

    def context(
        self, length: int = 0, threads: int = 0, *, sequences: int = 1, batch_size: int = 0, kv: str = "f16",
        kernels: str = "best", deterministic: bool = False, energy: A.Path | None = None,
        embeddings: bool = False, rope: RoPE | None = None, kv_values: str | None = None, pin_threads: bool = False,
    ) -> Context:  # fmt: skip
        """A new Context on this model; see there for the options."""
        return Context(
            self, length=length, threads=threads, sequences=sequences, batch_size=batch_size, kv=kv, kernels=kernels,
            deterministic=deterministic, energy=energy,
            embeddings=embeddings, rope=rope, kv_values=kv_values, pin_threads=pin_threads,
        )  # fmt: skip

    def adapter(self, path: A.Path) -> Adapter:
        """A LoRA adapter for this model, from a GGUF file or a folder of PEFT's. Raises FileNotFoundError and its sisters, FormatError,
        CorruptFileError (a shape or rank that is not the model's, with the tensor's name), UnsupportedError (what cannot be followed)."""
        return Adapter(self, path)

    def embed(
        self, texts: Iterable[str], *, pooling: str = "mean", normalize: bool = False, context: Context | None = None, threads: int = 0
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Embeddings of texts, (texts, embedding length) of float32: see `Context.embed`. Each begins with BOS if the model expects
        it. context: one to use, which is emptied; else one is made for this call, with `threads`."""
        if isinstance(texts, (str, bytes)) or not hasattr(texts, "__iter__"):
            raise A.refuse("texts", texts, "a list of str")
        A.choice("pooling", pooling, POOLING)
        A.flag("normalize", normalize)
        A.unsigned("threads", threads, 32)
        if context is not None:
            A.instance("context", context, Context)
        ids = [self.tokenize_prompt(A.string(f"texts[{i}]", text)) for i, text in enumerate(texts)]
        if context is not None:
            return context.embed(ids, pooling=pooling, normalize=normalize)
        # room for the longest and as many others beside it as fill a pass
        longest, beside = max(map(len, ids), default=1), min(max(len(ids), 1), 64)
        with self.context(max(longest, 256), threads, sequences=beside, embeddings=True) as own:
            return own.embed(ids, pooling=pooling, normalize=normalize)

    def score(self, prompt: str, continuation: str, *, context: Context | None = None) -> Score:
        """How probable the text `continuation` is after the text `prompt`: a `Score`. Both are tokenized as one text, as
        evaluation harnesses do, so that no word is cut at the seam; `context`: one to use, which is emptied."""
        A.string("prompt", prompt)
        A.string("continuation", continuation)
        if context is not None:
            A.instance("context", context, Context)
        before = self.tokenize_prompt(prompt)
        whole = self.tokenize_prompt(prompt + continuation)
        cut = min(len(before), len(whole) - 1) if continuation else len(whole)
        own = context or self.context(length=max(len(whole), 4))
        return own.score(whole[:cut], whole[cut:])
