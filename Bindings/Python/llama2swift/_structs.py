"""The header's structs and callbacks, declared anew for ctypes. Made from Include/llama2swift.h by Tests/tools/make_python_declarations.py: not to be edited."""

from __future__ import annotations

import ctypes as C
from typing import Any, TypeVar

from . import _constants as K


class ModelOptions(C.Structure):
    """llama2_model_options"""

    struct_size: int
    flags: int
    context_length: int
    first_layer: int
    layer_count: int
    reserved: int

    _fields_ = [
        ("struct_size", C.c_uint32),
        ("flags", C.c_uint32),
        ("context_length", C.c_uint32),
        ("first_layer", C.c_uint32),
        ("layer_count", C.c_uint32),
        ("reserved", C.c_uint32),
    ]


class IO(C.Structure):
    """llama2_io"""

    struct_size: int
    reserved: int
    size: int
    read: Any
    user_data: Any

    _fields_ = [
        ("struct_size", C.c_uint32),
        ("reserved", C.c_uint32),
        ("size", C.c_uint64),
        ("read", C.c_void_p),
        ("user_data", C.c_void_p),
    ]


class Hyperparameters(C.Structure):
    """llama2_hyperparameters"""

    struct_size: int
    vocabulary_size: int
    embedding_length: int
    block_count: int
    feed_forward_length: int
    head_count: int
    head_count_kv: int
    head_dimension: int
    rope_dimension: int
    context_length: int
    rms_epsilon: float
    rope_scale: float
    rope_base: float
    parameter_count: int
    file_bytes: int
    first_layer: int
    all_layers: int

    _fields_ = [
        ("struct_size", C.c_uint32),
        ("vocabulary_size", C.c_uint32),
        ("embedding_length", C.c_uint32),
        ("block_count", C.c_uint32),
        ("feed_forward_length", C.c_uint32),
        ("head_count", C.c_uint32),
        ("head_count_kv", C.c_uint32),
        ("head_dimension", C.c_uint32),
        ("rope_dimension", C.c_uint32),
        ("context_length", C.c_uint32),
        ("rms_epsilon", C.c_float),
        ("rope_scale", C.c_float),
        ("rope_base", C.c_double),
        ("parameter_count", C.c_uint64),
        ("file_bytes", C.c_uint64),
        ("first_layer", C.c_uint32),
        ("all_layers", C.c_uint32),
    ]


class SpecialTokens(C.Structure):
    """llama2_special_tokens"""

    struct_size: int
    bos: int
    eos: int
    eot: int
    unknown: int
    adds_bos: int
    adds_eos: int

    _fields_ = [
        ("struct_size", C.c_uint32),
        ("bos", C.c_int32),
        ("eos", C.c_int32),
        ("eot", C.c_int32),
        ("unknown", C.c_int32),
        ("adds_bos", C.c_int32),
        ("adds_eos", C.c_int32),
    ]


class Message(C.Structure):
    """llama2_message"""

    role: bytes | None
    role_length: int
    content: bytes | None
    content_length: int

    _fields_ = [
        ("role", C.c_char_p),
        ("role_length", C.c_size_t),
        ("content", C.c_char_p),
        ("content_length", C.c_size_t),
    ]


class ChatOptions(C.Structure):
    """llama2_chat_options"""

    struct_size: int
    flags: int
    messages: bytes | None
    messages_length: int
    tools: bytes | None
    tools_length: int
    documents: bytes | None
    documents_length: int
    variables: bytes | None
    variables_length: int
    template_text: bytes | None
    template_length: int
    time: int

    _fields_ = [
        ("struct_size", C.c_uint32),
        ("flags", C.c_uint32),
        ("messages", C.c_char_p),
        ("messages_length", C.c_size_t),
        ("tools", C.c_char_p),
        ("tools_length", C.c_size_t),
        ("documents", C.c_char_p),
        ("documents_length", C.c_size_t),
        ("variables", C.c_char_p),
        ("variables_length", C.c_size_t),
        ("template_text", C.c_char_p),
        ("template_length", C.c_size_t),
        ("time", C.c_int64),
    ]


