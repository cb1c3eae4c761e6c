"""What an evaluation asks: items of each task, their examples, and all of it as tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..model import Model
from . import data
from .asked import Prompt, Scored
from .question import Open, Question, Task


@dataclass
class Plan:
    """A task with its items that are asked, as tokens."""

    task: Task
    items: list[data.Item]
    asked: list[int]  # of `items`
    fingerprint: str
    questions: list[Question] = field(default_factory=list)
    scored: list[list[Scored]] = field(default_factory=list)
    prompts: list[Prompt] = field(default_factory=list)
    longest: int = 0  # positions
    prints: list[str] = field(default_factory=list)  # how each item is asked


def plans_of(tasks: dict[str, Task], wanted: Mapping[str, bool], folder: Path, limit: int | None, seed: int, runs_code: bool) -> tuple[list[Plan], dict[str, str]]:
    """wanted: tasks, and whether each was asked for by its own name. Returns plans, and why the others are left out."""
    plans: list[Plan] = []
    left_out: dict[str, str] = {}
    for name, explicit in wanted.items():
        task = tasks[name]
        why = ""
        files = [task.file] + ([task.shots_file] if task.shots_file else [])
        missing = [file for file in files if data.find(folder, file) is None]
        if missing:
            why = f"{folder} has no {missing[0]}.jsonl (nor .jsonl.xz or .jsonl.gz)"
        elif task.program and not runs_code:
            why = "it runs programs that the model wrote, which --allow-code permits (in Python allow_code=True)"
        if why and explicit:
            raise data.DataError(f"{name}: {why}")
        if why:
            left_out[name] = why
            continue
        plans.append(plan_of(task, folder, limit, seed))
    if not plans:
        raise data.DataError(f"nothing can be run: {'; '.join(f'{name}: {why}' for name, why in list(left_out.items())[:2])}")
    return plans, left_out


def plan_of(task: Task, folder: Path, limit: int | None, seed: int) -> Plan:
    path = data.find(folder, task.file)
    assert path is not None
    items, prints = data.read(path, task.fields), [data.fingerprint(path)]
    keys = [item[task.key] for item in items if task.key in item]
    if task.key and len(set(keys)) < len(keys):
        twice = next(key for number, key in enumerate(keys) if key in keys[:number])
        raise data.DataError(f'{path}: "{task.key}" is {twice!r} of two items')
    items += task.more(items) if task.more else []
    counted = [i for i, item in enumerate(items) if task.keep is None or task.keep(item)]
    pool = items
    if task.shots_file:
        other = data.find(folder, task.shots_file)
        assert other is not None
        pool = data.read(other, task.shots_fields or task.fields)
        prints.append(data.fingerprint(other))
    shots: dict[str, list[data.Item]] = {}
    if task.shots and task.shots_file != "":
        taken = set()
        for i, item in enumerate(pool):
            key = str(item[task.part]) if task.part else ""
            wanted = shots.setdefault(key, [])
            if (task.is_shot is None or task.is_shot(item)) and len(wanted) < task.shots:
                wanted.append(item)
                taken.add(i)
        if task.shots_file is None:
            counted = [i for i in counted if i not in taken]
    if not counted:
        raise data.DataError(f"{path} holds no items beside those that are shown as shots")
    plan = Plan(task, items, [counted[i] for i in data.chosen(task.name, len(counted), limit, seed)], "+".join(prints))
    for index in plan.asked:
        key = str(items[index][task.part]) if task.part else ""
        given: list[data.Item] = [{}] * task.shots if task.shots_file == "" else shots.get(key, [])
        needed = 1 if task.shots_fields else task.shots
        if task.shots and len(given) < needed:
            raise data.DataError(f"{path}: there are {len(given)} examples{f' of {task.part} {key!r}' if task.part else ''}, {task.name} takes {needed}")
        try:
            plan.questions.append(task.ask(items[index], given))
        except data.DataError as problem:
            raise data.DataError(f"{path}: {problem}") from None
    return plan


def tokenize(plan: Plan, model: Model, chat: bool, seed: int) -> None:
    name = plan.task.name
    kept: dict[str, list[int]] = {}

    def before(context: str) -> list[int]:
        if context not in kept:
            if len(kept) > 64:
                kept.clear()
            kept[context] = model.chat_tokens([{"role": "user", "content": context.strip()}]) if chat else model.tokenize_prompt(context.rstrip(" "))
        return kept[context]

    for index, question in zip(plan.asked, plan.questions):
        # a template may tell the date: of a chat it is the text that counts
        said = f"{question!r}{model.chat_template!r}" if chat else ""
        if isinstance(question, Open):
            tokens = before(question.prompt)
            stops = question.stops if not chat or question.chat_stops is None else question.chat_stops
            plan.prompts.append(Prompt(tuple(tokens), stops, question.max_tokens, question.temperature, question.top_p, f"{seed}/{name}/{index}"))
            plan.longest = max(plan.longest, len(tokens) + question.max_tokens)
            plan.prints.append(_print(said or f"{tokens}{stops}{question.max_tokens} {question.temperature} {question.top_p}"))
            continue
        texts_ = [*question.pairs, *((question.baseline, text) for _, text in question.pairs if question.by == "answer")]
        group = []
        for position, (context, text) in enumerate(texts_):
            if chat and position < len(question.pairs):
                first = before(context)
                whole = first + model.tokenize(text.strip())
                start = len(first)
            else:
                # as one text, so that no word is cut at the seam; the blank belongs to what follows it
                whole = model.tokenize_prompt(context + text)
                start = max(1, min(len(before(context) if not chat else model.tokenize_prompt(context)), len(whole) - 1))
            if len(whole) <= start:
                raise data.DataError(f"{name}: item {index} has an answer that gives no token")
            group.append(Scored(tuple(whole), start))
        plan.scored.append(group)
        plan.prints.append(_print(said or str([(s.tokens, s.start) for s in group])))
        plan.longest = max(plan.longest, *(len(s.tokens) for s in group))


def _print(said: str) -> str:
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:16]
