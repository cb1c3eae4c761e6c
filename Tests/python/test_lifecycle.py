"""Beginning and end of things, and hosts that are set up otherwise than most: Tests/c/lifecycle.c, environment.c,
side_by_side.c. Longer runs of the same: Tests/trust/lifecycle.sh."""

import os
import resource
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import hosts
import pytest

import llama2swift


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("lifecycle")


@pytest.fixture(scope="module")
def lifecycle(folder):
    return hosts.build("lifecycle", folder)


@pytest.fixture(scope="module")
def environment(folder):
    return hosts.build("environment", folder)


def test_many_lives_leave_no_memory_descriptors_or_threads_behind(lifecycle, stories_path):
    hosts.run(lifecycle, "cycles", stories_path, 500, 512)


def test_a_forked_child_uses_the_model_and_gets_a_status_from_old_contexts(lifecycle, stories_path):
    hosts.run(lifecycle, "fork", stories_path)


def test_a_callback_may_fork_and_its_child_return(lifecycle, stories_path, tmp_path):
    hosts.run(lifecycle, "fork-in-callbacks", stories_path, tmp_path / "quantized.gguf")


def test_a_fork_while_other_threads_are_inside_hangs_nobody(lifecycle, stories_path):
    hosts.run(lifecycle, "fork-storm", stories_path, 40)


def test_exit_is_clean_with_nothing_freed_with_evals_running_and_from_a_callback(lifecycle, stories_path):
    hosts.run(lifecycle, "exit", stories_path, 4)


def test_signals_at_a_kilohertz_change_nothing_and_stay_on_the_hosts_threads(environment, stories_path, tmp_path):
    hosts.run(environment, "signals", stories_path, tmp_path / "out.gguf")


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the modes are those of x86")
def test_the_hosts_floating_point_mode_changes_no_bit_and_comes_back(environment, stories_path, tmp_path):
    hosts.run(environment, "floats", stories_path, tmp_path / "out.gguf")


@pytest.mark.parametrize("limit", [resource.RLIM_INFINITY, 64 * 1024])
def test_threads_with_64_kib_of_stack_can_do_everything(environment, stories_path, tmp_path, limit):
    """Also with a limit that would give the library's threads such a stack, if they had no size of their own."""
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    if limit == resource.RLIM_INFINITY:
        limit = resource.getrlimit(resource.RLIMIT_STACK)[0]
    hosts.run(
        environment, "stacks", stories_path, tmp_path / "out.gguf", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (limit, hard))
    )


def copy_with_another_name(folder: Path) -> Path:
    """The library as another version would be: another file with another soname."""
    data, name = hosts.LIBRARY.read_bytes(), b"libllama2swift.so.0\0"
    assert data.count(name) == 1
    copy = folder / "libllama2swift.so.7"
    copy.write_bytes(data.replace(name, name.replace(b".0", b".7")))
    return copy


def test_two_versions_of_the_library_live_side_by_side(folder, stories_path):
    program = hosts.build("side_by_side", folder, linked=False)
    hosts.run(program, stories_path, hosts.LIBRARY, copy_with_another_name(folder))


def test_the_library_lives_beside_llama_cpp(folder, stories_path):
    found = find_spec("llama_cpp")
    if found is None:
        pytest.skip("llama-cpp-python is not installed (make compare-setup)")
    llama = Path(found.origin).parent / "lib/libllama.so"
    program = hosts.build("side_by_side", folder, linked=False)
    hosts.run(program, stories_path, hosts.LIBRARY, copy_with_another_name(folder), llama, env=os.environ | {"LD_LIBRARY_PATH": str(llama.parent)})


def test_python_raises_forked_error_in_a_child(stories):
    context = stories.context(length=64, threads=2)
    context.eval([1, 2, 3])
    child = os.fork()
    if child == 0:
        try:
            context.eval([4])
        except llama2swift.errors.ForkedError as error:
            os._exit(42 if "before a fork" in str(error) else 2)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42


def test_python_exits_cleanly_with_everything_open(stories_path):
    code = (
        # what is registered first runs last: the thread goes on for a while behind everything that others do at the end
        "import atexit, sys, threading, time; atexit.register(time.sleep, 0.3)\n"
        "import llama2swift\n"
        "model = llama2swift.Model(sys.argv[1]); context = model.context(length=256, threads=2); sampler = llama2swift.Sampler()\n"
        "threading.Thread(target=lambda: [context.reset() or context.eval([1] * 200) for _ in range(10**9)], daemon=True).start()\n"
        "model.context(length=64).eval([1, 2]); sys.exit(5)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, stories_path], timeout=60, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (5, "")
