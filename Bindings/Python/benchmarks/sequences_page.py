"""results/SEQUENCES.md from what sequences.py has measured."""

from __future__ import annotations

import statistics

import numpy as np
from sequences_peer import KINDS


def page(found: dict) -> str:
    """Markdown."""

    def ms(x):
        return f"{1e3 * x:.1f} ms"

    m, out = found["machine"], []
    out += ["# Sequences", ""]
    out += [f"`sequences.py` made this page from [`sequences.json`](sequences.json): SmolLM2-135M-Instruct in Q4_1, {m['cpu']}, {m['threads']} threads, {m['kernels']} kernels, llama.cpp of llama-cpp-python "
            f"{m['llama_cpp']} built natively. Each part ran alone on the machine on the date it is given, but those of perplexities, which measure no time.", ""]  # fmt: skip
    if f := found.get("forks"):
        out += [f"## Forks ({f['date']})", "", f"{f['forks']:,} forks of a prompt of 2,000 tokens, {f['living']:,} of them alive at once (a context has at most 1,024 sequences):", "",
                "| | |", "|---|---|", f"| time each | {f['microseconds']:.2f} us |", f"| pages each | {f['pages_each']:.3f} |", f"| resident memory each | {f['resident_each']:.0f} bytes |",
                f"| address space that a context sets aside for each (a page, touched when it goes on) | {f['reserved_each'] / 2**20:.2f} MiB |",
                f"| one that went on by a token: resident memory each | {f['went_on_each'] / 2**20:.2f} MiB |",
                f"| 255 forks, each: here, `llama_memory_seq_cp` (at most 256) | {f['ours_255']:.2f} us, {f['peer_255']:.2f} us |", ""]  # fmt: skip
    if f := found.get("prefix"):
        rest, peer = f["ours_rest"], f["peer_rest"]
        out += [f"## A head of {f['head']:,} tokens and {f['conversations']} conversations of {f['tail']} more ({f['date']})", "", "Time to the first token. Goal: conversations 2 to 50 at most 3 % of the first.", "",
                "| | first | 2 to 50, median | slowest | median of first |", "|---|---|---|---|---|",
                f"| adopted | {ms(f['ours'])} | {ms(statistics.median(rest))} | {ms(max(rest))} | {100 * statistics.median(rest) / f['ours']:.1f} % |",
                f"| without | {ms(f['ours_without'][0])} | {ms(statistics.median(f['ours_without'][1:]))} | {ms(max(f['ours_without'][1:]))} | |",
                f"| llama.cpp, `llama_memory_seq_cp`, `kv_unified` (2 to {len(peer) + 1}) | {ms(f['peer'])} | {ms(statistics.median(peer))} | {ms(max(peer))} | {100 * statistics.median(peer) / f['peer']:.1f} % |"]  # fmt: skip
        if r := found.get("ram_cache"):
            out += [f"| llama-cpp-python, `LlamaRAMCache` (12 conversations, {r['date']}) | {ms(r['first'])} | {ms(statistics.median(r['rest']))} | {ms(max(r['rest']))} | {100 * statistics.median(r['rest']) / r['first']:.1f} % |"]
        out += ["", f"The answers of those with and without are the same tokens. {f.get('note', '')}".strip(), ""]
    if f := found.get("types"):
        out += [f"## Types of the cache ({f['date']})", "", f"The model's numbers in F32, {f['windows']} windows of {f['window']} tokens of this repository's texts. Perplexity of the second half of each, mean KL divergence of every position from the same engine's "
                "cache in F32. Goal: Q8_0 at most 0.0010 from F16, Q4_0 at most the peer's.", "", "| type | perplexity | beside F16 | KL | llama.cpp: perplexity | beside F16 | KL |", "|---|---|---|---|---|---|---|"]  # fmt: skip
        for k in ["f32", *KINDS]:
            a, b = f["ours"][k], f["peer"][k]
            half, theirs = f["ours"]["f16"]["perplexity"], f["peer"]["f16"]["perplexity"]
            cells = [f"{x['perplexity']:.4f} | {x['perplexity'] - f16:+.4f}, {np.log(x['perplexity'] / f16):+.5f} nats | {x['kl']:.6f}" for x, f16 in ((a, half), (b, theirs))]
            out.append(f"| {k.upper()} | {' | '.join(cells)} |")
        out.append("")
    lengths = [n for n in (2048, 8192) if f"decode_{n}" in found]
    if lengths:
        out += ["## Decoding behind many positions, tokens/s", "", "llama.cpp with flash attention, each type beside the same one. Behind 8,192 positions the share of our F16 is of another run, in which our types alternated, and llama.cpp's positions are "
                "16 windows that were evaluated each by itself: a step reads them all the same. Goals: not slower than F16 here, 1.3 times llama.cpp.", "", "| positions | type | ours | of our F16 | llama.cpp | ratio | date |", "|---|---|---|---|---|---|---|"]
        for n in lengths:
            f = found[f"decode_{n}"]
            for k in KINDS:
                both = f | found.get(f"peer_{n}_{k}", {})
                a, b = both[f"ours {k}"], both.get(f"peer {k}")
                out.append(f"| {n:,} | {k.upper()} | {a:.1f} | {f[f'ours {k}'] / f['ours f16']:.2f} | {f'{b:.1f} | {a / b:.2f}' if b else '|'} | {both['date']} |")
        out.append("")
    if f := found.get("lora"):
        out += [f"## An adapter in every product of every layer, decoding, tokens/s ({f['date']})", "", "| rank | without | with | | llama.cpp without | with | |", "|---|---|---|---|---|---|---|"]
        for rank, r in f.items():
            if isinstance(r, dict):
                out.append(f"| {rank} | {r['ours']:.1f} | {r['ours with']:.1f} | {r['ours with'] / r['ours']:.2f} | {r['peer']:.1f} | {r['peer with']:.1f} | {r['peer with'] / r['peer']:.2f} |")
        out += ["", f["note"], ""] if "note" in f else [""]
    if f := found.get("shift"):
        out += [f"## Beyond the context ({f['date']})", "", f"{f['tokens']:,} tokens of this repository's texts through a context of {f['length']}; whenever it is full, half of it is dropped. Perplexity of what comes behind the first {f['length']}:", "",
                "| how | perplexity |", "|---|---|"] + [f"| {k} | {v:.3f} |" for k, v in f.items() if isinstance(v, float)] + [""]  # fmt: skip
    out += ["RoPE's scalings beside transformers: `Tests/python/test_rope.py` (largest logit error 1e-4 of the largest logit, in each); perplexity at 1, 2, 4 and 8 times the trained length: `Tests/compare/ROPE.md`.", ""]
    return "\n".join(out)
