"""The card, filled in: figures against other ways to the same numbers, runs that end early, and everything that is refused."""

import errno
import json
import lzma
import math
import os
import subprocess
import sys
import threading

import evaluation_items
import pytest
from terminals import command

import llama2swift
from llama2swift.evaluation import TASKS, card, code, data, journal, report, sandbox, texts
from llama2swift.evaluation.asked import Prompt, Scored
from llama2swift.evaluation.engine import Engine
from llama2swift.evaluation.plan import plan_of, tokenize
from llama2swift.evaluation.question import Choice

LONG = 3000  # positions: the tiny model's tokens are letters


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return evaluation_items.write(tmp_path_factory.mktemp("data"))


def answers(plain, texts_):
    return [plain.score(list(s.tokens[: s.start]), list(s.tokens[s.start :])) for s in texts_]


# ---- The engine


def scored(model, context, continuation):
    before, whole = model.tokenize_prompt(context), model.tokenize_prompt(context + continuation)
    return Scored(tuple(whole), len(before))


def groups(model):
    head = "Once upon a time there was a little girl named Lily. She had a red ball. " * 2
    asked = [[scored(model, head + item["question"], " " + c) for c in item["choices"]] for item in evaluation_items.FILES["hellaswag"]]
    # texts whose contexts differ, a text alone, one that asks for everything from the second token on
    return [*asked, [scored(model, c, " was too big and fell") for c in ("The box", "The bag")], [Scored(tuple(model.tokenize_prompt(head)), 1)]]


def test_answers_are_what_scoring_each_alone_gives(stories):
    wanted = groups(stories)
    plain = stories.context(length=512)
    engine = Engine(stories, longest=512, threads=1)
    for got, group in zip(engine.score(wanted), wanted):
        for answer, right in zip(got, answers(plain, group)):
            assert answer.log_probability == pytest.approx(right.total, abs=2e-4) and answer.is_greedy == bool(right.is_best.all())


def test_answers_are_the_same_digits_whatever_the_threads_the_batch_and_the_room(stories):
    wanted = groups(stories)
    first = list(Engine(stories, longest=512, threads=1).score(wanted))
    for options in (dict(threads=2, tokens_at_once=64), dict(threads=3, tokens_at_once=1000, together=4096), dict(threads=1, tokens_at_once=7)):
        assert list(Engine(stories, longest=512, **options).score(wanted)) == first
    assert list(Engine(stories, longest=512).score(wanted[::-1])) == first[::-1]


def test_what_contexts_share_is_evaluated_once(stories):
    wanted = groups(stories)[:10]
    engine = Engine(stories, longest=512)
    list(engine.score(wanted))
    alone = sum(len(s.tokens) - 1 for group in wanted for s in group)
    assert engine.work()[0].tokens < alone / 5
    list(engine.score(wanted))  # what the first time left is found again
    assert engine.context.info.pages_used == 0


