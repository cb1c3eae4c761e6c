"""Whole evaluations, and the command."""

import errno
import json
import lzma
import os
import re
import subprocess
import sys
import threading

import evaluation_items
import pytest
from evaluation_tools import folder  # noqa: F401 (fixtures)
from terminals import command

import llama2swift
from llama2swift.evaluation import TASKS, card, code, data, journal
from llama2swift.evaluation.plan import plan_of, tokenize

LONG = 3000  # positions: the tiny model's tokens are letters


# ---- Whole runs


def test_a_run_of_everything(stories_path, folder, tmp_path):
    told = []
    result = llama2swift.evaluate(
        stories_path, folder, limit=2, context_length=LONG, allow_code=True, classifier=lambda ts: [0.9 if "kind" in t else 0.1 for t in ts], journal=tmp_path / "j",
        progress=lambda part, name: told.append((part, name)), watts=10,
    )  # fmt: skip
    d = result.data
    assert set(d["tasks"]) == set(TASKS) and d["left_out"] == {} and told[-1][0] == 1.0
    assert all(t["items"] == 2 or name in ("squad", "quac") for name, t in d["tasks"].items())
    assert list(result.groups) == list(card.GROUPS) and all(0 <= f.value <= 1 for f, _ in result.groups.values())
    assert d["footprint"]["prompt"]["label"] == "given" and d["footprint"]["generated"]["joules_per_token"] > 0
    text = result.markdown()
    for part in (d["model"]["sha256"], "Llama 2 70B", "judges", "| mmlu |", "seed 0", "gCO2e"):
        assert part in text, part
    assert result.picture().startswith("<svg") and "MMLU" in result.picture()
    # a choice is what scoring it alone gives
    items = [json.loads(line) for line in (tmp_path / "j").read_text().splitlines()]
    one = next(i for i in items if i.get("task") == "hellaswag" and "item" in i)
    item = evaluation_items.FILES["hellaswag"][one["item"]]
    model = llama2swift.Model(stories_path)
    right = [model.score(item["question"], " " + c).total for c in item["choices"]]
    assert one["log_probabilities"] == pytest.approx(right, abs=2e-4)


def test_a_larger_limit_asks_all_of_a_smaller_ones():
    few, more = data.chosen("mmlu", 14042, 100, 0), data.chosen("mmlu", 14042, 300, 0)
    assert len(few) == 100 and set(few) < set(more) and few != data.chosen("mmlu", 14042, 100, 1) and more == sorted(more)


def test_a_run_that_ends_early_goes_on(stories_path, folder, tmp_path):
    options = dict(tasks="hellaswag,triviaqa", context_length=LONG)
    whole = llama2swift.evaluate(stories_path, folder, **options)
    path = tmp_path / "items"

    class Enough(Exception):
        pass

    count = 0

    def stop(part, name):
        nonlocal count
        count += 1
        if count == 7:
            raise Enough

    with pytest.raises(Enough):
        llama2swift.evaluate(stories_path, folder, journal=path, progress=stop, **options)
    lines = path.read_bytes().splitlines(keepends=True)
    assert sum(b'"item"' in line for line in lines) == 7
    path.write_bytes(b"".join(lines) + lines[-1][:20])  # as if the process had been killed in the midst of a line
    done = []
    again = llama2swift.evaluate(stories_path, folder, journal=path, progress=lambda part, name: done.append(name), **options)
    assert len(done) == 12 - 7 and again.data["tasks"] == whole.data["tasks"]
    assert llama2swift.evaluate(stories_path, folder, journal=path, progress=lambda *_: done.append(1), **options).data["tasks"] == whole.data["tasks"] and len(done) == 5


def test_a_full_disk_loses_nothing(stories_path, folder, tmp_path, monkeypatch):
    path, write = tmp_path / "items", journal.FileIO.write
    before = llama2swift.evaluate(stories_path, folder, "hellaswag", journal=path, limit=3).data["tasks"]

    class Full(journal.FileIO):
        def write(self, line):
            if self.tell() > 1200:
                write(self, bytes(line)[:5])
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(self, line)

    real = open
    monkeypatch.setattr(journal, "open", lambda p, mode, **more: Full(p, mode.replace("b", "")) if more else real(p, mode), raising=False)
    with pytest.raises(OSError, match="No space left on device; the items before are kept") as told:
        llama2swift.evaluate(stories_path, folder, "hellaswag", journal=path)
    assert told.value.filename == str(path)
    monkeypatch.undo()
    assert llama2swift.evaluate(stories_path, folder, "hellaswag", journal=path, limit=3).data["tasks"] == before
    assert llama2swift.evaluate(stories_path, folder, "hellaswag", journal=path).data["tasks"]["hellaswag"]["items"] == 10


