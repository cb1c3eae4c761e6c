"""What is opened is looked at first: only regular files are read, and nothing but regular files is replaced."""

import ctypes as C
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys

import formats as F
import pytest

import llama2swift
from llama2swift import _library as lib
from llama2swift import _structs as S
from llama2swift.errors import CancelledError, InputOutputError

SHAPE = dict(F.SHAPE)
W = F.weights(SHAPE)


@pytest.fixture
def source(tmp_path):
    return F.write_gguf_model(tmp_path / "in.gguf", W, SHAPE)


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


# Reading


def test_a_fifo_is_not_waited_for(tmp_path, source):
    os.mkfifo(tmp_path / "fifo")
    for call in (
        lambda: llama2swift.Model(tmp_path / "fifo"), lambda: llama2swift.preflight(tmp_path / "fifo"),
        lambda: llama2swift.quantize(tmp_path / "fifo", tmp_path / "o.gguf"),
        lambda: llama2swift.quantize(source, tmp_path / "o.gguf", importance=tmp_path / "fifo"),
    ):  # fmt: skip
        with pytest.raises(InputOutputError, match="is a FIFO, not a regular file"):
            call()


@pytest.mark.parametrize("kind", ["hf", "meta", "llama2c"])
def test_nor_is_one_beside_the_file(tmp_path, kind):
    if kind == "hf":
        path = F.write_hugging_face(tmp_path / "m", W, SHAPE)
        names = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer.model"]
        F.write_hugging_face(tmp_path / "spare", W, SHAPE)
    elif kind == "meta":
        path = F.write_meta(tmp_path / "m", W, SHAPE)
        names = ["params.json", "consolidated.00.pth", "consolidated.01.pth", "tokenizer.model"]
        F.write_meta(tmp_path / "spare", W, SHAPE)
    else:
        (tmp_path / "m").mkdir()
        path = tmp_path / "m" / "model.bin"
        path.write_bytes(F.llama2c(W, 1, SHAPE))
        names = [f"tok{SHAPE['vocabulary']}.bin", "tokenizer.bin", "tokenizer.model"]
    for name in names:
        place = tmp_path / "m" / name
        place.unlink(missing_ok=True)
        os.mkfifo(place)
        with pytest.raises(InputOutputError, match=f"{name} is a FIFO"):
            llama2swift.Model(path)
        place.unlink()
        if (tmp_path / "spare" / name).exists():
            shutil.copy(tmp_path / "spare" / name, place)
    llama2swift.Model(path)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/dev/tty"])
def test_devices_are_not_read(path):
    with pytest.raises(InputOutputError, match="is a device"):
        llama2swift.Model(path)


def test_links_to_files_are_followed(tmp_path, source):
    (tmp_path / "link.gguf").symlink_to(source)
    llama2swift.Model(tmp_path / "link.gguf")


# Writing


def write(source, output):
    llama2swift.quantize(source, output, "Q8_0")
    assert not list(output.parent.glob("*.part"))
    return llama2swift.Model(output)


@pytest.mark.parametrize("bits", [0o600, 0o640, 0o666, 0o755, 0o400])
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path, source, bits):
    output = tmp_path / "out.gguf"
    output.write_text("secret")
    output.chmod(bits)
    write(source, output)
    assert mode(output) == bits


def test_a_new_file_gets_what_the_process_gives(tmp_path, source):
    for mask in (0o022, 0o077, 0o002):
        before = os.umask(mask)
        try:
            write(source, tmp_path / f"{mask}.gguf")
        finally:
            os.umask(before)
        assert mode(tmp_path / f"{mask}.gguf") == 0o666 & ~mask


def test_a_link_stays_and_its_target_is_replaced(tmp_path, source):
    (tmp_path / "sub").mkdir()
    target = tmp_path / "sub" / "target.gguf"
    target.write_text("old")
    target.chmod(0o600)
    (tmp_path / "second").symlink_to("sub/target.gguf")
    (tmp_path / "first").symlink_to(tmp_path / "second")
    write(source, tmp_path / "first")
    assert (tmp_path / "first").is_symlink() and (tmp_path / "second").is_symlink()
    assert mode(target) == 0o600 and target.stat().st_size > 100
    # to something that is not there yet
    (tmp_path / "dangling").symlink_to("sub/new.gguf")
    write(source, tmp_path / "dangling")
    assert (tmp_path / "dangling").is_symlink() and (tmp_path / "sub" / "new.gguf").is_file()
    (tmp_path / "lost").symlink_to("nowhere/x.gguf")
    with pytest.raises(InputOutputError, match="No such file"):
        write(source, tmp_path / "lost")
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(InputOutputError, match="link"):
        write(source, tmp_path / "circle")


