"""Builds and runs the programs of this folder: run.py MODE, where MODE is `all` (every golden story and what is hard;
installs Debian's toolchains where it may) or `installed` (the same with the toolchains that are there).

One line a runtime. Needs the library (`make lib`); what is built goes to .build/runtimes.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
FIXTURES = ROOT / "Tests" / "fixtures"
MODEL = FIXTURES / "stories260K.bin"
LIBRARY = Path(os.environ.get("LLAMA2SWIFT_LIBRARY", ROOT / ".build/release/libllama2swift.so")).resolve()
STRICT_C = ["cc", "-std=c99", "-O1", "-Wall", "-Wextra", "-pedantic", "-Werror", "-shared", "-fPIC"]


class Skipped(Exception):
    """A toolchain is not there."""


@dataclass
class Runtime:
    """How to build and to run a folder; {out} is the runtime's folder below .build/runtimes."""

    tools: list[str]  # commands and headers, as Tests/setup knows them
    version: list[str]
    build: list[list[str]]
    story: list[str]  # followed by MODEL PROMPT
    hard: list[str]  # followed by MODEL
    environment: dict[str, str] = field(default_factory=dict)


def java_home() -> Path:
    return Path(shutil.which("javac") or "/usr/lib/jvm/default-java/bin/javac").resolve().parents[1]


def node_headers() -> Path:
    beside = Path(shutil.which("node") or "/usr/bin/node").resolve().parents[1] / "include/node"
    return beside if (beside / "node_api.h").exists() else Path("/usr/include/node")


def runtimes(out: Path) -> dict[str, Runtime]:
    libraries = link_library(out)
    include = f"-I{ROOT / 'Include'}"
    link = [f"-L{libraries}", "-lllama2swift", f"-Wl,-rpath,{libraries}", "-lpthread"]
    jni = java_home() / "include"
    java = ["java", "-XX:+UseSerialGC", "-Xmx64m", f"-Djava.library.path={out}/java", "-cp", f"{out}/java"]
    return {
        "cpp": Runtime(
            ["c++"], ["c++", "--version"],
            [["c++", "-std=c++17", "-O1", "-Wall", "-Wextra", "-pedantic", "-Werror", include, f"{name}.cpp", "-o", f"{out}/cpp/{name}", *link]
             for name in ("story", "hard")],
            [f"{out}/cpp/story"], [f"{out}/cpp/hard"],
        ),
        "go": Runtime(
            ["go", "cc"], ["go", "version"],
            [["go", "build", "-o", f"{out}/go/story", "llama2.go", "story.go", "hard.go"]],
            [f"{out}/go/story"], [f"{out}/go/story"],
            {"CGO_CFLAGS": f"-O1 '{include}'", "CGO_LDFLAGS": " ".join(f"'{word}'" for word in link), "GOCACHE": f"{out}/go/cache", "CGO_ENABLED": "1"},
        ),
        "rust": Runtime(
            ["rustc", "cc"], ["rustc", "--version"],
            [["rustc", "--edition", "2021", "-O", "-D", "warnings", f"{name}.rs", "-o", f"{out}/rust/{name}", "-L", str(libraries),
              "-C", f"link-arg=-Wl,-rpath,{libraries}"] for name in ("story", "hard")],
            [f"{out}/rust/story"], [f"{out}/rust/hard"],
        ),
        "node": Runtime(
            ["node", "node_api.h", "cc"], ["node", "--version"],
            [[*STRICT_C, "-DNAPI_VERSION=6", f"-I{node_headers()}", include, "addon.c", "-o", f"{out}/node/addon.node", *link]],
            ["node", "story.js"], ["node", "--expose-gc", "hard.js"], {"ADDON": f"{out}/node/addon.node"},
        ),
        "luajit": Runtime(
            ["luajit", "cc"], ["luajit", "-v"],
            [["sh", "declarations.sh", str(ROOT / "Include/llama2swift.h"), f"{out}/luajit/llama2swift.cdef"]],
            ["luajit", "story.lua"], ["luajit", "hard.lua"],
            {"DECLARATIONS": f"{out}/luajit/llama2swift.cdef", "LIBRARY": str(libraries / "libllama2swift.so")},
        ),
        "java": Runtime(
            ["javac", "jni.h", "cc"], ["javac", "--version"],
            [["javac", "-Xlint:all", "-Werror", "-d", f"{out}/java", "Llama2.java", "Story.java", "Hard.java"],
             [*STRICT_C, f"-I{jni}", f"-I{jni}/linux", include, "llama2_jni.c", "-o", f"{out}/java/libllama2jni.so", *link]],
            [*java, "Story"], [*java, "Hard"],
        ),
    }  # fmt: skip


