"""Vocabularies with a chat template of their own for conversations with tools, as transformers and llama.cpp choose it."""

import pytest
from test_tokenizer_settings import BASE, folder
from tiny_gguf import random_model

import llama2swift
from llama2swift.errors import UnsupportedError

TALK = [{"role": "user", "content": "Hi"}]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
PLAIN, WITH = "plain {{ messages[0].content }}", "{% for t in tools %}{{ t.function.name }}{% endfor %} {{ messages[0].content }}"
VOCABULARY = BASE | {"decoder": {"type": "Fuse"}}


def of(path, template, **files):
    path = folder(path, 16, **{"tokenizer.json": VOCABULARY, "tokenizer_config.json": {} if template is None else {"chat_template": template}})
    for name, text in files.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(text)
    return path


def rendered(model):
    return [model.chat_text(TALK, tools=tools) for tools in (None, TOOLS)]


def test_a_list_has_one_for_tools(tmp_path):
    named = [{"name": "tool_use", "template": WITH}, {"name": "rag", "template": "x"}, {"name": "default", "template": PLAIN}]
    path = of(tmp_path / "hf", named)
    assert rendered(llama2swift.Model(path)) == ["plain Hi", "f Hi"]
    llama2swift.convert(path, tmp_path / "m.gguf", "F32")
    assert rendered(llama2swift.Model(tmp_path / "m.gguf")) == ["plain Hi", "f Hi"]
    assert rendered(llama2swift.Model(of(tmp_path / "one", named[1:]))) == ["plain Hi", "plain Hi"]


def test_a_list_without_a_default_is_refused(tmp_path):
    with pytest.raises(UnsupportedError, match="none of the templates of chat_template is called default"):
        llama2swift.Model(of(tmp_path / "hf", [{"name": "rag", "template": PLAIN}]))


def test_files_go_before_settings(tmp_path):
    extra = {"chat_template.jinja": PLAIN, "additional_chat_templates/tool_use.jinja": WITH}
    assert rendered(llama2swift.Model(of(tmp_path / "hf", "old", **extra))) == ["plain Hi", "f Hi"]
    named = [{"name": "tool_use", "template": WITH}, {"name": "default", "template": "old"}]
    assert rendered(llama2swift.Model(of(tmp_path / "two", named, **{"chat_template.jinja": PLAIN}))) == ["plain Hi", "plain Hi"]
    with pytest.raises(UnsupportedError, match="no chat_template.jinja"):
        llama2swift.Model(of(tmp_path / "three", "old", **{"additional_chat_templates/tool_use.jinja": WITH}))


def test_a_gguf_file_has_one_for_tools(tmp_path):
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))]
    metadata = {
        "tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": pieces, "tokenizer.ggml.scores": [0.0] * 259, "tokenizer.ggml.token_type": [2, 3, 3, *[6] * 256],
        "tokenizer.chat_template": PLAIN, "tokenizer.chat_template.tool_use": WITH, "tokenizer.chat_templates": ["tool_use"],
    }  # fmt: skip
    random_model(tmp_path / "m.gguf", metadata=metadata, vocabulary=259, dim=32, layers=1, heads=2, heads_kv=1, hidden=32)
    model = llama2swift.Model(tmp_path / "m.gguf")
    assert rendered(model) == ["plain Hi", "f Hi"] and model.chat_text(TALK, tools=TOOLS, chat_template=PLAIN) == "plain Hi"
    assert model.chat_template == PLAIN