def test_answers_and_what_they_are_compared_with_have_a_head_each(stories, stories_path, folder):
    found = llama2swift.evaluate(stories_path, folder, "openbookqa")
    plan = plan_of(TASKS["openbookqa"], folder, None, 0)
    tokenize(plan, stories, False, 0)
    # of each question its text once, and each answer twice; not the question before each of the answers
    most = sum(len(g[0].tokens) + sum(2 * (len(s.tokens) - s.start) for s in g[: len(g) // 2]) + 16 for g in plan.scored)
    assert found.data["footprint"]["prompt"]["tokens"] <= most


def test_more_than_the_context_holds_together_is_done_in_pieces(stories):
    wanted = groups(stories)
    engine = Engine(stories, longest=200, tokens_at_once=512)
    engine.context.close()
    engine.context = stories.context(length=448, sequences=256, batch_size=512)
    assert list(engine.score(wanted)) == list(Engine(stories, longest=512).score(wanted))


def test_texts_are_those_of_generate(stories):
    prompts = ["Once upon a time", "Tom had a red ball", "Once upon a time there was a dog", "The sun"] * 3
    asked = [Prompt(tuple(stories.tokenize_prompt(p)), ("\n", "and"), 40) for p in prompts]
    found = dict(Engine(stories, longest=512).generate(asked, at_once=5))
    for number, prompt in enumerate(prompts):
        with stories.context(length=512) as context:
            pieces = context.generate(prompt, llama2swift.Sampler(temperature=0), max_tokens=40, stop=["\n", "and"])
            text = "".join(pieces)
        assert (found[number].text, found[number].reason) == (text, pieces.reason)


def test_drawn_texts_depend_on_the_seed_alone(stories):
    asked = [Prompt(tuple(stories.tokenize_prompt("Once upon a time")), (), 20, 1.0, 0.9, f"seed {i}") for i in range(6)]
    first = [t.text for _, t in sorted(Engine(stories, longest=128).generate(asked, at_once=6))]
    second = [t.text for _, t in sorted(Engine(stories, longest=128, threads=1).generate(asked, at_once=1))]
    assert first == second and len(set(first)) > 3


def test_texts_that_do_not_fit_side_by_side_wait(stories):
    asked = [Prompt(tuple(stories.tokenize_prompt(f"The {n} little dogs went to the park")), (), 60) for n in ("two", "three", "four", "five", "six")]
    engine = Engine(stories, longest=128)
    engine.context.close()
    engine.context = stories.context(length=256, sequences=256, batch_size=512)
    narrow = dict(engine.generate(asked))
    assert narrow == dict(Engine(stories, longest=128).generate(asked))


# ---- How answers count


def test_ways_to_choose():
    pairs = (("c", " yes"), ("c", " certainly not"))
    assert Choice(pairs, frozenset([1])).value([-3.0, -6.0]) == (1.0, 1)  # a character of the longer one is more probable
    assert Choice(pairs, frozenset([1]), "nothing").value([-3.0, -6.0]) == (0.0, 0)
    assert Choice(pairs, frozenset([1]), "answer", "Answer:").value([-3.0, -6.0], [-2.0, -9.0]) == (1.0, 1)
    share, _ = Choice(pairs, frozenset([1]), "nothing", mass=True).value([math.log(0.1), math.log(0.3)])
    assert share == pytest.approx(0.75)


@pytest.mark.parametrize("text, right", [(" The cow.\nQ: next", 1), (" cow, which moos", 1), ("the  COW", 1), (" a cow. It moos.", 1), (" cows", 0), ("", 0), (" U.S. cow", 0), (" It is a cow.", 0)])
def test_short_answers(text, right):
    assert texts.TASKS[0].grade({"answer": ["the cow"]}, text) == right


@pytest.mark.parametrize("text, right", [(" Samuel L. Clemens", 1), (" samuel l clemens. He wrote.", 1), (" Samuel L", 0), (" Samuel L. Clemens wrote it", 0), (" Samuel L. Clemens, of course.", 1)])
def test_a_dot_in_a_name_ends_no_answer(text, right):
    assert TASKS["triviaqa"].grade({"golden_answers": ["Samuel L. Clemens"]}, text) == right  # was 0, whatever was written


@pytest.mark.parametrize("text, right", [("so #### 1,234", 1), ("#### $1234.0", 1), ("#### 1235\n#### 1234", 0), ("1234", 0), ("#### ", 0), ("#### -1234", 0), ("#### ,", 0), ("#### -", 0)])
def test_numbers(text, right):
    assert TASKS["gsm8k"].grade({"answer": "#### 1234"}, text) == right


@pytest.mark.parametrize("text, right", [("#### .5", 1), ("#### 0.50", 1), ("#### $.50.", 1), ("#### 5", 0), ("#### -.5", 0)])
def test_numbers_that_begin_with_a_dot(text, right):
    assert TASKS["gsm8k"].grade({"answer": "#### 0.5"}, text) == right


def test_a_solution_with_blank_lines_is_read_to_its_end():
    asked = TASKS["gsm8k"].ask(evaluation_items._SUMS[0], evaluation_items._SUMS[:8])
    assert not any(stop in "First, 1 + 2.\n\nThat is 3.\n#### 3" for stop in asked.stops) and any(stop in "#### 3\n\nQuestion: and then" for stop in asked.stops)


@pytest.mark.parametrize(
    "given, right, same",
    [("$\\frac12$", r"\frac{1}{2}", 1), ("1/2", r"\dfrac{1}{2}", 1), ("x = 5", "5", 1), (r"\boxed{7}", "7", 1), ("1,000", "1000", 1), (r"50\%", "50", 1), (r"\text{even}", "even", 1), ("(3, 4]", "(3,4]", 1), ("2", "3", 0), (r"90^\circ", "90", 1),
     ("0.5", r"\frac{1}{2}", 1), (r"\frac{2}{4}", "1/2", 1), ("3.0", "3", 1), (".25", r"\frac14", 1), (r"-\frac{1}{2}", r"\frac{-1}{2}", 1), (r"\frac{1}{0}", r"\frac{2}{0}", 0), ("0.3", r"\frac{1}{3}", 0),
     ("17 meters", r"17\text{ meters}", 1), ("17", r"17\text{ meters}", 1), ("864 square inches", r"864 \mbox{ inches}^2", 1), (r"17\text{ meters}", "18", 0), ("even", r"\text{odd}", 0), (r"2 \pi", "2", 0),
     (r"\frac{\sqrt{6}}{3}", r"\frac{\sqrt6}3", 1), (r"\frac{9}{20}", r"\frac 9{20}", 1), (r"11\sqrt{2}", r"11\sqrt2", 1), ("42_{7}", "42_7", 1), ("42_7", "42", 0), ("x^{2}", "x^2", 1),
     ("(1,234)", "(1234)", 0), ("0,4", "04", 0), (r"12,\!000,\!085", "12000085", 1), ("12{,}000", "12,000", 1), (r"\frac{12}{5525}", r"\frac{12}{5,\!525}", 1), ("f(x) = 3", "3", 1), ("x - 3z = 0", "0", 0)],
)  # fmt: skip
def test_values_in_tex(given, right, same):
    assert TASKS["math"].grade({"answer": right}, f"We see that. Final Answer: The final answer is {given}. ") == same


def test_conclusions_and_overlap():
    assert TASKS["bbh"].grade({"answer": "(A)"}, "thinking. So the answer is (A).\n") == 1 and TASKS["bbh"].grade({"answer": "(A)"}, "the answer is (B).") == 0
    assert texts.overlap({"answers": ["red ball", "x"]}, "a red toy") == pytest.approx(0.5)


@pytest.mark.parametrize("text, right, share", [(" unanswerable\n", 1, 1), ("", 1, 1), (" No answer.", 1, 1), (" the ball", 0, 0)])
def test_a_question_that_the_passage_does_not_answer(text, right, share):
    for answers in ([], ["CANNOTANSWER"]):
        item = {"passage": "Lily has a ball.", "question": "Who made it?", "answers": answers}
        assert TASKS["squad"].grade(item, text) == right and texts.overlap(item, text) == share
        assert TASKS["squad"].grade(item | {"answers": ["the ball"]}, text) == 1 - right


def test_an_answer_in_a_chat_is_not_ended_by_what_ends_a_function():
    item = evaluation_items.FILES["humaneval"][0]
    asked = code.TASKS[0].ask(item, [])
    text = "Sure:\n```python\ndef double(x):\n    return 2 * x\n```\nDone."
    assert any(stop in text for stop in asked.stops) and asked.chat_stops == ()
    assert sandbox.run(code.TASKS[0].program(item, text)).passed


def test_a_whole_function_keeps_what_the_prompt_defines_beside_it():
    head = 'import math\n\ndef half(x):\n    return x // 2\n\n\ndef quarter(x: int):\n    """A quarter."""\n'
    item = {"prompt": head, "entry_point": "quarter", "test": "def check(f):\n    assert f(math.floor(8.5)) == half(4) == 2\n"}
    for text in ("    return half(half(x))\n", "```python\ndef quarter(x):\n    return half(half(x))\n```", "    def quarter_of(y):\n        return half(half(y))\n    return quarter_of(x)\n"):
        assert sandbox.run(code.TASKS[0].program(item, text)) == sandbox.Outcome(True, "")


def test_programs_are_put_together_from_any_answer():
    item = evaluation_items.FILES["humaneval"][0]
    for text in ("    return 2 * x\n", "Here:\n```python\ndef double(x):\n    return 2 * x\n```\nDone."):
        assert sandbox.run(code.TASKS[0].program(item, text)).passed
    assert code.TASKS[0].program(item, "    return 2 * x\n").count("def double") == 1


def test_averages():
    figure = report.average([1, 0, 1, 1])
    assert (figure.value, figure.items) == (0.75, 4) and figure.error == pytest.approx(0.25)
    both = report.together([figure, report.average([0, 0, 1, 0])])
    assert both.value == 0.5 and both.error == pytest.approx(math.sqrt(2 * 0.25**2) / 2)
    assert math.isnan(report.average([]).value)
    # of parts with one item each: how far they lie apart; it was "± nan"
    parts = report.together([report.average([v]) for v in (0, 1, 1, 1)] + [report.average([1, 0])])
    assert (parts.value, parts.items) == (0.7, 6) and parts.error == pytest.approx(report.average([0, 1, 1, 1, 0.5]).error)
    assert str(parts) == "70.0 ± 20.0" and str(report.average([1])) == "100.0" and math.isnan(report.average([1]).error)


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
    monkeypatch.setattr(journal, "open", lambda p, mode, **more: Full(p, "r+b" if "r" in mode else "wb") if more else real(p, mode), raising=False)
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
        ("\xff", "line 2 is no JSON"),
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


# ---- The command


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
