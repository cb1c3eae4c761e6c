"""Many prompts on many machines, by Ray (pip install llama2swift[ray]):

    ray.data.read_json("prompts.jsonl").map_batches(
        llama2swift.ray.Generate, fn_constructor_kwargs={"path": "model.gguf"}, concurrency=4, batch_size=64)

An actor is a process with a context of its own; the model's file is mapped, so that the actors of a machine share its pages. A text
depends on its prompt, the seed and the model alone, never on the actor, the batch or the neighbours: what an actor that died had begun is computed
again somewhere else and is the same.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from . import _arguments as A
from .evaluation.asked import Prompt
from .evaluation.engine import Engine
from .model import Model
from .pipeline import PieceLostError, Pipeline

__all__ = ["Completion", "Generate", "PieceLostError", "Pipeline", "deployment", "server"]


class Generate:
    """A batch of prompts, {column: texts}, becomes the same batch with their texts in `output` and why each ended in `output`_reason, two columns that it must not have yet.

    chat: a prompt is a user's message, written by the model's chat template. context_length: positions of a prompt with its text, 0: as many as the
    model was trained on. temperature 0 takes the most probable token. at_once: texts that are written side by side. One actor is one object;
    threads: of it, 1 unless the actor has more CPUs.
    """

    def __init__(
        self, path: str, *, column: str = "prompt", output: str = "text", max_tokens: int = 128, stop: Sequence[str] = (), temperature: float = 0.0,
        top_p: float = 1.0, seed: int = 0, chat: bool = False, context_length: int = 0, threads: int = 1, at_once: int = 16, kv: str = "f16",
    ) -> None:  # fmt: skip
        self.column, self.output = A.string("column", column), A.string("output", output)
        if self.column in (self.output, f"{self.output}_reason"):
            raise ValueError(f"column and output are both {A.shown(self.column)}: the texts would replace the prompts")
        length = A.unsigned("context_length", context_length, 32)
        self.max_tokens = A.unsigned("max_tokens", max_tokens, 32)
        self.stop = tuple(A.string(f"stop[{i}]", s) for i, s in enumerate([stop] if isinstance(stop, str) else stop))
        self.temperature, self.top_p, self.seed = A.real("temperature", temperature), A.real("top_p", top_p), A.unsigned("seed", seed)
        if not (0 <= self.temperature < float("inf")) or not 0 < self.top_p <= 1:
            raise ValueError(f"temperature is {temperature}, top_p is {top_p}: expected 0 or more, and more than 0 to 1")
        self.chat = A.flag("chat", chat)
        at_once = A.unsigned("at_once", at_once, 8)
        if not at_once:
            raise ValueError("at_once is 0: nothing would be written")
        self.at_once = at_once
        self.model = Model(path)
        self.length = length or self.model.hyperparameters.context_length
        if not 1 <= self.max_tokens < self.length:
            raise ValueError(f"max_tokens is {self.max_tokens}, expected 1 to {self.length - 1}")
        together = min(self.length * at_once, max(2 * self.length, 8192))
        self.engine = Engine(self.model, longest=self.length, together=together, threads=threads, kv=kv)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """A batch as Ray Data's `map_batches` gives it with batch_format "numpy", its default, or "pandas"."""
        if not hasattr(batch, "keys"):
            raise A.refuse("batch", type(batch), '{column: values}: batch_format is "numpy" or "pandas"')
        if self.column not in batch:
            raise ValueError(f"a batch without a column {A.shown(self.column)}; it has {', '.join(map(str, batch))}")
        taken = [name for name in (self.output, f"{self.output}_reason") if name in batch]
        if taken:
            raise ValueError(f"a batch that has a column {A.shown(taken[0])} already, which the texts would replace; output= is the name of another")
        prompts = [self._prompt(str(A.string(f"{self.column}[{i}]", text))) for i, text in enumerate(batch[self.column])]
        texts, reasons = [""] * len(prompts), [""] * len(prompts)
        for index, written in self.engine.generate(prompts, at_once=self.at_once):
            texts[index], reasons[index] = written.text, written.reason
        kept = {name: values if isinstance(values, (list, np.ndarray)) else np.asarray(values) for name, values in batch.items()}
        return {**kept, self.output: np.array(texts, dtype=object), f"{self.output}_reason": np.array(reasons, dtype=object)}

    def _prompt(self, text: str) -> Prompt:
        tokens = self.model.chat_tokens([{"role": "user", "content": text}]) if self.chat else self.model.tokenize_prompt(text)
        if not tokens:
            raise ValueError("a prompt without tokens")
        if len(tokens) + self.max_tokens > self.length:
            raise ValueError(f"a prompt of {len(tokens)} tokens and {self.max_tokens} to be written need {len(tokens) + self.max_tokens} positions, the context has {self.length}")
        seed = hashlib.sha256(f"{self.seed}/{text}".encode("utf-8", "surrogatepass")).hexdigest()
        return Prompt(tuple(tokens), self.stop, self.max_tokens, self.temperature, self.top_p, seed)


