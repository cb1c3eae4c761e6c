"""Llama inference on the CPU: bindings of libllama2swift, through its C header alone.

    model = llama2swift.Model("model.gguf")
    ctx = model.context(length=2048)
    for text in ctx.generate("Once upon a time", max_tokens=100):
        print(text, end="", flush=True)
"""

from . import errors
from ._library import version as __version__
from .context import Context, ContextInfo, Generation, Perplexity, Score, Timings
from .errors import Llama2Error
from .model import Hyperparameters, Memory, Model, SpecialTokens, Tensor, kernels_available, preflight
from .sampler import Sampler
from .tools import convert, quantize

__all__ = [
    "Context", "ContextInfo", "Generation", "Hyperparameters", "Llama2Error", "Memory", "Model",
    "Perplexity", "Sampler", "Score", "SpecialTokens", "Tensor", "Timings", "__version__", "convert", "errors", "kernels_available",
    "preflight", "quantize",
]  # fmt: skip
