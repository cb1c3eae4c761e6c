#!/usr/bin/env python3
"""CARD.md: the Llama 2 card filled in for a model and for what quantizing it costs, beside the published rows.

    card.py --work FOLDER [--model FILE] [--types F16,Q8_0,Q4_K_M,Q2_K] [--limits 100,500] [--written 100] [--tasks card] [--page] [--output CARD.md]

The types are made from the file that is given (a quantized file cannot become better than it is, which the page says). Every answer is kept in --work, so that the
script goes on where it ended. It asks the first limit of every task of the file that is given, then of the others, then the next limit: the page takes of each task and
file the largest limit that the file has reached, and --page writes it from what is there without asking anything. Several processes with the same --work share what is to be asked (the
answers do not depend on who asks). All figures of the page are from the files in --work.
"""

import argparse
import fcntl
import functools
import json
import os
import time
from pathlib import Path

import llama2swift
from llama2swift.evaluation import TASKS, card, report, run
from llama2swift.evaluation.report import Evaluation, Figure
from llama2swift.evaluation.plan import plan_of

SHARED = Path(__file__).resolve().parents[4] / "shared/data/eval"
RESULTS = Path(__file__).resolve().parent / "results"


def models(a) -> dict[str, Path]:
    """The file as it is and the types, which are made where they are not there yet."""
    a.work.mkdir(parents=True, exist_ok=True)
    out = {"as it is": Path(a.model)}
    for kind in [t for t in a.types.split(",") if t]:
        made = a.work / f"{Path(a.model).stem}.{kind}.gguf"
        if not made.exists():
            (llama2swift.convert if kind in ("F32", "F16", "BF16", "Q8_0") else llama2swift.quantize)(a.model, made, kind)
        out[kind] = made
    return out


def limit_of(a, name: str, limit: int) -> int:
    """Of a task at a stage; writing takes a hundred times as long as choosing."""
    return limit if name in _CHOICES else min(limit, a.written)


_CHOICES = {task.name for task in run.choices.TASKS}


def cost(task: str) -> tuple[bool, bool, int]:
    """What is had soonest comes first: choices, those with few words before them."""
    return task not in _CHOICES, TASKS[task].part is not None, TASKS[task].shots


@functools.cache
def asked(data: Path, task: str, limit: int) -> set[int]:
    """The items of a task at a stage."""
    return set(plan_of(TASKS[task], data, limit, 0).asked)


def ask(a, name: str, path: Path, task: str, limit: int) -> Evaluation:
    """What the journal has is not asked again."""
    return llama2swift.evaluate(
        path, a.data, task, limit=limit, context_length=a.context, threads=a.threads, allow_code=a.allow_code, journal=journal(a, path), watts=a.watts,
        progress=None if a.quiet else lambda part, _: print(f"\r{name}: {task} {limit}: {100 * part:5.1f} %   ", end="", flush=True),
    )  # fmt: skip


