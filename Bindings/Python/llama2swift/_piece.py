"""A piece of a pipeline: some layers of a model in a process of their own."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from . import __version__, _wire
from . import _arguments as A
from ._wire import Message, Row, Wire
from .errors import InvalidArgumentError, Llama2Error
from .model import Model


class Piece:
    """Some layers of a model, in a process of their own. options: of `Model.context`."""

    # its ends; who imitates a slow network has others
    wire_in: type[Wire] = Wire
    wire_out: type[Wire] = Wire

    def __init__(self, path: str, first_layer: int, layer_count: int, options: Mapping[str, Any]) -> None:
        self._model = Model(path, first_layer=first_layer, layer_count=layer_count)
        self._context = self._model.context(**options)
        self._path, self._is_last = path, first_layer + layer_count == self._model.hyperparameters.all_layers
        self._work: threading.Thread | None = None
        self._ends: list[Any] = []

    def identity(self) -> tuple[str, str]:
        """What must be equal in all pieces: the library and the file."""
        return __version__, fingerprint(self._path)

    def alive(self) -> int:
        """The process, if it is one."""
        return os.getpid()

    def listen(self, secret: bytes) -> tuple[str, int]:
        """Where the piece before can reach it, once, with the secret. What was connected before is not any more."""
        self.close()
        if self._work:
            self._work.join()
        self._ends = [_wire.listen(host())]
        address = self._ends[0].getsockname()
        return address[0], address[1]

    def connect(self, following: tuple[str, int], secret: bytes) -> None:
        """To the piece behind it, or to who asks; from then on it works."""
        out = self.wire_out(_wire.connect(following, secret))
        listener, self._ends = self._ends[0], [*self._ends, out]
        self._work = threading.Thread(target=self._serve, args=(listener, out, secret), daemon=True)
        self._work.start()

    def close(self) -> None:
        """Ends the connections, not the piece."""
        for end in self._ends:
            end.close() if isinstance(end, Wire) else _wire.close(end)

    def _serve(self, listener: socket.socket, out: Wire, secret: bytes) -> None:
        """Until a neighbour is gone, which the other one learns by that."""
        before = None
        try:
            before = self.wire_in(_wire.accept(listener, secret))
            self._ends.append(before)
            while True:
                message = before.receive()
                if (answer := self._answer(message)) is not None:
                    out.send(answer)
        except OSError:
            pass
        finally:
            out.close()
            if before:
                before.close()

    def _answer(self, message: Message) -> Message | None:
        """What goes on to the next; None: nothing."""
        if message.kind == _wire.PROBLEM:
            return message
        if message.kind == _wire.DROP:
            self._context.truncate(min(message.start, self._context.sequence_length(message.sequence)), message.sequence)
            return None if self._is_last else message
        try:
            rows = self.eval(message.sequence, message.start, message.tokens.tolist(), message.rows, message.kind == _wire.LAST)
        except Llama2Error as problem:
            return Message(_wire.PROBLEM, message.number, start=problem.status, sentence=str(problem))
        except Exception as problem:
            return Message(_wire.PROBLEM, message.number, sentence=f"{type(problem).__name__} in a piece: {problem}")
        if not self._is_last:
            return Message(message.kind, message.number, message.sequence, message.start, message.tokens, rows)
        return Message(_wire.ANSWER, message.number, rows=rows) if message.kind == _wire.LAST else None

    def eval(self, sequence: int, start: int, tokens: Sequence[int], hidden: Row | None, wants_logits: bool = True) -> Row:
        """The tokens from position `start` on; what stood there is forgotten. hidden: (tokens, embedding), what the piece before gave for
        them. Returns the same, the last piece the logits of the last token, (1, vocabulary), if they are wanted."""
        have = self._context.sequence_length(sequence)
        if have < start:
            raise InvalidArgumentError(f"sequence {sequence} has {have} positions here, {start} were expected")
        if have > start:
            self._context.truncate(start, sequence)
        last = len(tokens) - 1
        wanted = self._is_last and wants_logits
        out = self._context.eval_layers([(token, sequence, wanted and i == last) for i, token in enumerate(tokens)], hidden)
        return np.array(self._context.logits()).reshape(1, -1) if wanted else out


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


def host() -> str:
    """Ray's address of this machine."""
    return str(import_module("ray").util.get_node_ip_address())