class Completion:
    """What a Ray Serve replica does: JSON {"prompt": text} comes in, {"text": ..., "reason": ...} goes out. See `deployment`."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._generate = Generate(**options)
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self, request: Any) -> Any:
        """A request of HTTP: 200, or 400 and {"error": sentence} for one that is not followed."""
        told = await _told(request)
        answer = {"error": wrong} if (wrong := _wrong(told)) else await self.complete(told["prompt"])
        return import_module("starlette.responses").JSONResponse(answer, status_code=400 if "error" in answer else 200)

    async def complete(self, prompt: str) -> dict[str, str]:
        """The same for a handle of another actor's. Meanwhile the replica goes on answering whether it lives."""
        async with self._one_at_a_time:
            try:
                done = await asyncio.to_thread(self._generate, {self._generate.column: [prompt]})
            except (ValueError, TypeError) as problem:
                return {"error": str(problem)}
        return {"text": str(done[self._generate.output][0]), "reason": str(done[f"{self._generate.output}_reason"][0])}


async def _told(request: Any) -> Any:
    """What a request says; None where it is no JSON."""
    try:
        return await request.json()
    except (ValueError, RecursionError):
        return None


def _wrong(told: Any) -> str:
    """Why a request is none; "" for one."""
    if not isinstance(told, dict) or not isinstance(told.get("prompt"), str):
        return 'the request is no JSON object with a "prompt"'
    more = [name for name in told if name != "prompt"]
    return f"the request has {A.shown(more[0])}, which nothing would follow: it says a prompt, and the deployment's options the rest" if more else ""


def deployment(path: str, *, replicas: int = 1, cpus: float = 1, **options: Any) -> Any:
    """A Ray Serve application of `replicas` processes: `serve.run(llama2swift.ray.deployment("model.gguf", replicas=2))`. options: of `Generate`."""
    return _served(Completion, replicas, cpus).bind({"path": path, **options})


def server(path: str, *, replicas: int = 1, cpus: float = 1, **settings: Any) -> Any:
    """A Ray Serve application of `replicas` of the server (`llama2swift serve`): OpenAI's interface and llama-server's at the route's paths.
    settings: of `llama2swift.server.Settings`; those of the address are Ray's. Needs `[server]` and `[ray]`. Raises ValueError, TypeError."""
    try:
        kept: Any = import_module("llama2swift.server.settings")
    except ImportError as problem:
        raise ValueError(f"a server needs FastAPI and prometheus-client (pip install llama2swift[ray,server]; {problem})") from None
    of_ray = sorted({"host", "port", "models", "grace"} & settings.keys())
    if of_ray:
        raise ValueError(f"{of_ray[0]} is not the server's to say under Ray Serve")
    told = kept.Settings(models=kept.named_models([path]), **settings)

    def application() -> Any:
        return import_module("llama2swift.server").create_app(told)

    class Server:
        """A replica."""

    serve = _serve()
    return _served(serve.ingress(application)(Server), replicas, cpus).bind()


def _serve() -> Any:
    try:
        return import_module("ray.serve")
    except ImportError:
        raise ValueError("a deployment needs Ray Serve (pip install llama2swift[ray])") from None


def _served(kind: Any, replicas: int, cpus: float) -> Any:
    return _serve().deployment(num_replicas=A.unsigned("replicas", replicas, 16), ray_actor_options={"num_cpus": A.real("cpus", cpus)})(kind)
