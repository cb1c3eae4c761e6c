#!/usr/bin/env python3
"""Every allocation and every system call of every call fails once, and all from it on: the exhaustive walk of items 4 and 5.

FAULTS_STEP (percent by which the walk of a load grows; default 2, 0 visits every call) decides how long it takes: a minute
or so by default. Ends with lines of TRUST; exit 1 when a promise is broken.
"""

import errno
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
import fault_tools as faults  # noqa: E402
import formats  # noqa: E402
from fault_tools import FILES, MEMORY, STORIES, THREAD  # noqa: E402

import llama2swift  # noqa: E402

STEP = int(os.environ.get("FAULTS_STEP", "2"))
COMMAND = "make trust TRUST=faults"


def total(walks) -> dict[str, int]:
    walks = list(walks)
    out = {k: sum(w[k] for w in walks) for k in ("faults", "refused", "survived")}
    return out | {"largest": max(w["largest"] for w in walks), "calls": len(walks)}


def line(item, promise, figures):
    text = ", ".join(f"{v} {k}" for k, v in figures.items()) if isinstance(figures, dict) else figures
    print(f"TRUST | {item} | {promise} | {COMMAND} | {text}", flush=True)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = faults.build(Path(name))
        w = formats.weights()
        (folder / "v2.bin").write_bytes(formats.llama2c(w, 2))
        llama2swift.convert(STORIES, folder / "stories.gguf", "F16")
        models = [STORIES, folder / "stories.gguf", folder / "v2.bin", formats.write_hugging_face(folder / "hf", w), formats.write_meta(folder / "meta", w, shards=2)]

        loads = [faults.walk(folder, op, MEMORY, mode, 0, STEP, model) for model in models for op in faults.LOADS for mode in ("one", "from")]
        line(4, "a load without memory is a status, nothing leaks, the same load succeeds afterwards", total(loads))
        calls = [faults.walk(folder, op, MEMORY, mode, 0, 0) for op in faults.CALLS for mode in ("one", "from")]
        line(4, "so is every other call", total(calls))
        writes = [faults.walk(folder, op, MEMORY, mode, 0, STEP) for op in faults.WRITES for mode in ("one", "from")]
        line(4, "quantize, convert and importance without memory leave the old file", total(writes))
        threads = [faults.walk(folder, op, THREAD, "one", 0, 0) for op in ("create", "quantize")]
        line(4, "a thread that does not start is a status", total(threads))

        broken = [faults.walk(folder, op, FILES, mode, code, 0) for op in faults.WRITES for code in (errno.EIO, errno.ENOSPC) for mode in ("one", "from", "every")]
        line(5, "EIO and ENOSPC at every system call leave the old file or the complete new one, no other", total(broken))
        unread = [faults.walk(folder, "load", FILES & ~512, "one", errno.EIO, 0, model) for model in models]
        assert sum(walk["survived"] for walk in unread) == 0
        line(5, "a file that cannot be read is never passed over", total(unread))
        hidden = [faults.walk(folder, op, FILES, mode, code, 0) for op in (*faults.WRITES, "load", "load_copy") for code in (errno.EINTR, -1) for mode in ("one", "every")]
        assert sum(walk["refused"] for walk in hidden) == 0
        line(5, "EINTR and short transfers are invisible", total(hidden))


if __name__ == "__main__":
    try:
        main()
    except AssertionError as broken:
        print(f"FAILED: {broken}")
        sys.exit(1)
