#!/usr/bin/env python3
"""The figures of one run of bench.py as a page: table.py results/zen3-avx2.json > results/ZEN3-AVX2.md"""

from __future__ import annotations

import argparse
import json
from pathlib import Path


# Kernels that are held to the goals of AVX-512, where the machine has it.
WIDE = ("best", "avx512", "avx512vbmi")


def cells(row: dict | None, goal: float | None = None) -> list[str]:
    """ours, llama.cpp, ratio, share of the stream"""
    if row is None:
        return ["", "", "", ""]
    ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
    return [
        f"{row['ours']:.1f}", f"{row['peer']:.1f}" if "peer" in row else "", f"**{ratio}**" if ratio and goal and row["ratio"] < goal else ratio,
        f"{row['share']:.2f} of {row['stream']:.1f}" if "share" in row else "",
    ]  # fmt: skip


def page(run: dict, name: str) -> str:
    m = run["machine"]
    features = " ".join(f for f in ("avx2", "avx512_vnni") if f in m["avx"].split())
    built = f"built for {m['llama_cpp_features']}" if run["kernels"] not in WIDE and "llama_cpp_features" in m else "built natively here"
    lines = [
        f"# {m['cpu']}, {m['cpus']} cores, {features}", "",
        f"`table.py` made this page from [`{name}`]({name}): `bench.py` on {run['date']}, {run['threads']} threads, llama2swift {m['llama2swift']} ({run['kernels']} kernels) "
        f"beside llama.cpp of llama-cpp-python {m.get('llama_cpp', '')}, {built}; alternating, medians; the ratio is the median of pairs measured side by side, "
        "bold where it is below the goal. \"Of the stream\": the bytes that decoding has to read beside a bare read of the same mapped file by as many threads in the same seconds (GB/s).", "",
    ]  # fmt: skip
    # the project's goals, as multiples of llama.cpp's speed
    wide = "avx512_vnni" in features and run["kernels"] in WIDE
    eight, sixteen = (3.0, 2.5) if wide else (2.2, 1.8)
    rows = {(r["model"], r["work"]): r for r in run["rows"]}
    models = list(dict.fromkeys(r["model"] for r in run["rows"]))
    prefills = sorted({w for _, w in rows if w.startswith("prefill")}, key=lambda w: int(w.split()[1]))
    decodes = sorted({w for _, w in rows if w.startswith("decode")}, key=lambda w: int(w.split()[-1]))
    for decode in decodes:
        lines += [f"## {decode.capitalize()} positions, tokens/s", "", "| model | ours | llama.cpp | ratio | of the stream |", "|---|---|---|---|---|"]
        lines += [f"| {m} | {' | '.join(cells(rows[m, decode], 2.0 if m == 'smollm2' else 1.0))} |" for m in models if (m, decode) in rows] + [""]
    for prefill in prefills:
        lines += [f"## {prefill.capitalize()} tokens, tokens/s", "", "| model | ours | llama.cpp | ratio |", "|---|---|---|---|"]
        for model in models:
            if row := rows.get((model, prefill)):
                kind = model.split(":")[-1]
                goal = 1.1 if kind in ("F16", "BF16", "F32") else 1.7 if wide else 1.5 if kind.endswith("_K") else 1.8
                lines.append(f"| {model} | {' | '.join(cells(row, goal)[:3])} |")
        lines.append("")
    batches = sorted({w for _, w in rows if w.startswith("batch")}, key=lambda w: int(w.split()[-1]))
    if batches:
        lines += ["## Many sequences, a token each a step, tokens/s in sum", "", "| model | sequences | ours | llama.cpp | ratio |", "|---|---|---|---|---|"]
        for model in models:
            for batch in batches:
                if row := rows.get((model, batch)):
                    count = int(batch.split()[-1])
                    lines.append(f"| {model} | {count} | {' | '.join(cells(row, {8: eight, 16: sixteen}.get(count))[:3])} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json", type=Path)
    path = parser.parse_args().json
    print(page(json.loads(path.read_text()), path.name), end="")
