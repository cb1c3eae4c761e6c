"""What the fuzz targets of files begin with: see seeds.py."""

from __future__ import annotations

import json
import pickle
import struct
import tempfile
import zipfile
from pathlib import Path

import formats as F
import numpy as np
from tiny_gguf import shape_metadata, tensor_shapes, write_gguf

SHAPE = dict(vocabulary=16, dim=8, layers=1, heads=2, heads_kv=1, hidden=8, base=10000.0)
W = F.weights(SHAPE)
TIED = F.weights(SHAPE, tied=True)


# Templates of which a chat format is told
LLAMA2 = "{% if messages[0]['role'] == 'system' %}<<SYS>>{{ messages[0]['content'] }}<</SYS>>{% endif %}[INST] {{ x }} [/INST]"
CHATML = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nYou are a helper.<|im_end|>\\n' }}{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}"
)

# Files


def gguf_bytes(metadata=None, w=W, shape=SHAPE) -> bytes:
    with tempfile.TemporaryDirectory() as folder:  # not a name that somebody else's run has too
        path = Path(folder) / "seed.gguf"
        F.write_gguf_model(path, w, shape, metadata)
        return path.read_bytes()


def version_1() -> bytes:
    """A header of version 1, whose counts have 32 bits, and one key."""
    return b"GGUF" + struct.pack("<III", 1, 0, 1) + struct.pack("<I", 20) + b"general.architecture" + struct.pack("<II", 8, 5) + b"llama"


def keys_of_every_type() -> bytes:
    def key(name, kind, payload):
        return struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", kind) + payload

    def text(s):
        return struct.pack("<Q", len(s)) + s

    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
    keys = [key(f"k{k}", k, b"\1" + bytes(n - 1)) for k, n in sizes.items()] + [key("s", 8, text(b"abc"))]
    keys += [key(f"a{k}", 9, struct.pack("<IQ", k, 8) + b"\1" * (8 * n)) for k, n in sizes.items()]
    keys += [key("as", 9, struct.pack("<IQ", 8, 7) + text(b"x") * 7), key("e", 9, struct.pack("<IQ", 5, 0)), key("general.alignment", 4, struct.pack("<I", 64))]
    tensor = text(b"t") + struct.pack("<I4QIQ", 4, 2, 2, 2, 2, 0, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(keys)) + b"".join(keys) + tensor
    return head + bytes(-len(head) % 64) + bytes(64)


def mixed_types(path: Path) -> bytes:
    """Each matrix in another type of blocks of 32; the blocks are zeros and ones."""
    shape = dict(vocabulary=8, dim=32, layers=1, heads=2, heads_kv=1, hidden=32)
    kinds, tensors = {1: 64, 30: 64, 2: 18, 3: 20, 6: 22, 7: 24, 8: 34, 20: 18}, {}
    types = iter(list(kinds) * 2)
    for name, s in tensor_shapes(shape_metadata(**shape), 8).items():
        if len(s) == 1:
            tensors[name + ".weight"] = (0, s, np.ones(s, "<f4").tobytes())
        else:
            kind = next(types)
            tensors[name + ".weight"] = (kind, s[::-1], b"\x01\x00" * (kinds[kind] * s[0] // 2))
    write_gguf(path, shape_metadata(**shape), tensors)
    return path.read_bytes()


def gguf_seeds(tmp: Path) -> dict[str, bytes]:
    small = {"tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", "▁", *"abcdefghij", "ab", "<0x41>"]}
    spm = small | {"tokenizer.ggml.scores": [float(-i) for i in range(16)], "tokenizer.ggml.token_type": [2, 3, 3, *[1] * 12, 6]}
    bpe = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm", "tokenizer.ggml.tokens": [*"abcdefghijkl", "ab", "<|im_start|>", "<|im_end|>", "Ġ"],
           "tokenizer.ggml.token_type": [*[1] * 13, 3, 3, 1], "tokenizer.ggml.merges": ["a b"], "tokenizer.chat_template": CHATML}  # fmt: skip
    rope = {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 2.0, "llama.rope.dimension_count": 2, "llama.vocab_size": 16}
    return {
        "plain": gguf_bytes(), "tied": gguf_bytes(w=TIED), "spm": gguf_bytes(spm), "spm-no-types": gguf_bytes(small | {"tokenizer.chat_template": LLAMA2}),
        "bpe": gguf_bytes(bpe), "rope": gguf_bytes(rope | {"llama.attention.key_length": 4, "llama.attention.value_length": 4, "llama.expert_count": 0}),
        "llama-bpe": gguf_bytes(bpe | {"tokenizer.ggml.pre": "llama-bpe", "tokenizer.ggml.eot_token_id": 14, "tokenizer.ggml.add_bos_token": True}),
        "few-types": gguf_bytes(spm | {"tokenizer.ggml.token_type": [1]}), "beyond": gguf_bytes(spm | {"tokenizer.ggml.bos_token_id": 16}),
        "other-model": gguf_bytes(small | {"tokenizer.ggml.model": "bert"}), "no-vocab": gguf_bytes({"tokenizer.ggml.model": "no_vocab"}),
        "split": gguf_bytes({"split.no": 0, "split.count": 2}), "experts": gguf_bytes({"llama.expert_count": 4}), "mixed": mixed_types(tmp / "mixed.gguf"),
        "version-1": version_1(), "keys": keys_of_every_type(), "checkpoint": F.llama2c(TIED, 1, SHAPE),
        "factors": with_factors(tmp / "factors.gguf"), "aligned": aligned(tmp / "aligned.gguf"),
    }  # fmt: skip


