#!/usr/bin/env python3
"""What sequences cost, beside llama.cpp where it has the same: sequences.py PART ... measures and writes results/sequences.json,
sequences.py page writes results/SEQUENCES.md from it. A part is one quiet run of at most three minutes; `--model` is SmolLM2's file.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from sequences_page import page
from sequences_peer import HERE, KINDS, THREADS, Peer, seconds, softmaxed, text

import llama2swift  # isort: skip
from engines import resident  # isort: skip

RESULTS = HERE / "results"

# Parts


def forks(path) -> dict:
    """10,000 forks of a prompt of 2,000 tokens into 1,000 sequences, each going on by a token in the end."""
    model = llama2swift.Model(path)
    prompt, living, most = text(model, 2000), 1000, 10_000
    with model.context(length=2048, threads=THREADS) as one, model.context(length=2048 + 64 * 2, sequences=living + 1, threads=THREADS) as context:
        context.eval(prompt)
        tables = (context.info.memory_bytes - one.info.memory_bytes) / living
        before, used = resident(), context.info.pages_used
        numbers = [1 + i % living for i in range(most)]
        total = seconds(lambda: [context.copy_sequence(0, s) for s in numbers])
        after, pages = resident(), context.info.pages_used
    kv = 2 * model.hyperparameters.head_count_kv * model.hyperparameters.head_dimension * model.hyperparameters.block_count * 2
    out = dict(forks=most, living=living, microseconds=total / most * 1e6, resident_each=(after - before) / living, pages_each=(pages - used) / living, page_bytes=64 * kv, reserved_each=tables)
    with model.context(length=2048 + 64 * 260, sequences=256, threads=THREADS) as context:  # as many as llama.cpp can have
        context.eval(prompt)
        before = resident()
        out["ours_255"] = seconds(lambda: [context.copy_sequence(0, s) for s in range(1, 256)]) / 255 * 1e6
        context.eval_batch([(5, s, False) for s in range(256)])
        out["went_on_each"] = (resident() - before) / 256
    peer = Peer(path, length=2048 + 512, sequences=256)
    peer.eval(prompt)
    out["peer_255"] = seconds(lambda: [peer.api.llama_memory_seq_cp(peer.memory, 0, s, -1, -1) for s in range(1, 256)]) / 255 * 1e6
    peer.close()
    return out


def prefix(path) -> dict:
    """50 conversations behind a head of 1,500 tokens: time to the first token."""
    model = llama2swift.Model(path)
    head, rest = text(model, 1500), text(model, 4000)[2000:]
    tails = [rest[30 * i : 30 * i + 20] for i in range(50)]
    out: dict = {"head": len(head), "tail": 20, "conversations": 50}

    def ours(context, sequence, tokens, adopts=True):
        found = context.adopt(tokens, sequence) if adopts else 0
        context.eval_batch([(t, sequence, i == len(tokens) - found - 1) for i, t in enumerate(tokens[found:])])
        return int(context.logits().argmax())

    with model.context(length=1500 + 64 * 60, sequences=50, threads=THREADS) as context:
        context.eval(head[:64])
        context.reset()
        context.eval(rest[:9])  # warm, and nothing of the head is known but its first page, which goes below
        context.reset()
    with model.context(length=1500 + 64 * 60, sequences=50, threads=THREADS) as context:
        answers: list = []
        times = [seconds(lambda t=t, s=s: answers.append(ours(context, s, head + t))) for s, t in enumerate(tails)]
        out["ours"], out["ours_rest"] = times[0], times[1:]
    with model.context(length=1600, threads=THREADS) as context:
        alone: list = []
        plain = []
        for t in tails[:4]:
            context.reset()
            plain.append(seconds(lambda t=t: alone.append(ours(context, 0, head + t, adopts=False))))
        out["ours_without"] = plain
    assert alone == answers[:4]
    peer = Peer(path, length=1500 + 64 * 60, sequences=51)
    peer.eval(rest[:64])
    peer.api.llama_memory_clear(peer.memory, True)
    times = []
    for s, t in enumerate(tails):
        start = time.perf_counter()
        if s == 0:
            peer.eval(head)
        peer.api.llama_memory_seq_cp(peer.memory, 0, s + 1, -1, -1)
        peer.eval(t, 1500, s + 1).argmax()
        times.append(time.perf_counter() - start)
    peer.close()
    out["peer"], out["peer_rest"] = times[0], times[1:]
    return out


def ram_cache(path) -> dict:
    """The same by llama-cpp-python's LlamaRAMCache, of which 12 conversations."""
    import llama_cpp

    model = llama2swift.Model(path)
    head, rest = text(model, 1500), text(model, 4000)[2000:]
    llama = llama_cpp.Llama(str(path), n_ctx=2048, n_threads=THREADS, n_threads_batch=THREADS, verbose=False, flash_attn=True)
    llama.set_cache(llama_cpp.LlamaRAMCache(4 << 30))
    times = []
    for i in range(12):
        stream = llama.create_completion(head + rest[30 * i : 30 * i + 20], max_tokens=8, temperature=0, stream=True)
        times.append(seconds(lambda s=stream: next(s)))
        list(stream)
        llama.create_completion([5, 6, 7], max_tokens=1)  # somebody else talks between
    return {"first": times[0], "rest": times[1:]}


