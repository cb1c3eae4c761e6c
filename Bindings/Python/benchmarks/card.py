#!/usr/bin/env python3
"""CARD.md: the Llama 2 card filled in for a model and for what quantizing it costs, beside the published rows.

    card.py --model FILE [--types F16,Q8_0,Q4_K_M,Q2_K] [--limit 500] [--tasks card] [--data FOLDER] [--work FOLDER] [--output CARD.md] [--quiet]

The types are made from the widest file that is given (a quantized file cannot become better than it is, which the page says). Each run's answers are kept in
--work, so that the script goes on where it ended, and can be given a larger limit later. All figures of the page are from these files.
"""

import argparse
import json
import os
from pathlib import Path

import llama2swift
from llama2swift.evaluation import card, report
from llama2swift.evaluation.report import Evaluation

SHARED = Path(__file__).resolve().parents[4] / "shared/data/eval"
RESULTS = Path(__file__).resolve().parent / "results"


def runs(a):
    """(name, evaluation) of the model and of each type."""
    a.work.mkdir(parents=True, exist_ok=True)
    models = [("as it is", Path(a.model))]
    for kind in [t for t in a.types.split(",") if t]:
        made = a.work / f"{Path(a.model).stem}.{kind}.gguf"
        if not made.exists():
            (llama2swift.convert if kind in ("F32", "F16", "BF16", "Q8_0") else llama2swift.quantize)(a.model, made, kind)
        models.append((kind, made))
    for name, path in models:
        def tell(part, task, name=name):
            if not a.quiet:
                print(f"\r{name}: {100 * part:5.1f} % {task:20}", end="", flush=True)

        found = llama2swift.evaluate(
            path, a.data, a.tasks, limit=a.limit, context_length=a.context, threads=a.threads, allow_code=a.allow_code, journal=a.work / f"{path.name}.items", progress=tell, watts=a.watts
        )  # fmt: skip
        (a.work / f"{path.name}.json").write_text(json.dumps(found.data, indent=1) + "\n")
        yield name, found


def page(found: dict[str, Evaluation], limit: int | None, remark: str) -> str:
    """The page, from the evaluations alone."""
    first = next(iter(found.values()))
    groups = list(first.groups)
    lines = [f"# The Llama 2 card of {first.data['model']['description']}", ""]
    lines += [
        f"`card.py` made this page: {'all items' if limit is None else f'at most {limit} items'} a task, chosen by seed {first.data['settings']['seed']}, asked as plain text with the card's shots; percent, ± standard error. The rows below the line are "
        "the published card's (Touvron et al., Llama 2, 2023), of models fifty to five hundred times as large, as a yardstick.", "",
    ]  # fmt: skip
    if remark:
        lines += [remark, ""]
    lines += [f"| | MB | {' | '.join(groups)} |", "|---" * (len(groups) + 2) + "|"]
    for name, e in found.items():
        lines.append(f"| **{name}** | {e.data['model']['bytes'] / 1e6:.0f} | {' | '.join(str(e.groups[g][0]) if g in e.groups else '' for g in groups)} |")
    for model in [*card.PUBLISHED, *(m for m in card.PUBLISHED_SAFETY if m not in card.PUBLISHED)]:
        cells = [card.published(g).get(model) for g in groups]
        if any(c is not None for c in cells):
            lines.append(f"| {model} | | {' | '.join('' if c is None else f'{c:g}' for c in cells)} |")
    lines += ["", "## By task, and what quantizing costs", "", f"| task | items | shots | {' | '.join(found)} | how |", "|---" * (len(found) + 4) + "|"]
    for task, t in first.data["tasks"].items():
        cells = [str(e.tasks[task]) for e in found.values()]
        lines.append(f"| {task} | {t['items']} | {t['shots']} | {' | '.join(cells)} | {t['metric']}; {t['note']} |")
    base, others = next(iter(found.items()))[0], list(found)[1:]
    if others:
        lines += ["", f"Points beside {base}, over the tasks with given answers, and how many of the answers are others:", "", "| | points | other answers |", "|---|---|---|"]
        lines += [f"| {name} | {points:+.1f} | {share:.1f} % |" for name in others for points, share in [compare(found[base], found[name])]]
    lines += ["", "## What stands beside nothing, and what was not run", "", *[f"- {line}" for line in first.remarks()], "", "## Footprint and provenance", ""]
    for name, e in found.items():
        took = e.data["footprint"]
        said = [f"{took[k]['joules_per_token']:.3g} J a {k} token ({took[k]['label']})" for k in ("prompt", "generated") if k in took]
        lines.append(f"- {name}: SHA-256 `{e.data['model']['sha256']}`; {e.data['seconds']:.0f} s on {e.data['settings']['threads']} threads ({e.data['settings']['kernels']}); {', '.join(said)}")
    v = first.data["versions"]
    lines.append(f"- llama2swift {v['llama2swift']}, Python {v['python']}, numpy {v['numpy']}; until {first.data['ended']}; {first.data['footprint']['intensity']['source']}")
    return "\n".join(lines) + "\n"


def compare(one: Evaluation, other: Evaluation) -> tuple[float, float]:
    """(points, percent of answers that differ) over tasks with given answers, of which the runs keep what was chosen."""
    tasks = [t for t, d in one.data["tasks"].items() if t in other.data["tasks"] and "chosen" in d]
    points = [100 * (other.tasks[t].value - one.tasks[t].value) for t in tasks]
    differ = [c != d for t in tasks for c, d in zip(one.data["tasks"][t]["chosen"], other.data["tasks"][t]["chosen"])]
    return (report.average(points).value if points else 0.0), (100 * sum(differ) / len(differ) if differ else 0.0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default=os.environ.get("LLAMA2SWIFT_MODEL"))
    parser.add_argument("--types", default="F16,Q8_0,Q4_K_M,Q2_K")
    parser.add_argument("--tasks", default="card")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--context", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--watts", type=float)
    parser.add_argument("--allow-code", action="store_true")
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=RESULTS / "CARD.md")
    parser.add_argument("--remark", default="")
    parser.add_argument("--quiet", action="store_true")
    a = parser.parse_args()
    found = dict(runs(a))
    a.output.write_text(page(found, a.limit, a.remark))
    print(f"\n{a.output}")


if __name__ == "__main__":
    main()
