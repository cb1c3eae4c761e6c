"""stories260K beyond its trained length with each RoPE scaling: rope_table.py > Tests/compare/ROPE.md

Stories that the model tells by itself, one behind the other as one text; perplexity of the second half of a window of 1, 2, 4 and
8 times the trained length. A scaling without training again: what counts is that the text stays as predictable as it was.
"""

import math
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Bindings" / "Python"), str(ROOT / "Tests" / "python")]
import llama2swift  # noqa: E402
from gguf_reader import read  # noqa: E402
from tiny_gguf import write_gguf  # noqa: E402
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


def with_llama3(model, source, path, factor):
    """The same with llama3's factors in the file (rope_freqs), low 1 and high 4 as Llama 3.1 has them: slow pairs divided, fast ones not, a ramp between."""
    h = model.hyperparameters
    pairs = h.head_dimension // 2
    waves = 2 * math.pi * h.rope_base ** (np.arange(pairs) / pairs)
    turns = h.context_length / waves  # within the trained length
    smooth = np.clip((turns - 1) / (4 - 1), 0, 1)
    factors = (1 / ((1 - smooth) / factor + smooth)).astype("<f4")
    metadata, tensors, data = read(source)
    ends = dict(zip(sorted(at for _, _, at in tensors.values()), [*sorted(at for _, _, at in tensors.values())[1:], len(data)]))
    kept = {name: (kind, shape, data[at : ends[at]].tobytes()) for name, (kind, shape, at) in tensors.items()}
    write_gguf(path, {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in metadata.items()}, kept | {"rope_freqs.weight": (0, (pairs,), factors.tobytes())})
    return llama2swift.Model(path)


def main():
    stories = ROOT / "Tests/fixtures/stories260K.bin"
    model, folder = llama2swift.Model(stories), tempfile.TemporaryDirectory()
    plain = Path(folder.name) / "plain.gguf"
    llama2swift.convert(stories, plain, "F32")
    trained = model.hyperparameters.context_length
    tokens = text(model, trained * TIMES[-1])
    print("# stories260K beyond its trained length\n")
    print(f"Made by `Tests/compare/rope_table.py`: {len(tokens)} tokens that the model wrote itself, trained length {trained}. Perplexity of the second half of windows "
          "of as many times that length; factor of the scaling: as many.\n")
    print("| length | none | linear | NTK-aware | YaRN | llama3 |\n|---|---|---|---|---|---|")
    for times in TIMES:
        cells = []
        for kind in (None, "linear", "ntk", "yarn"):
            rope = RoPE(kind, float(times)) if kind else None
            with model.context(length=trained * times, rope=rope) as context:
                cells.append(f"{context.perplexity(tokens, window=trained * times).value:.3f}")
        with with_llama3(model, plain, Path(folder.name) / f"{times}.gguf", times).context(length=trained * times) as context:
            cells.append(f"{context.perplexity(tokens, window=trained * times).value:.3f}")
        print(f"| {times} x {trained} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
