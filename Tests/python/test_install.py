"""`make install` and what a program finds afterwards: pkg-config, CMake, the manual, the tarball; and taking it away again."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from conftest import ROOT
from header import version

PREFIXES = ["plain", "with a space", "quote'd $HOME \\ \"x\" & |", "Grüße"]
FILES = {
    "include/llama2swift.h", "lib/libllama2swift.so", "lib/libllama2swift.so.0", "lib/libllama2swift.so.{}", "lib/pkgconfig/llama2swift.pc",
    "lib/cmake/llama2swift/llama2swiftConfig.cmake", "lib/cmake/llama2swift/llama2swiftConfigVersion.cmake", "share/man/man1/llama2swift.1",
}  # fmt: skip


def shell(*command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, **options)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def install(prefix, destination="", libdir="", script="install.sh", **options):
    return shell("sh", ROOT / "Bindings/C" / script, prefix, destination, libdir, **options)


def tree(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir() or p.is_symlink()}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "program.c"
    path.write_text('#include <llama2swift.h>\n#include <stdio.h>\nint main(void) { return puts(llama2_version()) < 0; }\n')
    return path


@pytest.mark.parametrize("name", PREFIXES)
def test_the_two_lines_that_it_prints_compile_and_run(name, program, tmp_path):
    prefix = tmp_path / name
    told = install(prefix).splitlines()
    assert told[0] == f"installed llama2swift {version()} in {prefix}"
    assert "loader" in told[1] and len(told) == 4
    shutil.copy(program, tmp_path)
    environment = {k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH", "PKG_CONFIG_PATH")}
    for line in told[2:]:
        shown = shell("sh", "-c", line, cwd=tmp_path, env=environment)
    assert shown == version() + "\n"
    assert tree(prefix) == {f.format(version()) for f in FILES}
    assert os.readlink(prefix / "lib/libllama2swift.so.0") == f"libllama2swift.so.{version()}"
    # stripped: the table of local symbols is gone
    assert "no symbols" in subprocess.run(["nm", prefix / f"lib/libllama2swift.so.{version()}"], capture_output=True, text=True).stderr

    install(prefix, script="uninstall.sh")
    assert tree(prefix) == set()


def test_uninstall_leaves_what_is_not_ours(tmp_path):
    install(tmp_path)
    for name in ("lib/other.so", "lib/pkgconfig/other.pc", "include/other.h"):
        (tmp_path / name).write_text("x")
    assert "removed 8 files" in install(tmp_path, script="uninstall.sh")
    assert tree(tmp_path) == {"lib/other.so", "lib/pkgconfig/other.pc", "include/other.h"}
    assert "removed 0 files" in install(tmp_path, script="uninstall.sh")


def test_destdir_and_libdir(tmp_path):
    told = install("/usr", tmp_path, "/usr/lib/x86_64-linux-gnu")
    assert "loader" not in told  # a package's files are not used from there
    assert tree(tmp_path) == {"usr/" + f.format(version()).replace("lib/", "lib/x86_64-linux-gnu/", 1) if f.startswith("lib/") else "usr/" + f for f in FILES}
    for name in ("usr/lib/x86_64-linux-gnu/pkgconfig/llama2swift.pc",):
        text = (tmp_path / name).read_text()
        assert str(tmp_path) not in text and "prefix=/usr\n" in text and "libdir=/usr/lib/x86_64-linux-gnu\n" in text


@pytest.mark.parametrize("arguments", [["relative"], ["/tmp/x\ny"], ["/proc/none"], ["/tmp/x", "", "lib"]], ids=["relative", "line", "unwritable", "libdir"])
def test_where_it_cannot_go_it_says_so(arguments):
    done = subprocess.run(["sh", ROOT / "Bindings/C/install.sh", *arguments], capture_output=True, text=True)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1


# as Bindings/C/README.md says; to look for it twice does no harm
SNIPPET = re.search(r"^```cmake\n(.*?)^```$", (ROOT / "Bindings/C/README.md").read_text(), re.MULTILINE | re.DOTALL)[1]
CMAKE = "cmake_minimum_required(VERSION 3.10)\nproject(host C)\nfind_package(llama2swift)\n" + SNIPPET


def cmake(folder: Path, prefix: Path, program: Path, wanted: str):
    folder.mkdir()
    shutil.copy(program, folder)
    (folder / "CMakeLists.txt").write_text(CMAKE.replace("llama2swift 0.3 ", f"llama2swift {wanted} "))
    return subprocess.run(
        ["cmake", "-S", folder, "-B", folder / "build", f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_BUILD_TYPE=Release"], capture_output=True, text=True
    )  # fmt: skip


@pytest.mark.skipif(shutil.which("cmake") is None, reason="CMake is not installed")
@pytest.mark.parametrize("name", ["plain", "with a space"])
def test_cmake_finds_the_package(name, program, tmp_path):
    prefix = tmp_path / name
    install(prefix)
    done = cmake(tmp_path / "host", prefix, program, "0.3")
    assert done.returncode == 0, done.stderr
    shell("cmake", "--build", tmp_path / "host/build")
    assert shell(tmp_path / "host/build/program") == version() + "\n"  # CMake sets the path to the library by itself
    assert cmake(tmp_path / "older", prefix, program, "0.1").returncode == 0
    for number, wanted in enumerate(("0.99", "1.0")):
        newer = cmake(tmp_path / f"newer{number}", prefix, program, wanted)
        assert newer.returncode != 0 and version() in newer.stderr
    (prefix / "lib/libllama2swift.so").unlink()
    broken = cmake(tmp_path / "broken", prefix, program, "0.3")
    assert broken.returncode != 0 and "install llama2swift again" in broken.stderr


def test_the_manual_is_that_of_the_command_line():
    sys.path.insert(0, str(ROOT / "Bindings/C"))
    import make_man

    assert make_man.PAGE.read_text() == make_man.page(), "python3 Bindings/C/make_man.py writes it anew"
    if shutil.which("man") and shutil.which("groff"):
        done = subprocess.run(["man", "-l", "--warnings", make_man.PAGE], env=os.environ | {"MANPAGER": "cat", "LC_ALL": "C.UTF-8"}, capture_output=True, text=True)
        assert done.returncode == 0 and done.stderr == "" and "llama2swift quantize model.gguf small.gguf Q4_K_M" in done.stdout


# Without Swift, and with an old library


@pytest.fixture
def checkout(tmp_path):
    """A small stand-in for the checkout: what `make install` reads, with a library that is built."""
    folder = tmp_path / "a check out"
    for name in ("Makefile", "Package.swift", "Include", "Bindings/C", "Tests/setup"):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(ROOT / name, target) if (ROOT / name).is_dir() else shutil.copy2(ROOT / name, target)
    (folder / "Sources").mkdir()
    (folder / "Sources/One.swift").write_text("\n")
    (folder / ".build/release").mkdir(parents=True)
    shutil.copy(os.environ.get("LLAMA2SWIFT_LIBRARY", ROOT / ".build/release/libllama2swift.so"), folder / ".build/release/libllama2swift.so")
    return folder


def without_swift(folder: Path) -> dict[str, str]:
    """A PATH on which everything is but Swift."""
    names = "sh bash make sed find head ls awk id dirname install ln mkdir cat chmod strip grep rm rmdir touch env uname".split()
    tools = folder.parent / "tools"
    tools.mkdir(exist_ok=True)
    for name in names:
        if not (tools / name).exists():
            (tools / name).symlink_to(shutil.which(name))
    return {"PATH": str(tools), "HOME": str(folder.parent)}


def test_what_is_built_is_installed_without_swift_if_it_is_not_old(checkout, tmp_path):
    environment = without_swift(checkout)
    done = subprocess.run(["make", "-s", "install", f"PREFIX={tmp_path}/p"], cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and (tmp_path / "p/lib/libllama2swift.so.0").exists(), done.stderr
    os.utime(checkout / "Sources/One.swift", (time.time() + 10, time.time() + 10))
    done = subprocess.run(["make", "-s", "install", f"PREFIX={tmp_path}/q"], cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode != 0 and "older than the sources" in done.stderr and "Swift 6.3" in done.stderr
    (checkout / ".build/release/libllama2swift.so").unlink()
    done = subprocess.run(["make", "-s", "install", f"PREFIX={tmp_path}/q"], cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode != 0 and "not built" in done.stderr and not (tmp_path / "q").exists()


def test_make_dist_can_be_unpacked_anywhere(program, tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("Include", "Bindings", ".build", "LICENSE", "README.md", "CHANGELOG.md", "RELIABILITY.md"):
        (folder / name).symlink_to(ROOT / name) if name != "Bindings" else shutil.copytree(ROOT / name, folder / name)
    tarball = folder / shell("bash", folder / "Bindings/C/make_dist.sh").strip()
    first = tarball.read_bytes()
    shell("bash", folder / "Bindings/C/make_dist.sh")
    assert tarball.read_bytes() == first  # the same tree gives the same bytes
    with tarfile.open(tarball) as archive:
        archive.extractall(tmp_path / "un packed")
    (place,) = (tmp_path / "un packed").iterdir()
    assert re.fullmatch(rf"llama2swift-{version()}-linux-\w+", place.name)
    assert tree(place) >= {f.format(version()) for f in FILES} | {"share/doc/llama2swift/LICENSE", "share/doc/llama2swift/README.md"}
    flags = shell("pkg-config", "--cflags", "--libs", "llama2swift", env=os.environ | {"PKG_CONFIG_PATH": str(place / "lib/pkgconfig")})
    shell("cc", program, *shlex.split(flags), "-o", tmp_path / "program")
    assert shell(tmp_path / "program", env=os.environ | {"LD_LIBRARY_PATH": str(place / "lib")}) == version() + "\n"
    if shutil.which("cmake"):
        done = cmake(tmp_path / "host", place, program, version())
        assert done.returncode == 0, done.stderr
        shell("cmake", "--build", tmp_path / "host/build")
        assert shell(tmp_path / "host/build/program") == version() + "\n"
