"""The wheel: the library inside, for every Python and for systems older than this one, and never a library that is older than its sources."""

import glob
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
from conftest import FIXTURES, ROOT
from header import version

LIBRARY = Path(os.environ.get("LLAMA2SWIFT_LIBRARY", ROOT / ".build/release/libllama2swift.so")).resolve()
PYTHONS = ["3.9", "3.10", "3.11", "3.12", "3.13"]
SHORT = ["test_tokens.py", "test_generate.py", "test_python_arguments.py"]  # what is run under another Python, with the tiny model
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "LLAMA2SWIFT_LIBRARY", "VIRTUAL_ENV", "PIP_"))}


def interpreter(wanted: str) -> str | None:
    """A Python of that version, if there is one here."""
    places = [shutil.which(f"python{wanted}"), *sorted(glob.glob(os.path.expanduser(f"~/.pyenv/versions/{wanted}.*/bin/python")))]
    for place in filter(None, places):
        told = subprocess.run([place, "-c", "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True)
        if told.stdout.strip() == wanted:
            return place
    return None


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """(wheel, sdist), made as `make wheel` makes them."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(["bash", ROOT / "Bindings/Python/make_wheel.sh", sys.executable, folder], env=CLEAN, capture_output=True, text=True, timeout=600)
    if "could not be installed" in done.stderr:
        pytest.skip("build and auditwheel could not be fetched")
    assert done.returncode == 0, done.stdout + done.stderr
    wheel, sdist = done.stdout.split()
    return Path(wheel), Path(sdist)


def test_the_wheel_has_this_library_stripped_and_a_tag_for_old_systems(built, tmp_path):
    wheel, _ = built
    assert re.fullmatch(rf"llama2swift-{version()}-py3-none-manylinux_2_27_x86_64\.whl", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path)
    assert [n for n in names if ".so" in n] == ["llama2swift/libllama2swift.so"]
    assert any(n.endswith("licenses/LICENSE") for n in names) and "llama2swift/cli/chat.py" in names and "llama2swift/py.typed" in names
    subprocess.run(["strip", "--strip-unneeded", LIBRARY, "-o", tmp_path / "stripped.so"], check=True)
    assert (tmp_path / "llama2swift/libllama2swift.so").read_bytes() == (tmp_path / "stripped.so").read_bytes()


@pytest.mark.parametrize("wanted", PYTHONS)
def test_it_works_in_a_clean_environment_of_each_python(wanted, built, tmp_path):
    """From any folder, without the checkout; under 3.10 and 3.13 a part of the tests runs too, under the others in `make trust`."""
    python = interpreter(wanted)
    if python is None:
        pytest.skip(f"there is no Python {wanted}")
    tests = wanted in ("3.10", "3.13") or "LLAMA2SWIFT_ALL_PYTHONS" in os.environ
    if not tests and wanted in ("3.11", "3.12"):
        pytest.skip("in make trust")
    subprocess.run([python, "-m", "venv", tmp_path / "venv"], env=CLEAN, check=True)
    inside = tmp_path / "venv/bin"
    packages = [built[0], *(["-r", ROOT / "Tests/requirements.txt"] if tests else [])]
    done = subprocess.run([inside / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages], env=CLEAN, capture_output=True, text=True)
    if "No matching distribution" in done.stderr or "Could not find a version" in done.stderr:
        pytest.skip("numpy could not be fetched")
    assert done.returncode == 0, done.stderr
    told = subprocess.run([inside / "llama2swift", "--version"], cwd="/", env=CLEAN, capture_output=True, text=True)
    assert told.stdout.startswith(f"llama2swift {version()} ({inside.parent}/lib/") and told.returncode == 0, told.stderr
    story = subprocess.run(
        [inside / "llama2swift", "run", FIXTURES / "stories260K.bin", "Once upon a time", "-n", "20", "--temperature", "0"], cwd="/", env=CLEAN,
        capture_output=True, text=True,
    )  # fmt: skip
    assert story.stdout.startswith("Once upon a time, there was a little girl named Lily"), story.stderr
    if tests:
        environment = CLEAN | {"PYTHONDONTWRITEBYTECODE": "1", "LLAMA2SWIFT_MODEL": ""}
        files = [ROOT / "Tests/python" / name for name in SHORT if (ROOT / "Tests/python" / name).exists()]
        done = subprocess.run([inside / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *files], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0 and "passed" in done.stdout, done.stdout[-3000:]


# pip install of a folder: the library is built, or what is missing is said


@pytest.fixture(scope="session")
def pip(built):
    """pip with the tools that `make wheel` fetched, and nothing else from outside."""
    tools = ROOT / ".build/wheel/venv/bin"

    def wheel(source, output, **environment):
        tail = ["--no-build-isolation", "--no-deps", "--no-index", "--disable-pip-version-check", "-w", str(output), str(source)]
        return subprocess.run([tools / "python", "-m", "pip", "wheel", *tail], env={**CLEAN, **environment}, capture_output=True, text=True, timeout=200)

    return wheel


def stand_in(folder: Path, library: bool) -> Path:
    """What setup.py looks at in a checkout."""
    shutil.copytree(ROOT / "Bindings/Python", folder / "Bindings/Python", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__", "benchmarks"))
    (folder / "Sources/Llama2CAPI").mkdir(parents=True)
    (folder / "Include").mkdir()
    for name in ("Package.swift", "Sources/Llama2CAPI/One.swift", "Include/llama2swift.h"):
        (folder / name).write_text("\n")
    if library:
        (folder / ".build/release").mkdir(parents=True)
        shutil.copyfile(LIBRARY, folder / ".build/release/libllama2swift.so")
    return folder / "Bindings/Python"


def tools_without_swift(folder: Path) -> str:
    place = folder / "tools"
    place.mkdir()
    for name in ("strip", "sh", "env", "uname"):
        (place / name).symlink_to(shutil.which(name))
    return str(place)


def test_without_library_and_swift_pip_says_what_to_do(pip, tmp_path):
    path = tools_without_swift(tmp_path)
    for source, words in (
        (stand_in(tmp_path / "a", library=False), ["not built yet", "Swift 6.3", "make wheel"]),
        (shutil.copytree(stand_in(tmp_path / "b", library=False), tmp_path / "deep/er/alone"), ["sources are not here", "make wheel"]),
    ):
        done = pip(source, tmp_path / "out", PATH=path)
        assert done.returncode != 0 and all(w in done.stderr + done.stdout for w in words), done.stderr
        assert "Traceback" not in done.stderr + done.stdout


def test_a_library_that_is_older_than_its_sources_is_never_taken(pip, tmp_path):
    path = tools_without_swift(tmp_path)
    source = stand_in(tmp_path / "a", library=True)
    stale = source / "build/lib/llama2swift"  # what an earlier build left
    stale.mkdir(parents=True)
    (stale / "libllama2swift.so").write_bytes(b"stale")
    done = pip(source, tmp_path / "out", PATH=path)
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "out").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("llama2swift/libllama2swift.so")[:4] == b"\x7fELF"
    later = time.time() + 10
    os.utime(tmp_path / "a/Sources/Llama2CAPI/One.swift", (later, later))
    done = pip(source, tmp_path / "out", PATH=path)
    assert done.returncode != 0 and "older than its sources" in done.stderr + done.stdout


def test_the_sdist_has_the_engine_and_builds_it_with_swift(built, pip, tmp_path):
    """Here a stand-in for the compiler puts the library there; `make trust` builds it in earnest."""
    with tarfile.open(built[1]) as archive:
        names = archive.getnames()
        archive.extractall(tmp_path)
    (source,) = tmp_path.glob("llama2swift-*")
    for name in ("Package.swift", "Include/llama2swift.h", "Include/module.modulemap", "LICENSE"):
        assert f"{source.name}/engine/{name}" in names
    ours = {str(p.relative_to(ROOT)) for p in (ROOT / "Sources").rglob("*") if p.is_file()}
    theirs = {str(p.relative_to(source / "engine")) for p in (source / "engine/Sources").rglob("*") if p.is_file()}
    assert ours == theirs
    assert not [n for n in names if n.endswith((".so", ".gguf", ".bin", ".o"))]
    swift = Path(tools_without_swift(tmp_path)) / "swift"
    swift.write_text(f'#!/bin/sh\necho "$PWD $*" >"{tmp_path}/called"\n/bin/mkdir -p .build/release && /bin/cp "{LIBRARY}" .build/release/libllama2swift.so\n')
    swift.chmod(0o755)
    done = pip(source, tmp_path / "out", PATH=str(swift.parent))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "called").read_text().strip().endswith("engine build -c release --product llama2swift")
    assert list((tmp_path / "out").glob(f"llama2swift-{version()}-py3-none-linux_*.whl"))
