"""How threads wait: a real-time caller, more threads than CPUs, memory that comes back, calls inside callbacks."""

import ctypes as C
import os
import subprocess
import sys

import pytest
from header import ROOT

from llama2swift import _library as lib

pytestmark = pytest.mark.alone

ENVIRONMENT = {k: os.environ[k] for k in ("LLAMA2SWIFT_LIBRARY", "PYTHONPATH") if k in os.environ}


def run(code, *arguments, timeout=60, **options):
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


EVALS = """
import os, sys, time, threading
import llama2swift
model = llama2swift.Model(sys.argv[1])
context = model.context(length=64, threads=int(sys.argv[2]))
cpu = sorted(os.sched_getaffinity(0))[0]
context.eval([1, 2, 3])
for task in os.listdir("/proc/self/task"):
    try: os.sched_setaffinity(int(task), {cpu})
    except ProcessLookupError: pass  # one of another library's
if sys.argv[3] == "fifo":
    try: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    except PermissionError: print("no permission"); sys.exit()
start = time.perf_counter()
for _ in range(20): context.eval([5])
print(time.perf_counter() - start)
"""


@pytest.mark.parametrize("scheduler", ["usual", "fifo"])
@pytest.mark.parametrize("threads", [2, 5])
def test_on_one_cpu_with_several_threads_a_caller_of_any_priority_makes_progress(stories_path, scheduler, threads):
    """A thread of SCHED_FIFO that only yields never lets an ordinary one run; the whole eval stood still for ever."""
    said = run(EVALS, stories_path, threads, scheduler)
    if "permission" in said:
        pytest.skip("SCHED_FIFO is not permitted here")
    assert float(said) < 10


def test_threads_beyond_the_cpus_give_the_same_bits(stories):
    """Those that do not take part as well."""
    rows = set()
    for threads in (1, 3, 8, 64):
        with stories.context(length=64, threads=threads) as context:
            context.eval(list(range(1, 40)), all_logits=True)
            rows.add(context.logits().tobytes())
            assert context.info.threads == threads
            context.eval([7])
            rows.add(context.logits().tobytes())
    assert len(rows) == 2


FREED = """
import sys, llama2swift
def resident(): return int(next(l for l in open("/proc/self/status") if l.startswith("RssAnon")).split()[1])
model = llama2swift.Model(sys.argv[1])
def some(n):
    all = [model.context(length=512, threads=1) for _ in range(n)]
    for c in all: c.eval([1, 2, 3])
    for c in all: c.close()
some(2)
before = resident()
some(200)
print(resident() - before)
"""


def test_two_hundred_freed_contexts_leave_nothing_worth_mentioning(stories_path):
    """Without malloc_trim: what is large is the system's own pages. It was 195 MB."""
    assert int(run(FREED, stories_path)) < 16 << 10


NESTED = """
import ctypes as C, sys, llama2swift
from llama2swift import _library as lib
model = llama2swift.Model(sys.argv[1])
def size(): return int(next(l for l in open("/proc/self/status") if l.startswith("VmSize")).split()[1])
text, count, room = b"x" * 20_000, C.c_size_t(), (C.c_int32 * 40_000)()
seen = []
with model.context(length=16, threads=1) as context:
    def cancel():
        if not seen:
            for i in range(100):
                lib.call("tokenize", model._handle, text, len(text), 2, room, len(room), C.byref(count))
                wrong = C.c_void_p()
                lib._cdll.llama2_model_load(b"/nowhere/" + b"y" * 3000, None, C.byref(wrong), None, 0)
                seen.append(size())
        return False
    context.set_cancel(cancel)
    context.eval([1])
print(seen[-1] - seen[9])
"""


def test_calls_inside_a_callback_give_back_their_address_space_each_for_itself(stories_path):
    """Not only when the call that called back returns."""
    assert int(run(NESTED, stories_path)) < 4096


def test_the_runtime_inside_does_not_read_the_environment(tmp_path, stories_path):
    """Swift's looks for SWIFT_* when the library is opened: it would print, and install handlers of signals."""
    source, program = tmp_path / "p.c", tmp_path / "p"
    source.write_text("""
#include <llama2swift.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
int main(int count, char **v) {
    void *library = dlopen(v[1], RTLD_NOW);
    int32_t (*load)(const char *, const llama2_model_options *, llama2_model **, char *, size_t) =
        (int32_t(*)(const char *, const llama2_model_options *, llama2_model **, char *, size_t))dlsym(library, "llama2_model_load");
    llama2_model *model;
    struct sigaction a;
    int i, status = load(v[2], 0, &model, 0, 0), handlers = 0;
    (void)count;
    for (i = 1; i < 32; i++) if (sigaction(i, 0, &a) == 0 && a.sa_handler != SIG_DFL) handlers++;
    return status != 0 || handlers != 0;
}
""")
    subprocess.run(["cc", "-w", f"-I{ROOT / 'Include'}", source, "-o", program, "-ldl"], check=True)
    for name, value in (("SWIFT_DEBUG_HELP", "YES"), ("SWIFT_BACKTRACE", "enable=yes,color=yes"), ("SWIFT_BACKTRACE", "nonsense"),
                        ("SWIFT_DEBUG_CONCURRENCY_ENABLE_COOPERATIVE_QUEUES", "bogus"), ("SWIFT_DETERMINISTIC_HASHING", "x"), ("SWIFT_ROOT", "/nowhere")):  # fmt: skip
        done = subprocess.run([program, os.environ["LLAMA2SWIFT_LIBRARY"], stories_path], env=os.environ | {name: value}, capture_output=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b""), name


INVISIBLE = ["\u2028", "\u2029", "\u202e", "\u2066", "\u0085", "\u200b", "\u00ad", "\ufeff", "\x1b", "\x7f", "\U000e0041", "\ue000", "\u0378"]


@pytest.mark.parametrize("character", INVISIBLE, ids=lambda c: f"U+{ord(c):04X}")
def test_what_is_no_visible_character_does_not_reach_a_sentence(character):
    handle, error = C.c_void_p(), C.create_string_buffer(2000)
    assert lib._cdll.llama2_model_load(f"/nowhere/a{character}b".encode(), None, C.byref(handle), error, len(error)) == -21
    said = error.value.decode()
    assert "a\ufffdb" in said and len(said.splitlines()) == 1


def test_what_is_visible_does():
    handle, error = C.c_void_p(), C.create_string_buffer(2000)
    name = "/nowhere/äß e\u0301 \u05d0\u4e2d\u3042 \U0001f600 \u2581\u00a0~"
    assert lib._cdll.llama2_model_load(name.encode(), None, C.byref(handle), error, len(error)) == -21
    assert name in error.value.decode()
