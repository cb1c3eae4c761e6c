"""Tests/nodes/check.py LOG: what probe.c said on the machine of two nodes, held against what is promised; rows for RELIABILITY.md."""

import re
import sys
from pathlib import Path

HUGE = 512  # small pages in a large one


def runs(log: str) -> dict[tuple[str, str, int], dict]:
    """(large pages, where, threads) -> what was said."""
    found = {}
    for head, body in re.findall(r"^== (.+)\n((?:(?!==).*\n)*)", log, re.M):
        huge, where, threads = re.fullmatch(r"(never|always), (\w+) (\d+)", head).groups()
        said = re.search(r"weights (\S+): (\d+) (\d+)\nthreads:(.*)\ncache: (\d+) of (\d+)\nlogits: (\w+)\n", body)
        assert said, f"{head}: {body}"
        policy, first, second, cpus, near, pages, logits = said.groups()
        found[huge, where, int(threads)] = dict(
            policy=policy, weights=(int(first), int(second)), cpus=[(int(c), int(n)) for c, n in re.findall(r"(\d+)\((\d)\)", cpus)], near=int(near), pages=int(pages), logits=logits
        )  # fmt: skip
    return found


def check(log: str) -> list[str]:
    """Rows of RELIABILITY.md; AssertionError where something is not as promised."""
    assert "nodes: 0-1\n" in log, "there are no two nodes"
    assert "the end\n" in log and "failed:" not in log, "not everything ran"
    all_runs = runs(log)
    assert {key[:2] for key in all_runs} == {(huge, where) for huge in ("never", "always") for where in ("copy", "interleave", "bound")}
    for (huge, where, threads), run in all_runs.items():
        first, second = run["weights"]
        # one large page may be on either side, and where small ones begin and end
        slack = HUGE + 2 if huge == "always" else 1
        if where == "copy":
            assert run["policy"] == "default" and second == 0, run  # they lie where the thread that read them ran: it is the option that spreads them
        elif where == "interleave":
            assert run["policy"] == "interleave:0-1" and abs(first - second) <= slack and first + second > 4 * HUGE, run
        else:
            assert run["policy"] == "interleave:1" and first == 0, run
        # two CPUs a node: 0, 2, 1, 3
        assert run["cpus"] == [(0, 0), (2, 1), (1, 0), (3, 1)][:threads], run
        assert run["near"] == run["pages"] >= 32, run
    assert len({run["logits"] for run in all_runs.values()}) == 1, all_runs
    spread = ", ".join(f"{a} and {b}" for where in ("never", "always") for a, b in [all_runs[where, "interleave", 2]["weights"]])
    shown = "Tests/trust/nodes.sh, qemu, two nodes of two CPUs and 1 GiB"
    return [
        f"TRUST | 15 | interleaved weights lie half on each of two memory nodes, on those alone that memory is bound to, and copies without the option on one | {shown} | pages of 4 KiB on the nodes: {spread} (the last with pages of 2 MiB)",
        f"TRUST | 15 | pinned threads have a CPU of each node in turn, and keys and values of a head lie on its thread's node, also where the system gives pages of 2 MiB unasked | {shown} | "
        f"{sum(r['near'] for r in all_runs.values())} of {sum(r['pages'] for r in all_runs.values())} pages of 4 KiB in {len(all_runs)} contexts",
        f"TRUST | 8 | logits are the same bits wherever weights, keys and values lie | {shown} | {len(all_runs)} runs with 1, 2 and 4 threads, one hash",
    ]  # fmt: skip


if __name__ == "__main__":
    text = Path(sys.argv[1]).read_text(errors="replace").replace("\r", "")
    print("\n".join(check(text)))