class ContextOptions(C.Structure):
    """llama2_context_options"""

    struct_size: int
    flags: int
    context_length: int
    max_sequences: int
    batch_size: int
    threads: int
    kernels: int
    reserved: int
    energy_path: bytes | None
    rope_scaling: int
    rope_trained_length: int
    rope_factor: float
    rope_base: float
    rope_attention: float
    rope_beta_fast: float
    rope_beta_slow: float
    type_k: int
    type_v: int

    _fields_ = [
        ("struct_size", C.c_uint32),
        ("flags", C.c_uint32),
        ("context_length", C.c_uint32),
        ("max_sequences", C.c_uint32),
        ("batch_size", C.c_uint32),
        ("threads", C.c_uint32),
        ("kernels", C.c_uint32),
        ("reserved", C.c_uint32),
        ("energy_path", C.c_char_p),
        ("rope_scaling", C.c_uint32),
        ("rope_trained_length", C.c_uint32),
        ("rope_factor", C.c_float),
        ("rope_base", C.c_float),
        ("rope_attention", C.c_float),
        ("rope_beta_fast", C.c_float),
        ("rope_beta_slow", C.c_float),
        ("type_k", C.c_uint32),
        ("type_v", C.c_uint32),
    ]


class Memory(C.Structure):
    """llama2_memory"""

    struct_size: int
    reserved: int
    model_bytes: int
    kv_bytes: int
    work_bytes: int
    logits_bytes: int

    _fields_ = [
        ("struct_size", C.c_uint32),
        ("reserved", C.c_uint32),
        ("model_bytes", C.c_uint64),
        ("kv_bytes", C.c_uint64),
        ("work_bytes", C.c_uint64),
        ("logits_bytes", C.c_uint64),
    ]


class ContextInfo(C.Structure):
    """llama2_context_info"""

    struct_size: int
    context_length: int
    max_sequences: int
    batch_size: int
    threads: int
    kernels: int
    flags: int
    reserved: int
    memory_bytes: int
    pages: int
    pages_used: int
    pages_shared: int
    pages_cached: int
    positions: int
    type_k: int
    type_v: int

    _fields_ = [
        ("struct_size", C.c_uint32),
        ("context_length", C.c_uint32),
        ("max_sequences", C.c_uint32),
        ("batch_size", C.c_uint32),
        ("threads", C.c_uint32),
        ("kernels", C.c_uint32),
        ("flags", C.c_uint32),
        ("reserved", C.c_uint32),
        ("memory_bytes", C.c_uint64),
        ("pages", C.c_uint64),
        ("pages_used", C.c_uint64),
        ("pages_shared", C.c_uint64),
        ("pages_cached", C.c_uint64),
        ("positions", C.c_uint64),
        ("type_k", C.c_uint32),
        ("type_v", C.c_uint32),
    ]


class BatchEntry(C.Structure):
    """llama2_batch_entry"""

    token: int
    sequence: int
    flags: int

    _fields_ = [
        ("token", C.c_int32),
        ("sequence", C.c_int32),
        ("flags", C.c_uint32),
    ]


class AdapterInfo(C.Structure):
    """llama2_adapter_info"""

    struct_size: int
    products: int
    rank: int
    reserved: int
    bytes: int
    fingerprint: int

    _fields_ = [
        ("struct_size", C.c_uint32),
        ("products", C.c_uint32),
        ("rank", C.c_uint32),
        ("reserved", C.c_uint32),
        ("bytes", C.c_uint64),
        ("fingerprint", C.c_uint64),
    ]


class ScaledAdapter(C.Structure):
    """llama2_scaled_adapter"""

    adapter: Any
    scale: float
    reserved: int

    _fields_ = [
        ("adapter", C.c_void_p),
        ("scale", C.c_float),
        ("reserved", C.c_uint32),
    ]


