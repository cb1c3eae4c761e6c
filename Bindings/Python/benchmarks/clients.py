#!/usr/bin/env python3
"""Many clients at once, `llama2swift serve` beside llama.cpp's llama-server: tokens/s in sum, times to first and between tokens.

    clients.py --llama-server build/bin/llama-server      everything: about 25 minutes
    clients.py --list                                     the cells, one a line
    clients.py --llama-server ... --only "smollm2 own 8"  one cell (or several, each with --only); replaces it in the figures
    clients.py --page                                     the page from the figures alone

A cell is a model, a kind of prompt and a number of clients. It starts each server for itself, so that nothing is cached:
own     each client has its own prompt
shared  all begin with the same head: once while nobody knows it ("first"), and again with other endings ("again")
stall   some clients decode while another one's long prompt comes in
Figures go into --json after each cell, the page into --output; a cell that is there is left out unless --again is given.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
import bench
import fetch_model
from serving import Answer, Server, ask, at, together

import llama2swift

RESULTS = Path(__file__).resolve().parent / "results"
GOALS = {"own": {"avx512": 2.4, "avx2": 1.8}, "shared": {"avx512": 5.0, "avx2": 5.0}}
STALL_GOAL = 3.0


def figures(waves: list[list[Answer]]) -> dict:
    """Of some waves of clients."""
    answers = [a for wave in waves for a in wave]
    seconds = sum(max(a.ended for a in wave) - min(a.asked for a in wave) for wave in waves)
    gaps = [gap for a in answers for _, gap in a.gaps]
    return {
        "tokens": sum(a.tokens for a in answers), "seconds": seconds, "rate": sum(a.tokens for a in answers) / seconds,
        "first_p50": at([a.first for a in answers], 50), "first_p99": at([a.first for a in answers], 99), "between_p50": at(gaps, 50), "between_p99": at(gaps, 99),
    }  # fmt: skip


def waves(o, kind: str, path: Path, vocabulary: int, prompts: str, clients: int) -> dict:
    """The figures of one server in a cell of `own` or `shared`."""
    head = bench.tokens(o.head, vocabulary) if prompts == "shared" else []
    rest = o.tail if prompts == "shared" else o.prompt
    with Server(kind, path, clients, len(head) + rest + o.tokens + 8, o.threads) as server:
        together(server, [bench.tokens(16, vocabulary, 9000 + i) for i in range(clients)], 4, o.temperature)
        found = []
        for wave in range(o.waves):
            asked = [head + bench.tokens(rest, vocabulary, 1 + i + 100 * wave) for i in range(clients)]
            found.append(together(server, asked, o.tokens, o.temperature, 1 + 100 * wave))
    return {"first": figures(found[:1]), "again": figures(found[1:])} if prompts == "shared" else {"all": figures(found)}


def stall(o, kind: str, path: Path, vocabulary: int, clients: int) -> dict:
    """The figures of one server in a cell of `stall`."""
    stop, answers, problems = threading.Event(), [], []

    def decode(number: int) -> None:
        turn = 0
        while not stop.is_set() and not problems:
            answers.append(Answer())
            try:
                ask(server, bench.tokens(16, vocabulary, 500 + number + 50 * turn), o.longest, number + 50 * turn, o.temperature, answers[-1], stop)
            except Exception as problem:
                problems.append(problem)
            turn += 1

    def wait(tokens: int) -> None:
        before = sum(len(a.times) for a in answers)
        while sum(len(a.times) for a in answers) < before + tokens * clients and not problems:
            time.sleep(0.01)

    with Server(kind, path, clients + 1, max(o.stall, o.longest + 16) + 16, o.threads) as server:
        threads = [threading.Thread(target=decode, args=(i,)) for i in range(clients)]
        for one in threads:
            one.start()
        windows, firsts = [], []
        try:
            wait(8)
            begun = time.monotonic()
            for turn in range(o.stalls):
                wait(o.idle)
                long = ask(server, bench.tokens(o.stall, vocabulary, 700 + turn), 2, 1, o.temperature, Answer())
                windows.append((long.asked, long.times[0]))
                firsts.append(long.first)
                wait(4)  # the last gap of a window ends after it
        finally:
            stop.set()
            for one in threads:
                one.join()
    if problems:
        raise problems[0]
    gaps = [(end - gap, end, gap) for a in list(answers) for end, gap in a.gaps if end - gap > begun]
    during = [gap for start, end, gap in gaps if any(start < b and end > a for a, b in windows)]
    idle = [gap for start, end, gap in gaps if not any(start < b + 1 and end > a for a, b in windows)]
    return {
        "idle_p50": at(idle, 50), "idle_p99": at(idle, 99), "during_p50": at(during, 50), "during_p99": at(during, 99), "during_max": max(during),
        "gaps_idle": len(idle), "gaps_during": len(during), "first_p50": at(firsts, 50),
    }  # fmt: skip


def run(o, cell: str) -> dict:
    """A cell's figures, of each server."""
    model, prompts, clients = cell.split()
    path = bench.model_path(model, o.cache)
    vocabulary = llama2swift.Model(path).hyperparameters.vocabulary_size
    out = {}
    third = f"python:{o.llama_cpp_python}" if o.llama_cpp_python and prompts == "own" and int(clients) in (1, 8) else None
    for name, kind in (("ours", "ours"), ("llama-server", o.llama_server), ("llama-cpp-python", third)):
        if kind is not None:
            out[name] = stall(o, kind, path, vocabulary, int(clients)) if prompts == "stall" else waves(o, kind, path, vocabulary, prompts, int(clients))
    settings = {name: getattr(o, name) for name in ("threads", "tokens", "waves", "prompt", "head", "tail", "stall", "stalls", "idle", "temperature")}
    return {"settings": settings, "date": time.strftime("%Y-%m-%d"), **out}


