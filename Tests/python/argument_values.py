"""Arguments for the functions of the header, right and wrong, each with its status."""

import ctypes as C
import math

from header import first_sizes, values

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
NO_KERNELS = 1 + max(value for name, value in values().items() if name.startswith("LLAMA2_KERNELS_"))

model_options = inputs(S.ModelOptions, flags=(4, INVALID), context_length=(2**30 + 1, INVALID), first_layer=(5, RANGE), layer_count=(6, RANGE), reserved=(1, INVALID)) + [(Options(S.ModelOptions, flags=flags, layer_count=1), INVALID) for flags in (1, 2)] + [(Options(S.ModelOptions, flags=2), OK)]
context_options = inputs(
    S.ContextOptions, flags=(16, INVALID), context_length=(2**31, INVALID), max_sequences=(1025, INVALID),
    batch_size=(4097, INVALID), threads=(1025, INVALID), kernels=(NO_KERNELS, INVALID), reserved=(1, INVALID), energy_path=(b"/nowhere", IO),
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