def test_nothing_but_a_file_is_replaced(tmp_path, source):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "to_fifo").symlink_to("fifo")
    cases = {"fifo": "a FIFO", "to_fifo": "a FIFO", "folder": "a folder", "folder/": "a folder", "/dev/null": "a device", "": "empty"}
    if os.geteuid() == 0:
        try:
            os.mknod(tmp_path / "device", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            cases["device"] = "a device"
        except OSError:
            pass
    for name, words in cases.items():
        place = name if name.startswith("/") or not name else os.path.join(tmp_path, name)
        before = os.lstat(place).st_mode if name else None
        for call in (lambda: llama2swift.quantize(source, place, "Q8_0"), lambda: llama2swift.convert(source, place)):
            with pytest.raises((InputOutputError, ValueError, OSError), match=words if name else None):
                call()
        assert before is None or os.lstat(place).st_mode == before
    assert os.listdir(tmp_path / "folder") == []


def test_the_input_may_be_the_output(tmp_path, source):
    source.chmod(0o640)
    write(source, source)
    assert mode(source) == 0o640


def test_a_name_of_255_bytes(tmp_path, source):
    write(source, tmp_path / ("a" * 250 + ".gguf"))
    write(source, tmp_path / ("\u00e9" * 125 + ".gguf"))
    with pytest.raises(InputOutputError, match="too long"):
        llama2swift.quantize(source, tmp_path / ("a" * 251 + ".gguf"), "Q8_0")


def test_names_of_any_bytes(tmp_path, source):
    for name in (b"\xff\xfe.gguf", b"caf\xc3\xa9.gguf", b"cafe\xcc\x81.gguf", "\U0010ff2f.gguf".encode(), b"\xed\xa0\x80.gguf", b"a\nb.gguf"):
        output = os.fsencode(tmp_path) + b"/" + name
        llama2swift.quantize(source, output, "Q8_0")
        assert os.path.exists(output)
        llama2swift.Model(output)
    assert len(list(tmp_path.glob("*.gguf"))) == 7


LIMITED = """
import resource, signal, sys
import llama2swift
if sys.argv[3] == "ignored": signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
if sys.argv[3] == "default": signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
try:
    llama2swift.quantize(sys.argv[1], sys.argv[2], "Q8_0", threads=2)
except OSError as problem:
    print("refused", problem)
except llama2swift.Llama2Error as problem:
    print("refused", problem)
blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
print("blocked", signal.SIGXFSZ in blocked, "pending", signal.SIGXFSZ in signal.sigpending())
"""


@pytest.mark.parametrize("handler", ["default", "ignored", "python"])
def test_a_file_beyond_the_limit_of_the_process_is_an_error(tmp_path, source, handler):
    script = tmp_path / "limited.py"
    script.write_text(LIMITED)
    run = subprocess.run([sys.executable, script, source, tmp_path / "out.gguf", handler], capture_output=True, text=True, env=os.environ)
    assert run.returncode == 0, run
    assert "refused" in run.stdout and "File too large" in run.stdout
    assert "blocked False pending False" in run.stdout
    assert not list(tmp_path.glob("out.gguf*"))
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 4096 and signal.SIGXFSZ


def test_a_cancel_is_heard_until_the_file_has_its_name(stories_path, tmp_path):
    """All is computed and on its way to the disk; that may take long, and still nothing is there when the host wants no more."""
    output, parts, asked_behind = tmp_path / "out.gguf", [], []
    output.write_bytes(b"before")

    def cancel(_):
        if parts and parts[-1] == 1:
            asked_behind.append([p.name for p in tmp_path.glob("*.part")])
        return len(asked_behind) == 2  # once while it waits for the disk, once before the name

    options = S.sized(S.QuantizeOptions)
    kept = lib.ProgressCallback(lambda part, _: parts.append(part) or 0), lib.CancelCallback(cancel)
    options.type, (options.progress, options.cancel) = b"Q8_0", (C.cast(k, C.c_void_p).value for k in kept)
    with pytest.raises(CancelledError, match="as it was"):
        lib.call_files("quantize", (os.fsencode(stories_path), os.fsencode(output)), C.byref(options), None, 0)
    assert len(asked_behind) == 2 and all(len(names) == 1 for names in asked_behind)
    assert [p.name for p in tmp_path.iterdir()] == ["out.gguf"] and output.read_bytes() == b"before"
