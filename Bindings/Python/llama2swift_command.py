"""The console command `llama2swift`. It lies outside the package, so that a library or a numpy that cannot be loaded is one sentence too."""

import sys


def main() -> int:
    try:
        from llama2swift.cli import main as command
    except ImportError as problem:
        print(f"llama2swift: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return command()