class LayerView(C.Structure):
    """llama2_layer_view"""

    struct_size: int
    layer: int
    sequence: int
    width: int
    position: int
    count: int
    hidden: Any

    _fields_ = [
        ("struct_size", C.c_uint32),
        ("layer", C.c_uint32),
        ("sequence", C.c_int32),
        ("width", C.c_uint32),
        ("position", C.c_uint64),
        ("count", C.c_uint64),
        ("hidden", C.POINTER(C.c_float)),
    ]


class LayerOptions(C.Structure):
    """llama2_layer_options"""

    struct_size: int
    flags: int
    first_layer: int
    layer_count: int
    sequence: int
    reserved: int
    first_position: int
    position_count: int

    _fields_ = [
        ("struct_size", C.c_uint32),
        ("flags", C.c_uint32),
        ("first_layer", C.c_uint32),
        ("layer_count", C.c_uint32),
        ("sequence", C.c_int32),
        ("reserved", C.c_uint32),
        ("first_position", C.c_uint64),
        ("position_count", C.c_uint64),
    ]


class Timings(C.Structure):
    """llama2_timings"""

    struct_size: int
    reserved: int
    prefill_tokens: int
    prefill_nanoseconds: int
    decode_tokens: int
    decode_nanoseconds: int
    prefill_cpu_nanoseconds: int
    decode_cpu_nanoseconds: int
    prefill_microjoules: int
    decode_microjoules: int
    energy_zones: int
    reserved_2: int

    _fields_ = [
        ("struct_size", C.c_uint32),
        ("reserved", C.c_uint32),
        ("prefill_tokens", C.c_uint64),
        ("prefill_nanoseconds", C.c_uint64),
        ("decode_tokens", C.c_uint64),
        ("decode_nanoseconds", C.c_uint64),
        ("prefill_cpu_nanoseconds", C.c_uint64),
        ("decode_cpu_nanoseconds", C.c_uint64),
        ("prefill_microjoules", C.c_uint64),
        ("decode_microjoules", C.c_uint64),
        ("energy_zones", C.c_uint32),
        ("reserved_2", C.c_uint32),
    ]


class Text(C.Structure):
    """llama2_text"""

    data: bytes | None
    length: int

    _fields_ = [
        ("data", C.c_char_p),
        ("length", C.c_size_t),
    ]


class LogitBias(C.Structure):
    """llama2_logit_bias"""

    token: int
    bias: float

    _fields_ = [
        ("token", C.c_int32),
        ("bias", C.c_float),
    ]


class TextBias(C.Structure):
    """llama2_text_bias"""

    text: bytes | None
    length: int
    bias: float
    reserved: int

    _fields_ = [
        ("text", C.c_char_p),
        ("length", C.c_size_t),
        ("bias", C.c_float),
        ("reserved", C.c_uint32),
    ]


class Candidate(C.Structure):
    """llama2_candidate"""

    token: int
    logit: float

    _fields_ = [
        ("token", C.c_int32),
        ("logit", C.c_float),
    ]


class OwnStep(C.Structure):
    """llama2_own_step"""

    callback: Any
    user_data: Any

    _fields_ = [
        ("callback", C.c_void_p),
        ("user_data", C.c_void_p),
    ]