def test_a_chat_is_asked_in_its_template(smollm2, tmp_path):
    evaluation_items.write(tmp_path, {"hellaswag": evaluation_items.FILES["hellaswag"][:2], "gsm8k_test": evaluation_items._SUMS[:1], "gsm8k_train": evaluation_items._SUMS})
    plan = plan_of(TASKS["hellaswag"], tmp_path, None, 0)
    tokenize(plan, smollm2, True, 0)
    text = smollm2.detokenize(plan.scored[0][0].tokens, special=True)
    assert text.startswith("<|im_start|>") and text.endswith("<|im_start|>assistant\na shady tree to lie under.")
    evaluation_items.write(tmp_path, {"hellaswag": [], "gsm8k_test": [], "humaneval": evaluation_items.FILES["humaneval"]})
    for chat, stops in ((True, ()), (False, code.TASKS[0].ask(evaluation_items.FILES["humaneval"][0], []).stops)):
        written = plan_of(TASKS["humaneval"], tmp_path, None, 0)
        tokenize(written, smollm2, chat, 0)
        assert {p.stops for p in written.prompts} == {stops}
    assert smollm2.detokenize(plan.scored[0][0].tokens[plan.scored[0][0].start :]) == "a shady tree to lie under."


# ---- What is refused


@pytest.mark.parametrize(
    "change, sentence",
    [
        (dict(tasks="hellaswag,nonsense"), "there is no task 'nonsense'; known are card, piqa"),
        (dict(tasks=""), "there is no task ''"),
        (dict(limit=0), "limit is 0: nothing would be asked"),
        (dict(data_folder="/nowhere"), "/nowhere is no folder of data files"),
        (dict(tasks="humaneval"), "humaneval: it runs programs that the model wrote, which --allow-code permits"),
        (dict(tasks="mmlu", context_length=256), r"mmlu needs \d{3,} positions for its longest question with 5 shots, the context has 256; context_length=\d+ gives them"),
        (dict(watts=-1.0), "watts is -1.0"),
        (dict(intensity=1.0, country="DEU"), "an intensity and a country"),
        (dict(energy="/nowhere"), "no intel-rapl:0/energy_uj can be read"),
    ],
)
def test_a_wrong_request_is_a_sentence_before_anything_runs(stories_path, folder, change, sentence):
    asked = dict(model=stories_path, data_folder=folder, tasks="hellaswag", progress=lambda *_: pytest.fail("it runs")) | change
    with pytest.raises(ValueError, match=sentence):
        llama2swift.evaluate(**asked)


def test_a_task_without_data_is_left_out_of_the_card_and_refused_by_name(stories_path, tmp_path):
    evaluation_items.write(tmp_path, {"hellaswag": evaluation_items.FILES["hellaswag"][:1]})
    result = llama2swift.evaluate(stories_path, tmp_path)
    assert list(result.data["tasks"]) == ["hellaswag"] and "has no boolq.jsonl" in result.data["left_out"]["boolq"]
    assert "boolq was not run" in result.markdown() and "Commonsense Reasoning is without piqa" in result.markdown()
    with pytest.raises(ValueError, match=r"boolq: .* has no boolq.jsonl \(nor .jsonl.xz or .jsonl.gz\)"):
        llama2swift.evaluate(stories_path, tmp_path, "boolq")


GOOD = evaluation_items.FILES["hellaswag"][0]


