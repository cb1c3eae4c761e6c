"""Puts the engine's library into the package: what is said in pyproject.toml, and where the library comes from.

- `make wheel` says which one (LLAMA2SWIFT_BUNDLES).
- In a checkout, or in the sdist, which carries the engine's sources, it is built with Swift; an up-to-date one is taken without.
- Otherwise one sentence says what to do. A library that is older than its sources is never taken.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
NAME = "libllama2swift.so"
ENGINE = ("Package.swift", "Sources", "Include", "Tests/Llama2SwiftTests", "LICENSE")  # what the engine is built from


def engine():
    """The folder with the engine's sources, or None."""
    given = os.environ.get("LLAMA2SWIFT_ENGINE")
    places = [Path(given)] if given else [HERE / "engine", HERE.parents[1] if len(HERE.parents) > 1 else HERE]
    return next((p for p in places if (p / "Package.swift").is_file() and (p / "Sources/Llama2CAPI").is_dir()), None)


def fresh(root, library):
    """Whether `library` was built after the last change of the sources; the stamp has the time when its build began."""
    stamp = root / ".build/built"
    built = (stamp if stamp.exists() else library).stat().st_mtime
    sources = [root / "Package.swift", *(root / "Include").rglob("*"), *(root / "Sources").rglob("*")]
    return all(p.stat().st_mtime <= built for p in sources if p.is_file())


def library():
    """The library of this version; ends with a sentence if there is none."""
    given = os.environ.get("LLAMA2SWIFT_BUNDLES")
    if given:
        return Path(given)
    root = engine()
    if root is None:
        sys.exit("llama2swift: the engine's sources are not here; install a wheel, or from the checkout: make wheel")
    built = root / ".build/release" / NAME
    if built.exists() and fresh(root, built):
        return built
    if shutil.which("swift") is None:
        what = "is older than its sources" if built.exists() else "is not built yet"
        sys.exit(
            f"llama2swift: the library {what} and Swift is not installed: get Swift 6.3 from https://www.swift.org/install/linux and try "
            "again, or install a wheel that `make wheel` made elsewhere"
        )
    command = ["swift", "build", "-c", "release", "--product", "llama2swift"]
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0 or not built.exists():
        sys.exit("llama2swift: the engine could not be built with `" + " ".join(command) + "`:\n" + done.stdout[-2000:])
    return built


class WithLibrary(build_py):
    def run(self):
        super().run()
        if getattr(self, "editable_mode", False):
            library()  # found in the checkout when it runs
            return
        target = Path(self.build_lib) / "llama2swift" / NAME
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(library(), target)
        target.chmod(0o755)
        if shutil.which("strip"):
            subprocess.run(["strip", "--strip-unneeded", str(target)], check=True)


class AnyPython(bdist_wheel):
    """ctypes: one wheel for every Python on this platform."""

    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


class WithEngine(sdist):
    """The sdist carries the engine's sources, so that it can be built where Swift is."""

    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        root = engine()
        if root is None:
            sys.exit("llama2swift: the engine's sources are not here; make the sdist in the checkout: make wheel")
        target = Path(base_dir) / "engine"
        if target.exists():
            return  # made from an sdist: it is there
        for name in ENGINE:
            source = root / name
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target / name, ignore=shutil.ignore_patterns(".*", "__pycache__"))
            else:
                shutil.copy2(source, target / name)


class WithNativeCode(Distribution):
    def has_ext_modules(self):
        return True


setup(distclass=WithNativeCode, cmdclass={"build_py": WithLibrary, "bdist_wheel": AnyPython, "sdist": WithEngine})