class SamplerOptions(C.Structure):
    """llama2_sampler_options"""

    struct_size: int
    flags: int
    seed: int
    temperature: float
    top_p: float
    min_p: float
    repetition_penalty: float
    frequency_penalty: float
    presence_penalty: float
    top_k: int
    penalty_last_n: int
    logit_bias: Any
    logit_bias_count: int
    typical_p: float
    top_a: float
    top_n_sigma: float
    epsilon_cutoff: float
    eta_cutoff: float
    xtc_probability: float
    xtc_threshold: float
    dynamic_range: float
    dynamic_exponent: float
    smoothing_factor: float
    smoothing_curve: float
    mirostat: int
    mirostat_tau: float
    mirostat_eta: float
    dry_multiplier: float
    dry_base: float
    dry_allowed_length: int
    dry_last_n: int
    dry_breakers: Any
    dry_breaker_count: int
    model: Any
    steps: Any
    step_count: int
    own_steps: Any
    own_step_count: int
    text_bias: Any
    text_bias_count: int
    min_tokens: int
    no_repeat_ngram: int
    reserved: int
    banned_texts: Any
    banned_text_count: int

    _fields_ = [
        ("struct_size", C.c_uint32),
        ("flags", C.c_uint32),
        ("seed", C.c_uint64),
        ("temperature", C.c_float),
        ("top_p", C.c_float),
        ("min_p", C.c_float),
        ("repetition_penalty", C.c_float),
        ("frequency_penalty", C.c_float),
        ("presence_penalty", C.c_float),
        ("top_k", C.c_int32),
        ("penalty_last_n", C.c_int32),
        ("logit_bias", C.POINTER(LogitBias)),
        ("logit_bias_count", C.c_size_t),
        ("typical_p", C.c_float),
        ("top_a", C.c_float),
        ("top_n_sigma", C.c_float),
        ("epsilon_cutoff", C.c_float),
        ("eta_cutoff", C.c_float),
        ("xtc_probability", C.c_float),
        ("xtc_threshold", C.c_float),
        ("dynamic_range", C.c_float),
        ("dynamic_exponent", C.c_float),
        ("smoothing_factor", C.c_float),
        ("smoothing_curve", C.c_float),
        ("mirostat", C.c_uint32),
        ("mirostat_tau", C.c_float),
        ("mirostat_eta", C.c_float),
        ("dry_multiplier", C.c_float),
        ("dry_base", C.c_float),
        ("dry_allowed_length", C.c_int32),
        ("dry_last_n", C.c_int32),
        ("dry_breakers", C.POINTER(Text)),
        ("dry_breaker_count", C.c_size_t),
        ("model", C.c_void_p),
        ("steps", C.POINTER(C.c_uint32)),
        ("step_count", C.c_size_t),
        ("own_steps", C.POINTER(OwnStep)),
        ("own_step_count", C.c_size_t),
        ("text_bias", C.POINTER(TextBias)),
        ("text_bias_count", C.c_size_t),
        ("min_tokens", C.c_uint64),
        ("no_repeat_ngram", C.c_uint32),
        ("reserved", C.c_uint32),
        ("banned_texts", C.POINTER(Text)),
        ("banned_text_count", C.c_size_t),
    ]


class GrammarOptions(C.Structure):
    """llama2_grammar_options"""

    struct_size: int
    flags: int

    _fields_ = [
        ("struct_size", C.c_uint32),
        ("flags", C.c_uint32),
    ]


class GenerateResult(C.Structure):
    """llama2_generate_result"""

    struct_size: int
    reason: int
    prompt_tokens: int
    tokens: int
    adopted: int
    dropped: int
    guessed: int
    guessed_right: int

    _fields_ = [
        ("struct_size", C.c_uint32),
        ("reason", C.c_int32),
        ("prompt_tokens", C.c_uint64),
        ("tokens", C.c_uint64),
        ("adopted", C.c_uint64),
        ("dropped", C.c_uint64),
        ("guessed", C.c_uint64),
        ("guessed_right", C.c_uint64),
    ]


class TokenReport(C.Structure):
    """llama2_token_report"""

    token: int
    reason: int
    is_of_prompt: int
    log_probability: float
    log_probability_after: float
    reserved: int
    text: bytes | None
    text_length: int
    best: Any
    best_count: int
    best_after: Any
    best_after_count: int
    nanoseconds: int

    _fields_ = [
        ("token", C.c_int32),
        ("reason", C.c_int32),
        ("is_of_prompt", C.c_uint32),
        ("log_probability", C.c_float),
        ("log_probability_after", C.c_float),
        ("reserved", C.c_uint32),
        ("text", C.c_char_p),
        ("text_length", C.c_size_t),
        ("best", C.POINTER(Candidate)),
        ("best_count", C.c_size_t),
        ("best_after", C.POINTER(Candidate)),
        ("best_after_count", C.c_size_t),
        ("nanoseconds", C.c_uint64),
    ]


