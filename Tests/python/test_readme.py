"""What the README says: its programs are compiled and run, its commands are tried, its figures are those that were measured."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT
from header import version
from terminals import command

import llama2swift
from llama2swift.cli.arguments import parser

README = (ROOT / "README.md").read_text()
PYTHON_README = (ROOT / "Bindings/Python/README.md").read_text()
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "Bindings/C/README.md", "Bindings/Python/README.md")]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[str]:
    """The lines that are indented as commands, outside of ``` blocks."""
    return re.findall(r"^    (\S.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prefix")
    subprocess.run(["sh", ROOT / "Bindings/C/install.sh", folder], check=True, capture_output=True)
    return folder


def test_the_c_program_is_whole_and_answers(prefix, tmp_path, smollm2_path):
    (source,) = blocks(README, "c")
    (tmp_path / "program.c").write_text(source)
    (line,) = [c for c in commands(README) if c.startswith("cc ")]
    environment = os.environ | {"PKG_CONFIG_PATH": f"{prefix}/lib/pkgconfig", "LD_LIBRARY_PATH": f"{prefix}/lib"}
    strict = line.replace("cc ", "cc -std=c99 -pedantic -Wall -Wextra -Werror ", 1)
    subprocess.run(["sh", "-c", strict], cwd=tmp_path, env=environment, check=True)
    done = subprocess.run([tmp_path / "program", smollm2_path], env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0 and "light" in done.stdout and done.stderr == ""
    missing = subprocess.run([tmp_path / "program"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert missing.returncode == 1 and "model.gguf" in missing.stderr


def test_the_c_program_tells_a_story_without_the_real_model(prefix, tmp_path, stories_path):
    (tmp_path / "program.c").write_text(blocks(README, "c")[0])
    subprocess.run(["cc", tmp_path / "program.c", f"-I{prefix}/include", f"-L{prefix}/lib", "-lllama2swift", "-o", tmp_path / "program"], check=True)
    done = subprocess.run([tmp_path / "program", stories_path], env=os.environ | {"LD_LIBRARY_PATH": f"{prefix}/lib"}, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0 and len(done.stdout) > 50 and done.stderr == ""


@pytest.mark.parametrize("text", [README, PYTHON_README], ids=["README", "Python"])
def test_python_programs_run(text, tmp_path, smollm2_path):
    (tmp_path / "model.gguf").symlink_to(smollm2_path)
    names = "folder-of-hugging-face"
    llama2swift.convert(ROOT / "Tests/fixtures/stories260K.bin", tmp_path / names, "F32")  # files are told by their content
    (program, *more) = blocks(text, "python")
    for number, part in enumerate([program, *more]):
        if number:  # a piece of a program: it goes on from the first
            shutil.copy(tmp_path / names, tmp_path / "small.gguf")
            part = 'import llama2swift\nmodel = llama2swift.Model("small.gguf")\ntext = "Once upon a time there was a dog. " * 200\n' + part.replace(
                '"model.gguf"', '"written.gguf"'
            )
        done = subprocess.run([sys.executable, "-c", part.replace('"Q4_K_M"', '"Q8_0"')], cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0 and done.stdout, done.stderr


def test_commands_of_the_package_run(tmp_path):
    model = tmp_path / "model.gguf"
    llama2swift.convert(ROOT / "Tests/fixtures/stories260K.bin", model, "F32")
    lines = [c for text in (README, PYTHON_README) for c in commands(text) if c.startswith("llama2swift ")]
    assert len(lines) >= 3
    for line in lines:
        if line.startswith("llama2swift serve"):
            continue  # until it is told to end: test_server.py
        if "Q4_K_M" in line:
            line = line.replace("Q4_K_M", "Q8_0")  # rows of 64 weights have no superblocks
        done = command(*shlex.split(line)[1:], cwd=tmp_path, input="")
        assert done.returncode == 0, (line, done.stderr)


def test_every_make_target_that_is_named_exists():
    told = re.findall(r"^## make (\w[\w-]*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    rules = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(told) <= rules
    for page in PAGES:
        named = set(re.findall(r"(?:^    |`)make (?!\w+=)([a-z][a-z-]*)", page.read_text(), re.MULTILINE))
        assert named <= rules, page
    assert {"demo", "test", "wheel", "dist", "install", "uninstall"} <= set(told)
    assert [c for c in commands(README) if c.startswith("make ")][:2] == ["make demo", "make test"]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.parent.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target


