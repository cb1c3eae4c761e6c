"""Every function of the header with every argument wrong: the status is written down, and nothing crashes.

A function or parameter that the header gains without rows here fails the first test.
"""

import ctypes as C
import math

import adapters as L
import pytest
from header import first_sizes, functions, values

import llama2swift
from llama2swift import _library as lib
from llama2swift import _structs as S

OK, NULL, INVALID, BAD, STRUCT, RANGE, SMALL, TOKEN, MISSING, FORBIDDEN = 0, -1, -2, -3, -4, -5, -6, -7, -8, -9
NOMEM, IO, FORMAT, CORRUPT, UNSUPPORTED, FULL, NO_LOGITS = -20, -21, -40, -41, -42, -60, -63
HUGE = 2**64 - 1


STORIES = dict(vocabulary=512, dim=64, layers=5, heads=8, heads_kv=4, hidden=172)


def scaled(*rows):
    pairs = list(zip(rows[::2], rows[1::2]))
    return (S.ScaledAdapter * len(pairs))(*(S.ScaledAdapter(*pair, 0) for pair in pairs))


class Options:
    """A struct with one field changed, or a size that is wrong, or content behind what the library knows."""

    def __init__(self, kind, struct_size=None, tail=b"", **fields):
        raw = S.sized(kind)
        for name, value in fields.items():
            setattr(raw, name, value)
        if struct_size is not None:
            raw.struct_size = struct_size
        elif tail:
            raw.struct_size = C.sizeof(kind) + len(tail)
        self.buffer = C.create_string_buffer(bytes(raw) + tail + bytes(4096))
        self.kept = fields

    def pointer(self):
        return C.cast(self.buffer, C.c_void_p)


FIRST = {S.NUMBERS[values()["LLAMA2_STRUCT_" + name[len("llama2_") :].upper()]]: size for name, size in first_sizes().items()}


def sizes(kind):
    """The rows that every struct with struct_size has; one of the version that brought it is right."""
    return [
        (Options(kind, 0), STRUCT), (Options(kind, 3), STRUCT), (Options(kind, FIRST[kind] - 1), STRUCT), (Options(kind, FIRST[kind]), OK),
        (Options(kind, 2**32 - 1), STRUCT), (Options(kind, tail=bytes(64)), OK),
    ]  # fmt: skip


def inputs(kind, **wrong):
    return [
        *sizes(kind), (Options(kind, tail=b"\0\1"), STRUCT),
        *[(Options(kind, **{name: value}), status) for name, (value, status) in wrong.items()],
    ]  # fmt: skip


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


ANY_HANDLE = [(None, NULL), ("freed", BAD), (0x1234, BAD), (HUGE, BAD)]


def handle(kind):
    others = [k for k in ("model", "context", "sampler", "decoder", "grammar", "grammar_state", "adapter", "scheduler") if k != kind]
    return ANY_HANDLE + [(o, BAD) for o in others]


def entries(*rows):
    return (S.BatchEntry * len(rows))(*(S.BatchEntry(*r) for r in rows))


def message(role, content, role_length=None, content_length=None):
    r, c = len(role or b""), len(content or b"")
    return (S.Message * 1)(S.Message(role, r if role_length is None else role_length, content, c if content_length is None else content_length))


def bias(token, value):
    return C.pointer(S.LogitBias(token, value))


stop = C.pointer(S.Text(b"\xff", 1))
long_stop = C.pointer(S.Text(b"x" * 5000, 5000))

model, context, sampler, decoder, grammar, state, adapter, scheduler = (handle(k) for k in ("model", "context", "sampler", "decoder", "grammar", "grammar_state", "adapter", "scheduler"))
model_options = inputs(S.ModelOptions, flags=(2, INVALID), context_length=(2**30 + 1, INVALID), first_layer=(5, RANGE), layer_count=(6, RANGE), reserved=(1, INVALID)) + [(Options(S.ModelOptions, flags=1, layer_count=1), INVALID)]
context_options = inputs(
    S.ContextOptions, flags=(16, INVALID), context_length=(2**31, INVALID), max_sequences=(1025, INVALID),
    batch_size=(4097, INVALID), threads=(1025, INVALID), kernels=(7, INVALID), reserved=(1, INVALID), energy_path=(b"/nowhere", IO),
    rope_scaling=(5, INVALID), rope_trained_length=(1, INVALID), rope_factor=(2, INVALID), rope_base=(0.5, INVALID), rope_attention=(2, INVALID), rope_beta_fast=(2, INVALID),
    rope_beta_slow=(2, INVALID), type_k=(5, INVALID), type_v=(5, INVALID),
)  # fmt: skip
context_options += [(Options(S.ContextOptions, rope_scaling=k, **more), status) for k, more, status in (
    (1, {}, OK), (2, {}, INVALID), (3, {}, INVALID), (4, {}, INVALID), (4, dict(rope_factor=4), OK), (1, dict(rope_factor=4), INVALID), (2, dict(rope_factor=1e-4), INVALID),
    (3, dict(rope_factor=2e6), INVALID), (4, dict(rope_factor=math.nan), INVALID), (4, dict(rope_factor=4, rope_trained_length=2**30 + 1), INVALID), (2, dict(rope_factor=4, rope_beta_fast=2), INVALID),
    (4, dict(rope_factor=4, rope_beta_fast=2, rope_beta_slow=0.5, rope_attention=1.5, rope_base=5e5, rope_trained_length=100), OK), (4, dict(rope_factor=4, rope_base=1), UNSUPPORTED), (0, dict(rope_base=5e5), OK),
    (1, dict(rope_attention=1e4), INVALID),
)]  # fmt: skip
sampler_options = inputs(
    S.SamplerOptions, flags=(4, INVALID), reserved=(1, INVALID), mirostat=(3, INVALID), no_repeat_ngram=(1025, INVALID), dry_breaker_count=(65, INVALID),
    step_count=(65, INVALID), own_step_count=(65, INVALID), text_bias_count=(65537, INVALID), min_tokens=(1, INVALID), dry_multiplier=(1, INVALID), temperature=(-1, RANGE), top_p=(1.5, RANGE), min_p=(1.5, RANGE),
    repetition_penalty=(-1, RANGE), frequency_penalty=(math.inf, RANGE), presence_penalty=(math.nan, INVALID),
    penalty_last_n=(-2, RANGE), logit_bias_count=(HUGE, INVALID),
) + [
    (Options(S.SamplerOptions, temperature=math.nan), INVALID), (Options(S.SamplerOptions, top_k=2**31 - 1), OK),
    (Options(S.SamplerOptions, logit_bias_count=1), NULL),
    (Options(S.SamplerOptions, logit_bias=bias(-1, 0), logit_bias_count=1), RANGE),
    (Options(S.SamplerOptions, logit_bias=bias(1, math.nan), logit_bias_count=1), INVALID),
]  # fmt: skip
TALK = b'[{"role":"user","content":"hi"}]'