def link_library(out: Path) -> Path:
    """A folder where linker and loader find the library by the names they look for."""
    folder = out / "lib"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("libllama2swift.so", "libllama2swift.so.0"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(LIBRARY)
    return folder


def missing(runtime: Runtime) -> list[str]:
    headers = {"node_api.h": node_headers(), "jni.h": java_home() / "include"}
    return [t for t in runtime.tools if not (shutil.which(t) if t not in headers else (headers[t] / t).exists())]


def run(name: str, runtime: Runtime, command: list[str]) -> str:
    """What the command prints; a RuntimeError with everything it said if it fails."""
    done = subprocess.run(command, cwd=HERE / name, env=os.environ | runtime.environment, capture_output=True, timeout=600)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).decode(errors="replace")[-4000:]
        raise RuntimeError(f"{' '.join(command)}: exit status {done.returncode}\n{said}")
    return done.stdout.decode()


def build(out: Path, name: str, runtime: Runtime) -> None:
    (out / name).mkdir(parents=True, exist_ok=True)
    for command in runtime.build:
        run(name, runtime, command)


def golden() -> list[tuple[str, str]]:
    """(prompt, whole text) of each row. The first row has no prompt; its text's beginning serves for one."""
    with gzip.open(FIXTURES / "stories260K-greedy.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    return [(row["prompt"] or "Once upon a time", row["text"]) for row in rows]


def tell(name: str, runtime: Runtime, prompt: str) -> str:
    return run(name, runtime, [*runtime.story, str(MODEL), prompt]).removesuffix("\n")


def do_hard(name: str, runtime: Runtime) -> str:
    return run(name, runtime, [*runtime.hard, str(MODEL)]).strip()


def install(tools: list[str]) -> None:
    done = subprocess.run(["bash", ROOT / "Tests/setup", *tools], capture_output=True, text=True)
    if done.returncode != 0:
        raise Skipped(done.stderr.strip().splitlines()[-1])


def main(mode: str) -> int:
    out, failed = ROOT / ".build/runtimes", 0
    for name in runtimes(out):
        try:
            if tools := missing(runtimes(out)[name]):
                if mode != "all":
                    raise Skipped(f"{' and '.join(tools)} not installed")
                install(tools)
            runtime = runtimes(out)[name]  # anew: headers may have come
            if tools := missing(runtime):
                raise Skipped(f"{' and '.join(tools)} not to be had")
            build(out, name, runtime)
            version = run(name, runtime, runtime.version).splitlines()[0]
            rows = golden()
            right = sum(tell(name, runtime, prompt) == text for prompt, text in rows)
            hard = do_hard(name, runtime)
            failed += right != len(rows)
            print(f"{name:7} {right} of {len(rows)} stories are the golden ones; {hard} ({version})", flush=True)
        except Skipped as reason:
            print(f"{name:7} skipped: {reason}", flush=True)
        except (RuntimeError, subprocess.TimeoutExpired) as problem:
            failed += 1
            print(f"{name:7} FAILED: {problem}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:] not in (["all"], ["installed"]):
        raise SystemExit(__doc__)
    raise SystemExit(main(sys.argv[1]))
