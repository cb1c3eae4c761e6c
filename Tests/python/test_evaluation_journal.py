"""The journal of an evaluation, and what is looked at before anything runs."""

import json
import re
from pathlib import Path

import evaluation_items
import numpy as np
import pytest
from evaluation_tools import folder  # noqa: F401 (fixtures)

import llama2swift
from llama2swift.evaluation import data, journal, run

GOOD = evaluation_items.FILES["hellaswag"][0]


def test_a_journal_of_another_run_is_refused(stories_path, folder, tmp_path):
    path = tmp_path / "items"
    llama2swift.evaluate(stories_path, folder, "piqa", journal=path)
    with pytest.raises(ValueError, match=r"is of another run \(seed was 0, now it is 1\); --force begins anew"):
        llama2swift.evaluate(stories_path, folder, "piqa", journal=path, seed=1)
    other = tmp_path / "data"
    other.mkdir()
    evaluation_items.write(other, {"piqa": evaluation_items.FILES["hellaswag"]})
    with pytest.raises(ValueError, match="the data of piqa is not what this run began with"):
        llama2swift.evaluate(stories_path, other, "piqa", journal=path)
    assert llama2swift.evaluate(stories_path, folder, "piqa", journal=path, seed=1, again=True).data["settings"]["seed"] == 1
    path.write_text("a letter to a friend\n")
    with pytest.raises(ValueError, match="it is no journal of an evaluation"):
        llama2swift.evaluate(stories_path, folder, "piqa", journal=path)


ITEM = {"task": "piqa", "item": 0, "value": 1.0, "chosen": 0}
TOOK = {"seconds": 1.0, "prompt": {"tokens": 1, "seconds": 1.0, "cpu_seconds": 1.0, "joules": None}, "generated": {"tokens": 1, "seconds": 1.0, "cpu_seconds": 1.0, "joules": None}}


@pytest.mark.parametrize(
    "line",
    ["garbage", "[1]", "\xff", "{}", {**ITEM, "item": [1]}, {**ITEM, "item": True}, {**ITEM, "task": []}, {**ITEM, "value": "x"}, {**ITEM, "value": float("nan")}, {**ITEM, "value": 7},
     {k: v for k, v in ITEM.items() if k != "value"}, {k: v for k, v in ITEM.items() if k != "chosen"}, {"data": "x"}, {"task": "piqa", "data": 1}, {"took": "x"}, {"took": {"seconds": 1}},
     {"took": TOOK | {"seconds": "1"}}, {"took": TOOK | {"prompt": {}}}],
)  # fmt: skip
def test_a_line_in_a_journal_that_no_run_writes_is_told(stories_path, folder, tmp_path, line):
    path = tmp_path / "items"
    llama2swift.evaluate(stories_path, folder, "piqa", journal=path)
    lines = path.read_bytes().splitlines(keepends=True)
    bad = (line if isinstance(line, str) else json.dumps(line)).encode("latin-1") + b"\n"
    path.write_bytes(b"".join([*lines[:2], bad, *lines[2:]]))
    kept = path.read_bytes()
    with pytest.raises(journal.JournalError, match="items line 3 is none that a run writes"):
        llama2swift.evaluate(stories_path, folder, "piqa", journal=path)
    assert path.read_bytes() == kept  # nothing behind it is lost
    path.write_bytes(b"".join(lines))
    assert llama2swift.evaluate(stories_path, folder, "piqa", journal=path).tasks["piqa"].items == 5


def test_two_runs_do_not_write_into_one_journal(stories_path, folder, tmp_path):
    path, told = tmp_path / "items", []

    def another(*_):
        if not told:
            with pytest.raises(journal.JournalError, match="is what another run writes into") as problem:
                llama2swift.evaluate(stories_path, folder, "hellaswag", journal=path, again=True)
            told.append(str(problem.value))

    assert llama2swift.evaluate(stories_path, folder, "hellaswag", journal=path, progress=another).tasks["hellaswag"].items == 10
    assert told and path.read_bytes().count(b'"item"') == 10


def test_what_was_asked_otherwise_is_not_gone_on_with(stories_path, folder, tmp_path, monkeypatch):
    """A tokenizer beside the model's file, a template or a protocol of another version."""
    path = tmp_path / "items"
    llama2swift.evaluate(stories_path, folder, "piqa", journal=path, limit=2)
    monkeypatch.setattr(llama2swift.Model, "tokenize_prompt", lambda self, text, real=llama2swift.Model.tokenize_prompt: [*real(self, text), 5])
    with pytest.raises(journal.JournalError, match="of piqa was asked otherwise"):
        llama2swift.evaluate(stories_path, folder, "piqa", journal=path)
    monkeypatch.undo()
    with llama2swift.Model(stories_path, context_length=300) as model, pytest.raises(ValueError, match="model_context_length was null, now it is 300"):
        llama2swift.evaluate(model, folder, "piqa", journal=path)


def test_a_model_without_a_path_has_no_journal(smollm2_path, folder, tmp_path):
    with llama2swift.Model.from_bytes(Path(smollm2_path).read_bytes()) as model, pytest.raises(ValueError, match="a journal is of a model that was loaded from a path"):
        llama2swift.evaluate(model, folder, "piqa", journal=tmp_path / "items")


def test_a_journal_knows_all_parts_of_a_model(tmp_path):
    for part in (1, 2):
        (tmp_path / f"m-0000{part}-of-00002.gguf").write_bytes(bytes([part]))
    before = run._model_hash(tmp_path / "m-00001-of-00002.gguf")
    (tmp_path / "m-00002-of-00002.gguf").write_bytes(b"x")
    assert run._model_hash(tmp_path / "m-00001-of-00002.gguf") != before


def test_the_context_that_is_told_is_enough_for_all(stories_path, folder):
    with pytest.raises(ValueError, match=r"context_length=\d+ gives them") as told:
        llama2swift.evaluate(stories_path, folder, "hellaswag,piqa,gsm8k,mmlu", context_length=16)
    length = int(re.search(r"context_length=(\d+)", str(told.value))[1])
    assert llama2swift.evaluate(stories_path, folder, "hellaswag,piqa,gsm8k,mmlu", context_length=length, limit=1).data["settings"]["context_length"] == length


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_a_data_file_is_utf_8(stories_path, tmp_path, encoding):
    (tmp_path / "hellaswag.jsonl").write_bytes(json.dumps(GOOD | {"question": "caf\xe9"}, ensure_ascii=False).encode(encoding) + b"\n")
    with pytest.raises(data.DataError, match=r"hellaswag.jsonl line 1 is (not UTF-8|no JSON)"):
        llama2swift.evaluate(stories_path, tmp_path, "hellaswag")
    (tmp_path / "hellaswag.jsonl").write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode() + b"\r\n" + json.dumps(GOOD).encode())
    assert llama2swift.evaluate(stories_path, tmp_path, "hellaswag").tasks["hellaswag"].items == 2


@pytest.mark.parametrize("judge, sentence", [(lambda texts: [2.0] * len(texts), "expected one of 0 to 1"), (lambda texts: ["x"], "expected one of 0 to 1"), (lambda texts: [float("nan")], "of 0 to 1")])
def test_a_classifier_is_tried_before_anything_runs(stories_path, folder, judge, sentence):
    with pytest.raises(ValueError, match=sentence):
        llama2swift.evaluate(stories_path, folder, "toxigen", classifier=judge, progress=lambda *_: pytest.fail("it runs"))
    assert llama2swift.evaluate(stories_path, folder, "toxigen", limit=2, classifier=lambda texts: np.full(len(texts), 0.75, np.float32)).tasks["toxigen"].value == 1
