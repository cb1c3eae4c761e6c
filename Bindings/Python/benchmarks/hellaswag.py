#!/usr/bin/env python3
"""HellaSwag beside llama.cpp's `perplexity --hellaswag`: the same items, the same threads, in turns on the same machine.

    hellaswag.py --tool build/bin/llama-perplexity [--model FILE] [--items 400] [--threads 2] [--rounds 1] [--part 1/4] [--data FOLDER] [--json FILE] [--write FILE.md]

The tool is built from the sources in the sdist of llama-cpp-python:
    cmake -B build -DGGML_NATIVE=ON -DLLAMA_CURL=OFF -DLLAMA_BUILD_TESTS=OFF && cmake --build build --target llama-perplexity
Seconds are from the start of a process to its end less the loading, tokenizing included; of the rounds the fastest counts. llama.cpp divides a log-probability by
the number of tokens, the card by that of characters: both are said of ours. Ours has the same digits with every number of threads, which is checked. --part: of
the items, for a machine that is had for minutes only; --json keeps the parts, and the page is of all that there are.
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
from llama2swift.evaluation import TASKS
from llama2swift.evaluation.engine import Engine
from llama2swift.evaluation.plan import plan_of, tokenize

SHARED = Path(__file__).resolve().parents[4] / "shared/data/eval"


def ours(model, plan, threads):
    """(seconds, log-probabilities, tokens of each answer)."""
    start = time.perf_counter()
    plan.scored, plan.longest = [], 0
    tokenize(plan, model, False, 0)
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


def page(parts):
    """The page, from all parts that there are."""
    rows = [f"| {p['part']} | {p['items']} | {p['seconds']:.2f} | {p['llama.cpp seconds']:.2f} | {p['llama.cpp seconds'] / p['seconds']:.2f} | {p['right by characters']} | {p['right by tokens']} | {p['llama.cpp right']} | {'yes' if p['same digits with one thread'] else 'NO'} |" for p in parts]
    whole = {key: sum(p[key] for p in parts) for key in ("items", "seconds", "llama.cpp seconds", "right by characters", "right by tokens", "llama.cpp right")}
    first = parts[0]
    return "\n".join([
        "# HellaSwag beside llama.cpp", "",
        f"`hellaswag.py` made this page: {first['model']}, {first['threads']} threads, {first['kernels']} kernels; the same items for both, one after the other on the same machine, whose other work is stopped as far as it can be. "
        "Accuracy by tokens is llama.cpp's way to count, by characters the card's.", "",
        "| part | items | seconds | llama.cpp | ratio | right by characters | right by tokens | llama.cpp | same digits with one thread |", "|---|---|---|---|---|---|---|---|---|", *rows,
        f"| all | {whole['items']} | {whole['seconds']:.2f} | {whole['llama.cpp seconds']:.2f} | **{whole['llama.cpp seconds'] / whole['seconds']:.2f}** | {whole['right by characters']} | {whole['right by tokens']} | {whole['llama.cpp right']} | |",
    ]) + "\n"  # fmt: skip


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tool", required=True)
    parser.add_argument("--model", default=os.environ.get("LLAMA2SWIFT_MODEL"))
    parser.add_argument("--items", type=int, default=400)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--part", default="1/1")
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--write", type=Path, help="the page")
    a = parser.parse_args()
    model = llama2swift.Model(a.model)
    plan = plan_of(TASKS["hellaswag"], a.data, a.items, 0)
    part, parts = map(int, a.part.split("/"))
    here = slice(len(plan.asked) * (part - 1) // parts, len(plan.asked) * part // parts)
    plan.asked, plan.questions = plan.asked[here], plan.questions[here]
    items = [plan.items[i] for i in plan.asked]
    mine, others = [], []
    for _ in range(a.rounds):
        seconds, found, counts = ours(model, plan, a.threads)
        mine.append(seconds)
        others.append(theirs(a.tool, a.model, items, a.threads))
    gold = [item["gold"] for item in items]

    by_characters = [question.value(values)[1] for question, values in zip(plan.questions, found)]
    by_tokens = [max(range(len(values)), key=lambda i, v=values, c=count: v[i] / c[i]) for values, count in zip(found, counts)]

    def right(taken):
        return sum(t == g for t, g in zip(taken, gold))

    same = ours(model, plan, 1)[1] == found
    result = {
        "part": a.part, "model": model.description, "items": len(items), "threads": a.threads, "kernels": llama2swift.kernels_available()[-1], "seconds": min(mine), "llama.cpp seconds": min(s for s, _ in others),
        "right by characters": right(by_characters), "right by tokens": right(by_tokens), "llama.cpp right": round(others[0][1] / 100 * len(items)), "same digits with one thread": same,
        "load average": os.getloadavg()[0],
    }  # fmt: skip
    kept = json.loads(a.json.read_text()) if a.json and a.json.exists() else []
    kept = sorted([*(k for k in kept if k["part"] != a.part), result], key=lambda k: k["part"])
    print(result)
    if a.json:
        a.json.write_text(json.dumps(kept, indent=1) + "\n")
    if a.write:
        a.write.write_text(page(kept))
    print(page(kept))
    raise SystemExit(0 if same else 1)


if __name__ == "__main__":
    main()
