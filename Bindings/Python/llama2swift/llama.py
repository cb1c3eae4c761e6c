"""`Llama`: the shape of llama-cpp-python's class, so that a program changes its import and runs.

    from llama2swift import Llama
    llm = Llama(model_path="model.gguf", n_ctx=2048)
    print(llm("Q: Name the planets in the solar system? A: ", max_tokens=32, stop=["Q:", "\\n"], echo=True))

What an argument asks for is done, or refused by its name; those that only say how fast or on which device are accepted where they
ask for nothing that is not there.
"""

from __future__ import annotations

import fnmatch
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from . import _calling
from . import _arguments as A
from ._closing import Closing
from .context import Context
from .errors import ContextFullError, InvalidTokenError
from .grammar import Grammar
from .llama_speculative import LlamaPromptLookupDecoding
from .model import Model
from .sampler import Sampler
from .scheduler import Event, Request, Scheduler

_FORMATS = {
    "llama-2": "llama2", "llama-3": "llama3", "chatml": "chatml", "chatml-function-calling": "chatml", "zephyr": "zephyr", "vicuna": "vicuna",
    "alpaca": "alpaca", "mistral-instruct": "mistral-v1",
}  # fmt: skip
# Arguments of the constructor that change no answer, whatever they are
_HARMLESS = frozenset(
    ("main_gpu", "split_mode", "n_ubatch", "verbose", "offload_kqv", "op_offload", "flash_attn", "no_perf", "logits_all", "swa_full", "n_threads_batch", "spm_infill")
)
# and the values at which others ask for nothing
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n_gpu_layers": (0, -1), "tensor_split": (None,), "vocab_only": (False,), "use_mlock": (False,), "kv_overrides": (None,), "rope_scaling_type": (-1, None),
    "rope_freq_base": (0, 0.0), "rope_freq_scale": (0, 0.0), "yarn_ext_factor": (-1, -1.0), "yarn_attn_factor": (1, 1.0), "yarn_beta_fast": (32, 32.0),
    "yarn_beta_slow": (1, 1.0), "yarn_orig_ctx": (0,), "lora_base": (None,), "lora_scale": (1, 1.0), "lora_path": (None,), "numa": (False,),
    "chat_handler": (None,), "tokenizer": (None,), "kv_unified": (None, False, True), "attention_type": (-1,),
}  # fmt: skip
# and those of a generation
_NEUTRAL_SAMPLERS: dict[str, tuple[Any, ...]] = {
    "typical_p": (1, 1.0), "tfs_z": (1, 1.0), "mirostat_mode": (0,), "mirostat_tau": (5, 5.0), "mirostat_eta": (0.1,), "stopping_criteria": (None,),
    "logits_processor": (None,), "suffix": (None, ""), "functions": (None,), "function_call": (None,), "assistant_prefill": (None, False),
}  # fmt: skip
Chunk = dict[str, Any]


def _only_neutral(given: Mapping[str, Any], neutral: Mapping[str, tuple[Any, ...]], what: str) -> None:
    for name, value in given.items():
        if name not in neutral:
            raise TypeError(f"{what} has no argument {name!r}")
        if not any(value is n or (type(value) is type(n) and value == n) for n in neutral[name]):
            raise ValueError(f"{name}={value!r} is not supported by llama2swift")


