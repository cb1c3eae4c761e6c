"""Figures for Prometheus, made by its own library."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Meters(Collector):
    """One server's figures; `engines` and `busy` are asked when somebody looks."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self._requests = Counter("llama2swift_requests", "Answers by path and status", ["path", "status"], registry=r)
        self._prompt = Counter("llama2swift_prompt_tokens", "Tokens of prompts", registry=r)
        self._cached = Counter("llama2swift_prompt_tokens_cached", "Tokens of prompts that were in the cache", registry=r)
        self._generated = Counter("llama2swift_generated_tokens", "Tokens that were generated", registry=r)
        self._first = Histogram("llama2swift_time_to_first_token_seconds", "From the request to its first token", buckets=_SECONDS, registry=r)
        self._between = Histogram("llama2swift_time_between_tokens_seconds", "From one token to the next", buckets=_SECONDS, registry=r)
        self._took = Histogram("llama2swift_request_seconds", "From the request to the end of its answer", ["path"], buckets=_SECONDS, registry=r)
        self.look: Callable[[], dict[str, float]] = dict
        r.register(self)

    def collect(self) -> Iterator[Any]:
        """The gauges."""
        for name, value in self.look().items():
            yield GaugeMetricFamily(f"llama2swift_{name}", name.replace("_", " "), value=value)

    def describe(self) -> list[Any]:
        """Nothing is asked before somebody looks."""
        return []

    def answered(self, path: str, status: int, seconds: float) -> None:
        """An answer is at its end."""
        self._requests.labels(path, str(status)).inc()
        self._took.labels(path).observe(seconds)

    def first(self, seconds: float) -> None:
        """A first token came."""
        self._first.observe(seconds)

    def between(self, seconds: float) -> None:
        """A further token came."""
        self._between.observe(seconds)

    def prompt(self, tokens: int, cached: int) -> None:
        """A prompt was evaluated; so many of its tokens before."""
        self._prompt.inc(tokens)
        self._cached.inc(cached)

    def generated(self, tokens: int) -> None:
        """An answer has so many."""
        self._generated.inc(tokens)

    def text(self) -> bytes:
        """All of it in Prometheus' form."""
        return bytes(generate_latest(self.registry))
