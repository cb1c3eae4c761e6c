"""Files that lie. Each is refused with the right status and a sentence that names what and where; nothing crashes."""

import struct

import pytest
from hostile_tools import A, CORRUPT, FORMAT, L, R, T, TOKENS, UNSUPPORTED, alignment, header, key, one_key, one_tensor, reshape, setting, tensor, u64, without, write_changed
from tiny_gguf import _string

import llama2swift
from llama2swift.errors import Llama2Error

BIG = 2**63

# name -> (bytes, exception, words of the sentence)
STRUCTURE = {
    "empty file": (b"", FORMAT, "GGUF"),
    "one byte": (b"G", FORMAT, "GGUF"),
    "magic only": (b"GGUF", CORRUPT, "version"),
    "magic of another case": (b"gguf" + bytes(60), FORMAT, "GGUF"),
    "safetensors": (u64(40) + b'{"a":{"dtype":"F32"}}' + bytes(40), FORMAT, "GGUF"),
    "zip": (b"PK\x03\x04" + bytes(100), FORMAT, "GGUF"),
    "elf": (b"\x7fELF" + bytes(100), FORMAT, "GGUF"),
    "old ggml": (b"lmgg" + bytes(100), FORMAT, "GGUF"),
    "version 0": (header(version=0), UNSUPPORTED, "version 0"),
    "version 1, cut": (header(version=1)[:11], CORRUPT, "tensors"),
    "version 1, more keys than bytes": (struct.pack("<4sIII", b"GGUF", 1, 0, 1000), CORRUPT, "metadata keys: 1000"),
    "version 4": (header(version=4), UNSUPPORTED, "version 4"),
    "version huge": (header(version=0x7FFFFFFF), UNSUPPORTED, "version"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), UNSUPPORTED, "big-endian"),
    "counts cut off": (header()[:15], CORRUPT, "tensors"),
    "more tensors than bytes": (header(tensors=1000), CORRUPT, "number of tensors: 1000"),
    "tensor count near 2^64": (header(tensors=2**64 - 1), CORRUPT, "number of tensors"),
    "key count near 2^64": (header(keys=2**64 - 1), CORRUPT, "number of metadata keys"),
    "key count times size wraps": (header(keys=2**61), CORRUPT, "number of metadata keys"),
    "key length near 2^64": (one_key(u64(2**64 - 1)), CORRUPT, "name of metadata key 0"),
    "key length of 2^63": (one_key(u64(BIG)), CORRUPT, "name of metadata key 0"),
    "key of length 0": (one_key(key("", 4, u64(0))), CORRUPT, "0 bytes"),
    "key of 70000 bytes": (one_key(key("x" * 70000, 4, u64(0))), CORRUPT, "70000 bytes"),
    "key with NUL": (one_key(key("a\0b", 4, u64(0))), CORRUPT, "NUL"),
    "key that is not UTF-8": (one_key(key(b"\xff\xfe", 4, u64(0))), CORRUPT, "UTF-8"),
    "value type 13": (one_key(key("a.b", 13)), CORRUPT, "a.b has value type 13 at offset 35"),
    "value cut off": (header(0, 1) + key("a.b", 10, b"\1\2"), CORRUPT, "a.b"),
    "bool of value 2": (one_key(key("flag", 7, b"\2")), CORRUPT, "flag is a bool of value 2"),
    "string longer than the file": (one_key(key("s", 8, u64(10**6))), CORRUPT, "s: 1000000 announced"),
    "string length near 2^64": (one_key(key("s", 8, u64(2**64 - 8))), CORRUPT, "metadata s"),
    "array of arrays": (one_key(key("a", 9, struct.pack("<IQ", 9, 1))), UNSUPPORTED, "array of arrays"),
    "array of type 99": (one_key(key("a", 9, struct.pack("<IQ", 99, 1))), CORRUPT, "value type 99"),
    "array longer than the file": (one_key(key("a", 9, struct.pack("<IQ", 4, 10**9))), CORRUPT, "length of metadata a"),
    "array length times size wraps": (one_key(key("a", 9, struct.pack("<IQ", 10, 2**61 + 1))), CORRUPT, "length of metadata a"),
    "array of strings cut off": (one_key(key("a", 9, struct.pack("<IQ", 8, 8)), u64(1000) + bytes(60)), CORRUPT, r"a\[0\]"),
    "key repeated": (header(0, 2) + key("k", 4, b"\1\0\0\0") * 2 + bytes(64), CORRUPT, "k appears twice"),
    "alignment 0": (one_tensor("t", 4, **alignment(0)), CORRUPT, "general.alignment is 0"),
    "alignment 3": (one_tensor("t", 4, **alignment(3)), CORRUPT, "power of two"),
    "alignment 24": (one_tensor("t", 4, **alignment(24)), CORRUPT, "power of two"),
    "alignment 2^31": (one_tensor("t", 4, **alignment(2**31)), CORRUPT, "general.alignment"),
    "alignment is a string": (one_tensor("t", 4, keys=key("general.alignment", 8, _string("32")), count=1), CORRUPT, "integer"),
    "tensor without dimensions": (one_tensor("t", dimensions=0), CORRUPT, "0 dimensions"),
    "tensor of 5 dimensions": (one_tensor("t", 1, 1, 1, 1, 1), CORRUPT, "5 dimensions"),
    "tensor of 2^32-1 dimensions": (one_tensor("t", 1, dimensions=2**32 - 1), CORRUPT, "dimensions"),
    "dimension of 0": (one_tensor("t", 32, 0), CORRUPT, "dimension 1 of length 0"),
    "dimension of 2^63": (one_tensor("t", BIG), CORRUPT, "does not fit 63 bits"),
    "product of dimensions wraps": (one_tensor("t", 2**32, 2**32), CORRUPT, "does not fit 63 bits"),
    "product of dimensions wraps to a small one": (one_tensor("t", 2**33, 2**31, 2), CORRUPT, "does not fit 63 bits"),
    "bytes of the tensor wrap": (one_tensor("t", 2**61, 2), CORRUPT, "does not fit 63 bits"),
    "type 31": (one_tensor("t", 32, kind=31), UNSUPPORTED, "type number 31"),
    "type 4 (removed Q4_2)": (one_tensor("t", 32, kind=4), UNSUPPORTED, "type number 4"),
    "type near 2^32": (one_tensor("t", 32, kind=2**32 - 1), UNSUPPORTED, "type number 4294967295"),
    "block does not divide the row": (one_tensor("t", 33, kind=2), CORRUPT, "33 weights.*Q4_0 blocks of 32"),
    "superblock does not divide the row": (one_tensor("t", 128, 2, kind=12), CORRUPT, "Q4_K"),
    "offset not aligned": (one_tensor("t", 4, offset=8), CORRUPT, "offset 8"),
    "offset beyond the file": (one_tensor("t", 4, offset=1 << 20), CORRUPT, "the file ends at"),
    "offset plus size wraps": (one_tensor("t", 4, offset=2**63 - 32), CORRUPT, "tensor t"),
    "offset near 2^64": (one_tensor("t", 4, offset=2**64 - 32), CORRUPT, "does not fit 63 bits"),
    "tensor larger than the file": (one_tensor("t", 1 << 20), CORRUPT, "the file ends at"),
    "tensor name with NUL": (one_tensor("a\0", 4), CORRUPT, "NUL"),
    "tensor repeated": (header(2) + tensor("t", 4) + tensor("t", 4, offset=32) + bytes(128), CORRUPT, "t appears twice"),
    "tensors overlap": (header(2) + tensor("a", 64) + tensor("b", 64, offset=32) + bytes(4096), CORRUPT, "a and b overlap"),
    "tensor infos cut off": (header(2) + tensor("a", 4), CORRUPT, "tensor|announced"),
    "nothing in it": (header() + bytes(64), CORRUPT, "token_embd.weight is missing"),
}  # fmt: skip


