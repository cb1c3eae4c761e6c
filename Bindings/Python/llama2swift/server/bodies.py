"""The bodies of requests: every field is here, and followed; or it is known to change no answer, and of its type; or it is refused by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Dict, List, Literal, Optional, Union  # pydantic evaluates them, in Python 3.9 too

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError

# What changes answers and is not followed: the values that ask for nothing, and why.
Refused = Mapping[str, "tuple[tuple[Any, ...], str]"]
_STOPS, _LONGEST_STOP = 64, 4096  # the library's
_MOST_TEXTS = 2048  # OpenAI's


def taken(**more: Any) -> Any:
    """A field of the right type that no answer depends on: who asks, or where a text is worked on, which is the same bits everywhere."""
    return Field(None, description="taken, and changes no answer", **more)


class Body(BaseModel):
    """Wrong types, numbers that are none and fields that nobody knows are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())
    refused: ClassVar[Refused] = {}

    @model_validator(mode="before")
    @classmethod
    def _known(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        for name, (neutral, why) in cls.refused.items():
            if name in data and data[name] is not None and not any(data[name] is n or (type(data[name]) is type(n) and data[name] == n) for n in neutral):
                raise PydanticCustomError("not_followed", "{name}: {why}", {"name": name, "why": why})
        return {k: v for k, v in data.items() if k not in cls.refused or k in cls.model_fields}

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The fields, and what else is taken."""
        made = handler(core_schema)
        properties = handler.resolve_ref_schema(made).setdefault("properties", {})
        for name, (neutral, why) in cls.refused.items():
            properties[name] = {"enum": [None, *neutral], "description": f"not supported: {why}"}
        return made


Stop = Union[str, List[str], None]


class Sampled(Body):
    """How tokens are chosen: OpenAI's fields and llama-server's beside them. None: as the server was told at its start."""

    refused: ClassVar[Refused] = {
        "adaptive_target": ((-1, -1.0), "this sampler is not supported"),
        "adaptive_decay": ((0.9,), "this sampler is not supported"),
        "min_keep": ((0, 1), "at least one token is kept, no other number is supported"),
        "lora": (([],), "adapters are not supported by this server"),
        "n_keep": ((0,), "the context is not shifted by requests"),
        "n_discard": ((0,), "the context is not shifted by requests"),
        "t_max_prompt_ms": ((-1, 0), "only t_max_predict_ms is supported"),
        "return_progress": ((False,), "nothing is sent before the first token"),
    }  # fmt: skip

    # whether it is of OpenAI's interface, where fields of that are as it has them
    follows_openai: ClassVar[bool] = True

    temperature: Optional[float] = Field(None, ge=0, le=1000)
    top_p: Optional[float] = Field(None, ge=0, le=1)
    top_k: Optional[int] = Field(None, ge=-1, le=2**31 - 1)
    min_p: Optional[float] = Field(None, ge=0, le=1)
    samplers: Union[List[str], str, None] = Field(None, max_length=64)
    typical_p: Optional[float] = Field(None, ge=0, le=1)
    top_n_sigma: Optional[float] = None
    xtc_probability: Optional[float] = Field(None, ge=0, le=1)
    xtc_threshold: Optional[float] = Field(None, ge=0, le=1)
    mirostat: Optional[int] = Field(None, ge=0, le=2)
    mirostat_tau: Optional[float] = None
    mirostat_eta: Optional[float] = None
    dynatemp_range: Optional[float] = Field(None, ge=0)
    dynatemp_exponent: Optional[float] = None
    dry_multiplier: Optional[float] = None
    dry_base: Optional[float] = None
    dry_allowed_length: Optional[int] = None
    dry_penalty_last_n: Optional[int] = None
    dry_sequence_breakers: Optional[List[str]] = Field(None, max_length=64)
    frequency_penalty: Optional[float] = Field(None, ge=-2, le=2)
    presence_penalty: Optional[float] = Field(None, ge=-2, le=2)
    repeat_penalty: Optional[float] = Field(None, gt=0)
    repeat_last_n: Optional[int] = Field(None, ge=-1, le=2**31 - 1)
    seed: Optional[int] = Field(None, ge=-(2**63), le=2**64 - 1)
    logit_bias: Union[Dict[str, Union[float, bool]], List[List[Union[int, str, float, bool]]], None] = Field(None, max_length=10_000)
    ignore_eos: Optional[bool] = None
    stop: Stop = None
    grammar: Optional[str] = Field(None, max_length=1 << 20)
    json_schema: Union[Dict[str, Any], bool, None] = None
    complete: Optional[bool] = None  # of llama2swift: what the text is held to is whole within max_tokens
    t_max_predict_ms: Optional[int] = Field(None, ge=-1)
    user: Optional[str] = taken()
    cache_prompt: Optional[bool] = taken()
    id_slot: Optional[int] = taken(ge=-1)

    @field_validator("stop")
    @classmethod
    def _stops(cls, stop: Stop) -> Stop:
        stops = [stop] if isinstance(stop, str) else stop or []
        if len(stops) > _STOPS:
            raise ValueError(f"there are {len(stops)} strings, at most {_STOPS} are possible")
        if any(len(s.encode("utf-8", "surrogatepass")) > _LONGEST_STOP for s in stops):
            raise ValueError(f"a string is longer than {_LONGEST_STOP} bytes")
        if "" in stops:
            raise ValueError("a string is empty")
        return stop

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class StreamOptions(Body):
    """How a stream is sent."""

    refused: ClassVar[Refused] = {"include_obfuscation": ((False,), "events are as long as their text, nothing is added to hide it")}

    include_usage: Optional[bool] = None


class Completion(Sampled):
    """/v1/completions."""

    refused: ClassVar[Refused] = {
        **Sampled.refused,
        "suffix": (("",), "filling in between a prompt and a suffix is not supported"),
    }

    model: Optional[str] = None
    prompt: Union[str, List[str], List[int], List[List[int]], List[Union[str, List[int]]]]
    max_tokens: Optional[int] = Field(None, ge=-1)
    n_predict: Optional[int] = Field(None, ge=-1)
    n: Optional[int] = Field(None, ge=1)
    best_of: Optional[int] = Field(None, ge=1)
    echo: Optional[bool] = None
    logprobs: Optional[int] = Field(None, ge=0, le=20)
    stream: Optional[bool] = None
    stream_options: Optional[StreamOptions] = None


class Embeddings(Body):
    """/v1/embeddings."""

    model: Optional[str] = None
    user: Optional[str] = taken()
    dimensions: Optional[int] = Field(None, ge=1)
    input: Union[str, List[str], List[int], List[List[int]], List[Union[str, List[int]]]]
    encoding_format: Optional[Literal["float", "base64"]] = None

    @field_validator("input")
    @classmethod
    def _count(cls, given: Any) -> Any:
        """How many texts there are is bounded here, how long one is by the context."""
        if isinstance(given, list) and not (given and isinstance(given[0], int)) and len(given) > _MOST_TEXTS:
            raise ValueError(f"there are {len(given)} texts, at most {_MOST_TEXTS} are possible")
        return given


class PromptString(Body):
    """A prompt as llama-server has it beside images."""

    refused: ClassVar[Refused] = {"multimodal_data": (([],), "images and sound are not supported")}

    prompt_string: str


class Native(Sampled):
    """llama-server's /completion."""

    refused: ClassVar[Refused] = {
        **Sampled.refused,
        "n_indent": ((0,), "it is not supported"),
        "image_data": (([],), "images are not supported"),
    }
    follows_openai: ClassVar[bool] = False

    model: Optional[str] = None
    prompt: Union[str, PromptString, List[Union[int, str]], List[List[int]], List[Union[str, List[int], PromptString]]]
    n_predict: Optional[int] = Field(None, ge=-1)
    max_tokens: Optional[int] = Field(None, ge=-1)
    n_probs: Optional[int] = Field(None, ge=0, le=20)
    post_sampling_probs: Optional[bool] = None
    return_tokens: Optional[bool] = None
    response_fields: Optional[List[str]] = Field(None, max_length=64)
    timings_per_token: Optional[bool] = None
    stream: Optional[bool] = None


class Tokenize(Body):
    """/tokenize."""

    model: Optional[str] = None
    content: str
    add_special: Optional[bool] = None
    parse_special: Optional[bool] = None
    with_pieces: Optional[bool] = None


class Detokenize(Body):
    """/detokenize."""

    model: Optional[str] = None
    tokens: List[int]
