"""The golden hashes: no change of arithmetic goes unseen, on any kernel."""

import os
import subprocess
import sys

import numpy as np
import pytest
from golden import FILE, MODELS, logits_hash, model_file

import llama2swift

GOLDEN = {(name, kv): sha for name, kv, sha in (line.split() for line in FILE.read_text().splitlines())}


@pytest.fixture(scope="module", params=MODELS)
def named(request, tmp_path_factory):
    with llama2swift.Model(model_file(request.param, tmp_path_factory.mktemp("golden"))) as model:
        yield request.param, model


def test_every_hash_is_committed_and_no_two_are_the_same():
    assert set(GOLDEN) == {(name, kv) for name in MODELS for kv in ("f16", "f32")}
    assert len(set(GOLDEN.values())) == len(GOLDEN) >= 10


@pytest.mark.parametrize("kernels", llama2swift.kernels_available())
def test_logits_have_their_golden_hash_on_every_kernel(named, kernels):
    name, model = named
    for kv in ("f16", "f32"):
        assert logits_hash(model, kv, kernels=kernels, threads=2) == GOLDEN[name, kv], (
            f"the logits of {name} with {kv} keys and values changed; if that is meant: python3 Tests/python/golden.py, and a line in CHANGELOG.md"
        )


def test_the_logits_behind_the_hashes_are_numbers_that_differ(named):
    _, model = named
    with model.context(length=128) as context:
        context.eval(range(2, 60), all_logits=True)
        logits = context.logits()
        assert np.isfinite(logits).all() and np.abs(logits).max() > 0.1
        assert len(np.unique(logits)) > 0.9 * logits.size


def test_one_bit_of_one_weight_changes_the_hash(tmp_path):
    path = model_file("Q4_0", tmp_path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert logits_hash(llama2swift.Model(path), "f16") != GOLDEN["Q4_0", "f16"]


def test_the_c_librarys_variants_for_other_cpus_do_not_matter(tmp_path):
    """glibc has its own pow, exp and memcpy for CPUs with and without FMA and AVX: the answer is the same."""
    path = model_file("Q8_0", tmp_path)
    code = "import sys, golden, llama2swift; print(golden.logits_hash(llama2swift.Model(sys.argv[1]), 'f32'))"
    old = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-FMA4,-AVX2,-AVX,-AVX512F,-FMA_Usable,-AVX2_Usable,-AVX_Usable"}
    path_here = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    environment = os.environ | old | {"PYTHONPATH": path_here, "LLAMA2SWIFT_MODEL": ""}
    done = subprocess.run([sys.executable, "-c", code, str(path)], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == GOLDEN["Q8_0", "f32"], done.stderr
