"""The package's types are right, and tell a program's mistakes."""

import os
import subprocess
import sys

import pytest
from test_python_package import PACKAGE

USER = '''
"""A program as a user writes it."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np

import llama2swift
from llama2swift.errors import CancelledError, ContextFullError, InputOutputError


class Answer:
    """As pydantic's models are."""

    @classmethod
    def model_json_schema(cls, by_alias: bool = True) -> dict[str, Any]:
        return {"type": "object"}


def main(path: Path) -> int:
    model = llama2swift.Model(path, copy=True)
    tokens: list[int] = model.tokenize("text", bos=True) + model.chat_tokens([{"role": "user", "content": "Hi"}])
    text: str = model.detokenize(np.array(tokens, dtype=np.int32))
    raw: bytes = model.piece(tokens[0])
    with model.context(length=2048, threads=2, kv="f32") as context:
        context.eval(tokens)
        best = int(context.logits().argmax())
        context.eval_batch([(best, 0, True)])
        held = model.grammar(json_schema=Answer)
        with llama2swift.generate_batch(context, ["a", [1, 2]], [llama2swift.Sampler(grammar=held), llama2swift.Sampler()], logprobs=1) as batch:
            for index, event in batch:
                print(index, event.text, event.report.logprob if event.report else None)
            answers: list[llama2swift.Answer] = batch.results()
            print(answers[0].text)
        held = model.grammar(json_schema={"type": "object"}, whitespace="compact")
        sampler = llama2swift.Sampler(temperature=0.8, grammar=held)
        sampler = llama2swift.Sampler(temperature=0.8, seed=None, logit_bias={1: -5.0})
        pieces = context.generate(text, sampler, max_tokens=None, stop=["a", "b"], penalize_prompt=True)
        for piece in pieces:
            print(piece + raw.decode(), end="")
        reason: str | None = pieces.reason
        with context.generate(tokens, max_tokens=5) as more:
            print("".join(more), more.text, reason, more.tokens + more.prompt_tokens)
        perplexity: float = context.perplexity(tokens, progress=lambda p, windows: print(p.value / windows)).value
        context.importance(iter(tokens), path.with_suffix(".imatrix"), progress=lambda part: part > 0.5)
        score = context.score([1], (2, 3))
        print(perplexity, score.total, score.log_probabilities.mean(), context.info.kernels, model.context().model.description)
    decoder = model.decoder(special=True)
    print(decoder.append(best) + decoder.finish(), sampler.seed, model.hyperparameters.head_count, dict(model.metadata))
    llama2swift.quantize(path, "out.gguf", "Q4_K_M", overrides={"attn_q": "Q8_0"}, progress=lambda part: None)
    llama2swift.convert(str(path), b"out.gguf", threads=2)
    print(llama2swift.preflight(path, 100).total, llama2swift.kernels_available(), llama2swift.__version__)
    try:
        asyncio.run(talk(model))
    except (ContextFullError, CancelledError) as problem:
        return problem.status
    except InputOutputError as problem:
        return problem.errno or 1
    return 0


async def talk(model: llama2swift.Model) -> str:
    text = ""
    async with model.context().generate("Hello") as pieces:
        async for piece in pieces:
            text += piece
    return text
'''
# each line is an error
WRONG = [
    'model.tokenize(5)', 'model.context(length="5")', 'context.eval("text")', 'context.eval([1.5])', 'context.generate(5.0)', 'context.generate(max_tokens=5.0)', 'context.sample("greedy")',
    'llama2swift.Sampler(temperature="hot")', 'llama2swift.Sampler(seed=1.5)', 'llama2swift.quantize("a", 5)', 'x: str = context.perplexity([1])', 'for n in context.generate(): n + 1', 'model.absent()',
]  # fmt: skip


def checker(tool):
    if subprocess.run([sys.executable, "-c", f"import {tool}"], capture_output=True).returncode:
        pytest.skip(f"{tool} is not installed; pip install -r Tests/requirements.txt")


def check(tool, *arguments, folder, **options):
    command = {"mypy": ["mypy", "--strict", "--cache-dir", str(folder / "cache")], "pyright": ["pyright", "--pythonpath", sys.executable]}[tool]
    environment = {**os.environ, "MYPYPATH": str(PACKAGE.parent), "PYTHONPATH": str(PACKAGE.parent), "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    done = subprocess.run([sys.executable, "-m", *command, *map(str, arguments)], capture_output=True, text=True, env=environment, timeout=600, **options)
    if tool == "pyright" and not done.stdout.strip().endswith(("informations", "information")):
        pytest.skip(f"pyright does not run here: {(done.stdout + done.stderr).strip()[-200:]}")  # it needs node, and a network once
    return done


@pytest.mark.parametrize("tool", ["mypy", "pyright"])
def test_the_types_of_the_package_are_right(tool, tmp_path):
    checker(tool)
    done = check(tool, "llama2swift", folder=tmp_path, cwd=PACKAGE.parent)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("tool", ["mypy", "pyright"])
def test_the_types_of_a_users_program_are_right_and_wrong_ones_are_told(tool, tmp_path):
    checker(tool)
    (tmp_path / "user.py").write_text(USER)
    done = check(tool, "user.py", folder=tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    lines = ["import llama2swift", "def use(model: llama2swift.Model, context: llama2swift.Context) -> None:", *("    " + line for line in WRONG)]
    (tmp_path / "wrong.py").write_text("\n".join(lines) + "\n")
    done = check(tool, "wrong.py", folder=tmp_path, cwd=tmp_path)
    told = {int(line.split(":")[1]) for line in done.stdout.splitlines() if "wrong.py:" in line and "error" in line}
    assert told == set(range(3, 3 + len(WRONG))), done.stdout
