"""How many threads there are when nobody says it, and where they run."""

import ctypes
import os
import subprocess
import time
from pathlib import Path

import llama2swift
import pytest
from conftest import ROOT

NO_LIMIT = 2**31 - 1


@pytest.fixture(scope="module")
def quota(tmp_path_factory):
    """l2s_quota_cpus, made from its file alone, over a tree of files: {path: text} -> CPUs."""
    library = tmp_path_factory.mktemp("quota") / "quota.so"
    source = ROOT / "Sources/LinuxSystem"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", f"-I{source}/include", source / "cpu_quota.c", "-o", library], check=True)
    function = ctypes.CDLL(str(library)).l2s_quota_cpus
    function.argtypes = [ctypes.c_char_p]

    def ask(files: dict) -> int:
        root = tmp_path_factory.mktemp("tree")
        for path, text in files.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return function(os.fsencode(root))

    return ask


V2 = {"proc/self/cgroup": "0::/a/b\n"}
V1 = {"proc/self/cgroup": "9:name=systemd:/\n4:memory:/x\n2:cpu,cpuacct:/docker/12\n1:cpuset:/\n0::/\n"}
HERE = "sys/fs/cgroup/"


@pytest.mark.parametrize("files, cpus", [
    ({}, NO_LIMIT),
    (V2, NO_LIMIT),
    (V2 | {HERE + "a/b/cpu.max": "max 100000\n"}, NO_LIMIT),
    (V2 | {HERE + "a/b/cpu.max": "200000 100000\n"}, 2),
    (V2 | {HERE + "a/b/cpu.max": "399999 100000\n"}, 3),
    (V2 | {HERE + "a/b/cpu.max": "50000 100000\n"}, 1),
    # the least of those above, the group's own included
    (V2 | {HERE + "a/b/cpu.max": "800000 100000\n", HERE + "a/cpu.max": "300000 100000\n", HERE + "cpu.max": "400000 100000\n"}, 3),
    # a container that sees its own part of the tree only
    ({"proc/self/cgroup": "0::/\n", HERE + "cpu.max": "500000 100000\n"}, 5),
    (V2 | {HERE + "cpu.max": "500000 100000\n"}, 5),
    (V1 | {HERE + "cpu,cpuacct/docker/12/cpu.cfs_quota_us": "250000\n", HERE + "cpu,cpuacct/docker/12/cpu.cfs_period_us": "50000\n"}, 5),
    (V1 | {HERE + "cpu/docker/12/cpu.cfs_quota_us": "-1\n", HERE + "cpu/docker/12/cpu.cfs_period_us": "100000\n"}, NO_LIMIT),
    (V1 | {HERE + "cpu/cpu.cfs_quota_us": "300000\n", HERE + "cpu/cpu.cfs_period_us": "100000\n"}, 3),
    # what cannot be: no limit is better than a wrong one
    (V2 | {HERE + "a/b/cpu.max": "200000\n"}, NO_LIMIT),
    (V2 | {HERE + "a/b/cpu.max": "200000 0\n"}, NO_LIMIT),
    (V2 | {HERE + "a/b/cpu.max": "99999999999999999999 1\n"}, NO_LIMIT),
    (V2 | {HERE + "a/b/cpu.max": "999999999999999999 1\n"}, NO_LIMIT),
    (V2 | {HERE + "a/b/cpu.max": b"\xff\x00 1\n"}, NO_LIMIT),
    ({"proc/self/cgroup": "0::/" + "x" * 9000 + "\n"}, NO_LIMIT),
    ({"proc/self/cgroup": "0::/../..\n", "cpu.max": "100000 100000"}, NO_LIMIT),
    ({"proc/self/cgroup": "no lines like these\n:::\n::\n0::\n"}, NO_LIMIT),
])  # fmt: skip
def test_a_quota_is_read_as_the_kernel_writes_it(quota, files, cpus):
    assert quota(files) == cpus


def of_threads() -> dict[str, set[int]]:
    """Name -> CPUs that it may run on, of the library's threads."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        name = (task / "comm").read_text().strip()
        if name.startswith("llama2-"):
            found[name] = os.sched_getaffinity(int(task.name))
    return found


def test_pinned_threads_have_a_cpu_each_and_the_same_logits(stories_path):
    cpus = sorted(os.sched_getaffinity(0))
    with llama2swift.Model(stories_path) as model:
        with model.context(threads=5) as context:
            assert set(map(frozenset, of_threads().values())) == {frozenset(cpus)}
            context.eval([1, 2, 3])
            free = context.logits().tobytes()
        with model.context(threads=5, pin_threads=True) as context:
            wanted, end = {f"llama2-{i}": {cpus[i % len(cpus)]} for i in range(1, 5)}, time.monotonic() + 10
            while of_threads() != wanted and time.monotonic() < end:  # each does it by itself when it begins
                time.sleep(0.01)
            assert of_threads() == wanted
            context.eval([1, 2, 3])
            assert context.logits().tobytes() == free
    assert sorted(os.sched_getaffinity(0)) == cpus  # the caller's own are the host's
