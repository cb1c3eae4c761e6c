"""Tasks whose answers are programs: they count when their tests pass in the sandbox."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .data import DataError, Item
from .question import Open, Task

_AFTER_A_FUNCTION = ("\nclass ", "\ndef ", "\n#", "\nif ", "\nprint(", "\n@", "\nassert ", "\n```")
# The paper's decoding of both: temperature 0.1, top-p 0.95.
_TEMPERATURE, _TOP_P = 0.1, 0.95


def fenced(text: str) -> str:
    """What stands in the first fence of Markdown; the whole text if there is none."""
    found = re.search(r"```(?:python|py)?[ \t]*\n(.*?)(?:\n```|\Z)", text, re.DOTALL)
    return found[1] if found else text


def _function(name: str) -> str:
    """Where a function is defined."""
    return rf"^(?:async )?def {re.escape(name)}\s*\("


def _compiled(test: str) -> None:
    """Raises DataError for what no answer could pass."""
    try:
        compile(test, "test", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as problem:
        raise DataError(f"a test is no program ({problem}): {test.strip()[:60]!r}") from None


def _humaneval(item: Item, _: Sequence[Item]) -> Open:
    """Chen et al., Evaluating Large Language Models Trained on Code (2021)."""
    if not re.search(_function(item["entry_point"]), item["prompt"], re.MULTILINE) or not re.search(_function("check"), item["test"], re.MULTILINE):
        raise DataError(f"{item['entry_point'][:60]!r} of HumanEval: its prompt does not begin it, or its test has no check")
    _compiled(item["test"])
    # an answer in a chat tells of the function before and behind it, and its fence begins with what else would end it
    return Open(item["prompt"], _AFTER_A_FUNCTION, 512, _TEMPERATURE, _TOP_P, ())


def _humaneval_program(item: Item, text: str) -> str:
    body = fenced(text)
    # an answer in a chat tells the whole function, one that goes on with the prompt its body; the whole one takes the place of the
    # prompt's, which its docstring completes, and whatever else the prompt defines stays
    whole = re.search(_function(item["entry_point"]), body, re.MULTILINE)
    seam = "\n\n" if whole else ""
    return f"{item['prompt']}{seam}{body}\n\n{item['test']}\n\ncheck({item['entry_point']})\n"


def _mbpp_task(item: Item) -> str:
    tests = "\n".join(item["test_list"])
    return f"You are an expert Python programmer, and here is your task: {item['text'].strip()} Your code should pass these tests:\n\n{tests}\n[BEGIN]\n"


def _mbpp(item: Item, shots: Sequence[Item]) -> Open:
    """Austin et al., Program Synthesis with Large Language Models (2021)."""
    _compiled("\n".join([item.get("test_setup_code", "").replace("\r\n", "\n"), *item["test_list"]]))
    code = [s["code"].replace("\r\n", "\n").expandtabs(4).strip() for s in shots]
    examples = "".join(f"{_mbpp_task(s)}{c}\n[DONE]\n\n" for s, c in zip(shots, code))
    return Open(examples + _mbpp_task(item), ("[DONE]", "\n[BEGIN]"), 384, _TEMPERATURE, _TOP_P)


def _mbpp_program(item: Item, text: str) -> str:
    code = fenced(text).split("[DONE]")[0].replace("[BEGIN]", "")
    setup = item.get("test_setup_code", "").replace("\r\n", "\n")
    return "\n".join([code, setup, *item["test_list"]]) + "\n"


_HUMANEVAL = {"task_id?": "text", "prompt": "words", "entry_point": "words", "test": "words"}
_MBPP = {"task_id": "number", "text": "words", "code": "words", "test_list": "texts", "test_setup_code?": "text"}
TASKS = [
    Task("humaneval", "humaneval", _HUMANEVAL, _humaneval, "pass@1", key="task_id", program=_humaneval_program, note="temperature 0.1, top-p 0.95, one sample"),
    Task("mbpp", "mbpp", _MBPP, _mbpp, "pass@1", 3, key="task_id", program=_mbpp_program, keep=lambda item: 11 <= item["task_id"] <= 510, is_shot=lambda item: 2 <= item["task_id"] <= 4,
         note="temperature 0.1, top-p 0.95, one sample; tasks 11 to 510 after 2, 3 and 4"),
]  # fmt: skip
