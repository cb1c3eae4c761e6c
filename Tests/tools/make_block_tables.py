"""Writes Sources/BlockTables/include/block_tables.h from the tables of the `gguf` package (MIT): make_block_tables.py > FILE"""

import numpy as np
from gguf import quants

HEAD = """/* The fixed tables of ggml's IQ types: grids of 4 or 8 weights, one byte a weight, the first in the lowest byte.
   Data from the `gguf` package (MIT, ggml-org/llama.cpp, gguf-py/gguf/quants.py);
   made by Tests/tools/make_block_tables.py. IQ1's -1, 0, 1 are stored as 0, 1, 2. */
#ifndef BLOCK_TABLES_H
#define BLOCK_TABLES_H
#include <stdint.h>
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
print("#endif")
