"""Data from the Hugging Face hub: what `datasets` gives becomes the files that evaluate reads. A stand-in gives rows as the hub has them; no network."""

import json
import sys
from types import SimpleNamespace

import pytest

import llama2swift
from llama2swift.evaluation import TASKS, data, hub

LETTERED = {"choices": {"label": ["A", "B", "C", "D"], "text": ["a shady tree", "a number", "old shoes", "a song"]}, "answerKey": "C"}
# data set -> a row in the hub's form, and the item that it is
ROWS = {
    "piqa": ({"goal": "To sleep", "sol1": "run", "sol2": "lie down", "label": 1}, {"question": "To sleep", "choices": ["run", "lie down"], "gold": 1}),
    "siqa": (
        {"context": "Tom fell.", "question": "How does he feel?", "answerA": "glad", "answerB": "hurt", "answerC": "tall", "label": "2"},
        {"question": "Tom fell. How does he feel?", "choices": ["glad", "hurt", "tall"], "gold": 1},
    ),
    "hellaswag": ({"activity_label": "Baking", "ctx": "She opens the oven. she", "endings": ["sings.", "takes it out."], "label": "1"}, {"question": "Baking: She opens the oven. she", "choices": ["sings.", "takes it out."], "gold": 1}),
    "winogrande": ({"sentence": "The box did not fit because _ was big.", "option1": "it", "option2": "the bag", "answer": "1"}, {"question": "The box did not fit because _ was big.", "choices": ["it", "the bag"], "gold": 0}),
    "arc_easy": ({"question": "Where is shade?", **LETTERED}, {"question": "Where is shade?", "choices": LETTERED["choices"]["text"], "gold": 2}),
    "openbookqa": ({"question_stem": "Where is shade?", **LETTERED}, {"question": "Where is shade?", "choices": LETTERED["choices"]["text"], "gold": 2}),
    "mmlu_test": ({"question": "1 + 1", "subject": "sums", "choices": ["1", "2", "3", "4"], "answer": 1}, {"subject": "sums", "question": "1 + 1", "choices": ["1", "2", "3", "4"], "gold": 1}),
    "truthfulqa": (
        {"question": "Nine lives?", "best_answer": "No", "correct_answers": ["No", "One"], "incorrect_answers": ["Yes"]},
        {"Question": "Nine lives?", "Best Answer": "No", "Correct Answers": "No; One", "Incorrect Answers": "Yes"},
    ),
    "triviaqa": ({"question": "Who?", "answer": {"value": "Tom", "aliases": ["Thomas"]}}, {"question": "Who?", "golden_answers": ["Tom", "Thomas"]}),
    "squad": ({"context": "A ball.", "question": "What?", "answers": {"text": ["a ball"], "answer_start": [0]}}, {"passage": "A ball.", "question": "What?", "answers": ["a ball"]}),
    "math": ({"problem": "1+1", "solution": "2", "answer": "2"}, {"question": "1+1", "answer": "2"}),
}  # fmt: skip


@pytest.fixture
def sets(monkeypatch):
    """What the stand-in has: (name, configuration, split) -> rows; and what it was asked for."""
    there, asked = {}, []

    def load_dataset(name, configuration=None, *, split):
        asked.append((name, configuration, split))
        if (name, configuration, split) not in there:
            raise ConnectionError("Couldn't reach the hub\nand more lines")
        return there[name, configuration, split]

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    return SimpleNamespace(there=there, asked=asked)


def put(sets, name, rows):
    source, configuration, splits, _ = hub.SOURCES[name]
    for split in splits:
        sets.there[source, configuration, split] = rows


@pytest.mark.parametrize("name", ROWS)
def test_a_row_becomes_the_item_of_the_file(sets, tmp_path, name):
    row, item = ROWS[name]
    put(sets, name, [row, row])
    hub.fetch(tmp_path / "new", [name])
    path = tmp_path / "new" / f"{name}.jsonl"
    assert [json.loads(line) for line in path.read_text().splitlines()] == [item, item]
    fields = next(t.fields for t in TASKS.values() if t.file == name or t.shots_file == name)
    assert data.read(path, fields) == [item, item]


def test_every_source_is_of_a_file_that_a_task_reads():
    files = {file for task in TASKS.values() for file in (task.file, task.shots_file)}
    assert set(hub.SOURCES) <= files and set(ROWS) <= set(hub.SOURCES)


def test_what_is_there_is_not_fetched_again(sets, tmp_path, stories_path):
    put(sets, "winogrande", [ROWS["winogrande"][0]] * 3)
    first = llama2swift.evaluate(stories_path, f"hub:{tmp_path}", "winogrande")
    assert first.tasks["winogrande"].items == 3 and len(sets.asked) == 1
    again = llama2swift.evaluate(stories_path, f"hub:{tmp_path}", "winogrande")
    assert again.tasks == first.tasks and len(sets.asked) == 1
    assert llama2swift.evaluate(stories_path, tmp_path, "winogrande").tasks == first.tasks  # a folder as any other now


@pytest.mark.parametrize(
    "row, sentence",
    [
        ({"sentence": "The _ was big.", "option1": "x", "option2": "y"}, r"row 1 of allenai/winogrande is not as it should be \(KeyError: 'answer'\)"),
        ({"sentence": "The _ was big.", "option1": "x", "option2": "y", "answer": "3"}, "answer is '3'"),
        ({"sentence": "The _ was big.", "option1": "x", "option2": "y", "answer": ""}, "ValueError"),
    ],
)
def test_a_row_that_is_something_else_is_refused_and_leaves_no_file(sets, tmp_path, row, sentence):
    put(sets, "winogrande", [ROWS["winogrande"][0], row])
    with pytest.raises(ValueError, match=sentence):
        hub.fetch(tmp_path, ["winogrande"])
    assert list(tmp_path.iterdir()) == []


def test_what_is_fetched_is_a_file_as_any_other(sets, tmp_path):
    put(sets, "winogrande", [ROWS["winogrande"][0]])
    hub.fetch(tmp_path, ["winogrande"])
    (tmp_path / "beside").touch()
    assert (tmp_path / "winogrande.jsonl").stat().st_mode == (tmp_path / "beside").stat().st_mode


def test_without_a_network_or_the_package_it_is_a_sentence(sets, tmp_path, stories_path, monkeypatch):
    with pytest.raises(ValueError, match=r"baber/piqa cannot be had from the hub for piqa: Couldn't reach the hub$"):
        llama2swift.evaluate(stories_path, f"hub:{tmp_path}", "piqa")
    with pytest.raises(ValueError, match="without a folder"):
        llama2swift.evaluate(stories_path, "hub:", "piqa")
    with pytest.raises(ValueError, match="has no agieval.jsonl"):  # the hub has it in another form: it is not fetched
        llama2swift.evaluate(stories_path, f"hub:{tmp_path}", "agieval")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=r"has no piqa.jsonl; to fetch it from the hub needs datasets.*llama2swift\[hub\]"):
        llama2swift.evaluate(stories_path, f"hub:{tmp_path}", "piqa")
