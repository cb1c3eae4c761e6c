"""Every function and parameter of the header with every wrong value of its type: what must come of each is here.

The cells are generated from the header. RULES has the status of each wrong value of a type, CELLS those of single
parameters, which a number must have: a function or parameter that the header gains without them fails. test_field_matrix.py has
the fields of structs, test_arguments.py the right values, and the wrong ones that only one parameter knows.
"""

import ctypes as C
import math
import os
import re
import threading

import header
import pytest
from argument_calls import CALLS
from argument_values import BAD, FORMAT, INVALID, IO, MISSING, NO_LOGITS, NULL, OK, Options, RANGE, SMALL, STRUCT, TOKEN
from test_arguments import resolve, world

import llama2swift
from llama2swift import _library as lib
from llama2swift import _structs as S

LARGEST, HALF = 2**64 - 1, 2**63
LOWEST32, LARGEST32 = -(2**31), 2**31 - 1
HANDLES = {f"llama2_{k}*": k for k in ("model", "context", "sampler", "decoder", "grammar", "grammar_state", "adapter", "scheduler")}
KINDS = {re.sub(r"(?<!^)(?=[A-Z][a-z])", "_", k.__name__).lower(): k for k in S.NUMBERS.values()}
STRUCTS = {"llama2_" + name + "*": kind for name, kind in KINDS.items()}
FIRST = header.first_sizes()
DECLARED, FIELD_TYPES, VALUES = header.parameters(), header.fields(), header.values()
KNOWN_FLAGS = {"llama2_tokenize": "TOKENIZE", "llama2_detokenize": "DETOKENIZE", "llama2_token_piece": "DETOKENIZE", "llama2_chat_encode": "CHAT", "llama2_decoder_create": "DECODER", "llama2_embeddings": "EMBEDDINGS"}

HANDLE = {"NULL": NULL, "freed": BAD, "made up": BAD, "largest": BAD, "misaligned": BAD, "of a later generation": BAD, "of the next kind": BAD, "of the kind after": BAD, "of the third kind": BAD}
SIZED = {"misaligned": OK, "size 0": STRUCT, "size 3": STRUCT, "size 4": STRUCT, "first size less one": STRUCT, "first size": OK, "larger, zero": OK, "of 4097 bytes": STRUCT, "largest size": STRUCT}
RULES = {
    **{kind: HANDLE for kind in HANDLES},
    **{kind + "*": {"NULL": NULL, "misaligned": OK} for kind in HANDLES},
    # options may be NULL, results may not; what lies behind what is known counts in options only
    **{kind: {"NULL": OK, "larger, not zero": STRUCT} | SIZED for kind in STRUCTS if kind.endswith("_options*")},
    **{kind: {"NULL": NULL, "larger, not zero": OK} | SIZED for kind in STRUCTS if not kind.endswith("_options*")},
    "llama2_io*": {"NULL": NULL, "larger, not zero": STRUCT} | SIZED,
    "llama2_batch_entry*": {"NULL": NULL, "misaligned": OK}, "llama2_message*": {"NULL": NULL, "misaligned": OK}, "llama2_scaled_adapter*": {"NULL": NULL, "misaligned": OK},
    "llama2_candidate*": {"NULL": NULL, "misaligned": OK}, "llama2_found*": {"NULL": NULL, "misaligned": OK}, "float": {"not a number": INVALID},
    **{kind: {"NULL": NULL, "misaligned": OK} for kind in ("int32_t*", "uint32_t*", "uint8_t*", "size_t*", "float*", "float**", "void*")},
    "char*": {"NULL": NULL}, "path": {"NULL": NULL, "empty": IO, "of 5000 bytes": IO, "not UTF-8": IO, "with a control character": IO},
    "size_t": ["zero", "2^63", "largest"], "int32_t": ["lowest", "-1", "largest"], "uint32_t": ["2^31", "largest"], "flags": {"an unknown flag": INVALID},
    **{f"llama2_{name}_callback": {"NULL": OK} for name in ("cancel", "progress", "perplexity", "piece", "layer")},
    "llama2_write_callback": {"NULL": NULL}, "uint64_t*": {"NULL": NULL, "misaligned": OK}, "uint64_t": ["zero", "2^63", "largest"],
}  # fmt: skip

