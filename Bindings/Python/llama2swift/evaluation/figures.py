"""The figures of a task from what was answered."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from . import card
from .journal import Journal
from .plan import Plan
from .report import Figure, average, together

# Judges of a list of texts: how much each counts, 0 to 1.
Judge = Callable[[Sequence[str]], Sequence[float]]


def result_of(plan: Plan, book: Journal, classifier: Judge | None) -> tuple[dict[str, Any], list[str]]:
    task = plan.task
    there, counted, asked = (_parts(plan, of) for of in (range(len(plan.items)), [i for i, item in enumerate(plan.items) if task.keep is None or task.keep(item)], plan.asked))
    remarks = card.of_other_parts(task.name, there, counted)
    if task.macro and asked < counted:
        remarks.append(f"{task.name}: the items that were asked are of {len(asked)} of the file's {len(counted)} parts; the average is over those.")
    entries = [book.items[task.name, index] for index in plan.asked]
    values: list[float] = [e["value"] for e in entries if e["value"] is not None]
    if is_judged(plan):
        if classifier is None:
            remarks.append(f"{task.name}: {len(entries)} texts were generated and not judged; a classifier does that (--classifier)")
        else:
            values = [float(v >= 0.5) for v in judged(classifier, [e["text"] for e in entries])]
    parts: dict[str, list[float]] = {}
    if task.part and values:
        for index, value in zip(plan.asked, values):
            parts.setdefault(str(plan.items[index][task.part]), []).append(value)
    figure = together([average(v) for v in parts.values()]) if task.macro else average(values)
    return {
        "value": _number(figure.value), "error": _number(figure.error), "items": len(entries), "metric": task.metric, "shots": task.shots, "note": task.note,
        "less_is_better": task.less_is_better, "data": plan.fingerprint, "parts": {name: _figure(average(v)) for name, v in parts.items()},
        **({"chosen": [e["chosen"] for e in entries]} if plan.scored else {}),
    }, remarks  # fmt: skip


def _parts(plan: Plan, indices: Iterable[int]) -> set[str]:
    return {str(plan.items[i][plan.task.part]) for i in indices} if plan.task.part else set()


def is_judged(plan: Plan) -> bool:
    """Whether the texts of a task say nothing without a classifier."""
    return plan.task.grade is None and plan.task.program is None and not plan.scored


def judged(classifier: Judge, texts: Sequence[str]) -> list[float]:
    """What a classifier says of each text; numbers of numpy and torch are numbers. Raises ValueError."""
    said = list(classifier(texts))
    try:
        values = [float(v) for v in said]
    except (TypeError, ValueError):
        values = []
    if len(values) != len(texts) or not all(0 <= v <= 1 for v in values):
        raise ValueError(f"the classifier gave {len(said)} values for {len(texts)} texts, expected one of 0 to 1 for each")
    return values


def _figure(figure: Figure) -> dict[str, Any]:
    return {"value": _number(figure.value), "error": _number(figure.error), "items": figure.items}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
