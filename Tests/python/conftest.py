import gzip
import json
import os
import signal
from pathlib import Path

import pytest

import llama2swift

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "Tests" / "fixtures"
SHARED = Path(os.environ.get("LLAMA2SWIFT_SHARED", ROOT.parent / "shared" / "data"))


# What programs write is buffered for users, and where it cannot be written is seen later
os.environ.pop("PYTHONUNBUFFERED", None)


def pytest_configure(config):
    # a shell starts what is in the background without Ctrl-C, and so would all be that the tests start
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "alone: measures time, and runs with nothing beside it")


def shared(name: str) -> Path:
    """A file of the shared data that is not part of the project."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return path


def rows(name: str) -> list[dict]:
    """The lines of such a file, *.jsonl.gz."""
    return [json.loads(line) for line in gzip.open(shared(name), "rt", encoding="utf-8")]


@pytest.fixture(scope="session")
def smollm2_path() -> str:
    path = os.environ.get("LLAMA2SWIFT_MODEL", "")
    if not path:
        pytest.skip("the real model is not in the cache and could not be fetched")
    return path


@pytest.fixture(scope="session")
def smollm2(smollm2_path):
    return llama2swift.Model(smollm2_path)


@pytest.fixture(scope="session")
def stories_path() -> str:
    return str(FIXTURES / "stories260K.bin")


@pytest.fixture(scope="session")
def stories(stories_path):
    return llama2swift.Model(stories_path)


@pytest.fixture(scope="session")
def greedy():
    return llama2swift.Sampler(temperature=0)
