#!/usr/bin/env python3
"""What guessing gives: prompt lookup where a text repeats its prompt and where it does not, and a draft model; makes results/DRAFTS.md.

    drafts.py [--model FILE] [--tokens 96] [--rounds 3] [--parts lookup,draft,pass] [--output FILE]

Each text is generated with guesses and without, in turns, its prompt found in the cache both times; the ratio is that of the best of each. The texts are
compared: they must be the same bits. The drafts are the model's own Q2_K and files of fewer of its layers, beside the model as it is and in wider types: no smaller
model with its vocabulary can be had here. pass: what a further token takes of a pass, of which PassCosts has a figure for each instruction set.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[3] / "Tests/python"))
import bench
import fetch_model
from gguf_reader import with_layers

import llama2swift

RESULTS = Path(__file__).resolve().parent / "results"
CODE = '''def read_table(path, separator=",", skip=0):
    """Reads a table of numbers from a text file."""
    rows = []
    with open(path) as file:
        for number, line in enumerate(file):
            if number < skip or not line.strip():
                continue
            rows.append([float(cell) for cell in line.split(separator)])
    return rows
'''
LIST = "Anna, 34, Oslo\nBen, 51, Lima\nClara, 27, Cairo\nDavid, 45, Quito\nElena, 62, Riga\nFarid, 19, Tunis\nGrete, 38, Bonn\n"
STORY = (
    "The ferry to the island left at seven in the morning. Margaret stood at the rail and watched the harbour grow small behind her. She had not been back in thirty years, "
    "and the letter in her pocket was the only reason that she had come. It said that the old lighthouse would be sold, and that somebody ought to take the books."
)
# (kind, what it is, the prompt); of the repeating ones the answer has begun, as it does where a model edits, quotes or fills in
PROMPTS = [
    ("repeats", "an edit of code", f"Here is a function:\n\n{CODE}\nHere is the same function with another name, and nothing else changed:\n\ndef read_numbers(path"),
    ("repeats", "JSON from a list", f"{LIST}\nAs JSON:\n" + '[{"name": "Anna", "age": 34, "city": "Oslo"}, {"name": "Ben", "age": 51, "city": "Lima"}, {"name": "Clara", "age": 27, "city": "Cairo"}, {"name": "David",'),
    ("repeats", "a quotation", f"{STORY}\n\nThe text above begins with these words, which are quoted here in full: \"The ferry to the island left at seven"),
    ("repeats", "a copy", f"{STORY}\n\n{STORY[:120]}"),
    *(("other", text, text) for text in ("Why is the sky blue?", "Write a short story about a clockmaker who is afraid of time.", "Give me advice on learning to cook.", "Who was Ada Lovelace?")),
]  # fmt: skip


def tokens_of(model: llama2swift.Model, kind: str, prompt: str) -> list[int]:
    return model.chat_tokens([{"role": "user", "content": prompt}]) if kind == "other" else model.tokenize_prompt(prompt)


def timed(context: llama2swift.Context, tokens: list[int], temperature: float, count: int, **how: object) -> tuple[float, str, int, int, int]:
    """(tokens a second, text, tokens, guessed, right); the prompt is in the cache."""
    context.reset()
    begun = time.perf_counter()
    run = context.generate(tokens, llama2swift.Sampler(temperature=temperature, seed=1), max_tokens=count, **how)
    text = "".join(run)
    return run.tokens / (time.perf_counter() - begun), text, run.tokens, run.guessed, run.guessed_right


def pairs(context: llama2swift.Context, tokens: list[int], temperature: float, o: argparse.Namespace, rounds: int, with_: dict, without: dict) -> dict:
    """Both ways in turns."""
    timed(context, tokens, temperature, 1, guess=False)  # the prompt
    best, text, last = {True: 0.0, False: 0.0}, set(), None
    for _ in range(rounds):
        for way in (True, False):
            rate, said, *counts = timed(context, tokens, temperature, o.tokens, **(with_ if way else without))
            best[way] = max(best[way], rate)
            text.add(said)
            last = counts if way else last
    count, guessed, right = last
    return {"with": best[True], "without": best[False], "ratio": best[True] / best[False], "same": len(text) == 1, "tokens": count, "guessed": guessed, "right": right}


def lookup(o: argparse.Namespace) -> list[str]:
    lines = [TITLES["lookup"], "", "| text | what | temperature | tokens/s with | without | ratio | guessed | came true |", "|---" * 8 + "|"]
    ratios: dict[str, list[float]] = {"repeats": [], "other": []}
    model = llama2swift.Model(o.model)
    with model.context(1024, o.threads) as context:
        for kind, what, prompt in PROMPTS:
            for temperature in (0.0, 0.8):
                got = pairs(context, tokens_of(model, kind, prompt), temperature, o, o.rounds, {"guess": True}, {"guess": False})
                o.good &= got["same"]
                ratios[kind].append(got["ratio"])
                lines.append(f"| {kind} | {what} | {temperature:g} | {got['with']:.1f} | {got['without']:.1f} | **{got['ratio']:.2f}** | {got['guessed']} | {got['right']} |")
                print(lines[-1], flush=True)
    repeats, other = statistics.geometric_mean(ratios["repeats"]), ratios["other"]
    lines += ["", f"- On text that repeats its prompt {repeats:.2f} times decode (geometric mean; {min(ratios['repeats']):.2f} to {max(ratios['repeats']):.2f}); goal 1.8: {'reached' if repeats >= 1.8 else 'missed'}."]
    lines += [f"- Elsewhere {statistics.geometric_mean(other):.2f}, the worst {min(other):.2f}; goal never below 0.98: {'reached' if min(other) >= 0.98 else 'missed'}.", ""]
    return lines


# Layers that a draft keeps of 30, without training again; found by how often they say the token that the model does
LAYERS = {"25 layers (0 to 14, 20 to 29)": [*range(15), *range(20, 30)], "20 layers (0 to 19)": list(range(20))}


def draft(o: argparse.Namespace, folder: Path) -> list[str]:
    def q2_k() -> Path:
        llama2swift.quantize(o.model, folder / "draft.gguf", "Q2_K")
        return folder / "draft.gguf"

    questions = [prompt for kind, _, prompt in PROMPTS if kind == "other"]
    lines = [
        TITLES["draft"], "", f"At temperature 0 and 0.8 over the {len(questions)} questions above; prompt lookup is on both times. The drafts are the model's own Q2_K, and files with fewer of its layers (a GGUF file "
        "whose `llama.block_count` is smaller is a model like any other): untrained, they say what the model would say too seldom to pay for what they take.", "",
        "| model | its size, MiB | draft | its size | tokens/s with | without | ratio | guessed | came true |", "|---" * 9 + "|",
    ]  # fmt: skip
    drafts = {"Q2_K": q2_k()} | {name: with_layers(o.model, folder / f"{len(kept)}.gguf", kept) for name, kept in LAYERS.items()}
    for kind in ("as it is", "F16", "F32"):
        path = Path(o.model) if kind == "as it is" else folder / f"{kind}.gguf"
        if kind != "as it is":
            llama2swift.convert(o.model, path, kind)
        model = llama2swift.Model(path)
        for name, small in drafts.items():
            if name != "Q2_K" and kind == "F32":
                continue
            ratios, rates, guesses = [], [], [0, 0]
            with model.context(1024, o.threads) as context, llama2swift.Model(small).context(1024, o.threads) as other:
                for prompt in questions:
                    for temperature in (0.0, 0.8):
                        got = pairs(context, tokens_of(model, "other", prompt), temperature, o, 2, {"draft": other}, {})
                        o.good &= got["same"]
                        ratios.append(got["ratio"])
                        rates.append((got["with"], got["without"]))
                        guesses = [guesses[0] + got["guessed"], guesses[1] + got["right"]]
            mean = statistics.geometric_mean
            lines.append(f"| {model.description if kind == 'as it is' else kind} | {path.stat().st_size >> 20} | {name} | {small.stat().st_size >> 20} | {mean(a for a, _ in rates):.1f} | {mean(b for _, b in rates):.1f} | **{mean(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f}) | {guesses[0]} | {guesses[1]} |")
            print(lines[-1], flush=True)
    return [*lines, ""]


def passes(o: argparse.Namespace, folder: Path) -> list[str]:
    """Milliseconds of a pass with 1 to 8 tokens, all of whose rows are asked for, as where guesses are checked."""
    lines = [TITLES["pass"], "", "ms of a pass with so many tokens whose logits are all asked for, behind 200 others; a further one: the slope from 1 to 4, in passes with one token. `PassCosts` counts 0.15 and 0.12 for each with AVX-512, 0.4 each with AVX2; with weights of floats 0.01 and 0.03, 0.2 and 0.1.", "", "| model | " + " | ".join(map(str, range(1, 9))) + " | a further one |", "|---" * 10 + "|"]
    for kind in ("as it is", "F16", "F32"):
        path = Path(o.model) if kind == "as it is" else folder / f"{kind}.gguf"
        if not path.exists():
            llama2swift.convert(o.model, path, kind)
        with llama2swift.Model(path).context(1024, o.threads) as context:
            context.eval(list(range(300, 500)))
            best = [1e9] * 9
            for _ in range(12):
                for count in range(1, 9):
                    begun = time.perf_counter()
                    context.eval(list(range(600, 600 + count)), all_logits=True)
                    best[count] = min(best[count], time.perf_counter() - begun)
                    context.truncate(200)
        slope = (best[4] - best[1]) / 3 / best[1]
        lines.append(f"| {kind} | " + " | ".join(f"{1e3 * t:.1f}" for t in best[1:]) + f" | **{slope:.2f}** |")
        print(lines[-1], flush=True)
    return [*lines, ""]


TITLES = {"lookup": "## Prompt lookup", "draft": "## A draft model", "pass": "## What a further token takes of a pass"}


def sections(page: Path) -> dict[str, list[str]]:
    """Those of an earlier run, which stay where a part is not measured again."""
    out: dict[str, list[str]] = {}
    for line in page.read_text().splitlines():
        if line.startswith("## "):
            title = next((t for t in TITLES.values() if line.startswith(t)), line)
            out[title] = []
        if out:
            out[title].append(line)
    return out


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", default=os.environ.get("LLAMA2SWIFT_MODEL"))
    p.add_argument("--tokens", type=int, default=96)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--parts", default="lookup,draft,pass")
    p.add_argument("--output", type=Path, default=RESULTS / "DRAFTS.md")
    o = p.parse_args()
    o.model, o.good = o.model or str(fetch_model.fetch()), True
    machine = bench.machine()
    begun = time.monotonic()
    measure = {"lookup": lambda _: lookup(o), "draft": lambda folder: draft(o, folder), "pass": lambda folder: passes(o, folder)}
    old = sections(o.output) if o.output.exists() else {}
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for part, title in TITLES.items():
            if part in o.parts.split(","):
                found = measure[part](Path(folder))
                said = f"{time.strftime('%Y-%m-%d')}, {o.tokens} tokens a text, the best of {2 if part == 'draft' else o.rounds} each way, in turns" if part != "pass" else time.strftime("%Y-%m-%d")
                lines += [f"{title} ({said})", *found[1:]]
            else:
                lines += old.get(title, [])
    head = [
        "# Guessing", "",
        f"`drafts.py` made this page; its last run ({o.parts}) took {time.monotonic() - begun:.0f} s: {Path(o.model).name}, {o.threads} threads; {machine.get('cpu', 'CPU')}, "
        f"{machine['threads_usable']} CPUs, kernels {llama2swift.kernels_available()[-1]}, llama2swift {llama2swift.__version__}. All texts are the same bits with and without guesses: {'yes' if o.good else '**NO**'}.", "",
    ]  # fmt: skip
    o.output.write_text("\n".join([*head, *lines]).rstrip() + "\n")
    print(o.output)
    raise SystemExit(0 if o.good else 1)


if __name__ == "__main__":
    main()
