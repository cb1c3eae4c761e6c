"""What programs for llama-cpp-python import from `llama_cpp.llama_cache`.

    from llama2swift import Llama
    from llama2swift.llama_cache import LlamaRAMCache
    llm = Llama(model_path="model.gguf")
    llm.set_cache(LlamaRAMCache(capacity_bytes=2 << 30))

What the context holds is found again anyhow; a cache is for what it has no room for. No text depends on it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any

from . import _arguments as A
from ._common import common_length

__all__ = ["BaseLlamaCache", "LlamaCache", "LlamaDiskCache", "LlamaRAMCache", "LlamaState"]
Key = tuple[int, ...]


class LlamaState(bytes):
    """What `Llama.save_state` gives."""

    @property
    def llama_state_size(self) -> int:
        """Its bytes."""
        return len(self)


def longest_prefix(keys: Iterable[Any], tokens: Key) -> Key | None:
    """The key that has most of the beginning in common; None: none has any."""
    best, most = None, 0
    for key in keys:
        common = common_length(key, tokens)
        if common > most:
            best, most = key, common
    return best


class BaseLlamaCache(ABC):
    """States by the tokens that they hold."""

    def __init__(self, capacity_bytes: int = 2 << 30):
        self.capacity_bytes = A.unsigned("capacity_bytes", capacity_bytes, 63)

    @property
    @abstractmethod
    def cache_size(self) -> int:
        """Bytes of all of them."""

    @abstractmethod
    def __getitem__(self, key: Sequence[int]) -> LlamaState:
        """The state that has most of the beginning of `key`. Raises KeyError where none has any."""

    @abstractmethod
    def __contains__(self, key: Sequence[int]) -> bool:
        """Whether there is one."""

    @abstractmethod
    def __setitem__(self, key: Sequence[int], value: LlamaState) -> None:
        """Keeps it, in place of those that were of use longest ago."""


class LlamaRAMCache(BaseLlamaCache):
    """In memory."""

    def __init__(self, capacity_bytes: int = 2 << 30):
        super().__init__(capacity_bytes)
        self.cache_state: OrderedDict[Key, LlamaState] = OrderedDict()

    @property
    def cache_size(self) -> int:
        return sum(map(len, self.cache_state.values()))

    def __getitem__(self, key: Sequence[int]) -> LlamaState:
        found = longest_prefix(self.cache_state, tuple(key))
        if found is None:
            raise KeyError("Key not found")
        self.cache_state.move_to_end(found)
        return self.cache_state[found]

    def __contains__(self, key: Sequence[int]) -> bool:
        return longest_prefix(self.cache_state, tuple(key)) is not None

    def __setitem__(self, key: Sequence[int], value: LlamaState) -> None:
        self.cache_state.pop(tuple(key), None)
        self.cache_state[tuple(key)] = value
        while self.cache_state and self.cache_size > self.capacity_bytes:
            self.cache_state.popitem(last=False)


LlamaCache = LlamaRAMCache


class LlamaDiskCache(BaseLlamaCache):
    """In a folder, by the package diskcache."""

    def __init__(self, cache_dir: A.Path = ".cache/llama_cache", capacity_bytes: int = 2 << 30):
        super().__init__(capacity_bytes)
        try:
            kept: Any = import_module("diskcache")
        except ImportError:
            raise ImportError("LlamaDiskCache needs diskcache: pip install diskcache; or take LlamaRAMCache") from None
        self.cache = kept.Cache(str(cache_dir))

    @property
    def cache_size(self) -> int:
        return int(self.cache.volume())

    def __getitem__(self, key: Sequence[int]) -> LlamaState:
        found = longest_prefix(self.cache.iterkeys(), tuple(key))
        if found is None:
            raise KeyError("Key not found")
        return LlamaState(self.cache[found])

    def __contains__(self, key: Sequence[int]) -> bool:
        return longest_prefix(self.cache.iterkeys(), tuple(key)) is not None

    def __setitem__(self, key: Sequence[int], value: LlamaState) -> None:
        self.cache[tuple(key)] = bytes(value)
        while len(self.cache) and self.cache_size > self.capacity_bytes:
            del self.cache[next(iter(self.cache))]
