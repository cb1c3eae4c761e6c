#!/usr/bin/env python3
"""Our model type of lm-evaluation-harness beside its own `hf` (transformers, F32 on the CPU) on the same weights: the same choices, log-probabilities within 1e-3.

    harness_agreement.py --work FOLDER [--model FILE] [--items 10,50,200] [--tasks a,b] [--softmax float64] [--data FOLDER] [--write HARNESS.md] [--page]

The model is widened to F32 by `llama2swift.convert` and read by both. Both are asked through the harness: its Instances go into `loglikelihood` of its HFLM and of
ours, so that each side tokenizes for itself. Most of what is left between them is torch's log_softmax in F32 (--softmax float64 takes it away). Needs lm_eval, torch, transformers and gguf. The items grow in stages, the larger ones keep those of the
smaller ones; every answer is kept in --work, and the page is written after each task. --page asks nothing: it takes of each task the largest stage of which all is kept.
"""

import argparse
import json
import os
import time
from pathlib import Path

import llama2swift
from llama2swift.evaluation import TASKS
from llama2swift.evaluation.plan import plan_of

LIMIT = 1e-3
SHARED = Path(__file__).resolve().parents[3] / "shared/data/eval"
NAMES = "piqa,siqa,winogrande,arc_easy,arc_challenge,openbookqa,hellaswag,truthfulqa_mc1,commonsenseqa,mmlu"


def instances(plan, numbers):
    """The harness's requests of some questions: a context and a continuation each; what answers are compared with comes behind them."""
    from lm_eval.api.instance import Instance

    out = []
    for number in numbers:
        question = plan.questions[number]
        pairs = [*question.pairs, *((question.baseline, text) for _, text in question.pairs if question.by == "answer")]
        out.append([Instance(request_type="loglikelihood", doc={}, arguments=(context.rstrip(), text), idx=i) for i, (context, text) in enumerate(pairs)])
    return out


class Kept:
    """Log-probabilities of one side, by task and item."""

    def __init__(self, path: Path, make):
        self.path, self.make, self.model, self.seconds = path, make, None, 0.0
        self.items = json.loads(path.read_text()) if path.exists() else {}

    def left(self, task: str, plan) -> list[int]:
        """Questions without an answer."""
        have = self.items.get(task, {})
        return [n for n, index in enumerate(plan.asked) if str(index) not in have]

    def scores(self, task: str, plan) -> list[list[float]]:
        have = self.items.setdefault(task, {})
        left = self.left(task, plan)
        if left:
            self.model = self.model or self.make()
            groups = instances(plan, left)
            values = iter(self.model.loglikelihood([i for group in groups for i in group], disable_tqdm=True))
            for number, group in zip(left, groups):
                have[str(plan.asked[number])] = [float(next(values)[0]) for _ in group]
            self.path.write_text(json.dumps(self.items))
        return [have[str(index)] for index in plan.asked]


def page(rows, versions) -> str:
    """Markdown, from the rows alone."""
    lines = ["# Beside lm-evaluation-harness's own model type", ""]
    lines += [
        f"`harness_agreement.py` made this page ({versions}): the same SmolLM2-135M-Instruct, widened to F32, through the harness's `hf` (transformers, torch, F32 on the CPU) and through `llama2swift.lm_eval`. "
        "Texts are contexts with a continuation; a choice is the task's own (by characters, letters and so on).", "",
    ]  # fmt: skip
    lines += ["| task | items | texts | same choice | largest difference of a log-probability |", "|---|---|---|---|---|"]
    lines += [f"| {name} | {r['items']} | {r['texts']} | {r['same']} | {r['off']:.1e} |" for name, r in rows.items()]
    total = {key: sum(r[key] for r in rows.values()) for key in ("items", "texts", "same")}
    lines.append(f"| all | {total['items']} | {total['texts']} | {total['same']} | {max(r['off'] for r in rows.values()):.1e} |")
    over = [name for name, r in rows.items() if not r["off"] < LIMIT]
    lines += ["", f"Wanted is less than {LIMIT:g}: " + (f"not met in {', '.join(over)}." if over else "met everywhere.")]
    near = [f"{name} item {index}: the two best are {gap:.1e} apart" for name, r in rows.items() for index, gap in r["others"]]
    return "\n".join([*lines, *(["", "Other choices: " + "; ".join(near) + "."] if near else [])]) + "\n"


def compare(plan, mine, right):
    """A row of the page."""
    off, same, others = 0.0, 0, []
    for question, index, ms, rs in zip(plan.questions, plan.asked, mine, right):
        off = max(off, *(abs(m - r) for m, r in zip(ms, rs)))
        count = len(question.pairs)
        taken = [question.value(values[:count], values[count:])[1] for values in (ms, rs)]
        same += taken[0] == taken[1]
        if taken[0] != taken[1]:
            others.append((index, abs(rs[taken[0]] - rs[taken[1]])))
    return {"items": len(mine), "texts": sum(map(len, mine)), "same": same, "off": off, "others": others}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default=os.environ.get("LLAMA2SWIFT_MODEL"))
    parser.add_argument("--items", default="10,50,200")
    parser.add_argument("--tasks", default=NAMES)
    parser.add_argument("--softmax", choices=("float32", "float64"), default="float32", help="in which the harness's hf takes its log_softmax of the F32 logits")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--page", action="store_true")
    a = parser.parse_args()
    import lm_eval
    import torch
    import transformers

    torch.set_num_threads(a.threads)
    a.work.mkdir(parents=True, exist_ok=True)
    wide = a.work / "wide.gguf"
    if not wide.exists():
        llama2swift.convert(a.model, wide, "F32")

    def hf():
        from lm_eval.models.huggingface import HFLM

        return HFLM(pretrained=str(a.work), gguf_file=wide.name, tokenizer=None, dtype="float32", device="cpu", batch_size=4, softmax_dtype=a.softmax)

    def ours():
        from llama2swift.lm_eval import LM

        return LM(path=str(wide), kv="f32", threads=a.threads)

    sides = Kept(a.work / "ours.json", ours), Kept(a.work / ("hf.json" if a.softmax == "float32" else "hf64.json"), hf)
    rows = {}
    versions = f"lm_eval {lm_eval.__version__}, transformers {transformers.__version__}, torch {torch.__version__}, llama2swift {llama2swift.__version__}"
    for items in map(int, a.items.split(",")):
        for name in a.tasks.split(","):
            begun = time.monotonic()
            plan = plan_of(TASKS[name], a.data, items, 0)
            if a.page and any(side.left(name, plan) for side in sides):
                continue
            rows[name] = compare(plan, *(side.scores(name, plan) for side in sides))
            print(name, rows[name], f"{time.monotonic() - begun:.0f} s", flush=True)
            if a.write:
                a.write.write_text(page(rows, versions))
    print(page(rows, versions))
    raise SystemExit(0 if all(r["same"] == r["items"] and r["off"] < LIMIT for r in rows.values()) else 1)


if __name__ == "__main__":
    main()
