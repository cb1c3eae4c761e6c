"""JSON Schemas of MaskBench through this library, llguidance, xgrammar and llama.cpp's grammar sampler: what each follows, gets wrong and takes.

    python Tests/compare/grammar_table.py FOLDER [EVERY]       (FOLDER: the unpacked maskbench-sample.tar.xz; prints a page)
    python Tests/compare/grammar_table.py decoding             (what a schema costs when text is generated)

Needs llguidance, xgrammar, llama_cpp and a model in LLAMA2SWIFT_MODEL. All use the same vocabulary and the same tokens of each instance; masks
are timed through each package's own call that fills a mask that is there already; of llama.cpp, which has none, the sampler over all
candidates is timed. xgrammar and it, which take seconds for some schemas, are shown every fourth and every eighth of them.
"""

from __future__ import annotations

import ctypes as C
import functools
import json
import os
import platform
import sys
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import llguidance
import llguidance.numpy
import numpy as np
import xgrammar

import llama2swift
from llama2swift import _library as lib

MODEL = llama2swift.Model(os.environ["LLAMA2SWIFT_MODEL"])
SIZE = MODEL.hyperparameters.vocabulary_size
END = MODEL.special_tokens.eos
WORDS = (SIZE + 31) // 32


class Vocabulary:
    """What llguidance asks of a tokenizer."""

    eos_token_id = END
    bos_token_id = MODEL.special_tokens.bos
    unk_token_id = None
    special_token_ids = [t for t in range(SIZE) if not MODEL.piece(t)]
    tokens = [MODEL.piece(t) or MODEL.piece(t, special=True) for t in range(SIZE)]

    def __call__(self, text: bytes | str) -> list[int]:
        return tokens_of(text if isinstance(text, str) else text.decode("utf-8", "replace"))


class Ours:
    def __init__(self, any_order: bool):
        self.options = dict(any_order=any_order)
        self.mask = (C.c_uint32 * WORDS)()
        self.needed = C.c_size_t()

    def compile(self, schema: str) -> None:
        self.grammar = MODEL.grammar(json_schema=schema, **self.options)
        self.state = self.grammar.start()

    def begin(self) -> None:
        self.state = self.grammar.start()

    def fill(self) -> None:
        lib.call("grammar_state_allowed", self.state._handle, self.mask, WORDS, C.byref(self.needed))

    def accept(self, token: int) -> bool:
        try:
            self.state.accept(token)
        except llama2swift.Llama2Error:
            return False
        return True

    def complete(self) -> bool:
        return self.state.complete


class LLGuidance:
    def __init__(self) -> None:
        self.tokenizer = llguidance.LLTokenizer(llguidance.TokenizerWrapper(Vocabulary()), n_vocab=SIZE)
        self.mask = llguidance.numpy.allocate_token_bitmask(1, SIZE)

    def compile(self, schema: str) -> None:
        self.grammar = llguidance.LLMatcher.grammar_from_json_schema(schema, defaults={"whitespace_flexible": True})
        self.begin()
        if self.matcher.is_error():
            raise ValueError(self.matcher.get_error())

    def begin(self) -> None:
        self.matcher = llguidance.LLMatcher(self.tokenizer, self.grammar, log_level=0)

    def fill(self) -> None:
        llguidance.numpy.fill_next_token_bitmask(self.matcher, self.mask, 0)

    def accept(self, token: int) -> bool:
        return self.matcher.consume_token(token)

    def complete(self) -> bool:
        return self.matcher.is_accepting()


class XGrammar:
    def __init__(self) -> None:
        info = xgrammar.TokenizerInfo(Vocabulary.tokens, xgrammar.VocabType.RAW, vocab_size=SIZE, stop_token_ids=[END])
        self.compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)
        self.mask = xgrammar.allocate_token_bitmask(1, SIZE)

    def compile(self, schema: str) -> None:
        self.compiled = self.compiler.compile_json_schema(schema, any_whitespace=True, strict_mode=False)
        self.begin()

    def begin(self) -> None:
        self.matcher = xgrammar.GrammarMatcher(self.compiled)

    def fill(self) -> None:
        self.matcher.fill_next_token_bitmask(self.mask)

    def accept(self, token: int) -> bool:
        return self.matcher.accept_token(token)

    def complete(self) -> bool:
        return self.matcher.is_completed()


class LlamaCpp:
    """The grammar that llama.cpp makes of a schema, as a sampler over the whole vocabulary."""

    def __init__(self) -> None:
        import llama_cpp

        self.api, self.sampler = llama_cpp, None
        llama_cpp.llama_backend_init()
        options = llama_cpp.llama_model_default_params()
        options.vocab_only = True
        self.words = llama_cpp.llama_model_get_vocab(llama_cpp.llama_model_load_from_file(os.environ["LLAMA2SWIFT_MODEL"].encode(), options))
        self.table = np.zeros(SIZE, np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)]))
        self.table["id"] = np.arange(SIZE)
        data = C.cast(self.table.ctypes.data, C.POINTER(llama_cpp.llama_token_data))
        self.array = llama_cpp.llama_token_data_array(data=data, size=SIZE, selected=-1, sorted=False)

    def compile(self, schema: str) -> None:
        from llama_cpp.llama_grammar import json_schema_to_gbnf

        self.text = json_schema_to_gbnf(schema).encode()
        self.begin()

    def begin(self) -> None:
        if self.sampler:
            self.api.llama_sampler_free(self.sampler)
        self.sampler = self.api.llama_sampler_init_grammar(self.words, self.text, b"root")
        if not self.sampler:
            raise ValueError("no grammar")
        self.table["logit"] = 0

    def fill(self) -> None:
        self.api.llama_sampler_apply(self.sampler, C.byref(self.array))

    def accept(self, token: int) -> bool:
        if self.table["logit"][token] < 0:  # its accept would end the process
            return False
        self.api.llama_sampler_accept(self.sampler, token)
        self.table["logit"] = 0
        return True

    def complete(self) -> bool:
        self.fill()
        return bool(self.table["logit"][END] == 0)


