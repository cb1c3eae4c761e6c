"""Writes Tests/fixtures/block-types.gguf with the `gguf` package: make_block_fixture.py FILE

For each block type a tensor of random blocks under the type's name, and its values by gguf's numpy under NAME.values.
`floats` is what is quantized, TYPE.quantized what gguf's numpy makes of it.
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
floats = random.standard_normal((24, 32)).astype("<f4")
floats[1] = 0  # nothing
floats[2] = 0.25  # all the same
floats[3] *= 1e-6  # scales that are subnormal halves
floats[4] *= 1e4
floats[5] = np.round(floats[5] * 4) / 8  # ties
floats[6, 1:] = 0
floats[7] = -np.abs(floats[7])
floats[8] = np.abs(floats[8]) + 5
writer.add_tensor("floats", floats.ravel())
for name in "F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0".split():
    kind = GGMLQuantizationType[name]
    data = np.ascontiguousarray(gguf.quantize(floats.ravel(), kind)).view(np.uint8).ravel()
    writer.add_tensor(name + ".quantized", data, raw_dtype=kind, raw_shape=(data.size,))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
