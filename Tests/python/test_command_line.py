"""The command line: every command, its examples, one sentence for an error, nothing overwritten, nothing that steers a terminal."""

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from terminals import command, sentence

import llama2swift
from llama2swift import _whole
from llama2swift.cli import outputs
from llama2swift.cli.arguments import parser

COMMANDS = ["chat", "run", "info", "bench", "quantize", "importance", "convert", "perplexity", "embed", "score"]
COMMANDS += ["serve", "state"]
TEXT = "Once upon a time there was a little dog. " * 60


@pytest.fixture(scope="module")
def story_gguf(tmp_path_factory, stories_path):
    path = tmp_path_factory.mktemp("stories") / "stories.gguf"
    llama2swift.convert(stories_path, path, "F32")
    return path


@pytest.fixture
def place(tmp_path, story_gguf):
    """A folder with what the examples name."""
    for name in ("model.gguf", "folder-of-hugging-face"):  # files are told by their content
        shutil.copy(story_gguf, tmp_path / name)
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path


def test_version_names_the_library():
    done = command("--version")
    assert done.returncode == 0 and re.fullmatch(r"llama2swift \d+\.\d+\.\d+ \(.*libllama2swift\.so.*\)\n", done.stdout)


def test_help_lists_every_command():
    told = command("--help").stdout
    assert all(re.search(rf"^ +{name}\b", told, re.MULTILINE) for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_that_runs(name, place):
    told = command(name, "--help").stdout
    example = re.search(r"^example:\n  llama2swift (.*)$", told, re.MULTILINE)
    assert example and example[1].split()[0] == name
    short = {"chat": ["-n", "5"], "run": ["-n", "5"], "bench": ["-r", "1"]}.get(name, [])
    output = {"quantize": "small.gguf", "importance": "imatrix.gguf"}.get(name)
    if name == "serve":
        return  # until it is told to end: test_server.py
    if name == "convert":
        (place / "model.gguf").unlink()  # the example writes it
    done = command(*shlex.split(example[1]), *short, cwd=place, input="")
    assert done.returncode == 0, done.stderr
    assert output is None or (place / output).stat().st_size > 0


@pytest.mark.parametrize("name", [c for c in COMMANDS if c not in ("quantize", "importance", "convert", "serve", "state", "embed")])
def test_json_is_for_programs(name, place):
    arguments = {"bench": ["-r", "1", "-p", "8", "-n", "2"], "perplexity": ["text.txt", "-c", "64"], "score": ["Once upon", " a time"]}
    if name in ("chat", "run"):
        return
    done = command(name, "model.gguf", *arguments.get(name, []), "--json", cwd=place)
    assert done.returncode == 0 and isinstance(json.loads(done.stdout), dict)


def test_a_state_goes_on_where_it_was(place):
    whole = command("run", "model.gguf", "Once upon a time", "-n", "8", "--temperature", "0", cwd=place).stdout
    assert command("state", "model.gguf", "talk.state", "--prompt", "Once upon a time", cwd=place).returncode == 0
    assert "Once upon a time" + command("state", "model.gguf", "talk.state", "-n", "8", "--temperature", "0", cwd=place).stdout == whole
    done = command("state", "model.gguf", "talk.state", "--prompt", "Tom", cwd=place)
    assert done.returncode == 1 and "--force" in done.stderr


@pytest.mark.parametrize("given, told", [
    (("--prompt", "Tom", "-n", "5"), "--max-tokens"), (("--prompt", "Tom", "--temperature", "0"), "--temperature"), (("--prompt", "Tom", "--seed", "3"), "--seed"),
    (("--prompt", "Tom", "--repetition-penalty", "1.1"), "--repetition-penalty"), (("--force",), "--force"),
])  # fmt: skip
def test_what_a_state_does_not_do_is_not_taken(place, given, told):
    done = command("state", "model.gguf", "none.state", *given, cwd=place)
    assert done.returncode == 1 and told in done.stderr and len(done.stderr.splitlines()) == 1 and not (place / "none.state").exists()


def test_help_says_what_a_context_is_where_nothing_is_said():
    for name, told in (("perplexity", "512"), ("importance", "512"), ("embed", "longest text"), ("run", "at most 4096")):
        assert re.search(rf"positions; default:[^-]*{told}", " ".join(command(name, "--help").stdout.split()))



def test_a_draft_changes_no_text(place):
    llama2swift.quantize(place / "model.gguf", place / "draft.gguf", "Q4_0")
    asked = ["run", "model.gguf", "Once upon a time", "-n", "30", "--temperature", "0", "-c", "128"]
    done = command(*asked, "--draft", "draft.gguf", "--stats", cwd=place)
    assert done.stdout == command(*asked, cwd=place).stdout and "of them right]" in done.stderr
    assert command(*asked, "--draft", "none.gguf", cwd=place).returncode == 1


def test_chat_answers_of_a_schema(place):
    (place / "s.json").write_text('{"enum": ["yes", "no"]}')
    done = command("chat", "model.gguf", cwd=place, input="/json s.json\nHi\n/json\n/json nothing.json\n")
    assert done.stdout.strip() in ('"yes"', '"no"') and "answers are free" in done.stderr and "nothing.json" in done.stderr


def test_score_is_the_sum_of_its_tokens(place):
    told = json.loads(command("score", "model.gguf", "Once upon", " a time", "--json", cwd=place).stdout)
    assert [t["text"].strip() for t in told["tokens"]] == ["a", "time"]
    assert told["total"] == pytest.approx(sum(t["log_probability"] for t in told["tokens"]), abs=1e-5) and told["total"] > -3


WRONG = {
    "no command": [],
    "unknown command": ["fly", "model.gguf"],
    "no model": ["info"],
    "no such file": ["info", "none.gguf"],
    "no model file": ["info", "text.txt"],
    "a folder without a model": ["info", "."],
    "a name with an escape": ["info", "a\x1b[31mb\nc.gguf"],
    "a name with bytes that are no text": ["info", os.fsdecode(b"\xff\xfe.gguf")],
    "threads below zero": ["info", "model.gguf", "-t", "-1"],
    "threads beyond 32 bits": ["info", "model.gguf", "-t", "4294967296"],
    "no number": ["run", "model.gguf", "x", "--temperature", "warm"],
    "not a number": ["run", "model.gguf", "x", "--temperature", "nan"],
    "below zero": ["run", "model.gguf", "x", "--temperature", "-2"],
    "top-p beyond one": ["run", "model.gguf", "x", "--top-p", "2"],
    "seed beyond 64 bits": ["run", "model.gguf", "x", "--seed", str(2**64)],
    "an empty stop": ["run", "model.gguf", "x", "--stop", ""],
    "no runs": ["bench", "model.gguf", "-r", "0"],
    "no prompt": ["bench", "model.gguf", "-p", "0"],
    "more than the memory": ["bench", "model.gguf", "-p", "4294967295", "-n", "4294967295"],
    "watts below zero": ["bench", "model.gguf", "-p", "2", "-n", "1", "-r", "1", "--watts", "-1"],
    "grams below zero": ["bench", "model.gguf", "-p", "2", "-n", "1", "-r", "1", "--intensity", "-0.5"],
    "kernels": ["bench", "model.gguf", "--kernels", "fast"],
    "unknown type": ["quantize", "model.gguf", "out.gguf", "Q7"],
    "rule without a type": ["quantize", "model.gguf", "out.gguf", "--tensor-type", "attn_q"],
    "rule with an unknown type": ["quantize", "model.gguf", "out.gguf", "--tensor-type", "attn_q=Q9"],
    "no importance": ["quantize", "model.gguf", "out.gguf", "--importance", "none"],
    "importance of something else": ["quantize", "model.gguf", "out.gguf", "--importance", "text.txt"],
    "no folder for the output": ["quantize", "model.gguf", "none/out.gguf"],
    "output is a folder": ["quantize", "model.gguf", "."],
    "no text": ["perplexity", "model.gguf", "none.txt"],
    "text is a folder": ["perplexity", "model.gguf", "."],
    "text too short": ["perplexity", "model.gguf", "short.txt"],
    **{f"perplexity on {n} positions": ["perplexity", "model.gguf", "text.txt", "-c", n] for n in ("1", "2", "3")},
    **{f"{what} on one position": [what, "model.gguf", *rest, "-c", "1"] for what, rest in {"run": ["Once upon"], "embed": ["Once upon"]}.items()},
    "a context below zero": ["perplexity", "model.gguf", "text.txt", "-c", "-1"],
    "a context beyond 32 bits": ["run", "model.gguf", "x", "-c", "4294967296"],
    "a conversation that is none": ["chat", "model.gguf", "--load", "text.txt"],
    "prompt beyond the context": ["run", "model.gguf", TEXT * 3, "-c", "64"],
}


@pytest.mark.parametrize("arguments", WRONG.values(), ids=WRONG.keys())
def test_an_error_is_one_sentence(arguments, place):
    (place / "short.txt").write_text("Hi")
    done = command(*arguments, cwd=place, input="", errors="surrogateescape")
    text = sentence(done)
    assert "Traceback" not in text and "\x1b" not in text and "should not happen" not in text, text
    assert not (place / "out.gguf").exists()
    if "--temperature" in arguments or "--top-p" in arguments:  # the prompt that was shown and no line's end stood before the sentence
        assert done.stdout == ""


def test_the_library_that_is_missing_is_one_sentence(tmp_path):
    environment = os.environ | {"LLAMA2SWIFT_LIBRARY": str(tmp_path / "none.so")}
    code = "import sys, llama2swift_command; sys.exit(llama2swift_command.main())"
    done = subprocess.run([sys.executable, "-c", code, "--version"], env=environment, capture_output=True, text=True)
    assert "none.so" in sentence(done)


def test_what_is_written_replaces_nothing_without_force(place):
    old = place / "old.gguf"
    for arguments in (["quantize", "model.gguf", "old.gguf", "Q8_0"], ["convert", "model.gguf", "old.gguf"], ["importance", "model.gguf", "text.txt", "old.gguf", "-c", "64"]):
        old.write_bytes(b"mine")
        text = sentence(command(*arguments, cwd=place))
        assert "old.gguf" in text and "--force" in text and old.read_bytes() == b"mine"
        done = command(*arguments, "--force", cwd=place)
        assert done.returncode == 0 and old.read_bytes()[:4] == b"GGUF", done.stderr


def test_the_input_is_never_the_output(place):
    """By its name, another spelling, a link of either kind, as a part of a split file or of a folder; the text and the matrix too."""
    model = (place / "model.gguf").read_bytes()
    (place / "symbolic.gguf").symlink_to("model.gguf")
    os.link(place / "model.gguf", place / "hard.gguf")
    for name in ("model.gguf", "./model.gguf", str(place / "model.gguf"), "symbolic.gguf", "hard.gguf"):
        for tool in ("quantize", "convert"):
            assert "read by this command" in sentence(command(tool, "model.gguf", name, "--force", cwd=place))
    assert "read by this command" in sentence(command("importance", "model.gguf", "text.txt", "text.txt", "--force", cwd=place))
    assert "read by this command" in sentence(command("quantize", "model.gguf", "text.txt", "--importance", "text.txt", "--force", cwd=place))
    assert (place / "model.gguf").read_bytes() == model and (place / "text.txt").read_text() == TEXT

    (place / "folder").mkdir()
    for name in ("config.json", "model.safetensors"):
        (place / "folder" / name).write_text("x")
    for part in (1, 2):
        (place / f"m-{part:05}-of-00002.gguf").write_text("x")
    for given, output in (("folder", "folder/config.json"), ("m-00001-of-00002.gguf", "m-00002-of-00002.gguf")):
        with pytest.raises(outputs.OutputError, match="read by this command"):
            outputs.check(str(place / output), [str(place / given)], True)
    outputs.check(str(place / "folder/new.gguf"), [str(place / "folder")], False)


def test_types_are_named_as_llama_cpps_tools_take_them(place):
    """In small letters, as its converter has them, and a mix without its size; letters that only look like others are none."""
    for tool, word, name in (("quantize", "q4_k_m", "Q4_K_M"), ("quantize", "Q5_K", "Q5_K_M"), ("quantize", "q8_0", "Q8_0"), ("convert", "f16", "F16")):
        for written, kind in (("given.gguf", word), ("right.gguf", name)):
            rules = ["--tensor-type", "attn_v=q8_0"] if tool == "quantize" else []
            assert command(tool, "model.gguf", written, kind, "--force", *rules, cwd=place).returncode == 0
        assert (place / "given.gguf").read_bytes() == (place / "right.gguf").read_bytes(), word
    for word in ("q4_\u212a_m", "q4_k_\u017f", "Q4_K_", "Q3_K_", " Q8_0", ""):
        assert "expected one of" in sentence(command("quantize", "model.gguf", "none.gguf", word, cwd=place))


def test_a_talk_is_not_saved_over_its_model(place):
    """The model is mapped: what is written over it would be computed with."""
    for number, (options, name) in enumerate([((), "model.gguf"), ((), "./linked.gguf"), (("--draft", "folder-of-hugging-face"), "folder-of-hugging-face")]):
        (place / "linked.gguf").unlink(missing_ok=True)
        (place / "linked.gguf").symlink_to("model.gguf")
        before = (place / name).read_bytes()
        done = command("chat", "model.gguf", "-n", "2", *options, cwd=place, input=f"Hi\n/save --force {name}\n")
        assert done.returncode == 1 and "read by this command" in done.stderr and (place / name).read_bytes() == before, number


def test_what_is_no_regular_file_is_not_replaced(place):
    """/save took the device away that it was told to write to. Here one that is the test's own, where only root can make it."""
    os.mkfifo(place / "fifo")
    special = {"fifo": "a FIFO", ".": "a folder"}
    if os.getuid() == 0:
        os.mknod(place / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        special["null"] = "a device"
    (place / "link").symlink_to("fifo")
    for name, kind in [*special.items(), ("link", "a FIFO")]:
        before = os.stat(place / name)
        done = command("chat", "model.gguf", "-n", "2", cwd=place, input=f"Hi\n/save --force {name}\n")
        assert done.returncode == 1 and kind in done.stderr, done.stderr
        with pytest.raises(OSError, match="not a regular file|is a directory"):
            _whole.write_text(place / name, "text")
        assert os.stat(place / name).st_mode == before.st_mode and os.stat(place / name).st_ino == before.st_ino


def test_what_would_keep_an_evaluation_from_being_written_is_said_before_it(place):
    data = place / "data"
    data.mkdir()
    (data / "boolq.jsonl").write_text("mine")
    (place / "there.md").write_text("mine")
    os.mkfifo(place / "pipe.json.items")
    for words, why in {
        ("--json", "a", "--card", "a"): "named for two outputs", ("--json", "a", "--picture", "./a"): "named for two outputs", ("--json", "a", "--card", "a.items"): "named for two outputs",
        ("--card", "data/boolq.jsonl", "--force"): "read by this command", ("--card", "none/card.md"): "no folder", ("--card", "there.md"): "--force",
        ("--json", "pipe.json"): "a FIFO", ("--card", "pipe.json.items", "--force"): "a FIFO",
    }.items():  # fmt: skip
        done = command("evaluate", "model.gguf", "--tasks", "boolq", "--data", "data", *words, cwd=place)
        assert why in sentence(done), (words, done.stderr)
    assert (data / "boolq.jsonl").read_text() == "mine" and not (place / "a").exists()


def test_the_parser_knows_no_other_command():
    listed = next(a for a in parser()._actions if a.dest == "command").choices
    assert sorted(listed) == sorted([*COMMANDS, "evaluate"])


def test_the_console_command_is_declared():
    told = (ROOT / "Bindings/Python/pyproject.toml").read_text()
    assert 'llama2swift = "llama2swift_command:main"' in told


def test_embed_writes_a_list_for_each_text(story_gguf):
    model = llama2swift.Model(story_gguf)
    done = command("embed", str(story_gguf), "Once upon", "a dog", "--pooling", "last", "--normalize")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and (model.embed(["Once upon", "a dog"], pooling="last", normalize=True) == np.array(rows, np.float32)).all()
    lines = command("embed", str(story_gguf), input="Once upon\n\na dog\n")
    assert [len(json.loads(line)) for line in lines.stdout.splitlines()] == [64, 64]
