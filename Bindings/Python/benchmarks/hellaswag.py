#!/usr/bin/env python3
"""HellaSwag beside llama.cpp's `perplexity --hellaswag`: the same items, the same threads, in turns on the same machine.

    hellaswag.py --tool build/bin/llama-perplexity [--model FILE] [--items 400] [--threads 2] [--rounds 3] [--data FOLDER] [--json FILE]

The tool is built from the sources in the sdist of llama-cpp-python:
    cmake -B build -DGGML_NATIVE=ON -DLLAMA_CURL=OFF -DLLAMA_BUILD_TESTS=OFF && cmake --build build --target llama-perplexity
Seconds are from the start of a process to its end less the loading, tokenizing included; of the rounds the fastest counts. llama.cpp divides a log-probability by
the number of tokens, the card by that of characters: both are said of ours. Ours has the same digits with every number of threads, which is checked.
"""

import argparse
import json
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

import llama2swift
from llama2swift.evaluation import TASKS, run
from llama2swift.evaluation.engine import Engine

SHARED = Path(__file__).resolve().parents[4] / "shared/data/eval"


def ours(model, plan, threads):
    """(seconds, log-probabilities, tokens of each answer)."""
    start = time.perf_counter()
    plan.scored, plan.longest = [], 0
    run._tokenize(plan, model, False, 0)
    engine = Engine(model, longest=plan.longest, threads=threads)
    found = [[a.log_probability for a in answers] for answers in engine.score(plan.scored)]
    seconds = time.perf_counter() - start
    counts = [[len(s.tokens) - s.start for s in group] for group in plan.scored]
    engine.close()
    return seconds, found, counts


def theirs(tool, model, items, threads):
    """(seconds, accuracy in percent)."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        for item in items:
            file.write("\n".join([item["question"], str(item["gold"]), *item["choices"]]) + "\n")
        file.flush()
        command = [tool, "-m", model, "-f", file.name, "--hellaswag", "--hellaswag-tasks", str(len(items)), "-t", str(threads), "-tb", str(threads)]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
    output = done.stdout + done.stderr
    scores = re.findall(rf"^\s*{len(items)}\s+([\d.]+)", output, re.MULTILINE)
    if done.returncode or not scores:
        raise SystemExit(f"{' '.join(map(str, command))}: {output[-800:]}")
    load = re.search(r"load time =\s*([\d.]+) ms", output)
    return seconds - (float(load[1]) / 1000 if load else 0), float(scores[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tool", required=True)
    parser.add_argument("--model", default=os.environ.get("LLAMA2SWIFT_MODEL"))
    parser.add_argument("--items", type=int, default=400)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--json", type=Path)
    a = parser.parse_args()
    model = llama2swift.Model(a.model)
    plan = run._plan(TASKS["hellaswag"], a.data, a.items, 0)
    items = [plan.items[i] for i in plan.asked]
    mine, others = [], []
    for _ in range(a.rounds):
        seconds, found, counts = ours(model, plan, a.threads)
        mine.append(seconds)
        others.append(theirs(a.tool, a.model, items, a.threads))
    gold = [item["gold"] for item in items]

    by_characters = [question.value(values)[1] for question, values in zip(plan.questions, found)]
    by_tokens = [max(range(len(values)), key=lambda i, v=values, c=count: v[i] / c[i]) for values, count in zip(found, counts)]

    def percent(taken):
        return 100 * sum(t == g for t, g in zip(taken, gold)) / len(gold)

    same = ours(model, plan, 1)[1] == found
    result = {
        "model": model.description, "items": len(items), "threads": a.threads, "kernels": llama2swift.kernels_available()[-1], "seconds": min(mine), "llama.cpp seconds": min(s for s, _ in others),
        "ratio": min(s for s, _ in others) / min(mine), "percent by characters": percent(by_characters), "percent by tokens": percent(by_tokens), "llama.cpp percent": others[0][1],
        "same digits with one thread": same, "load average": os.getloadavg()[0],
    }  # fmt: skip
    for name, value in result.items():
        print(f"{name:30} {value if not isinstance(value, float) else f'{value:.2f}'}")
    if a.json:
        a.json.write_text(json.dumps(result, indent=1) + "\n")
    raise SystemExit(0 if same else 1)


if __name__ == "__main__":
    main()