# Numbers: (zero, 2^63, largest) of size_t, (lowest, -1, largest) of int32_t, (2^31, largest) of uint32_t; texts that are not UTF-8;
# and what differs from the rule.
CELLS = {
    "capacity": (SMALL, OK, OK), "error_capacity": (OK, OK, OK), "error": {"NULL": OK}, "llama2_decoder_finish.capacity": (OK, OK, OK),
    "user_data": {"NULL": OK}, "llama2_score.is_best": {"NULL": OK}, "llama2_struct_size.structure": (INVALID, INVALID), "llama2_struct_init.size": (INVALID, INVALID, INVALID),
    "llama2_model_load_memory.size": (FORMAT, INVALID, INVALID), "llama2_model_load_fd.descriptor": (IO, IO, IO), "llama2_model_metadata_key.index": (OK, RANGE, RANGE),
    "llama2_model_metadata.key_length": (MISSING, INVALID, INVALID), "llama2_model_metadata.key": {"not UTF-8": MISSING}, "llama2_tokenize.text_length": (OK, INVALID, INVALID),
    "llama2_tokenize.text": {"not UTF-8": OK}, "llama2_detokenize.count": (OK, INVALID, INVALID), "llama2_token_piece.token": (TOKEN, TOKEN, TOKEN),
    "llama2_token_is_end.token": (TOKEN, TOKEN, TOKEN), "llama2_chat_encode.count": (INVALID, INVALID, INVALID), "llama2_chat_encode_json.options": {"NULL": NULL}, "llama2_chat_render.options": {"NULL": NULL}, "llama2_decoder_append.token": (TOKEN, TOKEN, TOKEN),
    "llama2_embeddings.count": (INVALID, INVALID, INVALID), "llama2_embeddings.pooling": (INVALID, INVALID),
    "llama2_sample_logits.count": (INVALID, INVALID, INVALID), "llama2_sampler_distribution.count": (INVALID, INVALID, INVALID),
    "llama2_eval.count": (INVALID, INVALID, INVALID), "llama2_eval_batch.count": (INVALID, INVALID, INVALID), "llama2_eval_layers.count": (INVALID, INVALID, INVALID), "llama2_eval_layers.hidden_in": {"NULL": OK, "misaligned": INVALID}, "llama2_eval_layers.hidden_out": {"NULL": OK}, "llama2_logits.row": (OK, NO_LOGITS, NO_LOGITS),
    "llama2_sequence_length.sequence": (RANGE, RANGE, RANGE), "llama2_sequence_remove.sequence": (RANGE, RANGE, RANGE), "llama2_sequence_remove.length": (OK, RANGE, RANGE),
    "llama2_sequence_copy.source": (RANGE, RANGE, RANGE), "llama2_sequence_copy.target": (RANGE, RANGE, RANGE), "llama2_sequence_copy.length": (OK, RANGE, RANGE),
    **{f"llama2_state_{name}.sequence": (RANGE, OK, RANGE) for name in ("size", "save", "save_memory", "save_io", "load", "load_memory", "load_io")},
    **{f"llama2_{name}_load{memory}.size": (FORMAT, INVALID, INVALID) for name, memory in [("state", "_memory"), ("sampler", ""), ("decoder", "")]},
    "llama2_sequence_set_adapters.sequence": (RANGE, RANGE, RANGE), "llama2_sequence_set_adapters.count": (OK, INVALID, INVALID),
    "llama2_sequence_shift.sequence": (RANGE, RANGE, RANGE), "llama2_sequence_shift.keep": (OK, RANGE, RANGE), "llama2_sequence_shift.drop": (OK, RANGE, RANGE),
    "llama2_sequence_adopt.sequence": (RANGE, RANGE, RANGE), "llama2_sequence_adopt.count": (INVALID, INVALID, INVALID),
    "llama2_sampler_accept.token": (TOKEN, TOKEN, OK), "llama2_model_tensor.index": (OK, RANGE, RANGE), "llama2_importance.count": (INVALID, INVALID, INVALID),
    "llama2_importance.window": (INVALID, RANGE, RANGE), "llama2_perplexity.count": (INVALID, INVALID, INVALID), "llama2_perplexity.window": (INVALID, RANGE, RANGE),
    "llama2_grammar_create.kind": (INVALID, INVALID), "llama2_grammar_create.text_length": (OK, INVALID, INVALID), "llama2_grammar_create.text": {"not UTF-8": INVALID},
    "llama2_grammar_accepts.text_length": (OK, INVALID, INVALID), "llama2_grammar_accepts.text": {"not UTF-8": OK}, "llama2_grammar_ignored.capacity": (OK, OK, OK),
    "llama2_grammar_state_accept.token": (TOKEN, TOKEN, TOKEN), "llama2_grammar_state_withdraw.count": (OK, RANGE, RANGE), "llama2_grammar_state_allowed_within.tokens": (OK, OK, OK), "llama2_sampler_set_grammar.grammar": {"NULL": OK},
    "llama2_scheduler_submit.options": {"NULL": NULL}, "llama2_scheduler_cancel.request": (MISSING, MISSING, MISSING),
    **{f"llama2_{name}.options": {"NULL": INVALID} for name in ("beam_search", "best_of")}, "llama2_beam_search.found_count": (INVALID, INVALID, INVALID), "token_capacity": (SMALL, OK, OK),
    "llama2_best_of.sampler_count": (INVALID, INVALID, INVALID), "llama2_guide_logits.count": (INVALID, INVALID, INVALID),
    "llama2_score.prompt_count": (INVALID, INVALID, INVALID), "llama2_score.continuation_count": (OK, INVALID, INVALID),
}  # fmt: skip


