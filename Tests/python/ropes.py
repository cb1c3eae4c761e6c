"""RoPE scalings as config.json says them, and a small Llama with many pairs to try them on, made by integer arithmetic alone."""

from __future__ import annotations

import formats as F
import numpy as np
from biased import exact
from tiny_gguf import shape_metadata, tensor_shapes

SHAPE = dict(vocabulary=72, dim=64, layers=2, heads=2, heads_kv=1, hidden=96, base=10000.0)
PAIRS = SHAPE["dim"] // SHAPE["heads"] // 2
TOKENS = [(5 * i * i + 7 * i + 3) % SHAPE["vocabulary"] for i in range(120)]
ROWS = [0, 20, 70, 119]  # of the logits that the goldens have
TRAINED = 32

LONG, SHORT = [1.0 + 0.25 * i for i in range(PAIRS)], [1.0 + 0.015625 * i for i in range(PAIRS)]
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": TRAINED}
LONGROPE = {"rope_type": "longrope", "long_factor": LONG, "short_factor": SHORT}
# name -> (what config.json says, tokens that are evaluated)
CASES = {
    "none": (dict(), 120),
    "linear": (dict(rope_scaling={"rope_type": "linear", "factor": 4.0}), 120),
    "ntk": (dict(rope_theta=10000.0 * 4.0 ** (2 * PAIRS / (2 * PAIRS - 2))), 120),
    "llama3": (dict(rope_scaling={"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": TRAINED}), 120),
    "yarn": (dict(rope_scaling=YARN), 120),
    "yarn far": (dict(rope_scaling=YARN | {"factor": 40.0, "original_max_position_embeddings": 4096}), 120),
    "yarn attention_factor": (dict(rope_scaling=YARN | {"attention_factor": 1.375}), 120),
    "yarn mscale": (dict(rope_scaling=YARN | {"factor": 8.0, "mscale": 0.75, "mscale_all_dim": 0.5}), 120),
    "yarn mscale alone": (dict(rope_scaling=YARN | {"mscale": 0.75}), 120),
    "yarn betas": (dict(rope_scaling=YARN | {"beta_fast": 3, "beta_slow": 0.25}), 120),
    "yarn truncate": (dict(rope_scaling=YARN | {"truncate": False}), 120),
    "yarn ratio": (dict(rope_scaling=YARN | {"factor": None}, max_position_embeddings=160), 120),
    "yarn beyond": (dict(rope_scaling=YARN | {"original_max_position_embeddings": 2}), 120),
    "longrope": (dict(rope_scaling=LONGROPE | {"original_max_position_embeddings": TRAINED}, max_position_embeddings=128), 120),
    "longrope short": (dict(rope_scaling=LONGROPE | {"original_max_position_embeddings": TRAINED}, max_position_embeddings=128), 30),
    "longrope factors": (dict(rope_scaling=LONGROPE | {"factor": 2.0, "attention_factor": 1.25, "original_max_position_embeddings": TRAINED}), 120),
}  # fmt: skip


def weights(layers: int = SHAPE["layers"]) -> dict[str, np.ndarray]:
    """GGUF's names and order of rows."""
    shapes = tensor_shapes(shape_metadata(**SHAPE | {"layers": layers}), SHAPE["vocabulary"])
    return {name: exact(name, shape, 0.25) if len(shape) == 2 else 1 + exact(name, shape, 0.25) for name, shape in shapes.items()}


def folder(path, name: str):
    said, _ = CASES[name]
    return F.write_hugging_face(path, weights(), SHAPE, **{"max_position_embeddings": 128} | said)


def rows(name: str) -> list[int]:
    return [r for r in ROWS if r < CASES[name][1]]
