#!/usr/bin/env python3
"""Stands for the program llama-server in llama.cpp's own tests of it: takes its options and becomes `llama2swift serve`.

    server_suite.py --tests vendor/llama.cpp/tools/server/tests     runs them all

Its model is stories260K, which the project has: whatever model is asked for, this one is served. Table of what passes: Bindings/Python/benchmarks/results/SERVER.md.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import llama2swift

MODEL = Path(__file__).resolve().parents[1] / "fixtures" / "stories260K.bin"


def model():
    path = Path(tempfile.gettempdir()) / "llama2swift-stories260K.gguf"
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}")
        llama2swift.convert(MODEL, part, "F32")
        part.rename(path)
    return path


def main():
    p = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("host", "port", "temp", "seed", "alias", "ctx-size", "parallel", "batch-size", "threads", "n-predict", "api-key", "chat-template", "chat-template-file", "cors-origins"):
        p.add_argument("--" + name)
    for name in ("hf-repo", "hf-file", "model", "ubatch-size", "n-gpu-layers", "cache-ram", "reasoning-format", "pooling", "-fa"):
        p.add_argument(name if name.startswith("-") else "--" + name)  # another model or another machine: nothing here
    for name in ("offline", "slots", "no-slots", "metrics", "no-ui", "jinja", "no-jinja", "verbose", "cont-batching", "embedding", "kv-unified"):
        p.add_argument("--" + name, action="store_true")
    a = p.parse_args()
    slots, total = int(a.parallel or 1), int(a.ctx_size or 0)
    out = [sys.executable, "-m", "llama2swift", "serve", model(), "--any-model", "--log", "debug" if a.verbose else "info"]
    out += ["--context", total, "--request-context", total // slots] if total else []
    out += ["--chat-template", a.chat_template_file or a.chat_template or "chatml", "--parallel", slots]
    # --n-predict is what a request has that says nothing, where ours (--max-tokens) bounds every one
    for ours, value in (("--host", a.host), ("--port", a.port), ("--temperature", a.temp), ("--seed", a.seed), ("--api-key", a.api_key), ("--batch-size", a.batch_size), ("--threads", a.threads)):
        out += [ours, value] if value else []
    out += ["--alias", a.alias.split(",")[0]] if a.alias else []
    out += ["--cors-origin", a.cors_origins or "*"]
    out += ["--no-page"] if a.no_ui else []
    out += ["--slots"] if a.slots else []
    out += [] if a.metrics else ["--no-metrics"]
    os.execv(sys.executable, [str(part) for part in out])


if __name__ == "__main__":
    main()
