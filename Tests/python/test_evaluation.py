"""The card, filled in: figures against other ways to the same numbers, runs that end early, and everything that is refused."""

import dataclasses
import math

import evaluation_items
import pytest
from evaluation_tools import folder  # noqa: F401 (fixtures)

import llama2swift
from llama2swift.evaluation import TASKS, code, report, sandbox, texts
from llama2swift.evaluation.asked import Prompt, Scored
from llama2swift.evaluation.engine import Engine
from llama2swift.evaluation.plan import Plan, plan_of, tokenize
from llama2swift.evaluation.question import Choice
from llama2swift.evaluation.run import _together


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


def test_sixteen_texts_are_written_side_by_side_where_memory_allows(stories, monkeypatch):
    head = stories.tokenize_prompt("Once upon a time there was a girl who had a dog. " * 15)
    asked = [Prompt((*head, *stories.tokenize(f"Her name was {name}."), *range(300, 300 + 6 * i)), (), 100) for i, name in enumerate("ABCDEFGHIJKLMNOPQRST")]
    plan = Plan(TASKS["gsm8k"], [], [], "", prompts=asked, longest=max(len(p.tokens) for p in asked) + 100)
    together = _together([plan], plan.longest, stories.hyperparameters, "f16")
    assert together < sum(len(p.tokens) + 100 for p in asked)  # the head counts once
    engine, at_once = Engine(stories, longest=plan.longest, together=together), []
    monkeypatch.setattr(engine, "_eval", lambda entries, *more: at_once.append(len({s for _, s, sink in entries if sink})) or Engine._eval(engine, entries, *more))
    found = dict(engine.generate(asked))
    assert max(at_once) == 16
    assert {i: t.text for i, t in found.items()} == {i: t.text for i, t in Engine(stories, longest=plan.longest).generate(asked, at_once=1)}
    # a large model's cache stays below a GiB, but for the longest text; in F32, too (it were two)
    large = dataclasses.replace(stories.hyperparameters, block_count=80, head_count_kv=64, head_dimension=128)
    assert all(_together([plan], plan.longest, large, kv) * 2 * size * 80 * 64 * 128 <= 1 << 30 for kv, size in (("f16", 2), ("f32", 4), ("q8_0", 2), ("q4_0", 1)))


def test_what_fails_or_is_interrupted_leaves_nothing_behind(stories, monkeypatch):
    engine = Engine(stories, longest=128)
    tokens = tuple(stories.tokenize_prompt("Once upon a time there was a girl"))
    asked = [[Scored(tokens, 3), Scored((*tokens[:-1], 5), 3)]]
    before = list(engine.score(asked)), list(engine.generate([Prompt(tokens, (), 8)]))
    with pytest.raises(TypeError):
        list(engine.generate([Prompt(tokens, (3,), 8)]))  # type: ignore[arg-type]
    for problem in (KeyboardInterrupt, MemoryError):
        with monkeypatch.context() as patched, pytest.raises(problem):
            patched.setattr(engine, "_give", lambda _, problem=problem: (_ for _ in ()).throw(problem()))
            list(engine.score(asked))
    assert (list(engine.score(asked)), list(engine.generate([Prompt(tokens, (), 8)]))) == before
    engine.close()


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
     ("(1,234)", "(1234)", 0), ("0,4", "04", 0), (r"12,\!000,\!085", "12000085", 1), ("12{,}000", "12,000", 1), (r"\frac{12}{5525}", r"\frac{12}{5,\!525}", 1), ("f(x) = 3", "3", 1), ("x - 3z = 0", "0", 0),
     # beside Minerva's own normalization, as lm-eval has it
     ("$10$ units", "10", 1), ("$10$, which is it", "10", 1), (r"\$10", "10", 1), (r"$\$10$ in all", "10", 1), (r"$\boxed{10}$, as $x > 0$", "10", 1), ("$10$, not $12$", "12", 0), ("$1,30$", "1,3", 0),
     (r"\begin{pmatrix}-5/13\\12/13\end{pmatrix}", r"\begin{pmatrix} -5/13 \\ 12/13 \end{pmatrix}", 1), (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}12\end{pmatrix}", 0),
     (r"90\pi\text{ cubic cm}", r"90\pi", 1), (r"(15,-11)\text{ cm}", "(15,-11)", 1), (r"p\text{ is even}", "p", 0), (r"a \rightarrow b", "a b", 0)],
)  # fmt: skip
def test_values_in_tex(given, right, same):
    assert TASKS["math"].grade({"answer": right}, f"We see that. Final Answer: The final answer is {given}. ") == same


def test_the_answer_of_a_solution_is_the_one_at_its_end():
    text = "The final answer is the sum of both.\nFinal Answer: The final answer is $7$. "
    assert TASKS["math"].grade({"answer": "7"}, text) == 1 and TASKS["math"].grade({"answer": "7"}, "So the final answer is $7$.") == 1


def test_an_answer_of_articles_alone_is_none():
    item = {"passage": "The.", "question": "Which?", "answers": ["The", "the ball"]}
    assert [TASKS["squad"].grade(item, text) for text in ("", "a ball", "the")] == [0, 1, 0] and texts.overlap(item, "unanswerable") == 0


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
