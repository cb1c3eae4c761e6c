"""A model whose vocabulary is bytes and control tokens, and messages, for the tests of chat templates."""

import pytest
from tiny_gguf import random_model

import llama2swift

CONTROL = ["<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "[INST]", "[/INST]", "<|user|>"]
PIECES = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), "▁", "a", *CONTROL]
BYTES, LAST = 3, len(PIECES) - len(CONTROL)


def write_model(path, template=None, pieces=PIECES, types=None, more={}):
    """A model whose vocabulary is the bytes and some control tokens."""
    types = types or [2, 3, 3, *[6] * 256, 1, 1, *[3] * len(CONTROL)]
    metadata = {"tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": pieces, "tokenizer.ggml.scores": [0.0] * len(pieces), "tokenizer.ggml.token_type": types}
    metadata |= more
    if template is not None:
        metadata["tokenizer.chat_template"] = template
    random_model(path, metadata=metadata, vocabulary=len(pieces), dim=32, layers=1, heads=2, heads_kv=1, hidden=32)
    return llama2swift.Model(path)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("chat") / "model.gguf")


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def system(text):
    return {"role": "system", "content": text}
