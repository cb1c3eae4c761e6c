"""Writes Tests/compare/TEMPLATES.md: chat templates of others, rendered by this library and by `transformers`.

    python Tests/compare/template_table.py FOLDER     a folder of *.jinja, for instance llama.cpp's models/templates

Needs transformers and jinja2. Each template renders the conversations below with and without tools, with and without the
opening of an answer, and with its last message continued. Equal: the same text, or both refuse. The templates are not kept here.
"""

from __future__ import annotations

import datetime
import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Bindings" / "Python"), str(ROOT / "Tests" / "python")]

import llama2swift  # noqa: E402
from tiny_gguf import random_model  # noqa: E402

NOW = datetime.datetime(2024, 7, 26, 15, 4, 5)
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "The weather\nof a city.", "parameters": {"type": "object", "properties": {
        "city": {"type": "string", "description": 'A city, e.g. "Paris"'}, "unit": {"type": "string", "enum": ["c", "f"], "default": "c"}, "days": {"type": "integer", "minimum": 1},
        "or": {"type": ["string", "null"]}, "list": {"type": "array", "items": {"type": "string"}}, "inner": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}},
        "required": ["city"]}, "return": {"type": "string"}}},
    {"type": "function", "function": {"name": "now", "description": "Time é <b>", "parameters": {"type": "object", "properties": {}}}},
]  # fmt: skip


def message(role, content, **more):
    return {"role": role, "content": content, **more}


def call(arguments, name="abcdefghi"):
    return {"id": name, "type": "function", "function": {"name": "get_weather", "arguments": arguments}}


ANSWER = message("tool", "sunny", name="get_weather", tool_call_id="abcdefghi")
TALKS = {
    "a question": [message("user", "Hello")],
    "a system message": [message("system", " Be nice.\n"), message("user", "Hi")],
    "turns": [message("user", " Hi "), message("assistant", "ok \n"), message("user", "Bye")],
    "turns after a system message": [message("system", "S"), message("user", "Hi"), message("assistant", "ok"), message("user", "And?")],
    "marks": [message("user", "a < b & 'c' \"d\" é 日本 🎉\n\n<|im_end|></s>"), message("assistant", "x"), message("user", "")],
    "a call": [message("user", "W?"), message("assistant", "", tool_calls=[call({"city": "Paris", "n": None, "f": 1.5, "b": True, "l": [1, "a"], "o": {"k": "v"}})]), ANSWER, message("user", "Thanks")],
    "a call as text": [message("user", "W?"), message("assistant", None, tool_calls=[call('{"city": "Paris"}')]), ANSWER],
    "two calls": [message("user", "W?"), message("assistant", "see", tool_calls=[call({"city": "A"}), call({"city": "B"}, "bbbbbbbbb")]), ANSWER, ANSWER | {"tool_call_id": "bbbbbbbbb"}, message("assistant", "done")],
    "thoughts": [message("user", "q"), message("assistant", "<think>\nhm\n</think>\n\nanswer"), message("user", "r"), message("assistant", "z", reasoning_content="deep")],
    "a developer": [message("developer", "dev"), message("user", "x")],
    "another role": [message("critic", "x"), message("user", "y")],
    "an answer at the end": [message("user", "Hi"), message("assistant", "I think")],
}  # fmt: skip
VARIABLES = [{}, {"enable_thinking": False}, {"enable_thinking": True, "reasoning_effort": "high"}]
VARIED = ["a question", "a call", "thoughts"]
WAYS = [(tools, opens, continues) for tools in (None, TOOLS) for opens, continues in ((True, False), (False, False), (False, True))]


def theirs(utils, template, talk, tools, opens, continues, variables):
    try:
        return utils.render_jinja_template(
            [json.loads(json.dumps(talk))], tools=tools, chat_template=template, add_generation_prompt=opens, continue_final_message=continues,
            bos_token="<s>", eos_token="</s>", unk_token="<unk>", **variables)[0][0]  # fmt: skip
    except Exception:  # any of jinja2's and Python's: a refusal
        return None


def ours(model, template, talk, tools, opens, continues, variables):
    try:
        return model.chat_text(talk, tools=tools, chat_template=template, add_generation_prompt=opens, continue_final_message=continues, **variables)
    except llama2swift.Llama2Error:
        return None


def main() -> None:
    import jinja2
    import transformers
    from transformers.utils import chat_template_utils as utils

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return NOW

    utils.datetime = Clock
    time.localtime = lambda *_: NOW.timetuple()
    path = Path(tempfile.mkdtemp()) / "m.gguf"
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))]
    metadata = {"tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": pieces, "tokenizer.ggml.scores": [0.0] * 259, "tokenizer.ggml.token_type": [2, 3, 3, *[6] * 256]}
    random_model(path, metadata=metadata, vocabulary=259, dim=32, layers=1, heads=2, heads_kv=1, hidden=32)
    model = llama2swift.Model(path)
    lines, equal_templates, all_rendered, all_cases = [], 0, 0, 0
    files = sorted(Path(sys.argv[1]).glob("*.jinja"))
    for file in files:
        template, equal, rendered, cases = file.read_bytes().decode(), 0, 0, 0
        for name, talk in TALKS.items():
            for tools, opens, continues in WAYS:
                for variables in VARIABLES if name in VARIED else VARIABLES[:1]:
                    right = theirs(utils, template, talk, tools, opens, continues, variables)
                    cases += 1
                    rendered += right is not None
                    equal += right == ours(model, template, talk, tools, opens, continues, variables)
        equal_templates += equal == cases
        all_rendered += rendered
        all_cases += cases
        lines.append(f"| {file.stem} | {len(template.encode())} | {cases} | {rendered} | {'all' if equal == cases else equal} |")
    (Path(__file__).parent / "TEMPLATES.md").write_text(
        f"""# Chat templates of others

{equal_templates} of {len(files)} templates give the text of transformers {transformers.__version__} (jinja2 {jinja2.__version__}) in every case: {all_cases} cases, of which transformers
renders {all_rendered}; the others it refuses, and so does this library. Made by `python Tests/compare/template_table.py FOLDER` over the templates that
llama.cpp keeps (models/templates in the sdist of llama-cpp-python 0.3.36).

| template | bytes | cases | rendered | equal |
|---|---|---|---|---|
"""
        + "\n".join(lines) + "\n"
    )


if __name__ == "__main__":
    main()