class GenerateOptions(C.Structure):
    """llama2_generate_options"""

    struct_size: int
    flags: int
    prompt: Any
    prompt_count: int
    stops: Any
    stop_count: int
    max_tokens: int
    result: Any
    shift_keep: int
    token_callback: Any
    token_data: Any
    best: int
    reserved: int
    draft: Any

    _fields_ = [
        ("struct_size", C.c_uint32),
        ("flags", C.c_uint32),
        ("prompt", C.POINTER(C.c_int32)),
        ("prompt_count", C.c_size_t),
        ("stops", C.POINTER(Text)),
        ("stop_count", C.c_size_t),
        ("max_tokens", C.c_uint64),
        ("result", C.POINTER(GenerateResult)),
        ("shift_keep", C.c_uint64),
        ("token_callback", C.c_void_p),
        ("token_data", C.c_void_p),
        ("best", C.c_uint32),
        ("reserved", C.c_uint32),
        ("draft", C.c_void_p),
    ]


class SearchOptions(C.Structure):
    """llama2_search_options"""

    struct_size: int
    flags: int
    prompt: Any
    prompt_count: int
    max_tokens: int
    width: int
    reserved: int
    length_penalty: float

    _fields_ = [
        ("struct_size", C.c_uint32),
        ("flags", C.c_uint32),
        ("prompt", C.POINTER(C.c_int32)),
        ("prompt_count", C.c_size_t),
        ("max_tokens", C.c_uint64),
        ("width", C.c_uint32),
        ("reserved", C.c_uint32),
        ("length_penalty", C.c_double),
    ]


class Found(C.Structure):
    """llama2_found"""

    first: int
    count: int
    score: float
    reason: int
    index: int

    _fields_ = [
        ("first", C.c_uint64),
        ("count", C.c_uint64),
        ("score", C.c_double),
        ("reason", C.c_int32),
        ("index", C.c_uint32),
    ]


class SchedulerOptions(C.Structure):
    """llama2_scheduler_options"""

    struct_size: int
    flags: int
    prompt_tokens_per_step: int
    max_requests: int
    draft: Any

    _fields_ = [
        ("struct_size", C.c_uint32),
        ("flags", C.c_uint32),
        ("prompt_tokens_per_step", C.c_uint32),
        ("max_requests", C.c_uint32),
        ("draft", C.c_void_p),
    ]


class Event(C.Structure):
    """llama2_event"""

    struct_size: int
    reason: int
    request: int
    piece: bytes | None
    length: int
    token: int
    status: int
    error: bytes | None
    prompt_tokens: int
    adopted: int
    tokens: int
    report: Any

    _fields_ = [
        ("struct_size", C.c_uint32),
        ("reason", C.c_int32),
        ("request", C.c_uint64),
        ("piece", C.c_char_p),
        ("length", C.c_size_t),
        ("token", C.c_int32),
        ("status", C.c_int32),
        ("error", C.c_char_p),
        ("prompt_tokens", C.c_uint64),
        ("adopted", C.c_uint64),
        ("tokens", C.c_uint64),
        ("report", C.POINTER(TokenReport)),
    ]


class RequestOptions(C.Structure):
    """llama2_request_options"""

    struct_size: int
    flags: int
    tokens: Any
    token_count: int
    sampler: Any
    sampler_options: Any
    grammar: Any
    stops: Any
    stop_count: int
    adapters: Any
    adapter_count: int
    max_tokens: int
    deadline_milliseconds: int
    priority: int
    reserved: int
    callback: Any
    user_data: Any
    best: int
    reserved_2: int

    _fields_ = [
        ("struct_size", C.c_uint32),
        ("flags", C.c_uint32),
        ("tokens", C.POINTER(C.c_int32)),
        ("token_count", C.c_size_t),
        ("sampler", C.c_void_p),
        ("sampler_options", C.POINTER(SamplerOptions)),
        ("grammar", C.c_void_p),
        ("stops", C.POINTER(Text)),
        ("stop_count", C.c_size_t),
        ("adapters", C.POINTER(ScaledAdapter)),
        ("adapter_count", C.c_size_t),
        ("max_tokens", C.c_uint64),
        ("deadline_milliseconds", C.c_uint64),
        ("priority", C.c_int32),
        ("reserved", C.c_uint32),
        ("callback", C.c_void_p),
        ("user_data", C.c_void_p),
        ("best", C.c_uint32),
        ("reserved_2", C.c_uint32),
    ]


