"""A model type of lm-evaluation-harness (pip install llama2swift[eval]):

    python -m llama2swift.lm_eval --model llama2swift --model_args path=model.gguf --tasks hellaswag

is the harness's own command with this model type in its registry. `lm_eval` itself has it where its version looks for entry points (group "lm_eval.models"; 0.4.13
does not), and a program after `llama2swift.lm_eval.register()`. Requests are those of its TemplateLM: a continuation after a context, a whole text, a generated one. Both texts of a pair are tokenized as one, which is where the boundary lies for `transformers`, too; answers to one question are
branches of one sequence, and what contexts have in common is evaluated once. Results do not depend on the batch.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

from . import _arguments as A
from .evaluation.asked import Prompt, Scored
from .evaluation.engine import Engine
from .model import Model
from .results import SpecialTokens

_log = logging.getLogger(__name__)
# What a generation may be told, as `transformers` and the harness call it; of these the second kind has to have a value that changes nothing.
_LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
_FOLLOWED = {*_LENGTHS, "until", "do_sample", "temperature", "top_p", "seed"}
_WITHOUT_EFFECT = {"num_beams": (1,), "repetition_penalty": (1, None), "top_k": (0, None), "num_return_sequences": (1,), "length_penalty": (1,), "typical_p": (1,), "early_stopping": (False,)}


class Requests:
    """What of `LM` does not come from the harness.

    path: the model file or folder. max_length: positions of a text; default: as many as the model was trained on. max_gen_toks: tokens that are
    generated unless a task says otherwise. batch_size: tokens that go through the weights together; the harness's own sizes (1, auto) leave it
    as it is, for it is texts that they count. device: the harness says cuda:0 where nobody said anything; any other but cpu is refused. add_bos_token: default: as the model expects it. kv: default: f32 for
    weights in F32, of which log-probabilities are those of `transformers` within 1e-3, else f16. threads, kernels: see `Context`.
    """

    def __init__(
        self, path: str, max_length: int = 0, max_gen_toks: int = 256, threads: int = 0, kv: str | None = None, kernels: str = "best",
        add_bos_token: bool | None = None, tokens_at_once: int = 512, batch_size: Any = None, max_batch_size: Any = None, device: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if device not in (None, "", "cpu", "cuda:0"):
            raise ValueError(f"device is {A.shown(device)}; llama2swift computes on the CPU")
        self.path = os.fspath(path)
        self.model = Model(self.path)
        self.max_length = A.unsigned("max_length", max_length, 32) or self.model.hyperparameters.context_length
        self.max_gen_toks = A.unsigned("max_gen_toks", max_gen_toks, 32)
        if not self.max_gen_toks:
            raise ValueError("max_gen_toks is 0: nothing would be generated")
        self._bos = add_bos_token if add_bos_token is None else A.flag("add_bos_token", add_bos_token)
        self._special = self.model.special_tokens
        self._template: str | None = None
        self.engine = Engine(self.model, longest=self.max_length + 1, threads=threads, kv=kv or self._cache(), kernels=kernels, tokens_at_once=tokens_at_once)

    def _cache(self) -> str:
        """Not coarser than the weights."""
        return "f32" if all(tensor.type == "F32" for tensor in self.model.tensors) else "f16"

    # Tokens

    @property
    def special(self) -> SpecialTokens:
        """The ids of BOS, EOS and so on."""
        return self._special

    @property
    def eot_token_id(self) -> int:
        """The token that ends a text."""
        token = self._special.eos if self._special.eos is not None else self._special.eot
        if token is None:
            raise ValueError("this vocabulary has no token that ends a text")
        return token

    @property
    def prefix_token_id(self) -> int:
        """What stands before a text that has no context."""
        return self._special.bos if self._special.bos is not None else self.eot_token_id

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """The tokens of a text, with BOS where the model expects it and the text does not begin with it. Names of control tokens are these: the harness's texts have
        them from chat templates and tasks, and its other model types read them so."""
        wants = self._bos if add_special_tokens is None else add_special_tokens
        if wants is None:
            wants = self._special.adds_bos
        tokens = self.model.tokenize(string, special=True)
        has = self._special.bos is not None and tokens[:1] == [self._special.bos]
        return [self._special.bos, *tokens] if wants and self._special.bos is not None and not has else tokens

    def tok_decode(self, tokens: Sequence[int], **_: Any) -> str:
        """The text of tokens."""
        return self.model.detokenize(tokens)

    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """White space at the end of a context belongs to what follows; both are one text to the tokenizer."""
        end = len(context.rstrip())
        context, continuation = context[:end], context[end:] + continuation
        before, whole = self.tok_encode(context), self.tok_encode(context + continuation)
        return before, whole[len(before) :]

    # Requests

    def _scored(self, context: Sequence[int], continuation: Sequence[int]) -> Scored:
        if not context or not continuation:
            raise ValueError("a context or a continuation without tokens")
        if len(continuation) > self.max_length:
            raise ValueError(f"a continuation of {len(continuation)} tokens; max_length is {self.max_length}")
        whole = (*context, *continuation)[-(self.max_length + 1) :]
        if len(whole) < len(context) + len(continuation):
            _log.warning("a context of %d tokens was cut at its beginning: with its continuation it is longer than max_length, %d", len(context), self.max_length)
        return Scored(whole, len(whole) - len(continuation))

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """(log-probability, whether greedy decoding gives it) of each continuation after its context; an empty context is BOS."""
        asked = []
        for context, continuation in (request.args for request in requests):
            if context:
                tokens = self._encode_pair(context, continuation)
            else:
                whole = self.tok_encode(continuation, add_special_tokens=False)
                # a text that begins with it needs no other
                tokens = (whole[:1], whole[1:]) if whole[:1] == [self.prefix_token_id] else ([self.prefix_token_id], whole)
            asked.append(((context, continuation), *tokens))
        return self._loglikelihood_tokens(asked, disable_tqdm=disable_tqdm)

    def _loglikelihood_tokens(self, requests: Sequence[tuple[Any, Sequence[int], Sequence[int]]], disable_tqdm: bool = False, **_: Any) -> list[tuple[float, bool]]:
        """(log-probability, whether it is what greedy decoding gives) of each (key, context, continuation)."""
        groups: list[list[Scored]] = []
        before: Sequence[int] | None = None
        for _, context, continuation in requests:
            scored = self._scored(context or [self.prefix_token_id], continuation)
            if before is not None and list(context) == list(before):
                groups[-1].append(scored)
            else:
                groups.append([scored])
            before = context
        out: list[tuple[float, bool]] = []
        with _bar("loglikelihood", len(requests), disable_tqdm) as bar:
            for answers in self.engine.score(groups):
                for answer in answers:
                    out.append((answer.log_probability, answer.is_greedy))
                    key = requests[len(out) - 1][0]
                    if key is not None:
                        self.cache_hook.add_partial("loglikelihood", key, out[-1])
                bar.update(len(answers))
        return out

    cache_hook: Any

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """The log-probability of whole texts, in windows of max_length that give each token as long a context as there is room for. BOS
        stands before a text and is not asked about; the harness's `hf` adds what BOS has behind BOS where its tokenizer begins a text with one."""
        out = []
        with _bar("loglikelihood_rolling", len(requests), disable_tqdm) as bar:
            for request in requests:
                (text,) = request.args
                windows = list(self._windows(self.tok_encode(text, add_special_tokens=False)))
                total = float(sum(answers[0].log_probability for answers in self.engine.score([[w] for w in windows])))
                out.append(total)
                self.cache_hook.add_partial("loglikelihood_rolling", request.args, total)
                bar.update(1)
        return out

    def _windows(self, tokens: Sequence[int]) -> Iterator[Scored]:
        length = self.max_length
        done = min(length, len(tokens))
        if done:
            yield Scored((self.prefix_token_id, *tokens[:done]), 1)
        while done < len(tokens):
            end = min(len(tokens), done + length)
            window = tuple(tokens[end - length - 1 : end])
            yield Scored(window, len(window) - (end - done))
            done = end

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Texts that go on from contexts, until one of `until` or an end token."""
        # what is drawn depends on the text and on how often it was asked before, never on the others: the harness leaves out what its cache has
        times: Counter[str] = Counter()
        prompts = []
        for request in requests:
            prompts.append(self._prompt(times[request.args[0]], *request.args))
            times[request.args[0]] += 1
        out = [""] * len(prompts)
        with _bar("generate_until", len(prompts), disable_tqdm) as bar:
            for number, written in self.engine.generate(prompts):
                out[number] = written.text
                self.cache_hook.add_partial("generate_until", requests[number].args, written.text)
                bar.update(1)
        return out

    def _prompt(self, time: int, context: str, told: Mapping[str, Any]) -> Prompt:
        for name, value in told.items():
            if name not in _FOLLOWED and value not in _WITHOUT_EFFECT.get(name, ()):
                raise ValueError(f"a generation with {name}={A.shown(value)}, which llama2swift's model type does not follow")
        until = told.get("until") or []
        stops = [A.string("until", s) for s in ([until] if isinstance(until, str) else until)]
        most = _one_of(told, _LENGTHS, self.max_gen_toks)
        if not 1 <= most < self.max_length:
            raise ValueError(f"{most} tokens to generate, expected 1 to {self.max_length - 1}")
        temperature = A.real("temperature", told.get("temperature") or 0.0)
        top_p = A.real("top_p", 1.0 if told.get("top_p") is None else told["top_p"])
        if not 0 <= temperature < float("inf") or not 0 < top_p <= 1:
            raise ValueError(f"temperature is {temperature}, top_p is {top_p}: expected 0 or more, and more than 0 to 1")
        draws = temperature > 0 if told.get("do_sample") is None else A.flag("do_sample", told["do_sample"])
        if draws and not temperature:
            raise ValueError("do_sample=True with a temperature of 0, or none: what would be drawn is the most probable token each time")
        tokens = self.tok_encode(context) or [self.prefix_token_id]
        room = self.max_length - most
        if len(tokens) > room:
            _log.warning("a context of %d tokens was cut at its beginning: max_length is %d, of which %d are generated", len(tokens), self.max_length, most)
        return Prompt(
            tuple(tokens[-room:]), tuple(s for s in stops if s), most, temperature if draws else 0.0, top_p,
            f"{told.get('seed', 0)}/{time}/{context}",
        )  # fmt: skip

    # Chat

    @property
    def tokenizer_name(self) -> str:
        """For the harness's caches."""
        return f"llama2swift-{os.path.basename(self.path)}"

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """The template as it is, for the harness's records; a text: that of this name, which conversations are then written by."""
        self._template = chat_template if isinstance(chat_template, str) and chat_template not in ("", "default") else None
        if self._template is None:
            return self.model.chat_template or ""
        if self._template not in self.model.chat_templates:
            raise ValueError(f"a chat template called {A.shown(chat_template)}: the model has {', '.join(self.model.chat_templates) or 'no chat template'}")
        return self.model.chat_templates[self._template]

    def apply_chat_template(self, chat_history: Sequence[Mapping[str, str]], add_generation_prompt: bool = True) -> str:
        """A conversation as the model's template writes it."""
        opens = add_generation_prompt
        return self.model.chat_text(chat_history, add_generation_prompt=opens, continue_final_message=not opens, chat_template=self._template)


