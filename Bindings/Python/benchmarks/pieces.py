#!/usr/bin/env python3
"""What it costs to compute a model in two processes, over a network that is imitated: pieces.py MODEL [--tokens 40] [--rounds 3] [--write FILE.md]

Ray starts the two pieces; between them lies a connection on which nothing is there before it would have come over a wire, 0.5 ms and its bytes at 1 Gbit/s after it
was sent (a real link needs the kernel's netem, which not every machine has). Who asks stands beside the last piece, so that two hops a token are paid: the token to the first
piece, its hidden states to the last. Each process has one thread. Prints tokens a second of one process, of two pieces, and of two pieces with two sequences under way, where
a token's time goes, and what a 70B model in four pieces would do on paper.
"""

import argparse
import os
import statistics
import time
from pathlib import Path

import numpy as np
import ray

import llama2swift
from llama2swift import Sampler
from llama2swift._wire import Wire
from llama2swift.pipeline import Piece, Pipeline

DELAY, BYTES_A_SECOND = 0.5e-3, 1e9 / 8


class Far(Wire):
    """Each message says when it was sent (one machine has one clock), and is there when a wire would have brought it."""

    bytes_a_second = BYTES_A_SECOND

    def pack(self, message):
        return time.monotonic_ns().to_bytes(8, "little") + super().pack(message)

    def receive(self):
        sent = int.from_bytes(self._take(8), "little") / 1e9
        message = super().receive()
        there = sent + DELAY + (64 + (0 if message.rows is None else message.rows.nbytes)) / self.bytes_a_second
        while (left := there - time.monotonic()) > 0:
            if left > 2e-4:
                time.sleep(left - 2e-4)
        return message


class Distant(Piece):
    """A piece at the other end of a wire, with a clock."""

    wire_in = wire_out = Far

    def __init__(self, *given):
        super().__init__(*given)
        self.seconds = []
        if self._is_last:
            self.wire_out = Wire

    def eval(self, *given):
        begun = time.perf_counter()
        out = super().eval(*given)
        self.seconds.append(time.perf_counter() - begun)
        return out

    def spent(self):
        """Median of its evals since the last call, and what it maps and holds, in bytes."""
        found, self.seconds = statistics.median(self.seconds), []
        return found, self._model.hyperparameters.file_bytes, self._context.info.memory_bytes


class Measured(Pipeline):
    piece, wire_out = Distant, Far


def together(model, sequences, tokens):
    """Tokens a second of all sequences, each of which writes `tokens`, from the moment on at which all prompts have been read."""
    times = []

    class Clock(Sampler):
        def sample(self, logits):
            times.append(time.perf_counter())
            return super().sample(logits)

    # nobody ends early
    model.generate(["Once upon a time there was"] * sequences, max_tokens=tokens + 1, sampler=lambda i: Clock(temperature=0, logit_bias=dict.fromkeys(ends, -1e9)))
    return (len(times) - sequences) / (times[-1] - times[sequences - 1])


parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("--tokens", type=int, default=40)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--layers", help="of each piece: 12,10")
parser.add_argument("--address", help="of a Ray cluster whose machines have a resource piece0 and a resource piece1, with a link of 1 Gbit/s: pieces.sh makes one")
parser.add_argument("--node", help="this machine's address there")
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
variables = {name: os.environ[name] for name in ("PYTHONPATH", "LLAMA2SWIFT_LIBRARY") if name in os.environ}
if a.address:
    ray.init(a.address, _node_ip_address=a.node, log_to_driver=False, runtime_env={"env_vars": variables})
    Far.bytes_a_second = float("inf")
    places = [{"num_cpus": 1, "resources": {f"piece{i}": 1}} for i in range(2)]
else:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": variables})
    places = {"num_cpus": 1}
pieces = [int(n) for n in a.layers.split(",")] if a.layers else 2
evals = {name: [] for name in rates}
with whole.context(256, threads=1) as context, Measured(a.model, pieces, length=512, sequences=2, threads=1, placement=places) as pieces:
    context.eval(prompt)
    expected = np.array(context.logits()).tobytes()
    same = pieces.eval(prompt).tobytes() == expected
    for _ in range(a.rounds):
        for name, measure in zip(rates, (alone, lambda: together(pieces, 1, a.tokens), lambda: together(pieces, 2, a.tokens))):
            rates[name].append(measure())
            spent = ray.get([actor.spent.remote() for actor in pieces._pieces.actors]) if name != "one process" else None
            if spent:
                evals[name].append([seconds for seconds, *_ in spent])
    held = spent
    layers = pieces.layers
own, busy = ([1e3 * statistics.median(found) for found in zip(*evals[name])] for name in ("two pieces", "two pieces, two sequences under way"))
base = statistics.median(rates["one process"])
wire = 1e3 * (2 * DELAY + (128 + 4 * shape.embedding_length) / BYTES_A_SECOND)
# 80 layers in four pieces of 12 GB: a token reads all weights once, one piece after the other
weights, stream, hops, width = 39e9, 40e9, 4, 8192 * 4
seconds = weights / stream + hops * (DELAY + width / BYTES_A_SECOND)
page = "\n".join([
    "# One model in two processes", "",
    f"`pieces.py` made this page: {whole.description}, one thread a process, {a.tokens} tokens, medians of {a.rounds} rounds in turns. Ray {ray.__version__} starts the pieces; "
    + ("each is in a network namespace of its own with a Ray node, between them lies a link of 1 Gbit/s (veth, tbf), and what is sent is there after 0.5 ms more, which is imitated"
       if a.address else "between them lies a network that is imitated: what is sent is there after 0.5 ms and its bytes at 1 Gbit/s") + ". Who asks stands beside the last piece. " + ("Logits are one process's, bit for bit." if same else "LOGITS DIFFER."), "",
    "| | tokens/s | of one process | rounds |", "|---|---|---|---|",
    *[f"| {name} | {statistics.median(found):.2f} | {statistics.median(found) / base:.2f} | {', '.join(f'{r:.2f}' for r in found)} |" for name, found in rates.items()], "",
    "Wanted are 0.9 for two pieces and 1.6 for two sequences under way.", "",
    f"A token alone, in ms: one process {1e3 / base:.2f}; two pieces {1e3 / statistics.median(rates['two pieces']):.2f}, of which {own[0]:.2f} and {own[1]:.2f} are the evals of the two ({layers[0]} and {layers[1]} layers), "
    f"{wire:.2f} the wires (two hops), and {1e3 / statistics.median(rates['two pieces']) - sum(own) - wire:.2f} everything else: sockets, Python, the sampler, processes that wake up. "
    f"With two sequences under way, when both cores read weights, the evals take {busy[0]:.2f} and {busy[1]:.2f}.", "",
    "Mapped and held: " + ", ".join(f"piece {i} {mapped / 1e6:.0f} MB of the file and {memory / 1e6:.0f} MB" for i, (_, mapped, memory) in enumerate(held)) + f"; the whole file has {shape.file_bytes / 1e6:.0f} MB.", "",
    f"On paper, not measured: 70B Q4_0 on four machines that read {stream / 1e9:.0f} GB/s, over the same network: {width} bytes a hop, {hops} hops, {1 / seconds:.2f} tokens/s alone, "
    f"{hops / seconds:.2f} with {hops} sequences under way.",
]) + "\n"  # fmt: skip
print(page)
if a.write:
    a.write.write_text(page)
