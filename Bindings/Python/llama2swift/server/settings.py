"""What a server is told at its start."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """models: {name: path}, the first one is loaded at the start. Times in seconds, sizes in bytes, lengths in positions."""

    models: dict[str, str]
    host: str = "127.0.0.1"  # or several with commas between
    port: int = 8080
    api_keys: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()  # "*": every one; "localhost": every port of this machine
    # a model's context
    context: int = 0  # of all requests together; 0: the model's, at most 4096
    request_context: int = 0  # of one request; 0: all of it
    parallel: int = 4
    threads: int = 0
    batch: int = 0
    kv: str = "f16"
    copy: bool = False  # the file's bytes are read, not mapped: whoever shortens it then does no harm
    interleave: bool = False  # copied, its pages in turn on each memory node
    draft: str | None = None  # a smaller model with the same vocabulary, which guesses
    # more than one model
    max_loaded: int = 0  # 0: all
    idle_unload: float = 0.0  # 0: never
    any_model: bool = False  # whatever a request calls the model, it is the first one
    # what a request may take
    queue: int = 64  # requests that wait or run; the next one is told 429
    max_body: int = 8 << 20
    body_timeout: float = 30.0
    write_timeout: float = 60.0  # a stream that nobody reads
    timeout: float = 600.0  # a generation in all; 0: none
    max_tokens: int = 0  # 0: what the context holds
    max_choices: int = 16
    # where a request says nothing
    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    seed: int | None = None
    chat_template: str | None = None
    page: bool = True
    metrics: bool = True
    slots: bool = False  # /slots
    grace: float = 30.0  # after SIGTERM
    log: str = "info"

    def __post_init__(self) -> None:
        if not self.models:
            raise ValueError("a server needs a model")
        if self.draft is not None and len(self.models) > 1:
            raise ValueError(f"a draft is that of one model, and {len(self.models)} are served")


def named_models(given: Sequence[str], aliases: Iterable[str] = ()) -> dict[str, str]:
    """{name: path} of what a command line says: PATH or NAME=PATH. A path's name is that of its file, without .gguf."""
    models: dict[str, str] = {}
    names = list(aliases)
    for index, one in enumerate(given):
        name, equals, path = one.partition("=")
        if not equals or os.path.exists(one) or not name or "/" in name:
            path = one
            name = names[index] if index < len(names) else Path(one).name.removesuffix(".gguf")
        if name in models:
            raise ValueError(f"two models are called {name}; NAME=PATH gives one another name")
        models[name] = path
    if len(names) > len(given):
        raise ValueError(f"there are {len(names)} names for {len(given)} models")
    return models
