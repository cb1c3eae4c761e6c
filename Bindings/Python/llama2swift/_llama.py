"""What `Llama` is before it answers: a model, a context, tokens, and the events of an answer."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from . import _arguments as A
from ._closing import Closing
from ._engine import Event
from ._llama_arguments import FORMATS, HARMLESS, NEUTRAL, NEUTRAL_SAMPLERS, OWN_FORMAT, one_file, only_neutral, text_list
from .context import Context
from .errors import ContextFullError, InvalidTokenError
from .grammar import Grammar
from .llama_grammar import LlamaGrammar
from .llama_speculative import LlamaPromptLookupDecoding
from .llama_tokenizer import LlamaTokenizer
from .model import Model
from .sampler import Sampler
from .scheduler import Request, Scheduler

Made = TypeVar("Made", bound="LlamaBase")
MAX_BATCH = 4096  # of a context


class LlamaBase(Closing):
    """A model and one context."""

    def __init__(
        self, model_path: A.Path, *, n_ctx: int = 512, n_batch: int = 512, n_threads: int | None = None, seed: int | None = None,
        chat_format: str | None = None, last_n_tokens_size: int = 64, use_mmap: bool = True, type_k: int | None = None,
        type_v: int | None = None, embedding: bool = False, pooling_type: int | None = None,
        draft_model: A.Path | Model | LlamaPromptLookupDecoding | None = None, **others: Any,
    ):  # fmt: skip
        self._made_with = {  # for pickle
            "model_path": model_path, "n_ctx": n_ctx, "n_batch": n_batch, "n_threads": n_threads, "seed": seed, "chat_format": chat_format, "last_n_tokens_size": last_n_tokens_size,
            "use_mmap": use_mmap, "type_k": type_k, "type_v": type_v, "embedding": embedding, "pooling_type": pooling_type, "draft_model": draft_model, **others,
        }  # fmt: skip
        only_neutral({k: v for k, v in others.items() if k not in HARMLESS}, NEUTRAL, "Llama")
        if chat_format is not None and chat_format not in FORMATS and not str(chat_format).startswith(OWN_FORMAT):
            raise ValueError(f"chat_format={chat_format!r} is not supported by llama2swift; there are {', '.join(FORMATS)} and {OWN_FORMAT}NAME")
        threads = self._threads = 0 if n_threads is None else A.unsigned("n_threads", n_threads, 32)
        type_k, type_v, pooling_type = (
            None if v is None else A.whole(n, v) for n, v in (("type_k", type_k), ("type_v", type_v), ("pooling_type", pooling_type))
        )
        if type_k != type_v or type_k not in (None, 0, 1):
            raise ValueError(f"type_k={type_k!r}, type_v={type_v!r}: both are 1 (f16) or both 0 (f32)")
        if pooling_type not in (None, -1, 0, 1, 2, 3):
            raise ValueError(f"pooling_type={pooling_type!r} is not supported by llama2swift")
        if not isinstance(draft_model, (str, bytes, os.PathLike, Model, LlamaPromptLookupDecoding, type(None))):
            raise ValueError(f"draft_model={A.shown(draft_model)} is not supported by llama2swift: a model's path or a Model guesses, prompt lookup is always on")
        self._seed, self._embedding, self._last_n = _seed("seed", seed), A.flag("embedding", embedding), A.signed("last_n_tokens_size", last_n_tokens_size)
        if self._last_n < -1:
            raise ValueError(f"last_n_tokens_size is {self._last_n}, expected -1 for all tokens, or how many")
        self.model = Model(model_path, copy=not A.flag("use_mmap", use_mmap))
        self.model_path, self.chat_format = os.fsdecode(model_path), chat_format
        self._template = None if chat_format is None else FORMATS.get(chat_format) or chat_format[len(OWN_FORMAT) :]
        if chat_format is not None and chat_format not in FORMATS and self._template not in self.model.chat_templates:
            known = ", ".join(OWN_FORMAT + name for name in self.model.chat_templates) or "none"
            self.model.close()
            raise ValueError(f"chat_format={chat_format!r}: the model has no such chat template; it has {known}")
        # more at a time than a pass takes is no faster, and no answer depends on it
        batch = min(A.unsigned("n_batch", n_batch, 32), MAX_BATCH)
        length = A.unsigned("n_ctx", n_ctx, 32) or self.model.hyperparameters.context_length  # a Context's own 0 is at most 4096
        self._context = Context(self.model, length=length, threads=threads, batch_size=batch, kv="f32" if type_k == 0 else "f16")
        self._draft, self._own_draft = self._drafting(draft_model, threads)
        self.metadata = self.model.metadata
        self._draws, self._pooling = 0, pooling_type
        self._length = self._context.info.context_length
        # it has the context from the first answer on, until a call by hand
        self._scheduler: Scheduler | None = None
        self._asked: weakref.WeakSet[Request] = weakref.WeakSet()
        self._last: list[int] = []  # the tokens of the last answer and its prompt

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled and copied as what it was made with, in the process that gets it: its context is new."""
        return _made_again, (type(self), self._made_with)

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
        cls: type[Made], repo_id: str, filename: str | None, additional_files: Sequence[str] | None = None, local_dir: A.Path | None = None,
        local_dir_use_symlinks: Any = "auto", cache_dir: A.Path | None = None, **kwargs: Any,
    ) -> Made:  # fmt: skip
        """A model of the Hugging Face hub, through `huggingface_hub`: the one file whose name fits `filename` (a pattern). ImportError
        without that package, OSError where the hub cannot be reached, ValueError when not exactly one file fits."""
        try:
            from importlib import import_module

            hub: Any = import_module("huggingface_hub")
        except ImportError:
            raise ImportError("Llama.from_pretrained needs huggingface_hub: pip install huggingface_hub; or give model_path a file that is there") from None
        try:
            names = [str(n) for n in hub.HfApi().list_repo_files(repo_id)]
            chosen = [one_file(names, pattern, repo_id) for pattern in [filename or "*.gguf", *(additional_files or [])]]
            paths = [hub.hf_hub_download(repo_id=repo_id, filename=name, local_dir=local_dir, cache_dir=cache_dir) for name in chosen]
        except ValueError:
            raise
        except Exception as problem:
            raise OSError(f"{repo_id} could not be fetched from the hub ({' '.join(str(problem).split())[:300]}); without a network give model_path a file") from problem
        return cls(model_path=paths[0], **kwargs)

    # Text and tokens

    def tokenize(self, text: bytes, add_bos: bool = True, special: bool = False) -> list[int]:
        """The tokens of `text`, with BOS if the model has one and add_bos."""
        return self.model.tokenize(text, bos=A.flag("add_bos", add_bos) and self.model.special_tokens.adds_bos, special=special)

    def detokenize(self, tokens: list[int], prev_tokens: list[int] | None = None, special: bool = False) -> bytes:
        """The bytes of `tokens`; prev_tokens: what stands before them, so that they are no beginning of a text."""
        if not (prev_tokens is not None and A.token_list("prev_tokens", prev_tokens)):
            return self.model.detokenize_bytes(tokens, special=special)
        return b"".join(self.model.piece(t, special=special) for t in A.token_list("tokens", tokens))

    def tokenizer(self) -> LlamaTokenizer:
        """The vocabulary, as llama-cpp-python has it beside the model."""
        return LlamaTokenizer(self)

    def pooling_type(self) -> int:
        """What it was made with; of None 0, which is none."""
        return 0 if self._pooling is None else self._pooling

    def set_seed(self, seed: int) -> None:
        """What further answers are drawn with: the first with it, the next with the number after it, and so on."""
        self._seed, self._draws = _seed("seed", seed), 0

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

    def token_nl(self) -> int:
        """The token of a line's end, -1 if it is more than one."""
        tokens = self.model.tokenize(b"\n", bos=False, special=False)
        return tokens[-1] if tokens and self.model.piece(tokens[-1]) == b"\n" else -1

    def _prompt(self, prompt: str | list[int]) -> list[int]:
        if isinstance(prompt, str):
            return self.tokenize(A.text("prompt", prompt), special=True)
        return A.token_list("prompt", prompt)

    def _next_seed(self, given: int | None) -> int | None:
        seed = self._seed if given is None else _seed("seed", given)
        if seed is None or seed in (-1, 0xFFFFFFFF):
            return None
        if given is None:
            self._draws += 1
            return (seed + self._draws - 1) % 2**64
        return seed

    def _sampler(
        self, temperature: Any, top_p: Any, min_p: Any, top_k: Any, frequency: Any, presence: Any, repeat: Any, seed: Any, bias: Any, typical_p: Any, mirostat: tuple[Any, Any, Any],
    ) -> Sampler:  # fmt: skip
        """mirostat: its mode, tau and eta; as llama-cpp-python has it it stands in place of all else that chooses, the temperature too, but for greedy."""
        if bias is not None and not isinstance(bias, Mapping):
            raise A.refuse("logit_bias", bias, "a dict of token ids and numbers")
        # OpenAI's clients write the ids as texts
        biases = {int(t) if isinstance(t, str) and t.isdecimal() else A.token("logit_bias", t): b for t, b in (bias or {}).items()}
        mode, tau, eta = A.whole("mirostat_mode", mirostat[0]), A.real("mirostat_tau", mirostat[1]), A.real("mirostat_eta", mirostat[2])
        if mode not in (0, 1, 2):
            raise ValueError(f"mirostat_mode={mode} is not supported by llama2swift: there are 0, 1 and 2")
        chosen = {"temperature": temperature, "top_p": top_p, "min_p": min_p, "top_k": max(A.signed("top_k", top_k), 0), "typical_p": typical_p}
        if mode and A.real("temperature", temperature) > 0:
            Sampler(**chosen)  # what is wrong with them is told all the same
            chosen = {"temperature": 1.0, "top_p": 1.0, "min_p": 0.0, "top_k": 0, "mirostat": mode, "mirostat_tau": tau, "mirostat_eta": eta}
        return Sampler(
            **chosen, frequency_penalty=frequency, presence_penalty=presence, repetition_penalty=_more_than_none("repeat_penalty", repeat), penalty_last_n=self._last_n,
            seed=self._next_seed(seed), logit_bias=biases,
        )  # fmt: skip

    def _events(
        self, tokens: list[int], max_tokens: int | None, sampler: Sampler, grammar: Grammar | LlamaGrammar | None, stop: str | list[str] | None, logprobs: int | None,
        echo: bool = False,
    ) -> Iterator[Event]:  # fmt: skip
        for index, token in enumerate(tokens):
            if not 0 <= token < self.n_vocab():
                raise InvalidTokenError(f"token {token} at index {index} is not in the vocabulary of {self.n_vocab()}")
        room = self.n_ctx() - len(tokens)
        if room <= 0:
            raise ContextFullError(f"Requested tokens ({len(tokens)}) exceed context window of {self.n_ctx()}")
        if not tokens:
            raise ValueError("the prompt is empty: it has no tokens")
        asked = 0 if max_tokens is None else A.whole("max_tokens", max_tokens)
        most = room if asked <= 0 else min(asked, room)
        stops = text_list("stop", [] if stop is None else stop)
        grammar = grammar.of(self.model) if isinstance(grammar, LlamaGrammar) else grammar
        if self._scheduler is None:
            self._scheduler = Scheduler(self._context, draft=self._draft)
        request = self._scheduler.submit(tokens, most, sampler, grammar, [s for s in stops if s], logprobs=logprobs, echo=echo)
        self._asked.add(request)
        return self._until_left(request, tokens)

    @property
    def _is_answering(self) -> bool:
        return any(request.reason is None for request in self._asked)

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


def _made_again(kind: type[Made], arguments: dict[str, Any]) -> Made:
    return kind(**arguments)


def _seed(name: str, value: Any) -> int | None:
    """None, -1, or a number of 64 bits."""
    if value is None or A.whole(name, value) == -1:
        return None
    return A.unsigned(name, value)


def _more_than_none(name: str, value: Any) -> float:
    number = A.real(name, value)
    if not 0 < number < float("inf"):
        raise ValueError(f"{name} is {A.shown(value)}, expected more than 0")
    return number