def with_factors(path: Path) -> bytes:
    tensors = {n + ".weight": (0, x.shape[::-1], x.tobytes()) for n, x in W.items()} | {"rope_freqs.weight": (0, (2,), np.ones(2, "<f4").tobytes())}
    write_gguf(path, shape_metadata(**SHAPE), tensors)
    return path.read_bytes()


def aligned(path: Path) -> bytes:
    tensors = {n + ".weight": (0, x.shape[::-1], x.tobytes()) for n, x in W.items()}
    write_gguf(path, shape_metadata(**SHAPE) | {"general.alignment": 8}, tensors, alignment=8)
    return path.read_bytes()


def packed(files: dict[int, bytes | str]) -> bytes:
    """A folder as fuzz.h's unpack_folder reads it."""
    out = b""
    for index, data in files.items():
        data = data.encode() if isinstance(data, str) else data
        out += struct.pack("<BI", index, len(data)) + data
    return out


def split_seeds(tmp: Path) -> dict[str, bytes]:
    items, out = list(W.items()), {}
    for name, change in {"good": {}, "three": {"split.count": 3}, "total": {"split.tensors.count": len(W)}, "wrong": {"split.tensors.count": 3}}.items():
        parts = {}
        for index in range(2):
            m = (shape_metadata(**SHAPE) if index == 0 else {}) | {"split.no": index, "split.count": 2} | (change if index == 0 else {})
            some = items[: len(items) // 2] if index == 0 else items[len(items) // 2 :]
            write_gguf(tmp / "part.gguf", m, {n + ".weight": (0, x.shape[::-1], x.tobytes()) for n, x in some})
            parts[index] = (tmp / "part.gguf").read_bytes()
        out[name] = packed(parts)
    every = {"split.no": 0, "split.count": 2, "bool": True, "strings": ["a", "b"], "numbers": [1, 2], "large": 2**40, "negative": -5, "low": -(2**40)}
    write_gguf(tmp / "part.gguf", shape_metadata(**SHAPE) | every, {n + ".weight": (0, x.shape[::-1], x.tobytes()) for n, x in items[: len(items) // 2]})
    for n in range(4):  # one in four is written again
        out[f"every-{n}"] = packed({0: (tmp / "part.gguf").read_bytes(), 1: parts[1] + bytes(n)})
    return out | {"same": packed({0: parts[0], 1: parts[0]}), "alone": packed({0: parts[0]})}


# Hugging Face

TOKENIZER = {
    "model": {"type": "BPE", "vocab": {c: i for i, c in enumerate("abcdefgh")} | {"ab": 8}, "merges": ["a b", ["a", "b"]]},
    "added_tokens": [{"id": 9, "content": "<|im_start|>", "special": True}, {"id": 10, "content": "<|im_end|>", "special": True}, {"id": 11, "content": "tool"}],
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits"}, {"type": "ByteLevel"}]},
    "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}]},
}
PIECES = [("<unk>", 0, 2), ("<s>", 0, 3), ("</s>", 0, 3), ("<0x41>", 0, 6), ("a", -1, 1), ("b", -2, 1), ("ab", 0, 1), ("▁", -3, 1), ("u", 0, 4), ("x", 0, 5)]


def hugging_face_seeds() -> dict[str, bytes]:
    tensors, config = F.hugging_face_tensors(W, SHAPE), F.config(SHAPE)

    def model(files, data=F.safetensors(tensors), **change):
        return packed({0: json.dumps(config | change), 1: data} | files)

    fallback = {"model": {"type": "BPE", "byte_fallback": True, "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2, "<0x41>": 3, "a": 4, "b": 5, "ab": 6, "": 7}, "merges": ["a b"]}}
    settings = {"bos_token": "<|im_start|>", "eos_token": {"content": "<|im_end|>"}, "add_bos_token": True, "chat_template": CHATML}
    listed = {"chat_template": [{"name": "tool", "template": "x"}, {"name": "default", "template": CHATML}]}
    split_words = TOKENIZER | {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "\\p{N}{1,3}"}}, "post_processor": {"type": "Sequence", "processors": []}}
    unknown_words = TOKENIZER | {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "[a-z]"}}]}}
    llama3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
    names = list(tensors)
    halves = [F.safetensors({n: tensors[n] for n in names[:6]}), F.safetensors({n: tensors[n] for n in names[6:]})]
    files = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index = json.dumps({"weight_map": {n: files[i >= 6] for i, n in enumerate(names)}})
    proto = F.sentencepiece_model(PIECES, F.field(41, 1), F.field(3, 0))
    tricky = '{"a": [true, false, null, -1.5e-3, "\\u00e9\\ud83d\\ude00\\n\\t\\b\\f\\r\\/\\\\\\"", {}, []], "b": {"c": 1E+2}}'
    seeds = {
        "plain": model({}), "bf16": model({}, F.safetensors(tensors, "BF16")), "f16": model({}, F.safetensors(tensors, "F16"), architectures=[]),
        "bpe": model({5: json.dumps(TOKENIZER), 7: json.dumps(settings), 8: json.dumps({"eos_token_id": [10, 9]})}),
        "digits": model({5: json.dumps(split_words), 7: json.dumps(listed)}), "words": model({5: json.dumps(unknown_words)}),
        "fallback": model({5: json.dumps(fallback), 9: LLAMA2}), "proto": model({6: proto, 5: json.dumps({"added_tokens": [{"id": 12, "content": "x"}]})}),
        "unigram": model({5: '{"model": {"type": "Unigram"}}'}), "llama3": model({}, rope_parameters=llama3 | {"rope_theta": 5e5}), "tied": model({}, tie_word_embeddings=True),
        "linear": model({}, rope_scaling={"type": "linear", "factor": 2}, head_dim=4, vocab_size=16), "dynamic": model({}, rope_scaling={"type": "dynamic"}),
        "yarn": model({}, rope_scaling={"type": "yarn"}), "json": packed({0: tricky}), "two": packed({0: json.dumps(config), 2: index, 3: halves[0], 4: halves[1]}),
        "scalar": model({}, F.safetensors(tensors | {"model.norm.weight": np.float32(1).reshape(())})), "inv": model({}, F.safetensors(tensors | {"a.rotary_emb.inv_freq": W["output_norm"]})),
        "space": model({}, (lambda raw: raw[:8] + b" " * 8 + raw[8:])(F.safetensors(tensors)), unknown=None), "torch": packed({0: json.dumps(config), 10: F.pth(tensors)}),
        "torch-index": packed({0: json.dumps(config), 10: F.pth(tensors), 11: json.dumps({"weight_map": {n: "pytorch_model.bin" for n in names}})}),
        "bias": model({}, F.safetensors(tensors | {f"model.layers.0.self_attn.{n}_proj.bias": np.zeros(k, "f4") for n, k in (("q", 8), ("k", 4), ("v", 4), ("o", 8))}), attention_bias=True),
    }  # fmt: skip
    return seeds | known_lies(lambda index, data: packed({0: json.dumps(config), 1: F.safetensors(tensors)} | {index: data}))


