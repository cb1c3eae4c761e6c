"""An ordinary user with the system's own Python, in a folder that was no clone and has a space in its name: `make demo`, and a part of the tests.

All of `make demo` and `make test` as such a user, Swift included, is Tests/trust/install.sh.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from conftest import ROOT

NOBODY = 65534
SYSTEM_PYTHON = Path("/usr/bin/python3")
SHORT = ["test_tokens.py", "test_generate.py", "test_c.py", "test_tools.py", "test_types.py"]
LIBRARY = Path(os.environ.get("LLAMA2SWIFT_LIBRARY", ROOT / ".build/release/libllama2swift.so")).resolve()


@pytest.fixture(scope="module")
def place():
    """The project as a tarball gives it, with a library that is built, and nobody as its owner."""
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    if not SYSTEM_PYTHON.exists():
        pytest.skip("the system has no Python")
    # not below pytest's own folder: that is for its owner alone
    with tempfile.TemporaryDirectory(prefix="llama2swift ") as top:
        folder = Path(top) / "un packed"
        for name in ("Bindings", "Include", "Tests"):
            shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "build", "inputs"))
        for name in ("Makefile", "Package.swift", "README.md", "CHANGELOG.md", "LICENSE", "RELIABILITY.md"):
            shutil.copy2(ROOT / name, folder / name)
        (folder / ".build/release").mkdir(parents=True)
        shutil.copy(LIBRARY, folder / ".build/release/libllama2swift.so")
        (folder / ".build/release/libllama2swift.so.0").symlink_to("libllama2swift.so")
        (Path(top) / "home").mkdir()
        os.chmod(top, 0o755)
        for path in [folder, *folder.rglob("*"), Path(top) / "home"]:
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        yield folder


def as_nobody(place: Path, *command, **environment):
    home = str(place.parent / "home")
    kept = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": home, "TMPDIR": home, "LANG": "C.UTF-8", **environment}
    return subprocess.run(
        list(map(str, command)), cwd=place, env=kept, user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, text=True, timeout=600
    )  # fmt: skip


@pytest.fixture(scope="module")
def ready(place):
    """The venv, as the Makefile makes it."""
    interpreter = SYSTEM_PYTHON.resolve()
    before = interpreter.stat().st_mtime_ns
    done = as_nobody(place, "make", ".build/venv/ready", f"PYTHON3={SYSTEM_PYTHON}")
    if "could not be installed" in done.stdout or "missing" in done.stderr:
        pytest.skip("a venv could not be made: " + done.stderr[-300:])
    assert done.returncode == 0, done.stdout + done.stderr
    assert interpreter.stat().st_mtime_ns == before, "make changed the time of the system's Python"
    assert (place / ".build/venv/bin/python").resolve() == interpreter
    again = as_nobody(place, "make", ".build/venv/ready", f"PYTHON3={SYSTEM_PYTHON}")
    assert again.returncode == 0 and "up to date" in again.stdout
    return place


def test_make_demo_tells_a_story(ready):
    offline = {"PIP_NO_INDEX": "1", "PIP_INDEX_URL": "http://127.0.0.1:9/"}
    done = as_nobody(ready, "make", "-o", "lib", "demo", **offline)  # the library is there
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("there was a little girl named Lily") == 1 and "== C:" in done.stdout and "tokens/s" in done.stdout


def test_a_part_of_the_tests_passes(ready):
    environment = {"PYTHONPATH": str(ready / "Bindings/Python"), "LLAMA2SWIFT_LIBRARY": str(ready / ".build/release/libllama2swift.so")}
    files = [f"Tests/python/{name}" for name in SHORT if (ready / "Tests/python" / name).exists()]
    done = as_nobody(ready, ".build/venv/bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *files, **environment)
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout[-4000:]


def test_make_install_says_where_it_may_not_write(ready):
    done = as_nobody(ready, "sh", "Bindings/C/install.sh", "/usr/local")
    assert done.returncode == 1 and "sudo make install PREFIX=/usr/local" in done.stderr and "$HOME/.local" in done.stderr
