"""Writes Tests/fixtures/rope-logits.npz: what `transformers` says of the model of Tests/python/ropes.py with each RoPE scaling, in F32.

    python3 Tests/tools/make_rope_golden.py        with torch, transformers and safetensors installed
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Tests" / "python")]
import ropes  # noqa: E402


def main() -> None:
    found = {}
    for name, (_, count) in ropes.CASES.items():
        with tempfile.TemporaryDirectory() as path:
            model = transformers.LlamaForCausalLM.from_pretrained(ropes.folder(path, name), dtype=torch.float32, attn_implementation="eager").eval()
            with torch.no_grad():
                logits = model(torch.tensor([ropes.TOKENS[:count]])).logits[0].numpy()
        found[name] = logits[ropes.rows(name)].astype("<f4")
    np.savez_compressed(ROOT / "Tests" / "fixtures" / "rope-logits.npz", **found)
    apart = {n: float(np.abs(found[n] - found["none"][: len(found[n])]).max()) for n in found}
    print(f"transformers {transformers.__version__}: largest {max(np.abs(x).max() for x in found.values()):.3f}; from no scaling {apart}")


if __name__ == "__main__":
    main()