def talk(**more):
    return Options(S.ChatOptions, **dict(messages=TALK, messages_length=len(TALK)) | more)


chat_options = [
    (None, NULL), (talk(struct_size=0), STRUCT), (talk(struct_size=95), STRUCT), (talk(struct_size=2**32 - 1), STRUCT), (talk(tail=bytes(64)), OK), (talk(tail=b"\0\1"), STRUCT),
    (talk(flags=4), INVALID), (talk(messages=None), NULL), (talk(messages_length=0), INVALID), (talk(messages_length=HUGE), INVALID), (talk(messages_length=len(TALK) - 1), INVALID),
    (talk(messages=b"{}", messages_length=2), INVALID), (talk(messages=b"[1]", messages_length=3), INVALID), (talk(messages=b"[]", messages_length=2), INVALID),
    (talk(tools=b"5", tools_length=1), INVALID), (talk(tools=b"[5]", tools_length=3), INVALID), (talk(tools=None, tools_length=3), NULL), (talk(documents=b"{}", documents_length=2), INVALID),
    (talk(variables=b"[]", variables_length=2), INVALID), (talk(variables=b'{"messages":1}', variables_length=14), INVALID), (talk(variables=b"{}", variables_length=2), OK),
    (talk(template_text=b"{% if %}", template_length=8), -43), (talk(template_text=b"chatml", template_length=6), OK), (talk(time=-1), OK), (talk(time=2**63 - 1), OK),
    (talk(template_text=b"{{strftime_now('%Y')}}", template_length=22, time=2**63 - 1), -43),
]  # fmt: skip
generate_options = inputs(S.GenerateOptions, flags=(64, INVALID), draft=(0x1234, BAD), reserved=(1, INVALID), best=(1, INVALID), prompt_count=(3, NULL), stop_count=(65, INVALID)) + [
    (Options(S.GenerateOptions, stop_count=1), NULL), (Options(S.GenerateOptions, stops=stop, stop_count=1), INVALID),
    (Options(S.GenerateOptions, stops=long_stop, stop_count=1), INVALID),
    (Options(S.GenerateOptions, prompt_count=HUGE), INVALID),
]  # fmt: skip
override = C.pointer(S.TypeOverride(b"attn_q", b"Q7_7"))
half_override = C.pointer(S.TypeOverride(None, b"Q8_0"))
typeless_override = C.pointer(S.TypeOverride(b"attn_q", None))
grammar_options = inputs(S.GrammarOptions, flags=(8, INVALID))
quantize_options = inputs(
    S.QuantizeOptions, flags=(2, INVALID), threads=(1025, INVALID), reserved=(1, INVALID), reserved_2=(1, INVALID), reserved_3=(1, INVALID), adapter_scale=(math.nan, INVALID), context_length=(2**30 + 1, INVALID), type=(b"q4", INVALID), override_count=(HUGE, INVALID),
) + [
    (Options(S.QuantizeOptions, override_count=1), NULL), (Options(S.QuantizeOptions, override_count=1025), INVALID),
    (Options(S.QuantizeOptions, importance=b"/nowhere/imatrix.gguf"), IO), (Options(S.QuantizeOptions, adapter=b"/nowhere/adapter"), IO),
    (Options(S.QuantizeOptions, overrides=override, override_count=1), INVALID),
    (Options(S.QuantizeOptions, overrides=half_override, override_count=1), NULL),
    (Options(S.QuantizeOptions, overrides=typeless_override, override_count=1), NULL),
]  # fmt: skip
scheduler_options = inputs(S.SchedulerOptions, draft=(0x1234, BAD), flags=(1, INVALID), prompt_tokens_per_step=(4097, INVALID), max_requests=(65537, INVALID))


def ask(*, ids=(1, 2), **more):
    return Options(S.RequestOptions, **dict(tokens=(C.c_int32 * max(len(ids), 1))(*ids), token_count=len(ids), max_tokens=2) | more)


