"""What test_formats.py and test_folder_tokenizers.py have in common."""

import formats as F
import numpy as np

import llama2swift

TOKENS = np.random.default_rng(5).integers(0, 96, 70)


def logits(path, **options):
    with llama2swift.Model(path).context(kv="f32", **options) as context:
        context.eval(TOKENS, all_logits=True)
        return np.array(context.logits())


def bin_file(folder, w, version, **options):
    path = folder / f"v{version}.bin"
    path.write_bytes(F.llama2c(w, version, **options))
    return path
