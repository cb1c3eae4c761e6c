"""Hashes of logits that never change. Run it to write Tests/fixtures/golden-hashes.txt anew, which needs a reason in CHANGELOG.md.

Each is the sha256 of the logits' bytes (little-endian F32): 66 tokens in one eval, every one's logits, then six tokens one by one.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

from block_types import typed_model

import llama2swift

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
FILE = FIXTURES / "golden-hashes.txt"
MODELS = ["stories260K", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]
SHAPE = dict(vocabulary=72, dim=256, layers=2, heads=4, heads_kv=2, hidden=256)
PREFILL, DECODE = 66, 6  # beyond a page of the cache


def model_file(name: str, folder) -> Path:
    """The trained model in F32, or one of random blocks of the type `name`."""
    if name == "stories260K":
        return FIXTURES / "stories260K.bin"
    return typed_model(Path(folder) / f"{name}.gguf", [name], seed=1, **SHAPE)


def logits_hash(model, kv: str, **options) -> str:
    vocabulary, sha = model.hyperparameters.vocabulary_size, hashlib.sha256()
    tokens = [(5 * i * i + 7 * i + 3) % vocabulary for i in range(PREFILL + DECODE)]
    with model.context(length=128, kv=kv, **options) as context:
        for piece in (tokens[:PREFILL], *([t] for t in tokens[PREFILL:])):
            context.eval(piece, all_logits=True)
            sha.update(context.logits().astype("<f4").tobytes())
    return sha.hexdigest()


def hashes() -> str:
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for name in MODELS:
            with llama2swift.Model(model_file(name, folder)) as model:
                lines += [f"{name} {kv} {logits_hash(model, kv)}\n" for kv in ("f16", "f32")]
    return "".join(lines)


if __name__ == "__main__":
    sys.exit(FILE.write_text(hashes()) * 0)
