#!/usr/bin/env python3
"""What it costs to compute a model in two processes, over a network that is imitated: pieces.py MODEL [--tokens 40] [--rounds 3] [--write FILE.md]

A piece waits as long as what it is given would take to arrive: 0.5 ms and its bytes at 1 Gbit/s (a real link needs the kernel's netem, which not every machine
has), on top of what Ray takes itself. Each process has one thread. Prints tokens a second of one process, of two pieces, and of two pieces with two
sequences under way, and what a 70B model in four pieces would do on paper.
"""

import argparse
import statistics
import time
from pathlib import Path

import llama2swift
from llama2swift import Sampler, pipeline
from llama2swift.pipeline import Piece, Pipeline

DELAY, BYTES_A_SECOND = 0.5e-3, 1e9 / 8


def travel(data):
    end = time.perf_counter() + DELAY + (data.nbytes if data is not None else 64) / BYTES_A_SECOND
    while time.perf_counter() < end:
        time.sleep(max(0, min(end - time.perf_counter(), 2e-4)))


class Distant(Piece):
    """A piece at the other end of a wire; the last one's logits travel back, too."""

    def eval(self, sequence, start, tokens, hidden):
        travel(hidden)
        out = super().eval(sequence, start, tokens, hidden)
        if self._is_last:
            travel(out)
        return out


def together(model, sequences, tokens):
    """Tokens a second of all sequences, each of which writes `tokens`."""
    prompts = ["Once upon a time there was"] * sequences
    model.generate(prompts, max_tokens=4)
    begun = time.perf_counter()
    model.generate(prompts, max_tokens=tokens, sampler=lambda i: Sampler(temperature=0, logit_bias=dict.fromkeys(ends, -1e9)))
    return sequences * tokens / (time.perf_counter() - begun)


parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("--tokens", type=int, default=40)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--write", type=Path, help="the page")
a = parser.parse_args()

whole = llama2swift.Model(a.model)
shape = whole.hyperparameters
ends = [t for t in range(shape.vocabulary_size) if whole.is_end(t)]
prompt = whole.tokenize_prompt("Once upon a time there was")


def alone():
    """Tokens a second of one process."""
    context.reset()
    context.eval(prompt)
    begun = time.perf_counter()
    for _ in range(a.tokens):
        context.eval([int(context.logits().argmax())])
    return a.tokens / (time.perf_counter() - begun)


# in turns, so that what the machine does meanwhile meets all of them
rates = {name: [] for name in ("one process", "two pieces", "two pieces, two sequences under way")}
pipeline.Piece = Distant
with whole.context(256, threads=1) as context, Pipeline(a.model, 2, length=512, sequences=2, threads=1, placement={"num_cpus": 1}) as pieces:
    for _ in range(a.rounds):
        for name, measure in zip(rates, (alone, lambda: together(pieces, 1, a.tokens), lambda: together(pieces, 2, a.tokens))):
            rates[name].append(measure())
base = statistics.median(rates["one process"])
# 80 layers in four pieces of 12 GB: a token reads all weights once, one piece after the other
weights, stream, hops, width = 39e9, 40e9, 4, 8192 * 4
seconds = weights / stream + hops * (DELAY + width / BYTES_A_SECOND) + DELAY + 32000 * 4 / BYTES_A_SECOND
page = "\n".join([
    "# One model in two processes", "",
    f"`pieces.py` made this page: {whole.description}, one thread a process, {a.tokens} tokens, medians of {a.rounds} rounds in turns. Between the pieces lies Ray, and a network that is imitated: "
    "what a piece is given waits 0.5 ms and its bytes at 1 Gbit/s.", "",
    "| | tokens/s | of one process | rounds |", "|---|---|---|---|",
    *[f"| {name} | {statistics.median(found):.2f} | {statistics.median(found) / base:.2f} | {', '.join(f'{r:.2f}' for r in found)} |" for name, found in rates.items()], "",
    "Wanted are 0.9 for two pieces and 1.6 for two sequences under way.", "",
    f"On paper, not measured: 70B Q4_0 on four machines that read {stream / 1e9:.0f} GB/s, over the same network: {width} bytes a hop, {hops} hops, {1 / seconds:.2f} tokens/s alone, "
    f"{hops / seconds:.2f} with {hops} sequences under way.",
]) + "\n"  # fmt: skip
print(page)
if a.write:
    a.write.write_text(page)
