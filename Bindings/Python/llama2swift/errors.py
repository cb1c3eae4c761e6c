"""Exceptions by status. The message is the library's own sentence."""

from __future__ import annotations


class Llama2Error(RuntimeError):
    """A call of the library failed. `status` is the header's ``LLAMA2_E_`` number."""

    status: int = 0

    def __init__(self, message: str, status: int | None = None):
        super().__init__(message)
        if status is not None:
            self.status = status


class InvalidArgumentError(Llama2Error, ValueError):
    status = -2


class BadHandleError(Llama2Error):
    """The object was closed."""

    status = -3


class OutOfRangeError(Llama2Error, IndexError):
    status = -5


class InvalidTokenError(Llama2Error, ValueError):
    status = -7


class NotFoundError(Llama2Error, KeyError):
    status = -8

    __str__ = RuntimeError.__str__  # KeyError would print the sentence in quotes


class OutOfMemoryError(Llama2Error, MemoryError):
    status = -20


class InputOutputError(Llama2Error, OSError):
    status = -21


class FormatError(Llama2Error):
    """Not a model file that the library reads."""

    status = -40


class CorruptFileError(FormatError):
    status = -41


class UnsupportedError(Llama2Error):
    status = -42


class UnknownTemplateError(Llama2Error):
    status = -43


class ContextFullError(Llama2Error):
    status = -60


class CancelledError(Llama2Error):
    status = -61


class BusyError(Llama2Error):
    status = -62


class NoLogitsError(Llama2Error):
    status = -63


class ForkedError(Llama2Error):
    """The context was made before a fork, by the parent."""

    status = -64


_by_status = {
    kind.status: kind
    for kind in (
        InvalidArgumentError, BadHandleError, OutOfRangeError, InvalidTokenError, NotFoundError, OutOfMemoryError,
        InputOutputError, FormatError, CorruptFileError, UnsupportedError, UnknownTemplateError, ContextFullError,
        CancelledError, BusyError, NoLogitsError, ForkedError,
    )
}  # fmt: skip


def error_for(status: int, message: str) -> Llama2Error:
    return _by_status.get(status, Llama2Error)(message, status)
