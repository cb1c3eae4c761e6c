"""What programs for llama-cpp-python import from `llama_cpp.llama_speculative`.

    from llama2swift import Llama
    from llama2swift.llama_speculative import LlamaPromptLookupDecoding
    llama = Llama(model_path="model.gguf", draft_model=LlamaPromptLookupDecoding(num_pred_tokens=10))
"""

from __future__ import annotations

from . import _arguments as A

__all__ = ["LlamaPromptLookupDecoding"]


class LlamaPromptLookupDecoding:
    """Guessing from what came before. Here every answer is guessed so where it pays, with as many tokens as pay, and no guess changes
    a text: asking for it, with whatever numbers, is being given what there is."""

    def __init__(self, max_ngram_size: int = 2, num_pred_tokens: int = 10):
        self.max_ngram_size = A.unsigned("max_ngram_size", max_ngram_size, 31)
        self.num_pred_tokens = A.unsigned("num_pred_tokens", num_pred_tokens, 31)