def known_lies(folder) -> dict[str, bytes]:
    """The small files that the tests of hostile formats have, if pytest is there."""
    try:
        import test_hostile_formats as H
        import test_hostile_tokenizers as V
    except ImportError:
        return {}
    lies = {f"config {n}": folder(0, case[0]) for n, case in H.CONFIG.items()} | {f"index {n}": folder(2, json.dumps(case[0])) for n, case in H.INDEX.items()}
    lies |= {f"tokenizer {n}": folder(5, json.dumps(case[0])) for n, case in V.TOKENIZER.items()} | {f"proto {n}": folder(6, case[0]) for n, case in V.PROTO.items()}
    return {n: data for n, data in lies.items() if len(data) < 16384}


# Meta


def meta_seeds() -> dict[str, bytes]:
    tensors, params = F.meta_tensors(W, SHAPE), json.dumps(F.params(SHAPE))
    proto = F.sentencepiece_model(PIECES)

    def with_pickle(body: bytes) -> bytes:
        return packed({0: params, 1: F.pth(tensors, pickled=b"\x80\x02" + body)})

    halves = []
    for shard in range(2):
        part = {}
        for name, x in tensors.items():
            axis = None if x.ndim == 1 else 1 if name.startswith("tok_") or name.endswith((".wo.weight", ".w2.weight")) else 0
            part[name] = x if axis is None else np.ascontiguousarray(np.split(x, 2, axis)[shard])
        halves.append(F.pth(part))
    newer = pickle.dumps({"a": (1, 70000, -5, True, None, "text", "x" * 300)}, 4)
    old, new = F.pth(tensors), F.pth(tensors, kind="BFloat16Storage")
    parameters = F.state_dict(tensors).replace(b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch._utils\n_rebuild_parameter\n", 1)
    bodies = {
        "cycle": b"}q\0h\0h\0s.", "nested": b"N" + b"\x85" * 3000 + b".", "memo": b"}\x94K\1M\2\1J\1\0\0\0\x8a\2\1\1\x86\x870r\5\0\0\0j\5\0\0\0.",
        "long": b"\x8a\0\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f0.", "build": b"}N}b.", "build-nothing": b"NNb.", "stack-global": b"\x8c\x0bcollections\x8c\x0bOrderedDict\x93)R.",
        "numbers": b"K\1\x8c\1a\x93.", "marks": b"((((t.", "bools": b"\x88\x89NX\1\0\0\0a.", "frame": b"\x95\1\0\0\0\0\0\0\0}.",
    }  # fmt: skip
    first, lies = next(iter(tensors)), {}
    changes = {"offset": 1, "strides": (0, 0), "shape": (0, 8), "key": "99", "count": 4096, "kind": "DoubleStorage"}
    for key, value in changes.items():
        ready = {n: F._Tensor(str(i), "FloatStorage", x.size, x.shape) for i, (n, x) in enumerate(tensors.items())}
        setattr(ready[first].storage if key in ("key", "count", "kind") else ready[first], key, value)
        lies[key] = packed({0: params, 1: F.pth(tensors, pickled=F.state_dict(ready))})
    return lies | {
        "plain": packed({0: params, 1: old, 3: proto}), "bf16": packed({0: params, 1: new, 4: proto}), "f16": packed({0: params, 1: F.pth(tensors, kind="HalfStorage")}),
        "two": packed({0: params, 1: halves[0], 2: halves[1]}), "parameter": packed({0: params, 1: F.pth(tensors, pickled=parameters)}), "newer": with_pickle(newer),
        "scaled": packed({0: json.dumps(F.params(SHAPE, use_scaled_rope=True)), 1: old}), "llama3": packed({0: params, 1: old, 3: b"IQ== 0\n"}), "other": packed({0: params, 1: halves[0], 2: old}),
        "compressed": packed({0: params, 1: F.pth(tensors, compression=zipfile.ZIP_DEFLATED)}), "no-zip": packed({0: params, 1: b"not a zip"}), "short": packed({0: params, 1: b"PK\3\4" + bytes(60)}),
        "big-endian": packed({0: params, 1: old.replace(b"little", b"big!!!")}), "no-params": packed({0: "{}", 1: old}),
        **{f"pickle {n}": with_pickle(b) for n, b in bodies.items()},
    }  # fmt: skip


# The rest


def checkpoint_tokenizer(pieces) -> bytes:
    return struct.pack("<i", 8) + b"".join(struct.pack("<fi", s, len(t.encode())) + t.encode() for t, s, _ in pieces)


def llama2c_seeds() -> dict[str, bytes]:
    pieces = PIECES + [(f"p {i}", 0, 1) for i in range(6)]
    tokens, proto = checkpoint_tokenizer(pieces), F.sentencepiece_model(PIECES)
    seeds = {f"v{v}-{n}": packed({0: F.llama2c(w, v, SHAPE, group=8), 1 + i: tokens}) for v in range(3) for i, (n, w) in enumerate({"own": W, "tied": TIED}.items())}
    return seeds | {"proto": packed({0: F.llama2c(W, 1, SHAPE), 3: proto}), "alone": packed({0: F.llama2c(TIED, 0, SHAPE)}), "longer": packed({0: F.llama2c(W, 1, SHAPE), 1: tokens + b"x"})}


def sentencepiece_seeds() -> dict[str, bytes]:
    trainer = F.field(3, 2) + F.field(40, 0) + F.field(41, 1) + F.field(42, 2)
    seeds = {
        "plain": F.sentencepiece_model(PIECES), "trainer": F.sentencepiece_model(PIECES, trainer, F.field(3, 0)), "no-bos": F.sentencepiece_model(PIECES, F.field(41, 2**64 - 1)),
        "unigram": F.sentencepiece_model(PIECES) + F.field(2, F.field(3, 1)), "fixed64": b"\x09" + bytes(8) + F.sentencepiece_model(PIECES), "many": F.sentencepiece_model(PIECES * 7),
        "score": F.sentencepiece_model(PIECES + [("n", float("nan"), 1)]), "base64": b"IQ== 0\n",
    }  # fmt: skip
    return seeds | {n: c for n, c in known_lies(lambda index, data: data).items() if n.startswith("proto")}


def importance_seeds(tmp: Path) -> dict[str, bytes]:
    def matrix(columns, counts=4.0, kind="imatrix", **more):
        name = "blk.0.ffn_down.weight"
        tensors = {f"{name}.in_sum2": (0, (columns, 1), np.arange(columns, dtype="<f4").tobytes()), f"{name}.counts": (0, (1, 1), np.float32(counts).tobytes())}
        write_gguf(tmp / "i.gguf", {"general.type": kind, "imatrix.datasets": ["x"], "imatrix.chunk_count": 1} | more, tensors)
        return (tmp / "i.gguf").read_bytes()

    other = tmp / "o.gguf"
    write_gguf(other, {"general.type": "imatrix"}, {"a.in_sum2": (0, (2, 2), bytes(16)), "a.counts": (0, (2, 1), bytes(8))})
    empty = tmp / "e.gguf"
    write_gguf(empty, {"general.type": "imatrix"}, {})
    return {"good": matrix(256), "other-columns": matrix(32), "zero": matrix(256, 0.0), "infinite": matrix(256, float("inf")), "model": gguf_bytes(), "kind": matrix(256, kind="x"),
            "tokens": bytes([4, 1, 2, 3, 4, 5, 6, 7, 8]), "too-few": bytes([8, 1]), "several": other.read_bytes(), "empty": empty.read_bytes(),
            "older": struct.pack("<ii", 1, 21) + b"blk.0.ffn_down.weight" + struct.pack("<ii", 2, 256) + bytes(1024) + struct.pack("<ii", 1, 1) + b"x"}  # fmt: skip