def cells(o) -> list[str]:
    """All of them: "MODEL PROMPTS CLIENTS"."""
    out = [f"{m} {p} {c}" for m in o.models.split(",") for p in o.prompts.split(",") if p != "stall" for c in o.clients]
    return out + [f"{m} stall {o.decoding}" for m in o.models.split(",") if "stall" in o.prompts.split(",")]


def _ms(value: float) -> str:
    return f"{value * 1e3:.0f}" if value < 10 else f"{value:.0f} s"


def page(data: dict) -> str:
    """CLIENTS.md, from the figures alone."""
    kernels = data["machine"]["kernels"]
    any_cell = next(iter(data["cells"].values()))
    s = any_cell["settings"]
    m = data["machine"]
    lines = [
        "# Many clients", "",
        f"`clients.py` made this page. {m.get('cpu', 'CPU')}, {m['threads_usable']} CPUs, kernels {kernels}, llama2swift {m['llama2swift']}; beside {data.get('peer') or 'nothing'}, each with `-t {s['threads']}` and as many "
        f"slots as there are clients, F16 cache, the same files. Each cell starts its own servers. {s['tokens']} tokens an answer, temperature {s['temperature']:g}, seeds given, `ignore_eos`. own: {s['prompt']} tokens of each "
        f"client's own; shared: a head of {s['head']} tokens and {s['tail']} of one's own, once while nobody knows it (first), then again with other endings. All clients of a wave ask at the same moment. Tokens/s: those "
        "generated, of all clients, from the first request to the last end; so the time that prompts take counts. ms: p50 / p99, at the client. Prompts are token ids in no order, so guessing finds nothing to repeat.", "",
        "| model | prompts | clients | tokens/s | llama-server | ratio | to first token, ms | llama-server | between tokens, ms | llama-server |", "|---" * 10 + "|",
    ]  # fmt: skip
    goals = []
    for cell, found in data["cells"].items():
        model, prompts, clients = cell.split()
        if prompts == "stall":
            continue
        for part, ours in found["ours"].items():
            peer = found.get("llama-server", {}).get(part)
            ratio = ours["rate"] / peer["rate"] if peer else None
            columns = [f"{ours['rate']:.1f}", f"{peer['rate']:.1f}" if peer else "", f"**{ratio:.2f}**" if ratio else ""]
            for what in ("first", "between"):
                columns += [f"{_ms(one[what + '_p50'])} / {_ms(one[what + '_p99'])}" if one else "" for one in (ours, peer)]
            lines.append(f"| {model} | {prompts}{'' if part == 'all' else ', ' + part} | {clients} | {' | '.join(columns)} |")
            goal = GOALS[prompts].get({"avx512vbmi": "avx512", "avxvnni": "avx2"}.get(kernels, kernels))
            if clients == "8" and part != "again" and ratio and goal:
                goals.append(f"- {model}, 8 clients, {prompts}: {ratio:.2f} times llama-server; goal {goal:g}: {'reached' if ratio >= goal else 'missed'}.")
    third = {cell: found["llama-cpp-python"]["all"] for cell, found in data["cells"].items() if "llama-cpp-python" in found}
    if third:
        lines += [
            "", "## llama-cpp-python's server", "",
            "It takes one request after the other (`--interrupt_requests false`: by default a new one ends the one that runs), and prompts as text: the words of the ids, cut to as many tokens.", "",
            "| model | clients | tokens/s | ratio of ours | to first token, ms | between tokens, ms |", "|---" * 6 + "|",
        ]  # fmt: skip
        for cell, peer in third.items():
            model, _, clients = cell.split()
            times = " | ".join(f"{_ms(peer[what + '_p50'])} / {_ms(peer[what + '_p99'])}" for what in ("first", "between"))
            lines.append(f"| {model} | {clients} | {peer['rate']:.1f} | **{data['cells'][cell]['ours']['all']['rate'] / peer['rate']:.2f}** | {times} |")
    stalls = [cell for cell in data["cells"] if cell.split()[1] == "stall"]
    if stalls:
        lines += [
            "", "## While a long prompt comes in", "",
            f"Clients decode, then another one's prompt of {s['stall']} tokens comes, {s['stalls']} times. p99 between tokens in ms; during: gaps that touch the time from the request to its first token.", "",
            "| model | clients | idle | during | ratio | its first token after | llama-server idle | during | ratio | its first token after |", "|---" * 10 + "|",
        ]  # fmt: skip
    for cell in stalls:
        found, (model, _, clients) = data["cells"][cell], cell.split()
        columns = []
        for name in ("ours", "llama-server"):
            one = found.get(name)
            columns += [_ms(one["idle_p99"]), _ms(one["during_p99"]), f"**{one['during_p99'] / one['idle_p99']:.2f}**", f"{one['first_p50']:.1f} s"] if one else [""] * 4
        lines.append(f"| {model} | {clients} | {' | '.join(columns)} |")
        ratio = found["ours"]["during_p99"] / found["ours"]["idle_p99"]
        goals.append(f"- {model}, p99 between tokens of {clients} clients while a prompt of {s['stall']} tokens comes: {ratio:.2f} times the idle one; goal at most {STALL_GOAL:g}: {'reached' if ratio <= STALL_GOAL else 'missed'}.")
    return "\n".join([*lines, *(["", "## Goals", "", *goals] if goals else [])]) + "\n"


