"""SmolLM2 in every type, made by our quantizer and by llama.cpp's: quantization_table.py > Tests/compare/QUANTIZATION.md

Both files are run by our engine, so that the quantizers alone are compared. The source is the Q4_1 file of the wheel
(there is no other without a network), so the divergence is from that file, of which a type can only lose.
"""

import ctypes
import os
import sys
import tempfile
import time
from pathlib import Path

import llama_cpp
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Bindings" / "Python"), str(ROOT / "Bindings" / "Python" / "benchmarks")]
import fetch_model  # noqa: E402
import llama2swift  # noqa: E402

TYPES = {
    "F32": 0, "F16": 1, "BF16": 32, "Q8_0": 7, "Q6_K": 18, "Q5_K_M": 17, "Q5_K_S": 16, "Q5_1": 9, "Q5_0": 8, "Q4_K_M": 15, "Q4_K_S": 14,
    "Q4_1": 3, "Q4_0": 2, "Q3_K_L": 13, "Q3_K_M": 12, "Q3_K_S": 11, "Q2_K": 10,
}  # fmt: skip
WINDOW = 256


@ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
def silent(level, text, data):
    pass


llama_cpp.llama_log_set(silent, None)


def log_probabilities(path, tokens):
    with llama2swift.Model(path).context(length=WINDOW) as context:
        rows = []
        for first in range(0, len(tokens) - WINDOW + 1, WINDOW):
            context.reset()
            context.eval(tokens[first : first + WINDOW], all_logits=True)
            logits = np.array(context.logits(), np.float32)
            logits -= logits.max(1, keepdims=True)
            rows.append(logits - np.log(np.exp(logits).sum(1, keepdims=True)))
        return np.concatenate(rows)


def judge(path, tokens, reference):
    result = llama2swift.Model(path).context(length=WINDOW).perplexity(tokens)
    log_q = log_probabilities(path, tokens)
    return result.value, float((np.exp(reference) * (reference - log_q)).sum(1).mean())


def main():
    source = str(fetch_model.fetch())
    model = llama2swift.Model(source)
    text = "".join((ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md", "LICENSE"))
    tokens = model.tokenize(text)[: 4 * WINDOW]
    reference = log_probabilities(source, tokens)
    own = model.context(length=WINDOW).perplexity(tokens)
    print("# SmolLM2-135M, quantized again\n")
    print(f"Made by `Tests/compare/quantization_table.py` with llama.cpp as in llama-cpp-python {llama_cpp.__version__}. Perplexity of {own.tokens} tokens in "
          f"windows of {WINDOW} (the source, Q4_1, has {own.value:.3f}), mean KL divergence from the source, seconds to write the file with two threads.\n")
    print("| type | ours: perplexity | KL | MiB | s | llama.cpp: perplexity | KL | MiB | s |\n|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for kind, number in TYPES.items():
            cells = [kind]
            for who in ("ours", "theirs"):
                path = f"{folder}/{who}.gguf"
                start = time.perf_counter()
                if who == "ours":
                    llama2swift.quantize(source, path, kind, threads=2)
                else:
                    options = llama_cpp.llama_model_quantize_default_params()
                    options.ftype, options.nthread, options.allow_requantize = number, 2, True
                    assert llama_cpp.llama_model_quantize(source.encode(), path.encode(), options) == 0
                seconds = time.perf_counter() - start
                value, divergence = judge(path, tokens, reference)
                cells += [f"{value:.3f}", f"{divergence:.5f}", f"{os.path.getsize(path) / 2**20:.1f}", f"{seconds:.2f}"]
            print("| " + " | ".join(cells) + " |", flush=True)
    print("\nSmolLM2's rows of 576 are no whole superblocks, so that Q2_K and Q3_K_S become the same: Q4_0, byte by byte llama.cpp's, and Q3_K for the 30 ffn_down, in which alone the two files differ. Here ours diverge more; in Q3_K_M and Q3_K_L, with better types beside them, less.\n", end="")


if __name__ == "__main__":
    main()
