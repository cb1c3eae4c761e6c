"""Which models there are, and which of them are loaded: on demand, and away again when others need the room or nobody asks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from .engine import Engine
from .errors import ApiError
from .settings import Settings


class Models:
    """All models of a server. `use` gives one that stays loaded as long as it is used."""

    def __init__(self, settings: Settings, meters: Any):
        self.settings, self.meters = settings, meters
        self.engines: dict[str, Engine] = {}
        self._users: dict[str, int] = dict.fromkeys(settings.models, 0)
        self._changing: asyncio.Lock | None = None
        self._freed: asyncio.Event | None = None

    @property
    def names(self) -> list[str]:
        """Their names, the first is the one that is meant where none is said."""
        return list(self.settings.models)

    def name_of(self, asked: str | None) -> str:
        """The model a request means. Raises ApiError for one that is not there."""
        if asked is None or asked in ("", "default") or self.settings.any_model:
            return asked if asked in self.settings.models else self.names[0]
        if asked not in self.settings.models:
            raise ApiError(
                404, f"there is no model {asked[:200]!r}; there are: {', '.join(self.names)}", kind="not_found_error", param="model", code="model_not_found",
            )  # fmt: skip
        return asked

    def open(self) -> None:
        """Loads the first model, if it is not there yet."""
        name = self.names[0]
        if name not in self.engines:
            self.engines[name] = Engine(name, self.settings.models[name], self.settings, self.meters)

    @asynccontextmanager
    async def use(self, asked: str | None) -> AsyncIterator[Engine]:
        """The engine of the model that a request asks for, loaded if need be."""
        name = self.name_of(asked)
        self._users[name] += 1
        try:
            yield await self._loaded(name)
        finally:
            self._users[name] -= 1
            if name in self.engines:
                self.engines[name].used = time.monotonic()
            if self._freed is not None:
                self._freed.set()

    async def _loaded(self, name: str) -> Engine:
        if name in self.engines:
            return self.engines[name]
        self._changing = self._changing or asyncio.Lock()
        async with self._changing:
            if name in self.engines:
                return self.engines[name]
            most = self.settings.max_loaded or len(self.settings.models)
            until = time.monotonic() + self.settings.body_timeout
            while len(self.engines) >= most and not await self._unload_one():
                self._freed = asyncio.Event()
                try:
                    await asyncio.wait_for(self._freed.wait(), max(until - time.monotonic(), 0.01))
                except asyncio.TimeoutError:
                    raise ApiError(
                        503, f"the model {name} waits for room: {most} others are loaded and at work", kind="unavailable_error",
                        headers={"Retry-After": "5"},
                    ) from None  # fmt: skip
            engine = await asyncio.to_thread(Engine, name, self.settings.models[name], self.settings, self.meters)
            self.engines[name] = engine
            return engine

    async def _unload_one(self) -> bool:
        idle = [e for e in self.engines.values() if not self._users[e.name]]
        if not idle:
            return False
        await self.unload(min(idle, key=lambda e: e.used).name)
        return True

    async def unload(self, name: str) -> None:
        """Frees a model's memory."""
        await asyncio.to_thread(self.engines.pop(name).close)

    async def unload_idle(self) -> None:
        """For ever: frees what nobody has asked for in a while."""
        while True:
            await asyncio.sleep(min(max(self.settings.idle_unload / 4, 0.05), 30))
            for name in self.names:  # what is loaded may change while one is unloaded
                engine = self.engines.get(name)
                if engine is not None and not self._users[name] and time.monotonic() - engine.used > self.settings.idle_unload:
                    await self.unload(name)

    async def close(self) -> None:
        """Frees them all."""
        for name in list(self.engines):
            await self.unload(name)
