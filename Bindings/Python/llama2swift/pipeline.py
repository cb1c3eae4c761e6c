"""One model in several processes, a range of layers each, by Ray: for a model that no machine can hold (pip install llama2swift[ray]).

A process, a Ray actor, maps the tensors of its layers and keeps their keys and values. Ray starts the pieces, places them and says who died. What is computed
goes over connections of their own (`_wire`), as a call through Ray takes milliseconds: hidden states from each piece to the next, logits from the last one to whoever
asked, who is therefore best on its machine. Several sequences are under way at once and keep all pieces busy. Logits are a pure function of the tokens of a sequence
(DESIGN.md), so that they are one process's, bit for bit, and what a piece that died knew is computed again from the tokens.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from . import _wire
from . import _arguments as A
from ._closing import Closing
from ._piece import Piece
from ._pieces import PieceLostError as PieceLostError
from ._pieces import Pieces, split
from ._wire import Message, Row, Wire
from ._written import WrittenText
from .errors import InvalidArgumentError, error_for
from .modelfile import ModelFile
from .sampler import Sampler

# tokens that go on to the next piece while the piece before computes the next ones
CHUNK = 256


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
            ray: Any = import_module("ray")
        except ImportError:
            raise ValueError("a pipeline needs Ray (pip install llama2swift[ray])") from None
        self.path = os.path.abspath(os.fsdecode(A.path("path", path)))
        # the vocabulary, and the shape: no tensor of it is read here
        self.model: ModelFile = ModelFile(self.path, first_layer=0, layer_count=1)
        self.layers = split(self.model.hyperparameters.all_layers, pieces)
        self.sequences, most = A.unsigned("sequences", sequences, 16), A.unsigned("restarts", restarts, 16)
        options = {"length": A.unsigned("length", length, 32), "sequences": self.sequences, "threads": A.unsigned("threads", threads, 32), "kv": A.string("kv", kv)}
        places = [placement] * len(self.layers) if isinstance(placement, Mapping) else list(placement) or [{}] * len(self.layers)
        if len(places) != len(self.layers):
            raise ValueError(f"placement has {len(places)} mappings for {len(self.layers)} pieces")
        for place in places:
            if not isinstance(place, Mapping):
                raise A.refuse("placement", place, "options of an actor, or a list of such")
            if place.get("num_gpus"):
                raise ValueError(f"placement has num_gpus={A.shown(place['num_gpus'])}; llama2swift computes on the CPU, and Ray would wait for such a machine for ever")
        # of each sequence, and whether all pieces have them: not after one was started again
        self._tokens: list[list[int]] = [[] for _ in range(self.sequences)]
        self._is_whole = [True] * self.sequences
        # requests without an answer yet: a sequence and its new tokens
        self._under_way: dict[int, tuple[int, list[int]]] = {}
        self._numbers = itertools.count(1)
        self._pieces = Pieces(
            ray, self.path, self.layers, options, [dict(place) for place in places], most, self.piece, self.wire_in, self.wire_out
        )  # fmt: skip

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
        self._pieces.close()

    def _number(self, sequence: int) -> int:
        if A.unsigned("sequence", sequence, 16) >= self.sequences:
            raise InvalidArgumentError(f"sequence is {sequence}, expected 0 to {self.sequences - 1}")
        return sequence

    def _submit(self, sequence: int, tokens: list[int]) -> int:
        """Tokens through all pieces, one behind the other, without waiting: the number of the request."""
        if not self._pieces.actors:
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
            self._pieces.send(Message(kind, number, sequence, start + at, tokens[at : at + CHUNK]))

    def _drop(self, sequence: int) -> None:
        """What the pieces have of a sequence beyond its tokens."""
        if self._pieces.actors:
            try:
                self._pieces.send(Message(_wire.DROP, 0, sequence, len(self._tokens[sequence])))
            except OSError as problem:
                self._repair(problem)

    def _answer(self) -> tuple[int, Row]:
        """Waits for the next answer: the number of the request and its logits."""
        try:
            while True:
                try:
                    message = self._pieces.arrived.popleft() if self._pieces.arrived else self._pieces.received()
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

    def _forget(self) -> None:
        self._is_whole = [False] * self.sequences

    def _repair(self, problem: Exception) -> None:
        """Starts the dead again, connects all anew and asks again what was under way. Raises PieceLostError."""
        while True:
            self._pieces.replace_the_dead(problem, self._forget)
            try:
                self._pieces.link()
                for number in list(self._under_way):
                    self._say(number)
                return
            except Exception as another:
                if not (isinstance(another, OSError) or isinstance(getattr(another, "cause", None), OSError) or self._pieces.is_death(another)):
                    raise
                problem = another

@dataclass
class _Text:
    """A text under way."""

    index: int
    sequence: int
    sampler: Sampler
    written: WrittenText
