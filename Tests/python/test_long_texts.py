"""A long text that nothing cuts is taken in windows: its tokens are those of the definition, and its memory is the text's."""

import heapq
import random
import subprocess
import sys

import nasty
import numpy as np
import pytest
from tiny_gguf import shape_metadata, tensor_shapes, write_gguf

import llama2swift

LETTERS, SIZE = "abc", 140_000  # more than two windows of 65,536 symbols


def pieces(seed, byte_level):
    """(tokens, priority of each pair that merges): random texts over three letters, with parts and priorities in no order."""
    dice = random.Random(seed)
    tokens, merges = list(LETTERS), []
    while len(tokens) < 60:
        left, right = dice.choice(tokens), dice.choice(tokens)
        if len(left + right) <= 12 and left + right not in tokens:
            tokens.append(left + right)
            merges.append((left, right))
    if byte_level:
        dice.shuffle(merges)
        return tokens, {pair: rank for rank, pair in enumerate(merges)}
    scores = {t: -float(dice.randrange(20)) for t in tokens}  # many of the same score
    return tokens, scores


def defined(text, priority):
    """Lengths: the best pair of neighbours first, of equal ones the leftmost."""
    start, length = list(range(len(text))), [1] * len(text)
    before, behind = [i - 1 for i in range(len(text))], [*range(1, len(text)), -1]
    heap = []

    def consider(i):
        j = behind[i] if i >= 0 else -1
        if j >= 0:
            p = priority(text[start[i] : start[j]], text[start[j] : start[j] + length[j]])
            if p is not None:
                heapq.heappush(heap, (p, i, length[i], length[j]))

    for i in range(len(text)):
        consider(i)
    while heap:
        _, i, a, b = heapq.heappop(heap)
        j = behind[i]
        if length[i] != a or j < 0 or length[j] != b:
            continue
        length[i], length[j], behind[i] = a + b, 0, behind[j]
        if behind[i] >= 0:
            before[behind[i]] = i
        consider(before[i])
        consider(i)
    return [n for n in length if n]


def model(path, tokens, order, byte_level):
    if byte_level:
        letters = [c for c in nasty.byte_characters() if c not in LETTERS]
        names = [*tokens, *letters]
        keys = {"model": "gpt2", "pre": "gpt-2", "merges": [f"{a} {b}" for a, b in sorted(order, key=order.get)]}
        types = [1] * len(names)
    else:
        names = [*tokens, "<unk>", *(f"<0x{i:02X}>" for i in range(256))]
        keys = {"model": "llama", "scores": [*(order[t] for t in tokens), *([0.0] * 257)], "add_space_prefix": False}
        types = [*([1] * len(tokens)), 2, *([6] * 256)]
        keys |= {"unknown_token_id": len(tokens), "bos_token_id": len(tokens), "eos_token_id": len(tokens)}
    shape = dict(vocabulary=len(names), dim=4, layers=1, heads=1, heads_kv=1, hidden=4)
    metadata = shape_metadata(**shape) | {f"tokenizer.ggml.{k}": v for k, v in (keys | {"tokens": names, "token_type": types}).items()}
    write_gguf(path, metadata, {n + ".weight": (0, s[::-1], bytes(4 * int(np.prod(s)))) for n, s in tensor_shapes(metadata, len(names)).items()})
    return llama2swift.Model(path)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_windows_give_what_the_definition_gives(tmp_path, kind, seed):
    tokens, order = pieces(seed, kind == "gpt2")
    ours = model(tmp_path / "m.gguf", tokens, order, kind == "gpt2")
    dice = random.Random(seed)
    priority = order.get if kind == "gpt2" else lambda whole: -order[whole] if whole in order else None
    for text in ("".join(dice.choices(LETTERS, k=SIZE)), "a" * SIZE, "abcab" * (SIZE // 5), "".join(dice.choices(LETTERS, (1, 20, 1), k=SIZE))):
        lengths = defined(text, (lambda a, b: priority((a, b))) if kind == "gpt2" else lambda a, b: priority(a + b))
        assert [len(tokens[t]) for t in ours.tokenize(text)] == lengths


MEMORY = """
import sys; sys.path.insert(0, sys.argv[2])
import ctypes as C, threading, llama2swift
from llama2swift import _library as lib
def own(): return int(next(l for l in open("/proc/self/status") if l.startswith("RssAnon")).split()[1]) << 10
model, text, count = llama2swift.Model(sys.argv[1]), sys.argv[3].encode() * (int(sys.argv[4]) // len(sys.argv[3])), C.c_size_t()
done, most, before = threading.Event(), [0], own()
def look():
    while not done.wait(0.001): most[0] = max(most[0], own())
thread = threading.Thread(target=look); thread.start()
lib._cdll.llama2_tokenize(model._handle, text, len(text), 0, None, 0, C.byref(count))
done.set(); thread.join()
print(most[0] - before - 4 * count.value)
"""


@pytest.mark.parametrize("unit", ["a", " ", "qz"])
@pytest.mark.parametrize("kind", ["llama", "gpt-2", "llama-bpe"])
def test_a_long_text_takes_little_more_than_its_tokens(tmp_path, kind, unit):
    """Before there were windows 32 bytes a byte. A space is three bytes once it is normalized."""
    size = 6 << 20
    path = nasty.tokenizer_model(tmp_path / "m.gguf", kind)
    done = subprocess.run([sys.executable, "-c", MEMORY, path, str(nasty.Path(__file__).parent), unit, str(size)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= (3 if unit == " " and kind == "llama" else 1) * size + (8 << 20)
