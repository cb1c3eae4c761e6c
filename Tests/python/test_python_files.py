"""Errors of files are Python's own, too: their class, errno and filename."""

import errno
import os

import pytest

import llama2swift
from llama2swift.errors import FormatError, InputOutputError, Llama2Error


def raised(kind, call, cut=False):
    with pytest.raises(kind) as found:
        call()
    problem = found.value
    assert isinstance(problem, InputOutputError) and isinstance(problem, Llama2Error) and problem.status == -21
    assert problem.strerror == os.strerror(problem.errno) and (cut or problem.strerror in str(problem))
    return problem


def test_a_file_that_is_not_there(tmp_path):
    for call in (llama2swift.Model, llama2swift.preflight, lambda p: llama2swift.quantize(p, tmp_path / "out.gguf"), lambda p: llama2swift.convert(p, tmp_path / "out.gguf")):
        for name in ("absent.gguf", os.fsdecode(b"\xff\xfe.gguf"), "with\nlines"):
            path = tmp_path / name
            problem = raised(FileNotFoundError, lambda call=call, path=path: call(path))
            assert (problem.errno, problem.filename) == (errno.ENOENT, str(path)) and "\n" not in str(problem)
    assert list(tmp_path.iterdir()) == []


def test_the_name_is_that_of_the_file_that_it_is_about(stories_path, tmp_path):
    away = tmp_path / "nowhere" / "out.gguf"
    problem = raised(FileNotFoundError, lambda: llama2swift.quantize(stories_path, away))
    assert problem.filename == str(away)
    absent = tmp_path / "imatrix.gguf"
    problem = raised(FileNotFoundError, lambda: llama2swift.quantize(stories_path, tmp_path / "out.gguf", importance=absent))
    assert problem.filename == str(absent)
    with llama2swift.Model(stories_path).context(length=16) as context:
        problem = raised(FileNotFoundError, lambda: context.importance([1] * 16, away))
        assert problem.filename == str(away)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_place_of_a_file(stories_path, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(FormatError):  # of Hugging Face's, it might have been
        llama2swift.Model(tmp_path / "folder")
    with pytest.raises(OSError):
        llama2swift.convert(stories_path, tmp_path / "folder")


def test_a_file_in_the_place_of_a_folder(stories_path):
    problem = raised(NotADirectoryError, lambda: llama2swift.Model(stories_path + "/x"))
    assert problem.filename == stories_path + "/x"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    path = tmp_path / "secret.gguf"
    path.write_bytes(b"GGUF")
    path.chmod(0)
    assert raised(PermissionError, lambda: llama2swift.Model(path)).errno == errno.EACCES


def test_a_descriptor_that_is_none():
    assert raised(OSError, lambda: llama2swift.Model.from_descriptor(987)).errno == errno.EBADF


def test_too_long_a_name(tmp_path):
    assert raised(OSError, lambda: llama2swift.Model("/" + "x" * 5000), cut=True).errno == errno.ENAMETOOLONG


def test_errno_is_that_of_the_call_not_of_one_before(stories, tmp_path):
    raised(FileNotFoundError, lambda: llama2swift.Model(tmp_path / "absent"))
    with pytest.raises(OSError) as found:
        llama2swift.Model("/dev/null")
    assert found.value.errno is None and type(found.value) is InputOutputError


def test_paths_of_every_kind(stories_path, tmp_path):
    for path in (stories_path, os.fsencode(stories_path), type(tmp_path)(stories_path)):
        assert llama2swift.Model(path).tokenize("Once")
