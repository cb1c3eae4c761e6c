"""Tests/fixtures/beams.json.gz: what transformers' beam search finds with the tiny model, for prompts and settings.

Needs torch and transformers; the weights go over as a folder of Hugging Face's. Run by hand; `make test` only reads the result.
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Tests" / "python"), str(ROOT / "Bindings" / "Python")]

import formats  # noqa: E402

import llama2swift  # noqa: E402

STARTS = [
    "Once upon a time", "One day", "Lily went to the", "The dog", "Tom and", "There was a big", "The sun", "In the park",
    "Mom said", "A little boy", "The cat saw", "Ben had a red", "It was a", "She was", "He wanted to", "They played", "The bird", "Sam liked",
    "The tree", "Every day",
]  # fmt: skip


def model(folder: Path):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    raw = (ROOT / "Tests/fixtures/stories260K.bin").read_bytes()
    dim, hidden, layers, heads, kv, vocabulary, _ = (int(n) for n in np.frombuffer(raw[:28], "<i4"))
    shape = dict(dim=dim, hidden=hidden, layers=layers, heads=heads, heads_kv=kv, vocabulary=abs(vocabulary))
    at = 28

    def take(*size):
        nonlocal at
        count = int(np.prod(size))
        x = np.frombuffer(raw, "<f4", count, at).reshape(size)
        at += 4 * count
        return x

    w = {"token_embd": take(abs(vocabulary), dim)}
    kv_dim = dim // heads * kv
    for name, size in [("attn_norm", (dim,)), ("attn_q", (dim, dim)), ("attn_k", (kv_dim, dim)), ("attn_v", (kv_dim, dim)), ("attn_output", (dim, dim)),
                       ("ffn_norm", (dim,)), ("ffn_gate", (hidden, dim)), ("ffn_down", (dim, hidden)), ("ffn_up", (hidden, dim))]:  # fmt: skip
        for i, x in enumerate(take(layers, *size)):
            w[f"blk.{i}.{name}"] = x
    w["output_norm"] = take(dim)
    c = formats.config(shape, max_position_embeddings=512, tie_word_embeddings=True)
    llama = LlamaForCausalLM(LlamaConfig(**{k: v for k, v in c.items() if k not in ("architectures", "model_type", "rope_scaling")}))
    tensors = {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in formats.hugging_face_tensors(w, shape).items()}
    missing = llama.load_state_dict(tensors, strict=False)
    assert not missing.unexpected_keys and missing.missing_keys in ([], ["lm_head.weight"]), missing
    llama.tie_weights()
    return llama.eval()


def main() -> None:
    import torch

    ours = llama2swift.Model(ROOT / "Tests/fixtures/stories260K.bin")
    with tempfile.TemporaryDirectory() as folder:
        llama = model(Path(folder))
    tokens = ours.tokenize_prompt("Once upon a time")
    context = ours.context(length=64, kv="f32")
    context.eval(tokens)
    with torch.no_grad():
        theirs = llama(torch.tensor([tokens])).logits[0, -1].numpy()
    assert np.abs(np.array(context.logits()) - theirs).max() < 1e-3, np.abs(np.array(context.logits()) - theirs).max()
    ends = [t for t in range(512) if ours.is_end(t)]
    # that texts may end early: the end token and the full stop end them
    settings = [dict(num_beams=4), dict(num_beams=3, length_penalty=2.0), dict(num_beams=2, length_penalty=0.0, early_stopping="never"), dict(num_beams=4, early_stopping=True, length_penalty=-1.0)]
    cases = []
    for i, start in enumerate(STARTS * 2):
        given = settings[i % 4 if i < len(STARTS) else (i + 2) % 4]
        prompt = ours.tokenize_prompt(start)
        limit = 12 + i
        with torch.no_grad():
            out = llama.generate(
                torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long), do_sample=False, max_new_tokens=limit,
                eos_token_id=ends, pad_token_id=0, num_return_sequences=2, output_scores=True, return_dict_in_generate=True, **given)  # fmt: skip
        found = []
        for sequence, score in zip(out.sequences.tolist(), out.sequences_scores.tolist()):
            text = sequence[len(prompt) :]
            while text and text[-1] == 0:
                text.pop()
            found.append([text, score])
        cases.append({"prompt": start, "max_tokens": limit, "settings": given, "found": found})
    path = ROOT / "Tests/fixtures/beams.json.gz"
    path.write_bytes(gzip.compress(json.dumps({"ends": ends, "cases": cases}).encode(), mtime=0))


if __name__ == "__main__":
    main()
