"""python -m llama2swift: the same as the console command `llama2swift`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
