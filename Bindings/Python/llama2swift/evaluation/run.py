"""An evaluation from its plan to its figures."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import _arguments as A
from .. import footprint
from .._common import common_length
from .._library import version
from ..model import Model
from ..options import context_options
from ..results import Hyperparameters
from . import card, choices, code, data, hub, sandbox, texts
from .engine import PAGE, SIDE_BY_SIDE, Engine
from .figures import Judge, is_judged, judged, result_of
from .journal import Journal
from .plan import Plan, plans_of, tokenize
from .question import Choice, Task
from .report import Evaluation

TASKS: dict[str, Task] = {task.name: task for task in (*choices.TASKS, *texts.TASKS, *code.TASKS)}
# Told how much of all is done, and which task it is.
Watcher = Callable[[float, str], object]
_TOKENS_AT_ONCE = 512
# What the cache of texts that are written side by side may take, in bytes.
_WRITTEN_CACHE = 1 << 30
# Of a number in it, rounded up; quantized ones have their scales beside them.
_BYTES = {"f32": 4, "f16": 2, "q8_0": 2, "q4_0": 1}


def names(tasks: str | Sequence[str]) -> dict[str, bool]:
    """The tasks that are meant, "card" for all of the card, names, or several with commas between, and whether each was named itself. Raises ValueError."""
    if isinstance(tasks, (bytes, bytearray)) or not hasattr(tasks, "__iter__"):
        raise A.refuse("tasks", tasks, "names of tasks")
    given = tasks.split(",") if isinstance(tasks, str) else [A.string(f"tasks[{i}]", t) for i, t in enumerate(tasks)]
    out: dict[str, bool] = {}
    for name in (g.strip() for g in given):
        found = [t for group in card.GROUPS.values() for t in group] if name == "card" else [name]
        if name != "card" and name not in TASKS:
            raise ValueError(f"there is no task {A.shown(name)}; known are card, {', '.join(TASKS)}")
        out.update({t: name != "card" or out.get(t, False) for t in found})
    if not out:
        raise ValueError("no task is named")
    return out


def evaluate(
    model: Model | A.Path, data_folder: A.Path, tasks: str | Sequence[str] = "card", *, limit: int | None = None, chat: bool = False,
    seed: int = 0, context_length: int = 0, threads: int = 0, kv: str = "f16", kernels: str = "best", allow_code: bool = False,
    classifier: Judge | None = None, journal: A.Path | None = None, again: bool = False, progress: Watcher | None = None,
    watts: float | None = None, intensity: float | None = None, country: str | None = None, energy: A.Path | None = None,
) -> Evaluation:  # fmt: skip
    """Fills the Llama 2 card in for a model: its groups, with its protocol, from data files in `data_folder`; "hub:FOLDER" fetches into
    FOLDER what is missing there from the Hugging Face hub (needs `datasets`).

    tasks: "card", or names of tasks. limit: items of each, chosen by `seed`; a larger one asks all of a smaller one's. chat: asks in
    the model's chat template. context_length: positions that a question may take; 0: as many as the model was trained on. allow_code:
    programs that the model writes are run, in a sandbox (HumanEval, MBPP). classifier: says of texts how toxic they are, 0 to 1, for
    ToxiGen. journal: a file in which every answer is kept, so that a run that ended goes on; again: one of another run is
    replaced. progress(part, task). watts, intensity, country, energy: see `llama2swift.footprint`.

    Everything is read, counted and tokenized before anything runs. Raises ValueError (an unknown task, a limit of 0, a data file that is
    not there or not as it should be, a question that is too long: with the length that it needs, a journal of another run),
    OSError, and what a context raises.
    """
    # 1. what is asked for
    named = os.fsdecode(A.path("data_folder", data_folder))
    fetched = hub.folder_of(named)
    folder = fetched or Path(named)
    path = None if isinstance(model, Model) else A.path("model", model)
    wanted = names(tasks)
    most = None if limit is None else A.unsigned("limit", limit)
    if most == 0:
        raise ValueError("limit is 0: nothing would be asked")
    number, is_chat, runs_code, begins_anew = A.unsigned("seed", seed), A.flag("chat", chat), A.flag("allow_code", allow_code), A.flag("again", again)
    context_options(0, threads, 1, 0, kv, kernels, False)  # they are for later, and refused now
    kept = Path(os.fsdecode(A.path("journal", journal))) if journal is not None else None
    for name, function in (("classifier", classifier), ("progress", progress)):
        A.function(name, function)
    power = footprint.power(None if watts is None else A.real("watts", watts))
    grid = footprint.intensity(None if intensity is None else A.real("intensity", intensity), None if country is None else A.string("country", country))
    counters = footprint.powercap(None if energy is None else os.fsdecode(A.path("energy", energy)))
    if energy is not None and counters is None:
        raise ValueError(f"energy is {A.shown(energy)}, where no intel-rapl:0/energy_uj can be read")
    if fetched is not None:
        hub.fetch(folder, [file for name in wanted for file in (TASKS[name].file, TASKS[name].shots_file) if file])
    if not folder.is_dir():
        raise data.DataError(f"{folder} is no folder of data files")
    opened = model if isinstance(model, Model) else Model(os.fsdecode(path or b""))
    length = A.unsigned("context_length", context_length, 32) or opened.hyperparameters.context_length

    # 2. the plan: nothing has run until all of it is known to work
    plans, left_out = plans_of(TASKS, wanted, folder, most, number, runs_code)
    for plan in plans:
        try:
            tokenize(plan, opened, is_chat, number)
        except UnicodeEncodeError as problem:
            near = problem.object[max(0, problem.start - 30) : problem.end]
            raise data.DataError(f"{plan.task.name}: an item holds half a character (a surrogate), at the end of {near!a}") from None
    widest = max(plans, key=lambda plan: plan.longest)
    if widest.longest > length:
        raise ValueError(
            f"{widest.task.name} needs {widest.longest} positions for its longest question{f' with {widest.task.shots} shots' if widest.task.shots else ''}, "
            f"the context has {length}; context_length={widest.longest} gives them"
        )
    if classifier is not None and any(is_judged(plan) for plan in plans):
        judged(classifier, ["Hello."])
    if any(plan.task.program for plan in plans):
        sandbox.check()

    # 3. the journal
    if kept is not None and path is None and opened._pickled is None:
        raise ValueError("a journal is of a model that was loaded from a path: of other bytes it could not be told")
    started = time.time()
    sha256 = None if path is None and opened._pickled is None else _model_hash(Path(os.fsdecode(path) if path is not None else opened._pickled[0]))  # type: ignore[index]
    versions = {"llama2swift": version, "python": platform.python_version(), "numpy": np.__version__}
    trained = opened._pickled[2] if opened._pickled is not None else 0
    told = {"model": sha256, "seed": number, "chat": is_chat, "kv": kv, "version": version, **({"model_context_length": trained} if trained else {})}
    book = Journal(kept, told, again=begins_anew)
    try:
        for plan in plans:
            book.check_data(plan.task.name, plan.fingerprint)
            for index, asked, question in zip(plan.asked, plan.prints, plan.questions):
                book.check_asked(plan.task.name, index, asked, choices=len(question.pairs) if isinstance(question, Choice) else 0, is_judged=is_judged(plan))
        # 4. the run
        engine = Engine(opened, longest=widest.longest, together=_together(plans, widest.longest, opened.hyperparameters, kv), threads=threads, kv=kv, kernels=kernels, tokens_at_once=_TOKENS_AT_ONCE, energy=counters)
        try:
            info = engine.context.info
            _run(plans, engine, book, progress)
        finally:
            engine.close()
        # 5. the figures
        results, remarks = {}, []
        for plan in plans:
            results[plan.task.name], remark = result_of(plan, book, classifier)
            remarks += remark
    finally:
        book.close()
    took = book.took
    prompt, generated = (sum((footprint.Work(**t[kind]) for t in took), footprint.Work(0, 0.0, 0.0, 0.0)) for kind in ("prompt", "generated"))
    card_data: dict[str, Any] = {
        "model": {
            "name": Path(os.fsdecode(path)).name if path is not None else opened.description, "description": opened.description, "sha256": sha256,
            "bytes": opened.hyperparameters.file_bytes,
        },
        "versions": versions,
        "settings": {"chat": is_chat, "seed": number, "limit": most, "context_length": length, "threads": info.threads, "kernels": info.kernels, "kv": kv},
        "tasks": results, "left_out": left_out, "remarks": remarks, "footprint": footprint.report(prompt, generated, power, grid),
        "seconds": sum(t["seconds"] for t in took), "began": _clock(started), "ended": _clock(time.time()),
    }  # fmt: skip
    return Evaluation({**card_data, "groups": Evaluation(card_data).group_data()})


def _together(plans: Sequence[Plan], longest: int, h: Hyperparameters, kv: str) -> int:
    """longest: positions of the longest question. Positions with which texts that are written have room side by side: of what they ask the first has all, the others what is not alike, and a page that is begun at either end. Not more
    than `_WRITTEN_CACHE` bytes of keys and values hold: the cache of a large model stays small beside it."""
    needs = sorted(
        (len(prompt.tokens) - common_length(prompt.tokens, plan.prompts[i - 1].tokens) + prompt.max_tokens + 2 * PAGE for plan in plans for i, prompt in enumerate(plan.prompts) if i),
        reverse=True,
    )
    numbers = 2 * h.block_count * h.head_count_kv * h.head_dimension
    return min(longest + sum(needs[: SIDE_BY_SIDE - 1]), _WRITTEN_CACHE // (numbers * _BYTES[kv]))


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def _model_hash(path: Path) -> str:
    """SHA-256 of the model's file; of a folder or a GGUF in parts, of the names and hashes of its files."""
    split = re.fullmatch(r"(.*-)00001(-of-[0-9]{5}\.gguf)", path.name, re.DOTALL)
    if path.is_file() and not split:
        return data.fingerprint(path)
    digest = hashlib.sha256()
    beside = path.parent.iterdir() if split else path.iterdir()
    for file in sorted(p for p in beside if p.is_file() and (not split or p.name.startswith(split[1]) and p.name.endswith(split[2]))):
        digest.update(os.fsencode(file.name) + b"\0" + data.fingerprint(file).encode() + b"\n")
    return digest.hexdigest()


