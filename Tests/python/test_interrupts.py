"""Ctrl-C, close, cancel, break and the end of a task: every long call ends within 0.2 seconds, and nothing is lost."""

import copy
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from interrupts_tools import LIMIT, TEXT, clocks, context, control_c, interrupted, since, soon, tokens  # noqa: F401 (fixtures)

import llama2swift
from llama2swift.errors import BusyError, CancelledError

pytestmark = pytest.mark.alone


def long_calls(context, tokens, path, folder):
    """What takes seconds, by name."""
    many = tokens[:7000]
    return {
        "eval": lambda: context.eval(many),
        "eval, all logits": lambda: context.eval(many[:3000], all_logits=True),
        "eval_batch": lambda: context.eval_batch([(t, 0, False) for t in many]),
        "perplexity": lambda: context.perplexity(tokens, window=4096),
        "perplexity with progress": lambda: context.perplexity(tokens, window=64, progress=lambda *_: None),
        "importance": lambda: context.importance(tokens, folder / "imatrix.gguf", window=4096),
        "importance with progress": lambda: context.importance(tokens, folder / "imatrix.gguf", window=64, progress=lambda _: None),
        "score": lambda: context.score(many[:10], many[10:]),
        "prefill of generate": lambda: next(context.generate(many)),
        "generate": lambda: list(context.generate("Once upon a time", max_tokens=4000)),
        "quantize": lambda: llama2swift.quantize(path, folder / "out.gguf", "Q2_K"),
        "quantize with progress": lambda: llama2swift.quantize(path, folder / "out.gguf", "Q2_K", progress=lambda _: None),
        "convert": lambda: llama2swift.convert(path, folder / "out.gguf", "F32"),
    }


NAMES = list(long_calls(None, [], None, None))


@pytest.mark.parametrize("name", NAMES)
def test_control_c_ends_every_long_call(context, tokens, smollm2_path, tmp_path, name):
    call = long_calls(context, tokens, smollm2_path, tmp_path)[name]

    # a fast machine is done with a whole file after 0.3 s: it is interrupted as soon as it writes
    writes = name.startswith(("quantize", "convert"))

    def attempt():
        context.reset()
        seconds = interrupted(call, control_c, KeyboardInterrupt, until=(lambda: list(tmp_path.glob("*.part"))) if writes else None)
        context.reset()  # free again
        for output in tmp_path.glob("out.gguf"):  # a busy machine was done before the signal was looked at: then the file is whole
            llama2swift.Model(output).close()
            output.unlink()
            return LIMIT
        return seconds

    soon(attempt)
    assert list(tmp_path.iterdir()) == []
    context.eval([1, 2, 3])


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("quantize", "quantize with progress", "convert")])
def test_close_and_cancel_from_another_thread_end_every_long_call(smollm2, tokens, smollm2_path, tmp_path, name):
    def attempt(end):
        context = smollm2.context(length=8192, threads=2)
        call = long_calls(context, tokens, smollm2_path, tmp_path)[name]
        expected = BaseException if "generate" in name else CancelledError
        problems, began = [], []

        def work():
            try:
                call()
                problems.append((since(began[0]), None))
            except BaseException as problem:
                problems.append((since(began[0]), problem))

        thread = threading.Thread(target=work)
        thread.start()
        while not context._calls._under_way:  # what comes before it begins is for nobody
            time.sleep(0.01)
        time.sleep(0.3)
        began.append(clocks())
        getattr(context, end)()
        thread.join(20)
        assert not thread.is_alive()
        seconds, problem = problems[0]
        assert isinstance(problem, expected) or ("generate" in name and (problem is None or isinstance(problem, StopIteration)))
        return seconds

    soon(lambda: attempt("close"))
    soon(lambda: attempt("cancel"))


def test_nothing_changes_when_an_eval_is_interrupted(smollm2, tokens, context):
    with smollm2.context(length=8192, threads=2) as undisturbed:
        for c in (context, undisturbed):
            c.eval(tokens[:20])
        before = context.sequence_length(), context.logits().tobytes()
        interrupted(lambda: context.eval(tokens[:5000]), control_c, KeyboardInterrupt)
        assert (context.sequence_length(), context.logits().tobytes()) == before
        for c in (context, undisturbed):
            c.eval([5])
        assert context.logits().tobytes() == undisturbed.logits().tobytes()