class SchedulerStats(C.Structure):
    """llama2_scheduler_stats"""

    struct_size: int
    reserved: int
    waiting: int
    running: int
    prompt_tokens: int
    adopted_tokens: int
    tokens: int
    evaluated_tokens: int
    steps: int
    preemptions: int
    pages: int
    pages_used: int
    pages_shared: int
    pages_cached: int
    positions: int
    guessed_tokens: int
    guessed_right: int

    _fields_ = [
        ("struct_size", C.c_uint32),
        ("reserved", C.c_uint32),
        ("waiting", C.c_uint64),
        ("running", C.c_uint64),
        ("prompt_tokens", C.c_uint64),
        ("adopted_tokens", C.c_uint64),
        ("tokens", C.c_uint64),
        ("evaluated_tokens", C.c_uint64),
        ("steps", C.c_uint64),
        ("preemptions", C.c_uint64),
        ("pages", C.c_uint64),
        ("pages_used", C.c_uint64),
        ("pages_shared", C.c_uint64),
        ("pages_cached", C.c_uint64),
        ("positions", C.c_uint64),
        ("guessed_tokens", C.c_uint64),
        ("guessed_right", C.c_uint64),
    ]


class TensorInfo(C.Structure):
    """llama2_tensor_info"""

    struct_size: int
    type: int
    columns: int
    rows: int
    bytes: int

    _fields_ = [
        ("struct_size", C.c_uint32),
        ("type", C.c_uint32),
        ("columns", C.c_uint64),
        ("rows", C.c_uint64),
        ("bytes", C.c_uint64),
    ]


class TypeOverride(C.Structure):
    """llama2_type_override"""

    pattern: bytes | None
    type: bytes | None

    _fields_ = [
        ("pattern", C.c_char_p),
        ("type", C.c_char_p),
    ]


class QuantizeOptions(C.Structure):
    """llama2_quantize_options"""

    struct_size: int
    flags: int
    threads: int
    reserved: int
    type: bytes | None
    overrides: Any
    override_count: int
    importance: bytes | None
    progress: Any
    user_data: Any
    cancel: Any
    cancel_data: Any
    context_length: int
    reserved_2: int
    adapter: bytes | None
    adapter_scale: float
    reserved_3: int

    _fields_ = [
        ("struct_size", C.c_uint32),
        ("flags", C.c_uint32),
        ("threads", C.c_uint32),
        ("reserved", C.c_uint32),
        ("type", C.c_char_p),
        ("overrides", C.POINTER(TypeOverride)),
        ("override_count", C.c_size_t),
        ("importance", C.c_char_p),
        ("progress", C.c_void_p),
        ("user_data", C.c_void_p),
        ("cancel", C.c_void_p),
        ("cancel_data", C.c_void_p),
        ("context_length", C.c_uint32),
        ("reserved_2", C.c_uint32),
        ("adapter", C.c_char_p),
        ("adapter_scale", C.c_float),
        ("reserved_3", C.c_uint32),
    ]


class PerplexityResult(C.Structure):
    """llama2_perplexity_result"""

    struct_size: int
    windows: int
    perplexity: float
    mean: float
    standard_error: float
    tokens: int

    _fields_ = [
        ("struct_size", C.c_uint32),
        ("windows", C.c_uint32),
        ("perplexity", C.c_double),
        ("mean", C.c_double),
        ("standard_error", C.c_double),
        ("tokens", C.c_uint64),
    ]


