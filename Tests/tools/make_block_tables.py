"""Writes Sources/BlockTables/include/block_tables.h from the tables of the `gguf` package (MIT): make_block_tables.py > FILE"""

import numpy as np
from gguf import quants

HEAD = """/* The fixed tables of ggml's IQ types: grids of 4 or 8 weights, one byte a weight, the first in the lowest byte.
   Data from the `gguf` package (MIT, ggml-org/llama.cpp, gguf-py/gguf/quants.py);
   made by Tests/tools/make_block_tables.py. IQ1's -1, 0, 1 are stored as 0, 1, 2. */
#ifndef BLOCK_TABLES_H
#define BLOCK_TABLES_H
#include <stdint.h>

#pragma clang assume_nonnull begin
"""
print(HEAD)
for name in ("IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ1_S"):
    kind = getattr(quants, name)
    kind.init_grid()
    grid = kind.grid.reshape(kind.grid_shape).astype(np.int64) + (1 if name == "IQ1_S" else 0)
    width = grid.shape[1]
    numbers = grid.astype(np.uint8).copy().view("<u8" if width == 8 else "<u4").ravel()
    digits, per_line, c = 2 * width, 6 if width == 8 else 10, "uint64_t" if width == 8 else "uint32_t"
    lower = name.lower()
    print(f"static const {c} l2s_{lower}_table[{len(numbers)}] = {{")
    for i in range(0, len(numbers), per_line):
        print("    " + " ".join(f"0x{int(n):0{digits}x}{'u' if width == 4 else 'ull'}," for n in numbers[i : i + per_line]))
    print("};")
    print(f"static inline {c} l2s_{lower}_grid(uint32_t i) {{ return l2s_{lower}_table[i & {len(numbers) - 1}u]; }}")
    print(f"static inline const {c} *l2s_{lower}_grids(void) {{ return l2s_{lower}_table; }}\n")


def bytes_table(name, rows, comment):
    """rows: (n, m) of bytes, on cache lines."""
    rows = np.asarray(rows, np.uint8)
    print(f"/* {comment} */")
    print(f"static const uint8_t l2s_{name}[{rows.shape[0]}][{rows.shape[1]}] __attribute__((aligned(64))) = {{")
    for row in rows:
        print("    {")
        for i in range(0, len(row), 32):
            print("        " + " ".join(f"{int(n)}," for n in row[i : i + 32]))
        print("    },")
    print("};")
    print(f"static inline const uint8_t *l2s_{name}_table(void) {{ return l2s_{name}[0]; }}\n")


def magnitudes(name):
    kind = getattr(quants, name)
    kind.init_grid()
    return kind.grid.reshape(kind.grid_shape).astype(np.int64)


# The same grids for looking up 64 entries at once, a byte of each: bits that say which magnitude, and tables from those and bits of sign to
# weights, biased as KernelFormat says.
print("/* For looking up many entries at once: a grid's entries as bytes, in planes. */\n")
lookup, at = np.arange(64), lambda first, count: np.arange(64) >> first & (1 << count) - 1
for name, bias in (("IQ3_XXS", 64), ("IQ3_S", 16)):
    grid, lower = magnitudes(name), name.lower()
    values = np.unique(grid)
    assert len(values) == 8
    n = np.searchsorted(values, grid)
    signed = lambda n, negative: bias + np.where(negative, -values[n], values[n])
    pairs = [n[:, 0] | n[:, 1] << 5, n[:, 2] | n[:, 3] << 5]
    bytes_table(f"{lower}_pairs", pairs, "weights 0 and 1, then 2 and 3 of an entry: the number of a magnitude in bits 0-2 and 5-7; between them go their signs")
    bytes_table(f"{lower}_weights", [signed(at(0, 3), at(3, 1)), signed(at(3, 3), at(2, 1))], "from bits 0-5 of such a byte to the first weight, from bits 2-7 to the second")
for name in ("IQ2_XXS", "IQ2_XS", "IQ2_S"):
    grid, lower = magnitudes(name), name.lower()
    values = np.array([8, 25, 43, 0])
    n = np.array([list(values).index(v) for v in grid.ravel()]).reshape(grid.shape)
    halves = [n[:, i] | n[:, i + 1] << 2 | n[:, i + 2] << 4 | n[:, i + 3] << 6 for i in (0, 4)]
    bytes_table(f"{lower}_halves", halves, "weights 0 to 3, then 4 to 7 of an entry: the number of a magnitude in two bits each")
signed = lambda n, negative: 64 + np.where(negative, -values[n], values[n])
bytes_table("iq2_weights", [signed(at(0, 2), at(4, 1)), signed(at(2, 2), at(5, 1))], "from two such numbers (bits 0-3) and two signs (4, 5) to the first weight, and to the second")
grid = magnitudes("IQ1_S") + 1
bytes_table("iq1_s_halves", [grid[:, i] | grid[:, i + 1] << 2 | grid[:, i + 2] << 4 | grid[:, i + 3] << 6 for i in (0, 4)], "the same of IQ1: 0, 1 or 2")
signed = lambda n, negative: 8 * (n % 3) + np.where(negative, 7, 9)
bytes_table("iq1_weights", [signed(at(0, 2), at(4, 1)), signed(at(2, 2), at(5, 1))], "from two of these and two signs of delta: 8 (n - 1) + delta + 16")
bytes_table("even_signs", [[i | (bin(i).count("1") & 1) << 7 for i in range(128)]], "seven signs as eight, of which an even number is set")
print("#pragma clang assume_nonnull end\n\n#endif")
