#!/usr/bin/env python3
"""Requests drawn from OpenAI's own description of its API, and every answer held to it; OPENAI.md is made of what is found.

    openai_agreement.py --openapi openapi.yaml [--requests 10000] [--seconds N] [--clients 8] [--only PATH] [--output OPENAI.md]

openapi.yaml: of github.com/openai/openai-openapi. Each request is one that does something, and up to four more fields of OpenAI's request schema with
values that this schema allows. The answer, and each event of a stream, must be as openapi.yaml says and as the models of the `openai` package have it,
taken strictly; or the request is refused with 400 in OpenAI's shape, and param names a field that was sent. Needs openai, jsonschema-rs, pyyaml, httpx.
"""

import argparse
import collections
import json
import random
import sys
import threading
import time
import typing
from pathlib import Path

import httpx
import jsonschema_rs
import openai
import yaml
from openai import types
from openai.types import chat, responses
from pydantic import TypeAdapter

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
from openai_requests import Drawn, base  # noqa: E402
from served import served  # noqa: E402

PATHS = {
    "/v1/chat/completions": ("CreateChatCompletionRequest", "CreateChatCompletionResponse", "CreateChatCompletionStreamResponse", chat.ChatCompletion, chat.ChatCompletionChunk),
    "/v1/completions": ("CreateCompletionRequest", "CreateCompletionResponse", "CreateCompletionResponse", types.Completion, types.Completion),
    "/v1/responses": ("CreateResponse", "Response", "ResponseStreamEvent", responses.Response, responses.ResponseStreamEvent),
    "/v1/embeddings": ("CreateEmbeddingRequest", "CreateEmbeddingResponse", None, types.CreateEmbeddingResponse, None),
}  # fmt: skip
# Where answers are beside the schema as OpenAI's own API is, and openapi.yaml's own example of a stream
FIRST, GOES_ON = "null as the probability of an echoed prompt's first token", "null as the finish_reason of a text's event that is not its last"
USAGE, BASE64 = "null as the usage of a text's event that is not the last (as the sentence on stream_options has it)", "vectors as base64"
BESIDE = (FIRST, GOES_ON, USAGE, BASE64)
# Given as they are in `base`, so that most requests are for something that runs
OWN = {"model", "messages", "prompt", "input", "stream", "max_tokens", "max_completion_tokens", "max_output_tokens", "n", "best_of"}


class Agreement:
    """The requests, and what was found."""

    def __init__(self, url: str, document: dict, count: int, seconds: float, only: "str | None" = None):
        self.url, self.document, self.left, self.until = url, document, count, time.monotonic() + seconds
        self.weights = [int(path == only) if only else weight for path, weight in zip(PATHS, (6, 3, 4, 1))]
        self.lock, self.found = threading.Lock(), collections.Counter()
        self.refused: collections.Counter = collections.Counter()
        self.sent: collections.Counter = collections.Counter()
        self.violations: list[str] = []
        self.checks: dict = {}
        # of the many kinds of a response's events the one that says its type
        models = {typing.get_args(one.model_fields["type"].annotation)[0]: one for one in typing.get_args(typing.get_args(responses.ResponseStreamEvent)[0])}
        named = [one["$ref"].rsplit("/", 1)[1] for one in document["components"]["schemas"]["ResponseStreamEvent"]["anyOf"]]
        self.kinds = {kind: (name, models.get(kind)) for name in named for kind in document["components"]["schemas"][name]["properties"]["type"]["enum"]}
        self.models = {model: TypeAdapter(model) for model in (*(m for one in PATHS.values() for m in one[3:]), *models.values()) if model}

    def check(self, name: str):
        """The validator of a schema, made when it is needed: that takes a second."""
        with self.lock:
            if name not in self.checks:
                self.checks[name] = jsonschema_rs.Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": self.document["components"]})
            return self.checks[name]

    def run(self, seed: int) -> None:
        dice = random.Random(seed)
        drawn = Drawn(self.document, dice)
        with httpx.Client(base_url=self.url, timeout=900) as http:
            while True:
                with self.lock:
                    if self.left <= 0 or time.monotonic() > self.until:
                        return
                    self.left -= 1
                path = dice.choices(list(PATHS), self.weights)[0]
                body = base(path, dice)
                fields = drawn.properties({"$ref": f"#/components/schemas/{PATHS[path][0]}"})
                for name in dice.sample(sorted(set(fields) - OWN), min(dice.choice([0, 0, 1, 1, 2, 4]), len(set(fields) - OWN))):
                    body[name] = drawn.value(fields[name])
                self.ask(http, path, body)

    def ask(self, http: httpx.Client, path: str, body: dict) -> None:
        _, whole, event, model, part = PATHS[path]
        try:
            answer = http.post(path, json=body)
            wrong = list(self.answered(answer, body, whole, event, model, part))
        except Exception as problem:  # noqa: BLE001
            answer, wrong = None, [f"{type(problem).__name__}: {problem}"]
        with self.lock:
            for name in body:
                self.sent[f"{path} {name}"] += 1
            self.found["none" if answer is None else answer.status_code] += 1
            if answer is not None and answer.status_code == 400:
                self.refused[f"{path} {answer.json()['error']['param']}"] += 1
            self.violations += [f"{path} {json.dumps(body, ensure_ascii=False)}: {one}" for one in wrong]

    def answered(self, answer: httpx.Response, body: dict, whole: str, event: str, model, part):
        """What is wrong with an answer."""
        if answer.status_code != 200:
            problem = answer.json()
            yield from (f"error: {e.message[:200]}" for e in self.check("ErrorResponse").iter_errors(problem))
            param = problem["error"]["param"]
            if answer.status_code != 400 or param is None or param.split(".")[0].split("[")[0] not in body:
                yield f"{answer.status_code}: {problem}"
        elif body.get("stream"):
            lines = [line[6:] for line in answer.text.split("\n") if line.startswith("data: ")]
            end = lines.pop() if lines else ""
            if event == "ResponseStreamEvent":
                lines.append(end)
                end = json.loads(end)["type"]
            if end not in ("[DONE]", "response.completed", "response.incomplete"):
                yield f"the end of the stream: {end}"
            for line in lines:
                yield from self.held(line, event, part, body)
        else:
            yield from self.held(answer.text, whole, model, body)

    def held(self, text: str, name: str, model, body: dict):
        value = json.loads(text)
        value, beside = as_the_schema_has_it(value, body)
        if name == "ResponseStreamEvent":
            name, model = self.kinds[value["type"]]
        yield from (f"{name} {list(one.instance_path)}: {one.message[:300]}" for one in self.check(name).iter_errors(value))
        self.models[model].validate_json(json.dumps(value), strict=True)  # raises
        with self.lock:
            self.found.update(beside)


