"""Threads and memory of a context, and what it is refused."""

import gc
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from context_tools import TOKENS, context  # noqa: F401 (fixtures)

import llama2swift
from llama2swift.errors import (
    FormatError,
    InputOutputError,
    InvalidArgumentError,
    UnsupportedError,
)


def threads_of_this_process() -> dict[str, str]:
    """Names by id."""
    names = {}
    for task in os.listdir("/proc/self/task"):
        try:
            names[task] = open(f"/proc/self/task/{task}/comm").read().strip()
        except FileNotFoundError:
            pass
    return names


def test_threads_are_named_and_end_with_the_context(stories):
    before = threads_of_this_process()
    with stories.context(threads=5) as context:
        context.eval([1])
        new = [name for task, name in threads_of_this_process().items() if task not in before]
        # a thread of Python's that has just made the call may still be ending
        assert sorted(n for n in new if n.startswith("llama2-")) == [f"llama2-{i}" for i in range(1, 5)] and len(new) <= 5
    left = {n for task, n in threads_of_this_process().items() if task not in before and n.startswith("llama2-")}
    assert left == set()  # contexts of other tests may end meanwhile


def test_default_threads_are_the_cpus_of_this_process(stories):
    code = (
        "import os, sys, llama2swift; os.sched_setaffinity(0, {0}); "
        "print(llama2swift.Model(sys.argv[1]).context().info.threads)"
    )
    out = subprocess.run([sys.executable, "-c", code, stories_file(stories)], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "1"
    assert stories.context().info.threads == len(os.sched_getaffinity(0))


def stories_file(_):
    from conftest import FIXTURES

    return str(FIXTURES / "stories260K.bin")


def test_an_idle_context_uses_no_cpu(smollm2):
    with smollm2.context(threads=4, length=64) as context:
        context.eval([1, 2, 3])
        time.sleep(0.1)
        start = time.process_time()
        time.sleep(1)
        assert time.process_time() - start < 0.05


def test_create_and_free_leave_nothing_behind(stories_path):
    def once():
        with llama2swift.Model(stories_path) as model, model.context(threads=3) as context:
            context.eval(TOKENS)
            context.sample(llama2swift.Sampler())

    def resident():
        return int(open("/proc/self/statm").read().split()[1]) * 4096

    for _ in range(50):
        once()
    gc.collect()
    memory, files, threads = resident(), len(os.listdir("/proc/self/fd")), len(threads_of_this_process())
    for _ in range(300):
        once()
    gc.collect()
    assert resident() - memory < 4 << 20
    assert len(os.listdir("/proc/self/fd")) == files
    assert len(threads_of_this_process()) <= threads


def test_preflight_says_what_a_context_takes(smollm2, smollm2_path):
    for options in (dict(length=512), dict(length=2048, kv="f32", sequences=4), dict(length=64, batch_size=32)):
        memory = llama2swift.preflight(smollm2_path, threads=2, **options)
        with smollm2.context(threads=2, **options) as context:
            assert context.info.memory_bytes == memory.kv_bytes + memory.work_bytes + memory.logits_bytes
        assert memory.model_bytes == os.path.getsize(smollm2_path)


def test_preflight_of_the_impossible_allocates_nothing(smollm2, smollm2_path):
    options = dict(length=1 << 24, sequences=1024, kv="f32")
    assert llama2swift.preflight(smollm2_path, **options).total > 1 << 38


def test_the_sentence_about_kernels_tells_all_numbers_there_are(stories, monkeypatch):
    most = max(llama2swift.options.KERNELS.values())
    monkeypatch.setitem(llama2swift.options.KERNELS, "others", most + 1)
    with pytest.raises(InvalidArgumentError, match=f"kernels is {most + 1}, expected 0 to {most}$"):
        stories.context(kernels="others")


def test_the_best_kernels_are_the_last_of_those_there_are(stories):
    with stories.context() as context:
        assert context.info.kernels == llama2swift.kernels_available()[-1]


def test_wrong_options_are_refused(stories):
    for options in (dict(length=2**31), dict(threads=2000), dict(sequences=2000), dict(batch_size=5000)):
        with pytest.raises(InvalidArgumentError, match="expected"):
            stories.context(**options)
    for options in (dict(length=-1), dict(kv="f8"), dict(kernels="sve")):
        with pytest.raises(ValueError):
            stories.context(**options)
    elsewhere = {"neon": "NEON", "dotprod": "NEON.dotprod", "i8mm": "NEON.i8mm", "avx2": "AVX2", "avxvnni": "AVX2.VNNI", "avx512": "AVX-512.VNNI", "avx512vbmi": "AVX-512.VBMI"}
    for name in elsewhere.keys() - set(llama2swift.kernels_available()):
        with pytest.raises(UnsupportedError, match=f"this machine cannot run the {elsewhere[name]}.* kernels"):
            stories.context(kernels=name)


def test_files_that_are_no_models_are_refused(tmp_path):
    with pytest.raises(InputOutputError, match="No such file"):
        llama2swift.Model(tmp_path / "absent.gguf")
    with pytest.raises(InputOutputError, match="regular"):
        llama2swift.Model("/dev/null")
    with pytest.raises(FormatError, match="config.json"):
        llama2swift.Model(tmp_path)
    for name, content in (("empty", b""), ("text", b"hello " * 100), ("zip", b"PK\x03\x04" + bytes(100))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FormatError, match=name):
            llama2swift.Model(tmp_path / name)


def test_the_interpreter_ends_quietly(stories_path):
    code = """
import sys, llama2swift
model = llama2swift.Model(sys.argv[1])
context, sampler = model.context(), llama2swift.Sampler(seed=3)
context.eval([1]); logits = context.logits()
other = model.context()
pieces = other.generate("Once", sampler, max_tokens=200)
print(next(pieces))
"""
    for ending in ("", "sys.exit(0)", "import os; del model, context"):
        done = subprocess.run([sys.executable, "-c", code + ending, stories_path], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")


def test_struct_sizes_are_checked_when_the_library_loads():
    code = "from llama2swift import _structs as S\nS.Message._fields_ \nclass M(S.C.Structure): _fields_ = [('a', S.C.c_uint32)]\nS.NUMBERS[11] = M\nimport llama2swift"
    preload = "import importlib.util, sys, types, pathlib\n" "spec = importlib.util.find_spec('llama2swift')\n"
    code = (
        preload
        + "package = types.ModuleType('llama2swift'); package.__path__ = list(spec.submodule_search_locations)\n"
        + "sys.modules['llama2swift'] = package\n"
        + "from llama2swift import _structs as S\n"
        + "class M(S.C.Structure): _fields_ = [('a', S.C.c_uint32)]\n"
        + "S.NUMBERS[11] = M\n"
        + "import llama2swift._library\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode != 0 and "different versions" in done.stderr


def test_float_values_are_finite(context):
    context.eval(TOKENS, all_logits=True)
    assert np.isfinite(context.logits()).all()
