"""Chats of `Llama`: messages, tools that are called, and texts that are held to a schema."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from . import _arguments as A
from . import _calling
from ._llama_by_hand import ByHand
from ._llama_arguments import NEUTRAL_SAMPLERS, Chunk, dicts, only_neutral
from .grammar import Grammar
from .llama_grammar import LlamaGrammar


class Chats(ByHand):
    """Answers to conversations."""

    def create_chat_completion(
        self, messages: list[Any], functions: Any = None, function_call: Any = None, tools: list[Any] | None = None, tool_choice: Any = None, temperature: float = 0.2,
        top_p: float = 0.95, top_k: int = 40, min_p: float = 0.05, typical_p: float = 1.0, stream: bool = False, stop: str | list[str] | None = None,
        seed: int | None = None, response_format: Any = None, max_tokens: int | None = None, presence_penalty: float = 0.0, frequency_penalty: float = 0.0,
        repeat_penalty: float = 1.0, tfs_z: float = 1.0, mirostat_mode: int = 0, mirostat_tau: float = 5.0, mirostat_eta: float = 0.1, model: str | None = None,
        logits_processor: Any = None, grammar: Grammar | LlamaGrammar | None = None, logit_bias: Mapping[Any, float] | None = None, logprobs: bool | None = None,
        top_logprobs: int | None = None, **others: Any,
    ) -> Any:  # fmt: skip
        """The conversation goes on: a dict in OpenAI's shape, or for stream an iterator of such. response_format: {"type": "json_object",
        "schema": ...}. tools and tool_choice: a function that is chosen is called by its schema."""
        others |= {"functions": functions, "function_call": function_call, "tfs_z": tfs_z, "logits_processor": logits_processor}
        only_neutral(others, NEUTRAL_SAMPLERS, "create_chat_completion")
        for number, tool in enumerate(dicts("tools", [] if tools is None else tools)):
            if not isinstance(tool.get("function"), Mapping) or not isinstance(tool["function"].get("name"), str):
                raise A.refuse(f"tools[{number}]", tool, 'a dict with a "function" that has a "name"')
            if tool.get("type", "function") != "function":
                raise ValueError(f"tools[{number}]: a tool of type {tool['type']!r} is not supported by llama2swift")
        stream = A.flag("stream", stream)
        logprobs = None if logprobs is None else A.flag("logprobs", logprobs)
        if model is not None:
            A.string("model", model)
        if response_format is not None and not isinstance(response_format, Mapping):
            raise A.refuse("response_format", response_format, "a dict or None")
        top_logprobs = None if top_logprobs is None else A.unsigned("top_logprobs", top_logprobs, 31)
        if top_logprobs is not None and not logprobs:
            raise ValueError("top_logprobs: only with logprobs=True")
        name, held = self._held(tools, tool_choice, response_format)
        if held is not None and grammar is not None:
            raise ValueError("grammar: the answer is held to response_format or tool_choice already")
        if grammar is not None and tools and tool_choice != "none":
            raise ValueError("grammar: a text that is held to one calls no tools; tool_choice='none' takes them away")
        talk = [dict(m) for m in dicts("messages", messages)]
        if tools or any(m.get("tool_calls") or m.get("role") == "tool" for m in talk):
            shown = [{"type": "function", "function": {"description": "", "parameters": {}, **t["function"]}} for t in tools or [] if tool_choice != "none"]
            talk = _calling.in_words(talk, shown)
        tokens = self.model.chat_tokens(talk, chat_template=self._template)
        sampler = self._sampler(temperature, top_p, min_p, top_k, frequency_penalty, presence_penalty, repeat_penalty, seed, logit_bias, typical_p, (mirostat_mode, mirostat_tau, mirostat_eta))
        frame = {"id": f"chatcmpl-{uuid.uuid4()}", "object": "chat.completion.chunk" if stream else "chat.completion", "created": int(time.time()), "model": model or self.model_path}
        best = (top_logprobs or 0) if logprobs else None
        events = self._events(tokens, max_tokens, sampler, held if held is not None else grammar, stop, best)
        if stream:
            return self._chat_chunks(frame, events, name, best, tools, tool_choice)
        text, reason = "", None
        ids: list[Any] = []
        for event in events:
            text += event.text
            ids += [event] if event.token is not None else []
            reason = event.reason or reason
        message: Chunk = {"role": "assistant", "content": text}
        split = _calling.Splitter()
        said: str | None = None
        calls = [_calling.made(name, text)] if name else self._calls(text, tools, tool_choice)
        if not calls:  # words, then a call
            said = split.add(text).rstrip() or None
            calls = self._calls(split.rest(), tools, tool_choice)
        if calls:
            message, reason = {"role": "assistant", "content": said, "tool_calls": calls}, "tool_calls" if reason == "stop" else reason
        choice = {"index": 0, "message": message, "logprobs": self._chat_logprobs(ids, best), "finish_reason": reason}
        usage = {"prompt_tokens": len(tokens), "completion_tokens": len(ids), "total_tokens": len(tokens) + len(ids)}
        return {**frame, "choices": [choice], "usage": usage}

    def create_chat_completion_openai_v1(self, *arguments: Any, **options: Any) -> Any:
        """`create_chat_completion` with the openai package's classes in place of dicts."""
        from importlib import import_module

        kinds: Any = import_module("openai.types.chat")
        made = self.create_chat_completion(*arguments, **options)
        return (kinds.ChatCompletionChunk(**chunk) for chunk in made) if options.get("stream") else kinds.ChatCompletion(**made)

    def _held(self, tools: Any, choice: Any, form: Any) -> tuple[str | None, Grammar | None]:
        """The function that is called whatever comes, and what the text is held to."""
        schema: Any = None
        if form is not None and form.get("type") != "text":
            if form.get("type") != "json_object" or set(form) - {"type", "schema"}:
                raise ValueError('response_format: expected {"type": "json_object"}, with "schema" or without')
            schema = form.get("schema") or {"type": "object"}
        functions = [(t["function"]["name"], _calling.arguments_of(t["function"].get("parameters"))) for t in tools or []]
        if choice in (None, "none", "auto"):
            if schema is not None and functions and choice != "none":  # of the schema, or a call
                schema = _calling.or_called(schema, _calling.one_of(functions))
            return None, None if schema is None else self.model.grammar(json_schema=schema)
        if schema is not None:
            raise ValueError("tool_choice: the answer is held to response_format already")
        if choice == "required" and functions:
            return (functions[0][0], self.model.grammar(json_schema=functions[0][1], whitespace="compact")) if len(functions) == 1 else (
                None, self.model.grammar(json_schema=_calling.one_of(functions), whitespace="compact"),
            )  # fmt: skip
        wanted = choice.get("function", {}).get("name") if isinstance(choice, Mapping) else None
        for name, parameters in functions:
            if name == wanted:
                return name, self.model.grammar(json_schema=parameters, whitespace="compact")
        raise ValueError(f"tool_choice: there is no function {wanted if wanted else choice!r}")

    def _calls(self, text: str, tools: Any, choice: Any) -> list[Chunk] | None:
        found = _calling.values(text) if tools and choice != "none" else None
        names = {t["function"]["name"] for t in tools or []}
        if not found or not all(isinstance(v, dict) and v.get("name") in names and isinstance(v.get("arguments"), dict) for v in found):
            return None
        return [_calling.made(v["name"], json.dumps(v["arguments"], ensure_ascii=False)) for v in found]

    def _chat_chunks(self, frame: Chunk, events: Iterator[Any], name: str | None, best: int | None, tools: Any, choice: Any) -> Iterator[Chunk]:
        yield {**frame, "choices": [{"index": 0, "delta": {"role": "assistant"}, "logprobs": None, "finish_reason": None}]}
        call = _calling.made(name, "") if name else None
        # what may be a call is held back until it is known to be one
        split = _calling.Splitter() if tools and choice != "none" and not name else None
        for event in events:
            text = event.text if split is None else split.add(event.text)
            calls: list[Chunk] | None = None
            if split is not None and event.reason:
                rest = split.rest()
                calls = self._calls(rest, tools, choice)
                text += "" if calls else rest
            delta: Chunk = {"content": text} if text else {}
            if calls:
                delta["tool_calls"] = [{"index": index, **one} for index, one in enumerate(calls)]
            if call and event.text:
                delta = {"tool_calls": [{"index": 0, **call, "function": {**call["function"], "arguments": event.text}}]}
            shown = self._chat_logprobs([event], best) if event.token is not None else None
            reason = "tool_calls" if (call or calls) and event.reason == "stop" else event.reason
            if delta or shown:
                yield {**frame, "choices": [{"index": 0, "delta": delta, "logprobs": shown, "finish_reason": None}]}
            if reason:
                yield {**frame, "choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": reason}]}

    def _chat_logprobs(self, events: list[Any], count: int | None) -> Any:
        if count is None:
            return None

        def one(token: int, p: float) -> Chunk:
            raw = self.model.piece(token)
            return {"token": raw.decode("utf-8", "replace"), "bytes": list(raw), "logprob": p}

        return {"content": [{**one(e.token, e.report.logprob), "top_logprobs": [one(t, p) for t, p in e.report.best]} for e in events], "refusal": None}