def main() -> None:
    numbers = lambda text: [int(n) for n in text.split(",")]  # noqa: E731
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--llama-server", help="the peer's program; without: ours alone")
    p.add_argument("--llama-cpp-python", help="an interpreter that has llama_cpp.server: a third one where 1 and 8 clients have prompts of their own")
    p.add_argument("--models", default="smollm2,1.1b:Q4_0", help="default: %(default)s")
    p.add_argument("--prompts", default="own,shared,stall", help="default: %(default)s")
    p.add_argument("--clients", type=numbers, default=[1, 4, 8, 16], help="default: 1,4,8,16")
    p.add_argument("--decoding", type=int, default=4, help="clients that decode while a long prompt comes; default %(default)s")
    p.add_argument("--threads", type=int, default=2)
    for name, default, what in (
        ("tokens", 64, "of an answer"), ("waves", 2, "how often all clients ask"), ("prompt", 256, "tokens of a prompt of one's own"), ("head", 1000, "tokens that are shared"),
        ("tail", 64, "tokens after them"), ("stall", 2000, "tokens of the prompt that comes in"), ("stalls", 3, "how often"), ("idle", 60, "tokens of each client before it"),
        ("longest", 800, "tokens of an answer beside it"),
    ):  # fmt: skip
        p.add_argument("--" + name, type=int, default=default, help=f"{what}; default %(default)s")
    p.add_argument("--temperature", type=float, default=0.8)
    p.add_argument("--only", action="append", default=[], metavar="CELL")
    p.add_argument("--again", action="store_true", help="measure cells that are there, too")
    p.add_argument("--list", action="store_true")
    p.add_argument("--page", action="store_true")
    p.add_argument("--cache", type=Path, default=fetch_model.cache() / "bench")
    p.add_argument("--json", type=Path, default=RESULTS / "clients.json")
    p.add_argument("--output", type=Path, default=RESULTS / "CLIENTS.md")
    o = p.parse_args()
    plan = o.only or cells(o)
    if o.list:
        print("\n".join(plan))
        return
    data = json.loads(o.json.read_text()) if o.json.exists() else {"cells": {}}
    for cell in plan if not o.page else []:
        if cell in data["cells"] and not (o.again or o.only):
            continue
        begun = time.monotonic()
        found = run(o, cell)
        data["machine"] = {**bench.machine(), "kernels": llama2swift.kernels_available()[-1]}
        if o.llama_server:
            data["peer"] = f"llama.cpp's {Path(o.llama_server).name} of llama-cpp-python 0.3.36"
        data["cells"][cell] = found
        o.json.write_text(json.dumps(data, indent=1) + "\n")
        o.output.write_text(page(data))
        rates = {name: {k: round(v["rate"], 1) if isinstance(v, dict) else round(v, 4) for k, v in found[name].items()} for name in ("ours", "llama-server", "llama-cpp-python") if name in found}
        print(f"{cell}: {rates} ({time.monotonic() - begun:.0f} s)", flush=True)
    if o.page:
        o.output.write_text(page(data))


if __name__ == "__main__":
    main()
