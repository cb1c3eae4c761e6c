"""A short run of Tests/c/random_calls.c; `make trust` has the long one, with other seeds each time."""

import os
import subprocess

import pytest
from header import ROOT, functions

LIBRARY = os.environ.get("LLAMA2SWIFT_LIBRARY", str(ROOT / ".build/release/libllama2swift.so"))
# Called by nothing random: they take no handle, or are called in every test of the header.
LEFT_OUT = {"llama2_version", "llama2_status_string", "llama2_type_name", "llama2_kernels_available", "llama2_struct_size", "llama2_last_system_error",
            "llama2_model_load_memory", "llama2_model_load_fd", "llama2_convert", "llama2_cancel_flag", "llama2_state_load_io",
            *(f"llama2_{k}_options_init" for k in ("model", "context", "sampler", "generate", "quantize", "chat", "grammar", "layer", "scheduler", "request"))}  # fmt: skip


def test_every_function_that_takes_a_handle_is_called():
    source = "".join(path.read_text() for path in (ROOT / "Tests/c").glob("random_calls*"))
    assert {name for name in functions() if f"{name}(" not in source} <= LEFT_OUT


@pytest.mark.parametrize("seed", [1, 2])
def test_random_calls_end_as_the_header_says(tmp_path, stories_path, seed):
    (tmp_path / "libllama2swift.so.0").symlink_to(os.path.abspath(LIBRARY))
    program = tmp_path / "random_calls"
    strict = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O1"]
    subprocess.run(["cc", *strict, f"-I{ROOT / 'Include'}", ROOT / "Tests/c/random_calls.c", "-o", program, tmp_path / "libllama2swift.so.0",
                    f"-Wl,-rpath,{tmp_path}", "-lpthread", "-lm"], check=True)  # fmt: skip
    done = subprocess.run([program, "4", str(2 + seed), str(seed), tmp_path, stories_path, ROOT / "Tests/fixtures/adapter.gguf"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "all checks passed", (done.returncode, done.stdout, done.stderr)
    assert int(done.stdout.split()[0]) > 500