def parameter_type(function, parameter):
    kind = DECLARED[function][parameter]
    if kind == "char*" and parameter in ("path", "output"):
        return "path"
    return "flags" if parameter == "flags" else kind


def cells():
    """(function, parameter, wrong value, expected)"""
    for function, (right, _) in CALLS.items():
        for parameter in DECLARED[function]:
            kind = parameter_type(function, parameter)
            rule, own = RULES[kind], CELLS.get(f"{function}.{parameter}", CELLS.get(parameter))
            if isinstance(rule, list):
                yield from ((function, parameter, wrong, status) for wrong, status in zip(rule, own, strict=True))
                continue
            text = kind == "char*" and f"{parameter}_length" in right
            assert not text or "not UTF-8" in own, f"{function}.{parameter}: what if it is not UTF-8?"
            yield from ((function, parameter, wrong, status) for wrong, status in (rule | (own or {})).items())


def at_odd_address(world, data, room=4096):
    """The address of a copy that nothing is aligned at."""
    buffer = C.create_string_buffer(bytes(data) + bytes(room + 1))
    C.memmove(C.addressof(buffer) + 1, bytes(data), len(bytes(data)))
    world["keep"].append(buffer)
    return C.addressof(buffer) + 1


def address(value):
    return C.cast(value, C.c_void_p).value


def sized_struct(world, kind, right, wrong):
    """The struct that is right, of another size or at another place."""
    raw = bytes(right.buffer.raw[: C.sizeof(kind)]) if isinstance(right, Options) else C.string_at(right, C.sizeof(kind)) if right else bytes(S.sized(kind))
    known, first = len(raw), FIRST[next(k for k, v in STRUCTS.items() if v is kind)[:-1]]
    sizes = {"size 0": 0, "size 3": 3, "size 4": 4, "first size less one": first - 1, "first size": first, "of 4097 bytes": 4097, "largest size": 2**32 - 1}
    tail = b""
    if wrong.startswith("larger"):
        sizes[wrong], tail = known + 8, bytes(7) + (b"\0" if wrong == "larger, zero" else b"\1")
    raw = sizes.get(wrong, known).to_bytes(4, "little") + raw[4:] + tail
    if wrong == "misaligned":
        return at_odd_address(world, raw)
    buffer = C.create_string_buffer(raw + bytes(8192))
    world["keep"].append(buffer)
    return C.addressof(buffer)


