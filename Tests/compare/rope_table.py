"""stories260K beyond its trained length with each RoPE scaling: rope_table.py > Tests/compare/ROPE.md

Stories that the model tells by itself, one behind the other as one text; perplexity of the second half of a window of 1, 2, 4 and
8 times the trained length. A scaling without training again: what counts is that the text stays as predictable as it was.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Bindings" / "Python")]
import llama2swift  # noqa: E402
from llama2swift import RoPE  # noqa: E402

TIMES = [1, 2, 4, 8]


def text(model, count):
    """Tokens of stories, each within the trained length."""
    tokens, seed = [], 0
    with model.context(length=400) as context:
        while len(tokens) < count:
            context.reset()
            story = "".join(context.generate("Once upon a time", llama2swift.Sampler(temperature=0.8, seed=seed), max_tokens=300))
            tokens += model.tokenize_prompt("Once upon a time" + story)
            seed += 1
    return tokens[:count]


def main():
    model = llama2swift.Model(ROOT / "Tests/fixtures/stories260K.bin")
    trained = model.hyperparameters.context_length
    tokens = text(model, trained * TIMES[-1])
    print("# stories260K beyond its trained length\n")
    print(f"Made by `Tests/compare/rope_table.py`: {len(tokens)} tokens that the model wrote itself, trained length {trained}. Perplexity of the second half of windows "
          "of as many times that length; factor of the scaling: as many.\n")
    print("| length | none | linear | NTK-aware | YaRN |\n|---|---|---|---|---|")
    for times in TIMES:
        cells = []
        for kind in (None, "linear", "ntk", "yarn"):
            rope = RoPE(kind, float(times)) if kind else None
            with model.context(length=trained * times, rope=rope) as context:
                cells.append(f"{context.perplexity(tokens, window=trained * times).value:.3f}")
        print(f"| {times} x {trained} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
