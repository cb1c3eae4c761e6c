"""What the threads of a pass can reach, read from the machine code: nothing that is made lazily, and no memory.

The runtime makes globals, metadata and lists' types when they are first asked for, under locks of its own. In a forked child the owner of
such a lock may be a thread that is no more: the first eval then waits for ever, one run in twelve. So nothing of the kind may
lie on the way of a pass, whatever a source looks like.
"""

import bisect
import os
import re
import subprocess
from collections import defaultdict

import pytest
from conftest import ROOT

LIBRARY = os.environ.get("LLAMA2SWIFT_LIBRARY", ROOT / ".build/release/libllama2swift.so")
# The pass, what a shift does, the watch, the pool's own; and what kernels are called by, through pointers.
ROOTS = r"11ForwardPassV.*F$|8ShiftJobV3run|11Llama2Model5WatchV.*F$|10ThreadPoolC(?:4work|7barrier|6ticket|5share|4call|5sleep|4wait|6change)|11kernelTable"
FORBIDDEN = r"swift_(?:once|init\w*Object|alloc\w*|slowAlloc|getTypeBy\w*|get\w*Metadata|get\w*WitnessTable|conformsTo\w*|get(?:Singleton|Foreign|Associated)\w*)$|malloc|calloc|_Znwm|posix_memalign"
LINE = re.compile(r"^\s*([0-9a-f]+):\t(\S+)\s*(.*)$")
ENDS = ("ret", "ud2", "jmp")


class Code:
    """Functions by address, and which calls, jumps to or takes the address of which. Functions without a symbol (the compiler's own helpers)
    begin where a call goes, or on 16 bytes behind an end where nothing of the function before jumps to."""

    def __init__(self, library):
        self.names, starts, edges, breaks, jumps, indirect = {}, set(), [], [], [], set()
        behind, padded, begin = True, False, 0
        with subprocess.Popen(["objdump", "-d", "--no-show-raw-insn", str(library)], stdout=subprocess.PIPE, text=True) as dump:
            for line in dump.stdout:
                if line.endswith(">:\n"):
                    address, name = line.split(" ", 1)
                    begin = int(address, 16)
                    self.names[begin] = name.strip()[1:-2]
                    starts.add(begin)
                    continue
                found = LINE.match(line)
                if not found:
                    continue
                at, operation, argument = int(found[1], 16), found[2], found[3]
                if operation == "int3":  # behind a call that does not return
                    behind = True
                if operation.startswith(("nop", "data16", "cs", "xchg", "int3")):
                    padded = behind
                    continue
                if behind and at % 16 == 0:
                    breaks.append((at, begin, padded))
                behind, padded = operation in ENDS, False
                target = re.match(r"([0-9a-f]+) <", argument) if operation == "call" or operation[0] == "j" else re.search(r"# ([0-9a-f]+) <", argument) if operation == "lea" else None
                if target:
                    goal = int(target[1], 16)
                    edges.append((at, operation, goal))
                    (starts.add if operation == "call" else jumps.append if operation != "lea" else int)(goal)
                elif operation == "jmp":
                    indirect.add(begin)  # a switch's table
        jumped = set(jumps)
        # the cases of a switch's table may begin behind an end, but nothing is filled in before them
        starts |= {at for at, inside, padded in breaks if at not in jumped and (padded or inside not in indirect)}
        self._order = sorted(starts)
        self.uses = defaultdict(set)
        for at, operation, goal in edges:
            here, there = self._function(at), self._function(goal)
            if here != there and (operation != "lea" or goal == there):
                self.uses[here].add(there)

    def _function(self, address):
        return self._order[bisect.bisect_right(self._order, address) - 1]

    def name(self, address):
        return self.names.get(address, f"without a name, {address:x}")

    def ways(self, roots, forbidden):
        """Each way from a root to something forbidden. The runtime's and the system's own calls are not followed."""
        seen = {a: None for a, n in self.names.items() if re.search(roots, n)}
        queue, found = list(seen), []
        assert len(queue) > 40
        for function in queue:
            for used in self.uses[function]:
                if used in seen:
                    continue
                seen[used] = function
                name = self.names.get(used)
                if name and re.match(forbidden, name):
                    way = [used]
                    while seen[way[-1]] is not None:
                        way.append(seen[way[-1]])
                    found.append(" <- ".join(map(self.name, way)))
                elif not name or name.startswith(("$s", "__swift")):
                    queue.append(used)
        return found, len(queue)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="x86 only")
def test_a_pass_reaches_nothing_that_is_made_lazily():
    code = Code(LIBRARY)
    found, reached = code.ways(ROOTS, FORBIDDEN)
    assert found == [] and reached > 300
    # it would be seen: what is called before threads run does such things
    before, _ = code.ways(r"7KernelsV(?:5table|9available)|13Llama2Grammar.*F$", FORBIDDEN)
    assert any("swift_once" in way for way in before)
