"""Three long proofs that a schema is kept to and never leads nowhere, over real schemas.

    python Tests/compare/grammar_proofs.py generate FOLDER [SCHEMAS]    ten texts of SmolLM2 at temperature 1 for each of 50 schemas
    python Tests/compare/grammar_proofs.py ends FOLDER [SCHEMAS]        any tokens that fit, for each schema within four limits
    python Tests/compare/grammar_proofs.py least FOLDER [SCHEMAS]       the least likely allowed token, 100 steps for each of 1,000 schemas

FOLDER: the unpacked maskbench-sample.tar.xz. Every text is brought to its end, parsed and validated with `jsonschema` (PyPI). `generate` asks for
complete texts within 300 tokens (or what the shortest needs, and 50 more); one of least likely tokens, which never ends by itself, goes on with its
shortest end. Least likely is by rows of SmolLM2's logits over a page of text, one after another. A short form is in
Tests/python/test_grammar.py and test_endings.py. Needs LLAMA2SWIFT_MODEL.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import jsonschema
import numpy as np

import llama2swift

MODEL = llama2swift.Model(os.environ["LLAMA2SWIFT_MODEL"])
SIZE = MODEL.hyperparameters.vocabulary_size
PIECES = [MODEL.piece(t) for t in range(SIZE)]
IS_END = np.array([MODEL.is_end(t) for t in range(SIZE)])


def problem(schema: object, text: bytes) -> str | None:
    """What `jsonschema` has against it."""
    try:
        value = json.loads(text)
    except ValueError as error:
        return f"no JSON: {error}"
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    error = next(iter(kind(schema).iter_errors(value)), None)
    return None if error is None else f"{error.message[:200]} at {list(error.absolute_path)}"


def schemas(folder: str, count: int):
    """(name, schema, grammar) of so many files that are followed, spread over all."""
    files = sorted(Path(folder).glob("*.json"))
    left = dict.fromkeys(f for i in range(7) for f in files[i :: max(1, len(files) // count)])
    for path in left:
        if count == 0:
            return
        schema = json.loads(path.read_text())["schema"]
        try:
            grammar = MODEL.grammar(json_schema=json.dumps(schema))
        except llama2swift.Llama2Error:
            continue
        count -= 1
        yield path.stem, schema, grammar


def told(what: str, seen: dict[str, int], wrong: list[str], start: float) -> int:
    print(f"{what}: {', '.join(f'{n} {name}' for name, n in seen.items())}; {len(wrong)} wrong; {time.time() - start:.0f} s")
    for line in wrong[:20]:
        print(" ", line)
    return 1 if wrong else 0


def generate(folder: str, count: int = 50) -> int:
    seen, wrong, start = {"texts": 0, "whole": 0, "whole before the limit was near": 0, "cut": 0}, [], time.time()
    with MODEL.context(length=10 * 1280, sequences=10) as context:
        for number, (name, schema, grammar) in enumerate(schemas(folder, count)):
            prompt = MODEL.tokenize_prompt("JSON that follows this schema: " + json.dumps(schema))[:300] + MODEL.tokenize("\n\n")
            samplers = [llama2swift.Sampler(temperature=1, top_k=0, top_p=1, min_p=0, seed=10 * number + i, grammar=grammar) for i in range(10)]
            most = max(300, grammar.start().shortest().tokens + 50)
            for answer in llama2swift.generate_batch(context, [prompt] * 10, samplers, max_tokens=most, complete=True).results():
                text = b"".join(PIECES[t] for t in answer.tokens if not IS_END[t])
                seen["texts"] += 1
                if answer.reason != "stop":
                    seen["cut"] += 1
                    wrong.append(f"{name}: {answer.reason}: {text[:300]!r}")
                    continue
                seen["whole"] += 1
                seen["whole before the limit was near"] += len(answer.tokens) < most / 2
                if said := problem(schema, text):
                    wrong.append(f"{name}: {said}: {text[:300]!r}")
    return told(f"SmolLM2 at temperature 1, {count} schemas", seen, wrong, start)


def least(folder: str, count: int = 1000) -> int:
    with MODEL.context(length=256) as context:
        context.eval(MODEL.tokenize((Path(__file__).resolve().parents[2] / "README.md").read_text())[:256], all_logits=True)
        rows = np.array(context.logits(), np.float32)[:256]
    seen, wrong, start, turn = {"schemas": 0, "steps": 0, "closed": 0}, [], time.time(), 0
    for name, schema, grammar in schemas(folder, count):
        seen["schemas"] += 1
        left = 100
        while left > 0:  # what is complete and can only end begins anew
            state, text = grammar.start(), b""
            while left > 0:
                allowed = np.flatnonzero(state.allowed() & ~IS_END)
                if not len(allowed):
                    if not state.complete:
                        wrong.append(f"{name}: a dead end behind {text!r}")
                    break
                token = int(allowed[np.argmin(rows[turn % 256][allowed])])
                state.accept(token)
                text += PIECES[token]
                turn, left = turn + 1, left - 1
                seen["steps"] += 1
            if not text:
                break
            try:
                rest = state.shortest().text
            except llama2swift.Llama2Error as error:
                wrong.append(f"{name}: {error} behind {text!r}")
                break
            seen["closed"] += 1
            if said := problem(schema, text + rest):
                wrong.append(f"{name}: {said}: {(text + rest)[:300]!r}")
    return told("The least likely allowed token", seen, wrong, start)


def ends(folder: str, count: int = 1 << 20) -> int:
    """Within what the shortest text needs and 1, 2, 12 and 60 tokens more every text is whole, whatever comes."""
    seen, wrong, start, dice = {"schemas": 0, "texts": 0, "steps": 0}, [], time.time(), np.random.default_rng(1)
    for name, schema, grammar in schemas(folder, count):
        seen["schemas"] += 1
        least = grammar.start().shortest()
        texts = [least.text]
        for limit in (least.tokens + more for more in (1, 2, 12, 60)):
            state, text = grammar.start(), b""
            for left in range(limit, 0, -1):
                token = int(dice.choice(np.flatnonzero(state.allowed(within=left))))
                state.accept(token)
                seen["steps"] += 1
                if IS_END[token]:
                    break
                text += PIECES[token]
            else:
                wrong.append(f"{name}: not whole within {limit}: {text[:300]!r}")
            texts.append(text)
        for text in texts:
            seen["texts"] += 1
            if said := problem(schema, text):
                wrong.append(f"{name}: {said}: {text[:300]!r}")
    return told("Any tokens that fit", seen, wrong, start)


if __name__ == "__main__":
    run = {"generate": generate, "ends": ends, "least": least}[sys.argv[1]]
    sys.exit(run(sys.argv[2], *map(int, sys.argv[3:])))