def wrong_value(world, function, parameter, wrong):
    kind, right = parameter_type(function, parameter), resolve(world, CALLS[function][0][parameter])
    if wrong == "NULL":
        return None
    if kind in HANDLES:
        others = [k for k in HANDLES.values() if k != HANDLES[kind]]
        return {
            "freed": world["freed"], "made up": 0x1234, "largest": LARGEST, "misaligned": right + 1, "of a later generation": right + (1 << 24),
            "of the next kind": world[others[0]], "of the kind after": world[others[1]], "of the third kind": world[others[2]],
        }[wrong]  # fmt: skip
    if kind in STRUCTS and "struct_size" in FIELD_TYPES[kind[:-1]]:
        return sized_struct(world, STRUCTS[kind], right, wrong)
    if wrong == "misaligned":
        if isinstance(right, C.Array):
            return at_odd_address(world, right)
        if isinstance(right, C.c_char_p):  # the model's bytes
            return at_odd_address(world, C.string_at(address(right), resolve(world, "model_size").value))
        return (address(right) if right is not None else address(world["out"]) + 60000) | 1
    return {
        "zero": 0, "2^63": HALF, "largest": LARGEST if kind in ("size_t", "uint64_t") else 2**32 - 1 if kind == "uint32_t" else LARGEST32, "lowest": LOWEST32, "-1": -1, "2^31": 2**31,
        "empty": b"", "of 5000 bytes": b"/" + b"x" * 5000, "with a control character": b"/nowhere/\x1b[2J\n", "an unknown flag": 0, "not a number": math.nan,
        "not UTF-8": b"/nowhere/\xff\xfe" if kind == "path" else b"\xff\xfe\x80" + b"x" * 200,
    }[wrong]  # fmt: skip


C_TYPES = {"float": C.c_float, "size_t": C.c_size_t, "uint64_t": C.c_uint64, "int32_t": C.c_int32, "uint32_t": C.c_uint32}


def call(world, function, **changed):
    """With the right arguments but for those changed; what was made is freed."""
    raw = []
    for parameter, right in CALLS[function][0].items():
        value = changed[parameter] if parameter in changed else resolve(world, right)
        if isinstance(value, C._SimpleCData) and not isinstance(value, (C.c_void_p, C.c_char_p)):
            value = value.value
        if isinstance(value, (int, float)) or value is None:
            value = C_TYPES.get(DECLARED[function][parameter], C.c_void_p)(value)
        raw.append(C.c_char_p(value) if isinstance(value, bytes) else value)
    status = C.CFUNCTYPE(C.c_int32, *(type(v) for v in raw))(C.cast(getattr(lib._cdll, function), C.c_void_p).value)(*raw)
    made = next((p for p, kind in DECLARED[function].items() if kind[:-1] in HANDLES and kind.endswith("**") and p != "samplers"), None)
    if made and status == OK:
        where = changed.get(made) or address(world["out"])
        lib.free(HANDLES[DECLARED[function][made][:-1]], int.from_bytes(C.string_at(where, 8), "little"))
    return status


def prepare(world):
    lib.call("context_reset", world["context"])
    for sequence in range(2):  # embeddings take all sequences as one
        lib.call("sequence_set_adapters", world["context"], sequence, None, 0)
    lib.call("eval", world["context"], world["tokens"], 4)
    if not world.get("has submitted"):  # so that there is a request to cancel
        world["has submitted"] = call(world, "llama2_scheduler_submit") == OK


def check(world, function, expected, **changed):
    prepare(world)
    status = call(world, function, **changed)
    assert status == expected, lib.last_error()
    if expected != OK:
        assert lib.last_error() and lib.last_error().isprintable()
        length = C.c_size_t()
        lib.call("sequence_length", world["context"], 0, C.byref(length))
        assert length.value == (0 if function in ("llama2_perplexity", "llama2_score", "llama2_importance") and length.value == 0 else 4)  # those may have emptied it