@pytest.mark.parametrize("name", STRUCTURE)
def test_hostile_structure_is_refused(name, tmp_path):
    content, kind, words = STRUCTURE[name]
    path = tmp_path / "hostile.gguf"
    path.write_bytes(content)
    with pytest.raises(kind, match=words):
        llama2swift.Model(path)

# name -> (change of a good model, exception, words of the sentence)
CONTENT = {
    "no architecture": (without("general.architecture"), CORRUPT, "general.architecture is missing"),
    "another architecture": (setting(general__architecture="bert"), UNSUPPORTED, '"bert"'),
    "architecture is a number": (setting(general__architecture=3), CORRUPT, "general.architecture is 3, expected a string"),
    **{
        f"no {k}": (without(f"llama.{k}"), CORRUPT, f"llama.{k} is missing")
        for k in ("embedding_length", "block_count", "feed_forward_length", "context_length", "attention.head_count")
    },
    "embedding length 0": (setting(**{L + "embedding_length": 0}), CORRUPT, "embedding_length is 0"),
    "embedding length another than the tensors'": (setting(**{L + "embedding_length": 64}), CORRUPT, "token_embd.weight has shape"),
    "embedding length is a string": (setting(**{L + "embedding_length": "32"}), CORRUPT, "expected an integer"),
    "2^32-1 layers": (setting(**{L + "block_count": 2**32 - 1}), CORRUPT, "block_count"),
    "more layers than tensors": (setting(**{L + "block_count": 2}), CORRUPT, "blk.1.attn_norm.weight is missing"),
    "no heads": (setting(**{A + "head_count": 0}), CORRUPT, "head_count is 0"),
    "heads do not divide the embedding": (setting(**{A + "head_count": 6}), CORRUPT, "multiple of attention.head_count"),
    "no kv heads": (setting(**{A + "head_count_kv": 0}), CORRUPT, "head_count_kv is 0"),
    "kv heads do not divide the heads": (setting(**{A + "head_count_kv": 3}), CORRUPT, "not a multiple of head_count_kv"),
    "values of another length than keys": (setting(**{A + "key_length": 8, A + "value_length": 4}), UNSUPPORTED, "value_length"),
    "key length another than the tensors'": (setting(**{A + "key_length": 16, A + "value_length": 16}), CORRUPT, "attn_q.weight has shape"),
    "rope dimension beyond the head": (setting(**{R + "dimension_count": 10}), CORRUPT, "dimension_count is 10"),
    "rope dimension odd": (setting(**{R + "dimension_count": 5}), CORRUPT, "even number"),
    "rope base 0": (setting(**{R + "freq_base": 0.0}), CORRUPT, "freq_base is 0"),
    "rope base NaN": (setting(**{R + "freq_base": float("nan")}), CORRUPT, "finite"),
    "rope base infinite": (setting(**{R + "freq_base": float("inf")}), CORRUPT, "finite"),
    "rope scaling unknown": (setting(**{R + "scaling__type": "su"}), UNSUPPORTED, "su"),
    "longrope without its factors": (setting(**{R + "scaling__type": "longrope"}), CORRUPT, "rope_factors_long.weight is missing"),
    "YaRN with a beta of zero": (setting(**{R + "scaling__type": "yarn", R + "scaling__yarn_beta_fast": 0.0}), CORRUPT, "yarn_beta_fast is 0"),
    "YaRN with a negative factor of attention": (setting(**{R + "scaling__type": "yarn", R + "scaling__attn_factor": -1.0}), CORRUPT, "attn_factor is -1"),
    "rope scaling negative": (setting(**{R + "scaling__type": "linear", R + "scaling__factor": -2.0}), CORRUPT, "scaling factor"),
    "epsilon negative": (setting(**{A + "layer_norm_rms_epsilon": -1e-5}), CORRUPT, "epsilon"),
    "epsilon NaN": (setting(**{A + "layer_norm_rms_epsilon": float("nan")}), CORRUPT, "finite"),
    "experts": (setting(**{L + "expert_count": 8}), UNSUPPORTED, "expert_count is 8"),
    "vocabulary size disagrees": (setting(**{L + "vocab_size": 301}), CORRUPT, "vocab_size is 301"),
    "no output norm": (without("output_norm.weight"), CORRUPT, "output_norm.weight is missing"),
    "norm of another length": (reshape("output_norm", (16,)), CORRUPT, r"output_norm.weight has shape \[16\]"),
    "norm in F16": (reshape("output_norm", (32,), 1), UNSUPPORTED, "type F16, expected F32"),
    "matrix of another shape": (reshape("blk.0.ffn_up", (32, 16)), CORRUPT, "blk.0.ffn_up.weight has shape"),
    "matrix of three dimensions": (reshape("blk.0.ffn_up", (32, 8, 4)), CORRUPT, "blk.0.ffn_up.weight has shape"),
    "fewer tokens than rows": (setting(**{T + "tokens": TOKENS[:-1]}), CORRUPT, "299 tokens.*300 rows"),
    "tokens are numbers": (setting(**{T + "tokens": [1, 2, 3]}), CORRUPT, "array of strings"),
    "fewer scores than tokens": (setting(**{T + "scores": [1.0, 2.0]}), CORRUPT, "score"),
    "more types than tokens": (setting(**{T + "token_type": [1] * 301}), CORRUPT, "types"),
    "a type beyond the known": (setting(**{T + "token_type": [1] * 299 + [7]}), CORRUPT, "type 7"),
    "a byte without a byte's name": (setting(**{T + "token_type": [2, 3, 3, *([6] * 257), *([1] * 40)]}), CORRUPT, "token 259 is of the type of a byte"),
    "a type below the known": (setting(**{T + "token_type": [1] * 299 + [-1]}), CORRUPT, "type -1"),
    "BOS beyond the vocabulary": (setting(**{T + "bos_token_id": 300}), CORRUPT, "bos_token_id is 300"),
    "EOS beyond the vocabulary": (setting(**{T + "eos_token_id": 2**32 - 2}), CORRUPT, "eos_token_id"),
    "unknown token beyond the vocabulary": (setting(**{T + "unknown_token_id": 2**31}), CORRUPT, "unknown_token_id"),
    "tokenizer unknown": (setting(**{T + "model": "rwkv"}), UNSUPPORTED, "rwkv"),
    "pre-tokenizer unknown": (setting(**{T + "model": "gpt2", T + "pre": "klingon", T + "merges": ["a b"]}), UNSUPPORTED, "klingon"),
    "merges of nothing": (setting(**{T + "model": "gpt2", T + "pre": "gpt-2", T + "merges": ["", " ", "a", "zz yy"]}), Llama2Error, "."),
    "template is a number": (setting(tokenizer__chat_template=1), CORRUPT, "chat_template"),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTENT)
def test_hostile_content_is_refused(name, tmp_path):
    change, kind, words = CONTENT[name]
    path = tmp_path / "hostile.gguf"
    write_changed(path, change)
    with pytest.raises(kind, match=words):
        llama2swift.Model(path)


def test_there_are_at_least_sixty_hostile_files():
    assert len(STRUCTURE) + len(CONTENT) >= 60


def test_a_template_of_ten_megabytes_is_read(tmp_path):
    write_changed(tmp_path / "t.gguf", setting(tokenizer__chat_template="x" * 10_000_000))
    model = llama2swift.Model(tmp_path / "t.gguf")
    assert model.chat_format == "" and len(model.metadata["tokenizer.chat_template"]) == 10_000_000
