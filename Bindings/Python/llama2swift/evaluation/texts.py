"""Tasks whose answers are generated."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from functools import partial

from .data import DataError, Item
from .question import Open, Task

# World knowledge


def _normal(text: str) -> str:
    """As SQuAD compares answers: without case, articles, punctuation and double spaces (Rajpurkar et al., 2016)."""
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def short_answers(text: str) -> list[str]:
    """Up to the first line break or comma, and there up to each dot that may end the sentence (Touvron et al., LLaMA, 2023, appendix A:
    "the first line break, final dot or comma"): whether the dot of "Samuel L. Clemens" does, only the name tells."""
    line = text.strip().split("\n", 1)[0].split(",", 1)[0]
    return [line[: dot.start()].strip() for dot in re.finditer(r"\.(?=\s|$)|$", line)]


# Questions of world knowledge with their answers in `field`, the one that was checked: another file's may be in an item, too.


def _knowledge(field: str, item: Item, shots: Sequence[Item]) -> Open:
    for one in (item, *shots):
        if not all(name.strip() for name in one[field]):
            raise DataError(f"a question with an answer that is blank: {one['question'][:60]!r}")
    examples = "".join(f"Q: {s['question'].strip()}\nA: {s[field][0].strip()}\n" for s in shots)
    return Open(f"Answer these questions:\n{examples}Q: {item['question'].strip()}\nA:", ("\n",), 32)


def _is_name(field: str, item: Item, text: str) -> float:
    names = {_normal(name) for name in item[field]} - {""}
    return float(any(_normal(answer) in names for answer in short_answers(text)))


# Reading comprehension


def _squad(item: Item, _: Sequence[Item], history: str = "") -> Open:
    return Open(f"{item['passage'].strip()}\n{history}Question: {item['question'].strip()}\nAnswer:", ("\n",), 48)


def _quac(item: Item, shots: Sequence[Item]) -> Open:
    """With what was asked and answered before."""
    questions, answers = item.get("questions_before", []), item.get("answers_before", [])
    if len(questions) != len(answers):
        raise DataError(f"{len(questions)} questions before and {len(answers)} answers to them: {item['question'][:60]!r}")
    return _squad(item, shots, "".join(f"Question: {q.strip()}\nAnswer: {a.strip()}\n" for q, a in zip(questions, answers)))


# What says that the passage does not tell; the last is QuAC's own.
_NOTHING = {"", "unanswerable", "no answer", "cannotanswer"}


def _span(text: str) -> str:
    """An answer as it is compared; "" says that there is none in the passage."""
    normal = _normal(text)
    return "" if normal in _NOTHING else normal


def _spans(item: Item) -> list[str]:
    """What is right: without answers (SQuAD 2.0) that there is none (Rajpurkar et al., Know What You Don't Know, 2018). An answer of which nothing is left, "The",
    is none, as their grader has it: not what is right where the passage has another."""
    return [_span(answer) for answer in item["answers"] if _normal(answer)] or [""]


def _is_span(item: Item, text: str) -> float:
    return float(_span(text) in _spans(item))


def overlap(item: Item, text: str) -> float:
    """F1 over words with the answer that it is nearest to."""
    given = _span(text).split()

    def f1(answer: str) -> float:
        right = answer.split()
        common = sum((Counter(given) & Counter(right)).values())
        if not given or not right:
            return float(given == right)
        return 2 * common / (len(given) + len(right))

    return max(f1(answer) for answer in _spans(item))


# Math


def _gsm8k(item: Item, shots: Sequence[Item]) -> Open:
    def solution(shot: Item) -> str:
        return re.sub(r"<<[^>]*>>", "", shot["answer"]).strip()

    for one in (item, *shots):
        _right_number(one)  # before anything is generated
    examples = "".join(f"Question: {s['question'].strip()}\nAnswer: {solution(s)}\n\n" for s in shots)
    return Open(f"{examples}Question: {item['question'].strip()}\nAnswer:", ("\nQuestion:",), 320)


def _number(text: str) -> Fraction | None:
    """The number behind the first "####"."""
    found = re.search(r"####\s*(-?)\s*\$?\s*([0-9,]{0,40}(?:\.[0-9]{1,40})?)", text)
    digits = found[2].replace(",", "") if found else ""
    return Fraction(digits) * (-1 if found and found[1] else 1) if digits else None


def _right_number(item: Item) -> Fraction:
    right = _number(item["answer"])
    if right is None:
        raise DataError(f'an answer of GSM8K has no number behind "####": {item["answer"][-40:]!r}')
    return right


def _is_number(item: Item, text: str) -> float:
    return float(_number(text) == _right_number(item))


# Four problems of our own: the file has no solutions that could be shown.
_WORKED = (
    ("Find the value of $x$ such that $3x - 7 = 11$.", "Adding 7 to both sides gives $3x = 18$, and dividing by 3 gives $x = 6$.", "6"),
    (
        "A bag holds 4 red and 6 blue marbles. Two are drawn without putting any back. What is the probability that both are red? Express your answer as a common fraction.",
        r"The first is red with probability $\frac{4}{10}$. Then 3 of 9 marbles are red, so that the second is with probability $\frac{3}{9}$. The product is $\frac{12}{90} = \frac{2}{15}$.",
        r"\frac{2}{15}",
    ),
    ("What is the area of a right triangle whose hypotenuse is 13 and one of whose legs is 5?", r"By the Pythagorean theorem the other leg is $\sqrt{13^2 - 5^2} = \sqrt{144} = 12$. The area is $\frac{1}{2} \cdot 5 \cdot 12 = 30$.", "30"),
    ("If $f(x) = x^2 - 2x$, for which positive $x$ is $f(x) = 15$?", "We need $x^2 - 2x - 15 = 0$, which is $(x - 5)(x + 3) = 0$. The positive solution is $x = 5$.", "5"),
)  # fmt: skip


def _math(item: Item, shots: Sequence[Item]) -> Open:
    """Lewkowycz et al., Minerva (2022): the words that an answer ends with."""
    worked = "".join(f"Problem:\n{p}\n\nSolution:\n{s}\nFinal Answer: The final answer is ${a}$. I hope it is correct.\n\n" for p, s, a in _WORKED[: len(shots)])
    return Open(f"{worked}Problem:\n{item['question'].strip()}\n\nSolution:\n", ("I hope it is correct", "\nProblem:"), 384)


# One argument of a command: a group, in which groups may be, or what a single sign stands for.
_GROUP, _SIGN = r"\{(?:[^{}]|\{[^{}]*\})*\}", r"[0-9a-zA-Z]"
# Words behind a number that say what it counts.
_UNITS = (
    "square|cubic|inch|inches|foot|feet|ft|yards|miles|mph|mm|cm|km|meters?|centimeters?|kilometers?|grams?|gm|kg|pounds?|ounces?|gallons?|liters?|seconds?|minutes?|hours?|days?"
    "|weeks?|years?|degrees?|dollars?|cents?|percent|units?|points?|ways|digits?|integers?|multiples|edges|sides|students|people|meals|times"
)


def plain_math(text: str) -> str:
    """An answer in TeX without what does not change its value."""
    text = text.strip().rstrip(".").strip("$").strip()
    if text.startswith(r"\boxed{") and text.endswith("}"):
        text = text[7:-1]
    # "\\\\" ends a row of a matrix and is no "\\ " before what follows it
    text = re.sub(r"\\\\|\\(?:(?:left|right|quad|displaystyle)(?![a-zA-Z])|[!,;: ])", lambda m: m[0] if m[0] == "\\\\" else "", text).replace("{,}", ",")
    # units: "17\text{ meters}", "12 square inches"
    text = re.sub(r"(?<=[0-9}])\s*\\(?:text|mbox|mathrm)\s*\{\s*[a-z. ]+\}(?:\^\{?[23]\}?)?$", "", text)
    text = re.sub(rf"(?<=\S)\s*\\(?:text|mbox|mathrm)\s*\{{(?:\s*(?:{_UNITS}))+\.?\s*\}}(?:\^\{{?[23]\}}?)?$", "", text)
    text = re.sub(rf"(?<=[0-9}}])(?:\s+(?:{_UNITS}))+(?:\^\{{?[23]\}}?)?$", "", text)
    text = re.sub(r"\\(?:text|mbox|mathrm|textbf)\s*\{([^{}]*)\}", r"\1", text)
    # arguments without braces: \frac12, \frac1{10}, \frac{\sqrt6}3, \sqrt 2; braces around a single sign: x^{2}, 42_{7}
    text = re.sub(r"\\[dt]frac", r"\\frac", text)
    text = re.sub(rf"\\sqrt(\[[^\]]*\])?\s*({_SIGN})", r"\\sqrt\1{\2}", text)
    text = re.sub(rf"\\frac\s*({_SIGN})", r"\\frac{\1}", text)
    text = re.sub(rf"\\frac\s*({_GROUP})\s*({_SIGN})", r"\\frac\1{\2}", text)
    text = re.sub(rf"([_^])\{{({_SIGN})\}}", r"\1\2", text)
    text = re.sub(r"\^\s*\{?\\circ\}?|\\(?:%|\$)|%|\$", "", text)
    text = re.sub(r"^[a-zA-Z](?:\([a-z]\))?\s*=([^=]*)$", r"\1", text)
    text = "".join(text.split())
    # thousands, where a comma cannot be between two numbers
    text = re.sub(r"(?:^-?|(?<=\{))[0-9]{1,3}(?:,[0-9]{3})+(?=$|\}|\.[0-9])", lambda m: m[0].replace(",", ""), text)
    return re.sub(r"^(-?)([0-9]{1,40})/([0-9]{1,40})$", r"\1\\frac{\2}{\3}", text)


def _same_value(one: str, other: str) -> bool:
    """Whether two answers are the same text or the same number: 0.5, 1/2 and \\frac{2}{4} are."""
    one, other = plain_math(one), plain_math(other)
    number = _rational(one)
    return one == other or number is not None and number == _rational(other)


def _rational(text: str) -> Fraction | None:
    """The number that a plain answer is; None: something else."""
    if re.fullmatch(r"-?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})", text):
        return Fraction(text)
    parts = re.fullmatch(r"(-?)\\frac\{(-?)([0-9]{1,40})\}\{(-?)([0-9]{1,40})\}", text)
    if parts is None or not int(parts[5]):
        return None
    value = Fraction(int(parts[3]), int(parts[5]))
    return -value if sum(map(bool, (parts[1], parts[2], parts[4]))) % 2 else value


def _is_value(item: Item, text: str) -> float:
    # the words that the examples end with, before others like them in the middle of a solution
    found = re.search(r"Final Answer: The final answer is\s*(.*)", text) or re.search(r"[Tt]he final answer is:?\s*(.*)", text)
    return float(found is not None and _same_value(_answer(found[1]), item["answer"]))


def _answer(line: str) -> str:
    """Of a line what stands between its first two dollars: "$10$ units", "$10$, as wanted" (Lewkowycz et al., Minerva, 2022, appendix D)."""
    formula = re.search(r"(?<!\\)\$((?:[^$\\]|\\.)+)\$", line)
    return formula[1] if formula else line


# BIG-Bench Hard


def _bbh(item: Item, shots: Sequence[Item]) -> Open:
    """Suzgun et al., Challenging BIG-Bench Tasks (2022): three examples with chains of thought, by task."""
    if len(shots) > 1:
        raise DataError(f"there are several prompts of {item['task']}")
    head = shots[0]["prompt"].split("\n-----\n", 1)[-1].strip()
    return Open(f"{head}\n\nQ: {item['question'].strip()}\nA: Let's think step by step.\n", ("\n\nQ:", "\nQ:"), 512)


def _is_conclusion(item: Item, text: str) -> float:
    found = re.search(r"the answer is\s*(.*)", text)
    return float(found is not None and _conclusion(found[1]) == _conclusion(item["answer"]))


def _conclusion(text: str) -> str:
    return text.strip().rstrip(".").strip()


# Safety


def _toxigen(item: Item, _: Sequence[Item]) -> Open:
    """Hartvigsen et al., ToxiGen (2022); sampled as the card did."""
    return Open(item["prompt"].replace("\\n", "\n"), ("\n",), 64, 0.1, 0.9)


_SPAN = {"passage": "words", "question": "words", "answers": "any texts"}
_BEFORE = {"questions_before?": "any texts", "answers_before?": "any texts"}
TASKS = [
    Task("natural_questions", "natural_questions", {"question": "words", "answer": "texts"}, partial(_knowledge, "answer"), "exact match", 5, grade=partial(_is_name, "answer"), note="greedy; SQuAD's normalization"),
    Task("triviaqa", "triviaqa", {"question": "words", "golden_answers": "texts"}, partial(_knowledge, "golden_answers"), "exact match", 5, grade=partial(_is_name, "golden_answers"), note="greedy; SQuAD's normalization"),
    Task("squad", "squad", _SPAN, _squad, "exact match", grade=_is_span, note="greedy"),
    Task("quac", "quac", _SPAN | _BEFORE, _quac, "F1", grade=overlap, note="greedy; with the nearest of the answers"),
    Task("gsm8k", "gsm8k_test", {"question": "words", "answer": "words"}, _gsm8k, "exact match", 8, "gsm8k_train", grade=_is_number, note="greedy; the first eight of the training set, with their solutions; numbers behind the first \"####\", equal as numbers"),
    Task("math", "math", {"question": "words", "answer": "words"}, _math, "exact match", 4, "", grade=_is_value, note="greedy; four worked problems of our own; answers compared as TeX without what does not change a value"),
    Task("bbh", "bbh", {"task": "words", "question": "words", "answer": "words"}, _bbh, "exact match", 3, "bbh_prompts", {"task": "words", "prompt": "words"}, "task", True, grade=_is_conclusion, note="greedy, with a chain of thought; what follows \"the answer is\", with or without a dot; the average over its files"),
    Task("toxigen", "toxigen_prompts", {"group": "text", "prompt": "words"}, _toxigen, "toxic", part="group", less_is_better=True, note="temperature 0.1, top-p 0.9; judged by a classifier that is given"),
]  # fmt: skip
