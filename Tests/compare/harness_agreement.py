#!/usr/bin/env python3
"""The model type for lm-evaluation-harness beside `transformers` in F32 on the same weights: the same choices, log-probabilities within 1e-3.

    harness_agreement.py [--model FILE] [--items N] [--tasks a,b] [--data FOLDER] [--write FILE]

The model is widened to F32 by `llama2swift.convert`, read by both, and asked the questions of the card's tasks. Needs torch, transformers and gguf.
Where lm_eval is installed the requests go through its own classes on both sides; elsewhere through ours and a plain forward pass.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import llama2swift
from llama2swift.evaluation import TASKS, run

SHARED = Path(__file__).resolve().parents[3] / "shared/data/eval"


def pairs_of(name: str, folder: Path, count: int):
    """(question, [(context, continuation)]) of the first tasks that are chosen."""
    plan = run._plan(TASKS[name], folder, count, 0)
    return [(q, [(c.rstrip(), t) for c, t in q.pairs]) for q in plan.questions]


class Torch:
    """The log-probability of continuations, one forward pass each."""

    def __init__(self, path: Path):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(int(os.environ.get("THREADS", "2")))
        self.torch = torch
        self.tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        self.model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()

    def encode(self, text: str) -> list[int]:
        return self.tokenizer(text)["input_ids"]

    def score(self, context: list[int], continuation: list[int]) -> float:
        with self.torch.no_grad():
            logits = self.model(self.torch.tensor([(context + continuation)[:-1]]), logits_to_keep=len(continuation)).logits[0]
            rows = self.torch.log_softmax(logits.double(), -1)
            return float(rows.gather(1, self.torch.tensor(continuation)[:, None]).sum())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default=os.environ.get("LLAMA2SWIFT_MODEL"))
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--tasks", default="piqa,siqa,hellaswag,winogrande,arc_easy,arc_challenge,openbookqa,commonsenseqa,mmlu")
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--write", type=Path)
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wide = Path(folder) / "wide.gguf"
        llama2swift.convert(a.model, wide, "F32")
        from llama2swift.lm_eval import Requests

        ours, theirs = Requests(str(wide), kv="f32"), Torch(wide)
        rows, worst = {}, 0.0
        for name in a.tasks.split(","):
            questions = pairs_of(name, a.data, a.items)
            encoded = [[ours._encode_pair(*pair) for pair in pairs] for _, pairs in questions]
            differ = sum(theirs.encode(c + t) != x + y for (_, pairs), group in zip(questions, encoded) for (c, t), (x, y) in zip(pairs, group))
            ours.cache_hook = type("None", (), {"add_partial": lambda *_: None})()
            start = time.monotonic()
            mine = iter(ours._loglikelihood_tokens([(None, x, y) for group in encoded for x, y in group], disable_tqdm=True))
            mine = [[next(mine)[0] for _ in group] for group in encoded]
            middle = time.monotonic()
            right = [[theirs.score(x, y) for x, y in group] for group in encoded]
            end = time.monotonic()
            off = max(abs(m - r) for ms, rs in zip(mine, right) for m, r in zip(ms, rs))
            choices = []
            for (question, pairs), ms, rs in zip(questions, mine, right):
                base = [0.0] * len(pairs)
                choices.append(question.value(ms, base)[1] == question.value(rs, base)[1])
            rows[name] = {"items": len(questions), "texts": sum(map(len, mine)), "same choices": sum(choices), "largest difference": off, "texts tokenized otherwise": differ,
                          "seconds ours": round(middle - start, 1), "seconds transformers": round(end - middle, 1)}  # fmt: skip
            worst = max(worst, off)
            print(name, rows[name], flush=True)
        same = all(r["items"] == r["same choices"] and not r["texts tokenized otherwise"] for r in rows.values())
        print(f"{sum(r['items'] for r in rows.values())} items, choices {'all the same' if same else 'DIFFER'}, largest difference {worst:.2e}")
        if a.write:
            a.write.write_text(json.dumps(rows, indent=1) + "\n")
        raise SystemExit(0 if same and worst < 1e-3 else 1)


if __name__ == "__main__":
    main()
