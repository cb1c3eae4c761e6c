"""The package as a whole: declarations made from the header, types, docstrings, a sampler's seed, a decoder, pieces."""

import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import llama2swift

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "Bindings" / "Python" / "llama2swift"
sys.path.insert(0, str(ROOT / "Tests" / "tools"))

import make_python_declarations  # noqa: E402


@pytest.mark.parametrize("path, text", make_python_declarations.files().items(), ids=lambda v: getattr(v, "name", ""))
def test_declarations_are_those_of_the_header(path, text):
    """python3 Tests/python/header.py makes them."""
    assert path.read_text() == text


def test_no_number_of_the_header_is_written_by_hand():
    """Every constant is read from where the header's are."""
    from llama2swift import _constants, _functions, _structs

    assert llama2swift.errors.CancelledError.status == _constants.E_CANCELLED == -61
    assert set(_functions.SIGNATURES) >= {"eval", "generate", "cancel_flag"} and len(_structs.NUMBERS) >= 19


def test_modules_need_each_other_in_one_direction_only():
    """No import inside the package leads back to where it came from; imports in functions and for types count."""
    needs = {}
    for module in pkgutil.iter_modules([str(PACKAGE)]):
        if module.ispkg or module.name == "__main__":
            continue
        lines = [line.split() for line in (PACKAGE / f"{module.name}.py").read_text().splitlines()]
        found = set()
        for words in lines:
            if words[:1] == ["from"] and words[1].startswith(".") and words[2] == "import":
                found |= {words[1][1:]} if words[1] != "." else {w.strip(",") for w in words[3:4]}
        needs[module.name] = found - {module.name}

    def reach(name, path=()):
        assert name not in path, " needs ".join((*path, name))
        for other in needs.get(name, ()):
            reach(other, (*path, name))

    for name in needs:
        reach(name)
    assert needs["model"] >= {"context", "modelfile"} and "model" not in needs["context"]


def public():
    """(name, object) of everything that a user sees."""
    modules = [llama2swift, llama2swift.errors] + [importlib.import_module(f"llama2swift.{m.name}") for m in pkgutil.iter_modules([str(PACKAGE)]) if not m.name.startswith("_") and m.name != "cli"]
    for module in modules:
        yield module.__name__, module
        for name, value in vars(module).items():
            if name.startswith("_") or not (inspect.isclass(value) or inspect.isfunction(value)) or not value.__module__.startswith("llama2swift"):
                continue
            yield f"{module.__name__}.{name}", value
            for member, inner in vars(value).items() if inspect.isclass(value) else ():
                if not member.startswith("_") and (callable(inner) or isinstance(inner, (property, classmethod, staticmethod))):
                    yield f"{module.__name__}.{name}.{member}", inner


def test_every_public_name_has_a_docstring():
    without = [name for name, value in public() if not (inspect.getdoc(value) or "").strip() or (inspect.isclass(value) and not value.__dict__.get("__doc__"))]
    assert without == []


# ---- Other Pythons

