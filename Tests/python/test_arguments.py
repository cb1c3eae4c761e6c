"""Every function of the header with every argument wrong: the status is written down, and nothing crashes.

A function or parameter that the header gains without rows in argument_calls.py fails the first test.
"""

import ctypes as C
import math

import adapters as L
import pytest
from argument_calls import CALLS, TOTAL
from argument_values import OK, Options, STORIES, scaled
from header import functions

import llama2swift
from llama2swift import _library as lib
from llama2swift import _structs as S


@pytest.fixture(scope="module")
def world(stories_path, tmp_path_factory):
    """Living handles of every kind, a freed one, and values that are right for every parameter."""
    model = llama2swift.Model(stories_path)
    context = model.context(length=64, sequences=2)
    sampler = llama2swift.Sampler(temperature=0)
    decoder = C.c_void_p()
    lib.call("decoder_create", model._handle, 0, C.byref(decoder), None, 0)
    kept = model.grammar(regex="a+")
    grammar_state, forced = kept.start(), model.grammar(regex="abc").start()
    spare = llama2swift.Sampler(temperature=0)  # its grammar must not hold the others
    token_a = next(t for t in range(512) if model.piece(t) == b"a")
    adapter_path = L.write_adapter(tmp_path_factory.mktemp("adapter") / "a.gguf", L.adapter("w", lambda name: 2 * name.endswith("attn_q"), STORIES), 4)
    adapter = model.adapter(adapter_path)
    gone = model.context()
    gone.close()
    text = tmp_path_factory.mktemp("arguments") / "text.gguf"
    text.write_text("not a model")
    out = C.create_string_buffer(1 << 16)
    raw = open(stories_path, "rb").read()
    file = open(stories_path, "rb")

    @lib.ReadCallback
    def read(offset, buffer, length, _):
        C.memmove(buffer, raw[offset : offset + length], length)
        return 0

    fails = lib.ReadCallback(lambda *_: 5)
    io, failing = (Options(S.IO, size=len(raw), read=C.cast(f, C.c_void_p).value) for f in (read, fails))
    context.eval([1, 2, 3, 4])
    calm, stepped = model.context(length=64), model.context(length=64, sequences=2)  # of schedulers
    scheduler, wide = C.c_void_p(), S.sized(S.SchedulerOptions)
    wide.max_requests = 65536
    lib.call("scheduler_create", stepped._handle, C.byref(wide), C.byref(scheduler), None, 0)
    state = context.state()
    (text.parent / "state").write_bytes(state)
    writes = S.WriteCallback(lambda *_: 0)

    @lib.ReadCallback
    def read_state(offset, buffer, length, _):
        C.memmove(buffer, state[offset : offset + length], length)
        return 0

    saved = {kind: lib.call_text(f"{kind}_save", handle) for kind, handle in [("sampler", sampler._handle), ("decoder", decoder)]}
    state_io = Options(S.IO, size=len(state), read=C.cast(read_state, C.c_void_p).value)
    step = S.StepCallback(lambda *_: 0)
    keep = [step, adapter, calm, stepped, read_state, state_io, kept, grammar_state, forced, spare, model, context, sampler, decoder, text, raw, file, read, fails, io, failing]
    return dict(
        state=(C.c_uint8 * len(state))(*state), state_size=C.c_uint64(len(state)), state_path=str(text.parent / "state").encode(), state_io=state_io.pointer(), writes=writes,
        **{f"saved_{kind}": (C.c_uint8 * len(data)).from_buffer_copy(data) for kind, data in saved.items()},
        **{f"saved_{kind}_size": C.c_uint64(len(data)) for kind, data in saved.items()},
        model_bytes=C.c_char_p(raw), model_size=C.c_uint64(len(raw)), model_fd=file.fileno(), model_io=io.pointer(), failing_io=failing.pointer(),
        read=C.cast(read, C.c_void_p).value, model=model._handle, context=context._handle, sampler=sampler._handle, decoder=decoder.value, freed=gone._handle,
        calm=calm._handle, scheduler=scheduler.value,
        grammar=kept._handle, grammar_state=grammar_state._handle, forced_state=forced._handle, spare=spare._handle, token_a=token_a,
        adapter=adapter._handle, adapter_path=str(adapter_path).encode(), scaled=scaled(adapter._handle, 1.0),
        path=stories_path.encode(), text=str(text).encode(), output=str(text.parent / "out.gguf").encode(), out=C.cast(out, C.c_void_p), keep=keep + [out],
        samplers=(C.c_void_p * 1)(sampler._handle), freed_handles=(C.c_void_p * 1)(gone._handle), no_row=(C.c_float * 512)(*[-math.inf] * 512),
        row=(C.c_float * 512)(*range(512)), own_list=(C.c_uint32 * 1)(65536), step=C.cast(step, C.c_void_p).value,
        tokens=(C.c_int32 * 4)(1, 2, 3, 4), wrong_tokens=(C.c_int32 * 2)(1, 512), negative=(C.c_int32 * 1)(-1),
    )  # fmt: skip


