"""JSON Schemas of MaskBench through this library, llguidance and xgrammar: what each follows, gets wrong and takes.

    python Tests/compare/grammar_table.py FOLDER [EVERY]       (FOLDER: the unpacked maskbench-sample.tar.xz)

Needs llguidance, xgrammar and a model with a byte-level vocabulary in LLAMA2SWIFT_MODEL. Writes GRAMMARS.md beside it.
All three use the same vocabulary and the same tokens of each instance; masks are timed through each package's own call that
fills a mask that is there already.
"""

from __future__ import annotations

import ctypes as C
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
        return MODEL.tokenize(text)


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


def run(peer, tests: list[dict], masks: list[float]) -> set[str]:
    """What went wrong over the instances of one schema."""
    wrong = set()
    for test in tests:
        tokens = MODEL.tokenize(json.dumps(test["data"], ensure_ascii=False))
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
    rows: dict[str, object] = {name: counts[name] for name in ("right in every instance", "refused by name", "refuses what is valid", "accepts what is invalid", "fails on the way")}
    rows["right, of all"] = f"{counts['right in every instance'] / len(files):.1%}"
    rows["masks"] = len(masks)
    rows["a mask, mean"] = f"{masks.mean():.1f} us"
    rows["a mask, median"] = f"{np.median(masks):.1f} us"
    rows["a mask, p99"] = f"{np.percentile(masks, 99):.1f} us"
    rows["schema to first mask, median"] = f"{np.median(compiles):.2f} ms"
    rows["schema to first mask, p99"] = f"{np.percentile(compiles, 99):.1f} ms"
    return rows


def main() -> None:
    folder, every = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    files = sorted(p for p in folder.glob("*.json"))[::every]
    peers = {"llama2swift": Ours(False), "llama2swift, any order": Ours(True), f"llguidance {llguidance.get_version()}": LLGuidance(), f"xgrammar {version('xgrammar')}": XGrammar()}
    columns = {name: column(peer, files) for name, peer in peers.items()}
    machine = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.processor())
    out = [
        "# Schemas of others", "",
        f"{len(files)} schemas of MaskBench with their instances, vocabulary of {SIZE:,} tokens, one thread, {machine}. Made by",
        "`python Tests/compare/grammar_table.py FOLDER`. A schema is right when every valid instance is accepted and every invalid one is not;",
        "members stand in the order of the instance, which the schema's order need not be (the second column).", "",
        "| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns),
    ]  # fmt: skip
    for row in next(iter(columns.values())):
        out.append(f"| {row} | " + " | ".join(str(c[row]) for c in columns.values()) + " |")
    (Path(__file__).parent / "GRAMMARS.md").write_text("\n".join(out) + "\n")
    print("\n".join(out))


if __name__ == "__main__":
    main()