# The run


def _run(plans: Sequence[Plan], engine: Engine, book: Journal, progress: Watcher | None) -> None:
    everything = sum(len(plan.asked) for plan in plans)
    done = 0
    for plan in plans:
        left = [i for i, index in enumerate(plan.asked) if (plan.task.name, index) not in book.items]
        done += len(plan.asked) - len(left)
        meter = _Meter(engine)
        try:
            for _ in _answers(plan, left, engine, book):
                done += 1
                if progress is not None:
                    progress(done / everything, plan.task.name)
        finally:
            if left and meter.moved():
                book.add_took(meter.took())


def _answers(plan: Plan, left: Sequence[int], engine: Engine, book: Journal) -> Iterator[None]:
    task = plan.task
    if plan.scored:
        # a question's answers and what they are compared with begin differently: each has a head of its own
        cuts = [len(plan.questions[i].pairs) for i in left]  # type: ignore[union-attr]
        parts = [part for i, cut in zip(left, cuts) for part in (plan.scored[i][:cut], plan.scored[i][cut:]) if part]
        scored = engine.score(parts)
        for i, cut in zip(left, cuts):
            answers = [a for _ in range(2 if len(plan.scored[i]) > cut else 1) for a in next(scored)]
            question = plan.questions[i]
            assert isinstance(question, Choice)
            values = [a.log_probability for a in answers]
            count = len(question.pairs)
            value, chosen = question.value(values[:count], values[count:])
            book.add(task.name, plan.asked[i], asked=plan.prints[i], value=value, chosen=chosen, log_probabilities=[round(v, 6) for v in values])
            yield
    else:
        for number, written in engine.generate([plan.prompts[i] for i in left]):
            index = plan.asked[left[number]]
            item, more = plan.items[index], {}
            if task.program is not None:
                outcome = sandbox.run(task.program(item, written.text))
                counts: float | None = float(outcome.passed)
                more = {"why": outcome.why, "said": outcome.said}
            else:
                counts = task.grade(item, written.text) if task.grade is not None else None
            book.add(task.name, index, asked=plan.prints[left[number]], value=counts, text=written.text, ended=written.reason, **more)
            yield


class _Meter:
    """What a stretch of a run takes."""

    def __init__(self, engine: Engine):
        self.engine, self.start, self.first = engine, time.monotonic(), engine.work()

    def moved(self) -> bool:
        return self.engine.work() != self.first

    def took(self) -> dict[str, Any]:
        out: dict[str, Any] = {"seconds": time.monotonic() - self.start}
        for kind, now, before in zip(("prompt", "generated"), self.engine.work(), self.first):
            joules = None if now.joules is None or before.joules is None else now.joules - before.joules
            out[kind] = {"tokens": now.tokens - before.tokens, "seconds": now.seconds - before.seconds, "cpu_seconds": now.cpu_seconds - before.cpu_seconds, "joules": joules}
        return out