@pytest.mark.parametrize(
    "text, sentence",
    [
        (json.dumps({k: v for k, v in GOOD.items() if k != "gold"}), 'line 2 has no "gold"'),
        (json.dumps(GOOD | {"gold": 4}), 'line 2: "gold" is 4, expected the index of one of the choices'),
        (json.dumps(GOOD | {"gold": True}), '"gold" is true'),
        (json.dumps(GOOD | {"choices": ["one"]}), '"choices" is .*, expected a list of texts, at least two'),
        (json.dumps(GOOD | {"choices": ["one", " "]}), '"choices" is .*, expected a list of texts, at least two'),
        (json.dumps(GOOD)[:-1] + ', "gold": 0}', "line 2 is no JSON: a name stands in it twice"),
        (json.dumps(GOOD | {"question": None}), '"question" is null, expected a text'),
        ("[1, 2]", "line 2 is no JSON object"),
        ("{", "line 2 is no JSON: "),
        ("[" * 100000, "line 2 is no JSON: "),
        ("\xff", "line 2 is not UTF-8: invalid start byte at byte 0"),
    ],
)
def test_a_data_file_that_is_not_as_it_should_be(stories_path, tmp_path, text, sentence):
    (tmp_path / "hellaswag.jsonl").write_bytes(json.dumps(GOOD).encode() + b"\n" + text.encode("latin-1") + b"\n")
    with pytest.raises(data.DataError, match=sentence):
        llama2swift.evaluate(stories_path, tmp_path, "hellaswag")


def test_half_a_character_and_a_device_as_a_journal_are_sentences(stories_path, folder, tmp_path):
    for field, value in (("question", "a\ud800b"), ("choices", ["x", "\udfff"])):
        item = {"question": "The cat", "choices": ["sat", "ran"], "gold": 0, field: value}
        (tmp_path / "hellaswag.jsonl").write_text(json.dumps(item) + "\n")
        with pytest.raises(data.DataError, match="hellaswag: an item holds half a character"):
            llama2swift.evaluate(stories_path, tmp_path, "hellaswag")
    for path in ("/dev/zero", "/dev/full", tmp_path):  # /dev/zero was read for ever
        with pytest.raises(journal.JournalError, match="is no file"):
            llama2swift.evaluate(stories_path, folder, "hellaswag", journal=path)


def test_more_answers_than_sequences_are_done_in_pieces(stories_path, tmp_path):
    (tmp_path / "hellaswag.jsonl").write_text(json.dumps({"question": "The cat had", "choices": [f"{n} dogs" for n in range(400)], "gold": 7}) + "\n")
    found = llama2swift.evaluate(stories_path, tmp_path, "hellaswag", limit=1)
    assert found.tasks["hellaswag"].items == 1 and 0 <= found.data["tasks"]["hellaswag"]["chosen"][0] < 400


def test_data_files_are_read_in_bounded_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "MOST_BYTES", 1 << 22)
    monkeypatch.setattr(data, "LONGEST_LINE", 1 << 20)
    bomb = tmp_path / "hellaswag.jsonl.xz"
    bomb.write_bytes(lzma.compress(b"\n" * (1 << 24)))
    with pytest.raises(data.DataError, match="unpacks to more than"):
        data.read(bomb, {})
    bomb.write_bytes(lzma.compress(b" " * (1 << 21)))
    with pytest.raises(data.DataError, match="has a line of more than"):
        data.read(bomb, {})
    bomb.write_bytes(lzma.compress(b'{"a": 1}\n')[:-5])
    with pytest.raises(data.DataError, match="cannot be unpacked"):
        data.read(bomb, {})
    bomb.write_bytes(b"")
    with pytest.raises(data.DataError):
        data.read(bomb, {})
    bomb.write_bytes(lzma.compress(b'{"a": 1}\n') + lzma.compress(b'{"a": 2}\n'))
    assert data.read(bomb, {"a": "number"}) == [{"a": 1}, {"a": 2}]


# ---- The command


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--json", "nowhere/out.json"], "nowhere/out.json cannot be written: .*nowhere is no folder"),
        (["--card", "nowhere/card.md"], "nowhere/card.md cannot be written"),
        (["--json", "."], "is a folder; the output is a file"),
        (["--json", "-"], "- would be a file of that name, which ./- says"),
        (["--card", "-"], "- would be a file of that name"),
        (["--json", "out", "--card", "./out"], "./out is named for two outputs"),
        (["--json", "out", "--picture", "out.items"], "out.items is named for two outputs"),
        (["--card", "{folder}/piqa.jsonl", "--force"], "piqa.jsonl is read by this command"),
    ],
)
def test_an_output_that_cannot_be_is_told_before_anything_runs(stories_path, folder, tmp_path, words, sentence):
    done = command("evaluate", stories_path, "--data", str(folder), "--tasks", "hellaswag", *(w.format(folder=folder) for w in words), cwd=tmp_path)
    assert done.returncode in (1, 2) and re.search(sentence, done.stderr) and not done.stdout and not list(tmp_path.iterdir())


