"""The formulas of samplers in numpy, in doubles."""

import numpy as np


def softmax(row):
    e = np.exp(row.astype(np.float64) - row.max())
    return e / e.sum()


def keep(p, kept):
    q = np.where(kept, p, 0)
    return q / q.sum()


def first(order, cumulative, share, side):
    kept = np.zeros(len(order), bool)
    kept[order[: np.searchsorted(cumulative, share, side) + 1]] = True
    return kept


def top_p(row, share):
    p, order = softmax(row), np.argsort(-row, kind="stable")
    return keep(p, first(order, np.cumsum(p[order]), share, "left"))


def typical(row, share):
    p = softmax(row)
    surprise = -np.log(p)
    order = np.argsort(np.abs(surprise - (p * surprise).sum()), kind="stable")
    return keep(p, first(order, np.cumsum(p[order]), share, "right"))


def sigma(row, n):
    wide = row.astype(np.float64)
    return keep(softmax(row), wide >= wide.max() - n * wide.std())


def dynamic(row, spread):
    p = softmax(row)
    return softmax(row.astype(np.float64) / (1 - spread + 2 * spread * -(p * np.log(p)).sum() / np.log(len(p))))


def mirostat(row, mu, version):
    """By the formula of Basu et al. (2020), in doubles: (probabilities, whether llama.cpp's int of the number of tokens, or its float 2^mu, overflows)."""
    order = np.argsort(-row.astype(np.float64), kind="stable")
    logits = row[order].astype(np.float64)
    p = np.exp(logits - logits[0])
    p /= p.sum()
    overflows = False
    if version == 2:
        over = -np.log2(p) > mu
        number = float(np.argmax(over)) if over.any() else float(len(row))
    else:
        i, b = np.arange(99), logits[:99] - logits[1:100]
        t = np.log((i + 2) / (i + 1))
        s = (t * b).sum() / (t * t).sum()
        number = ((s - 1) * 2.0**mu / (1 - float(len(row)) ** (1 - s))) ** (1 / s)
        overflows = number >= 2**31 or max(1, abs(s - 1)) * 2.0**mu >= 2.0**128
    count, out = int(min(max(number, 1), len(row))), np.zeros(len(row))
    out[order[:count]] = p[:count] / p[:count].sum()
    return out, overflows
