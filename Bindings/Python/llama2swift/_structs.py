"""The header's structs, declared anew; `_library` compares their sizes with the library's."""

import ctypes as C

u32, i32, u64, f32, f64, size = C.c_uint32, C.c_int32, C.c_uint64, C.c_float, C.c_double, C.c_size_t


class ModelOptions(C.Structure):
    _fields_ = [("struct_size", u32), ("flags", u32)]


class ContextOptions(C.Structure):
    _fields_ = [
        ("struct_size", u32), ("flags", u32), ("context_length", u32), ("max_sequences", u32), ("batch_size", u32),
        ("threads", u32), ("kernels", u32), ("reserved", u32),
    ]  # fmt: skip


class LogitBias(C.Structure):
    _fields_ = [("token", i32), ("bias", f32)]


class SamplerOptions(C.Structure):
    _fields_ = [
        ("struct_size", u32), ("flags", u32), ("seed", u64), ("temperature", f32), ("top_p", f32), ("min_p", f32),
        ("repetition_penalty", f32), ("frequency_penalty", f32), ("presence_penalty", f32), ("top_k", i32),
        ("penalty_last_n", i32), ("logit_bias", C.POINTER(LogitBias)), ("logit_bias_count", size),
    ]  # fmt: skip


class Text(C.Structure):
    _fields_ = [("data", C.c_char_p), ("length", size)]


class GenerateResult(C.Structure):
    _fields_ = [("struct_size", u32), ("reason", i32), ("prompt_tokens", u64), ("tokens", u64), ("adopted", u64)]


class GenerateOptions(C.Structure):
    _fields_ = [
        ("struct_size", u32), ("flags", u32), ("prompt", C.POINTER(i32)), ("prompt_count", size),
        ("stops", C.POINTER(Text)), ("stop_count", size), ("max_tokens", u64), ("result", C.POINTER(GenerateResult)),
    ]  # fmt: skip


class Hyperparameters(C.Structure):
    _fields_ = [
        ("struct_size", u32), ("vocabulary_size", u32), ("embedding_length", u32), ("block_count", u32),
        ("feed_forward_length", u32), ("head_count", u32), ("head_count_kv", u32), ("head_dimension", u32),
        ("rope_dimension", u32), ("context_length", u32), ("rms_epsilon", f32), ("rope_scale", f32),
        ("rope_base", f64), ("parameter_count", u64), ("file_bytes", u64),
    ]  # fmt: skip


class SpecialTokens(C.Structure):
    _fields_ = [("struct_size", u32), ("bos", i32), ("eos", i32), ("eot", i32), ("unknown", i32), ("adds_bos", i32)]


class ContextInfo(C.Structure):
    _fields_ = [
        ("struct_size", u32), ("context_length", u32), ("max_sequences", u32), ("batch_size", u32), ("threads", u32),
        ("kernels", u32), ("flags", u32), ("reserved", u32), ("memory_bytes", u64), ("pages", u64), ("pages_used", u64),
        ("pages_shared", u64), ("pages_cached", u64), ("positions", u64),
    ]  # fmt: skip


class Timings(C.Structure):
    _fields_ = [
        ("struct_size", u32), ("reserved", u32), ("prefill_tokens", u64), ("prefill_nanoseconds", u64),
        ("decode_tokens", u64), ("decode_nanoseconds", u64),
    ]  # fmt: skip


class Memory(C.Structure):
    _fields_ = [
        ("struct_size", u32), ("reserved", u32), ("model_bytes", u64), ("kv_bytes", u64), ("work_bytes", u64),
        ("logits_bytes", u64),
    ]  # fmt: skip


class Message(C.Structure):
    _fields_ = [("role", C.c_char_p), ("role_length", size), ("content", C.c_char_p), ("content_length", size)]


class BatchEntry(C.Structure):
    _fields_ = [("token", i32), ("sequence", i32), ("flags", u32)]


class TypeOverride(C.Structure):
    _fields_ = [("pattern", C.c_char_p), ("type", C.c_char_p)]


class QuantizeOptions(C.Structure):
    _fields_ = [
        ("struct_size", u32), ("flags", u32), ("threads", u32), ("reserved", u32), ("type", C.c_char_p),
        ("overrides", C.POINTER(TypeOverride)), ("override_count", size), ("importance", C.c_char_p),
        ("progress", C.c_void_p), ("user_data", C.c_void_p),
    ]  # fmt: skip


class PerplexityResult(C.Structure):
    _fields_ = [
        ("struct_size", u32), ("windows", u32), ("perplexity", f64), ("mean", f64), ("standard_error", f64), ("tokens", u64),
    ]  # fmt: skip


class IO(C.Structure):
    _fields_ = [("struct_size", u32), ("reserved", u32), ("size", u64), ("read", C.c_void_p), ("user_data", C.c_void_p)]


class TensorInfo(C.Structure):
    _fields_ = [("struct_size", u32), ("type", u32), ("columns", u64), ("rows", u64), ("bytes", u64)]


# The header's LLAMA2_STRUCT_ numbers.
NUMBERS = {
    1: ModelOptions, 2: ContextOptions, 3: SamplerOptions, 4: GenerateOptions, 5: Hyperparameters, 6: SpecialTokens,
    7: ContextInfo, 8: Timings, 9: Memory, 10: GenerateResult, 11: Message, 12: BatchEntry, 13: Text, 14: LogitBias,
    15: TypeOverride, 16: QuantizeOptions, 17: PerplexityResult, 18: IO, 19: TensorInfo,
}  # fmt: skip


def sized(kind):
    """An empty struct that states its size."""
    value = kind()
    value.struct_size = C.sizeof(kind)
    return value