def ask_all(a, files: dict[str, Path], tasks: list[str]) -> None:
    """Stage by stage; of each the first file's tasks first, so that the page has every row. A file is asked by one process at a time."""
    left = sorted((stage, name != next(iter(files)), cost(task), task, number, limit, name) for stage, limit in enumerate(a.limits) for task in tasks for number, name in enumerate(files))
    while left:
        for one in left:
            *_, task, _, limit, name = one
            with open(journal(a, files[name]).with_suffix(".lock"), "w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                if not asked(a.data, task, limit_of(a, task, limit)) <= answered(journal(a, files[name])).get(task, set()):
                    ask(a, name, files[name], task, limit_of(a, task, limit))
                left.remove(one)
                break
        else:
            time.sleep(1)


def journal(a, path: Path) -> Path:
    return a.work / f"{path.name}.items"


def entries(path: Path) -> dict[tuple[str, int], dict]:
    """What a journal has of each task and item; a line that was cut short is none."""
    lines = map(json.loads, path.read_text().split("\n")[:-1] if path.exists() else [])
    return {(entry["task"], entry["item"]): entry for entry in lines if "item" in entry}


def answered(path: Path) -> dict[str, set[int]]:
    """Task -> the items that a journal has."""
    out: dict[str, set[int]] = {}
    for task, item in entries(path):
        out.setdefault(task, set()).add(item)
    return out


def reached(a, path: Path, task: str) -> int | None:
    """The largest limit of which a file has all items; None: not even the first."""
    kept = answered(journal(a, path)).get(task, set())
    for limit in sorted(a.limits, reverse=True) if why(a, task) == _NO_TIME else ():
        if asked(a.data, task, limit_of(a, task, limit)) <= kept:
            return limit_of(a, task, limit)
    return None


def collected(a, files: dict[str, Path], tasks: list[str]) -> dict[str, Evaluation]:
    """One evaluation of each file that has something, from what it has."""
    found: dict[str, Evaluation] = {}
    for name, path in files.items():
        limits = {task: reached(a, path, task) for task in tasks}
        # all of it is in the journal
        parts = [ask(a, name, path, ",".join(t for t in tasks if limits[t] == limit), limit) for limit in sorted({n for n in limits.values() if n})]
        if not parts:
            continue
        whole = dict(parts[-1].data)  # the journal's footprint is of all that was run
        results = {task: result for part in parts for task, result in part.data["tasks"].items()}
        whole["tasks"] = {task: results[task] for task in tasks if task in results}
        whole["remarks"] = list(dict.fromkeys(remark for part in parts for remark in part.data["remarks"]))
        whole["left_out"] = {task: why(a, task) for task in tasks if not limits[task]}
        whole["groups"] = Evaluation(whole).group_data()
        found[name] = Evaluation(whole)
        (a.work / f"{path.name}.json").write_text(json.dumps(whole, indent=1) + "\n")
    if next(iter(files)) not in found:
        raise SystemExit(f"no task has {a.limits[0]} items of {next(iter(files))} yet")
    return found


def cell(e: Evaluation, first: Evaluation, task: str) -> str:
    """A figure, and of how many items where the first file has another number."""
    if task not in e.tasks:
        return ""
    items = e.data["tasks"][task]["items"]
    return f"{e.tasks[task]}{f' ({items})' if items != first.data['tasks'][task]['items'] else ''}"


def group_cell(e: Evaluation, first: Evaluation, group: str) -> str:
    """Of a group only where the file has all tasks of it that the first has: else it would be an average of others."""
    if group not in e.groups or e.groups[group][1] != first.groups[group][1]:
        return ""
    figure, own = e.groups[group][0], first.groups[group][0]
    return f"{figure}{f' ({figure.items})' if figure.items != own.items else ''}"


_NO_TIME = "it was not reached in the time that there was"


def why(a, task: str) -> str:
    """Of a task without a figure."""
    if run.data.find(a.data, TASKS[task].file) is None:
        return "its data is not there"
    if TASKS[task].program and not a.allow_code:
        return "it runs programs that the model wrote, which --allow-code permits"
    return _NO_TIME


def page(found: dict[str, Evaluation], costs: dict[str, tuple[Figure, float, int]], remark: str) -> str:
    """The page, from the evaluations and comparisons alone."""
    first = next(iter(found.values()))
    groups = list(first.groups)
    lines = [f"# The Llama 2 card of {first.data['model']['description']}", ""]
    lines += [
        f"`card.py` made this page: at most {max(t['items'] for t in first.data['tasks'].values())} items a task (how many stands with each, and in brackets where a file had fewer), chosen by seed {first.data['settings']['seed']}, asked as plain text with the card's shots; percent, ± standard error. The rows below the line are "
        "the published card's (Touvron et al., Llama 2, 2023), of models fifty to five hundred times as large, as a yardstick.", "",
    ]  # fmt: skip
    if remark:
        lines += [remark, ""]
    lines += [f"| | MB | {' | '.join(groups)} |", "|---" * (len(groups) + 2) + "|"]
    for name, e in found.items():
        lines.append(f"| **{name}** | {e.data['model']['bytes'] / 1e6:.0f} | {' | '.join(group_cell(e, first, g) for g in groups)} |")
    for model in [*card.PUBLISHED, *(m for m in card.PUBLISHED_SAFETY if m not in card.PUBLISHED)]:
        cells = [card.published(g).get(model) for g in groups]
        if any(c is not None for c in cells):
            lines.append(f"| {model} | | {' | '.join('' if c is None else f'{c:g}' for c in cells)} |")
    lines += ["", "## By task, and what quantizing costs", "", f"| task | items | shots | {' | '.join(found)} | how |", "|---" * (len(found) + 4) + "|"]
    for task, t in first.data["tasks"].items():
        cells = [cell(e, first, task) for e in found.values()]
        lines.append(f"| {task} | {t['items']} | {t['shots']} | {' | '.join(cells)} | {t['metric']}; {t['note']} |")
    base = next(iter(found))
    if costs:
        lines += ["", f"Points beside {base}, over the tasks with given answers, each of which counts the same, and the items that both were asked; and how many of the answers are others:", ""]
        lines += ["| | points | other answers | items |", "|---|---|---|---|"]
        lines += [f"| {name} | {100 * points.value:+.1f} ± {100 * points.error:.1f} | {share:.1f} % | {items} |" for name, (points, share, items) in costs.items()]
    lines += ["", "## What stands beside nothing, and what was not run", "", *[f"- {line}" for line in first.remarks()], "", "## Footprint and provenance", ""]
    for name, e in found.items():
        took = e.data["footprint"]
        said = [f"{took[k]['joules_per_token']:.3g} J a {k} token ({took[k]['label']})" for k in ("prompt", "generated") if k in took]
        lines.append(f"- {name}: SHA-256 `{e.data['model']['sha256']}`; {e.data['seconds']:.0f} s on {e.data['settings']['threads']} thread{'s' * (e.data['settings']['threads'] != 1)} ({e.data['settings']['kernels']}); {', '.join(said)}")
    v = first.data["versions"]
    lines.append(f"- llama2swift {v['llama2swift']}, Python {v['python']}, numpy {v['numpy']}; until {first.data['ended']}; {first.data['footprint']['intensity']['source']}")
    return "\n".join(lines) + "\n"


def compare(a, one: Path, other: Path, tasks: list[str]) -> tuple[Figure, float, int]:
    """(how much better the other is and the standard error of that, percent of the answers that are others, items): over the items that both were asked at the
    largest limit that both have reached, of tasks with given answers; each task counts the same."""
    kept = [entries(journal(a, path)) for path in (one, other)]
    differences, others = [], []
    for task in _CHOICES.intersection(tasks):
        limits = [reached(a, path, task) for path in (one, other)]
        if all(limits):
            pairs = [[entry[task, item] for entry in kept] for item in asked(a.data, task, min(limits))]
            differences.append(report.average([theirs["value"] - ours["value"] for ours, theirs in pairs]))
            others += [theirs["chosen"] != ours["chosen"] for ours, theirs in pairs]
    return report.together(differences), 100 * sum(others) / max(len(others), 1), len(others)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default=os.environ.get("LLAMA2SWIFT_MODEL"))
    parser.add_argument("--types", default="F16,Q8_0,Q4_K_M,Q2_K")
    parser.add_argument("--tasks", default="card")
    parser.add_argument("--limits", type=lambda text: [int(n) for n in text.split(",")], default=[100, 500])
    parser.add_argument("--written", type=int, default=100, help="at most so many items of a task whose answers are written")
    parser.add_argument("--page", action="store_true", help="ask nothing, write the page from what is there")
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
    files = models(a)
    tasks = run.names(a.tasks)
    if not a.page:
        ask_all(a, files, [t for t in tasks if run.data.find(a.data, TASKS[t].file) and (a.allow_code or not TASKS[t].program)])
    found = collected(a, files, tasks)
    costs = {name: compare(a, files[next(iter(found))], files[name], tasks) for name in list(found)[1:]}
    a.output.write_text(page(found, costs, a.remark))
    print(f"\n{a.output}")


if __name__ == "__main__":
    main()
