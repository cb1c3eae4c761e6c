"""Machines of several memory nodes: the order in which threads get CPUs, interleaved weights, and what is refused where the system refuses it. What two nodes
do is shown by Tests/trust/nodes.sh; here is one."""

import ctypes
import errno
import os
import pickle
import platform
import re
import subprocess
import sys

import formats
import pytest
from conftest import ROOT
from fault_tools import STORIES
from served import served

import llama2swift
from llama2swift.errors import InvalidArgumentError

CPUS = 8192


@pytest.fixture(scope="module")
def in_turn(tmp_path_factory):
    """l2s_cpu_in_turn, made from its file alone, over a tree of files: ({path: text}, allowed CPUs) -> all of them in order."""
    library = tmp_path_factory.mktemp("nodes") / "nodes.so"
    source = ROOT / "Sources/LinuxSystem"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{source}/include", source / "memory_nodes.c", "-o", library], check=True)
    function = ctypes.CDLL(str(library)).l2s_cpu_in_turn

    def ask(files: dict, allowed) -> list[int]:
        root = tmp_path_factory.mktemp("tree")
        for path, text in files.items():
            file = root / "sys/devices/system/node" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
        bits = bytearray(CPUS // 8)
        for cpu in allowed:
            bits[cpu // 8] |= 1 << cpu % 8
        order = [function(os.fsencode(root), bytes(bits), i) for i in range(2 * len(allowed))]
        assert order[: len(allowed)] == order[len(allowed) :]  # around
        return order[: len(allowed)]

    assert function(b"", bytes(CPUS // 8), 0) == -1
    return ask


def nodes(*lists: str, online: str = "") -> dict[str, str]:
    return {"online": online or f"0-{len(lists) - 1}\n"} | {f"node{i}/cpulist": text + "\n" for i, text in enumerate(lists)}


@pytest.mark.parametrize("files, allowed, order", [
    ({}, [0, 1, 5], [0, 1, 5]),
    (nodes("0-3"), range(4), [0, 1, 2, 3]),
    (nodes("0-1", "2-3"), range(4), [0, 2, 1, 3]),
    # two threads a core, whose second ones are numbered behind all first ones
    (nodes("0-1,4-5", "2-3,6-7"), range(8), [0, 2, 1, 3, 4, 6, 5, 7]),
    (nodes("0,2,4", "1,3,5"), range(6), [0, 1, 2, 3, 4, 5]),
    # not all are allowed, or a node has fewer
    (nodes("0-3", "4-7"), [1, 2, 3, 6], [1, 6, 2, 3]),
    (nodes("0-3", "4-7"), [5, 7], [5, 7]),
    # memory without CPUs; numbers with gaps; as far as masks reach
    (nodes("0-1", "", "2-3"), range(4), [0, 2, 1, 3]),
    ({"online": "0,1023\n", "node0/cpulist": "0\n", "node1023/cpulist": "8190-8191\n"}, [0, 8190, 8191], [0, 8190, 8191]),
    # what cannot be is passed over: those CPUs count as the first node's
    ({"online": "0-1\n", "node1/cpulist": "2-3\n"}, range(4), [0, 2, 1, 3]),
    (nodes("0-1", "2-9999999999"), range(4), [0, 1, 2, 3]),
    (nodes("0-1", "3-2"), range(4), [0, 1, 2, 3]),
    (nodes("0-1", "2-3", online="0-4000000000\n"), range(4), [0, 1, 2, 3]),
    (nodes("0-1", "-2"), range(4), [0, 1, 2, 3]),
    ({"online": b"\xff\x00", "node0/cpulist": "0-1\n"}, range(2), [0, 1]),
    (nodes("0-1", "2-3", online="," * 5000), range(4), [0, 1, 2, 3]),
])  # fmt: skip
def test_cpus_come_from_each_node_in_turn(in_turn, files, allowed, order):
    assert in_turn(files, list(allowed)) == order


def interleaved() -> int:
    """Pages of this process that lie in mappings with that policy."""
    pages = 0
    for line in open("/proc/self/numa_maps"):
        if line.split()[1].startswith("interleave"):
            pages += sum(int(n) * int(re.search(r"kernelpagesize_kB=(\d+)", line)[1]) // 4 for n in re.findall(r" N\d+=(\d+)", line))
    return pages


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A model whose weights are copied as they are, one that is expanded and one whose shards are joined: (path, bytes of own memory at least)."""
    folder, w = tmp_path_factory.mktemp("models"), formats.weights()
    (folder / "v2.bin").write_bytes(formats.llama2c(w, 2))
    meta = formats.write_meta(folder / "meta", w, shards=2, kind="HalfStorage")
    floats = sum(x.size for x in w.values() if x.ndim == 2)
    files = sum(file.stat().st_size for file in meta.glob("consolidated*"))
    return [(STORIES, os.path.getsize(STORIES)), (folder / "v2.bin", (folder / "v2.bin").stat().st_size + 4 * floats), (meta, files + 2 * floats)]


@pytest.mark.parametrize("index", range(3))
def test_weights_in_own_memory_are_interleaved_and_give_the_same_logits(folders, index):
    path, size = folders[index]
    with llama2swift.Model(path) as model, model.context(length=32) as context:
        before = interleaved()
        context.eval([1, 2, 3])
        expected = context.logits().tobytes()
    with llama2swift.Model(path, interleave=True) as model, model.context(length=32, pin_threads=True) as context:
        assert interleaved() - before >= size // 4096
        context.eval([1, 2, 3])
        assert context.logits().tobytes() == expected
    assert interleaved() == before


def test_however_a_model_comes_it_can_be_interleaved(tmp_path):
    with open(STORIES, "rb") as file:
        data = file.read()
        least, before = len(data) // 4096, interleaved()
        for make in (
            lambda: llama2swift.Model.from_bytes(data, interleave=True), lambda: llama2swift.Model.from_descriptor(file.fileno(), interleave=True),
            lambda: llama2swift.Model.from_descriptor(file.fileno(), copy=True, interleave=True), lambda: pickle.loads(pickle.dumps(llama2swift.Model(STORIES, interleave=True))),
        ):  # fmt: skip
            with make():
                assert interleaved() - before >= least
    with pytest.raises(InvalidArgumentError, match="LLAMA2_MODEL_INTERLEAVE reads a whole file"):
        llama2swift.Model(STORIES, interleave=True, first_layer=1)
    assert interleaved() == before


def test_a_server_interleaves_what_it_serves():
    with served("--interleave", "--context", 64, models=[f"a={STORIES}"]) as server:
        maps = open(f"/proc/{server.process.pid}/numa_maps").read()
    assert " interleave" in maps


# In a process of its own: a filter of system calls that answers one of them with an errno (0: as if it had been done), then a load.
REFUSED = """
import ctypes, struct, sys
import llama2swift
from llama2swift import _constants as K, _library as lib, _structs as S
call, answer, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
code = b"".join(struct.pack("=HBBI", *i) for i in [(0x20, 0, 0, 0), (0x15, 0, 1, call), (0x06, 0, 0, 0x00050000 | answer), (0x06, 0, 0, 0x7FFF0000)])
buffer = ctypes.create_string_buffer(code, len(code))
program = ctypes.create_string_buffer(struct.pack("=H6xQ", len(code) // 8, ctypes.addressof(buffer)), 16)
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, *map(ctypes.c_ulong, (1, 0, 0, 0))) == 0
assert libc.prctl(22, ctypes.c_ulong(2), ctypes.c_void_p(ctypes.addressof(program)), 0, 0) == 0, ctypes.get_errno()
def attempt(function, *arguments):
    try:
        return function(*arguments)
    except llama2swift.errors.Llama2Error as problem:
        print(type(problem).__name__, problem)
for expected in (True, False):
    model = attempt(lambda: llama2swift.Model(path, interleave=expected, copy=True))
    if model is not None:
        with model.context(length=16, threads=2, pin_threads=True) as context:
            context.eval([1])
        print("loaded")
options = S.sized(S.ModelOptions)
options.flags = K.MODEL_INTERLEAVE
attempt(lib.call, "preflight", path.encode(), ctypes.byref(options), None, ctypes.byref(S.sized(S.Memory)), None, 0)
print(lib._cdll.llama2_last_system_error())
"""
NUMBERS = {"x86_64": {"mbind": 237, "get_mempolicy": 239}, "aarch64": {"mbind": 235, "get_mempolicy": 236}}


@pytest.mark.parametrize("call", ["mbind", "get_mempolicy"])
@pytest.mark.parametrize("answer", [errno.EPERM, errno.ENOSYS, 0])
def test_a_system_that_refuses_the_policy_is_named_and_nothing_else_suffers(call, answer):
    number = NUMBERS[platform.machine()][call]
    done = subprocess.run([sys.executable, "-c", REFUSED, str(number), str(answer), STORIES], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    refused, loaded, preflight, number = done.stdout.splitlines()
    code = answer or {"mbind": errno.ENOSYS, "get_mempolicy": errno.EINVAL}[call]  # who answers without having done it has not done it
    assert loaded == "loaded" and refused == preflight and int(number) == code
    assert refused == f"UnsupportedError weights cannot be interleaved over memory nodes: this system refuses mbind ({os.strerror(code)}); containers need the capability SYS_NICE for it"


# In a process of its own, whose address space is as large as it is and a page more each time, until the load succeeds.
FULL = """
import ctypes, resource, sys
import llama2swift
from llama2swift import _constants as K, _library as lib, _structs as S
options, model = S.sized(S.ModelOptions), ctypes.c_void_p()
options.flags = K.MODEL_INTERLEAVE
for room in range(0, 1 << 30, 64 << 10):
    size = 4096 * int(open("/proc/self/statm").read().split()[0]) + room
    resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))
    try:
        lib.call("model_load", sys.argv[1].encode(), ctypes.byref(options), ctypes.byref(model), None, 0)
        break
    except llama2swift.errors.OutOfMemoryError:
        assert model.value is None
assert model.value and room > 0
"""


def test_memory_that_is_refused_while_weights_are_interleaved_is_a_status(folders):
    for path, _ in folders:
        done = subprocess.run([sys.executable, "-c", FULL, path], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-1000:]
