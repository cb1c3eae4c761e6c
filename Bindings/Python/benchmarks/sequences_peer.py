"""What the parts of sequences.py have in common: the texts, a clock, and llama.cpp."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path[:0] = [str(HERE), str(HERE.parent), str(ROOT / "Tests/python")]
from engines import LlamaCpp  # noqa: E402

KINDS = ["f16", "q8_0", "q4_0"]
THREADS = int(os.environ.get("THREADS", 2))


def text(model, count: int, name: str = "") -> list[int]:
    """Tokens of this repository's own texts."""
    files = [name] if name else ["README.md", "DESIGN.md", "CONTRIBUTING.md", "RELIABILITY.md", "STATE.md", "CHANGELOG.md", "Include/llama2swift.h"]
    tokens = model.tokenize("".join((ROOT / f).read_text() for f in files))
    assert len(tokens) >= count, (len(tokens), count)
    return list(tokens[:count])


def seconds(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


class Peer(LlamaCpp):
    """llama.cpp with types of the cache, adapters, and evals at any place of any sequence."""

    def __init__(self, path, *, length, kv="f16", sequences=1, flash=True, lora=None):
        kind = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 8}[kv]
        super().__init__(path, length=length, threads=THREADS, sequences=sequences, kv_unified=True, type_k=kind, type_v=kind, flash_attn_type=1 if flash else 0)
        c = self.api
        if lora:
            self.adapter = c.llama_adapter_lora_init(self.model, os.fsencode(lora))
            adapters, scales = (c.llama_adapter_lora_p_ctypes * 1)(self.adapter), (ctypes.c_float * 1)(1.0)
            assert c.llama_set_adapters_lora(self.context, adapters, 1, scales) == 0
        self.memory = c.llama_get_memory(self.context)

    def eval(self, tokens, start=0, sequence=0, every=False) -> np.ndarray:
        """Logits: of the last token, or of every one."""
        out = []
        for first in range(0, len(tokens), 2048):
            piece = tokens[first : first + 2048]
            b = self.batch
            b.n_tokens = len(piece)
            for i, token in enumerate(piece):
                b.token[i], b.pos[i], b.n_seq_id[i], b.logits[i] = token, start + first + i, 1, every or first + i == len(tokens) - 1
                b.seq_id[i][0] = sequence
            assert self.api.llama_decode(self.context, b) == 0
            rows = range(len(piece)) if every else [-1]
            out += [np.ctypeslib.as_array(self.api.llama_get_logits_ith(self.context, i), (self.vocabulary,)).copy() for i in rows if every or first + len(piece) == len(tokens)]
        return np.array(out) if every else out[-1]

    def fill(self, tokens, window=512) -> None:
        """Sequence 0 with as many positions, of windows that saw only themselves: what a step behind them takes is the same, and filling takes a fifth."""
        for sequence, first in enumerate(range(0, len(tokens), window), 1):
            self.eval(tokens[first : first + window], first, sequence)
            self.api.llama_memory_seq_cp(self.memory, sequence, 0, -1, -1)
            self.api.llama_memory_seq_rm(self.memory, sequence, -1, -1)
        assert self.api.llama_memory_seq_pos_max(self.memory, 0) == len(tokens) - 1 and self.api.llama_memory_seq_pos_min(self.memory, 0) == 0


def softmaxed(x) -> np.ndarray:
    x = np.array(x, np.float64)
    x -= x.max(1, keepdims=True)
    return x - np.log(np.exp(x).sum(1, keepdims=True))