def ids(cell):
    return "-".join(str(part) for part in cell[:3]).replace(" ", "_")


@pytest.mark.parametrize("cell", list(cells()), ids=ids)
def test_a_wrong_argument(world, cell):
    function, parameter, wrong, expected = cell
    if wrong != "an unknown flag":
        return check(world, function, expected, **{parameter: wrong_value(world, function, parameter, wrong)})
    known = sum(v for n, v in VALUES.items() if n.startswith(f"LLAMA2_{KNOWN_FLAGS[function]}_"))
    for bit in range(32):
        if not known >> bit & 1:
            check(world, function, expected, **{parameter: 1 << bit})
    check(world, function, OK, **{parameter: known & ~1 if function == "llama2_chat_encode" else known})


# ---- Functions that cannot fail, and other threads


@pytest.mark.parametrize("kind", HANDLES.values())
def test_freeing_what_is_no_such_handle_does_nothing(world, kind):
    free = C.CFUNCTYPE(None, C.c_void_p)(C.cast(getattr(lib._cdll, f"llama2_{kind}_free"), C.c_void_p).value)
    right = world[kind]
    for wrong in (None, 1, 0x1234, LARGEST, HALF, world["freed"], right + 1, right + 16, right + (1 << 24), *(world[k] for k in HANDLES.values() if k != kind)):
        free(wrong)
    for function in CALLS:  # all handles are as they were
        prepare(world)
        assert call(world, function) == OK, function


INITS = [name for name in DECLARED if name.endswith("_options_init")]


@pytest.mark.parametrize("odd", [0, 1, 3])
@pytest.mark.parametrize("name", INITS)
def test_init_writes_no_more_than_the_struct_of_the_first_version(name, odd):
    """An older program has no more room. The header's macro of the same name calls llama2_struct_init, which is told sizeof."""
    first = FIRST[next(iter(DECLARED[name].values()))[:-1]]
    buffer = C.create_string_buffer(b"\xa5" * 4096)
    C.CFUNCTYPE(None, C.c_void_p)(C.cast(getattr(lib._cdll, name), C.c_void_p).value)(C.addressof(buffer) + odd)
    written = buffer.raw[odd:]
    assert written[:first] == first.to_bytes(4, "little") + bytes(first - 4)
    assert buffer.raw[:odd] == b"\xa5" * odd and set(written[first:4000]) == {0xA5}


def test_every_function_may_be_called_from_another_thread(world):
    found = {}

    def work():
        for function in CALLS:
            prepare(world)
            found[function] = call(world, function)
        found["wrong"] = call(world, "llama2_eval", tokens=None), lib.last_error()

    before = lib.last_error()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == dict.fromkeys(CALLS, OK) | {"wrong": (NULL, "tokens is NULL")}
    assert lib.last_error() == before  # the sentence is the thread's own


def test_a_path_that_is_not_utf8_is_opened_as_the_bytes_that_it_is(tmp_path, stories_path):
    """As open(2) takes it: Linux's names are bytes."""
    folder = bytes(tmp_path) + b"/\xff\xf4\x8f\xbd\x81\xed\xa0\x80"
    os.mkdir(folder)
    for name in ("stories260K.bin", "tok512.bin"):
        with open(folder + b"/" + name.encode(), "wb") as out, open(os.path.join(os.path.dirname(stories_path), name), "rb") as source:
            out.write(source.read())
    model = llama2swift.Model(os.fsdecode(folder + b"/stories260K.bin"))
    assert model.detokenize(model.tokenize("Once")) == "Once"  # its vocabulary was found beside it
    quantized = os.path.join(folder, b"\xfe.gguf")
    assert lib._cdll.llama2_quantize(folder + b"/stories260K.bin", quantized, None, None, 0) == OK
    assert sorted(os.listdir(folder)) == [b"stories260K.bin", b"tok512.bin", b"\xfe.gguf"]
    with pytest.raises(llama2swift.Llama2Error, match="No such file"):
        llama2swift.Model(os.fsdecode(folder.replace(b"\xff", b"\xfe") + b"/stories260K.bin"))