ReadCallback = C.CFUNCTYPE(C.c_int32, C.c_uint64, C.c_void_p, C.c_size_t, C.c_void_p)
CancelCallback = C.CFUNCTYPE(C.c_int32, C.c_void_p)
LayerCallback = C.CFUNCTYPE(C.c_int32, C.POINTER(LayerView), C.c_void_p)
WriteCallback = C.CFUNCTYPE(C.c_int32, C.c_void_p, C.c_size_t, C.c_void_p)
StepCallback = C.CFUNCTYPE(C.c_int32, C.POINTER(Candidate), C.POINTER(C.c_size_t), C.c_void_p)
TokenCallback = C.CFUNCTYPE(C.c_int32, C.POINTER(TokenReport), C.c_void_p)
PieceCallback = C.CFUNCTYPE(C.c_int32, C.POINTER(C.c_char), C.c_size_t, C.c_void_p)
EventCallback = C.CFUNCTYPE(C.c_int32, C.POINTER(Event), C.c_void_p)
ProgressCallback = C.CFUNCTYPE(C.c_int32, C.c_double, C.c_void_p)
PerplexityCallback = C.CFUNCTYPE(C.c_int32, C.POINTER(PerplexityResult), C.c_size_t, C.c_void_p)

# The header's numbers of structs.
NUMBERS: dict[int, type[C.Structure]] = {
    K.STRUCT_MODEL_OPTIONS: ModelOptions,
    K.STRUCT_IO: IO,
    K.STRUCT_HYPERPARAMETERS: Hyperparameters,
    K.STRUCT_SPECIAL_TOKENS: SpecialTokens,
    K.STRUCT_MESSAGE: Message,
    K.STRUCT_CHAT_OPTIONS: ChatOptions,
    K.STRUCT_CONTEXT_OPTIONS: ContextOptions,
    K.STRUCT_MEMORY: Memory,
    K.STRUCT_CONTEXT_INFO: ContextInfo,
    K.STRUCT_BATCH_ENTRY: BatchEntry,
    K.STRUCT_ADAPTER_INFO: AdapterInfo,
    K.STRUCT_SCALED_ADAPTER: ScaledAdapter,
    K.STRUCT_LAYER_VIEW: LayerView,
    K.STRUCT_LAYER_OPTIONS: LayerOptions,
    K.STRUCT_TIMINGS: Timings,
    K.STRUCT_TEXT: Text,
    K.STRUCT_LOGIT_BIAS: LogitBias,
    K.STRUCT_TEXT_BIAS: TextBias,
    K.STRUCT_CANDIDATE: Candidate,
    K.STRUCT_OWN_STEP: OwnStep,
    K.STRUCT_SAMPLER_OPTIONS: SamplerOptions,
    K.STRUCT_GRAMMAR_OPTIONS: GrammarOptions,
    K.STRUCT_GENERATE_RESULT: GenerateResult,
    K.STRUCT_TOKEN_REPORT: TokenReport,
    K.STRUCT_GENERATE_OPTIONS: GenerateOptions,
    K.STRUCT_SEARCH_OPTIONS: SearchOptions,
    K.STRUCT_FOUND: Found,
    K.STRUCT_SCHEDULER_OPTIONS: SchedulerOptions,
    K.STRUCT_EVENT: Event,
    K.STRUCT_REQUEST_OPTIONS: RequestOptions,
    K.STRUCT_SCHEDULER_STATS: SchedulerStats,
    K.STRUCT_TENSOR_INFO: TensorInfo,
    K.STRUCT_TYPE_OVERRIDE: TypeOverride,
    K.STRUCT_QUANTIZE_OPTIONS: QuantizeOptions,
    K.STRUCT_PERPLEXITY_RESULT: PerplexityResult,
}

Struct = TypeVar("Struct", bound=C.Structure)


def sized(kind: type[Struct]) -> Struct:
    """An empty struct that states its size."""
    value = kind()
    value.struct_size = C.sizeof(kind)
    return value
