"""Writes Tests/fixtures/block-types.gguf with the `gguf` package: make_block_fixture.py FILE

For each block type a tensor of random blocks under the type's name, and its values by gguf's numpy under NAME.values.
"""

import sys

import gguf
import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

TYPES = """F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS IQ3_S IQ3_XXS IQ2_S IQ2_XS IQ2_XXS IQ1_S IQ1_M
TQ1_0 TQ2_0""".split()
random = np.random.default_rng(1)
writer = gguf.GGUFWriter(sys.argv[1], "none")
for name in TYPES:
    kind = GGMLQuantizationType[name]
    elements, size = GGML_QUANT_SIZES[kind]
    while True:  # until no scale is infinite or no number
        blocks = random.integers(0, 256, (512 // elements, size), dtype=np.uint8)
        with np.errstate(all="ignore"):
            values = gguf.dequantize(blocks.reshape(-1), kind).astype("<f4").ravel()
        if np.isfinite(values).all():
            break
        if elements == 1:  # F16, BF16: too many to wait for luck
            blocks = np.where(np.isfinite(values)[:, None], blocks, 0).astype(np.uint8)
            values = gguf.dequantize(blocks.reshape(-1), kind).astype("<f4").ravel()
            break
    writer.add_tensor(name, blocks.reshape(-1), raw_dtype=kind, raw_shape=(blocks.size,))
    writer.add_tensor(name + ".values", values)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
