"""One model in several processes, a range of layers each, by Ray: for a model that no machine can hold (pip install llama2swift[ray]).

A process, a Ray actor, maps the tensors of its layers and keeps their keys and values; hidden states travel from one to the next, logits
from the last to whoever asked. Several sequences are under way at once and keep all pieces busy. Logits are a pure function of the tokens of a
sequence (DESIGN.md), so that they are one process's, bit for bit, and what a piece that died knew is computed again from the tokens.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from . import __version__
from . import _arguments as A
from ._closing import Closing
from ._written import WrittenText
from .errors import InvalidArgumentError
from .model import Model
from .modelfile import ModelFile
from .sampler import Sampler

Row = np.ndarray[Any, np.dtype[np.float32]]


class PieceLostError(RuntimeError):
    """A piece died, and as often as it was started again."""


class Piece:
    """Some layers of a model, in a process of their own. options: of `Model.context`."""

    def __init__(self, path: str, first_layer: int, layer_count: int, options: Mapping[str, Any]) -> None:
        self._model = Model(path, first_layer=first_layer, layer_count=layer_count)
        self._context = self._model.context(**options)
        self._path, self._is_last = path, first_layer + layer_count == self._model.hyperparameters.all_layers

    def identity(self) -> tuple[str, str]:
        """What must be equal in all pieces: the library and the file."""
        return __version__, fingerprint(self._path)

    def eval(self, sequence: int, start: int, tokens: Sequence[int], hidden: Row | None) -> Row:
        """The tokens from position `start` on; what stood there is forgotten. hidden: (tokens, embedding), what the piece before gave for
        them. Returns the same, the last piece the logits of the last token, (vocabulary,)."""
        have = self._context.sequence_length(sequence)
        if have < start:
            raise InvalidArgumentError(f"sequence {sequence} has {have} positions here, {start} were expected")
        self._context.truncate(start, sequence)
        last = len(tokens) - 1
        entries = [(token, sequence, self._is_last and i == last) for i, token in enumerate(tokens)]
        out = self._context.eval_layers(entries, None if hidden is None else np.ascontiguousarray(hidden))
        return np.array(self._context.logits()) if self._is_last else out

    def truncate(self, length: int, sequence: int) -> None:
        """Drops the positions from `length` on, where there are so many."""
        self._context.truncate(min(length, self._context.sequence_length(sequence)), sequence)


class Pipeline(Closing):
    """A model in pieces on whatever machines Ray has (`ray.init` first, or a local Ray is started).

    path: of the model, the same file on every machine. pieces: how many, of equally many layers as far as that goes, or a list of layers each.
    length: positions of all sequences together, as in `Model.context`; sequences: how many can be under way at once; kv, threads: as there, of each
    piece. placement: options of Ray's actors, one mapping for all or one each ({"num_cpus": 4, "resources": {"machine1": 1}}). restarts: how
    often a piece that died is started again before PieceLostError. Raises ValueError (layers that are not the model's), InvalidArgumentError
    (pieces that have another file or another version of this library), and what `Model` raises.
    """

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
        try:
            for index in range(len(self.layers)):
                self._actors[index] = self._started(index)
            self._compare()
        except BaseException:
            self.close()
            raise

    def eval(self, tokens: A.TokenIds, sequence: int = 0) -> Row:
        """The logits behind `tokens`, (vocabulary,), which go to the end of a sequence. Raises what `Context.eval` raises, with the pipeline
        as before, and PieceLostError."""
        given = A.token_list("tokens", tokens)
        if not given:
            raise InvalidArgumentError("no tokens")
        return self._logits(self._number(sequence), given, self._submit(sequence, given))

    def length(self, sequence: int = 0) -> int:
        """Positions of a sequence."""
        return len(self._tokens[self._number(sequence)])

    def truncate(self, length: int, sequence: int = 0) -> None:
        """Drops the positions of a sequence from `length` on."""
        del self._tokens[self._number(sequence)][A.unsigned("length", length) :]
        for actor in self._actors:
            actor.truncate.remote(length, sequence)

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
        under_way: dict[Any, _Text] = {}
        while begun < len(waiting) or under_way:
            while free and begun < len(waiting):
                text = _Text(begun, free.pop(), make(begun), WrittenText(self.model, stops, limit), waiting[begun])
                under_way[self._submit(text.sequence, text.pending)] = text
                begun += 1
            logits = self._ray.wait(list(under_way), num_returns=1)[0][0]
            text = under_way.pop(logits)
            token = text.sampler.sample(self._logits(text.sequence, text.pending, logits))
            text.written.take(token)
            if text.written.reason:
                done[text.index] = text.written.text, text.written.reason
                self.truncate(0, text.sequence)
                free.append(text.sequence)
            else:
                text.pending = [token]
                under_way[self._submit(text.sequence, text.pending)] = text
        return done

    def close(self) -> None:
        """Ends the processes."""
        for actor in filter(None, self._actors):
            self._ray.kill(actor)
        self._actors = []

    def _number(self, sequence: int) -> int:
        if A.unsigned("sequence", sequence, 16) >= self.sequences:
            raise InvalidArgumentError(f"sequence is {sequence}, expected 0 to {self.sequences - 1}")
        return sequence

    def _submit(self, sequence: int, tokens: list[int]) -> Any:
        """Tokens through all pieces, one behind the other, without waiting: Ray's reference to the logits."""
        if not self._actors:
            raise InvalidArgumentError("the pipeline is closed")
        kept = self._tokens[sequence]
        start = len(kept) if self._is_whole[sequence] else 0
        self._is_whole[sequence] = True
        value = None
        for actor in self._actors:
            value = actor.eval.remote(sequence, start, kept[start:] + tokens, value)
        return value

    def _logits(self, sequence: int, tokens: list[int], logits: Any) -> Row:
        """Waits for the logits of tokens that were submitted; where a piece has died, for those of a new one."""
        while True:
            try:
                row: Row = self._ray.get(logits)
                break
            except Exception as problem:
                if not self._is_death(problem):
                    raise getattr(problem, "cause", None) or problem from None
                self._replace_the_dead(problem)
                self._is_whole[sequence] = False
                logits = self._submit(sequence, tokens)
        self._tokens[sequence] += tokens
        return row

    def _is_death(self, problem: BaseException | None) -> bool:
        dead = self._ray.exceptions.RayActorError
        return isinstance(problem, dead) or isinstance(getattr(problem, "cause", None), dead)

    def _replace_the_dead(self, problem: Exception) -> None:
        for index, actor in enumerate(self._actors):
            try:
                self._ray.get(actor.identity.remote())
            except self._ray.exceptions.RayActorError:
                if self._restarted == self._restarts:
                    raise PieceLostError(f"piece {index} died: {problem}") from None
                self._restarted += 1
                self._actors[index] = self._started(index)
                self._is_whole = [False] * self.sequences
        self._compare()

    def _started(self, index: int) -> Any:
        made = self._ray.remote(Piece)
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
    """A text under way. pending: tokens whose logits are awaited."""

    index: int
    sequence: int
    sampler: Sampler
    written: WrittenText
    pending: list[int]


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


def fingerprint(path: A.Path) -> str:
    """Of a model's file or folder: the sizes, and a hash over 64 stretches of 64 KiB of each file, which files that differ by a type or by training never
    share; reading a 70B file as a whole would take minutes."""
    where = Path(os.fsdecode(path))
    files, root = [where], where.parent
    if where.is_dir():
        files, root = sorted(f for f in where.rglob("*") if f.is_file()), where
    elif split := re.fullmatch(r"(.*-)00001(-of-[0-9]{5}\.gguf)", where.name):
        files = sorted(f for f in root.iterdir() if f.name.startswith(split[1]) and f.name.endswith(split[2]))
    digest = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        digest.update(f"{file.relative_to(root) if len(files) > 1 else ''} {size}\n".encode("utf-8", "surrogateescape"))
        with open(file, "rb") as data:
            for part in range(64):
                data.seek(max(size - 65536, 0) * part // 63)
                digest.update(data.read(65536))
    return digest.hexdigest()