def seek(*, ids=(1, 2), **more):
    return Options(S.SearchOptions, **dict(prompt=(C.c_int32 * max(len(ids), 1))(*ids), prompt_count=len(ids), max_tokens=2, width=1) | more)


def greedy(**more):
    raw = S.sized(S.SamplerOptions)
    for name, value in more.items():
        setattr(raw, name, value)
    return C.pointer(raw)


on_event = S.EventCallback(lambda *_: 0)
told = C.cast(on_event, C.c_void_p).value
request_options = [
    (None, NULL), (ask(struct_size=0), STRUCT), (ask(struct_size=127), STRUCT), (ask(struct_size=2**32 - 1), STRUCT), (ask(tail=bytes(64)), OK), (ask(tail=b"\0\1"), STRUCT),
    (ask(flags=16), INVALID), (ask(flags=3), OK), (ask(reserved=1), INVALID), (ask(reserved_2=1), INVALID), (ask(flags=4), INVALID), (ask(flags=8), INVALID),
    (ask(flags=12, best=1024, callback=told), OK), (ask(flags=4, best=1025, callback=told), INVALID), (ask(best=1, callback=told), INVALID), (ask(ids=()), INVALID), (ask(ids=(1, 512)), TOKEN), (ask(ids=(-1,)), TOKEN), (ask(ids=[1] * 64), OK), (ask(ids=[1] * 65), FULL),
    (ask(tokens=None), NULL), (ask(token_count=HUGE), INVALID), (ask(sampler=0x1234), BAD), (ask(grammar=0x1234), BAD), (ask(sampler=0x1234, sampler_options=greedy()), INVALID),
    (ask(sampler_options=greedy(temperature=-1)), RANGE), (ask(sampler_options=greedy(flags=4)), INVALID), (ask(sampler_options=greedy(logit_bias=bias(512, 1), logit_bias_count=1)), RANGE),
    (ask(sampler_options=greedy(struct_size=1)), STRUCT), (ask(stop_count=1), NULL), (ask(stop_count=65), INVALID), (ask(stops=stop, stop_count=1), INVALID), (ask(stops=long_stop, stop_count=1), INVALID),
    (ask(adapter_count=1), NULL), (ask(adapter_count=65, adapters=scaled(0x1234, 1.0)), INVALID), (ask(adapter_count=1, adapters=scaled(0x1234, 1.0)), BAD), (ask(adapter_count=HUGE), INVALID),
    (ask(max_tokens=HUGE), OK), (ask(deadline_milliseconds=HUGE), OK), (ask(deadline_milliseconds=2**63), OK), (ask(priority=-(2**31)), OK), (ask(priority=2**31 - 1), OK),
]  # fmt: skip
search_options = [
    (None, INVALID), (seek(struct_size=0), STRUCT), (seek(struct_size=47), STRUCT), (seek(struct_size=2**32 - 1), STRUCT), (seek(tail=bytes(64)), OK), (seek(tail=b"\0\1"), STRUCT),
    (seek(reserved=1), INVALID), (seek(flags=4), INVALID), (seek(ids=()), INVALID), (seek(ids=(1, 512)), TOKEN), (seek(ids=(-1,)), TOKEN), (seek(ids=[1] * 61), FULL),
    (seek(ids=[1] * 65), FULL), (seek(prompt=None), NULL), (seek(prompt_count=HUGE), INVALID), (seek(max_tokens=0), RANGE), (seek(max_tokens=65), RANGE), (seek(max_tokens=HUGE), RANGE),
]  # fmt: skip
beam_options = [*search_options, (seek(flags=1), OK), (seek(flags=2), OK), (seek(flags=3), INVALID), (seek(width=2), INVALID), (seek(width=0), INVALID), (seek(width=257), INVALID),
                (seek(width=2**32 - 1), INVALID), (seek(length_penalty=math.nan), INVALID), (seek(length_penalty=math.inf), INVALID), (seek(length_penalty=-2.5), OK)]  # fmt: skip
outputs = [(None, NULL), (b"/nowhere/model.gguf", IO), (b"", IO), (b"/", IO)]
paths = [(None, NULL), (b"/nowhere/model.gguf", IO), (b"", IO), (b"/", FORMAT), ("text", FORMAT), (b"\xff\xfe", IO)]
out_text = dict(text=[(None, NULL)], capacity=[(0, SMALL), (1, SMALL)], needed=[(None, NULL)])
out_tokens = dict(tokens=[(None, NULL)], capacity=[(0, SMALL), (1, SMALL)], needed=[(None, NULL)])
error = dict(error=[(None, OK)], error_capacity=[(0, OK), (1, OK), (HUGE, OK)])
new = [(None, NULL)]
no_sequence = [(-2, RANGE), (2, RANGE), (-(2**31), RANGE), (2**31 - 1, RANGE)]
counts = [(HUGE, INVALID), (2**63, INVALID)]

