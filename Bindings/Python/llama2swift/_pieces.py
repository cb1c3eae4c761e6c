"""The processes of a pipeline and the connections between them: who is started, who lives, and what goes to the first and comes from the last."""

from __future__ import annotations

import secrets
import select
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from . import _arguments as A
from . import _wire
from ._piece import Piece, host
from ._wire import Message, Wire
from .errors import InvalidArgumentError

# seconds without an answer after which it is asked who lives
PATIENCE = 10


class PieceLostError(RuntimeError):
    """A piece died, and as often as it was started again."""


class Pieces:
    """ray: the module. layers: of each piece. options: of each piece's context. places: Ray's options of each actor. piece, wire_in, wire_out: of which
    kind pieces are, and both ends here. Raises what `Pipeline` raises; the processes that were started then have ended."""

    def __init__(
        self, ray: Any, path: str, layers: Sequence[int], options: Mapping[str, Any], places: Sequence[Mapping[str, Any]], restarts: int,
        piece: type[Piece], wire_in: type[Wire], wire_out: type[Wire],
    ) -> None:  # fmt: skip
        self._ray, self.path, self.layers, self._options, self._places, self._restarts = ray, path, layers, options, places, restarts
        self._piece, self._wire_in, self._wire_out = piece, wire_in, wire_out
        self.actors: list[Any] = [None] * len(layers)
        self._restarted = 0
        # what came while something was sent
        self.arrived: deque[Message] = deque()
        self.first: Wire | None = None
        self.last: Wire | None = None
        try:
            for index in range(len(layers)):
                self.actors[index] = self._started(index)
            self._compare()
            self.link()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the processes."""
        self.unlink()
        for actor in filter(None, self.actors):
            self._ray.kill(actor)
        self.actors = []

    def send(self, message: Message) -> None:
        """Takes what arrives meanwhile: else each would wait for the other to take something."""
        first, last = self._linked()
        data = memoryview(first.pack(message))
        ready = select.poll()
        ready.register(first, select.POLLOUT)
        ready.register(last, select.POLLIN)
        while data:
            if any(end == last.fileno() for end, _ in ready.poll()):
                self.arrived.append(last.receive())
            data = data[first.send_some(data) :]

    def received(self) -> Message:
        """The next message of the last piece. Raises OSError where a piece is gone."""
        last = self._linked()[1]
        ready = select.poll()
        ready.register(last, select.POLLIN)
        while not ready.poll(1000 * PATIENCE):
            try:
                self._ray.get([actor.alive.remote() for actor in self.actors])
            except Exception as problem:
                raise ConnectionError(str(problem)) from None
        return last.receive()

    def _linked(self) -> tuple[Wire, Wire]:
        if self.first is None or self.last is None:
            raise ConnectionError("the pieces are not connected")
        return self.first, self.last

    def link(self) -> None:
        """Connects the pieces to each other and to this process, whatever they were connected to before."""
        self.unlink()
        secret = secrets.token_bytes(_wire.SECRET)
        addresses = self._ray.get([actor.listen.remote(secret) for actor in self.actors])
        with _wire.listen(host()) as listener:
            following = [*addresses[1:], listener.getsockname()[:2]]
            self._ray.get([actor.connect.remote(address, secret) for actor, address in zip(self.actors, following)])
            self.first = self._wire_out(_wire.connect(addresses[0], secret))
            self.last = self._wire_in(_wire.accept(listener, secret))

    def unlink(self) -> None:
        """Ends the connections."""
        for end in filter(None, (self.first, self.last)):
            end.close()
        self.first = self.last = None
        self.arrived.clear()

    def is_death(self, problem: BaseException | None) -> bool:
        """Whether Ray says that an actor died."""
        dead = self._ray.exceptions.RayActorError
        return isinstance(problem, dead) or isinstance(getattr(problem, "cause", None), dead)

    def replace_the_dead(self, problem: Exception, forgotten: Callable[[], None]) -> None:
        """forgotten: told when what a piece knew is gone. A connection that broke though all live counts as a death, so that it is not made for ever."""
        dead = [index for index, actor in enumerate(self.actors) if not self._lives(actor)]
        for index in dead or [-1]:
            if self._restarted == self._restarts:
                raise PieceLostError(f"piece {index} died: {problem}" if dead else f"the connection between the pieces broke: {problem}")
            self._restarted += 1
            if dead:
                self._ray.kill(self.actors[index])  # it may only have been out of reach
                self.actors[index] = self._started(index)
        if dead:
            forgotten()
            self._compare()

    def _lives(self, actor: Any) -> bool:
        try:
            self._ray.get(actor.alive.remote())
        except self._ray.exceptions.RayActorError:
            return False
        return True

    def _started(self, index: int) -> Any:
        made = self._ray.remote(self._piece)
        return made.options(**self._places[index]).remote(self.path, sum(self.layers[:index]), self.layers[index], self._options)

    def _compare(self) -> None:
        """Waits for all of them to be ready."""
        try:
            found = self._ray.get([actor.identity.remote() for actor in self.actors])
        except Exception as problem:
            # what the model's loader raised in the other process
            raise getattr(problem, "cause", None) or problem from None
        for index, identity in enumerate(found):
            if identity != found[0]:
                what = "version of this library" if identity[0] != found[0][0] else "file"
                raise InvalidArgumentError(f"piece {index} has another {what} than piece 0 ({identity[0]}, {found[0][0]}; {self.path})")


def split(layers: int, pieces: int | Sequence[int]) -> list[int]:
    """Layers of each piece."""
    if isinstance(pieces, (str, bytes, Mapping)) or not hasattr(pieces, "__iter__"):
        count = A.unsigned("pieces", pieces, 16)
        if not 1 <= count <= layers:
            raise ValueError(f"pieces is {count}, expected 1 to {layers}, the model's layers")
        # the first ones have one more: the last piece has the output matrix
        return [layers // count + (i < layers % count) for i in range(count)]
    counts = [A.unsigned(f"pieces[{i}]", n, 16) for i, n in enumerate(cast("Sequence[int]", pieces))]
    if sum(counts) != layers or not all(counts):
        raise ValueError(f"pieces are of {counts} layers, {sum(counts)} in all; the model has {layers}, and each piece has one at least")
    return counts
