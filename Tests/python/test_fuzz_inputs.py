"""Every input that fuzzing kept goes through the ordinary library: each target's seeds, its smallest corpus of full
coverage (Tests/fuzz/corpus.tar.xz) and every input that ever failed (Tests/fuzz/regressions). Tests/fuzz/run_inputs.c ends
the process when one takes more than 2 seconds, and fails when all together took more than 512 MiB."""

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import formats as F
import pytest
from header import ROOT
from hostile_formats_tools import SHAPE, W
from test_hostile_meta import META

import llama2swift
from llama2swift.errors import CorruptFileError

pytestmark = pytest.mark.alone

FUZZ = ROOT / "Tests" / "fuzz"
sys.path.insert(0, str(FUZZ))
import seeds  # noqa: E402

SAFELY = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # the system's Python of Debian 12 has it not

TARGETS = ["gguf", "split", "safetensors", "meta", "llama2c", "sentencepiece", "importance", "tokenize", "detokenize", "decoder", "chat", "template", "sampler", "grammar", "state", "saved", "adapter", "scheduler", "search"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The program, its environment, and the folder of inputs by target."""
    folder = tmp_path_factory.mktemp("fuzz")
    library = Path(os.environ["LLAMA2SWIFT_LIBRARY"]).resolve()
    for name in ("libllama2swift.so", "libllama2swift.so.0"):
        (folder / name).symlink_to(library)
    flags = ["-std=gnu99", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'Include'}", f"-L{folder}", f"-Wl,-rpath,{folder}"]
    for program in ("run_inputs", "unguided"):
        sources = [str(path) for path in sorted(FUZZ.glob("*.c")) if path.stem not in {"libfuzzer", "run_inputs", "unguided"} - {program}]
        subprocess.run(["cc", *flags, *sources, "-o", str(folder / program), "-lllama2swift"], check=True)
    seeds.write_models(folder / "models")
    with tarfile.open(FUZZ / "corpus.tar.xz") as archive:
        archive.extractall(folder / "corpus", **SAFELY)
    for target, made in seeds.corpora(folder).items():
        (folder / "seeds" / target).mkdir(parents=True)
        for index, data in enumerate(made.values()):
            (folder / "seeds" / target / f"{index}").write_bytes(data)
    return folder


@pytest.mark.parametrize("target", TARGETS)
def test_every_input_that_fuzzing_kept_gives_a_status_within_two_seconds(kept, target):
    folders = [kept / "seeds" / target, kept / "corpus" / target, FUZZ / "regressions" / target]
    files = sorted(str(file) for folder in folders if folder.exists() for file in folder.iterdir())
    assert len(files) > len(list((kept / "seeds" / target).iterdir()))
    done = subprocess.run([kept / "run_inputs", target, *files], env=os.environ | {"FUZZ_MODELS": str(kept / "models")}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{len(files)} inputs")


def test_inputs_changed_blindly_end_no_process(kept, tmp_path):
    """One second of `make unguided`."""
    found, files = tmp_path / "found", sorted(str(file) for file in (kept / "seeds" / "saved").iterdir())
    done = subprocess.run(
        [kept / "unguided", "saved", "1", FUZZ / "dictionaries" / "saved.dict", found, *files], env=os.environ | {"FUZZ_MODELS": str(kept / "models")}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(re.match(r"saved: (\d+) executions", done.stdout)[1]) > 20 and not found.exists()


def test_there_is_a_target_for_each_entry_point():
    source = (FUZZ / "targets.c").read_text()
    assert [line.split('"')[1] for line in source.splitlines() if line.startswith('    {"')] == TARGETS
    for target in TARGETS:
        assert (FUZZ / "dictionaries" / f"{target}.dict").exists()


def test_pickled_dictionaries_inside_themselves_leave_no_memory_behind(tmp_path):
    F.write_meta(tmp_path / "m", W, SHAPE)
    (tmp_path / "m" / "consolidated.00.pth").write_bytes(F.pth(META, pickled=b"\x80\x02" + b"}q\0h\0h\0s0" * 20000 + b"."))

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    for round in range(12):
        with pytest.raises(CorruptFileError):
            llama2swift.Model(tmp_path / "m")
        if round == 3:
            before = resident()
    assert resident() - before < 8 << 20
