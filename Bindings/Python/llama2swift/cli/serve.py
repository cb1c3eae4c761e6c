"""Serving models over HTTP."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from .._starting import loading
from . import terminal, text

INSTALL = 'the server needs FastAPI, uvicorn and prometheus-client: pip install "llama2swift[server]"'


def serve(a: argparse.Namespace) -> int:
    """Serves models over HTTP: OpenAI's interface, llama-server's, and a page to talk with them."""
    try:
        with loading():
            from ..server.serving import serve as start
            from ..server.settings import Settings, named_models
    except ImportError as problem:
        raise ValueError(f"{INSTALL} ({problem})") from None
    settings = Settings(
        models=named_models(a.models, a.alias), host=a.host, port=a.port, api_keys=keys(a), cors_origins=tuple(a.cors_origin), context=a.context,
        request_context=a.request_context, parallel=a.parallel, threads=a.threads, batch=a.batch_size, kv=a.kv, copy=a.copy, interleave=a.interleave, draft=a.draft,
        max_loaded=a.max_loaded, idle_unload=a.idle_unload, any_model=a.any_model, queue=a.queue, max_body=a.max_body, body_timeout=a.body_timeout, write_timeout=a.write_timeout,
        timeout=a.timeout, max_tokens=a.max_tokens, temperature=a.temperature, top_k=a.top_k, top_p=a.top_p, min_p=a.min_p, seed=a.seed,
        chat_template=text.template(a.chat_template), page=not a.no_page, metrics=not a.no_metrics, slots=a.slots, grace=a.grace, log=a.log,
    )  # fmt: skip
    return start(settings, lambda address: terminal.say(f"llama2swift serves {', '.join(settings.models)} at {address}"))


def keys(a: argparse.Namespace) -> tuple[str, ...]:
    """Those of the command line, of a file (one a line), and of the environment, where other users do not see them."""
    out = list(a.api_key)
    if a.api_key_file:
        out += [line.strip() for line in Path(a.api_key_file).read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        if not out:
            raise ValueError(f"{a.api_key_file} has no keys")
    out += [os.environ["LLAMA2SWIFT_API_KEY"]] if os.environ.get("LLAMA2SWIFT_API_KEY") else []
    if any(not key for key in out):
        raise ValueError("an API key is empty")
    return tuple(out)