def nullable(schema):
    """The same with null allowed where `nullable` says so: openapi.yaml is of a version that knows the word no more, and uses it."""
    if isinstance(schema, list):
        return [nullable(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    out = {k: nullable(v) for k, v in schema.items() if k != "nullable"}
    return {"anyOf": [out, {"type": "null"}]} if schema.get("nullable") is True else out


def plain(value):
    """The same with the dates that YAML makes of examples as text again: JSON has none."""
    return json.loads(json.dumps(value, default=str))


def as_the_schema_has_it(value: dict, body: dict) -> "tuple[dict, list[str]]":
    """An answer with the places mended that are beside the schema as OpenAI's own API is; and which these were."""
    beside = []
    for choice in value.get("choices", ()):
        logprobs = choice.get("logprobs")
        if body.get("echo") and logprobs and logprobs["token_logprobs"][:1] == [None]:
            logprobs["token_logprobs"][0] = 0.0
            if logprobs.get("top_logprobs"):
                logprobs["top_logprobs"][0] = {}
            beside.append(FIRST)
        if body.get("stream") and value.get("object") == "text_completion" and choice["finish_reason"] is None:
            choice["finish_reason"] = "stop"
            beside.append(GOES_ON)
    if value.get("object") == "text_completion" and body.get("stream_options") and value.get("usage", 0) is None:
        del value["usage"]
        beside.append(USAGE)
    for row in value.get("data", ()):
        if body.get("encoding_format") == "base64" and isinstance(row["embedding"], str):
            row["embedding"] = []
            beside.append(BASE64)
    return value, beside


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--openapi", type=Path, required=True)
    p.add_argument("--requests", type=int, default=10_000)
    p.add_argument("--clients", type=int, default=8)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--only", choices=list(PATHS))
    p.add_argument("--seconds", type=float, default=1e9, help="no further requests after so long")
    p.add_argument("--output", type=Path, default=Path(__file__).resolve().parents[2] / "Bindings/Python/benchmarks/results/OPENAI.md")
    a = p.parse_args()
    document = yaml.load(a.openapi.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    document["components"] = plain(nullable(document["components"]))
    begun = time.monotonic()
    with served("--alias", "stories", "--chat-template", "chatml", "--context", 8192, "--request-context", 1024, "--parallel", 8, "--queue", 1000) as server:
        work = Agreement(server.url, document, a.requests, a.seconds, a.only)
        threads = [threading.Thread(target=work.run, args=(1000 * a.seed + i,)) for i in range(a.clients)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        alive, count = server.process.poll() is None, a.requests - work.left
    lines = [
        "# Answers beside OpenAI's own description", "",
        f"`openai_agreement.py` made this page: {count} requests to stories260K, drawn from `openapi.yaml` {document['info']['version']} of openai-openapi (every field of the request {f'schema of {a.only}' if a.only else 'schemas of chats, completions, responses and embeddings'}, "
        f"with values that these schemas allow), every answer and every event of a stream held to that file and, strictly, to the models of the `openai` package {openai.__version__}; a request that is refused is so with 400 in OpenAI's shape, "
        "and `param` names a field that was sent.", "",
        f"**{len(work.violations)} violations.** {work.found[200]} answered, {work.found[400]} refused by name, {sum(n for k, n in work.found.items() if k not in (200, 400, *BESIDE))} else; the server {'lives' if alive else 'IS DEAD'}; {time.monotonic() - begun:.0f} s.", "",
        "Beside the schema as OpenAI's own API is: " + ", ".join(f"{work.found[what]} times {what}" for what in BESIDE) + ".", "",
        "| field | sent | refused by its name |", "|---|---|---|",
    ]  # fmt: skip
    named = collections.Counter()
    for name, count in work.refused.items():
        path, _, param = name.partition(" ")
        named[f"{path} {param.split('.')[0].split('[')[0]}"] += count
    lines += [f"| {name} | {count} | {named[name] or ''} |" for name, count in sorted(work.sent.items())]
    lines += ["", *[f"- {one[:1500]}" for one in work.violations[:40]]]
    a.output.write_text("\n".join(lines).rstrip() + "\n")
    print("\n".join([*lines[4:8], *work.violations[:40]]))
    raise SystemExit(0 if alive and not work.violations else 1)


if __name__ == "__main__":
    main()
