"""What the card's figures are of: parts, averages, and items that no answer could be right or wrong of."""

import json
import math

import evaluation_items
import pytest
from evaluation_tools import folder  # noqa: F401 (fixtures)

import llama2swift
from llama2swift.evaluation import TASKS, card, data, journal
from llama2swift.evaluation.plan import plan_of
from llama2swift.evaluation.report import Evaluation, average

FILES = evaluation_items.FILES
LONG = 4096

# AGIEval's English tasks with their questions, and of table 24 what the card's models reach in each
AGIEVAL = {"aqua-rat": 254, "logiqa-en": 651, "lsat-ar": 230, "lsat-lr": 510, "lsat-rc": 269, "sat-en": 206, "sat-en-without-passage": 206, "sat-math": 220}
TABLE_24 = {
    "Llama 1 7B": (18.9, 24.6, 26.1, 19.2, 21.9, 33.0, 32.5, 22.3), "Llama 1 13B": (20.1, 34.9, 22.2, 31.6, 39.8, 52.9, 45.1, 29.5), "Llama 1 33B": (18.9, 37.3, 18.7, 48.0, 59.5, 74.8, 44.7, 35.0),
    "Llama 1 65B": (23.6, 42.1, 23.9, 56.7, 63.6, 83.0, 48.1, 41.8), "Llama 2 7B": (23.2, 31.0, 23.9, 22.4, 32.7, 43.2, 37.4, 28.2), "Llama 2 13B": (21.7, 38.1, 23.0, 41.0, 54.6, 62.1, 46.1, 27.3),
    "Llama 2 70B": (23.2, 48.8, 25.7, 70.2, 76.6, 86.9, 53.4, 41.8),
}  # fmt: skip


def write(folder, name, items):
    for path in folder.glob(f"{name}.jsonl*"):
        path.unlink()
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    return folder


@pytest.mark.parametrize("model", TABLE_24)
def test_the_cards_agieval_is_the_average_of_questions(model):
    """It was the average of tasks here: 30.25 for the 29.3 of Llama 2 7B."""
    column = card.PUBLISHED_GROUPS.index("AGI Eval")
    questions = sum(n * value for n, value in zip(AGIEVAL.values(), TABLE_24[model])) / sum(AGIEVAL.values())
    assert questions == pytest.approx(card.PUBLISHED[model][column], abs=0.06) and set(AGIEVAL) == card.PARTS["agieval"] and not TASKS["agieval"].macro


def test_agieval_is_its_english_exams_and_sat_en_once_more_without_passages(stories_path, tmp_path):
    items = [{**item, "task": task, "passage": "Some people met in a park."} for task in ("sat-en", "gaokao-chinese", "logiqa-zh", "jec-qa-kd", "lsat-ar") for item in FILES["agieval"][:5]]
    write(tmp_path, "agieval", items)
    result = llama2swift.evaluate(stories_path, tmp_path, "agieval", context_length=LONG)
    task = result.data["tasks"]["agieval"]
    assert {name: part["items"] for name, part in task["parts"].items()} == {"sat-en": 2, "lsat-ar": 2, "sat-en-without-passage": 2}
    assert task["value"] == pytest.approx(sum(part["value"] * part["items"] for part in task["parts"].values()) / 6)
    without, left_out = result.data["remarks"]
    assert without == "agieval is without aqua-rat, logiqa-en, lsat-lr, lsat-rc, sat-math of the card's 8: beside the published row it is of other questions."
    assert left_out == "agieval: gaokao-chinese, jec-qa-kd, logiqa-zh of its file were left out: the card's are others." and left_out in result.markdown()
    plan = plan_of(TASKS["agieval"], tmp_path, None, 0)
    asked = {plan.items[i]["task"]: question.pairs[0][0] for i, question in zip(plan.asked, plan.questions)}
    assert "met in a park" in asked["sat-en"] and "met in a park" not in asked["sat-en-without-passage"]
    # a file that has them keeps them
    write(tmp_path, "agieval", [*items, *({**item, "task": "sat-en-without-passage"} for item in items[:4])])
    assert sum(item["task"] == "sat-en-without-passage" for item in plan_of(TASKS["agieval"], tmp_path, None, 0).items) == 4


