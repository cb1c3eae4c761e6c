"""What the pieces of a pipeline say to each other, over one TCP connection from each to the next and from the last back to who asked.

A message is its head and what follows it, as it lies in memory (little endian, as all machines of the library are):

    head                 kind, number of the request, sequence, start, count, width
    count * int32        tokens
    count * width * f32  hidden states; of ANSWER there are no tokens and one row
    or count bytes       of PROBLEM: a sentence

A connection begins with a secret that both ends have from elsewhere: nobody else is listened to.
"""

from __future__ import annotations

import hmac
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

Row = np.ndarray[Any, np.dtype[np.float32]]

# tokens of `sequence` from position `start` on, with the hidden states that the piece before has of them; LAST: and logits are wanted of the last one
EVAL, LAST = 1, 2
# the positions of `sequence` from `start` on are dropped
DROP = 3
# to a LAST: a row of logits. To an EVAL or a LAST: `start` is the status, the sentence follows
ANSWER, PROBLEM = 4, 5

SECRET = 32
_HEAD = struct.Struct("<4sIQIqII")
_MAGIC = b"l2p1"
# more than any piece says: 4 GiB in one message is nonsense, and no memory is asked for it
_MOST = 1 << 30


@dataclass
class Message:
    """tokens: int32; rows: (tokens, embedding), or of an ANSWER (1, vocabulary)."""

    kind: int
    number: int
    sequence: int = 0
    start: int = 0
    tokens: Any = ()
    rows: Row | None = None
    sentence: str = ""


class Wire:
    """One end of a connection. Raises OSError where the other end is gone or says what no piece says."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # a machine that was switched off says no goodbye
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def fileno(self) -> int:
        """For `select`."""
        number = self._socket.fileno()
        if number < 0:
            raise ConnectionError("the connection is closed")
        return number

    def pack(self, message: Message) -> bytes:
        """What is sent."""
        if message.kind == PROBLEM:
            body = message.sentence.encode("utf-8", "replace")
            return _HEAD.pack(_MAGIC, PROBLEM, message.number, message.sequence, message.start, len(body), 0) + body
        tokens = np.asarray(message.tokens, np.int32)
        rows = np.empty((len(tokens), 0), np.float32) if message.rows is None else message.rows
        head = _HEAD.pack(_MAGIC, message.kind, message.number, message.sequence, message.start, *rows.shape)
        return b"".join((head, tokens.tobytes(), rows.tobytes()))

    def send(self, message: Message) -> None:
        """Waits while the other end has more than it can take."""
        self._socket.sendall(self.pack(message))

    def send_some(self, data: memoryview) -> int:
        """As many bytes of `pack` as can go without waiting."""
        try:
            return self._socket.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def receive(self) -> Message:
        """Waits for the next message."""
        magic, kind, number, sequence, start, count, width = _HEAD.unpack(self._take(_HEAD.size))
        if magic != _MAGIC or not EVAL <= kind <= PROBLEM or (count + 1) * (width + 1) > _MOST:
            raise ConnectionError("the other end is no piece of this version")
        if kind == PROBLEM:
            return Message(kind, number, sequence, start, sentence=self._take(count).decode("utf-8", "replace"))
        tokens = np.frombuffer(self._take(0 if kind == ANSWER else 4 * count), np.int32)
        rows = np.frombuffer(self._take(4 * count * width), np.float32).reshape(-1, width) if width else None
        return Message(kind, number, sequence, start, tokens, rows)

    def close(self) -> None:
        """Also wakes who waits in `receive`, here and at the other end."""
        close(self._socket)

    def _take(self, size: int) -> bytearray:
        data = bytearray(size)
        left = memoryview(data)
        while left:
            got = self._socket.recv_into(left)
            if not got:
                raise ConnectionError("the other end is gone")
            left = left[got:]
        return data


def listen(host: str) -> socket.socket:
    """On a port that was free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, 0), family=family, backlog=8)


def accept(listener: socket.socket, secret: bytes, seconds: float = 60) -> socket.socket:
    """The first who knows the secret; the listener is closed then. Raises OSError if nobody comes."""
    until = time.monotonic() + seconds
    with listener:
        while True:
            listener.settimeout(max(0.01, until - time.monotonic()))
            connection = listener.accept()[0]
            try:
                connection.settimeout(5)
                told = b""
                while len(told) < SECRET and (more := connection.recv(SECRET - len(told))):
                    told += more
                if hmac.compare_digest(told, secret):
                    return connection
            except OSError:
                pass
            connection.close()


def connect(address: tuple[str, int], secret: bytes) -> socket.socket:
    """To who listens there."""
    connection = socket.create_connection(address, timeout=30)
    connection.sendall(secret)
    return connection


def close(end: socket.socket) -> None:
    """Wakes whoever waits there, which `socket.close` alone does not."""
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # the other end was faster
    end.close()
