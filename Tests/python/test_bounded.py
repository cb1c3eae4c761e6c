"""What costs most for its size stays in proportion to it. Times are measured by Tests/trust/bounded.py; here a timeout
that is a hundred times too long tells what is not linear."""

import ctypes as C
import subprocess
import sys

import nasty
import nasty_talks
import pytest

import llama2swift
from llama2swift import _library as lib
from llama2swift.errors import CancelledError, Llama2Error

pytestmark = pytest.mark.alone

SIZE = 1 << 16
TOKENIZE = """
import sys; sys.path.insert(0, sys.argv[2])
import nasty, llama2swift
model = llama2swift.Model(sys.argv[1])
for name, text in nasty.texts(int(sys.argv[3])).items():
    tokens = model.tokenize(text)
    assert model.detokenize_bytes(tokens) == (text.replace('\\u2581'.encode(), b' ') if sys.argv[4] == 'llama' else text), name
    assert len(tokens) <= 3 * len(text) + 1, name
print('all')
"""


@pytest.mark.parametrize("kind", nasty.KINDS)
def test_sixty_four_kilobytes_of_every_nasty_class_is_tokenized_and_back(kind, tmp_path):
    path = nasty.tokenizer_model(tmp_path / "m.gguf", kind)
    here = str(nasty.Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", TOKENIZE, str(path), here, str(SIZE), kind], capture_output=True, text=True, timeout=600)
    assert done.stdout == "all\n", done.stderr


# a million tiny tensors, 2 MB of empty pieces, ...: each in 2 MB
@pytest.mark.parametrize("name", nasty.files(1000))
def test_loading_takes_at_most_the_file_and_64_mib(name, tmp_path):
    path = nasty.files(2 << 20)[name](tmp_path)
    done = subprocess.run([sys.executable, "-c", nasty.LOADER, str(path)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) << 10 <= nasty.total_bytes(path) + (64 << 20), done.stdout


ARGUMENTS = """
import sys, time; sys.path.insert(0, sys.argv[2])
import nasty, llama2swift
from llama2swift import _library as lib
model = llama2swift.Model(sys.argv[1])
for name, call in nasty.arguments(1 << 18, sys.argv[1].encode()).items():
    start = time.process_time()
    call(lib._cdll, model._handle)
    print(name, time.process_time() - start, sep=": ")
"""


def test_a_text_of_the_callers_costs_in_proportion_wherever_it_stands(tmp_path):
    """Combining marks in the wrong order, 256 KiB: the square of that would be minutes."""
    path = nasty.tokenizer_model(tmp_path / "m.gguf", "llama")
    done = subprocess.run([sys.executable, "-c", ARGUMENTS, str(path), str(nasty.Path(__file__).parent)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    times = {name: float(seconds) for name, seconds in (line.split(": ") for line in done.stdout.splitlines())}
    assert len(times) >= 16 and max(times.values()) < 2, times


def test_a_conversation_costs_in_proportion_or_is_refused(tmp_path):
    """Each kind of talk and template of 64 KiB, written once: what takes the square is told the steps that it may take."""
    path = nasty.tokenizer_model(tmp_path / "m.gguf", "llama")
    done = subprocess.run([sys.executable, nasty_talks.__file__, str(path), str(1 << 16)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = {name: (int(size), float(seconds), int(mib)) for name, size, seconds, mib, _ in (line.split("\t") for line in done.stdout.splitlines())}
    assert set(rows) == {name for name, _ in nasty_talks.all_of(1000)}
    assert max(seconds for _, seconds, _ in rows.values()) < 2 and max(mib for *_, mib in rows.values()) <= 64, rows
    # of a megabyte the square would be many seconds: the limit of steps is in proportion to what goes in
    done = subprocess.run([sys.executable, nasty_talks.__file__, str(path), str(1 << 20), "in"], capture_output=True, text=True, timeout=300)
    assert "steps, the limit for these messages" in done.stdout and float(done.stdout.split("\t")[2]) < 5


def test_a_sentence_is_cut_whatever_the_name(stories):
    """A name of 10 MB, and one whose characters are long too."""
    for name in (b"x" * 10_000_000, ("e" + "\u0301" * 5_000_000).encode()):
        needed = C.c_size_t()
        assert lib._cdll.llama2_model_metadata(stories._handle, name, len(name), None, 0, C.byref(needed)) == -8
        assert 900 < len(lib._cdll.llama2_last_error()) < 1024
        error = C.create_string_buffer(1 << 20)
        handle = C.c_void_p()
        assert lib._cdll.llama2_model_load(name, None, C.byref(handle), error, len(error)) == -21
        assert 900 < len(error.value) < 1024 and error.value.decode()


def test_a_sentence_about_a_file_of_long_names_is_cut(tmp_path):
    name = "n" * 65_000
    for path in (tmp_path / f"{i}.gguf" for i in range(2)):
        header = nasty.gguf_header(2 if path.stem == "0" else 0, 0 if path.stem == "0" else 2)
        entry = nasty._string(name) + (nasty.struct.pack("<IQIQ", 1, 1, 0, 0) if path.stem == "0" else nasty.struct.pack("<II", 4, 0))
        path.write_bytes(header + entry * 2 + bytes(200))
        with pytest.raises(Llama2Error) as problem:
            llama2swift.Model(path)
        assert len(str(problem.value)) < 1024


@pytest.mark.parametrize("tokens, batch", [(1, 256), (5, 256), (64, 16), (100, 7)])
def test_a_cancel_is_asked_for_before_every_layer_and_obeyed_at_once(stories, tokens, batch):
    """So an eval ends within the time of one layer of one pass after the host wants it to."""
    layers, calls, passes = stories.hyperparameters.block_count, [0], -(-tokens // batch)
    with stories.context(length=128, batch_size=batch) as context:
        for wanted in [*range(1, layers * passes + 1, max(1, passes)), layers * passes, None]:
            calls[0] = 0

            def cancel():
                calls[0] += 1
                return wanted is not None and calls[0] >= wanted

            context.set_cancel(cancel)
            if wanted is None:
                context.eval([5] * tokens)
                assert calls[0] >= layers * passes
            else:
                with pytest.raises(CancelledError):
                    context.eval([5] * tokens)
                assert calls[0] == wanted  # nothing was asked, and no layer begun, after that
            context.reset()
