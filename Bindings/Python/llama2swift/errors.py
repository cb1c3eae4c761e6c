"""Exceptions by status. The message is the library's own sentence.

Where Python has an exception for the same thing they are that, too: ValueError, IndexError, KeyError, MemoryError; and what the
system said about a file is FileNotFoundError, PermissionError, IsADirectoryError and so on, with errno and filename.
"""

from __future__ import annotations

import os
from typing import Any

from . import _constants as K


class Llama2Error(RuntimeError):
    """A call of the library failed. `status` is the header's ``LLAMA2_E_`` number."""

    status: int = 0

    def __init__(self, message: str = "", status: int | None = None):
        super().__init__(message)
        if status is not None:
            self.status = status

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.status)


class InvalidArgumentError(Llama2Error, ValueError):
    """A value that a parameter cannot have."""

    status = K.E_INVALID_ARGUMENT


class BadHandleError(Llama2Error):
    """The object was closed."""

    status = K.E_BAD_HANDLE


class OutOfRangeError(Llama2Error, IndexError):
    """An index, position, sequence or number beyond the limit."""

    status = K.E_OUT_OF_RANGE


class InvalidTokenError(Llama2Error, ValueError):
    """A token that is not in the vocabulary."""

    status = K.E_INVALID_TOKEN


class NotFoundError(Llama2Error, KeyError):
    """There is no entry of this name."""

    status = K.E_NOT_FOUND

    __str__ = RuntimeError.__str__  # KeyError would print the sentence in quotes


class ForbiddenError(Llama2Error, ValueError):
    """A token that the grammar does not allow here."""

    status = K.E_FORBIDDEN


class OutOfMemoryError(Llama2Error, MemoryError):
    """The system refused memory. The same call can be made again."""

    status = K.E_NO_MEMORY


class InputOutputError(Llama2Error, OSError):
    """A file could not be read or written. `errno`, `strerror` and `filename` are those of OSError, and where Python has a
    class for that errno, FileNotFoundError for instance, this is one, too."""

    status = K.E_IO

    def __init__(self, message: str = "", status: int | None = None, errno: int | None = None, filename: str | bytes | None = None):
        super().__init__(message, status)
        self._sentence = message
        self.errno = errno
        self.strerror = os.strerror(errno) if errno else message
        self.filename = filename

    def __str__(self) -> str:
        return self._sentence  # OSError would make one of its own

    def __reduce__(self) -> tuple[Any, ...]:
        return _input_output_error, (self._sentence, self.status, self.errno, self.filename)


class ThreadError(Llama2Error):
    """The system refused a thread."""

    status = K.E_THREAD


class FormatError(Llama2Error):
    """Not a model file that the library reads."""

    status = K.E_FORMAT


class CorruptFileError(FormatError):
    """A file that is truncated or contradicts itself."""

    status = K.E_CORRUPT


class UnsupportedError(Llama2Error):
    """Well formed, but this version cannot do it."""

    status = K.E_UNSUPPORTED


class UnknownTemplateError(Llama2Error):
    """The model's chat template is none that is known."""

    status = K.E_UNKNOWN_TEMPLATE


class ContextFullError(Llama2Error):
    """More tokens than there are free positions. Nothing was added."""

    status = K.E_CONTEXT_FULL


class CancelledError(Llama2Error):
    """The call was cancelled. The context is as before it."""

    status = K.E_CANCELLED


class BusyError(Llama2Error):
    """The object is in use by another call."""

    status = K.E_BUSY


class NoLogitsError(Llama2Error):
    """Nothing was evaluated that asked for logits, or there is no such row."""

    status = K.E_NO_LOGITS


class ForkedError(Llama2Error):
    """The context was made before a fork, by the parent."""

    status = K.E_FORKED


_by_status = {
    kind.status: kind
    for kind in (
        InvalidArgumentError, BadHandleError, OutOfRangeError, InvalidTokenError, NotFoundError, OutOfMemoryError,
        InputOutputError, ThreadError, FormatError, CorruptFileError, UnsupportedError, UnknownTemplateError, ContextFullError,
        CancelledError, BusyError, NoLogitsError, ForkedError, ForbiddenError,
    )
}  # fmt: skip
_by_builtin: dict[type[OSError], type[InputOutputError]] = {OSError: InputOutputError}


def error_for(status: int, message: str, errno: int = 0, filename: str | bytes | None = None) -> Llama2Error:
    """The exception for a status; `errno` as the system gave it, 0 if it did not."""
    if status == K.E_IO:
        return _input_output_error(message, status, errno or None, filename)
    return _by_status.get(status, Llama2Error)(message, status)


def _input_output_error(message: str, status: int, errno: int | None, filename: str | bytes | None) -> InputOutputError:
    builtin = type(OSError(errno, "")) if errno else OSError
    kind = _by_builtin.get(builtin)
    if kind is None:
        kind = _by_builtin[builtin] = type(
            builtin.__name__, (InputOutputError, builtin), {"__doc__": builtin.__doc__, "__module__": __name__}
        )
    return kind(message, status, errno, filename)
