"""The console command `llama2swift`. It lies outside the package, so that a library or a numpy that cannot be loaded is one sentence too."""

import os
import signal
import sys


def end_quietly(*_):
    """Ctrl-C while modules are loaded: numpy would call the exception a broken installation. `llama2swift._starting.loud` ends this."""
    os._exit(130)


def main() -> int:
    try:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, end_quietly)
        from llama2swift.cli import main as command
    except ImportError as problem:
        print(f"llama2swift: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return command()
