"""Llama inference on the CPU: bindings of libllama2swift, through its C header alone.

    model = llama2swift.Model("model.gguf")
    ctx = model.context(length=2048)
    for text in ctx.generate("Once upon a time", max_tokens=100):
        print(text, end="", flush=True)
"""

from . import _starting

if _starting.is_the_program():
    _starting.quiet()

from . import errors, footprint  # noqa: E402
from ._engine import Event  # noqa: E402
from ._library import version as __version__  # noqa: E402
from .adapter import Adapter  # noqa: E402
from .batch import Answer, Batch, generate_batch  # noqa: E402
from .context import Context  # noqa: E402
from .errors import Llama2Error  # noqa: E402
from .evaluation import Evaluation, evaluate  # noqa: E402
from .generation import Generation  # noqa: E402
from .grammar import Grammar, GrammarState  # noqa: E402
from .layers import LayerView  # noqa: E402
from .llama import Llama  # noqa: E402
from .llama_grammar import LlamaGrammar  # noqa: E402
from .model import Model  # noqa: E402
from .modelfile import ModelFile, printable  # noqa: E402
from .options import RoPE, kernels_available, preflight  # noqa: E402
from .results import ContextInfo, Hyperparameters, Memory, Perplexity, Score, SpecialTokens, Tensor, Timings, TokenReport  # noqa: E402
from .sampler import Sampler  # noqa: E402
from .scheduler import Request, Scheduler  # noqa: E402
from .search import Found  # noqa: E402
from .tools import convert, quantize  # noqa: E402
from .vocabulary import Decoder, Vocabulary  # noqa: E402

__all__ = [
    "Adapter", "Answer", "Batch", "Context", "ContextInfo", "Decoder", "Evaluation", "Event", "Found", "Generation", "Grammar", "GrammarState", "Hyperparameters", "LayerView", "Llama", "Llama2Error", "LlamaGrammar", "Memory", "Model", "ModelFile",
    "Perplexity", "Request", "RoPE", "Sampler", "Scheduler", "Score", "SpecialTokens", "Tensor", "Timings", "TokenReport", "Vocabulary", "__version__", "convert", "errors",
    "evaluate", "footprint", "generate_batch", "kernels_available", "preflight", "printable", "quantize",
]  # fmt: skip
