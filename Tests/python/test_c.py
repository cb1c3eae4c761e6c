"""C programs: the examples in the checkout and against an installed library, and a host that misbehaves."""

import os
import shlex
import subprocess
import sys

import pytest
from header import ROOT

STRICT = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O1"]
STORY = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park."


def build(source, program, *flags):
    subprocess.run(["cc", *STRICT, str(source), "-o", str(program), *flags], check=True)
    return str(program)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    prefix = tmp_path_factory.mktemp("prefix")
    subprocess.run([ROOT / "Bindings/C/install.sh", prefix], check=True)
    environment = os.environ | {"PKG_CONFIG_PATH": str(prefix / "lib/pkgconfig"), "LD_LIBRARY_PATH": str(prefix / "lib")}
    found = subprocess.run(["pkg-config", "--cflags", "--libs", "llama2swift"], env=environment, check=True, capture_output=True, text=True)
    return prefix, environment, shlex.split(found.stdout)


def test_install_makes_library_links_header_and_pkg_config(installed):
    prefix, environment, _ = installed
    version = subprocess.run(["pkg-config", "--modversion", "llama2swift"], env=environment, check=True, capture_output=True, text=True).stdout.strip()
    assert os.readlink(prefix / "lib/libllama2swift.so") == "libllama2swift.so.0"
    assert os.readlink(prefix / "lib/libllama2swift.so.0") == f"libllama2swift.so.{version}"
    assert (prefix / "include/llama2swift.h").read_bytes() == (ROOT / "Include/llama2swift.h").read_bytes()


def test_minimal_example_tells_a_story(installed, tmp_path, stories_path):
    _, environment, flags = installed
    program = build(ROOT / "Bindings/C/minimal.c", tmp_path / "minimal", *flags)
    done = subprocess.run([program, stories_path, "Once upon a time"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith(STORY)
    wrong = subprocess.run([program, "/etc/hostname", "x"], env=environment, capture_output=True, text=True)
    assert wrong.returncode == 1 and "/etc/hostname" in wrong.stderr


def test_chat_example_answers(installed, tmp_path, smollm2_path):
    _, environment, flags = installed
    program = build(ROOT / "Bindings/C/chat.c", tmp_path / "chat", *flags)
    one = subprocess.run([program, smollm2_path, "List the days of the week."], env=environment, capture_output=True, text=True)
    assert one.returncode == 0 and "Tuesday" in one.stdout
    talk = subprocess.run([program, smollm2_path], input="Hello\nWhat is 2 + 2?\n", env=environment, capture_output=True, text=True)
    assert talk.returncode == 0 and len(talk.stdout.splitlines()) >= 2


def test_chat_example_says_that_a_model_without_template_only_goes_on(installed, tmp_path, stories_path):
    _, environment, flags = installed
    program = build(ROOT / "Bindings/C/chat.c", tmp_path / "chat", *flags)
    done = subprocess.run([program, stories_path, "Tell me a story."], env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and len(done.stdout) > 100
    assert "no chat template" in done.stderr and len(done.stderr.splitlines()) == 1


def without_a_registry(folder):
    """An empty cache and no package index in reach."""
    return {"XDG_CACHE_HOME": str(folder / "cache"), "LLAMA2SWIFT_CACHE": str(folder / "cache/llama2swift"),
            "PIP_NO_INDEX": "1", "PIP_INDEX_URL": "http://127.0.0.1:9/"}  # fmt: skip


def test_demo_without_a_registry_tells_a_story_and_says_why(installed, tmp_path):
    """With numpy: Python and C. Without: Bindings/C/demo.sh, C alone."""
    _, environment, flags = installed
    for name in ("minimal", "chat"):
        build(ROOT / f"Bindings/C/{name}.c", tmp_path / name, *flags)
    environment |= without_a_registry(tmp_path)
    for command in ([sys.executable, ROOT / "Bindings/Python/demo.py"], ["sh", ROOT / "Bindings/C/demo.sh"]):
        done = subprocess.run([*command, tmp_path], env=environment, capture_output=True, text=True)
        print(done.stdout, done.stderr)
        assert done.returncode == 0 and "could not be fetched" in done.stdout
        assert "a tiny model that comes with the project" in " ".join(done.stdout.split())
        assert STORY.removeprefix("Once upon a time") in done.stdout


def test_a_host_in_c(installed, tmp_path, stories_path):
    """dlopen and dlclose, double frees, threads in one context, freeing inside a callback: Tests/c/host.c."""
    prefix, environment, _ = installed
    program = build(ROOT / "Tests/c/host.c", tmp_path / "host", f"-I{prefix}/include", "-ldl", "-lpthread")
    done = subprocess.run(
        [program, prefix / "lib/libllama2swift.so.0", stories_path], env=environment, capture_output=True, text=True, timeout=120
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "all checks passed"


def test_evaluating_sampling_decoding_and_following_a_schema_allocate_nothing(installed, tmp_path, stories_path, smollm2_path):
    _, environment, flags = installed
    strict = [f for f in STRICT if f != "-std=c99"]  # __libc_malloc is glibc's own
    program = str(tmp_path / "allocations")
    subprocess.run(["cc", "-std=gnu99", *strict, str(ROOT / "Tests/c/allocations.c"), "-o", program, "-rdynamic", *flags], check=True)
    for model in (stories_path, smollm2_path):
        done = subprocess.run([program, model], env=environment, capture_output=True, text=True)
        lines = done.stdout.splitlines()
        assert done.returncode == 0 and len(lines) == 6 and all(line.startswith("0 allocations ") for line in lines), done.stdout
