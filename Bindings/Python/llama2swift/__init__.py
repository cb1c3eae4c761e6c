"""Llama inference on the CPU: bindings of libllama2swift, through its C header alone.

    model = llama2swift.Model("model.gguf")
    ctx = model.context(length=2048)
    for text in ctx.generate("Once upon a time", max_tokens=100):
        print(text, end="", flush=True)
"""

from . import _starting as _starting  # the first: Ctrl-C while the others are loaded is its affair
from . import errors, footprint
from ._engine import Event
from ._library import version as __version__
from .adapter import Adapter
from .batch import Answer, Batch, generate_batch
from .context import Context
from .errors import Llama2Error
from .evaluation import Evaluation, evaluate
from .generation import Generation
from .grammar import Grammar, GrammarState
from .layers import LayerView
from .llama import Llama
from .llama_grammar import LlamaGrammar
from .model import Model
from .modelfile import ModelFile, printable
from .options import RoPE, kernels_available, preflight
from .results import ContextInfo, Hyperparameters, Memory, Perplexity, Score, SpecialTokens, Tensor, Timings, TokenReport
from .sampler import Sampler
from .scheduler import Request, Scheduler
from .search import Found
from .tools import convert, quantize
from .vocabulary import Decoder, Vocabulary

__all__ = [
    "Adapter", "Answer", "Batch", "Context", "ContextInfo", "Decoder", "Evaluation", "Event", "Found", "Generation", "Grammar", "GrammarState", "Hyperparameters", "LayerView", "Llama", "Llama2Error", "LlamaGrammar", "Memory", "Model", "ModelFile",
    "Perplexity", "Request", "RoPE", "Sampler", "Scheduler", "Score", "SpecialTokens", "Tensor", "Timings", "TokenReport", "Vocabulary", "__version__", "convert", "errors",
    "evaluate", "footprint", "generate_batch", "kernels_available", "preflight", "printable", "quantize",
]  # fmt: skip