def test_a_part_of_a_tasks_parts_is_told(stories_path, folder, tmp_path):
    write(tmp_path, "mmlu_test", [{**item, "subject": "anatomy"} for item in FILES["mmlu_test"][:2]])
    write(tmp_path, "mmlu_dev", [{**item, "subject": "anatomy"} for item in FILES["mmlu_dev"][:5]])
    found = llama2swift.evaluate(stories_path, tmp_path, "mmlu", context_length=LONG)
    assert "mmlu is without 56 parts (abstract_algebra, astronomy, business_ethics and so on) of the card's 57" in found.data["remarks"][0] and len(found.data["remarks"]) == 1
    few = llama2swift.evaluate(stories_path, folder, "bbh", limit=1, context_length=LONG)
    assert "bbh counts boolean, other, which the card does not." in few.data["remarks"]
    assert "bbh: the items that were asked are of 1 of the file's 2 parts; the average is over those." in few.data["remarks"]


def test_groups_are_in_the_json_with_their_errors(stories_path, folder):
    found = llama2swift.evaluate(stories_path, folder, "piqa,hellaswag,gsm8k", context_length=LONG)
    d = found.data
    assert json.loads(json.dumps(d, allow_nan=False))["groups"] == d["groups"] and list(d["groups"]) == ["Commonsense Reasoning", "Math"]
    errors = [d["tasks"][name]["error"] for name in ("piqa", "hellaswag")]
    assert d["groups"]["Commonsense Reasoning"]["error"] == pytest.approx(math.hypot(*errors) / 2) and d["groups"]["Commonsense Reasoning"]["tasks"] == ["piqa", "hellaswag"]
    assert "GSM8K alone (14.6, 28.7)" in found.markdown()  # of two rows of the published table


@pytest.mark.parametrize("name", ["m\udcff.gguf", "a|b\n# c.gguf", "\x1b[31m.gguf", "<&>\u202e.gguf"])
def test_a_models_name_is_a_line_of_any_page(name, stories_path, folder):
    """A byte that is no UTF-8 in the name of the model's file lost a finished card."""
    told = llama2swift.evaluate(stories_path, folder, "piqa", limit=2).data
    made = Evaluation({**told, "model": {**told["model"], "name": name}})
    assert made.markdown().encode().splitlines()[2].startswith(b"llama 260.0K") and made.picture().encode()
    assert not any(c in made.markdown() + made.picture() for c in "\x1b\u202e")
    import xml.dom.minidom

    xml.dom.minidom.parseString(made.picture().encode())


# ---- Items


@pytest.mark.parametrize(
    "task, changed, sentence",
    [
        ("hellaswag", {"question": ""}, '"question" is "", expected a text that is not blank'),  # without BOS the first token of each answer was not asked about
        ("piqa", {"question": " \n"}, "expected a text that is not blank"),
        ("boolq", {"passage": ""}, "expected a text that is not blank"),
        ("winogrande", {"question": "a _ b _ c"}, 'has no "_" with something behind it, or several'),
        ("quac", {"questions_before": ["a", "b"]}, "2 questions before and 1 answers to them"),  # the second was left out
        ("natural_questions", {"answer": [""]}, "a question with an answer that is blank"),
        ("math", {"answer": " "}, "expected a text that is not blank"),
        ("humaneval", {"entry_point": "nothing"}, "its prompt does not begin it, or its test has no check"),
        ("humaneval", {"test": "def check(candidate):\n  assert ("}, "a test is no program"),
        ("mbpp", {"test_list": ["assert ("]}, "a test is no program"),
    ],
)
def test_an_item_of_which_no_answer_would_be_right_is_refused(stories_path, folder, tmp_path, monkeypatch, task, changed, sentence):
    monkeypatch.setattr(llama2swift.Context, "eval_batch", lambda *_, **__: pytest.fail("something ran"))
    evaluation_items.write(tmp_path)
    name = TASKS[task].file
    write(tmp_path, name, [*FILES[name], *({**item, **changed, **({"task_id": 99 if task == "mbpp" else "x"} if "task_id" in item else {})} for item in FILES[name][-1:])])
    with pytest.raises(data.DataError, match=sentence):
        llama2swift.evaluate(stories_path, tmp_path, task, allow_code=True, context_length=LONG)


def test_a_shot_without_an_answer_is_refused(stories_path, folder, tmp_path):
    evaluation_items.write(tmp_path)
    write(tmp_path, "gsm8k_train", [{**item, "answer": "many"} for item in FILES["gsm8k_train"]])
    write(tmp_path, "bbh_prompts", [FILES["bbh_prompts"][0], {**FILES["bbh_prompts"][0], "prompt": "another"}])
    write(tmp_path, "bbh", FILES["bbh"][:2])
    for task, sentence in (("gsm8k", 'no number behind "####"'), ("bbh", "there are several prompts of boolean")):
        with pytest.raises(data.DataError, match=sentence):
            llama2swift.evaluate(stories_path, tmp_path, task, context_length=LONG)


