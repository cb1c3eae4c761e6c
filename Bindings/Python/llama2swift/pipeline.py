"""One model in several processes, a range of layers each, by Ray: for a model that no machine can hold (pip install llama2swift[ray]).

A process, a Ray actor, maps the tensors of its layers and keeps their keys and values. Ray starts the pieces, places them and says who died. What is computed
goes over connections of their own (`_wire`), as a call through Ray takes milliseconds: hidden states from each piece to the next, logits from the last one to whoever
asked, who is therefore best on its machine. Several sequences are under way at once and keep all pieces busy. Logits are a pure function of the tokens of a sequence
(DESIGN.md), so that they are one process's, bit for bit, and what a piece that died knew is computed again from the tokens.
"""

from __future__ import annotations

import itertools
import os
import secrets
import select
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from . import _wire
from . import _arguments as A
from ._closing import Closing
from ._piece import Piece, host
from ._wire import Message, Row, Wire
from ._written import WrittenText
from .errors import InvalidArgumentError, error_for
from .modelfile import ModelFile
from .sampler import Sampler

# tokens that go on to the next piece while the piece before computes the next ones
CHUNK = 256
# seconds without an answer after which it is asked who lives
PATIENCE = 10


class PieceLostError(RuntimeError):
    """A piece died, and as often as it was started again."""


