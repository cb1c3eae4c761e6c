"""SmolLM2 with its keys and values in each type: kv_table.py > Tests/compare/KV.md

Perplexity over windows and the mean KL divergence of each position from the cache in F32. The text is this repository's own.
"""

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Bindings" / "Python")]
import fetch_model  # noqa: E402

import llama2swift  # noqa: E402

WINDOW, WINDOWS = 512, 2
TYPES = [("f32", "f32"), ("f16", "f16"), ("q8_0", "q8_0"), ("q8_0", "q4_0"), ("q4_0", "q8_0"), ("q4_0", "q4_0")]
BITS = {"f32": 32, "f16": 16, "q8_0": 8.5, "q4_0": 4.5}


def log_probabilities(model, tokens, k, v):
    """(positions, vocabulary)"""
    with model.context(length=WINDOW, kv=k, kv_values=v) as context:
        context.eval(tokens, all_logits=True)
        x = np.array(context.logits(), np.float64)
    x -= x.max(1, keepdims=True)
    return x - np.log(np.exp(x).sum(1, keepdims=True))


def main():
    model = llama2swift.Model(fetch_model.fetch())
    text = "".join((ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md", "DESIGN.md"))
    tokens = model.tokenize(text)[: WINDOW * WINDOWS]
    losses, divergences = {t: [] for t in TYPES}, {t: [] for t in TYPES}
    for first in range(0, len(tokens) - WINDOW + 1, WINDOW):
        window = tokens[first : first + WINDOW]
        exact = None
        for kind in TYPES:
            found = log_probabilities(model, window, *kind)
            exact = found if exact is None else exact
            divergences[kind].append((np.exp(exact) * (exact - found)).sum(1).mean())
            losses[kind] += [-found[i, window[i + 1]] for i in range(WINDOW // 2, WINDOW - 1)]
    count = len(losses[TYPES[0]])
    print("# SmolLM2-135M, its cache in each type\n")
    print(f"Made by `Tests/compare/kv_table.py` from {WINDOWS} windows of {WINDOW} tokens of this repository's texts. Perplexity of the second half of each window ({count} tokens), "
          "mean KL divergence of every position from the cache in F32, bits of a number of the cache.\n")
    print("| keys | values | perplexity | beside F16 | KL from F32 | bits |\n|---|---|---|---|---|---|")
    half = np.exp(np.mean(losses["f16", "f16"]))
    for k, v in TYPES:
        value = np.exp(np.mean(losses[k, v]))
        print(f"| {k.upper()} | {v.upper()} | {value:.4f} | {value - half:+.4f} | {np.mean(divergences[k, v]):.6f} | {(BITS[k] + BITS[v]) / 2:g} |")


if __name__ == "__main__":
    main()
