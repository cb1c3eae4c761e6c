"""The card, filled in: as data, as Markdown, as a picture."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from .. import footprint
from . import card


@dataclass(frozen=True)
class Figure:
    """An average of `items` values of 0 to 1 (nan: none was judged), and the standard error of it (nan: of one item it is not known)."""

    value: float
    error: float
    items: int

    def __str__(self) -> str:
        return "-" if math.isnan(self.value) else f"{100 * self.value:.1f}" + ("" if math.isnan(self.error) else f" ± {100 * self.error:.1f}")


def average(values: Sequence[float]) -> Figure:
    """Of items."""
    count = len(values)
    if not count:
        return Figure(math.nan, math.nan, 0)
    mean = math.fsum(values) / count
    spread = math.fsum((v - mean) ** 2 for v in values) / (count - 1) if count > 1 else math.nan
    return Figure(mean, math.sqrt(spread / count), count)


def together(figures: Sequence[Figure]) -> Figure:
    """The average of averages, each of which counts the same. Where one of them is of a single item, the error follows from how far they lie apart, which is
    rather too large (strata that are collapsed: Cochran, Sampling Techniques, 5A.12)."""
    count = len(figures)
    if not count:
        return Figure(math.nan, math.nan, 0)
    if any(math.isnan(f.error) for f in figures):
        apart = average([f.value for f in figures])
        return Figure(apart.value, apart.error, sum(f.items for f in figures))
    error = math.sqrt(math.fsum(f.error**2 for f in figures)) / count
    return Figure(math.fsum(f.value for f in figures) / count, error, sum(f.items for f in figures))


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` gives: `data` is what `evaluate --json` writes; see `markdown` and `picture`."""

    data: dict[str, Any]

    @property
    def tasks(self) -> dict[str, Figure]:
        """The figure of each task that was run."""
        return {name: Figure(t["value"] if t["value"] is not None else math.nan, t["error"] if t["error"] is not None else math.nan, t["items"]) for name, t in self.data["tasks"].items()}

    @property
    def groups(self) -> dict[str, tuple[Figure, list[str]]]:
        """(average, tasks) of each group of the card of which something was run."""
        tasks, out = self.tasks, {}
        for group, names in card.GROUPS.items():
            there = [name for name in names if name in tasks and not math.isnan(tasks[name].value)]
            # of TruthfulQA's two ways of counting there is no average
            if there:
                out[group] = (tasks[there[-1]] if group == "TruthfulQA" else together([tasks[name] for name in there]), there)
        return out

    def group_data(self) -> dict[str, Any]:
        """The groups for JSON."""
        return {
            group: {"value": figure.value, "error": None if math.isnan(figure.error) else figure.error, "items": figure.items, "tasks": there}
            for group, (figure, there) in self.groups.items()
        }  # fmt: skip

    def markdown(self) -> str:
        """The card."""
        d = self.data
        m, s = d["model"], d["settings"]
        lines = [
            f"# {_plain(m['name'])}", "", f"{_plain(m['description'])}, {m['bytes'] / 1e6:.1f} MB, SHA-256 `{m['sha256'] or 'unknown'}`.", "",
            f"llama2swift {d['versions']['llama2swift']}, Python {d['versions']['python']}, numpy {d['versions']['numpy']}; {s['kernels']} kernels, {s['threads']} threads, KV cache in {s['kv']}; "
            f"{'as a chat' if s['chat'] else 'as plain text'}, seed {s['seed']}, {'all items' if s['limit'] is None else f'at most ' + str(s['limit']) + ' items a task'}; {d['seconds']:.0f} s until {d['ended']}.", "",
        ]  # fmt: skip
        lines += ["Percent, ± standard error; the rows below are the published card's.", "", *_groups_table(self), "", "| task | figure | % | items | shots | how |", "|---|---|---|---|---|---|"]
        for name, task in d["tasks"].items():
            lines.append(f"| {name} | {task['metric']}{' (less is better)' if task['less_is_better'] else ''} | {self.tasks[name]} | {task['items']} | {task['shots']} | {task['note']} |")
        lines += ["", *[f"- {line}" for line in self.remarks()]]
        if "footprint" in d:
            lines += ["", "Footprint: " + "; ".join(footprint.sentences(d["footprint"])) + "."]
        return "\n".join(lines) + "\n"

    def remarks(self) -> list[str]:
        """What stands beside nothing of the published card, and what was not run."""
        out = [f"{group}: {text}." for group, text in card.NOT_THE_CARDS.items() if any(t in self.data["tasks"] for t in card.GROUPS[group])]
        for group, (_, there) in self.groups.items():
            missing = [t for t in card.GROUPS[group] if t not in there]
            if missing:
                out.append(f"{group} is without {', '.join(missing)}: beside the published row it is of other tasks.")
        out += [text for group, text in card.OF_THE_PUBLISHED.items() if group in self.groups]
        return out + [f"{name} was not run: {why}." for name, why in self.data["left_out"].items()] + list(self.data["remarks"])

    def picture(self) -> str:
        """The groups as bars with their standard errors, Llama 2's beside them as marks: SVG."""
        return _svg(self)


