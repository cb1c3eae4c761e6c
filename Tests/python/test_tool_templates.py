"""Vocabularies with several chat templates: the one for conversations with tools, as transformers and llama.cpp choose it, and any by its name."""

import re

import pytest
from header import ROOT
from test_tokenizer_settings import BASE, folder
from tiny_gguf import random_model

import llama2swift
from llama2swift.errors import CorruptFileError, UnknownTemplateError

TALK = [{"role": "user", "content": "Hi"}]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
PLAIN, WITH = "plain {{ messages[0].content }}", "{% for t in tools %}{{ t.function.name }}{% endfor %} {{ messages[0].content }}"
RAG = "{% for d in documents %}{{ d.title }}{% endfor %} {{ messages[0].content }}"
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


def test_one_is_chosen_by_its_name(tmp_path):
    named = [{"name": "tool_use", "template": WITH}, {"name": "rag", "template": RAG}, {"name": "default", "template": PLAIN}]
    llama2swift.convert(of(tmp_path / "hf", named), tmp_path / "m.gguf", "F32")
    files = {"chat_template.jinja": PLAIN, "additional_chat_templates/tool_use.jinja": WITH, "additional_chat_templates/rag.jinja": RAG}
    for path in (tmp_path / "hf", tmp_path / "m.gguf", of(tmp_path / "files", None, **files), of(tmp_path / "object", {n["name"]: n["template"] for n in named})):
        model = llama2swift.Model(path)
        assert model.chat_templates == {n["name"]: n["template"] for n in named}
        assert model.chat_text(TALK, chat_template="rag", documents=[{"title": "T"}]) == "T Hi" and rendered(model) == ["plain Hi", "f Hi"]
        assert [model.chat_text(TALK, tools=TOOLS, chat_template=name) for name in ("default", "tool_use")] == ["plain Hi", "f Hi"]
        assert model.chat_tokens(TALK, chat_template="rag", documents=[{"title": "T"}]) == model.chat_tokens(TALK, chat_template=RAG, documents=[{"title": "T"}])


def test_a_name_that_is_not_there_is_refused(tmp_path):
    """transformers takes it for Jinja and writes "rag" (its issue 37469)."""
    model = llama2swift.Model(of(tmp_path / "hf", [{"name": "rag", "template": RAG}, {"name": "default", "template": PLAIN}]))
    for name in ("tool_use", "Rag", "llama-4"):
        with pytest.raises(UnknownTemplateError, match=f'"{name}" is the name of no format and of none .* default, rag'):
            model.chat_text(TALK, chat_template=name)
    assert model.chat_text(TALK, chat_template="chatml").startswith("<|im_start|>user")
    with pytest.raises(UnknownTemplateError, match="default"):
        llama2swift.Model(of(tmp_path / "none", None)).chat_text(TALK, chat_template="rag")


def test_without_a_default_one_must_be_named(tmp_path):
    files = {"additional_chat_templates/rag.jinja": PLAIN, "additional_chat_templates/tool_use.jinja": WITH}
    for path in (of(tmp_path / "hf", [{"name": "rag", "template": PLAIN}, {"name": "tool_use", "template": WITH}]), of(tmp_path / "files", "old", **files)):
        model = llama2swift.Model(path)
        assert model.chat_template is None and model.chat_text(TALK, chat_template="rag") == "plain Hi" and model.chat_text(TALK, tools=TOOLS) == "f Hi"
        for asked in ({}, {"chat_template": "default"}):
            with pytest.raises(UnknownTemplateError, match="no chat template that is its default"):
                model.chat_text(TALK, **asked)


@pytest.mark.parametrize("template", [5, True, [5], [{"name": "default"}], [{"template": "x"}], [{"name": 5, "template": "x"}], {"default": 5}])
def test_what_is_no_template_is_refused(tmp_path, template):
    with pytest.raises(CorruptFileError, match="chat_template"):
        llama2swift.Model(of(tmp_path / "hf", template))


def test_llama_and_the_harness_choose_by_name(tmp_path):
    llama2swift.convert(of(tmp_path / "hf", [{"name": "rag", "template": "rag {{ messages[0].content }}"}, {"name": "default", "template": PLAIN}]), tmp_path / "m.gguf", "F32")
    with llama2swift.Llama(tmp_path / "m.gguf", n_ctx=64, chat_format="chat_template.rag") as llm:
        told = llm.create_chat_completion(TALK, max_tokens=1)["usage"]["prompt_tokens"]
        assert told == len(llm.model.chat_tokens(TALK, chat_template="rag")) != len(llm.model.chat_tokens(TALK))
    with pytest.raises(ValueError, match="chat_template.default, chat_template.rag"):
        llama2swift.Llama(tmp_path / "m.gguf", chat_format="chat_template.tool_use")


def test_files_go_before_settings(tmp_path):
    extra = {"chat_template.jinja": PLAIN, "additional_chat_templates/tool_use.jinja": WITH}
    assert rendered(llama2swift.Model(of(tmp_path / "hf", "old", **extra))) == ["plain Hi", "f Hi"]
    named = [{"name": "tool_use", "template": WITH}, {"name": "default", "template": "old"}]
    assert rendered(llama2swift.Model(of(tmp_path / "two", named, **{"chat_template.jinja": PLAIN}))) == ["plain Hi", "plain Hi"]


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


def test_the_names_of_templates_are_the_headers(stories):
    header = (ROOT / "Include/llama2swift.h").read_text()
    told = re.findall(r'"([^"]+)"', header[header.index("The name of the format that the template writes:") :].split('"" for any other')[0])
    assert len(told) == 9 and all("What is a cat?" in stories.chat_text([{"role": "user", "content": "What is a cat?"}], chat_template=name) for name in told)