# What is passed where nothing is wrong, and the rows of each parameter: (value, expected status).
CALLS = {
    "llama2_struct_size": (dict(structure=1, size="out"), dict(structure=[(0, INVALID), (36, INVALID), (2**32 - 1, INVALID)], size=new)),
    "llama2_struct_init": (dict(structure="out", size=64), dict(structure=new, size=[(0, INVALID), (3, INVALID), (4, OK), (4096, OK), (4097, INVALID), *counts])),
    "llama2_kernels_available": (dict(mask="out"), dict(mask=new)),
    "llama2_model_load": (
        dict(path="path", options=None, model="out", error=None, error_capacity=0),
        dict(path=paths, options=[(None, OK), *model_options], model=new, **error),
    ),
    "llama2_model_load_memory": (
        dict(data="model_bytes", size="model_size", options=None, model="out", error=None, error_capacity=0),
        dict(data=[(None, NULL)], size=[(0, FORMAT), (100, FORMAT), *counts], options=[(None, OK), *model_options], model=new, **error),
    ),
    "llama2_model_load_fd": (
        dict(descriptor="model_fd", options=None, model="out", error=None, error_capacity=0),
        dict(descriptor=[(-1, IO), (2**31 - 1, IO)], options=[(None, OK), *model_options], model=new, **error),
    ),
    "llama2_model_load_io": (
        dict(io="model_io", options=None, model="out", error=None, error_capacity=0),
        dict(io=[(None, NULL), *[(o, status if status else NULL) for o, status in sizes(S.IO)], (Options(S.IO, size=4, read=1, reserved=1), INVALID),
                 (Options(S.IO, size=4), NULL), ("failing_io", IO), (Options(S.IO, size=2**64 - 1, read=1), INVALID), (Options(S.IO, size=2**62, read=1), NOMEM), (Options(S.IO, size=0, read=1), FORMAT)],
             options=[(None, OK), *model_options], model=new, **error),
    ),
    "llama2_model_hyperparameters": (
        dict(model="model", values=Options(S.Hyperparameters)), dict(model=model, values=[(None, NULL), *sizes(S.Hyperparameters)])),
    "llama2_model_description": (dict(model="model", text="out", capacity=1000, needed="out2"), dict(model=model, **out_text)),
    "llama2_model_metadata_count": (dict(model="model", count="out"), dict(model=model, count=new)),
    "llama2_model_metadata_key": (
        dict(model="model", index=0, text="out", capacity=1000, needed="out2"),
        dict(model=model, index=[(1000, RANGE), (HUGE, RANGE)], **out_text),
    ),
    "llama2_model_metadata": (
        dict(model="model", key=b"general.architecture", key_length=20, text="out", capacity=1000, needed="out2"),
        dict(model=model, key=[(None, NULL), (b"x" * 20, MISSING), (b"\xff" * 20, MISSING)], key_length=[(0, MISSING), (5, MISSING), *counts], **out_text),
    ),
    "llama2_tokenize": (
        dict(model="model", text=b"hello there", text_length=11, flags=0, tokens="out", capacity=100, count="out2"),
        dict(model=model, text=[(None, NULL), (b"\xff\xfe\0 \x80.......", OK)], text_length=[(0, OK), (HUGE, INVALID), (2**40, INVALID)],
             flags=[(24, OK), (32, INVALID), (2**31, INVALID)], tokens=[(None, NULL)], capacity=[(0, SMALL), (1, SMALL)], count=new),
    ),
    "llama2_detokenize": (
        dict(model="model", tokens="tokens", count=4, flags=0, text="out", capacity=1000, length="out2"),
        dict(model=model, tokens=[(None, NULL), ("wrong_tokens4", TOKEN)], count=[(0, OK), *counts], flags=[(2, INVALID)], text=[(None, NULL)],
             capacity=[(0, SMALL)], length=new),
    ),
    "llama2_token_piece": (
        dict(model="model", token=300, flags=0, text="out", capacity=100, needed="out2"),
        dict(model=model, token=[(-1, TOKEN), (512, TOKEN), (2**31 - 1, TOKEN)], flags=[(2, INVALID)], text=[(None, NULL)], capacity=[(0, SMALL)], needed=new),
    ),
    "llama2_token_is_end": (dict(model="model", token=2, is_end="out"), dict(model=model, token=[(-1, TOKEN), (512, TOKEN)], is_end=new)),
    "llama2_model_special_tokens": (
        dict(model="model", tokens=Options(S.SpecialTokens)), dict(model=model, tokens=[(None, NULL), *sizes(S.SpecialTokens)])),
    "llama2_chat_encode": (
        dict(model="model", messages=message(b"user", b"hi"), count=1, flags=0, tokens="out", capacity=1000, needed="out2"),
        dict(model=model, messages=[(None, NULL), (message(None, b"hi", 4), NULL), (message(b"user", None, None, 5), NULL), (message(b"user", b"hi", HUGE), INVALID),
             (message(b"x" * 65, b"hi"), INVALID)], count=[(0, INVALID), (2**21, INVALID), (HUGE, INVALID)], flags=[(4, INVALID)], tokens=[(None, NULL)],
             capacity=[(0, SMALL)], needed=new),
    ),
    "llama2_chat_encode_json": (
        dict(model="model", options=talk(), tokens="out", capacity=1000, needed="out2"),
        dict(model=model, options=chat_options, tokens=[(None, NULL)], capacity=[(0, SMALL)], needed=new),
    ),
    "llama2_chat_render": (dict(model="model", options=talk(), text="out", capacity=1000, needed="out2"), dict(model=model, options=chat_options, **out_text)),
    "llama2_chat_format": (dict(model="model", text="out", capacity=100, needed="out2"), dict(model=model, **out_text)),
    "llama2_decoder_create": (
        dict(model="model", flags=0, decoder="out", error=None, error_capacity=0), dict(model=model, flags=[(4, INVALID)], decoder=new, **error)),
    "llama2_decoder_append": (
        dict(decoder="decoder", token=300, text="out", capacity=100, length="out2"),
        dict(decoder=decoder, token=[(-1, TOKEN), (512, TOKEN)], text=[(None, NULL)], capacity=[(0, SMALL)], length=new),
    ),
    "llama2_decoder_finish": (
        dict(decoder="decoder", text="out", capacity=100, length="out2"), dict(decoder=decoder, text=[(None, NULL)], capacity=[(0, OK)], length=new)),
    "llama2_decoder_save": (
        dict(decoder="decoder", data="out", capacity=1000, needed="out2"),
        dict(decoder=decoder, data=[(None, NULL)], capacity=[(0, SMALL), (63, SMALL), (64, OK)], needed=new),
    ),
    "llama2_decoder_load": (
        dict(decoder="decoder", data="saved_decoder", size="saved_decoder_size"),
        dict(decoder=decoder, data=[(None, NULL), ("saved_sampler", FORMAT)], size=[(0, FORMAT), (31, CORRUPT), (56, CORRUPT), *counts]),
    ),
    "llama2_preflight": (
        dict(path="path", model_options=None, context_options=None, memory=Options(S.Memory), error=None, error_capacity=0),
        dict(path=paths, model_options=[(None, OK), *model_options], context_options=[(None, OK), *context_options], memory=[(None, NULL), *sizes(S.Memory)], **error),
    ),
    "llama2_context_create": (
        dict(model="model", options=None, context="out", error=None, error_capacity=0),
        dict(model=model, options=[(None, OK), *context_options], context=new, **error),
    ),
    "llama2_context_get_info": (dict(context="context", info=Options(S.ContextInfo)), dict(context=context, info=[(None, NULL), *sizes(S.ContextInfo)])),
    "llama2_context_reset": (dict(context="context"), dict(context=context)),
    "llama2_context_set_cancel": (dict(context="context", callback=lib.CancelCallback(0), user_data=None), dict(context=context, callback=[(lib.CancelCallback(0), OK)], user_data=[(1, OK)])),
    "llama2_eval": (
        dict(context="context", tokens="tokens", count=4),
        dict(context=context, tokens=[(None, NULL), ("wrong_tokens4", TOKEN), ("negative4", TOKEN)], count=[(0, INVALID), (65, FULL), (2**40, FULL), *counts]),
    ),
    "llama2_eval_batch": (
        dict(context="context", entries=entries((1, 0, 1)), count=1),
        dict(context=context, entries=[(None, NULL), (entries((-1, 0, 1)), TOKEN), (entries((512, 0, 1)), TOKEN), (entries((1, 2, 1)), RANGE),
             (entries((1, -1, 1)), RANGE), (entries((1, 0, 2)), INVALID)], count=[(0, INVALID), (65, FULL), (2**40, FULL), *counts]),
    ),
    "llama2_eval_layers": (
        dict(context="context", entries=entries((1, 0, 1)), count=1, hidden_in=None, hidden_out="out"),
        dict(context=context, entries=[(None, NULL), (entries((512, 0, 1)), TOKEN), (entries((1, 2, 1)), RANGE), (entries((1, 0, 2)), INVALID)],
             count=[(0, INVALID), (65, FULL), (2**40, FULL), *counts], hidden_in=[("out", INVALID)], hidden_out=[(None, OK)]),
    ),
    "llama2_logits_rows": (dict(context="context", rows="out"), dict(context=context, rows=new)),
    "llama2_logits": (
        dict(context="context", row=0, logits="out", count="out2"),
        dict(context=context, row=[(1, NO_LOGITS), (HUGE, NO_LOGITS), (2**63, NO_LOGITS)], logits=new, count=new),
    ),
    "llama2_embeddings": (
        dict(context="context", tokens="tokens", lengths=(C.c_size_t * 2)(1, 3), count=2, pooling=1, flags=1, embeddings="out", capacity=2000, needed="out2"),
        dict(context=context, tokens=[(None, NULL), ("wrong_tokens4", TOKEN), ("negative4", TOKEN)],
             lengths=[(None, NULL), ((C.c_size_t * 2)(1, 0), INVALID), ((C.c_size_t * 2)(1, HUGE), INVALID), ((C.c_size_t * 2)(2**63 - 1, 1), FULL), ((C.c_size_t * 2)(1, 2**61), FULL)],
             count=[(0, INVALID), *counts], pooling=[(0, OK), (2, OK), (3, OK), (4, INVALID), (2**32 - 1, INVALID)], flags=[(0, OK), (2, INVALID)],
             embeddings=[(None, NULL)], capacity=[(0, SMALL), (127, SMALL), (128, OK)], needed=new),
    ),
    "llama2_sequence_length": (dict(context="context", sequence=0, length="out"), dict(context=context, sequence=[(-1, RANGE), (2, RANGE), (2**31 - 1, RANGE)], length=new)),
    "llama2_sequence_remove": (
        dict(context="context", sequence=0, length=0), dict(context=context, sequence=[(-1, RANGE), (2, RANGE)], length=[(64, RANGE), (HUGE, RANGE)])),
    "llama2_sequence_copy": (
        dict(context="context", source=0, target=1, length=2),
        dict(context=context, source=[(-1, RANGE), (2, RANGE), (1, RANGE)], target=[(-1, RANGE), (2, RANGE), (2**31 - 1, RANGE), (0, INVALID)],
             length=[(0, OK), (5, RANGE), (HUGE, RANGE), (2**63, RANGE)]),
    ),
    "llama2_sequence_adopt": (
        dict(context="context", sequence=1, tokens="tokens", count=4, found="out"),
        dict(context=context, sequence=[(-1, RANGE), (2, RANGE), (0, INVALID)], tokens=[(None, NULL), ("wrong_tokens4", TOKEN), ("negative4", TOKEN)],
             count=[(0, INVALID), *counts], found=new),
    ),
    "llama2_sequence_shift": (
        dict(context="context", sequence=0, keep=1, drop=2),
        dict(context=context, sequence=[(-1, RANGE), (2, RANGE), (1, RANGE)], keep=[(0, OK), (2, OK), (3, RANGE), (HUGE, RANGE), (HUGE - 1, RANGE), (2**63, RANGE)],
             drop=[(0, OK), (3, OK), (4, RANGE), (HUGE, RANGE), (2**63 - 1, RANGE)]),
    ),
    "llama2_context_set_layer_callback": (
        dict(context="context", callback=S.LayerCallback(0), user_data=None, options=None),
        dict(context=context, callback=[(S.LayerCallback(0), OK)], user_data=[(1, OK)],
             options=[(None, OK), *inputs(S.LayerOptions, flags=(4, INVALID), first_layer=(5, RANGE), layer_count=(6, RANGE), reserved=(1, INVALID)), (Options(S.LayerOptions, flags=2, sequence=2), RANGE)]),
    ),
    "llama2_adapter_load": (
        dict(model="model", path="adapter_path", adapter="out", error=None, error_capacity=0),
        dict(model=model, path=[(None, NULL), (b"/nowhere/adapter", IO), (b"", IO), (b"/", FORMAT), ("text", FORMAT), ("path", FORMAT)], adapter=new, **error),
    ),
    "llama2_adapter_get_info": (dict(adapter="adapter", info=Options(S.AdapterInfo)), dict(adapter=adapter, info=[(None, NULL), *sizes(S.AdapterInfo)])),
    "llama2_sequence_set_adapters": (
        dict(context="context", sequence=1, adapters="scaled", count=1),
        dict(context=context, sequence=[(-1, RANGE), (2, RANGE), (0, INVALID)], adapters=[(None, NULL), (scaled(0x1234, 1.0), BAD), (scaled(None, 1.0), NULL)],
             count=[(0, OK), (65, INVALID), *counts]),
    ),
    "llama2_state_size": (dict(context="context", sequence=-1, size="out"), dict(context=context, sequence=no_sequence, size=new)),
    "llama2_state_save": (dict(context="context", sequence=-1, path="output"), dict(context=context, sequence=no_sequence, path=outputs)),
    "llama2_state_save_memory": (
        dict(context="context", sequence=-1, data="out", capacity=30000, needed="out2"),
        dict(context=context, sequence=no_sequence, data=[(None, NULL)], capacity=[(0, SMALL), (1, SMALL)], needed=new),
    ),
    "llama2_state_save_io": (
        dict(context="context", sequence=-1, write="writes", user_data=None),
        dict(context=context, sequence=no_sequence, write=[(S.WriteCallback(0), NULL), (S.WriteCallback(lambda *_: 5), IO)], user_data=[(1, OK)]),
    ),
    "llama2_state_load": (
        dict(context="context", sequence=-1, path="state_path"),
        dict(context=context, sequence=[*no_sequence, (0, INVALID)],
             path=[(None, NULL), (b"/nowhere/state", IO), (b"", IO), (b"/", IO), ("text", FORMAT), ("path", FORMAT), (b"\xff\xfe", IO)]),
    ),
    "llama2_state_load_memory": (
        dict(context="context", sequence=-1, data="state", size="state_size"),
        dict(context=context, sequence=[*no_sequence, (0, INVALID)], data=[(None, NULL)], size=[(0, FORMAT), (79, CORRUPT), (100, CORRUPT), *counts]),
    ),
    "llama2_state_load_io": (
        dict(context="context", sequence=-1, io="state_io"),
        dict(context=context, sequence=[*no_sequence, (0, INVALID)],
             io=[(None, NULL), *[(o, status if status else NULL) for o, status in sizes(S.IO)], ("failing_io", IO), ("model_io", FORMAT),
                 (Options(S.IO, size=4, read=1, reserved=1), INVALID), (Options(S.IO, size=2**62, read=1), NOMEM), (Options(S.IO, size=0, read=1), FORMAT)]),
    ),
    "llama2_context_timings": (dict(context="context", timings=Options(S.Timings)), dict(context=context, timings=[(None, NULL), *sizes(S.Timings)])),
    "llama2_sampler_create": (dict(options=None, sampler="out", error=None, error_capacity=0), dict(options=[(None, OK), *sampler_options], sampler=new, **error)),
    "llama2_sampler_reset": (dict(sampler="sampler"), dict(sampler=sampler)),
    "llama2_sampler_accept": (dict(sampler="sampler", token=1), dict(sampler=sampler, token=[(-1, TOKEN), (2**31 - 1, OK)])),
    "llama2_sampler_save": (
        dict(sampler="sampler", data="out", capacity=1000, needed="out2"),
        dict(sampler=sampler, data=[(None, NULL)], capacity=[(0, SMALL), (119, SMALL), (120, OK)], needed=new),
    ),
    "llama2_sampler_load": (
        dict(sampler="sampler", data="saved_sampler", size="saved_sampler_size"),
        dict(sampler=sampler, data=[(None, NULL), ("saved_decoder", FORMAT)], size=[(0, FORMAT), (31, CORRUPT), (112, CORRUPT), *counts]),
    ),
    "llama2_sample": (dict(context="context", sampler="sampler", token="out"), dict(context=context, sampler=sampler, token=new)),
    "llama2_grammar_create": (
        dict(model="model", kind=3, text=b"a+", text_length=2, options=None, grammar="out", error=None, error_capacity=0),
        dict(model=model, kind=[(0, INVALID), (5, INVALID)], text=[(None, NULL), (b"(a", INVALID)], text_length=[(0, OK), (2**24 + 1, INVALID), (HUGE, INVALID)],
             options=[(None, OK), *grammar_options], grammar=new, **error),
    ),
    "llama2_grammar_accepts": (
        dict(grammar="grammar", text=b"aa", text_length=2, accepts="out"), dict(grammar=grammar, text=[(None, NULL)], text_length=[(0, OK), (HUGE, INVALID)], accepts=new)),
    "llama2_grammar_ignored": (
        dict(grammar="grammar", text="out", capacity=100, needed="out2"), dict(grammar=grammar, text=[(None, NULL)], capacity=[(0, OK)], needed=new)),
    "llama2_grammar_start": (dict(grammar="grammar", state="out", error=None, error_capacity=0), dict(grammar=grammar, state=new, **error)),
    "llama2_grammar_state_allowed": (
        dict(state="grammar_state", mask="out", capacity=100, needed="out2"), dict(state=state, mask=[(None, NULL)], capacity=[(0, SMALL), (15, SMALL), (16, OK)], needed=new)),
    "llama2_grammar_state_accept": (dict(state="grammar_state", token="token_a"), dict(state=state, token=[(-1, TOKEN), (512, TOKEN), (300, FORBIDDEN)])),
    "llama2_grammar_state_withdraw": (dict(state="grammar_state", count=0), dict(state=state, count=[(2**40, RANGE), (HUGE, RANGE)])),
    "llama2_grammar_state_reset": (dict(state="grammar_state"), dict(state=state)),
    "llama2_grammar_state_complete": (dict(state="grammar_state", complete="out"), dict(state=state, complete=new)),
    "llama2_grammar_state_forced": (
        dict(state="forced_state", text="out", capacity=100, needed="out2"), dict(state=state, text=[(None, NULL)], capacity=[(0, SMALL)], needed=new)),
    "llama2_sample_logits": (dict(sampler="sampler", logits="row", count=512, token="out"), dict(sampler=sampler, logits=[(None, NULL)], count=[(0, INVALID)], token=new)),
    "llama2_sampler_distribution": (
        dict(sampler="sampler", logits="row", count=512, candidates="out", capacity=512, needed="out"),
        dict(sampler=sampler, logits=[(None, NULL)], count=[(0, INVALID)], candidates=[(None, NULL)], capacity=[(0, SMALL)], needed=[(None, NULL)]),
    ),
    "llama2_sampler_set_grammar": (dict(sampler="spare", grammar="grammar"), dict(sampler=sampler, grammar=[(None, OK), *grammar[1:]])),
    "llama2_model_tensor_count": (dict(model="model", count="out"), dict(model=model, count=new)),
    "llama2_model_tensor": (
        dict(model="model", index=0, info=Options(S.TensorInfo), name="out", capacity=1000, needed="out2"),
        dict(model=model, index=[(10**6, RANGE), (HUGE, RANGE), (2**63, RANGE)], info=[(None, NULL), *sizes(S.TensorInfo)], name=[(None, NULL)],
             capacity=[(0, SMALL), (1, SMALL)], needed=[(None, NULL)]),
    ),
    "llama2_quantize": (
        dict(path="path", output="output", options=None, error=None, error_capacity=0),
        dict(path=paths, output=outputs, options=[(None, OK), *quantize_options], **error),
    ),
    "llama2_convert": (
        dict(path="path", output="output", options=None, error=None, error_capacity=0),
        dict(path=paths, output=outputs, options=[(None, OK), *quantize_options, (Options(S.QuantizeOptions, type=b"Q4_0"), INVALID)], **error),
    ),
    "llama2_importance": (
        dict(context="context", tokens="tokens", count=4, window=4, output="output", progress=lib.ProgressCallback(0), user_data=None),
        dict(context=context, tokens=[(None, NULL), ("wrong_tokens4", TOKEN), ("negative4", TOKEN)], count=[(0, INVALID), (3, INVALID), *counts],
             window=[(0, INVALID), (65, RANGE), (HUGE, RANGE), (2**63, RANGE)], output=outputs, progress=[(lib.ProgressCallback(0), OK)], user_data=[(1, OK)]),
    ),
    "llama2_perplexity": (
        dict(context="context", tokens="tokens", count=4, window=4, callback=lib.PerplexityCallback(0), user_data=None, result=Options(S.PerplexityResult)),
        dict(context=context, tokens=[(None, NULL), ("wrong_tokens4", TOKEN), ("negative4", TOKEN)], count=[(0, INVALID), (3, INVALID), *counts],
             window=[(0, INVALID), (3, RANGE), (65, RANGE), (HUGE, RANGE), (2**63, RANGE)], callback=[(lib.PerplexityCallback(0), OK)], user_data=[(1, OK)],
             result=[(None, NULL), *sizes(S.PerplexityResult)]),
    ),
    "llama2_score": (
        dict(context="context", prompt="tokens", prompt_count=1, continuation="tokens", continuation_count=3, log_probabilities="out", is_best="out2"),
        dict(context=context, prompt=[(None, NULL), ("negative4", OK)], prompt_count=[(0, INVALID), (62, FULL), (2**40, FULL), *counts],
             continuation=[(None, NULL)], continuation_count=[(0, OK), (64, FULL), (2**40, FULL), *counts], log_probabilities=[(None, NULL)], is_best=[(None, OK)]),
    ),
    "llama2_generate": (
        dict(context="context", sampler="sampler", options=Options(S.GenerateOptions, max_tokens=2), callback=lib.PieceCallback(0), user_data=None),
        dict(context=context, sampler=sampler, options=[(None, OK), *generate_options], callback=[(lib.PieceCallback(0), OK)], user_data=[(1, OK)]),
    ),
    "llama2_beam_search": (
        dict(context="context", options=seek(), found="out", found_count=1, tokens="out2", token_capacity=2, needed="out3"),
        dict(context=context, options=beam_options, found=[(None, NULL)], found_count=[(0, INVALID), (2, INVALID), (257, INVALID), (2**40, INVALID), (HUGE, INVALID)], tokens=[(None, NULL)],
             token_capacity=[(0, SMALL), (1, SMALL), (2**40, OK), (HUGE, OK)], needed=[(None, NULL)]),
    ),
    "llama2_best_of": (
        dict(context="context", options=seek(width=0), samplers="samplers", sampler_count=1, found="out", tokens="out2", token_capacity=2),
        dict(context=context, options=[(None, INVALID), (seek(width=0, struct_size=3), STRUCT), (seek(width=0, tail=b"\0\1"), STRUCT), (seek(width=0, reserved=1), INVALID), (seek(width=0, flags=1), INVALID),
                                      (seek(), INVALID), (seek(width=0, length_penalty=1), INVALID), (seek(width=0, ids=()), INVALID), (seek(width=0, ids=(512,)), TOKEN), (seek(width=0, ids=[1] * 61), FULL),
                                      (seek(width=0, prompt=None), NULL), (seek(width=0, prompt_count=HUGE), INVALID), (seek(width=0, max_tokens=0), RANGE), (seek(width=0, max_tokens=65), RANGE)],
             samplers=[(None, NULL), ("freed_handles", BAD)], sampler_count=[(0, INVALID), (257, INVALID), (2**40, INVALID), (HUGE, INVALID)], found=[(None, NULL)], tokens=[(None, NULL)],
             token_capacity=[(0, SMALL), (1, SMALL), (2**40, OK), (HUGE, OK)]),
    ),
    "llama2_guide_logits": (
        dict(wanted="row", unwanted="row", count=512, scale=C.c_float(2), mixed="out"),
        dict(wanted=[(None, NULL)], unwanted=[(None, NULL), ("no_row", INVALID)], count=[(0, INVALID), (HUGE, INVALID)], scale=[(C.c_float(math.nan), INVALID), (C.c_float(math.inf), INVALID)], mixed=[(None, NULL)]),
    ),
    "llama2_scheduler_create": (
        dict(context="calm", options=None, scheduler="out", error=None, error_capacity=0),
        dict(context=context, options=[(None, OK), *scheduler_options], scheduler=new, **error),
    ),
    "llama2_scheduler_submit": (dict(scheduler="scheduler", options=ask(), request="out"), dict(scheduler=scheduler, options=request_options, request=new)),
    "llama2_scheduler_cancel": (dict(scheduler="scheduler", request=1), dict(scheduler=scheduler, request=[(0, MISSING), (2**40, MISSING), (2**63, MISSING), (HUGE, MISSING)])),
    "llama2_scheduler_step": (dict(scheduler="scheduler", remaining="out"), dict(scheduler=scheduler, remaining=new)),
    "llama2_scheduler_get_stats": (dict(scheduler="scheduler", stats=Options(S.SchedulerStats)), dict(scheduler=scheduler, stats=[(None, NULL), *sizes(S.SchedulerStats)])),
}  # fmt: skip

# Functions that cannot fail: any argument at all.
TOTAL = {
    "llama2_version": [()], "llama2_last_error": [()], "llama2_last_system_error": [()],
    "llama2_cancel_flag": [(None,), (C.byref(C.c_int32(0)),), (C.byref(C.c_int32(-1)),)],
    "llama2_status_string": [(0,), (-1,), (1,), (-(2**31),), (2**31 - 1,)],
    "llama2_type_name": [(0,), (4,), (35,), (36,), (2**32 - 1,)],
    "llama2_context_last_error": [(None,), (0x1234,), (HUGE,)],
    **{f"llama2_{k}_free": [(None,), (0x1234,), (HUGE,)] for k in ("model", "context", "sampler", "decoder", "grammar", "grammar_state", "adapter", "scheduler")},
    **{f"llama2_{k}_options_init": [(None,)] for k in ("model", "context", "sampler", "generate", "quantize", "grammar", "chat", "scheduler", "request", "layer")},
}  # fmt: skip


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
