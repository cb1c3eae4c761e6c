"""What the command line does to a terminal, to a pipe and to what is neither."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest
from terminals import Terminal, command
from tiny_gguf import random_model

from llama2swift.cli import terminal


def test_nothing_of_a_file_steers_the_terminal(tmp_path):
    path = tmp_path / "steering.gguf"
    odd = "x\x1b]0;owned\x07\x1b[2J\x9b31m\u202eback\u2028line\r\b"
    random_model(path, vocabulary=32, dim=32, layers=1, heads=2, heads_kv=1, hidden=32, metadata={"general.name": odd, "evil\x1b[31mkey\u2066": "v\x1b\n\x85w"})
    told = command("info", path, text=False).stdout
    text = told.decode()
    assert "evil" in text and "owned" in text
    assert not [c for c in text if c != "\n" and terminal._steers(c)]
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", told)


def test_harmless_leaves_languages_alone():
    text = "Grüße, 漢字, العربية \u200f, हिन्दी, 👩\u200d🚀"
    assert terminal.harmless(text) == text
    assert terminal.harmless("a\x1b[0m\tb\n\u202e\u2029\x9b\x7f", keep="\n\t") == "a\\x1b[0m\tb\n\\u202e\\u2029\\x9b\\x7f"


def test_a_text_is_harmless_on_a_terminal_and_exact_in_a_pipe(stories_path):
    prompt = "Red \x1b[31m \u202e dog"
    with Terminal("run", stories_path, prompt, "-n", "3") as seen:
        assert seen.status() == 0
        assert "\\x1b[31m" in seen.screen and "\x1b[31m" not in seen.screen and "\u202e" not in seen.screen
    assert command("run", stories_path, prompt, "-n", "3").stdout.startswith(prompt)


@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}], ids=["ascii", "C"])
def test_a_terminal_with_ascii_alone(environment, stories_path, tmp_path):
    done = command("run", stories_path, "Grüße 漢", "-n", "3", text=False, env=os.environ | environment)
    assert done.returncode == 0 and done.stdout.isascii() or "Grüße 漢".encode() in done.stdout
    done = command("chat", stories_path, "-n", "3", text=False, input="Grüße 漢\n".encode(), env=os.environ | environment)
    assert done.returncode == 0 and b"Traceback" not in done.stderr
    missing = command("info", tmp_path / "Grüße", text=False, env=os.environ | environment)
    assert missing.returncode == 1 and len(missing.stderr.splitlines()) == 1


def test_bytes_that_are_no_text_pass_unchanged(stories_path):
    done = command("run", stories_path, "-n", "1", "--temperature", "0", text=False, input=b"caf\xe9 \xff")
    assert done.returncode == 0 and done.stdout.startswith(b"caf\xe9 \xff")


def test_streams_that_are_closed_or_full(stories_path):
    base, stories = f"{shlex.quote(sys.executable)} -m llama2swift", shlex.quote(str(stories_path))
    for line, status in (
        (f"{base} run {stories} x -n 3 <&- >&-", 0), (f"{base} chat {stories} <&-", 0), (f"{base} info {stories} >/dev/full", 1),
        (f"{base} run {stories} x -n 30 >/dev/full", 1), (f"{base} info none >/dev/null 2>&-", 1),
    ):  # fmt: skip
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60)
        assert done.returncode == status and "Traceback" not in done.stderr and len(done.stderr.splitlines()) <= 1, (line, done)


def test_nobody_reads_any_more(stories_path):
    code = f"{shlex.quote(sys.executable)} -m llama2swift run {shlex.quote(str(stories_path))} x -n 400; echo $? >&2"
    done = subprocess.run(["bash", "-c", f"({code}) | true"], capture_output=True, text=True, timeout=60)
    assert done.stderr.split() == ["141"]


@pytest.mark.parametrize("arguments", [["run", "MODEL", "Once upon a time", "-c", "2048"], ["chat", "MODEL"]], ids=lambda a: a[0])
def test_ctrl_c_is_status_130_and_no_noise(arguments, tmp_path, smollm2_path):
    arguments = [smollm2_path if a == "MODEL" else a for a in arguments]
    process = subprocess.Popen(
        [sys.executable, "-m", "llama2swift", *arguments], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )  # fmt: skip
    if arguments[0] == "run":
        assert os.read(process.stdout.fileno(), 100)  # it is in the middle
    else:
        if arguments[0] == "chat":
            os.write(process.stdin.fileno(), b"Count to one thousand.\n")
        time.sleep(3)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and errors == b"", errors
    assert time.monotonic() - begin < 20


COMMAND = [sys.executable, "-c", "import sys, llama2swift_command; sys.exit(llama2swift_command.main())"]
MODULE = [sys.executable, "-m", "llama2swift"]


@pytest.mark.parametrize("program", [COMMAND, MODULE], ids=["command", "module"])
def test_control_c_while_modules_are_loaded_is_quiet(program, tmp_path):
    """As if somebody had pressed it while numpy was loaded, which calls whatever goes wrong a broken installation."""
    (tmp_path / "numpy.py").write_text("import os, signal, time\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(5)\nexcept BaseException:\n    raise ImportError('broken')\n")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    done = subprocess.run([*program, "--version"], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_host_keeps_its_own_control_c(tmp_path):
    """The package alone, and a program that is called with -m, change no handler."""
    (tmp_path / "host.py").write_text("import signal, llama2swift\nprint(signal.getsignal(signal.SIGINT) is signal.default_int_handler)\n")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    for words in (["-m", "host"], [tmp_path / "host.py"], ["-m", "host", "-m", "llama2swift"]):
        done = subprocess.run([sys.executable, *words], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=60)
        assert done.stdout == "True\n", done.stderr


def test_control_c_beside_a_reader_that_does_not_read(stories_path):
    """The pipe is full: the interpreter's flush at the end would wait for it."""
    words = ["embed", str(stories_path), *["Once upon a time"] * 2000]
    with subprocess.Popen([*MODULE, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:  # until it waits for the reader
            with open(f"/proc/{process.pid}/wchan") as file:
                if "pipe_write" in file.read():
                    break
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 130 and process.stderr.read() == b""


def test_progress_waits_two_seconds_and_is_plain_lines_without_extras(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    with terminal.Progress("quantize") as progress:
        for second in range(31):
            now[0] = float(second)
            progress(second / 30)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "quantize: 7 %" and len(lines) == 3  # after 2, 12 and 22 seconds


def test_progress_uses_what_is_installed(monkeypatch):
    shown = []

    class Bar:
        slow = False
        show = staticmethod(lambda part, note: shown.append(part))
        close = staticmethod(lambda: shown.append("closed"))

    monkeypatch.setattr(terminal, "_rich", lambda what: None)
    monkeypatch.setattr(terminal, "_tqdm", lambda what: Bar())
    monkeypatch.setattr(terminal.sys.stderr, "isatty", lambda: True, raising=False)
    with terminal.Progress("convert") as progress:
        progress._next = 0
        progress(0.5)
    assert shown == [0.5, "closed"]
