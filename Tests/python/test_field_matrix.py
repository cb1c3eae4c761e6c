"""Every field of the structs that are passed in with every wrong value of its type; test_argument_matrix.py has the functions and parameters."""

import ctypes as C
import math

import pytest
from argument_values import BAD, FORMAT, INVALID, IO, NULL, OK, RANGE, TALK, TOKEN
from test_argument_matrix import FIELD_TYPES, HALF, LARGEST, LARGEST32, LOWEST32, STRUCTS, address, at_odd_address, check, ids
from test_arguments import resolve, world

from llama2swift import _structs as S

WHERE = {
    "llama2_model_options": ("llama2_model_load", "options"), "llama2_context_options": ("llama2_context_create", "options"), "llama2_sampler_options": ("llama2_sampler_create", "options"),
    "llama2_generate_options": ("llama2_generate", "options"), "llama2_quantize_options": ("llama2_quantize", "options"), "llama2_io": ("llama2_model_load_io", "io"), "llama2_chat_options": ("llama2_chat_encode_json", "options"),
    "llama2_batch_entry": ("llama2_eval_batch", "entries"), "llama2_message": ("llama2_chat_encode", "messages"), "llama2_text": ("llama2_generate", "stops"),
    "llama2_logit_bias": ("llama2_sampler_create", "logit_bias"), "llama2_type_override": ("llama2_quantize", "overrides"),
    "llama2_grammar_options": ("llama2_grammar_create", "options"), "llama2_scaled_adapter": ("llama2_sequence_set_adapters", "adapters"), "llama2_layer_options": ("llama2_context_set_layer_callback", "options"), "llama2_scheduler_options": ("llama2_scheduler_create", "options"),
    "llama2_request_options": ("llama2_scheduler_submit", "options"), "llama2_search_options": ("llama2_beam_search", "options"),
    "llama2_text_bias": ("llama2_sampler_create", "text_bias"), "llama2_own_step": ("llama2_sampler_create", "own_steps"),
}  # fmt: skip
RESULTS = {"llama2_candidate", "llama2_found", "llama2_token_report", "llama2_event", "llama2_scheduler_stats", "llama2_hyperparameters", "llama2_special_tokens", "llama2_memory", "llama2_context_info", "llama2_timings", "llama2_generate_result", "llama2_tensor_info", "llama2_perplexity_result", "llama2_adapter_info", "llama2_layer_view"}