def test_every_function_and_parameter_has_its_rows():
    declared = functions()
    assert set(declared) == set(CALLS) | set(TOTAL)
    for name, (_, rows) in CALLS.items():
        assert list(rows) == declared[name], name
        assert all(rows.values()), name


def resolve(world, value):
    if isinstance(value, Options):
        return value.pointer()
    if value == "out2":
        return C.c_void_p(world["out"].value + 32768)
    if value == "out3":
        return C.c_void_p(world["out"].value + 49152)
    if value in ("wrong_tokens4", "negative4"):
        return (C.c_int32 * 4)(1, 2, 3, 512 if value == "wrong_tokens4" else -1)
    return world[value] if isinstance(value, str) else value


def reset(world):
    """The context as it was: without positions, and without the adapters of a row before, since embeddings take all sequences as one."""
    lib.call("context_reset", world["context"])
    for sequence in range(2):
        lib.call("sequence_set_adapters", world["context"], sequence, None, 0)


def call(world, name, arguments):
    function = getattr(lib._cdll, name)
    saved = function.argtypes
    function.argtypes = None  # raw: this test passes what no binding would
    try:
        raw = []
        for key, value in arguments.items():
            value = resolve(world, value)
            if isinstance(value, int):
                wide = key in ("capacity", "error_capacity", "count", "row", "index", "length", "text_length", "key_length", "window", "prompt_count", "continuation_count", "size", "keep", "drop", "request", "found_count", "token_capacity", "sampler_count") or value > 2**32 or key in world["handles"]
                value = C.c_uint64(value) if wide else C.c_uint32(value & 0xFFFFFFFF)
            raw.append(value)
        return function(*raw)
    finally:
        function.argtypes = saved


def free_scheduler(world, name):
    """One that was made holds its context."""
    if name == "llama2_scheduler_create":
        lib.free("scheduler", C.c_uint64.from_address(world["out"].value).value)


ROWS = [
    pytest.param(name, parameter, value, status, id=f"{name}-{parameter}-{number}")
    for name, (_, rows) in CALLS.items()
    for parameter, wrong in rows.items()
    for number, (value, status) in enumerate(wrong)
]


@pytest.mark.parametrize("name, parameter, value, expected", ROWS)
def test_wrong_argument_gives_its_status(world, name, parameter, value, expected):
    world["handles"] = ("model", "context", "sampler", "decoder", "grammar", "state", "adapter", "scheduler", "user_data")
    reset(world)
    lib.call("eval", world["context"], world["tokens"], 4)
    right, _ = CALLS[name]
    if name == "llama2_scheduler_cancel":
        call(world, "llama2_scheduler_submit", CALLS["llama2_scheduler_submit"][0])
    assert call(world, name, right) == OK
    free_scheduler(world, name)
    reset(world)
    lib.call("eval", world["context"], world["tokens"], 4)
    status = call(world, name, right | {parameter: value})
    if status == OK:
        free_scheduler(world, name)
    assert status == expected, lib.last_error()
    if expected != OK:
        assert lib.last_error()
        length = C.c_size_t()
        lib.call("sequence_length", world["context"], 0, C.byref(length))
        if name not in ("llama2_perplexity", "llama2_score", "llama2_importance"):  # which empty the context first
            assert length.value == 4  # nothing happened


@pytest.mark.parametrize("name", TOTAL)
def test_functions_that_cannot_fail_do_not(name):
    function = getattr(lib._cdll, name)
    saved, function.argtypes = getattr(function, "argtypes", None), None
    try:
        for arguments in TOTAL[name]:
            raw = [C.c_uint64(a) if isinstance(a, int) and a > 2**31 else a for a in arguments]
            result = function(*raw)
            if name.endswith(("version", "status_string", "last_error", "type_name")):
                assert isinstance(result, bytes)
    finally:
        function.argtypes = saved


def test_status_strings_are_total():
    known = {lib._cdll.llama2_status_string(s) for s in range(-100, 1)}
    assert b"unknown status" in known and len(known) >= 20
