"""Finds the shared library, declares its functions, and turns statuses into exceptions."""

from __future__ import annotations

import ctypes as C
import os
from pathlib import Path

from . import _structs as S
from .errors import Llama2Error, error_for

P = C.POINTER
handle, text, size, i32, u32 = C.c_void_p, C.c_char_p, C.c_size_t, C.c_int32, C.c_uint32
error = [C.c_char_p, size]
out_text = [C.c_char_p, size, P(size)]
out_tokens = [P(i32), size, P(size)]

PieceCallback = C.CFUNCTYPE(i32, P(C.c_char), size, C.c_void_p)
CancelCallback = C.CFUNCTYPE(i32, C.c_void_p)
ProgressCallback = C.CFUNCTYPE(i32, C.c_double, C.c_void_p)
ReadCallback = C.CFUNCTYPE(i32, C.c_uint64, C.c_void_p, size, C.c_void_p)
PerplexityCallback = C.CFUNCTYPE(i32, P(S.PerplexityResult), size, C.c_void_p)

_status_functions = {
    "struct_size": [u32, P(size)],
    "struct_init": [C.c_void_p, size],
    "kernels_available": [P(u32)],
    "model_load": [text, P(S.ModelOptions), P(handle), *error],
    "model_load_memory": [C.c_void_p, size, P(S.ModelOptions), P(handle), *error],
    "model_load_fd": [i32, P(S.ModelOptions), P(handle), *error],
    "model_load_io": [P(S.IO), P(S.ModelOptions), P(handle), *error],
    "model_hyperparameters": [handle, P(S.Hyperparameters)],
    "model_description": [handle, *out_text],
    "model_metadata_count": [handle, P(size)],
    "model_metadata_key": [handle, size, *out_text],
    "model_metadata": [handle, text, size, *out_text],
    "tokenize": [handle, text, size, u32, *out_tokens],
    "detokenize": [handle, P(i32), size, u32, *out_text],
    "token_piece": [handle, i32, u32, *out_text],
    "token_is_end": [handle, i32, P(i32)],
    "model_special_tokens": [handle, P(S.SpecialTokens)],
    "chat_encode": [handle, P(S.Message), size, u32, *out_tokens],
    "chat_format": [handle, *out_text],
    "decoder_create": [handle, u32, P(handle), *error],
    "decoder_append": [handle, i32, *out_text],
    "decoder_finish": [handle, *out_text],
    "preflight": [text, P(S.ModelOptions), P(S.ContextOptions), P(S.Memory), *error],
    "context_create": [handle, P(S.ContextOptions), P(handle), *error],
    "context_get_info": [handle, P(S.ContextInfo)],
    "context_reset": [handle],
    "context_set_cancel": [handle, CancelCallback, C.c_void_p],
    "eval": [handle, P(i32), size],
    "eval_batch": [handle, P(S.BatchEntry), size],
    "logits_rows": [handle, P(size)],
    "logits": [handle, size, P(P(C.c_float)), P(size)],
    "sequence_length": [handle, i32, P(size)],
    "sequence_remove": [handle, i32, size],
    "sequence_copy": [handle, i32, i32, size],
    "sequence_adopt": [handle, i32, P(i32), size, P(size)],
    "context_timings": [handle, P(S.Timings)],
    "sampler_create": [P(S.SamplerOptions), P(handle), *error],
    "sampler_reset": [handle],
    "sampler_accept": [handle, i32],
    "sample": [handle, handle, P(i32)],
    "model_tensor_count": [handle, P(size)],
    "model_tensor": [handle, size, P(S.TensorInfo), *out_text],
    "quantize": [text, text, P(S.QuantizeOptions), *error],
    "convert": [text, text, P(S.QuantizeOptions), *error],
    "importance": [handle, P(i32), size, size, text, ProgressCallback, C.c_void_p],
    "perplexity": [handle, P(i32), size, size, PerplexityCallback, C.c_void_p, P(S.PerplexityResult)],
    "score": [handle, P(i32), size, P(i32), size, P(C.c_float), P(C.c_uint8)],
    "generate": [handle, handle, P(S.GenerateOptions), PieceCallback, C.c_void_p],
}
_text_functions = {"version": [], "status_string": [i32], "type_name": [u32], "last_error": [], "context_last_error": [handle]}
_void_functions = {"model_free": [handle], "context_free": [handle], "sampler_free": [handle], "decoder_free": [handle]}