@functools.cache
def tokens_of(text: str) -> list[int]:
    """The model's tokens, or, where they write something before the text, the longest pieces."""
    tokens, data = MODEL.tokenize(text), text.encode()
    if b"".join(MODEL.piece(t) for t in tokens) == data:
        return tokens
    pieces = _pieces()
    tokens, at = [], 0
    while at < len(data):
        length = next(n for n in range(min(32, len(data) - at), 0, -1) if data[at : at + n] in pieces)
        tokens.append(pieces[data[at : at + length]])
        at += length
    return tokens


@functools.cache
def _pieces() -> dict[bytes, int]:
    return {piece: t for t in range(SIZE) if (piece := MODEL.piece(t))}


def run(peer, tests: list[dict], masks: list[float]) -> set[str]:
    """What went wrong over the instances of one schema."""
    wrong = set()
    for test in tests:
        tokens = tokens_of(json.dumps(test["data"], ensure_ascii=False))
        peer.begin()
        accepted = True
        for token in tokens:
            start = time.perf_counter()
            peer.fill()
            masks.append(time.perf_counter() - start)
            if not peer.accept(token):
                accepted = False
                break
        if accepted:
            accepted = peer.complete()
        if accepted != test["valid"]:
            wrong.add("accepts what is invalid" if accepted else "refuses what is valid")
    return wrong


def column(peer, files: list[Path]) -> dict[str, object]:
    counts, masks, compiles = Counter(), [], []
    for path in files:
        data = json.loads(path.read_text())
        start = time.perf_counter()
        try:
            peer.compile(json.dumps(data["schema"]))
            peer.fill()
        except Exception:
            counts["refused by name"] += 1
            continue
        compiles.append(time.perf_counter() - start)
        try:
            wrong = run(peer, data["tests"], masks)
        except Exception:
            wrong = {"fails on the way"}
        counts["right in every instance"] += not wrong
        for name in wrong:
            counts[name] += 1
    masks, compiles = np.array(masks) * 1e6, np.array(compiles) * 1e3
    rows: dict[str, object] = {"schemas": len(files)} | {name: counts[name] for name in ("right in every instance", "refused by name", "refuses what is valid", "accepts what is invalid", "fails on the way")}
    rows["right, of all"] = f"{counts['right in every instance'] / len(files):.1%}"
    rows["masks"] = len(masks)
    rows["a mask, mean"] = f"{masks.mean():.1f} us"
    rows["a mask, median"] = f"{np.median(masks):.1f} us"
    rows["a mask, p99"] = f"{np.percentile(masks, 99):.1f} us"
    rows["schema to first mask, median"] = f"{np.median(compiles):.2f} ms"
    rows["schema to first mask, p99"] = f"{np.percentile(compiles, 99):.1f} ms"
    return rows


def decoding() -> None:
    """Tokens a second of free text and under a schema, in turn: without guesses, so that every token is chosen and evaluated alone."""
    field = {"type": "object", "properties": {f"field_{i}": {"type": ["string", "number"]} for i in range(50)}, "required": [f"field_{i}" for i in range(50)]}
    grammar = MODEL.grammar(json_schema=json.dumps(field))
    speeds: dict[str, list[float]] = {"free": [], "schema": []}
    with MODEL.context(length=1024) as context:
        for turn in range(6):
            for name, held in (("free", None), ("schema", grammar)):
                context.reset()
                sampler = llama2swift.Sampler(seed=turn, grammar=held, logit_bias={END: -1e9} if held is None else None)
                start, count = 0.0, 0
                for i, _ in enumerate(context.generate("A list of things: ", sampler, max_tokens=260, guess=False, report=True)):
                    if i == 5:
                        start, count = time.perf_counter(), 0
                    count += 1
                speeds[name].append(count / (time.perf_counter() - start))
    free, held = (float(np.median(v[1:])) for v in speeds.values())
    print(f"Decoding SmolLM2 with {os.cpu_count()} threads: {free:.0f} pieces a second of free text, {held:.0f} under a schema of 50 fields ({held / free - 1:+.1%}).")


def main() -> None:
    if sys.argv[1] == "decoding":
        return decoding()
    folder, every = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    files = sorted(p for p in folder.glob("*.json"))[::every]
    peers = {"llama2swift": (Ours(False), 1), "llama2swift, any order": (Ours(True), 1), f"llguidance {version('llguidance')}": (LLGuidance(), 1), f"xgrammar {version('xgrammar')}": (XGrammar(), 4), "llama.cpp": (LlamaCpp(), 8)}
    for data in (json.loads(p.read_text()) for p in files):
        for test in data["tests"]:
            tokens_of(json.dumps(test["data"], ensure_ascii=False))
    columns = {name: column(peer, files[::part]) for name, (peer, part) in peers.items()}
    machine = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.processor())
    out = [
        f"{len(files)} schemas of MaskBench with their instances, vocabulary of {SIZE:,} tokens ({os.environ.get('LLAMA2SWIFT_NAME', 'SmolLM2')}), one thread, {machine}.", "",
        "| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns),
    ]  # fmt: skip
    for row in next(iter(columns.values())):
        out.append(f"| {row} | " + " | ".join(str(c[row]) for c in columns.values()) + " |")
    print("\n".join(out))


if __name__ == "__main__":
    main()
