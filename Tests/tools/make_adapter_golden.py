"""Writes Tests/fixtures/adapters.npz: what `peft` says in F32 of the model and the adapters of Tests/python/adapters.py; and
Tests/fixtures/adapter.gguf: one of them as llama.cpp's convert_lora_to_gguf.py writes it, in F16.

    python3 Tests/tools/make_adapter_golden.py LLAMA.CPP       with torch, transformers, peft and gguf installed
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import peft
import torch
import transformers

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Tests" / "python")]
import adapters  # noqa: E402
import formats  # noqa: E402


def main() -> None:
    with tempfile.TemporaryDirectory() as tmp:
        folder = formats.write_hugging_face(Path(tmp) / "model", adapters.base())
        model = transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        for name, weights, settings in adapters.GOLDEN:
            path = adapters.write_peft(Path(tmp) / name, weights, **settings)
            if isinstance(model, peft.PeftModel):
                model.load_adapter(path, name)
            else:
                model = peft.PeftModel.from_pretrained(model, path, name)
        layers = [m for m in model.modules() if isinstance(m, peft.tuners.lora.LoraLayer)]
        usual = [dict(m.scaling) for m in layers]
        rows = []
        for chosen in adapters.LISTS:
            for m, scaling in zip(layers, usual):
                m.scaling.update({name: scaling[name] * dict(chosen).get(name, 0) for name in scaling})
            model.base_model.set_adapter([name for name, _ in chosen] or ["all"])
            with torch.no_grad():
                rows.append(model(torch.tensor([adapters.TOKENS])).logits[0].numpy().astype("<f4"))
        np.savez_compressed(ROOT / "Tests" / "fixtures" / "adapters.npz", logits=np.stack(rows))
        print(f"peft {peft.__version__}: {np.stack(rows).shape}, {[float(np.abs(r - rows[0]).max()) for r in rows]}")
        out = ROOT / "Tests" / "fixtures" / "adapter.gguf"
        script = Path(sys.argv[1]) / "convert_lora_to_gguf.py"
        subprocess.run([sys.executable, script, Path(tmp) / "some", "--base", folder, "--outtype", "f16", "--outfile", out], check=True)


if __name__ == "__main__":
    main()
