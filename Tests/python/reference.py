"""A Llama forward pass in float64 numpy, written from the papers: the oracle for logits."""

from __future__ import annotations

import numpy as np


def rms_norm(x, weight, epsilon):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * weight


def rotate(x, base, positions):
    """x (tokens, heads, d): pairs (2i, 2i+1) turned by position * base^(-2i/d)."""
    d = x.shape[-1]
    angle = positions[:, None, None] * base ** (-np.arange(0, d, 2) / d)
    even, odd = x[..., 0::2], x[..., 1::2]
    out = np.empty_like(x)
    out[..., 0::2] = even * np.cos(angle) - odd * np.sin(angle)
    out[..., 1::2] = even * np.sin(angle) + odd * np.cos(angle)
    return out


def logits(metadata: dict, weights: dict[str, np.ndarray], tokens) -> np.ndarray:
    """(tokens, vocabulary)"""
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    heads, kv = metadata["llama.attention.head_count"], metadata["llama.attention.head_count_kv"]
    epsilon, base = metadata["llama.attention.layer_norm_rms_epsilon"], metadata["llama.rope.freq_base"]
    t = len(tokens)
    positions = np.arange(t)
    mask = np.where(positions[None, :] > positions[:, None], -np.inf, 0)
    x = w["token_embd"][tokens]
    for i in range(metadata["llama.block_count"]):
        p = f"blk.{i}."
        n = rms_norm(x, w[p + "attn_norm"], epsilon)
        q = rotate((n @ w[p + "attn_q"].T).reshape(t, heads, -1), base, positions)
        k = rotate((n @ w[p + "attn_k"].T).reshape(t, kv, -1), base, positions)
        v = (n @ w[p + "attn_v"].T).reshape(t, kv, -1)
        k, v = (np.repeat(a, heads // kv, axis=1) for a in (k, v))
        scores = np.einsum("thd,shd->hts", q, k) / np.sqrt(q.shape[-1]) + mask
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        x = x + np.einsum("hts,shd->thd", scores, v).reshape(t, -1) @ w[p + "attn_output"].T
        n = rms_norm(x, w[p + "ffn_norm"], epsilon)
        gate = n @ w[p + "ffn_gate"].T
        x = x + (gate / (1 + np.exp(-gate)) * (n @ w[p + "ffn_up"].T)) @ w[p + "ffn_down"].T
    return rms_norm(x, w["output_norm"], epsilon) @ w.get("output", w["token_embd"]).T