def _candidates():
    """Where the library may be, in order."""
    given = os.environ.get("LLAMA2SWIFT_LIBRARY")
    if given:
        yield given
        return
    here = Path(__file__).resolve().parent
    yield from (str(p) for p in sorted(here.glob("libllama2swift.so*")))
    built = here.parents[2] / ".build" / "release" / "libllama2swift.so"
    if built.exists():
        yield str(built)
    yield "libllama2swift.so.0"


def _load() -> C.CDLL:
    tried = []
    for path in _candidates():
        try:
            return C.CDLL(path)
        except OSError as problem:
            tried.append(str(problem))
    raise ImportError(
        "libllama2swift.so was not found; build it with `make lib` in the checkout, install it with `make install`, "
        "or set LLAMA2SWIFT_LIBRARY to its path. Tried: " + "; ".join(tried)
    )


_cdll = _load()


def _declare() -> None:
    for table, result in ((_status_functions, i32), (_text_functions, C.c_char_p), (_void_functions, None)):
        for name, arguments in table.items():
            function = getattr(_cdll, "llama2_" + name)
            function.argtypes, function.restype = arguments, result


def _check_layout() -> None:
    """Structs that state their size may be longer in a later library, which then reads as far as they reach."""
    for number, kind in S.NUMBERS.items():
        expected = size()
        call("struct_size", number, C.byref(expected))
        grown = hasattr(kind, "struct_size") and expected.value > C.sizeof(kind)
        if expected.value != C.sizeof(kind) and not grown:
            raise ImportError(
                f"the library's {kind.__name__} has {expected.value} bytes, this binding's {C.sizeof(kind)}: "
                "the library and the binding are of different versions"
            )


def last_error() -> str:
    return (_cdll.llama2_last_error() or b"").decode("utf-8", "replace")


def call(name: str, *arguments) -> None:
    """Calls a function that returns a status; the GIL is released meanwhile. Raises on failure."""
    status = getattr(_cdll, "llama2_" + name)(*arguments)
    if status != 0:
        raise error_for(status, last_error())


def call_text(name: str, *arguments) -> bytes:
    """Calls a function whose last three parameters are (text, capacity, needed)."""
    needed, capacity = size(), 256
    while True:
        buffer = C.create_string_buffer(capacity)
        status = getattr(_cdll, "llama2_" + name)(*arguments, buffer, capacity, C.byref(needed))
        if status == -6 and needed.value > capacity:  # LLAMA2_E_BUFFER_TOO_SMALL
            capacity = needed.value
            continue
        if status != 0:
            raise error_for(status, last_error())
        return buffer.raw[: needed.value]


def call_tokens(name: str, *arguments, capacity: int) -> list[int]:
    """The same for tokens; `capacity` is a first guess."""
    needed = size()
    while True:
        buffer = (i32 * capacity)()
        status = getattr(_cdll, "llama2_" + name)(*arguments, buffer, capacity, C.byref(needed))
        if status == -6 and needed.value > capacity:
            capacity = needed.value
            continue
        if status != 0:
            raise error_for(status, last_error())
        return buffer[: needed.value]


def free(kind: str, value: int) -> None:
    getattr(_cdll, f"llama2_{kind}_free")(value)


def token_array(tokens) -> C.Array:
    """int32 tokens for C; ids beyond 32 bits become -1, which the library refuses by name."""
    ids = [int(t) for t in tokens]
    return (i32 * len(ids))(*(t if -(2**31) <= t < 2**31 else -1 for t in ids))


_declare()
_check_layout()
version = _cdll.llama2_version().decode()
__all__ = ["Llama2Error", "call", "call_text", "call_tokens", "free", "version"]