def test_the_command_writes_what_it_is_told_to(stories_path, folder, tmp_path):
    words = ("evaluate", stories_path, "--data", folder, "--tasks", "hellaswag,winogrande", "--limit", 3, "--json", "out.json", "--card", "card.md", "--picture", "card.svg")
    done = command(*map(str, words), cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "" and "Commonsense Reasoning" in done.stdout
    result = json.loads((tmp_path / "out.json").read_text())
    assert result["tasks"]["hellaswag"]["items"] == 3 and (tmp_path / "card.md").read_text().startswith("# stories260K.bin") and "</svg>" in (tmp_path / "card.svg").read_text()
    again = command(*map(str, words), cwd=tmp_path)
    assert again.returncode == 1 and "out.json is there already; --force replaces it" in again.stderr
    assert command(*map(str, words), "--force", cwd=tmp_path).returncode == 0
    wrong = command("evaluate", stories_path, "--data", str(folder), "--limit", "0")
    assert wrong.returncode == 2 and "0 is not in the range 1" in wrong.stderr


def test_a_full_disk_under_the_results_loses_no_answer(stories_path, folder, tmp_path):
    """It said "No space left on device" of nothing."""
    program = (
        "import errno, os, sys\nfrom llama2swift import _whole\nfrom llama2swift.cli import main\n"
        "def full(_): raise OSError(errno.ENOSPC, 'No space left on device')\n_whole.os.fsync = full\nsys.exit(main(sys.argv[1:]))\n"
    )
    words = ["evaluate", stories_path, "--data", str(folder), "--tasks", "hellaswag", "--json", "out.json"]
    done = subprocess.run([sys.executable, "-c", program, *words], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "out.json: No space left on device" in done.stderr and "what was answered is in out.json.items; the same command goes on from there" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["out.json.items"]
    items = (tmp_path / "out.json.items").read_bytes()
    assert command(*words, cwd=tmp_path).returncode == 0 and json.loads((tmp_path / "out.json").read_text())["tasks"]["hellaswag"]["items"] == 10
    assert (tmp_path / "out.json.items").read_bytes().count(b'"item"') == items.count(b'"item"') == 10


def test_ctrl_c_says_where_it_goes_on(stories_path, folder, tmp_path):
    program = (
        "import os, signal, sys, threading\nfrom llama2swift.evaluation.journal import Journal\nfrom llama2swift.cli import main\nadd = Journal.add\n"
        "def stop(self, *a, **k):\n    add(self, *a, **k)\n    if len(self.items) == 4: os.kill(os.getpid(), signal.SIGINT)\nJournal.add = stop\nsys.exit(main(sys.argv[1:]))\n"
    )
    words = ["evaluate", stories_path, "--data", str(folder), "--tasks", "hellaswag", "--json", "out.json"]
    done = subprocess.run([sys.executable, "-c", program, *words], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 130 and "what was answered is in out.json.items; the same command goes on from there" in done.stderr
    # one or two more may have been answered before the signal was seen
    assert 4 <= sum('"item"' in line for line in (tmp_path / "out.json.items").read_text().splitlines()) < 10
    done = command(*words, cwd=tmp_path)
    assert done.returncode == 0 and json.loads((tmp_path / "out.json").read_text())["tasks"]["hellaswag"]["items"] == 10
    assert threading.active_count() < 20 and os.path.exists(tmp_path / "out.json.items")


@pytest.mark.parametrize(
    "task, name, changed, sentence",
    [
        ("truthfulqa_mc1", "truthfulqa", {"Best Answer": " "}, "without a right or a wrong answer"),
        ("gsm8k", "gsm8k_test", {"answer": "It is many."}, 'no number behind "####"'),
    ],
)
def test_what_an_item_is_judged_by_is_looked_at_before_anything_runs(stories_path, tmp_path, monkeypatch, task, name, changed, sentence):
    evaluation_items.write(tmp_path)
    item = evaluation_items.FILES[name][0]
    (tmp_path / f"{name}.jsonl").write_text(json.dumps(item | changed) + "\n")
    monkeypatch.setattr(llama2swift.Context, "eval_batch", lambda *_, **__: pytest.fail("something ran"))
    with pytest.raises(data.DataError, match=sentence):
        llama2swift.evaluate(stories_path, tmp_path, task)
