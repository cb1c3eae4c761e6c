"""Writes Tests/fixtures/bias-logits.npz and bias-hidden.npz: what `transformers` says of the model of Tests/python/biased.py, in F32,
as logits and as last hidden state (after the last norm).

    python3 Tests/tools/make_bias_golden.py        with torch and transformers installed
"""

import sys
from pathlib import Path

import numpy as np
import torch
import transformers

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Tests" / "python")]
import biased  # noqa: E402
from formats import NAMES  # noqa: E402


def halves(x: np.ndarray, heads: int) -> np.ndarray:
    """Rows of q or k, or their bias, from GGUF's order to Hugging Face's."""
    return x.reshape(heads, -1, 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


def state() -> dict[str, torch.Tensor]:
    w = biased.weights()
    out = {"model.embed_tokens.weight": w["token_embd.weight"], "model.norm.weight": w["output_norm.weight"], "lm_head.weight": w["output.weight"]}
    for i in range(biased.SHAPE["layers"]):
        for ours, (theirs, _) in NAMES.items():
            for end in ("weight", "bias"):
                x = w.get(f"blk.{i}.{ours}.{end}")
                heads = {"attn_q": biased.SHAPE["heads"], "attn_k": biased.SHAPE["heads_kv"]}.get(ours)
                if x is not None:
                    out[f"model.layers.{i}.{theirs}.{end}"] = halves(x, heads) if heads else x
    return {name: torch.from_numpy(np.ascontiguousarray(x)) for name, x in out.items()}


def main() -> None:
    s = biased.SHAPE
    config = transformers.LlamaConfig(
        vocab_size=s["vocabulary"], hidden_size=s["dim"], intermediate_size=s["hidden"], num_hidden_layers=s["layers"],
        num_attention_heads=s["heads"], num_key_value_heads=s["heads_kv"], rms_norm_eps=1e-5, attention_bias=True, mlp_bias=True,
        max_position_embeddings=256,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).float().eval()
    model.load_state_dict(state())
    with torch.no_grad():
        logits = model(torch.tensor([biased.TOKENS])).logits[0].numpy().astype("<f4")
        hidden = model.model(torch.tensor([biased.TOKENS])).last_hidden_state[0].numpy().astype("<f4")
    np.savez_compressed(ROOT / "Tests" / "fixtures" / "bias-logits.npz", logits=logits)
    np.savez_compressed(ROOT / "Tests" / "fixtures" / "bias-hidden.npz", hidden=hidden)
    print(f"transformers {transformers.__version__}: {logits.shape}, largest {np.abs(logits).max():.3f}")


if __name__ == "__main__":
    main()