@pytest.mark.parametrize("name", ["humaneval", "mbpp"])
def test_an_id_that_two_items_have_is_refused(stories_path, tmp_path, name):
    """It counted twice, and an example of MBPP was shown twice."""
    write(tmp_path, name, [*FILES[name], FILES[name][1]])
    with pytest.raises(data.DataError, match=f'"task_id" is {FILES[name][1]["task_id"]!r} of two items'):
        llama2swift.evaluate(stories_path, tmp_path, name, allow_code=True, context_length=LONG)


@pytest.mark.parametrize("more", [{"golden_answers": 5}, {"golden_answers": "xyz"}, {"answers": [1]}, {"questions_before": 7}, {"choices": None}])
def test_fields_that_are_not_a_tasks_own_change_nothing(stories_path, tmp_path, more):
    """`golden_answers` of an item of NaturalQuestions was taken for its answers, whatever it was."""
    for name, task in (("natural_questions", "natural_questions"), ("squad", "squad")):
        found = []
        for items in (FILES[name], [{**more, **item} for item in FILES[name]]):
            plan = plan_of(TASKS[task], write(tmp_path, name, items), None, 0)
            found.append((plan.questions, [TASKS[task].grade(plan.items[i], " the horse") for i in plan.asked]))
        assert found[0] == found[1]


def test_a_conversation_may_begin(tmp_path):
    """An empty list of what was asked before was refused."""
    first = {**FILES["quac"][0], "questions_before": [], "answers_before": []}
    plan = plan_of(TASKS["quac"], write(tmp_path, "quac", [first]), None, 0)
    assert plan.questions[0].prompt.count("Question:") == 1


# ---- Names of tasks


@pytest.mark.parametrize("tasks", [" card", "card ", ["card"], iter(["card"])])
def test_the_card_is_whatever_of_it_is_there(stories_path, tmp_path, tasks):
    """With a blank beside its name it was refused for the first task without data."""
    write(tmp_path, "hellaswag", FILES["hellaswag"][:1])
    assert list(llama2swift.evaluate(stories_path, tmp_path, tasks).data["tasks"]) == ["hellaswag"]


@pytest.mark.parametrize("tasks", ["card,squad", "squad,card", ["card", "squad"]])
def test_a_task_that_is_named_beside_the_card_is_not_left_out(stories_path, tmp_path, tasks):
    write(tmp_path, "hellaswag", FILES["hellaswag"][:1])
    with pytest.raises(data.DataError, match=r"squad: .* has no squad.jsonl"):
        llama2swift.evaluate(stories_path, tmp_path, tasks)


# ---- Journals


@pytest.mark.parametrize(
    "task, change",
    [("hellaswag", {"value": None}), ("hellaswag", {"chosen": "x"}), ("hellaswag", {"chosen": 4}), ("hellaswag", {"chosen": None, "text": "x"}), ("gsm8k", {"value": None}), ("gsm8k", {"text": 5, "chosen": 1}), ("toxigen", {"value": 1.0}), ("hellaswag", {"asked": None})],
)
def test_an_answer_in_a_journal_that_is_none_of_its_task_is_told(stories_path, folder, tmp_path, task, change):
    """It ended in an error without a sentence, or moved the answers behind it to other subjects."""
    path = tmp_path / "items"
    llama2swift.evaluate(stories_path, folder, task, journal=path, context_length=LONG)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    bad = next(i for i, line in enumerate(lines) if "item" in line)
    lines[bad].update(change)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    kept = path.read_bytes()
    with pytest.raises(journal.JournalError, match=f"item {lines[bad]['item']} of {task} (is none that a run writes|was asked otherwise)"):
        llama2swift.evaluate(stories_path, folder, task, journal=path, context_length=LONG)
    assert path.read_bytes() == kept


def test_averages_of_one_item_have_no_error():
    assert json.loads(json.dumps(Evaluation({"tasks": {"piqa": {"value": 1.0, "error": None, "items": 1}}}).group_data()))["Commonsense Reasoning"]["error"] is None
    assert math.isnan(average([1.0]).error)