class Pipeline(Closing):
    """A model in pieces on whatever machines Ray has (`ray.init` first, or a local Ray is started).

    path: of the model, the same file on every machine. pieces: how many, of equally many layers as far as that goes, or a list of layers each.
    length: positions of all sequences together, as in `Model.context`; sequences: how many can be under way at once; kv, threads: as there, of each
    piece. placement: options of Ray's actors, one mapping for all or one each ({"num_cpus": 4, "resources": {"machine1": 1}}). restarts: how
    often a piece that died is started again before PieceLostError. Pieces listen on a free port of Ray's address of their machine, for each other and for this process.
    Raises ValueError (layers that are not the model's), InvalidArgumentError (pieces that have another file or another version of this library), and what `Model` raises.
    """

    # of which kind pieces are, and both ends here
    piece: type[Piece] = Piece
    wire_in: type[Wire] = Wire
    wire_out: type[Wire] = Wire

    def __init__(
        self, path: A.Path, pieces: int | Sequence[int] = 2, *, length: int = 0, sequences: int = 4, threads: int = 0, kv: str = "f16",
        placement: Mapping[str, Any] | Sequence[Mapping[str, Any]] = (), restarts: int = 3,
    ) -> None:  # fmt: skip
        try:
            self._ray: Any = import_module("ray")
        except ImportError:
            raise ValueError("a pipeline needs Ray (pip install llama2swift[ray])") from None
        self.path = os.path.abspath(os.fsdecode(A.path("path", path)))
        # the vocabulary, and the shape: no tensor of it is read here
        self.model: ModelFile = ModelFile(self.path, first_layer=0, layer_count=1)
        self.layers = _split(self.model.hyperparameters.all_layers, pieces)
        self.sequences, self._restarts = A.unsigned("sequences", sequences, 16), A.unsigned("restarts", restarts, 16)
        self._options = {"length": A.unsigned("length", length, 32), "sequences": self.sequences, "threads": A.unsigned("threads", threads, 32), "kv": A.string("kv", kv)}
        places = [placement] * len(self.layers) if isinstance(placement, Mapping) else list(placement) or [{}] * len(self.layers)
        if len(places) != len(self.layers):
            raise ValueError(f"placement has {len(places)} mappings for {len(self.layers)} pieces")
        self._places = [dict(place) for place in places]
        # of each sequence, and whether all pieces have them: not after one was started again
        self._tokens: list[list[int]] = [[] for _ in range(self.sequences)]
        self._is_whole = [True] * self.sequences
        self._actors: list[Any] = [None] * len(self.layers)
        self._restarted = 0
        # requests without an answer yet: a sequence and its new tokens; and answers that came while something was sent
        self._under_way: dict[int, tuple[int, list[int]]] = {}
        self._arrived: deque[Message] = deque()
        self._numbers = itertools.count(1)
        self._first: Wire | None = None
        self._last: Wire | None = None
        try:
            for index in range(len(self.layers)):
                self._actors[index] = self._started(index)
            self._compare()
            self._link()
        except BaseException:
            self.close()
            raise

    def eval(self, tokens: A.TokenIds, sequence: int = 0) -> Row:
        """The logits behind `tokens`, (vocabulary,), which go to the end of a sequence. Raises what `Context.eval` raises, with the pipeline
        as before, and PieceLostError."""
        given = A.token_list("tokens", tokens)
        if not given:
            raise InvalidArgumentError("no tokens")
        self._submit(self._number(sequence), given)
        return self._answer()[1]

    def length(self, sequence: int = 0) -> int:
        """Positions of a sequence."""
        return len(self._tokens[self._number(sequence)])

    def truncate(self, length: int, sequence: int = 0) -> None:
        """Drops the positions of a sequence from `length` on."""
        del self._tokens[self._number(sequence)][A.unsigned("length", length) :]
        self._drop(sequence)

    def generate(
        self, prompts: Iterable[str], *, sampler: Callable[[int], Sampler] | None = None, max_tokens: int = 128, stop: str | Sequence[str] = ()
    ) -> list[tuple[str, str]]:
        """Texts and why each ended ("end", "stop", "max_tokens"), as many side by side as there are sequences, all of which are emptied.
        sampler: makes that of a prompt by its index; None: the most probable token. A text is the same whoever was beside it."""
        limit, make = A.unsigned("max_tokens", max_tokens), sampler or (lambda _: Sampler(temperature=0))
        if limit < 1:
            raise ValueError("max_tokens is 0: nothing would be written")
        stops = [A.string(f"stop[{i}]", s) for i, s in enumerate([stop] if isinstance(stop, str) else stop)]
        if isinstance(prompts, (str, bytes)):
            raise A.refuse("prompts", prompts, "a list of str")
        waiting = [self.model.tokenize_prompt(A.string(f"prompts[{i}]", text)) for i, text in enumerate(prompts)]
        if not all(waiting):
            raise ValueError("a prompt without tokens")
        for sequence in range(self.sequences):
            self.truncate(0, sequence)
        done: list[tuple[str, str]] = [("", "")] * len(waiting)
        begun, free = 0, list(range(self.sequences))
        under_way: dict[int, _Text] = {}
        try:
            while begun < len(waiting) or under_way:
                while free and begun < len(waiting):
                    text = _Text(begun, free.pop(), make(begun), WrittenText(self.model, stops, limit))
                    under_way[self._submit(text.sequence, waiting[begun])] = text
                    begun += 1
                number, row = self._answer()
                text = under_way.pop(number)
                token = text.sampler.sample(row)
                text.written.take(token)
                if text.written.reason:
                    done[text.index] = text.written.text, text.written.reason
                    self.truncate(0, text.sequence)
                    free.append(text.sequence)
                else:
                    under_way[self._submit(text.sequence, [token])] = text
        finally:
            self._under_way.clear()  # what was not finished is asked for by nobody
        return done

    def close(self) -> None:
        """Ends the processes."""
        self._unlink()
        for actor in filter(None, self._actors):
            self._ray.kill(actor)
        self._actors = []

    def _number(self, sequence: int) -> int:
        if A.unsigned("sequence", sequence, 16) >= self.sequences:
            raise InvalidArgumentError(f"sequence is {sequence}, expected 0 to {self.sequences - 1}")
        return sequence

    def _submit(self, sequence: int, tokens: list[int]) -> int:
        """Tokens through all pieces, one behind the other, without waiting: the number of the request."""
        if not self._actors:
            raise InvalidArgumentError("the pipeline is closed")
        number = next(self._numbers)
        self._under_way[number] = sequence, tokens
        try:
            self._say(number)
        except OSError as problem:
            self._repair(problem)
        return number

    def _say(self, number: int) -> None:
        """A request to the first piece."""
        sequence, new = self._under_way[number]
        kept = self._tokens[sequence]
        start = len(kept) if self._is_whole[sequence] else 0
        tokens = kept[start:] + new
        for at in range(0, len(tokens), CHUNK):
            kind = _wire.LAST if at + CHUNK >= len(tokens) else _wire.EVAL
            self._send(Message(kind, number, sequence, start + at, tokens[at : at + CHUNK]))

    def _drop(self, sequence: int) -> None:
        """What the pieces have of a sequence beyond its tokens."""
        if self._actors:
            try:
                self._send(Message(_wire.DROP, 0, sequence, len(self._tokens[sequence])))
            except OSError as problem:
                self._repair(problem)

    def _send(self, message: Message) -> None:
        """Takes what arrives meanwhile: else each would wait for the other to take something."""
        first, last = self._linked()
        data = memoryview(first.pack(message))
        ready = select.poll()
        ready.register(first, select.POLLOUT)
        ready.register(last, select.POLLIN)
        while data:
            if any(end == last.fileno() for end, _ in ready.poll()):
                self._arrived.append(last.receive())
            data = data[first.send_some(data) :]

    def _answer(self) -> tuple[int, Row]:
        """Waits for the next answer: the number of the request and its logits."""
        try:
            while True:
                try:
                    message = self._arrived.popleft() if self._arrived else self._received()
                except OSError as problem:
                    self._repair(problem)
                    continue
                if message.number in self._under_way:
                    break  # else nobody waits for it any more
        except BaseException:
            self._under_way.clear()
            raise
        sequence, tokens = self._under_way.pop(message.number)
        if message.kind == _wire.PROBLEM:
            self._drop(sequence)
            raise error_for(message.start, message.sentence) if message.start else RuntimeError(message.sentence)
        self._tokens[sequence] += tokens
        self._is_whole[sequence] = True
        assert message.rows is not None
        return message.number, message.rows[0]

    def _received(self) -> Message:
        """The next message of the last piece. Raises OSError where a piece is gone."""
        last = self._linked()[1]
        ready = select.poll()
        ready.register(last, select.POLLIN)
        while not ready.poll(1000 * PATIENCE):
            try:
                self._ray.get([actor.alive.remote() for actor in self._actors])
            except Exception as problem:
                raise ConnectionError(str(problem)) from None
        return last.receive()

    def _linked(self) -> tuple[Wire, Wire]:
        if self._first is None or self._last is None:
            raise ConnectionError("the pieces are not connected")
        return self._first, self._last

    def _link(self) -> None:
        """Connects the pieces to each other and to this process, whatever they were connected to before."""
        self._unlink()
        secret = secrets.token_bytes(_wire.SECRET)
        addresses = self._ray.get([actor.listen.remote(secret) for actor in self._actors])
        with _wire.listen(host()) as listener:
            following = [*addresses[1:], listener.getsockname()[:2]]
            self._ray.get([actor.connect.remote(address, secret) for actor, address in zip(self._actors, following)])
            self._first = self.wire_out(_wire.connect(addresses[0], secret))
            self._last = self.wire_in(_wire.accept(listener, secret))

    def _unlink(self) -> None:
        for end in filter(None, (self._first, self._last)):
            end.close()
        self._first = self._last = None
        self._arrived.clear()

    def _repair(self, problem: Exception) -> None:
        """Starts the dead again, connects all anew and asks again what was under way. Raises PieceLostError."""
        while True:
            self._replace_the_dead(problem)
            try:
                self._link()
                for number in list(self._under_way):
                    self._say(number)
                return
            except Exception as another:
                if not (isinstance(another, OSError) or isinstance(getattr(another, "cause", None), OSError) or self._is_death(another)):
                    raise
                problem = another

    def _is_death(self, problem: BaseException | None) -> bool:
        dead = self._ray.exceptions.RayActorError
        return isinstance(problem, dead) or isinstance(getattr(problem, "cause", None), dead)

    def _replace_the_dead(self, problem: Exception) -> None:
        """A connection that broke though all live counts as a death, so that it is not made for ever."""
        dead = [index for index, actor in enumerate(self._actors) if not self._lives(actor)]
        for index in dead or [-1]:
            if self._restarted == self._restarts:
                raise PieceLostError(f"piece {index} died: {problem}" if dead else f"the connection between the pieces broke: {problem}")
            self._restarted += 1
            if dead:
                self._ray.kill(self._actors[index])  # it may only have been out of reach
                self._actors[index] = self._started(index)
        if dead:
            self._is_whole = [False] * self.sequences
            self._compare()

    def _lives(self, actor: Any) -> bool:
        try:
            self._ray.get(actor.alive.remote())
        except self._ray.exceptions.RayActorError:
            return False
        return True

    def _started(self, index: int) -> Any:
        made = self._ray.remote(self.piece)
        return made.options(**self._places[index]).remote(self.path, sum(self.layers[:index]), self.layers[index], self._options)

    def _compare(self) -> None:
        """Waits for all of them to be ready."""
        try:
            found = self._ray.get([actor.identity.remote() for actor in self._actors])
        except Exception as problem:
            # what the model's loader raised in the other process
            raise getattr(problem, "cause", None) or problem from None
        for index, identity in enumerate(found):
            if identity != found[0]:
                what = "version of this library" if identity[0] != found[0][0] else "file"
                raise InvalidArgumentError(f"piece {index} has another {what} than piece 0 ({identity[0]}, {found[0][0]}; {self.path})")


@dataclass
class _Text:
    """A text under way."""

    index: int
    sequence: int
    sampler: Sampler
    written: WrittenText


def _split(layers: int, pieces: int | Sequence[int]) -> list[int]:
    if isinstance(pieces, int):
        count = A.unsigned("pieces", pieces, 16)
        if not 1 <= count <= layers:
            raise ValueError(f"pieces is {count}, expected 1 to {layers}, the model's layers")
        # the first ones have one more: the last piece has the output matrix
        return [layers // count + (i < layers % count) for i in range(count)]
    counts = [A.unsigned(f"pieces[{i}]", n, 16) for i, n in enumerate(pieces)]
    if sum(counts) != layers or not all(counts):
        raise ValueError(f"pieces are of {counts} layers, {sum(counts)} in all; the model has {layers}, and each piece has one at least")
    return counts