class Llama(Closing):
    """A model and one context, with llama-cpp-python's methods and answers.

    model_path: see `Model`. n_ctx: positions, 0 for the model's. n_batch, n_threads, seed (None or 4294967295: another one each time),
    chat_format ("llama-2", "chatml", ...; None: the model's template), last_n_tokens_size (what repeat_penalty looks back at), use_mmap
    (False: the file is read into memory), type_k and type_v (1 for f16, 0 for f32), embedding and pooling_type (None or 0: a vector a token;
    1 mean, 2 first, 3 last), draft_model (a smaller model with the same vocabulary that guesses, as a path or a `Model`: texts are the same bit for
    bit; LlamaPromptLookupDecoding is what always happens). Raises what `Model` and `Context` raise, ValueError for what is not supported, TypeError for what is unknown.
    """

    def __init__(
        self, model_path: A.Path, *, n_ctx: int = 512, n_batch: int = 512, n_threads: int | None = None, seed: int | None = None,
        chat_format: str | None = None, last_n_tokens_size: int = 64, use_mmap: bool = True, type_k: int | None = None,
        type_v: int | None = None, embedding: bool = False, pooling_type: int | None = None,
        draft_model: A.Path | Model | LlamaPromptLookupDecoding | None = None, **others: Any,
    ):  # fmt: skip
        _only_neutral({k: v for k, v in others.items() if k not in _HARMLESS}, _NEUTRAL, "Llama")
        if chat_format is not None and chat_format not in _FORMATS:
            raise ValueError(f"chat_format={chat_format!r} is not supported by llama2swift; there are {', '.join(_FORMATS)}")
        if type_k != type_v or type_k not in (None, 0, 1):
            raise ValueError(f"type_k={type_k!r}, type_v={type_v!r}: both are 1 (f16) or both 0 (f32)")
        if pooling_type not in (None, -1, 0, 1, 2, 3):
            raise ValueError(f"pooling_type={pooling_type!r} is not supported by llama2swift")
        if not isinstance(draft_model, (str, bytes, os.PathLike, Model, LlamaPromptLookupDecoding, type(None))):
            raise ValueError(f"draft_model={A.shown(draft_model)} is not supported by llama2swift: a model's path or a Model guesses, prompt lookup is always on")
        self.model_path, self.chat_format = str(model_path), chat_format
        self.model = Model(model_path, copy=not A.flag("use_mmap", use_mmap))
        self._context = Context(self.model, length=n_ctx, threads=n_threads or 0, batch_size=n_batch, kv="f32" if type_k == 0 else "f16")
        self._draft, self._own_draft = self._drafting(draft_model, n_threads or 0)
        self.metadata = self.model.metadata
        self._seed, self._draws, self._last_n, self._pooling, self._embedding = seed, 0, last_n_tokens_size, pooling_type, embedding
        self._length = self._context.info.context_length
        # it has the context from the first answer on, until a call by hand
        self._scheduler: Scheduler | None = None
        self._last: list[int] = []  # the tokens of the last answer and its prompt

    def _drafting(self, given: Any, threads: int) -> tuple[Context | None, Model | None]:
        """The context that guesses, and the model if it is not the caller's."""
        if given is None or isinstance(given, LlamaPromptLookupDecoding):
            return None, None
        own = None if isinstance(given, Model) else Model(given)
        try:
            draft = Context(given if own is None else own, length=self._context.info.context_length, threads=threads)
            Scheduler(self._context, draft=draft).close()  # one that cannot guess for this model says so here
        except BaseException:
            if own is not None:
                own.close()
            raise
        return draft, own

    @classmethod
    def from_pretrained(
        cls, repo_id: str, filename: str | None, additional_files: Sequence[str] | None = None, local_dir: A.Path | None = None,
        local_dir_use_symlinks: Any = "auto", cache_dir: A.Path | None = None, **kwargs: Any,
    ) -> Llama:  # fmt: skip
        """A model of the Hugging Face hub, through `huggingface_hub`: the one file whose name fits `filename` (a pattern). ImportError
        without that package, OSError where the hub cannot be reached, ValueError when not exactly one file fits."""
        try:
            from importlib import import_module

            hub: Any = import_module("huggingface_hub")
        except ImportError:
            raise ImportError("Llama.from_pretrained needs huggingface_hub: pip install huggingface_hub; or give model_path a file that is there") from None
        try:
            names = [str(n) for n in hub.HfApi().list_repo_files(repo_id)]
            chosen = [_one(names, pattern, repo_id) for pattern in [filename or "*.gguf", *(additional_files or [])]]
            paths = [hub.hf_hub_download(repo_id=repo_id, filename=name, local_dir=local_dir, cache_dir=cache_dir) for name in chosen]
        except ValueError:
            raise
        except Exception as problem:
            raise OSError(f"{repo_id} could not be fetched from the hub ({' '.join(str(problem).split())[:300]}); without a network give model_path a file") from problem
        return cls(model_path=paths[0], **kwargs)

    # Text and tokens

    def tokenize(self, text: bytes, add_bos: bool = True, special: bool = False) -> list[int]:
        """The tokens of `text`, with BOS if the model has one and add_bos."""
        return self.model.tokenize(text, bos=add_bos and self.model.special_tokens.adds_bos, special=special)

    def detokenize(self, tokens: list[int], prev_tokens: list[int] | None = None, special: bool = False) -> bytes:
        """The bytes of `tokens`; prev_tokens: what stands before them, so that they are no beginning of a text."""
        if not prev_tokens:
            return self.model.detokenize_bytes(tokens, special=special)
        return b"".join(self.model.piece(t, special=special) for t in tokens)

    # Evaluation by hand

    @property
    def context(self) -> Context:
        """The context, for calls by hand: it holds what the last answer left, but for its last token. Ends the answers under way."""
        if self._scheduler is not None:
            self._scheduler.close()
            self._scheduler = None
            if self._last:
                self._context.adopt(self._last)
        return self._context

    def eval(self, tokens: Sequence[int]) -> None:
        """Appends tokens to the context."""
        self.context.eval(list(tokens))

    def reset(self) -> None:
        """Empties the context."""
        self.context.reset()

    def sample(self, top_k: int = 40, top_p: float = 0.95, min_p: float = 0.05, temp: float = 0.8, repeat_penalty: float = 1.0, **others: Any) -> int:
        """A token from the last logits."""
        _only_neutral(others, _NEUTRAL_SAMPLERS, "sample")
        return self.context.sample(
            Sampler(temperature=temp, top_k=max(top_k, 0), top_p=top_p, min_p=min_p, repetition_penalty=repeat_penalty, seed=self._next_seed(None))
        )

    @property
    def n_tokens(self) -> int:
        """Positions in use."""
        return self.context.sequence_length()

    def save_state(self) -> bytes:
        """All of the context, for `load_state`."""
        return self.context.state()

    def load_state(self, state: bytes) -> None:
        """The context as it was: the next logits are the same bits."""
        self.context.set_state(state)

    def set_seed(self, seed: int) -> None:
        """What further answers are drawn with: the first with it, the next with the number after it, and so on."""
        self._seed, self._draws = seed, 0

    def n_ctx(self) -> int:
        """Positions of the context."""
        return self._length

    def n_embd(self) -> int:
        """Numbers of an embedding."""
        return self.model.hyperparameters.embedding_length

    def n_vocab(self) -> int:
        """Tokens of the vocabulary."""
        return self.model.hyperparameters.vocabulary_size

    def token_bos(self) -> int:
        """The token that begins a text, -1 if there is none."""
        bos = self.model.special_tokens.bos
        return -1 if bos is None else bos

    def token_eos(self) -> int:
        """The token that ends a text, -1 if there is none."""
        eos = self.model.special_tokens.eos
        return -1 if eos is None else eos

    # Completions

    def create_completion(
        self, prompt: str | list[int], suffix: str | None = None, max_tokens: int | None = 16, temperature: float = 0.8, top_p: float = 0.95,
        min_p: float = 0.05, typical_p: float = 1.0, logprobs: int | None = None, echo: bool = False, stop: str | list[str] | None = None,
        frequency_penalty: float = 0.0, presence_penalty: float = 0.0, repeat_penalty: float = 1.0, top_k: int = 40, stream: bool = False,
        seed: int | None = None, model: str | None = None, grammar: Grammar | None = None, logit_bias: Mapping[Any, float] | None = None,
        **others: Any,
    ) -> Any:  # fmt: skip
        """The text goes on: a dict in OpenAI's shape, or for stream an iterator of such. max_tokens: None or less than 1 for as many as
        there is room for. grammar: `Model.grammar`. Raises ContextFullError for a prompt that does not fit."""
        _only_neutral({**others, "suffix": suffix, "typical_p": typical_p}, _NEUTRAL_SAMPLERS, "create_completion")
        tokens = self._prompt(prompt)
        logprobs = None if logprobs is None else A.unsigned("logprobs", logprobs, 31)
        sampler = self._sampler(temperature, top_p, min_p, top_k, frequency_penalty, presence_penalty, repeat_penalty, seed, logit_bias)
        frame = {"id": f"cmpl-{uuid.uuid4()}", "object": "text_completion", "created": int(time.time()), "model": model or self.model_path}
        text = (prompt if isinstance(prompt, str) else self.model.detokenize(tokens)) if echo else ""
        events = self._events(tokens, max_tokens, sampler, grammar, stop, logprobs)
        if stream:
            return self._completion_chunks(frame, text, events, logprobs)
        ids: list[Any] = []
        reason = None
        for event in events:
            text += event.text
            ids += [event] if event.token is not None else []
            reason = event.reason or reason
        choice = {"text": text, "index": 0, "logprobs": self._logprobs(ids, 0, logprobs), "finish_reason": reason}
        usage = {"prompt_tokens": len(tokens), "completion_tokens": len(ids), "total_tokens": len(tokens) + len(ids)}
        return {**frame, "choices": [choice], "usage": usage}

    __call__ = create_completion

    def _completion_chunks(self, frame: Chunk, echoed: str, events: Iterator[Any], logprobs: int | None) -> Iterator[Chunk]:
        offset = 0
        if echoed:
            yield {**frame, "choices": [{"text": echoed, "index": 0, "logprobs": None, "finish_reason": None}]}
        for event in events:
            shown = self._logprobs([event] if event.token is not None else [], offset, logprobs)
            offset += len(event.text)
            yield {**frame, "choices": [{"text": event.text, "index": 0, "logprobs": shown, "finish_reason": event.reason}]}

    def _logprobs(self, events: list[Any], offset: int, count: int | None) -> Any:
        if count is None:
            return None

        def name(token: int) -> str:
            return self.model.piece(token).decode("utf-8", "replace")

        texts, offsets = [name(e.token) for e in events], []
        for text in texts:
            offsets.append(offset)
            offset += len(text)
        top = [{name(t): p for t, p in e.report.best} for e in events]
        return {"tokens": texts, "text_offset": offsets, "token_logprobs": [e.report.logprob for e in events], "top_logprobs": top}

    def _prompt(self, prompt: str | list[int]) -> list[int]:
        if isinstance(prompt, str):
            return self.tokenize(A.text("prompt", prompt), special=True)
        return A.token_list("prompt", prompt)

    def _next_seed(self, given: int | None) -> int | None:
        seed = self._seed if given is None else given
        if seed is None or seed in (-1, 0xFFFFFFFF):
            return None
        if given is None:
            self._draws += 1
            return (seed + self._draws - 1) % 2**64
        return seed

    def _sampler(self, temperature: Any, top_p: Any, min_p: Any, top_k: Any, frequency: Any, presence: Any, repeat: Any, seed: Any, bias: Any) -> Sampler:
        if bias is not None and not isinstance(bias, Mapping):
            raise A.refuse("logit_bias", bias, "a dict of token ids and numbers")
        # OpenAI's clients write the ids as texts
        biases = {int(t) if isinstance(t, str) and t.isdecimal() else A.token("logit_bias", t): b for t, b in (bias or {}).items()}
        return Sampler(
            temperature=max(temperature, 0.0), top_p=top_p, min_p=min_p, top_k=max(top_k, 0), frequency_penalty=frequency, presence_penalty=presence,
            repetition_penalty=repeat, penalty_last_n=self._last_n, seed=self._next_seed(seed), logit_bias=biases,
        )  # fmt: skip

    def _events(
        self, tokens: list[int], max_tokens: int | None, sampler: Sampler, grammar: Grammar | None, stop: str | list[str] | None, logprobs: int | None
    ) -> Iterator[Event]:  # fmt: skip
        for index, token in enumerate(tokens):
            if not 0 <= token < self.n_vocab():
                raise InvalidTokenError(f"token {token} at index {index} is not in the vocabulary of {self.n_vocab()}")
        room = self.n_ctx() - len(tokens)
        if room <= 0:
            raise ContextFullError(f"Requested tokens ({len(tokens)}) exceed context window of {self.n_ctx()}")
        if not tokens:
            raise ValueError("the prompt is empty: it has no tokens")
        most = room if max_tokens is None or max_tokens <= 0 else min(max_tokens, room)
        stops = _texts("stop", [] if stop is None else stop)
        if self._scheduler is None:
            self._scheduler = Scheduler(self._context, draft=self._draft)
        return self._until_left(self._scheduler.submit(tokens, most, sampler, grammar, [s for s in stops if s], logprobs=logprobs), tokens)

    def _until_left(self, request: Request, tokens: list[int]) -> Iterator[Event]:
        """The events; whoever lets go of them before the end ends the request."""
        self._last = list(tokens)
        try:
            for event in request:
                if event.error is not None:
                    raise event.error
                if event.token is not None:
                    self._last.append(event.token)
                yield event
        finally:
            request.cancel()

    # Chats

    def create_chat_completion(
        self, messages: list[Any], tools: list[Any] | None = None, tool_choice: Any = None, temperature: float = 0.2, top_p: float = 0.95, top_k: int = 40,
        min_p: float = 0.05, stream: bool = False, stop: str | list[str] | None = None, seed: int | None = None, response_format: Any = None,
        max_tokens: int | None = None, presence_penalty: float = 0.0, frequency_penalty: float = 0.0, repeat_penalty: float = 1.0,
        model: str | None = None, grammar: Grammar | None = None, logit_bias: Mapping[Any, float] | None = None, logprobs: bool | None = None,
        top_logprobs: int | None = None, **others: Any,
    ) -> Any:  # fmt: skip
        """The conversation goes on: a dict in OpenAI's shape, or for stream an iterator of such. response_format: {"type": "json_object",
        "schema": ...}. tools and tool_choice: a function that is chosen is called by its schema."""
        _only_neutral(others, _NEUTRAL_SAMPLERS, "create_chat_completion")
        for number, tool in enumerate(_dicts("tools", tools or [])):
            if not isinstance(tool.get("function"), Mapping) or not isinstance(tool["function"].get("name"), str):
                raise A.refuse(f"tools[{number}]", tool, 'a dict with a "function" that has a "name"')
            if tool.get("type", "function") != "function":
                raise ValueError(f"tools[{number}]: a tool of type {tool['type']!r} is not supported by llama2swift")
        if response_format is not None and not isinstance(response_format, Mapping):
            raise A.refuse("response_format", response_format, "a dict or None")
        top_logprobs = None if top_logprobs is None else A.unsigned("top_logprobs", top_logprobs, 31)
        name, held = self._held(tools, tool_choice, response_format)
        if held is not None and grammar is not None:
            raise ValueError("grammar: the answer is held to response_format or tool_choice already")
        if grammar is not None and tools and tool_choice != "none":
            raise ValueError("grammar: a text that is held to one calls no tools; tool_choice='none' takes them away")
        talk = [dict(m) for m in _dicts("messages", messages)]
        if tools or any(m.get("tool_calls") or m.get("role") == "tool" for m in talk):
            shown = [{"type": "function", "function": {"description": "", "parameters": {}, **t["function"]}} for t in tools or [] if tool_choice != "none"]
            talk = _calling.in_words(talk, shown)
        tokens = self.model.chat_tokens(talk, chat_template=_FORMATS.get(self.chat_format or ""))
        sampler = self._sampler(temperature, top_p, min_p, top_k, frequency_penalty, presence_penalty, repeat_penalty, seed, logit_bias)
        frame = {"id": f"chatcmpl-{uuid.uuid4()}", "object": "chat.completion.chunk" if stream else "chat.completion", "created": int(time.time()), "model": model or self.model_path}
        best = (top_logprobs or 0) if logprobs else None
        events = self._events(tokens, max_tokens, sampler, held if held is not None else grammar, stop, best)
        if stream:
            return self._chat_chunks(frame, events, name, best, tools, tool_choice)
        text, reason = "", None
        ids: list[Any] = []
        for event in events:
            text += event.text
            ids += [event] if event.token is not None else []
            reason = event.reason or reason
        message: Chunk = {"role": "assistant", "content": text}
        split = _calling.Splitter()
        said: str | None = None
        calls = [_calling.made(name, text)] if name else self._calls(text, tools, tool_choice)
        if not calls:  # words, then a call
            said = split.add(text).rstrip() or None
            calls = self._calls(split.rest(), tools, tool_choice)
        if calls:
            message, reason = {"role": "assistant", "content": said, "tool_calls": calls}, "tool_calls" if reason == "stop" else reason
        choice = {"index": 0, "message": message, "logprobs": self._chat_logprobs(ids, best), "finish_reason": reason}
        usage = {"prompt_tokens": len(tokens), "completion_tokens": len(ids), "total_tokens": len(tokens) + len(ids)}
        return {**frame, "choices": [choice], "usage": usage}

    def create_chat_completion_openai_v1(self, *arguments: Any, **options: Any) -> Any:
        """`create_chat_completion` with the openai package's classes in place of dicts."""
        from importlib import import_module

        kinds: Any = import_module("openai.types.chat")
        made = self.create_chat_completion(*arguments, **options)
        return (kinds.ChatCompletionChunk(**chunk) for chunk in made) if options.get("stream") else kinds.ChatCompletion(**made)

    def _held(self, tools: Any, choice: Any, form: Any) -> tuple[str | None, Grammar | None]:
        """The function that is called whatever comes, and what the text is held to."""
        schema: Any = None
        if form is not None and form.get("type") != "text":
            if form.get("type") != "json_object" or set(form) - {"type", "schema"}:
                raise ValueError('response_format: expected {"type": "json_object"}, with "schema" or without')
            schema = form.get("schema") or {"type": "object"}
        functions = [(t["function"]["name"], t["function"].get("parameters") or {"type": "object", "properties": {}}) for t in tools or []]
        if choice in (None, "none", "auto"):
            if schema is not None and functions and choice != "none":  # of the schema, or a call
                schema = _calling.or_called(schema, _calling.one_of(functions))
            return None, None if schema is None else self.model.grammar(json_schema=schema)
        if schema is not None:
            raise ValueError("tool_choice: the answer is held to response_format already")
        if choice == "required" and functions:
            return (functions[0][0], self.model.grammar(json_schema=functions[0][1], whitespace="compact")) if len(functions) == 1 else (
                None, self.model.grammar(json_schema=_calling.one_of(functions), whitespace="compact"),
            )  # fmt: skip
        wanted = choice.get("function", {}).get("name") if isinstance(choice, Mapping) else None
        for name, parameters in functions:
            if name == wanted:
                return name, self.model.grammar(json_schema=parameters, whitespace="compact")
        raise ValueError(f"tool_choice: there is no function {wanted if wanted else choice!r}")

    def _calls(self, text: str, tools: Any, choice: Any) -> list[Chunk] | None:
        found = _calling.values(text) if tools and choice != "none" else None
        names = {t["function"]["name"] for t in tools or []}
        if not found or not all(isinstance(v, dict) and v.get("name") in names and isinstance(v.get("arguments"), dict) for v in found):
            return None
        return [_calling.made(v["name"], json.dumps(v["arguments"], ensure_ascii=False)) for v in found]

    def _chat_chunks(self, frame: Chunk, events: Iterator[Any], name: str | None, best: int | None, tools: Any, choice: Any) -> Iterator[Chunk]:
        yield {**frame, "choices": [{"index": 0, "delta": {"role": "assistant"}, "logprobs": None, "finish_reason": None}]}
        call = _calling.made(name, "") if name else None
        # what may be a call is held back until it is known to be one
        split = _calling.Splitter() if tools and choice != "none" and not name else None
        for event in events:
            text = event.text if split is None else split.add(event.text)
            calls: list[Chunk] | None = None
            if split is not None and event.reason:
                rest = split.rest()
                calls = self._calls(rest, tools, choice)
                text += "" if calls else rest
            delta: Chunk = {"content": text} if text else {}
            if calls:
                delta["tool_calls"] = [{"index": index, **one} for index, one in enumerate(calls)]
            if call and event.text:
                delta = {"tool_calls": [{"index": 0, **call, "function": {**call["function"], "arguments": event.text}}]}
            shown = self._chat_logprobs([event], best) if event.token is not None else None
            reason = "tool_calls" if (call or calls) and event.reason == "stop" else event.reason
            if delta or shown:
                yield {**frame, "choices": [{"index": 0, "delta": delta, "logprobs": shown, "finish_reason": None}]}
            if reason:
                yield {**frame, "choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": reason}]}

    def _chat_logprobs(self, events: list[Any], count: int | None) -> Any:
        if count is None:
            return None

        def one(token: int, p: float) -> Chunk:
            raw = self.model.piece(token)
            return {"token": raw.decode("utf-8", "replace"), "bytes": list(raw), "logprob": p}

        return {"content": [{**one(e.token, e.report.logprob), "top_logprobs": [one(t, p) for t, p in e.report.best]} for e in events], "refusal": None}

    # Embeddings

    def embed(self, input: str | list[str], normalize: bool = False, truncate: bool = True, return_count: bool = False) -> Any:
        """The embedding of a text, or of each of a list: a vector a token, or one for all by pooling_type."""
        if not self._embedding:
            raise RuntimeError("Llama model must be created with embedding=True to call this method")
        ids = [self.tokenize(A.text("input", text)) for text in _texts("input", input)]
        ids = [one[: self.n_ctx()] for one in ids] if truncate else ids
        with self.model.context(max(map(len, ids), default=1), 0, embeddings=True) as context:
            if self._pooling in (None, -1, 0):
                rows = [context.embed_tokens(one, normalize=normalize).tolist() for one in ids]
            else:
                rows = context.embed(ids, pooling={1: "mean", 2: "first", 3: "last"}[self._pooling], normalize=normalize).tolist()
        out = rows[0] if isinstance(input, str) else rows
        return (out, sum(map(len, ids))) if return_count else out

    def create_embedding(self, input: str | list[str], model: str | None = None) -> Chunk:
        """`embed` in OpenAI's shape."""
        rows, count = self.embed(_texts("input", input), return_count=True)
        data = [{"object": "embedding", "embedding": row, "index": i} for i, row in enumerate(rows)]
        return {"object": "list", "data": data, "model": model or self.model_path, "usage": {"prompt_tokens": count, "total_tokens": count}}

    def close(self) -> None:
        """Frees the context and the model."""
        if self._scheduler is not None:
            self._scheduler.close()
        if self._draft is not None:
            self._draft.close()
        if self._own_draft is not None:
            self._own_draft.close()
        self._context.close()
        self.model.close()


def _texts(name: str, value: Any) -> list[str]:
    """One text, or several."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, (list, tuple)):
        raise A.refuse(name, value, "a str or a list of str")
    return [A.string(f"{name}[{i}]", text) for i, text in enumerate(value)]


def _dicts(name: str, value: Any) -> list[Mapping[str, Any]]:
    if not isinstance(value, (list, tuple)):
        raise A.refuse(name, value, "a list of dicts")
    for i, entry in enumerate(value):
        if not isinstance(entry, Mapping):
            raise A.refuse(f"{name}[{i}]", entry, "a dict")
    return list(value)


def _one(names: list[str], pattern: str, repo: str) -> str:
    found = [name for name in names if fnmatch.fnmatch(name, pattern)]
    if len(found) != 1:
        raise ValueError(f"{len(found)} files of {repo} fit {pattern!r}{': ' + ', '.join(found[:10]) if found else ''}; one is needed")
    return found[0]
