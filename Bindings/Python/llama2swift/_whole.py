"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes `text` to `path` by way of a temporary file beside it; the mode of a file that is there is kept. Raises OSError with `path`."""
    target = os.path.realpath(path)
    if kind := special(target):
        raise OSError(errno.EINVAL, f"{kind}, not a regular file: it is not replaced", os.fspath(path))
    try:
        _write(target, text)
    except OSError as problem:
        # a full disk names no file, other problems the temporary one
        raise OSError(problem.errno, os.strerror(problem.errno or 0), os.fspath(path)) from None


def special(path: str | os.PathLike[str]) -> str | None:
    """What is at `path`, or where it leads, if it is neither a regular file nor nothing: it would be taken away by what is written."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return None
    if stat.S_ISREG(mode):
        return None
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _write(target: str, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=os.path.dirname(target), prefix=".llama2swift-", delete=False) as file:
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            mode = os.stat(target).st_mode & 0o777 if os.path.exists(target) else 0o666 & ~_umask()
            os.chmod(file.name, mode)
            os.replace(file.name, target)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _umask() -> int:
    value = os.umask(0o077)
    os.umask(value)
    return value
