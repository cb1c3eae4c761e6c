"""`Llama`: the shape of llama-cpp-python's class, so that a program changes its import and runs.

    from llama2swift import Llama
    llm = Llama(model_path="model.gguf", n_ctx=2048)
    print(llm("Q: Name the planets in the solar system? A: ", max_tokens=32, stop=["Q:", "\\n"], echo=True))

What an argument asks for is done, or refused by its name; those that only say how fast or on which device are accepted where they
ask for nothing that is not there.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from . import _arguments as A
from ._llama_arguments import NEUTRAL_SAMPLERS, Chunk, only_neutral, text_list
from ._llama_chats import Chats
from ._llama_logprobs import Shown
from .errors import ContextFullError
from .grammar import Grammar
from .llama_grammar import LlamaGrammar


class Llama(Chats):
    """A model and one context, with llama-cpp-python's methods and answers.

    model_path: see `Model`. n_ctx: positions, 0 for the model's. n_batch, n_threads, seed (None or 4294967295: another one each time),
    chat_format ("llama-2", "chatml", ..., "chat_template.NAME" for one of the model's own; None: the model's template), last_n_tokens_size (what repeat_penalty looks back at), use_mmap
    (False: the file is read into memory), type_k and type_v (1 for f16, 0 for f32), embedding and pooling_type (None or 0: a vector a token;
    1 mean, 2 first, 3 last), draft_model (a smaller model with the same vocabulary that guesses, as a path or a `Model`: texts are the same bit for
    bit; LlamaPromptLookupDecoding is what always happens). Raises what `Model` and `Context` raise, ValueError for what is not supported, TypeError for what is unknown.
    """

    def create_completion(
        self, prompt: str | list[int], suffix: str | None = None, max_tokens: int | None = 16, temperature: float = 0.8, top_p: float = 0.95,
        min_p: float = 0.05, typical_p: float = 1.0, logprobs: int | None = None, echo: bool = False, stop: str | list[str] | None = None,
        frequency_penalty: float = 0.0, presence_penalty: float = 0.0, repeat_penalty: float = 1.0, top_k: int = 40, stream: bool = False,
        seed: int | None = None, tfs_z: float = 1.0, mirostat_mode: int = 0, mirostat_tau: float = 5.0, mirostat_eta: float = 0.1, model: str | None = None,
        stopping_criteria: Any = None, logits_processor: Any = None, grammar: Grammar | LlamaGrammar | None = None, logit_bias: Mapping[Any, float] | None = None,
        **others: Any,
    ) -> Any:  # fmt: skip
        """The text goes on: a dict in OpenAI's shape, or for stream an iterator of such. max_tokens: None or less than 1 for as many as
        there is room for. grammar: `Model.grammar`, or a LlamaGrammar. logprobs: beside the best so many the token that came; with echo the prompt's too, the first
        without one. Raises ContextFullError for a prompt that does not fit."""
        others |= {"suffix": suffix, "tfs_z": tfs_z, "stopping_criteria": stopping_criteria, "logits_processor": logits_processor}
        only_neutral(others, NEUTRAL_SAMPLERS, "create_completion")
        echo, stream = A.flag("echo", echo), A.flag("stream", stream)
        if model is not None:
            A.string("model", model)
        tokens = self._prompt(prompt)
        logprobs = None if logprobs is None else A.unsigned("logprobs", logprobs, 31)
        sampler = self._sampler(temperature, top_p, min_p, top_k, frequency_penalty, presence_penalty, repeat_penalty, seed, logit_bias, typical_p, (mirostat_mode, mirostat_tau, mirostat_eta))
        frame = {"id": f"cmpl-{uuid.uuid4()}", "object": "text_completion", "created": int(time.time()), "model": model or self.model_path}
        given = prompt if isinstance(prompt, str) else self.model.detokenize(tokens)
        text, shown = given if echo else "", Shown(self.model, given, echo, logprobs)
        events = self._events(tokens, max_tokens, sampler, grammar, stop, logprobs, echo and logprobs is not None)
        if stream:
            return self._completion_chunks(frame, text, events, shown)
        ids: list[Any] = []
        reports: list[Any] = []
        reason = None
        for event in events:
            text += event.text
            ids += [event] if event.token is not None else []
            reports += [event.report] if event.report is not None else []
            reason = event.reason or reason
        choice = {"text": text, "index": 0, "logprobs": shown.lists(reports), "finish_reason": reason}
        usage = {"prompt_tokens": len(tokens), "completion_tokens": len(ids), "total_tokens": len(tokens) + len(ids)}
        return {**frame, "choices": [choice], "usage": usage}

    __call__ = create_completion

    def _completion_chunks(self, frame: Chunk, echoed: str, events: Iterator[Any], shown: Shown) -> Iterator[Chunk]:
        def chunk(text: str, reports: list[Any] | None, reason: str | None = None) -> Chunk:
            return {**frame, "choices": [{"text": text, "index": 0, "logprobs": None if reports is None else shown.lists(reports), "finish_reason": reason}]}

        prompt: list[Any] = []
        for event in events:
            if event.report is not None and event.report.prompt:
                prompt.append(event.report)
                continue
            if echoed:
                yield chunk(echoed, prompt)
                echoed = ""
            yield chunk(event.text, [event.report] if event.report is not None else [], event.reason)

    def embed(self, input: str | list[str], normalize: bool = False, truncate: bool = True, return_count: bool = False) -> Any:
        """The embedding of a text, or of each of a list: a vector a token, or one for all by pooling_type."""
        truncate, return_count = A.flag("truncate", truncate), A.flag("return_count", return_count)
        if not self._embedding:
            raise RuntimeError("Llama model must be created with embedding=True to call this method")
        ids = [self.tokenize(A.text("input", text)) for text in text_list("input", input)]
        ids = [one[: self.n_ctx()] for one in ids] if truncate else ids
        for one in ids:
            if len(one) > self.n_ctx():
                raise ContextFullError(f"Requested tokens ({len(one)}) exceed context window of {self.n_ctx()}")
        with self.model.context(max(map(len, ids), default=1), self._threads, embeddings=True) as context:
            if self._pooling in (None, -1, 0):
                rows = [context.embed_tokens(one, normalize=normalize).tolist() for one in ids]
            else:
                rows = context.embed(ids, pooling={1: "mean", 2: "first", 3: "last"}[self._pooling], normalize=normalize).tolist()
        out = rows[0] if isinstance(input, str) else rows
        return (out, sum(map(len, ids))) if return_count else out

    def create_embedding(self, input: str | list[str], model: str | None = None) -> Chunk:
        """`embed` in OpenAI's shape."""
        if model is not None:
            A.string("model", model)
        rows, count = self.embed(text_list("input", input), return_count=True)
        data = [{"object": "embedding", "embedding": row, "index": i} for i, row in enumerate(rows)]
        return {"object": "list", "data": data, "model": model or self.model_path, "usage": {"prompt_tokens": count, "total_tokens": count}}
