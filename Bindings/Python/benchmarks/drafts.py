#!/usr/bin/env python3
"""What guessing gives: prompt lookup where a text repeats its prompt and where it does not, and a draft model; makes results/DRAFTS.md.

    drafts.py [--model FILE] [--tokens 96] [--rounds 3] [--parts lookup,draft,pass] [--kinds F16,F32] [--drafts Q8_0] [--output FILE]

Each text is generated with guesses and without, in turns, its prompt found in the cache both times; the ratio is that of the best of each. The texts are
compared: they must be the same bits. The drafts are quantizations of the model and files of fewer of its layers, beside the model as it is and in wider types: no smaller
model with its vocabulary can be had here. With --kinds or --drafts the page keeps its other rows of drafts. pass: what a further token takes of a pass, of which PassCosts has a figure for each instruction set.
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


def kind_of(o: argparse.Namespace, folder: Path, kind: str) -> Path:
    """The model as it is or in wider types."""
    path = Path(o.model) if kind == "as it is" else folder / f"{kind}.gguf"
    if not path.exists():
        llama2swift.convert(o.model, path, kind)
    return path


def lookup(o: argparse.Namespace, folder: Path) -> list[str]:
    """Of the file as it is, which lies in a large cache, and in F16, where a pass waits for memory as that of larger models does."""
    lines = [TITLES["lookup"], "", "| model | text | what | temperature | tokens/s with | without | ratio | guessed | came true |", "|---" * 9 + "|"]
    said = []
    for which in ("as it is", "F16"):
        ratios: dict[str, list[float]] = {"repeats": [], "other": []}
        model = llama2swift.Model(kind_of(o, folder, which))
        with model.context(1024, o.threads) as context:
            for kind, what, prompt in PROMPTS:
                for temperature in (0.0, 0.8):
                    got = pairs(context, tokens_of(model, kind, prompt), temperature, o, o.rounds, {"guess": True}, {"guess": False})
                    o.good &= got["same"]
                    ratios[kind].append(got["ratio"])
                    lines.append(f"| {which} | {kind} | {what} | {temperature:g} | {got['with']:.1f} | {got['without']:.1f} | **{got['ratio']:.2f}** | {got['guessed']} | {got['right']} |")
                    print(lines[-1], flush=True)
        repeats, other = statistics.geometric_mean(ratios["repeats"]), ratios["other"]
        said += [
            f"- {which}: on text that repeats its prompt {repeats:.2f} times decode (geometric mean; {min(ratios['repeats']):.2f} to {max(ratios['repeats']):.2f}); goal 1.8: {'reached' if repeats >= 1.8 else 'missed'}.",
            f"- {which}: elsewhere {statistics.geometric_mean(other):.2f}, the worst {min(other):.2f}; goal never below 0.98: {'reached' if min(other) >= 0.98 else 'missed'}.",
        ]  # fmt: skip
    return [*lines, "", *said, ""]


# Layers that a draft keeps of 30, without training again; found by how often they say the token that the model does
LAYERS = {"25 layers (0 to 14, 20 to 29)": [*range(15), *range(20, 30)], "20 layers (0 to 19)": list(range(20))}
# The drafts of each model. Of the wider ones, which hold the weights of the Q4_1 file in more bits, its own Q4_1 would have the same weights again, so it is none.
DRAFTS = {"as it is": ["Q2_K", *LAYERS], "F16": ["Q8_0", "Q4_K_M", "Q3_K_M", "Q4_0", "Q2_K", *LAYERS], "F32": ["Q8_0", "Q4_K_M", "Q3_K_M", "Q4_0", "Q2_K"]}


def draft(o: argparse.Namespace, folder: Path) -> list[str]:
    questions = [prompt for kind, _, prompt in PROMPTS if kind == "other"]
    lines = [
        TITLES["draft"], "", f"At temperature 0 and 0.8 over the {len(questions)} questions above; prompt lookup is on both times. F16 and F32 are the Q4_1 file's weights in more bits. The drafts are what `quantize` makes of the model, "
        "and files with fewer of its layers (a GGUF file whose `llama.block_count` is smaller is a model like any other): untrained, these say what the model would say too seldom to pay for what they take.", "",
        "| model | its size, MiB | draft | its size | tokens/s with | without | ratio | at 0 | at 0.8 | guessed | came true |", "|---" * 11 + "|",
    ]  # fmt: skip
    wide = kind_of(o, folder, "F16")
    for kind, names in DRAFTS.items():
        if o.kinds and kind not in o.kinds.split(","):
            continue
        path = kind_of(o, folder, kind)
        model = llama2swift.Model(path)
        for name in names:
            if o.drafts and name not in o.drafts.split(","):
                continue
            small = folder / f"{name}.gguf"
            if not small.exists():
                with_layers(o.model, small, LAYERS[name]) if name in LAYERS else llama2swift.quantize(wide, small, name)
            ratios: dict[float, list[float]] = {0.0: [], 0.8: []}
            rates, guesses = [], [0, 0]
            with model.context(1024, o.threads) as context, llama2swift.Model(small).context(1024, o.threads) as other:
                for prompt in questions:
                    for temperature, found in ratios.items():
                        got = pairs(context, tokens_of(model, "other", prompt), temperature, o, 2, {"draft": other}, {})
                        o.good &= got["same"]
                        found.append(got["ratio"])
                        rates.append((got["with"], got["without"]))
                        guesses = [guesses[0] + got["guessed"], guesses[1] + got["right"]]
            mean, every = statistics.geometric_mean, [r for found in ratios.values() for r in found]
            lines.append(
                f"| {model.description if kind == 'as it is' else kind} | {path.stat().st_size >> 20} | {name} | {small.stat().st_size >> 20} | {mean(a for a, _ in rates):.1f} | {mean(b for _, b in rates):.1f} | "
                f"**{mean(every):.2f}** ({min(every):.2f} to {max(every):.2f}) | {mean(ratios[0.0]):.2f} | {mean(ratios[0.8]):.2f} | {guesses[0]} | {guesses[1]} |"
            )
            print(lines[-1], flush=True)
    return [*lines, ""]


def passes(o: argparse.Namespace, folder: Path) -> list[str]:
    """Milliseconds of a pass with 1 to 8 tokens, all of whose rows are asked for, as where guesses are checked."""
    lines = [TITLES["pass"], "", "ms of a pass with so many tokens whose logits are all asked for, behind 200 others, and what 1, 3 and 7 more take, in passes with one token. `PassCosts` counts 0.25, 0.5 and 1.05 with AVX-512 and 0.4 each with AVX2; with weights of floats 0.05, 0.2 and 0.5.", "", "| model | " + " | ".join(map(str, range(1, 9))) + " | 1 more | 3 more | 7 more |", "|---" * 12 + "|"]
    for kind in ("as it is", "F16", "F32"):
        with llama2swift.Model(kind_of(o, folder, kind)).context(1024, o.threads) as context:
            context.eval(list(range(300, 500)))
            best = [1e9] * 9
            for _ in range(2):
                for count in range(1, 9):
                    # one size after the other, as while a text is made: what lies in the cache stays there
                    for _ in range(16):
                        begun = time.perf_counter()
                        context.eval(list(range(600, 600 + count)), all_logits=True)
                        best[count] = min(best[count], time.perf_counter() - begun)
                        context.truncate(200)
        more = [best[count] / best[1] - 1 for count in (2, 4, 8)]
        lines.append(f"| {kind} | " + " | ".join(f"{1e3 * t:.1f}" for t in best[1:]) + " | " + " | ".join(f"{m:.2f}" for m in more) + " |")
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


def merged(found: list[str], old: list[str]) -> list[str]:
    """The rows of drafts of this run and, of an earlier one, those that it has not; in the order of DRAFTS."""
    rows: dict[tuple[str, str], str] = {}
    for line in [*old, *found]:
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 13 and cells[2].isdigit():
            kind = cells[1] if cells[1] in DRAFTS else "as it is"
            rows[kind, cells[3]] = line
    head = next(i for i, line in enumerate(found) if line.startswith("|---")) + 1
    return [*found[:head], *(rows[kind, name] for kind, names in DRAFTS.items() for name in names if (kind, name) in rows), ""]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", default=os.environ.get("LLAMA2SWIFT_MODEL"))
    p.add_argument("--tokens", type=int, default=96)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--parts", default="lookup,draft,pass")
    p.add_argument("--kinds")
    p.add_argument("--drafts")
    p.add_argument("--output", type=Path, default=RESULTS / "DRAFTS.md")
    o = p.parse_args()
    o.model, o.good = o.model or str(fetch_model.fetch()), True
    machine = bench.machine()
    begun = time.monotonic()
    measure = {"lookup": lambda folder: lookup(o, folder), "draft": lambda folder: draft(o, folder), "pass": lambda folder: passes(o, folder)}
    old = sections(o.output) if o.output.exists() else {}
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for part, title in TITLES.items():
            if part in o.parts.split(","):
                found = measure[part](Path(folder))
                said = f"{time.strftime('%Y-%m-%d')}, {machine.get('cpu', 'CPU')}, kernels {llama2swift.kernels_available()[-1]}"
                if part != "pass":
                    said += f", {o.tokens} tokens a text, the best of {2 if part == 'draft' else o.rounds} each way, in turns"
                if part == "draft" and (o.kinds or o.drafts):
                    found = merged(found, old.get(title, []))
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
