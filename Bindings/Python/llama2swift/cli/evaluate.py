"""The Llama 2 card, filled in for a model."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from ..evaluation import hub
from ..evaluation import run as evaluation
from ..evaluation.figures import Judge
from . import outputs
from .terminal import Progress, line, say


def evaluate(a: argparse.Namespace) -> int:
    """Fills the Llama 2 card in: code, commonsense, knowledge, math, MMLU, BBH, AGIEval, safety, footprint."""
    folder = a.data[len(hub.PREFIX) :] if a.data.startswith(hub.PREFIX) else a.data
    read = [str(path) for path in Path(folder).glob("*.jsonl*")]
    written = [given for given in (a.json, a.json and f"{a.json}.items", a.card, a.picture) if given]
    for number, given in enumerate(written):
        # the journal is there where a run goes on
        outputs.check(given, (a.model, *read), a.force or given == f"{a.json}.items")
        outputs.check_place(given, written[:number])
    journal = f"{a.json}.items" if a.json else None
    try:
        with Progress("evaluate") as progress:
            result = evaluation.evaluate(
                a.model, a.data, a.tasks, limit=a.limit, chat=a.chat, seed=a.seed, context_length=a.context, threads=a.threads, kv=a.kv, kernels=a.kernels,
                allow_code=a.allow_code, classifier=_classifier(a.classifier) if a.classifier else None, journal=journal, again=a.force, progress=progress,
                watts=a.watts, intensity=a.intensity, country=a.country, energy=a.energy,
            )  # fmt: skip
    except KeyboardInterrupt:
        if journal and os.path.exists(journal):
            say(f"what was answered is in {journal}; the same command goes on from there")
        raise
    def data() -> str:
        return json.dumps(result.data, indent=1) + "\n"

    # each that can be written is, and the card is shown whatever happened
    failed: OSError | None = None
    for name, text in ((a.json, data), (a.card, result.markdown), (a.picture, result.picture)):
        try:
            if name:
                outputs.write_text(name, text(), a.force)
        except OSError as problem:
            failed = failed or problem
    for text_ in result.markdown().splitlines():
        line(text_)
    if failed is not None:
        if journal:
            say(f"what was answered is in {journal}; the same command goes on from there")
        raise failed
    return 0


def _classifier(folder: str) -> Judge:
    """A classifier of texts in a folder of Hugging Face's, ToxiGen's RoBERTa for instance; its label 1 is toxic."""
    try:
        transformers: Any = import_module("transformers")
    except ImportError:
        raise ValueError("--classifier needs transformers and torch, which are not installed") from None
    ask: Any = transformers.pipeline("text-classification", model=folder, top_k=None, truncation=True)

    def judge(texts: Sequence[str]) -> list[float]:
        out = []
        for scores in ask([text or " " for text in texts]):
            by_label = {score["label"]: float(score["score"]) for score in scores}
            toxic = [value for label, value in by_label.items() if label.endswith("1") or label.lower() == "toxic"]
            if len(toxic) != 1:
                raise ValueError(f"the labels of the classifier are {', '.join(sorted(by_label))}, expected one that ends in 1 or is toxic")
            out += toxic
        return out

    return judge
