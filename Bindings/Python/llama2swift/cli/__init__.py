"""The command line: `llama2swift COMMAND ...`.

Every error is one sentence on standard error. Exit status: 0 done, 1 an error, 2 a wrong command line, 130 Ctrl-C, 141 nobody reads any more.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

from .. import _starting
from ..errors import Llama2Error
from . import terminal
from .arguments import parser


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        _starting.loud()
        terminal.prepare()
        status = 0
        try:
            status = _run(arguments)
            terminal.flush()
        except BrokenPipeError:
            status = 141  # what a shell says of `yes | head -1`
        except OSError as problem:  # the rest could not be written: a full disk, if that has not been said
            status = status or _say(terminal.sentence(problem))
        if status and status != 130:
            terminal.silence()
    except KeyboardInterrupt:  # while the rest was written to somebody who does not read
        status = 130
    # From here on nothing is left to be interrupted, and a broken pipe has been told.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if status == 130:
        terminal.silence(within=0.1)
    return status


def _run(arguments: Sequence[str] | None) -> int:
    try:
        a = parser().parse_args(arguments)
        return a.function(a) or 0
    except KeyboardInterrupt:
        terminal.end_line()
        return 130
    except BrokenPipeError:
        raise
    except (Llama2Error, OSError, ValueError, OverflowError) as problem:
        return _say(terminal.sentence(problem))
    except MemoryError:
        return _say("there is not enough memory")
    except Exception as problem:  # ours: say what a report needs, not where Python was
        if os.environ.get("LLAMA2SWIFT_TRACEBACK"):
            raise
        return _say(
            f"this should not happen ({type(problem).__name__}: {terminal.sentence(problem)}); "
            "LLAMA2SWIFT_TRACEBACK=1 shows where, for a report"
        )


def _say(text: str) -> int:
    terminal.say(f"llama2swift: {text}")
    return 1
