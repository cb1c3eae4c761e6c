"""Which of llama-cpp-python's arguments ask for what is there, and what stands for many things in them."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Any

from . import _arguments as A

FORMATS = {
    "llama-2": "llama2", "llama-3": "llama3", "chatml": "chatml", "chatml-function-calling": "chatml", "zephyr": "zephyr", "vicuna": "vicuna",
    "alpaca": "alpaca", "mistral-instruct": "mistral-v1",
}  # fmt: skip
OWN_FORMAT = "chat_template."  # and the name of one of the model's own
# Arguments of the constructor that change no answer, whatever they are
HARMLESS = frozenset(
    ("main_gpu", "split_mode", "n_ubatch", "verbose", "offload_kqv", "op_offload", "flash_attn", "no_perf", "logits_all", "swa_full", "n_threads_batch", "spm_infill")
)
# and the values at which others ask for nothing
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n_gpu_layers": (0, -1), "tensor_split": (None,), "vocab_only": (False,), "use_mlock": (False,), "kv_overrides": (None,), "rope_scaling_type": (-1, None),
    "rope_freq_base": (0, 0.0), "rope_freq_scale": (0, 0.0), "yarn_ext_factor": (-1, -1.0), "yarn_attn_factor": (1, 1.0), "yarn_beta_fast": (32, 32.0),
    "yarn_beta_slow": (1, 1.0), "yarn_orig_ctx": (0,), "lora_base": (None,), "lora_scale": (1, 1.0), "lora_path": (None,), "numa": (False,),
    "chat_handler": (None,), "tokenizer": (None,), "kv_unified": (None, False, True), "attention_type": (-1,),
}  # fmt: skip
# and those of a generation
NEUTRAL_SAMPLERS: dict[str, tuple[Any, ...]] = {
    "tfs_z": (1, 1.0), "stopping_criteria": (None,), "logits_processor": (None,), "suffix": (None, ""), "functions": (None,), "function_call": (None,),
    "assistant_prefill": (None, False), "penalize_nl": (None, True), "idx": (None,),
}  # fmt: skip
Chunk = dict[str, Any]


def only_neutral(given: Mapping[str, Any], neutral: Mapping[str, tuple[Any, ...]], what: str) -> None:
    """Raises TypeError for what llama-cpp-python's does not have either, ValueError for what it has and nothing follows here."""
    for name, value in given.items():
        if name not in neutral:
            raise TypeError(f"{what} has no argument {name!r}")
        if not any(value is n or (type(value) is type(n) and value == n) for n in neutral[name]):
            raise ValueError(f"{name}={value!r} is not supported by llama2swift")


def text_list(name: str, value: Any) -> list[str]:
    """One text, or several."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, (list, tuple)):
        raise A.refuse(name, value, "a str or a list of str")
    return [A.string(f"{name}[{i}]", text) for i, text in enumerate(value)]


def dicts(name: str, value: Any) -> list[Mapping[str, Any]]:
    if not isinstance(value, (list, tuple)):
        raise A.refuse(name, value, "a list of dicts")
    for i, entry in enumerate(value):
        if not isinstance(entry, Mapping):
            raise A.refuse(f"{name}[{i}]", entry, "a dict")
    return list(value)


def one_file(names: list[str], pattern: str, repo: str) -> str:
    found = [name for name in names if fnmatch.fnmatch(name, pattern)]
    if len(found) != 1:
        raise ValueError(f"{len(found)} files of {repo} fit {pattern!r}{': ' + ', '.join(found[:10]) if found else ''}; one is needed")
    return found[0]
