"""The programs of Bindings/C/runtimes, each with the toolchain that is installed; `make runtimes` installs them and tells all stories."""

import sys

import pytest
from header import ROOT

sys.path.insert(0, str(ROOT / "Bindings/C/runtimes"))
import run as programs

NAMES = ["cpp", "go", "rust", "node", "luajit", "java"]


def test_every_folder_is_run():
    folders = {p.name for p in programs.HERE.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert folders == set(NAMES)


@pytest.fixture(scope="module", params=NAMES)
def program(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("runtimes")
    runtime = programs.runtimes(out)[request.param]
    if tools := programs.missing(runtime):
        pytest.skip(f"{' and '.join(tools)} not installed: make runtimes")
    programs.build(out, request.param, runtime)
    return request.param, runtime


def test_it_tells_the_golden_stories(program):
    rows = programs.golden()
    for index in (0, 8):  # one of full length, one that ends before
        prompt, text = rows[index]
        assert programs.tell(*program, prompt) == text


def test_it_says_why_a_model_cannot_be_loaded(program):
    name, runtime = program
    with pytest.raises(RuntimeError, match="(?s)exit status 1.*/no/such/model"):
        programs.run(name, runtime, [*runtime.story, "/no/such/model", "x"])


def test_threads_callbacks_and_exceptions_of_the_runtime_do_no_harm(program):
    print(programs.do_hard(*program))
