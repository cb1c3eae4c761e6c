"""Data files from the Hugging Face hub, in the form of the others: `hub:FOLDER` fetches what a task needs and FOLDER does not have.

Only where `datasets` is installed and a network is there. What is fetched is written once, as NAME.jsonl; from then on the folder is one as any other. Of the hub's
fields nothing is guessed: a row that is not as it should be is refused, and a split is asked for by its name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from .._whole import write_text
from .data import DataError, Item, find

PREFIX = "hub:"
Row = Mapping[str, Any]


def _lettered(row: Row, question: str) -> Item:
    """Choices with labels, of which the key names one."""
    labels, texts = list(row["choices"]["label"]), list(row["choices"]["text"])
    return {"question": row[question], "choices": texts, "gold": labels.index(row["answerKey"])}


def _by_number(question: str, choices: Sequence[str], gold: str, first: int) -> Callable[[Row], Item]:
    """Choices in fields of their own; the right one's number, of which the first is `first`."""

    def item(row: Row) -> Item:
        number = int(row[gold]) - first
        if not 0 <= number < len(choices):
            raise ValueError(f"{gold} is {row[gold]!r}")
        return {"question": row[question], "choices": [row[c] for c in choices], "gold": number}

    return item


def _siqa(row: Row) -> Item:
    asked = _by_number("question", ("answerA", "answerB", "answerC"), "label", 1)(row)
    return {**asked, "question": f"{row['context']} {row['question']}"}


def _truthful(row: Row) -> Item:
    return {
        "Question": row["question"], "Best Answer": row["best_answer"], "Correct Answers": "; ".join(row["correct_answers"]),
        "Incorrect Answers": "; ".join(row["incorrect_answers"]),
    }  # fmt: skip


def _same(*fields: str) -> Callable[[Row], Item]:
    return lambda row: {field: row[field] for field in fields}


def _mmlu(row: Row) -> Item:
    return {"subject": row["subject"], "question": row["question"], "choices": row["choices"], "gold": row["answer"]}


# file -> (data set, configuration, splits one after the other, item of a row)
SOURCES: dict[str, tuple[str, str | None, tuple[str, ...], Callable[[Row], Item]]] = {
    "piqa": ("baber/piqa", None, ("validation",), _by_number("goal", ("sol1", "sol2"), "label", 0)),
    "siqa": ("allenai/social_i_qa", None, ("validation",), _siqa),
    "hellaswag": ("Rowan/hellaswag", None, ("validation",), lambda r: {"question": f"{r['activity_label']}: {r['ctx']}", "choices": list(r["endings"]), "gold": int(r["label"])}),
    "winogrande": ("allenai/winogrande", "winogrande_xl", ("validation",), _by_number("sentence", ("option1", "option2"), "answer", 1)),
    "arc_easy": ("allenai/ai2_arc", "ARC-Easy", ("test",), lambda r: _lettered(r, "question")),
    "arc_challenge": ("allenai/ai2_arc", "ARC-Challenge", ("test",), lambda r: _lettered(r, "question")),
    "openbookqa": ("allenai/openbookqa", "main", ("test",), lambda r: _lettered(r, "question_stem")),
    "commonsenseqa": ("tau/commonsense_qa", None, ("validation",), lambda r: _lettered(r, "question")),
    "boolq": ("google/boolq", None, ("validation",), _same("passage", "question", "answer")),
    "mmlu_test": ("cais/mmlu", "all", ("test",), _mmlu),
    "mmlu_dev": ("cais/mmlu", "all", ("dev",), _mmlu),
    "truthfulqa": ("truthfulqa/truthful_qa", "generation", ("validation",), _truthful),
    "natural_questions": ("google-research-datasets/nq_open", None, ("validation",), _same("question", "answer")),
    "triviaqa": ("mandarjoshi/trivia_qa", "rc.nocontext", ("validation",), lambda r: {"question": r["question"], "golden_answers": [r["answer"]["value"], *r["answer"]["aliases"]]}),
    "squad": ("rajpurkar/squad_v2", None, ("validation",), lambda r: {"passage": r["context"], "question": r["question"], "answers": list(r["answers"]["text"])}),
    "gsm8k_test": ("openai/gsm8k", "main", ("test",), _same("question", "answer")),
    "gsm8k_train": ("openai/gsm8k", "main", ("train",), _same("question", "answer")),
    "math": ("HuggingFaceH4/MATH-500", None, ("test",), lambda r: {"question": r["problem"], "answer": r["answer"]}),
    "humaneval": ("openai/openai_humaneval", None, ("test",), _same("task_id", "prompt", "entry_point", "test")),
    "mbpp": ("google-research-datasets/mbpp", "full", ("prompt", "test", "validation", "train"), _same("task_id", "text", "code", "test_list", "test_setup_code")),
}  # fmt: skip


def folder_of(given: str) -> Path | None:
    """The folder of `hub:FOLDER`; None: the name is one of a folder that holds everything. Raises DataError."""
    if not given.startswith(PREFIX):
        return None
    if len(given) == len(PREFIX):
        raise DataError(f'"{PREFIX}" without a folder in which the files are kept: {PREFIX}FOLDER')
    return Path(given[len(PREFIX) :])


def fetch(folder: Path, files: Sequence[str]) -> None:
    """Writes the files that `folder` does not have and the hub does. Raises DataError, OSError."""
    missing = [name for name in files if find(folder, name) is None and name in SOURCES]
    if not missing:
        return
    try:
        datasets: Any = import_module("datasets")
    except ImportError:
        raise DataError(f"{folder} has no {missing[0]}.jsonl; to fetch it from the hub needs datasets, which is not installed (pip install llama2swift[hub])") from None
    folder.mkdir(parents=True, exist_ok=True)
    for name in missing:
        source, configuration, splits, item = SOURCES[name]
        try:
            rows = [row for split in splits for row in datasets.load_dataset(source, configuration, split=split)]
        except Exception as problem:  # whatever it raises without a network, and for a set that moved
            said = next(iter(str(problem).splitlines()), "") or type(problem).__name__
            raise DataError(f"{source} cannot be had from the hub for {name}: {said[:200]}") from None
        _write(folder / f"{name}.jsonl", rows, item, source)


def _write(path: Path, rows: Sequence[Row], item: Callable[[Row], Item], source: str) -> None:
    """Whole or not at all."""
    lines = []
    for number, row in enumerate(rows):
        try:
            lines.append(json.dumps(item(row)) + "\n")
        except (KeyError, ValueError, TypeError, IndexError) as problem:
            raise DataError(f"row {number} of {source} is not as it should be ({type(problem).__name__}: {problem})") from None
    write_text(path, "".join(lines))