SMOKE = """
import asyncio, sys, numpy, llama2swift
model = llama2swift.Model(sys.argv[1])
with model.context(length=64, threads=1) as context:
    text = "".join(context.generate("Once upon a time", llama2swift.Sampler(temperature=0), max_tokens=10))
    context.reset()
    async def read():
        return "".join([p async for p in context.generate("Once upon a time", llama2swift.Sampler(temperature=0), max_tokens=10)])
    assert asyncio.run(read()) == text
    context.reset()
    context.eval(numpy.array([1, 5, 9]))
    assert context.logits().shape == (512,)
    for wrong in ([1.5], "1", None, [2**40]):
        try:
            context.eval(wrong)
        except (TypeError, OverflowError):
            continue
        raise SystemExit(f"{wrong!r} is taken")
try:
    llama2swift.Model("/nowhere")
except FileNotFoundError as problem:
    assert problem.errno == 2
assert "".join(map(model.decoder().append, model.tokenize(" x y")))
import pickle
assert pickle.loads(pickle.dumps(model)).description == model.description
import llama2swift.cli.arguments
print(sys.version.split()[0], text)
"""


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.11", "3.12", "3.13"])
def test_every_supported_python(version, stories_path, tmp_path):
    """Interpreters of pyenv's or of the system's; numpy for each comes from pip, once."""
    home = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = sorted(home.glob(f"{version}.*/bin/python")) + [Path(p) / f"python{version}" for p in os.environ["PATH"].split(":")]
    python = next((p for p in found if os.access(p, os.X_OK) and "shims" not in p.parts), None)
    if python is None:
        pytest.skip(f"there is no Python {version} here")
    folder = ROOT / ".build" / "pythons" / version
    if not (folder / "ready").exists():
        subprocess.run([python, "-m", "venv", "--clear", folder], check=True, capture_output=True)
        done = subprocess.run([folder / "bin/python", "-m", "pip", "install", "-q", "numpy>=1.24"], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"numpy for Python {version} could not be installed: {done.stderr.strip()[-200:]}")
        (folder / "ready").touch()
    done = subprocess.run([folder / "bin/python", "-W", "error", "-c", SMOKE, stories_path], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith(version)


# ---- Small things


def test_no_seed_draws_one_and_says_it(stories):
    seeds = [llama2swift.Sampler(seed=None).seed for _ in range(8)]
    assert len(set(seeds)) == 8 and all(0 <= s < 2**64 for s in seeds)
    assert llama2swift.Sampler(seed=7).seed == 7 and llama2swift.Sampler().seed == 0
    with stories.context(length=64) as context:
        first = llama2swift.Sampler(seed=None, temperature=1.5)
        text = "".join(context.generate("Once", first, max_tokens=30))
        context.reset()
        assert "".join(context.generate("Once", llama2swift.Sampler(seed=first.seed, temperature=1.5), max_tokens=30)) == text


def test_penalties_see_the_prompt_when_they_are_asked_to(stories):
    prompt = stories.tokenize_prompt("Tom had a red ball. Tom had a red ball. Tom")
    options = dict(temperature=0, repetition_penalty=2.0, frequency_penalty=1.0, penalty_last_n=64)
    with stories.context(length=128) as context:

        def text(sampler, **more):
            context.reset()
            return "".join(context.generate(prompt, sampler, max_tokens=30, **more))

        plain, asked = text(llama2swift.Sampler(**options)), text(llama2swift.Sampler(**options), penalize_prompt=True)
        by_hand = llama2swift.Sampler(**options)
        for token in prompt:
            by_hand.accept(token)
        assert asked == text(by_hand) != plain
        # a prompt that is refused is not counted
        again = llama2swift.Sampler(**options)
        with pytest.raises(llama2swift.errors.InvalidTokenError):
            list(context.generate([*prompt, 512], again, penalize_prompt=True))
        assert text(again) == plain


@pytest.mark.parametrize("model", ["stories", "smollm2"])
def test_a_decoder_gives_whole_characters_that_add_up(model, request):
    model = request.getfixturevalue(model)
    for text in ("Once upon a time", "Grüße, 漢字 🎉👩\u200d🚀!", " x", ""):
        tokens = model.tokenize(text)
        with model.decoder(text_start=True) as decoder:
            pieces = [decoder.append(t) for t in tokens] + [decoder.finish()]
        assert "".join(pieces) == model.detokenize(tokens) == text
        assert b"".join(model.piece(t) for t in tokens).strip() == text.encode().strip()
    decoder = model.decoder()
    crab = model.tokenize("🦀")
    assert len(crab) > 1 and decoder.append(crab[-2]) + decoder.finish() == "\ufffd"
    with pytest.raises(llama2swift.errors.InvalidTokenError):
        decoder.append(model.hyperparameters.vocabulary_size)
    decoder.close()
    with pytest.raises(llama2swift.errors.BadHandleError):
        decoder.append(1)


def test_control_tokens_have_names(stories):
    assert stories.piece(1) == b"" and stories.piece(1, special=True) == b"<s>"
    assert llama2swift.Decoder(stories, special=True).append(2) == "</s>"


def test_printable_does_nothing_to_a_terminal():
    assert llama2swift.printable("a\x1b[31mb\x07\tc\nd\u202ee\u2028f\x9bg\udcff\u00a0h") == "a\ufffd[31mb\ufffd c d\ufffde f\ufffdg\ufffd h"
    assert llama2swift.printable("Grüße, 漢字 🎉") == "Grüße, 漢字 🎉"