def _one_of(told: Mapping[str, Any], names: Sequence[str], default: int) -> int:
    """What is told by one of several names for the same."""
    given = {name: A.unsigned(name, told[name], 32) for name in names if told.get(name) is not None}
    if len(set(given.values())) > 1:
        raise ValueError(f"{' and '.join(f'{name}={value}' for name, value in given.items())} are of one thing")
    return next(iter(given.values()), default)


class _Silent:
    def update(self, count: int) -> None:
        """Nobody looks."""

    def __enter__(self) -> _Silent:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _bar(what: str, total: int, disable: bool) -> Any:
    if disable:
        return _Silent()
    try:
        return import_module("tqdm").tqdm(total=total, desc=f"Running {what} requests")
    except ImportError:
        return _Silent()


def register() -> None:
    """Puts "llama2swift" into the harness's registry, if it is not there."""
    import_module("lm_eval.models")  # the harness's own types first: it takes an empty registry for one that was never filled
    registry: Any = import_module("lm_eval.api.registry")
    if "llama2swift" not in registry.MODEL_REGISTRY:
        registry.register_model("llama2swift")(__getattr__("LM"))


def main() -> None:
    """The command `lm_eval` with this model type."""
    try:
        register()
        command: Any = import_module("lm_eval.__main__").cli_evaluate
    except ImportError as problem:
        raise SystemExit(f"llama2swift: lm-evaluation-harness cannot be imported ({problem}); pip install llama2swift[eval]") from None
    command()


def __getattr__(name: str) -> Any:
    """`LM`, once the harness is there: a subclass of its TemplateLM."""
    if name != "LM":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if "LM" in globals():
        return globals()["LM"]
    template: Any = import_module("lm_eval.api.model").TemplateLM
    made = type(template)("LM", (Requests, template), {"__module__": __name__, "__doc__": Requests.__doc__})
    globals()["LM"] = made
    return made


if __name__ == "__main__":
    import_module("llama2swift.lm_eval").main()  # not this copy of the module: the class has to be one