def decode(path, length: int, ours=tuple(KINDS), peer=tuple(KINDS)) -> dict:
    """Tokens a second behind `length` positions, by type of the cache; alternating."""
    model = llama2swift.Model(path)
    prompt, steps = (text(model, 4000) * 3)[:length], 16
    runs: dict = {}
    for kind in ours:
        context = model.context(length=length + 256, kv=kind, threads=THREADS, batch_size=512)
        context.eval(prompt)
        runs[f"ours {kind}"] = lambda c=context: [c.eval([7]) for _ in range(steps)]
    for kind in peer:
        it = Peer(path, length=length + 256, kv=kind, sequences=1 + -(-length // 512))
        it.fill(prompt) if length > 4096 else it.eval(prompt)
        places = iter(range(length, length + 256))
        runs[f"peer {kind}"] = lambda it=it, places=places: [it.eval([7], next(places)) for _ in range(steps)]
    rates: dict = {name: [] for name in runs}
    for _ in range(7):
        for name, run in runs.items():
            rates[name].append(steps / seconds(run))
    return {name: statistics.median(found[1:]) for name, found in rates.items()}


def lora(path) -> dict:
    """Decoding with an adapter of rank 16 in every product of every layer, as PEFT makes it for all linear modules."""
    import adapters as L

    model = llama2swift.Model(path)
    h = model.hyperparameters
    shape = dict(vocabulary=8, dim=h.embedding_length, layers=h.block_count, heads=h.head_count, heads_kv=h.head_count_kv, hidden=h.feed_forward_length)
    prompt, out = text(model, 128), {}
    with tempfile.TemporaryDirectory() as folder:
        for rank in (8, 16, 64):
            file = L.write_adapter(Path(folder) / f"{rank}.gguf", L.adapter("w", lambda n, r=rank: r if n.startswith("blk") else 0, shape), rank)
            adapter = model.adapter(file)
            with model.context(length=512, threads=THREADS) as plain, model.context(length=512, threads=THREADS) as with_it:
                with_it.set_adapters(0, [(adapter, 0.001)])
                peers = [Peer(path, length=512), Peer(path, length=512, lora=file)]
                for c in (plain, with_it):
                    c.eval(prompt)
                places = [128, 128]
                for p in peers:
                    p.eval(prompt)
                rates: list = [[], [], [], []]

                def run(i):
                    for _ in range(16):
                        peers[i].eval([7], places[i])
                        places[i] += 1

                for _ in range(6):
                    for i, c in enumerate((plain, with_it)):
                        rates[i].append(16 / seconds(lambda c=c: [c.eval([7]) for _ in range(16)]))
                    for i in range(2):
                        rates[2 + i].append(16 / seconds(lambda i=i: run(i)))
                for p in peers:
                    p.close()
                out[str(rank)] = dict(zip(["ours", "ours with", "peer", "peer with"], (statistics.median(r[1:]) for r in rates)))
    return out


def types(path) -> dict:
    """Perplexity and mean KL of each type of the cache, with the model's numbers in F32, so that nothing else is rounded differently."""
    wide = Path(tempfile.gettempdir()) / "smollm2-f32.gguf"
    if not wide.exists():
        llama2swift.convert(path, wide, "F32")
    model = llama2swift.Model(wide)
    window, windows = 512, int(os.environ.get("WINDOWS", 6))  # 512 tokens each
    tokens, out = text(model, window * windows), {}

    def ours(kind, piece):
        with model.context(length=window, kv=kind, threads=THREADS) as context:
            context.eval(piece, all_logits=True)
            return softmaxed(context.logits())

    def peer(kind, piece):
        it = Peer(wide, length=window, kv=kind)
        try:
            return softmaxed(it.eval(piece, every=True))
        finally:
            it.close()

    # a window at a time, so that a run that was cut goes on where it was
    kept = Path(tempfile.gettempdir()) / f"types-{window}.json"
    done = json.loads(kept.read_text()) if kept.exists() else []
    for first in range(window * len(done), window * windows, window):
        piece, row = tokens[first : first + window], {}
        for name, engine in (("ours", ours), ("peer", peer)):
            exact = None
            for kind in ["f32", *KINDS]:
                found = engine(kind, piece)
                exact = found if exact is None else exact
                divergence = (np.exp(exact) * (exact - found)).sum(1).mean() if found is not exact else 0.0
                row[f"{name} {kind}"] = -float(np.mean([found[i, piece[i + 1]] for i in range(window // 2, window - 1)])), float(divergence)
        done.append(row)
        kept.write_text(json.dumps(done))
        print("window", len(done), flush=True)
    for name in ("ours", "peer"):
        means = {k: np.mean([row[f"{name} {k}"] for row in done[:windows]], 0) for k in ["f32", *KINDS]}
        out[name] = {k: dict(perplexity=float(np.exp(loss)), kl=float(kl)) for k, (loss, kl) in means.items()}
    out["window"], out["windows"] = window, windows
    return out


def shift(path) -> dict:
    """A text of ten times the context: perplexity of all tokens behind the first context."""
    model = llama2swift.Model(path)
    length, step = 512, 32
    tokens = text(model, 10 * length)
    out: dict = {"length": length, "tokens": len(tokens)}

    def loss(context, make_room) -> float:
        total, count = 0.0, 0
        last = None
        for first in range(0, len(tokens), step):
            piece = tokens[first : first + step]
            if context.sequence_length() + step > length:
                make_room(context, first)
            context.eval(piece, all_logits=True)
            rows = softmaxed(context.logits())
            if first >= length:
                total -= last[piece[0]] + sum(rows[i, piece[i + 1]] for i in range(step - 1))
                count += step
            last = rows[-1]
        return float(np.exp(total / count))

    def recomputed(context, first):
        context.reset()
        context.eval(tokens[first - length // 2 : first])

    with model.context(length=length, threads=THREADS) as context:
        out["shift, 4 kept"] = loss(context, lambda c, _: c.shift(length // 2, keep=4))
    with model.context(length=length, threads=THREADS) as context:
        out["shift, none kept"] = loss(context, lambda c, _: c.shift(length // 2, keep=0))
    with model.context(length=length, threads=THREADS) as context:
        out["the second half evaluated anew"] = loss(context, recomputed)
    return out


PARTS = {"forks": forks, "prefix": prefix, "ram_cache": ram_cache, "decode_2048": lambda p: decode(p, 2048), "decode_8192": lambda p: decode(p, 8192, peer=()), **{f"peer_8192_{k}": lambda p, k=k: decode(p, 8192, ours=(k,), peer=(k,)) for k in KINDS}, "lora": lora, "types": types, "shift": shift}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="+", choices=[*PARTS, "page"])
    parser.add_argument("--model", default=os.environ.get("LLAMA2SWIFT_MODEL"))
    given = parser.parse_args()
    file = RESULTS / "sequences.json"
    found = json.loads(file.read_text()) if file.exists() else {}
    for part in given.part:
        if part == "page":
            (RESULTS / "SEQUENCES.md").write_text(page(found))
            continue
        found[part] = PARTS[part](given.model) | {"date": datetime.date.today().isoformat()}
        import llama_cpp

        with llama2swift.Model(given.model).context(length=16) as context:
            kernels = context.info.kernels
        cpu = next(line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
        found["machine"] = dict(cpu=cpu, threads=THREADS, kernels=kernels, llama_cpp=llama_cpp.__version__)
        print(part, json.dumps(found[part]), flush=True)
        # another run may have written meanwhile
        found = (json.loads(file.read_text()) if file.exists() else {}) | {k: found[k] for k in (part, "machine")}
        file.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