def _shown(name: str) -> str:
    """A name, which a file may have of any bytes, in one line of UTF-8: what cannot be shown as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def _plain(name: str) -> str:
    """The same in Markdown: no mark of it means anything."""
    return re.sub(r"([\\`*|<\[\]])", r"\\\1", _shown(name))


def _groups_table(evaluation: Evaluation) -> list[str]:
    groups = evaluation.groups
    if not groups:
        return ["Nothing that the card has was run."]
    rows = [f"| | {' | '.join(groups)} |", "|---" * (len(groups) + 1) + "|", f"| **{_plain(evaluation.data['model']['name'])}** | {' | '.join(str(figure) for figure, _ in groups.values())} |"]
    for model in [*card.PUBLISHED, *(m for m in card.PUBLISHED_SAFETY if m not in card.PUBLISHED)]:
        cells = [card.published(group).get(model) for group in groups]
        if any(cell is not None for cell in cells):
            rows.append(f"| {model} | {' | '.join('' if cell is None else f'{cell:g}' for cell in cells)} |")
    return rows


def _svg(evaluation: Evaluation) -> str:
    groups, width, left, row = evaluation.groups, 720, 190, 34
    scale = (width - left - 30) / 100
    height = 60 + row * max(len(groups), 1)
    marks = {"Llama 2 7B": "#888", "Llama 2 13B": "#555", "Llama 2 70B": "#000"}
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="#fff"/><text x="10" y="20" font-weight="bold">{escape(_shown(evaluation.data["model"]["name"]))}</text>',
    ]
    for i, (model, colour) in enumerate(marks.items()):
        x = left + 130 * i
        out.append(f'<line x1="{x}" y1="8" x2="{x}" y2="24" stroke="{colour}" stroke-width="3"/><text x="{x + 8}" y="21">{model}</text>')
    for i, (group, (figure, _)) in enumerate(groups.items()):
        y = 40 + row * i
        end, spread = left + 100 * figure.value * scale, 0.0 if math.isnan(figure.error) else 100 * figure.error * scale
        out.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{escape(group)}</text><rect x="{left}" y="{y}" width="{end - left:.1f}" height="20" fill="#4a90d9"/>')
        out.append(f'<line x1="{end - spread:.1f}" y1="{y + 10}" x2="{end + spread:.1f}" y2="{y + 10}" stroke="#123"/><text x="{end + spread + 6:.1f}" y="{y + 15}">{100 * figure.value:.1f}</text>')
        for model, colour in marks.items():
            if model in card.published(group):
                at = left + card.published(group)[model] * scale
                out.append(f'<line x1="{at:.1f}" y1="{y - 3}" x2="{at:.1f}" y2="{y + 23}" stroke="{colour}" stroke-width="3"/>')
    return "\n".join([*out, "</svg>"]) + "\n"
