"""Models: a file, and contexts on it."""

from __future__ import annotations

from . import _arguments as A
from .adapter import Adapter
from .context import Context
from .modelfile import ModelFile
from .results import Score


class Model(ModelFile):
    """A model file, mapped; shared by any number of contexts and threads.

    path: a GGUF file (of several, the first), a folder of Hugging Face's or Meta's, or a llama2.c checkpoint. copy: read it into
    memory of its own, for files that somebody else may truncate meanwhile. context_length: positions the model was trained on, where
    that is known better than the file says it (Meta's do not); 0: as the file says. first_layer, layer_count (0: to the last): a piece of a
    model whose other layers are computed elsewhere: `Context.eval_layers`. Raises FileNotFoundError and its sisters (all are
    InputOutputError), FormatError, CorruptFileError, UnsupportedError, OutOfMemoryError. Pickled and copied by its path: the copy
    loads the file again.
    """

    def context(
        self, length: int = 0, threads: int = 0, *, sequences: int = 1, batch_size: int = 0, kv: str = "f16",
        kernels: str = "best", deterministic: bool = False, energy: A.Path | None = None,
    ) -> Context:  # fmt: skip
        """A new Context on this model; see there for the options."""
        return Context(
            self, length=length, threads=threads, sequences=sequences, batch_size=batch_size, kv=kv, kernels=kernels,
            deterministic=deterministic, energy=energy,
        )  # fmt: skip

    def adapter(self, path: A.Path) -> Adapter:
        """A LoRA adapter for this model, from a GGUF file or a folder of PEFT's. Raises FileNotFoundError and its sisters, FormatError,
        CorruptFileError (a shape or rank that is not the model's, with the tensor's name), UnsupportedError (what cannot be followed)."""
        return Adapter(self, path)

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