# Figures


def figures(name: str, work: str) -> dict[str, dict]:
    rows = json.loads((ROOT / f"Bindings/Python/benchmarks/results/{name}.json").read_text())["rows"]
    return {r["model"].split(":")[1]: r for r in rows if r["model"].startswith("1.1b:") and r["work"] == work}


def test_the_speed_is_what_was_measured_on_either_kind_of_machine():
    text = " ".join(README.split())
    told = re.search(
        r"a prompt of 512 tokens ([\d.]+) to ([\d.]+) times as fast on AVX-512 and ([\d.]+) to ([\d.]+) times as fast on AVX2 \(([^)]*)\), "
        r"and decodes at ([\d.]+) to ([\d.]+) times its speed, mostly at the limit of the memory",
        text,
    )
    assert told, "the bullet is worded anew: word this test anew too"
    types = told[5].split(", ")
    prefill = {m: [round(figures(m, "prefill 512")[t]["ratio"], 1) for t in types] for m in ("zen5-avx512", "zen3-avx2")}
    assert [float(told[i]) for i in range(1, 5)] == [f(prefill[m]) for m in ("zen5-avx512", "zen3-avx2") for f in (min, max)]
    decode = [figures(m, "decode after 0")[t] for m in prefill for t in types]
    ratios = [round(row["ratio"], 2) for row in decode]
    assert (float(told[6]), float(told[7])) == (min(ratios), max(ratios))
    assert sum(row["share"] >= 0.9 for row in decode) > len(decode) / 2
    intel = re.search(r"on an Intel machine with AVX-512 at ([\d.]+) to ([\d.]+) times in all sixteen types", text)
    ratios = [round(row["ratio"], 2) for row in figures("emerald-avx512", "decode after 0").values()]
    assert len(ratios) == 16 and (float(intel[1]), float(intel[2])) == (min(ratios), max(ratios))


def test_the_speed_of_quantizing_is_what_was_measured():
    table = (ROOT / "Tests/compare/QUANTIZATION.md").read_text()
    kind, told = re.search(r"\(Tests/compare/QUANTIZATION.md\): (\w+) of SmolLM2 ([\d.]+) times as fast", README).groups()
    cells = re.search(rf"^\| {kind} \|(.*)\|$", table, re.MULTILINE)[1].split("|")
    assert float(told) == round(float(cells[7]) / float(cells[3]), 1)


def test_small_facts(smollm2_path):
    size = int(re.search(r"a (\d+) MB model", README)[1])
    assert abs(os.path.getsize(smollm2_path) / 1e6 - size) < 1
    needs = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "Bindings/Python/pyproject.toml").read_text())[1]
    assert f"Python {needs} or newer" in README and f"Python {needs} to 3.13" in README
    listed = next(a for a in parser()._actions if a.dest == "command").choices
    said = re.findall(r"`(\w+)`", re.search(r"and (`info`.*?); each `--help`", " ".join(README.split()))[1])
    assert set(said) | {"chat", "run", "quantize", "serve"} == set(listed)
    assert f'version = "{version()}"' in (ROOT / "Bindings/Python/pyproject.toml").read_text()


def test_the_limits_are_still_limits():
    """When one of them falls, this sentence of the README goes with it."""
    functions = (ROOT / f"Tests/abi/{version()}/functions.txt").read_text()
    limits = re.search(r"^## Limits\n(.*?)^## ", README, re.MULTILINE | re.DOTALL)[1]
    for word, name in (("grammar", "grammar"), ("embeddings", "embedding"), ("state files", "state_save")):
        assert (word in limits) == (name not in functions), f"Limits in README.md: {word}"


def test_the_license_is_where_it_is_said():
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:200] and "Apache-2.0" in (ROOT / "Bindings/Python/pyproject.toml").read_text()
