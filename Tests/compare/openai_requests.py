"""Requests that openai_agreement.py draws: the body that a path needs, and values that a schema allows."""

import random

WORDS = ["Once upon a time", "Tom", "a", "Lily saw a cat. ", "漢字", "The end.", " ", "{", "🙂"]
SCHEMA = {"type": "object", "properties": {"name": {"enum": ["Lily", "Tom"]}, "age": {"type": "integer", "minimum": 3, "maximum": 9}}, "required": ["name", "age"], "additionalProperties": False}


class Drawn:
    """Values that a schema of openapi.yaml allows."""

    def __init__(self, document: dict, dice: random.Random):
        self.document, self.dice = document, dice

    def properties(self, schema: dict) -> dict:
        """All fields of an object, those of allOf among them."""
        schema = self.resolved(schema)
        out = dict(schema.get("properties", {}))
        for one in schema.get("allOf", ()):
            out.update(self.properties(one))
        return out

    def resolved(self, schema: dict) -> dict:
        while "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        return schema

    def value(self, schema: dict, depth: int = 0):
        dice, schema = self.dice, self.resolved(schema)
        for many in ("anyOf", "oneOf"):
            if many in schema:
                return self.value(dice.choice(schema[many]), depth + 1)
        if "allOf" in schema and "properties" not in schema:
            return self.value(schema["allOf"][-1], depth + 1)
        if "enum" in schema:
            return dice.choice(schema["enum"])
        kind = schema.get("type", "object")
        kind = dice.choice(kind) if isinstance(kind, list) else kind
        low, high = schema.get("minimum", -2), schema.get("maximum", 100)
        if kind == "object":
            fields = self.properties(schema)
            required = set(schema.get("required", ()))
            if not fields:
                return {str(dice.randrange(400)): dice.randint(-3, 3) for _ in range(dice.randrange(3))} if schema.get("additionalProperties") else {}
            return {k: self.value(v, depth + 1) for k, v in fields.items() if k in required or (depth < 5 and dice.random() < 0.3)}
        if kind == "array":
            return [self.value(schema.get("items", {"type": "string"}), depth + 1) for _ in range(max(schema.get("minItems", 0), dice.randrange(3)))]
        return {"null": None, "boolean": dice.random() < 0.5, "integer": dice.randint(max(int(low), -5), max(min(int(high), 40), int(low))), "number": round(dice.uniform(low, min(high, 5)), 3), "string": dice.choice(WORDS)}[kind]


def base(path: str, dice: random.Random) -> dict:
    """A request that does something."""
    text = lambda: " ".join(dice.choice(WORDS) for _ in range(dice.randint(1, 3))).strip() or "a"  # noqa: E731
    if path == "/v1/embeddings":
        return {"model": "stories", "input": dice.choice([text(), [text(), text()], [5, 6, 7], [[5, 6], [7]]])}
    if path == "/v1/responses":
        return response(dice, text)
    body: dict = {"model": "stories"}
    if dice.random() < 0.9:
        body["max_tokens"] = dice.randint(0, 8)
    if path == "/v1/completions":
        body |= {"prompt": dice.choice([text(), [text(), text()], [5, 6, 7], [[5, 6], [7, 8]]])}
        for name, value in (("n", dice.randint(1, 3)), ("best_of", dice.randint(1, 4)), ("echo", True), ("logprobs", dice.randint(0, 5)), ("temperature", dice.choice([0, 1, 2]))):
            if dice.random() < 0.3:
                body[name] = value
    else:
        body["messages"] = [{"role": dice.choice(["user", "system", "developer", "assistant"]), "content": dice.choice([text(), [{"type": "text", "text": text()}]])} for _ in range(dice.randint(1, 3))]
        if dice.random() < 0.3:
            body |= {"logprobs": True, "top_logprobs": dice.randint(0, 20)}
        if dice.random() < 0.2:
            body["n"] = dice.randint(1, 3)
        if dice.random() < 0.2:
            body["tools"] = [{"type": "function", "function": {"name": name, "parameters": SCHEMA, "strict": True}} for name in ("f", "g")]
            body["tool_choice"] = dice.choice(
                ["auto", "required", "none", {"type": "function", "function": {"name": "g"}}, {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]}}]
            )  # fmt: skip
            body["max_tokens"] = 60
        elif dice.random() < 0.15:
            body |= {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}}, "max_tokens": 60}
    if dice.random() < 0.4:
        body["stream"] = True
        if dice.random() < 0.5:
            body["stream_options"] = {"include_usage": True}
    return body


def response(dice: random.Random, text) -> dict:
    """One for the Responses API."""
    said = [{"role": dice.choice(["user", "system", "developer"]), "content": dice.choice([text(), [{"type": "input_text", "text": text()}]])} for _ in range(dice.randint(1, 3))]
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    called = [{"role": "user", "content": text()}, call, {"type": "function_call_output", "call_id": "c", "output": dice.choice([text(), [{"type": "input_text", "text": text()}]])}]
    body = {"model": "stories", "input": dice.choice([text(), said, called]), "max_output_tokens": dice.randint(16, 20)}
    if dice.random() < 0.3:
        body |= {"include": ["message.output_text.logprobs"], "top_logprobs": dice.randint(0, 20)}
    if dice.random() < 0.3:
        body["tools"] = [{"type": "function", "name": name, "parameters": SCHEMA, "strict": True} for name in ("f", "g")]
        body["tool_choice"] = dice.choice(["auto", "required", "none", {"type": "function", "name": "g"}, {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]}])
        body["max_output_tokens"] = 60
    elif dice.random() < 0.2:
        body |= {"text": {"format": {"type": "json_schema", "name": "x", "strict": True, "schema": SCHEMA}}, "max_output_tokens": 60}
    if dice.random() < 0.5:
        body["stream"] = True
    return body