def test_what_a_handler_raises_is_kept(context, tokens):
    class Alarm(Exception):
        pass

    def ring(*_):
        raise Alarm("mine")

    before = signal.signal(signal.SIGALRM, ring)
    try:
        for call in (lambda: context.eval(tokens[:7000]), lambda: context.perplexity(tokens, progress=lambda *_: None), lambda: list(context.generate(tokens[:7000]))):
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(Alarm, match="mine"):
                call()
            context.reset()
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_handler_that_raises_nothing_ends_nothing(context, tokens):
    heard = []
    before = signal.signal(signal.SIGALRM, lambda *_: heard.append(time.perf_counter()))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        began = time.perf_counter()
        context.eval(tokens[:1500])
        took = time.perf_counter() - began
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert context.sequence_length() == 1500
    assert len(heard) >= min(3, took / 0.05 / 4)  # heard while it went on, not all at its end


@pytest.mark.parametrize("make", [lambda c, t, p: c.perplexity(t, window=64, progress=p), lambda c, t, p: c.importance(t, "/nowhere/x", window=64, progress=p)])
def test_progress_is_asked_on_the_thread_of_the_caller_and_what_it_raises_is_raised(context, tokens, make):
    for thread in (False, True):
        asked = []

        def progress(*_):
            asked.append(threading.current_thread())
            with pytest.raises(BusyError):
                context.eval([1])
            if len(asked) == 2:
                raise ZeroDivisionError("mine")

        def call():
            with pytest.raises(ZeroDivisionError, match="mine"):
                make(context, tokens, progress)
            asked.append(threading.current_thread())

        if thread:
            worker = threading.Thread(target=call)
            worker.start()
            worker.join()
        else:
            call()
        assert len(asked) == 3 and len(set(asked)) == 1


def test_true_from_progress_stops(context, tokens, smollm2_path, tmp_path):
    with pytest.raises(CancelledError, match="windows"):
        context.perplexity(tokens, window=64, progress=lambda *_: True)
    with pytest.raises(CancelledError, match="as it was"):
        llama2swift.quantize(smollm2_path, tmp_path / "x.gguf", "Q8_0", progress=lambda part: part > 0.1)
    assert list(tmp_path.iterdir()) == []


def test_what_a_cancel_function_raises_is_raised(stories):
    def ask():
        raise ZeroDivisionError("mine")

    with stories.context() as context:
        context.set_cancel(ask)
        for call in (lambda: context.eval([1]), lambda: list(context.generate("Once"))):
            with pytest.raises(ZeroDivisionError, match="mine"):
                call()
        context.set_cancel(lambda: True)
        pieces = context.generate("Once")
        with pytest.raises(CancelledError):
            list(pieces)
        assert pieces.reason == "cancelled"
        context.set_cancel(None)
        context.eval([1])


# ---- A program of its own


def run(code, *arguments, interrupt_after=None):
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if interrupt_after is not None:
        assert process.stdout.readline() == "ready\n"
        time.sleep(interrupt_after)
        process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=120)
    return process.returncode, out, error


PROGRAM = """
import sys, llama2swift
model = llama2swift.Model(sys.argv[1])
context = model.context(length=8192)
tokens = model.tokenize("Once upon a time there was a little girl. " * 800)[:8000]
print("ready", flush=True)
try:
    exec(sys.argv[2])
except KeyboardInterrupt:
    context.reset()
    print("interrupted")
    sys.exit(130)
"""


@pytest.mark.parametrize("call", ["context.eval(tokens)", "context.perplexity(tokens, window=4000)", "[print(end='') for _ in context.generate(tokens)]", "context.score(tokens[:9], tokens[9:])"])
def test_a_program_that_is_interrupted_says_nothing_else(smollm2_path, call):
    assert run(PROGRAM, smollm2_path, call, interrupt_after=0.5) == (130, "interrupted\n", "")


