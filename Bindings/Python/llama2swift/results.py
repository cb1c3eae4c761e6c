"""What calls give back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Hyperparameters:
    """The shape of the model, in GGUF's words. Sizes in elements, `file_bytes` in bytes."""

    first_layer: int
    all_layers: int
    vocabulary_size: int
    embedding_length: int
    block_count: int
    feed_forward_length: int
    head_count: int
    head_count_kv: int
    head_dimension: int
    rope_dimension: int
    context_length: int
    rms_epsilon: float
    rope_scale: float
    rope_base: float
    parameter_count: int
    file_bytes: int


@dataclass(frozen=True)
class Tensor:
    """A tensor of the file, under GGUF's name; `rows` is 1 for a vector."""

    name: str
    type: str
    rows: int
    columns: int
    bytes: int


@dataclass(frozen=True)
class SpecialTokens:
    """Ids, None for those that the vocabulary does not have."""

    bos: int | None
    eos: int | None
    eot: int | None
    unknown: int | None
    adds_bos: bool
    adds_eos: bool


@dataclass(frozen=True)
class Memory:
    """Bytes that a model and a context take. The KV cache is touched as positions are used."""

    model_bytes: int
    kv_bytes: int
    work_bytes: int
    logits_bytes: int

    @property
    def total(self) -> int:
        """The sum of them all."""
        return self.model_bytes + self.kv_bytes + self.work_bytes + self.logits_bytes


@dataclass(frozen=True)
class ContextInfo:
    """What a context is made of; lengths in positions or tokens.

    pages: of 64 positions, in all; pages_used: that a sequence has, pages_shared: that several have, pages_cached: kept for
    `adopt`. positions: in use, of context_length; shared ones count once. kv, kv_values: types of keys and of values.
    """

    context_length: int
    max_sequences: int
    batch_size: int
    threads: int
    kernels: str
    kv: str
    memory_bytes: int
    pages: int
    pages_used: int
    pages_shared: int
    pages_cached: int
    positions: int
    kv_values: str


@dataclass(frozen=True)
class Timings:
    """Since creation or the last reset. Prefill: evals of more than one token; decode: of one. cpu_seconds: CPU time of the caller and of the
    context's threads in them. joules: what the processors took meanwhile, for whomever they worked; energy_zones: how many of them are
    measured, 0: none (see `Context`, energy)."""

    prefill_tokens: int
    prefill_seconds: float
    decode_tokens: int
    decode_seconds: float
    prefill_cpu_seconds: float
    decode_cpu_seconds: float
    prefill_joules: float
    decode_joules: float
    energy_zones: int


@dataclass(frozen=True)
class Perplexity:
    """How well a model predicts a text. mean and standard_error: of a token's negative log-probability, in nats."""

    value: float
    mean: float
    standard_error: float
    tokens: int
    windows: int


@dataclass(frozen=True, eq=False)
class Score:
    """Of a continuation, token by token: natural logarithms of probabilities, (tokens) of float32, and whether it was the most
    probable one, (tokens) of bool."""

    log_probabilities: np.ndarray[Any, np.dtype[np.float32]]
    is_best: np.ndarray[Any, np.dtype[np.bool_]]

    @property
    def total(self) -> float:
        """The logarithm of the probability of the whole continuation."""
        return float(self.log_probabilities.sum(dtype=np.float64))


@dataclass(frozen=True)
class TokenReport:
    """A token of a generation. Logarithms are natural ones of probabilities, NaN where nobody asked or nothing is known.

    text: the bytes that it writes, whole characters or not. logprob: by the softmax of the model's logits; logprob_after: among what the
    sampler's steps left. best, best_after: (token, logprob) of the most probable ones. seconds: since the report before. reason: why
    the text ends with it (as `Generation.reason` says it), None where it does not. prompt: it is one of the prompt's.
    """

    token: int
    text: bytes
    logprob: float
    logprob_after: float
    best: list[tuple[int, float]]
    best_after: list[tuple[int, float]]
    seconds: float
    reason: str | None
    prompt: bool