FIELD_RULES = {
    "uint32_t": {2**31: INVALID, 2**32 - 1: INVALID}, "size_t": {HALF: INVALID, LARGEST: INVALID}, "uint64_t": [0, HALF, LARGEST], "int32_t": [LOWEST32, -1, LARGEST32], "int64_t": [-(2**63), -1, 2**63 - 1],
    "float": [math.nan, math.inf, -math.inf, -1.0, 3.4e38], "double": [math.nan, math.inf, -math.inf, -1.0, 1e308], "char*": [None, b"\xff\xfe"], "void*": {LARGEST: OK}, "pointer": ["misaligned"], "callback": [None],
}  # fmt: skip
FIELDS = {
    "llama2_sampler_options.seed": (OK, OK, OK), "llama2_generate_options.max_tokens": (OK, OK, OK), "llama2_generate_options.shift_keep": (OK, OK, OK), "llama2_io.size": (FORMAT, INVALID, INVALID),
    "llama2_sampler_options.top_k": (OK, OK, OK), "llama2_sampler_options.penalty_last_n": (RANGE, OK, OK),
    "llama2_sampler_options.temperature": (INVALID, RANGE, RANGE, RANGE, OK), "llama2_sampler_options.top_p": (INVALID, RANGE, RANGE, RANGE, RANGE),
    "llama2_sampler_options.min_p": (INVALID, RANGE, OK, OK, RANGE), "llama2_sampler_options.repetition_penalty": (INVALID, RANGE, RANGE, RANGE, OK),
    "llama2_sampler_options.frequency_penalty": (INVALID, RANGE, RANGE, OK, OK), "llama2_sampler_options.presence_penalty": (INVALID, RANGE, RANGE, OK, OK),
    **{f"llama2_sampler_options.{name}": (INVALID, RANGE, RANGE, RANGE, RANGE) for name in ("typical_p", "top_a", "epsilon_cutoff", "eta_cutoff", "xtc_probability", "xtc_threshold", "smoothing_curve")},
    **{f"llama2_sampler_options.{name}": (INVALID, RANGE, RANGE, RANGE, OK) for name in ("dynamic_range", "dynamic_exponent", "smoothing_factor", "mirostat_tau", "mirostat_eta", "dry_multiplier", "dry_base")},
    "llama2_sampler_options.top_n_sigma": (INVALID, RANGE, RANGE, OK, OK), "llama2_sampler_options.dry_allowed_length": (OK, OK, OK), "llama2_sampler_options.dry_last_n": (RANGE, OK, OK),
    "llama2_sampler_options.min_tokens": (OK, OK, OK), **{f"llama2_sampler_options.{name}": (OK,) for name in ("dry_breakers", "banned_texts", "steps", "own_steps", "text_bias")},
    "llama2_generate_options.token_callback": (OK,), "llama2_generate_options.draft": (BAD,), "llama2_scheduler_options.draft": (BAD,),
    "llama2_sampler_options.model": (BAD,), "llama2_own_step.callback": (NULL,), "llama2_text_bias.text": (NULL, OK), "llama2_text_bias.bias": (INVALID, RANGE, OK, OK, OK),
    "llama2_sampler_options.logit_bias": (OK,), "llama2_generate_options.prompt": (OK,), "llama2_generate_options.stops": (OK,), "llama2_generate_options.result": (OK,),
    **{f"llama2_context_options.rope_{name}": (INVALID,) * 5 for name in ("factor", "base", "attention", "beta_fast", "beta_slow")},
    "llama2_quantize_options.overrides": (OK,), "llama2_quantize_options.type": (OK, INVALID), "llama2_quantize_options.importance": (OK, IO), "llama2_quantize_options.adapter": (OK, IO), "llama2_quantize_options.adapter_scale": (INVALID, INVALID, INVALID, INVALID, INVALID),
    "llama2_layer_options.first_position": (OK, OK, OK), "llama2_layer_options.position_count": (OK, OK, OK), "llama2_layer_options.sequence": (OK, OK, OK),
    "llama2_scaled_adapter.scale": (INVALID, INVALID, INVALID, OK, INVALID), "llama2_scaled_adapter.adapter": (BAD,), "llama2_quantize_options.progress": (OK,), "llama2_quantize_options.cancel": (OK,),
    "llama2_context_options.energy_path": (OK, IO), "llama2_io.read": (NULL,), "llama2_batch_entry.token": (TOKEN, TOKEN, TOKEN), "llama2_batch_entry.sequence": (RANGE, RANGE, RANGE),
    "llama2_chat_options.messages": (NULL, INVALID), **{f"llama2_chat_options.{name}": (OK, OK) for name in ("tools", "documents", "variables", "template_text")}, "llama2_chat_options.time": (OK, OK, OK),
    "llama2_message.role": (NULL, INVALID), "llama2_message.content": (NULL, OK), "llama2_text.data": (NULL, INVALID),
    "llama2_logit_bias.token": (RANGE, RANGE, RANGE), "llama2_logit_bias.bias": (INVALID, RANGE, OK, OK, OK),
    "llama2_request_options.tokens": (OK,), "llama2_request_options.sampler": (BAD,), "llama2_request_options.sampler_options": (OK,), "llama2_request_options.grammar": (BAD,), "llama2_request_options.adapters": (OK,),
    "llama2_request_options.stops": (OK,), "llama2_request_options.max_tokens": (OK, OK, OK), "llama2_request_options.deadline_milliseconds": (OK, OK, OK),
    "llama2_request_options.priority": (OK, OK, OK), "llama2_request_options.callback": (OK,),
    "llama2_search_options.prompt": (OK,), "llama2_search_options.max_tokens": (RANGE, RANGE, RANGE), "llama2_search_options.length_penalty": (INVALID, INVALID, INVALID, OK, INVALID),
    "llama2_type_override.pattern": (NULL, INVALID), "llama2_type_override.type": (NULL, INVALID),
}  # fmt: skip
# numbers of layers
BEYOND = {("llama2_layer_options", "first_layer"), ("llama2_layer_options", "layer_count"), ("llama2_model_options", "first_layer"), ("llama2_model_options", "layer_count")}
GOOD = {
    "llama2_io": lambda world: dict(size=resolve(world, "model_size").value, read=world["read"]), "llama2_batch_entry": lambda _: dict(token=1, sequence=0, flags=1),
    "llama2_message": lambda _: dict(role=b"user", role_length=4, content=b"hi", content_length=2), "llama2_text": lambda _: dict(data=b"zz", length=2),
    "llama2_logit_bias": lambda _: dict(token=1, bias=1.0), "llama2_type_override": lambda _: dict(pattern=b"attn_q", type=b"Q8_0"),
    "llama2_search_options": lambda world: dict(prompt=address(world["tokens"]), prompt_count=4, max_tokens=2, width=1),
    "llama2_scaled_adapter": lambda world: dict(adapter=world["adapter"], scale=1.0), "llama2_generate_options": lambda _: dict(max_tokens=2), "llama2_request_options": lambda world: dict(tokens=address(world["tokens"]), token_count=4, max_tokens=2), "llama2_chat_options": lambda _: dict(messages=TALK, messages_length=len(TALK)),
    "llama2_text_bias": lambda _: dict(text=b"a", length=1, bias=1.0), "llama2_own_step": lambda world: dict(callback=world["step"]), "llama2_sampler_options": lambda world: dict(model=world["model"]),
}  # fmt: skip