@pytest.mark.parametrize("arguments", [["quantize", "MODEL", "OUT", "Q2_K"], ["convert", "MODEL", "OUT", "F32"], ["perplexity", "MODEL", "TEXT"], ["importance", "MODEL", "TEXT", "OUT"]], ids=lambda a: a[0])
def test_the_command_line_ends_with_130_and_no_noise(smollm2_path, tmp_path, arguments):
    (tmp_path / "text").write_text(TEXT)
    names = {"MODEL": smollm2_path, "OUT": str(tmp_path / "out.gguf"), "TEXT": str(tmp_path / "text")}
    process = subprocess.Popen(
        [sys.executable, "-m", "llama2swift", *(names.get(a, a) for a in arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )  # fmt: skip
    writes = arguments[0] in ("quantize", "convert")  # a second's work: interrupted as soon as it writes

    def is_at_work():
        return list(tmp_path.glob("*.part")) if writes else smollm2_path in Path(f"/proc/{process.pid}/maps").read_text()

    while process.poll() is None and not is_at_work():
        time.sleep(0.005)
    time.sleep(0 if writes else 0.2)
    began = time.perf_counter()
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.skip("the machine was done before it was interrupted")
    assert (process.returncode, out, error.strip()) == (130, "", "") and time.perf_counter() - began < 2
    assert [p.name for p in tmp_path.iterdir()] == ["text"]


def test_two_interrupts_end_a_program_at_once(smollm2_path):
    code = PROGRAM.replace("exec(sys.argv[2])", "import threading, os, signal, time\n    threading.Thread(target=lambda: [time.sleep(0.3), os.kill(os.getpid(), 2), os.kill(os.getpid(), 2)]).start()\n    context.eval(tokens)")
    code = code.replace("context.reset()", "")
    assert run(code, smollm2_path)[0] in (130, 1, -2)


# ---- Pickling and copies


def test_a_model_is_pickled_by_its_path(stories_path, tmp_path, monkeypatch):
    monkeypatch.chdir(os.path.dirname(stories_path))
    model = llama2swift.Model(os.path.basename(stories_path), copy=True)
    monkeypatch.chdir(tmp_path)
    for other in (pickle.loads(pickle.dumps(model)), copy.copy(model), copy.deepcopy(model)):
        assert type(other) is llama2swift.Model and other is not model and other.tokenize("Once") == model.tokenize("Once")
        other.close()
    assert model.tokenize("Once")
    with open(stories_path, "rb") as file:
        for nameless in (llama2swift.Model.from_descriptor(file.fileno()),):
            with pytest.raises(TypeError, match="path"):
                pickle.dumps(nameless)
    model.close()
    with pytest.raises(TypeError, match="closed"):
        pickle.dumps(model)


def test_what_cannot_be_pickled_says_so(stories):
    with stories.context(length=64) as context, context.generate("Once") as pieces, stories.decoder() as decoder:
        for value, name in ((context, "Context"), (llama2swift.Sampler(), "Sampler"), (pieces, "Generation"), (decoder, "Decoder")):
            for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
                with pytest.raises(TypeError, match=f"a {name} cannot be pickled or copied"):
                    attempt(value)


def test_results_and_errors_are_pickled(stories, stories_path):
    with stories.context(length=64) as context:
        for value in (stories.hyperparameters, stories.special_tokens, context.info, context.timings, stories.tensors, context.perplexity([1] * 64, window=64), llama2swift.preflight(stories_path)):
            assert pickle.loads(pickle.dumps(value)) == value
        score = context.score([1], [2, 3])
        again = pickle.loads(pickle.dumps(score))
        assert np.array_equal(again.log_probabilities, score.log_probabilities) and again.total == score.total
        for call in (lambda: context.eval([512]), lambda: llama2swift.Model("/nowhere"), lambda: context.eval([1] * 65)):
            with pytest.raises(llama2swift.Llama2Error) as raised:
                call()
            copied = pickle.loads(pickle.dumps(raised.value))
            assert type(copied) is type(raised.value) and str(copied) == str(raised.value) and copied.status == raised.value.status
            assert getattr(copied, "errno", None) == getattr(raised.value, "errno", None)
