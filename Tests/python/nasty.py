"""Inputs that cost most for their size: texts for the tokenizers, files for the loaders."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path

import formats as F
import numpy as np
from tiny_gguf import _string, shape_metadata, tensor_shapes, write_gguf

SHAPE = dict(vocabulary=64, dim=32, layers=1, heads=4, heads_kv=2, hidden=32, base=10000.0)
PREFIX = "<|" + "x" * 200  # of special tokens that end otherwise


def texts(size: int) -> dict[str, bytes]:
    """One of `size` bytes of each class."""
    dice = random.Random(1)
    units = {
        "one letter": b"a", "spaces": b" ", "newlines": b"\n", "spaces and newlines": b" \n", "digits": b"7", "U+2581": b"\xe2\x96\x81", "emoji": "👩‍👩‍👧‍👦".encode(), "apostrophes": b"'s",
        "zalgo": ("e" + "\u0301\u0316\u0489" * 300).encode(), "zeros": b"\0", "cut characters": b"\xf0\x9f\x91", "continuation bytes": b"\x80", "punctuation": b"#", "without a merge": b"qz",
        "special prefixes": PREFIX.encode(), "almost special": (PREFIX + "y>").encode(),
    }  # fmt: skip
    found = {name: (unit * (size // len(unit) + 1))[:size] for name, unit in units.items()}
    return found | {"random bytes": dice.randbytes(size), "random letters": bytes(dice.choices(b"abcdefghij ", k=size))}


def byte_characters() -> list[str]:
    """The character of each byte in a byte-level vocabulary."""
    free = iter(range(256, 512))
    return [chr(b) if 0x21 <= b <= 0x7E or 0xA1 <= b <= 0xFF and b != 0xAD else chr(next(free)) for b in range(256)]


def tokenizer_model(path: Path, kind: str) -> Path:
    """kind: llama, or the pre-tokenizer of a byte-level vocabulary. Letters merge to 2, 4, ... 64 of a kind."""
    doubles = [c * 2**k for c in "abe7 \n" for k in range(1, 7)]
    special = [PREFIX + end for end in ("a>", "b>", "|>")]
    if kind == "llama":
        pieces = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), *"abcdefghij7\n▁", *(d.replace(" ", "▁") for d in doubles), *special]
        types = [2, 3, 3, *([6] * 256), *([1] * (len(pieces) - 259 - len(special))), *([4] * len(special))]
        keys = {"model": "llama", "scores": [float(-i) for i in range(len(pieces))]}
    else:
        letters = byte_characters()
        merges = ["".join(letters[b] for b in d[: len(d) // 2].encode()) for d in doubles]
        pieces = [*letters, *(m + m for m in merges), *special]
        types = [1] * (len(pieces) - len(special)) + [4] * len(special)
        keys = {"model": "gpt2", "pre": kind, "merges": [f"{m} {m}" for m in merges]}
    shape = dict(vocabulary=len(pieces), dim=4, layers=1, heads=1, heads_kv=1, hidden=4)
    metadata = shape_metadata(**shape) | {f"tokenizer.ggml.{k}": v for k, v in (keys | {"tokens": pieces, "token_type": types}).items()}
    write_gguf(path, metadata, {n + ".weight": (0, s[::-1], bytes(4 * int(np.prod(s)))) for n, s in tensor_shapes(metadata, len(pieces)).items()})
    return path


def disordered(size: int) -> bytes:
    """Combining marks in the wrong order: what sorts them, as comparing by canonical equivalence does, needs the square of it."""
    return ("e" + "\u0316\u0301" * (size // 4 + 1)).encode()[: size // 4 * 4 + 1]


def model_that_says(folder: Path, *, key_name: bytes = b"", value: bytes = b"", tensor: bytes = b"", replaced: dict | None = None) -> Path:
    """A small GGUF file with one more key, whose name and value are given, and one more tensor."""
    metadata = shape_metadata(vocabulary=8, dim=4, layers=1, heads=1, heads_kv=1, hidden=4) | (replaced or {})
    if key_name or value:
        metadata[key_name or "x.long"] = value or 1
    tensors = {n + ".weight": (0, s[::-1], bytes(4 * int(np.prod(s)))) for n, s in tensor_shapes(metadata, 8).items()}
    if tensor:
        tensors[tensor] = (0, (1,), bytes(4))
    write_gguf(folder / "says.gguf", metadata, tensors)
    return folder / "says.gguf"


def arguments(size: int, path: bytes) -> dict:
    """name -> a call of the library with a text of `size` bytes in one place; `path`: a model. Each takes (library, handle)."""
    import ctypes as C

    from llama2swift import _structs as S

    text, needed, room = disordered(size), C.c_size_t(), C.create_string_buffer(64)

    def quantize(lib, _, **fields):
        options = S.sized(S.QuantizeOptions)
        for name, value in fields.items():
            setattr(options, name, value)
        lib.llama2_quantize(path, b"/nowhere/out.gguf", C.byref(options), room, len(room))

    def override(pattern, kind):
        return dict(overrides=C.pointer(S.TypeOverride(pattern, kind)), override_count=1)

    def load(lib, _):
        lib.llama2_model_load(text, None, C.byref(C.c_void_p()), room, len(room))

    def message(role, content):
        return (S.Message * 1)(S.Message(role, len(role), content, len(content)))

    def stop(lib, _):
        options = S.sized(S.GenerateOptions)
        options.stops, options.stop_count = C.pointer(S.Text(text[:4096], min(size, 4096))), 1
        lib.llama2_generate(None, None, C.byref(options), C.cast(None, lib.llama2_generate.argtypes[3]), None)

    def preflight(lib, _, path=path, **fields):
        options = S.sized(S.ContextOptions)
        for name, value in fields.items():
            setattr(options, name, value)
        lib.llama2_preflight(path, None, C.byref(options), C.byref(S.sized(S.Memory)), room, len(room))

    def context(lib, model):
        options, made = S.sized(S.ContextOptions), C.c_void_p()
        options.context_length, options.threads, options.energy_path = 8, 1, text
        lib.llama2_context_create(model, C.byref(options), C.byref(made), room, len(room))
        lib.llama2_context_free(made)

    def sampler(lib, model):
        options, made = S.sized(S.SamplerOptions), C.c_void_p()
        options.model, options.text_bias, options.text_bias_count = model, C.pointer(S.TextBias(text, len(text), 1.0, 0)), 1
        lib.llama2_sampler_create(C.byref(options), C.byref(made), room, len(room))
        lib.llama2_sampler_free(made)

    def adapter(lib, model):
        lib.llama2_adapter_load(model, text, C.byref(C.c_void_p()), room, len(room))

    return {
        "a metadata key that is asked for": lambda lib, model: lib.llama2_model_metadata(model, text, len(text), None, 0, C.byref(needed)),
        "a path": load, "an output": lambda lib, _: lib.llama2_quantize(path, text, None, room, len(room)),
        "a type": lambda lib, m: quantize(lib, m, type=text), "the type of an override": lambda lib, m: quantize(lib, m, **override(b"a", text)),
        "the pattern of an override": lambda lib, m: quantize(lib, m, **override(text, b"Q8_0")),
        "the path of an importance matrix": lambda lib, m: quantize(lib, m, importance=text), "a stop string": stop,
        "a message": lambda lib, model: lib.llama2_chat_encode(model, message(b"user", text), 1, 0, None, 0, C.byref(needed)),
        "a role": lambda lib, model: lib.llama2_chat_encode(model, message(text, b"x"), 1, 0, None, 0, C.byref(needed)),
        "a path that is asked about": lambda lib, m: preflight(lib, m, path=text), "a path of energy": context, "a text that is biased": sampler, "an adapter": adapter,
        "an adapter to be merged": lambda lib, m: quantize(lib, m, adapter=text),
        "a text": lambda lib, model: lib.llama2_tokenize(model, text, len(text), 2, None, 0, C.byref(needed)),
    }  # fmt: skip


KINDS = ["llama", "gpt-2", "smollm", "default", "llama-bpe"]


def gguf_header(tensors=0, keys=0) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, keys)


def key(name: str, kind: int, payload: bytes) -> bytes:
    return _string(name) + struct.pack("<I", kind) + payload


def vocabulary(folder: Path, count: int, kind: str) -> Path:
    metadata = shape_metadata(vocabulary=count, dim=2, layers=1, heads=1, heads_kv=1, hidden=2)
    metadata |= {"tokenizer.ggml.model": kind, "tokenizer.ggml.tokens": [b"%x" % i for i in range(count)], "tokenizer.ggml.token_type": [1] * count}
    if kind == "llama":
        metadata["tokenizer.ggml.scores"] = [float(-i) for i in range(count)]
    else:
        metadata |= {"tokenizer.ggml.pre": "gpt-2", "tokenizer.ggml.merges": [b"%x %x" % (i, i) for i in range(count)]}
    write_gguf(folder / "v.gguf", metadata, {n + ".weight": (0, s[::-1], b"\0\0\x80\x3f" * int(np.prod(s))) for n, s in tensor_shapes(metadata, count).items()})
    return folder / "v.gguf"


def _file(data: bytes):
    return lambda folder: ((folder / "m.gguf").write_bytes(data), folder / "m.gguf")[1]


def _in(kind: str, name: str, data: bytes):
    def write(folder: Path) -> Path:
        w = F.weights(SHAPE)
        {"hf": F.write_hugging_face, "meta": F.write_meta}[kind](folder / kind, w, SHAPE)
        (folder / kind / name).write_bytes(data)
        return folder / kind

    return write


def files(size: int) -> dict:
    """name -> what writes a file (or folder) of about `size` bytes and returns its path."""
    numbers = range(size // 10)
    pickle = lambda body: F.pth(F.meta_tensors(F.weights(SHAPE), SHAPE), pickled=b"\x80\x02" + body)  # noqa: E731
    makers = {
        "GGUF, strings of nothing": lambda: _file(gguf_header(0, 1) + key("a", 9, struct.pack("<IQ", 8, size // 8)) + bytes(size)),
        "GGUF, keys": lambda: _file(gguf_header(0, size // 23) + b"".join(struct.pack("<Q7sII", 7, b"%07d" % i, 4, 0) for i in range(size // 23)) + bytes(64)),
        "GGUF, tiny tensors": lambda: _file(gguf_header(size // 71) + b"".join(struct.pack("<Q7sIQIQ", 7, b"%07d" % i, 1, 1, 0, 32 * i) for i in range(size // 71)) + bytes(size // 71 * 32 + 64)),
        "GGUF, vocabulary": lambda: lambda folder: vocabulary(folder, min(size // 37, 1 << 20), "llama"), "GGUF, merges": lambda: lambda folder: vocabulary(folder, min(size // 52, 1 << 20), "gpt2"),
        "JSON, objects": lambda: _in("hf", "config.json", b"[" + b'{"a":{}},' * (size // 9) + b"0]"), "JSON, strings": lambda: _in("hf", "config.json", b"[" + b'"abcdefghijklmnopqrs",' * (size // 22) + b"0]"),
        "JSON, members": lambda: _in("hf", "config.json", b"{" + b",".join(b'"%x":1' % i for i in numbers) + b"}"), "JSON, arrays": lambda: _in("hf", "config.json", b"[" + b"[[0]]," * (size // 6) + b"0]"),
        "JSON, one string": lambda: _in("hf", "config.json", b'["' + b"a" * size + b'"]'), "JSON, escapes": lambda: _in("hf", "config.json", b'["' + b"\\u0041" * (size // 6) + b'"]'),
        "JSON, zalgo keys": lambda: _in("hf", "config.json", b'{"' + ("e" + "\u0316\u0301" * (size // 8)).encode() + b'":1,"' + ("e" + "\u0301\u0316" * (size // 8)).encode() + b'":1}'),
        "JSON, nothing": lambda: _in("hf", "config.json", b" " * size), "JSON, depth": lambda: _in("hf", "config.json", b"[" * size),
        "JSON, merges": lambda: _in("hf", "tokenizer.json", json.dumps({"model": {"type": "BPE", "vocab": {"%x" % i: i for i in range(60)}, "merges": [["%x" % i, "%x" % i] for i in range(size // 20)]}}).encode()),
        "safetensors": lambda: _in("hf", "model.safetensors", F.safetensors({f"t{i}": np.zeros((1, 1), np.float32) for i in range(size // 80)})),
        "protobuf, pieces": lambda: _in("hf", "tokenizer.model", b"\x0a\x00" * (size // 2)), "protobuf, one field": lambda: _in("hf", "tokenizer.model", F.field(99, bytes(size))),
        "pickle, numbers": lambda: _in("meta", "consolidated.00.pth", pickle(b"K\1" * (size // 2))), "pickle, tuples": lambda: _in("meta", "consolidated.00.pth", pickle(b")" * size)),
        "pickle, memo": lambda: _in("meta", "consolidated.00.pth", pickle(b")" + b"\x94" * size)), "pickle as long as may be": lambda: _in("meta", "consolidated.00.pth", pickle(b")\x94" * (1 << 17))),
        "zip, entries": lambda: _in("meta", "consolidated.00.pth", F.pth({}, extra=[(f"{i}", b"") for i in range(size // 80)])),
        "GGUF, one long key": lambda: lambda folder: model_that_says(folder, key_name=disordered(size)), "GGUF, one long value": lambda: lambda folder: model_that_says(folder, value=disordered(size)),
        "GGUF, one long tensor name": lambda: lambda folder: model_that_says(folder, tensor=disordered(size)),
        **{f"GGUF, a long {k}": lambda k=k: lambda folder: model_that_says(folder, replaced={k: disordered(size)}) for k in ("general.architecture", "tokenizer.ggml.model", "tokenizer.ggml.pre", "llama.rope.scaling.type", "tokenizer.chat_template")},
        **{f"config.json, a long {k}": lambda k=k: _in("hf", "config.json", json.dumps(F.config(SHAPE) | {k: v(disordered(size).decode())}, ensure_ascii=False).encode()) for k, v in (("architectures", lambda t: [t]), ("hidden_act", str), ("torch_dtype", str), ("model_type", str))},
        "random bytes": lambda: _file(random.Random(1).randbytes(size)), "GGUF, random": lambda: _file(gguf_header(1000, 1000) + random.Random(2).randbytes(size)),
    }  # fmt: skip
    return {name: lambda folder, make=make: make()(folder) for name, make in makers.items()}


def total_bytes(path: Path) -> int:
    return path.stat().st_size if path.is_file() else sum(f.stat().st_size for f in path.iterdir())


# Loads argv[1]; prints the most memory of its own that it took meanwhile (KiB; the file's mapped pages are the system's), seconds of CPU,
# and what came of it.
# The call itself, not Model: that loads on a thread of its own, whose time is not this one's.
LOADER = """
import ctypes, sys, threading, time
from llama2swift import _library as lib
def anonymous(): return int(next(l for l in open('/proc/self/status') if l.startswith('RssAnon')).split()[1])
done, most, base = threading.Event(), [0], anonymous()
def watch():
    while not done.wait(0.001): most[0] = max(most[0], anonymous())
watcher = threading.Thread(target=watch); watcher.start()
start = time.thread_time()
status = lib._cdll.llama2_model_load(sys.argv[1].encode(), None, ctypes.byref(ctypes.c_void_p()), None, 0)
seconds = time.thread_time() - start
result = lib._cdll.llama2_last_error().decode(errors='replace') if status else 'loaded'
most[0] = max(most[0], anonymous()); done.set(); watcher.join()
print(most[0] - base, seconds, result[:200])
"""