def field_cells():
    for struct in WHERE:
        for field, kind in FIELD_TYPES[struct].items():
            if field == "struct_size":
                continue  # test_argument_matrix.py has it
            if (struct, field) in BEYOND:
                yield from ((struct, field, wrong, RANGE) for wrong in FIELD_RULES[kind])
                continue
            if kind not in FIELD_RULES:
                kind = "callback" if kind.endswith("callback") else "pointer"
            rule, own = FIELD_RULES[kind], FIELDS.get(f"{struct}.{field}")
            pairs = rule.items() if isinstance(rule, dict) else zip(rule, own, strict=True)
            yield from ((struct, field, wrong, status) for wrong, status in pairs)


def test_every_struct_is_passed_in_or_filled():
    assert set(WHERE) | RESULTS == set(FIELD_TYPES)
    assert set(STRUCTS) == {name + "*" for name in FIELD_TYPES}


def filled(world, struct, **change):
    kind, values = STRUCTS[struct + "*"], GOOD.get(struct, lambda _: {})(world) | change
    raw = S.sized(kind) if "struct_size" in FIELD_TYPES[struct] else kind()
    for name, value in values.items():
        target = dict(kind._fields_)[name]
        if isinstance(value, int) and issubclass(target, C._Pointer):
            value = C.cast(C.c_void_p(value), target)
        setattr(raw, name, value)
    world["keep"].append(raw)
    return raw


# arrays of structs hang in options: (options, array, count)
INSIDE = {"llama2_text": ("llama2_generate_options", "stops", "stop_count"), "llama2_logit_bias": ("llama2_sampler_options", "logit_bias", "logit_bias_count"),
          "llama2_type_override": ("llama2_quantize_options", "overrides", "override_count"), "llama2_text_bias": ("llama2_sampler_options", "text_bias", "text_bias_count"),
          "llama2_own_step": ("llama2_sampler_options", "own_steps", "own_step_count")}  # fmt: skip
POINTED = {field: (struct, count) for struct, (_, field, count) in INSIDE.items()} | {"dry_breakers": ("llama2_text", "dry_breaker_count"), "banned_texts": ("llama2_text", "banned_text_count")}


def beside(world, field):
    """What an own step needs: a place in the list."""
    return dict(steps=C.addressof(world["own_list"]), step_count=1) if field == "own_steps" else {}


@pytest.mark.parametrize("cell", list(field_cells()), ids=ids)
def test_a_wrong_field(world, cell):
    struct, field, wrong, expected = cell
    function, parameter = WHERE[struct]
    change = {field: wrong}
    if wrong == "misaligned":
        if field == "prompt":
            change = {"prompt": at_odd_address(world, world["tokens"]), "prompt_count": 4}
        elif field == "tokens":
            change = {"tokens": at_odd_address(world, world["tokens"]), "token_count": 4}
        elif field in ("sampler", "grammar"):
            change = {field: world[field] + 1}
        elif field == "draft":
            change = {field: world["context"] + 1}
        elif field == "adapters":
            change = {field: at_odd_address(world, filled(world, "llama2_scaled_adapter")), "adapter_count": 1}
        elif field == "sampler_options":
            change = {field: at_odd_address(world, S.sized(S.SamplerOptions))}
        elif field == "result":
            change = {"result": at_odd_address(world, S.sized(S.GenerateResult))}
        elif field == "adapter":
            change = {"adapter": world["adapter"] + 1}
        elif field == "steps":
            change = {"steps": at_odd_address(world, (C.c_uint32 * 1)(5)), "step_count": 1}
        elif field == "model":
            change = {"model": world["model"] + 1}
        else:
            inner, count = POINTED[field]
            change = {field: at_odd_address(world, filled(world, inner)), count: 1} | beside(world, field)
    raw = filled(world, struct, **change)
    if struct in INSIDE:
        options, array, count = INSIDE[struct]
        raw, parameter = filled(world, options, **{array: C.addressof(raw), count: 1}, **beside(world, array)), "options"
    check(world, function, expected, **{parameter: C.addressof(raw)})
