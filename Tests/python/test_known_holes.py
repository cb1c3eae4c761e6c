"""The classes of holes that other parsers of model files had, one test a class, in every format where the class exists.

Sources: the advisories of llama.cpp (GHSA-vgg9-87g3-85w8, CVE-2024-21802, -23496, CVE-2025-49847, -53630), Ollama (CVE-2024-39720,
CVE-2025-0312, -0315, -66959, CVE-2026-7482), gguf-rs, safetensors (the Trail of Bits audit, zero-sized tensors, repeated keys) and picklescan
(CVE-2025-1716, -1889, -1944, -1945, -10155 to -10157, -71325). What test_hostile and test_hostile_formats have is referred to by
its name there; what they do not have is built here. Each is refused with its status and a sentence that names the field.
"""

import json
import struct

import formats as F
import hostile_tools as lies
import pytest
import test_hostile_formats as other
import test_hostile_tokenizers as vocabularies
from holes_tools import CF, CORRUPT, FORMAT, GG, M, PB, ROWS, ST, TK, UNSUPPORTED, ZP, cases, changed, file, in_folder, llama2c, params, refused, safetensors, said, vocabulary_of_llama2c, zipped
from hostile_formats_tools import SHAPE, W
from hostile_tools import header, key, one_key, one_tensor, u64
from test_hostile_formats import st
from test_hostile_meta import META, entry

import llama2swift
from llama2swift import _library as lib
from llama2swift import _structs as S
from llama2swift.errors import Llama2Error


def zip64(count=4, size=200, offset=0, record=None):
    """A zip whose zip64 record says these."""
    data = F.pth(META)
    at = data.rindex(b"PK\5\6")
    place = at if record is None else record
    body = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, count, count, size, offset)
    return data[:at] + body + struct.pack("<IIQI", 0x07064B50, 0, place, 1) + data[at:]


@cases(
    gguf=said(GG, "tensor count near 2^64"),
    gguf_count_whose_bytes_are_zero=file(header(tensors=2**59), CORRUPT, "number of tensors: 576460752303423488"),
    gguf_keys=said(GG, "key count times size wraps"),
    gguf_version_1=file(struct.pack("<4sIII", b"GGUF", 1, 2**32 - 1, 0), CORRUPT, "number of tensors: 4294967295"),
    gguf_more_than_any_model=file(header(70_000) + bytes(70_000 * 32), UNSUPPORTED, "number of tensors: 70000; the limit is 65536"),
    gguf_more_keys_than_any_model=file(header(0, 70_000) + bytes(70_000 * 13), UNSUPPORTED, "number of metadata keys: 70000; the limit is 65536"),
    zip_entries=zipped(zip64(count=2**64 - 1), CORRUPT, "directory of 18446744073709551615 entries"),
    zip_entries_whose_bytes_are_small=zipped(zip64(count=2**58 * 64 // 46), CORRUPT, "zip directory of"),
    pickle_storage=said(ZP, "storage count 2^62"),
    llama2c=llama2c(1, 28, 2**31 - 1, CORRUPT, "vocab_size .* is 2147483647"),
)
def test_a_count_whose_product_with_a_size_overflows(row, tmp_path):
    refused(row, tmp_path)


@cases(
    gguf=said(GG, "offset plus size wraps"), gguf_near_2_64=said(GG, "offset near 2^64"), gguf_larger_than_the_file=said(GG, "tensor larger than the file"),
    safetensors=said(ST, "range near 2^63"), safetensors_header=said(ST, "header near 2^64"),
    zip_entry=zipped(entry(20, "Q", 0xFFFFFFFE_FFFFFFFE), CORRUPT, "zip entry .*data.pkl takes bytes"),
    zip_directory=zipped(zip64(size=2**64 - 1, offset=2), CORRUPT, "zip directory of 4 entries in 18446744073709551615 bytes at 2"),
    zip64_record=zipped(zip64(record=2**64 - 8), CORRUPT, "zip64 record at 18446744073709551608"),
    pickle=said(ZP, "offset 2^62"), protobuf=said(PB, "length near 2^64"),
)  # fmt: skip
def test_an_offset_that_wraps_with_its_size(row, tmp_path):
    refused(row, tmp_path)


@cases(
    gguf=said(GG, "product of dimensions wraps"), gguf_to_a_small_one=said(GG, "product of dimensions wraps to a small one"),
    gguf_bytes=said(GG, "bytes of the tensor wrap"), gguf_dimension_of_2_63=said(GG, "dimension of 2^63"),
    gguf_negative=file(one_tensor("t", 2**64 - 1, 2), CORRUPT, "dimension 0 of tensor t: 18446744073709551615"),
    gguf_rows_wrap=file(one_tensor("t", 1, 2**62, 4), CORRUPT, "rows of tensor t"),
    safetensors=said(ST, "product wraps"), safetensors_bytes=said(ST, "bytes wrap"), pickle=said(ZP, "shape whose product wraps"),
    config=said(CF, "hidden_size 2^62"), params=params("layers 2^40", "n_layers"),
    llama2c=llama2c(2, 12, 2**31 - 1, CORRUPT, "hidden_dim .* is 2147483647"),
)  # fmt: skip
def test_dimensions_whose_product_wraps(row, tmp_path):
    refused(row, tmp_path)


@cases(
    zero=said(GG, "alignment 0"), three=said(GG, "alignment 3"), no_power_of_two=said(GG, "alignment 24"), huge=said(GG, "alignment 2^31"), a_string=said(GG, "alignment is a string"),
    negative=file(one_tensor("t", 4, keys=key("general.alignment", 5, struct.pack("<i", -32)), count=1), CORRUPT, "general.alignment is -32"),
    of_64_bits=file(one_tensor("t", 4, keys=key("general.alignment", 10, u64(2**63)), count=1), CORRUPT, "general.alignment is 9223372036854775808"),
    a_float=file(one_tensor("t", 4, keys=key("general.alignment", 6, struct.pack("<f", 32)), count=1), CORRUPT, "general.alignment is 32.0, expected an integer"),
    an_array=file(one_tensor("t", 4, keys=key("general.alignment", 9, struct.pack("<IQI", 4, 1, 32)), count=1), CORRUPT, "general.alignment is .*expected an integer"),
)  # fmt: skip
def test_an_alignment_of_zero_or_no_power_of_two(row, tmp_path):
    refused(row, tmp_path)


@cases(
    gguf_key=said(GG, "key length near 2^64"), gguf_value=said(GG, "string length near 2^64"), gguf_key_2_63=said(GG, "key length of 2^63"),
    gguf_value_of_the_rest_and_one=file(one_key(key("s", 8, u64(65))), CORRUPT, "metadata s: 65 announced at offset"),
    gguf_in_an_array=file(one_key(key("a", 9, struct.pack("<IQQ", 8, 1, 2**64 - 1))), CORRUPT, r"metadata a\[0\]: 18446744073709551615 announced"),
    gguf_tensor_name=file(header(1) + u64(2**64 - 1) + bytes(64), CORRUPT, "name of tensor 0: 18446744073709551615"),
    gguf_version_1=file(struct.pack("<4sIIII", b"GGUF", 1, 0, 1, 2**32 - 1) + bytes(64), CORRUPT, "name of metadata key 0: 4294967295"),
    safetensors=said(ST, "header near 2^64"), protobuf=said(PB, "length near 2^64"), pickle=said(ZP, "text beyond the pickle"), zip_name=said(ZP, "name beyond the directory"),
    llama2c=vocabulary_of_llama2c([(0, 2**31 - 1, b"a")], CORRUPT, rf"token 0 in .*tok{ROWS}.bin: 2147483647 bytes"),
    llama2c_negative=vocabulary_of_llama2c([(0, -1, b"a")], CORRUPT, rf"token 0 in .*tok{ROWS}.bin: -1 bytes"),
)  # fmt: skip
def test_a_string_length_near_the_largest_number(row, tmp_path):
    refused(row, tmp_path)


@cases(
    gguf=said(GG, "array of arrays"), gguf_of_an_unknown_type=said(GG, "array of type 99"),
    gguf_deep=file(one_key(key("deep", 9, struct.pack("<IQ", 9, 1) * 10_000)), UNSUPPORTED, "deep is an array of arrays"),
    safetensors_shape=safetensors(st(other.put(other.Q, "shape", [[32], 32])), CORRUPT, "q_proj.weight has a dimension that is not a positive integer"),
    safetensors_range=safetensors(st(other.put(other.Q, "data_offsets", [[0], [4096]])), CORRUPT, "q_proj.weight has data_offsets"),
    tokenizer=in_folder("hf", "tokenizer.json", vocabularies.tok(merges=[[["a"], "b"]]), CORRUPT, "merge 0"),
    pickle=said(ZP, "memo bomb"),
)  # fmt: skip
def test_an_array_of_arrays(row, tmp_path):
    refused(row, tmp_path)


def shards_with(name):
    """Two files of safetensors that both have the tensor `name`."""

    def write(folder):
        F.write_hugging_face(folder / "hf", W, SHAPE, shards=2)
        first, second = sorted((folder / "hf").glob("*.safetensors"))
        everything = F.hugging_face_tensors(W, SHAPE)
        names = [n for n in names_in(second) if n != name]
        second.write_bytes(F.safetensors({n: everything[n] for n in [*names, name]}))
        assert name in names_in(first)
        return folder / "hf"

    return write


def names_in(path):
    data = path.read_bytes()
    return [n for n in json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]]) if n != "__metadata__"]


@cases(
    gguf=said(GG, "key repeated"), gguf_tensor=said(GG, "tensor repeated"), json=said(CF, "key twice"), safetensors_header=said(ST, "key twice"),
    json_by_an_escape=in_folder("hf", "config.json", b'{"dim": 1, "b": 2, "d\\u0069m": 3}', CORRUPT, 'config.json: the key "dim" appears twice, again at byte 19'),
    json_inside=in_folder("hf", "config.json", b'[{"x": {"a": 1, "b": 2, "a": 1}}]', CORRUPT, 'key "a" appears twice'),
    # the file that one reader takes for four U8 and another for an F32
    safetensors_tensor=safetensors(st(header=b'{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', data=bytes(4)), CORRUPT, '"w" appears twice'),
    safetensors_in_two_files=(shards_with("model.embed_tokens.weight"), CORRUPT, "model.embed_tokens.weight is in two files"),
    zip=said(ZP, "entry twice"),
    pickle=zipped(F.pth(META, pickled=F.state_dict(META).replace(b"layers.0.attention.wk.weight", b"layers.0.attention.wq.weight")), CORRUPT, "wq.weight appears twice"),
)  # fmt: skip
def test_a_key_repeated(row, tmp_path):
    refused(row, tmp_path)


GOOD_TOKENS = [(0.0, 1, b"a")] * ROWS


@cases(
    gguf_fewer_tokens=said(M, "fewer tokens than rows"), gguf_scores=said(M, "fewer scores than tokens"), gguf_types=said(M, "more types than tokens"), gguf_stated=said(M, "vocabulary size disagrees"),
    gguf_more_tokens=changed(lies.setting(tokenizer__ggml__tokens=[*lies.TOKENS, "x"]), CORRUPT, "tokenizer.ggml.tokens has 301 tokens, but token_embd.weight has 300 rows"),
    gguf_no_tokens=changed(lies.without("tokenizer.ggml.tokens"), CORRUPT, "tokenizer.ggml.tokens has 0 tokens"),
    # other readers went through them four bytes at a time
    gguf_scores_of_one_byte=changed(lies.setting(tokenizer__ggml__scores="x" * 300), CORRUPT, "tokenizer.ggml.scores"),
    gguf_output_matrix=changed(lies.reshape("output", (32, 299)), CORRUPT, r"output.weight has shape \[32, 299\], expected \[32, 300\]"),
    config=said(CF, "vocabulary disagrees"),
    tokenizer_json=in_folder("hf", "tokenizer.json", vocabularies.tok(vocab={f"t{i}": i for i in range(ROWS + 1)}), CORRUPT, '"t64" has an id outside of 0 to 63'),
    tokenizer_model=said(PB, "more pieces than rows"),
    tokenizer_model_of_meta=in_folder("meta", "tokenizer.model", F.sentencepiece_model([("a", 0, 1)] * (ROWS + 1)), CORRUPT, "more pieces than the embedding has rows, which are 64"),
    llama2c_fewer=vocabulary_of_llama2c(GOOD_TOKENS[:-1], CORRUPT, f"score of token {ROWS - 1} in .*tok{ROWS}.bin"),
    llama2c_more=vocabulary_of_llama2c(GOOD_TOKENS + [(0, 1, b"b")], CORRUPT, f"9 bytes after its {ROWS} tokens"),
)  # fmt: skip
def test_vocabulary_sizes_that_disagree(row, tmp_path):
    refused(row, tmp_path)


def merge_of(text):
    return changed(lies.setting(tokenizer__ggml__model="gpt2", tokenizer__ggml__pre="gpt-2", tokenizer__ggml__merges=[text]), CORRUPT, "merge 0 is not two strings")


@cases(
    gguf_bos=said(M, "BOS beyond the vocabulary"), gguf_eos=said(M, "EOS beyond the vocabulary"), gguf_unknown=said(M, "unknown token beyond the vocabulary"),
    gguf_eot=changed(lies.setting(tokenizer__ggml__eot_token_id=300), CORRUPT, "tokenizer.ggml.eot_token_id is 300, but there are 300 tokens"),
    gguf_below=changed(lies.setting(tokenizer__ggml__bos_token_id=[-2]), CORRUPT, "tokenizer.ggml.bos_token_id"),
    gguf_a_string=changed(lies.setting(tokenizer__ggml__bos_token_id="1"), CORRUPT, "tokenizer.ggml.bos_token_id is 1, expected an integer"),
    gguf_merge_of_nothing=merge_of(""), gguf_merge_of_one=merge_of("ab"), gguf_merge_of_a_space=merge_of(" "),
    config=in_folder("hf", "config.json", F.config(SHAPE, eos_token_id=ROWS), CORRUPT, "config.json: eos_token_id is 64, but the embedding has 64 rows"),
    config_list=in_folder("hf", "config.json", F.config(SHAPE, eos_token_id=[1, 2**40]), CORRUPT, "config.json: eos_token_id is 1099511627776"),
    generation_config=in_folder("hf", "generation_config.json", {"bos_token_id": 2**31}, CORRUPT, "generation_config.json: bos_token_id is 2147483648"),
    tokenizer_json=said(TK, "id 2^62"), tokenizer_json_below=said(TK, "id negative"), tokenizer_model=said(PB, "bos beyond"),
)  # fmt: skip
def test_token_ids_out_of_range(row, tmp_path):
    if row[2].startswith(("config.json: eos", "generation_config")):  # they count when there is a vocabulary
        write = row[0]
        row = (lambda folder: with_vocabulary(write(folder))), *row[1:]
    refused(row, tmp_path)


def with_vocabulary(folder):
    (folder / "tokenizer.model").write_bytes(F.sentencepiece_model(vocabularies.PIECES))
    return folder


@cases(
    gguf=said(GG, "block does not divide the row"), gguf_superblock=said(GG, "superblock does not divide the row"),
    gguf_empty_row=file(one_tensor("t", 0, kind=2), CORRUPT, "tensor t has dimension 0 of length 0"),
    gguf_of_a_model=changed(lies.reshape("blk.0.ffn_down", (16, 64), 2), CORRUPT, "blk.0.ffn_down.weight has rows of 16 weights, not a whole number of Q4_0 blocks of 32"),
    llama2c=llama2c(2, 37, 24, CORRUPT, "group_size .* is 24, which does not divide"), llama2c_zero=llama2c(2, 37, 0, CORRUPT, "group_size .* is 0"),
    llama2c_negative=llama2c(2, 37, -32, CORRUPT, "group_size .* is -32"), llama2c_beyond=llama2c(2, 37, 2**31 - 1, CORRUPT, "group_size .* is 2147483647"),
)  # fmt: skip
def test_a_block_size_that_does_not_divide_a_row(row, tmp_path):
    refused(row, tmp_path)


@cases(
    gguf_zero=said(M, "no heads"), gguf_kv_zero=said(M, "no kv heads"), gguf=said(M, "heads do not divide the embedding"), gguf_kv=said(M, "kv heads do not divide the heads"),
    gguf_more_kv_heads=changed(lies.setting(llama__attention__head_count_kv=8), CORRUPT, "head_count is 4, not a multiple of head_count_kv, 8"),
    gguf_for_each_of_other_layers=changed(lies.setting(llama__attention__head_count_kv=[2] * 7), CORRUPT, "head_count_kv has 7 values, expected one for each of"),
    config_zero=said(CF, "heads 0"), config_kv_zero=said(CF, "kv heads 0"), config=said(CF, "hidden_size not divisible"), config_kv=said(CF, "kv heads do not divide"),
    params=params("heads 3", "head_count is 3, not a multiple of head_count_kv, 2"), params_negative=params("heads negative", "n_heads"),
    llama2c_zero=llama2c(1, 20, 0, CORRUPT, "n_heads .* is 0"), llama2c_kv_zero=llama2c(1, 24, 0, CORRUPT, "n_kv_heads .* is 0"),
    llama2c=llama2c(1, 20, 3, CORRUPT, "n_heads 3"), llama2c_kv=llama2c(2, 24, 3, CORRUPT, "n_kv_heads 3"), llama2c_without_magic=llama2c(0, 12, 0, FORMAT, "is no model"),
)  # fmt: skip
def test_head_counts_of_zero_or_that_do_not_divide(row, tmp_path):
    refused(row, tmp_path)


@cases(
    gguf=said(M, "rope dimension beyond the head"), gguf_odd=said(M, "rope dimension odd"),
    gguf_huge=changed(lies.setting(llama__rope__dimension_count=2**32 - 1), CORRUPT, "rope.dimension_count is 4294967295, expected 0 to 8"),
    gguf_factors=changed(lambda m, t: t.update({"rope_freqs.weight": (0, (5,), bytes(20))}), CORRUPT, r"rope_freqs.weight has shape \[5\], expected \[4\]"),
    gguf_factor_of_zero=changed(lambda m, t: t.update({"rope_freqs.weight": (0, (4,), bytes(16))}), CORRUPT, r"rope_freqs.weight\[0\] is 0"),
    config=said(CF, "head_dim odd"),
    config_of_another_head=in_folder("hf", "config.json", F.config(SHAPE, head_dim=64), CORRUPT, "attn_q.weight has shape"),
    config_part_of_a_head=in_folder("hf", "config.json", F.config(SHAPE, partial_rotary_factor=2.0), UNSUPPORTED, "partial_rotary_factor is 2.0"),
    llama2c=llama2c(1, 20, 32, CORRUPT, "n_heads 32.*even head"),
)  # fmt: skip
def test_a_rope_dimension_beyond_the_head(row, tmp_path):
    refused(row, tmp_path)


def renamed(old, new):
    data = F.pth(META)
    assert data.count(old) >= 2 and len(old) == len(new)
    return data.replace(old, new)


@cases(
    gguf_key=said(GG, "key with NUL"), gguf_tensor=said(GG, "tensor name with NUL"), safetensors=said(ST, "name with NUL"),
    gguf_name_at_the_end=file(one_tensor("token_embd.weight\0", 4), CORRUPT, "name of tensor 0 at offset .* contains NUL"),
    index=in_folder("hf", "model.safetensors.index.json", other.INDEX["NUL"][0], CORRUPT, r'weight_map\["a"\] is no file name'),
    zip_entry=zipped(renamed(b"data/1", b"dat\0/1"), CORRUPT, "name of zip entry .* contains NUL"),
    pickle=zipped(F.pth(META, pickled=F.state_dict(META).replace(b"norm.weight", b"norm\0weight", 1)), UNSUPPORTED, "tensor .*norm\ufffdweight is not one of Llama's"),
    # a sentence stays one line, and does nothing to a terminal
    escapes=file(one_tensor("a\x1b[2Jb\nc", 32, 0), CORRUPT, "tensor a\ufffd\\[2Jb\ufffdc has dimension 1"),
)  # fmt: skip
def test_a_name_with_nul(row, tmp_path):
    refused(row, tmp_path)


TEMPLATE = "\x1b[31m{{ x }}" + "y" * 10_000_000


@pytest.mark.parametrize("where", ["gguf", "tokenizer_config.json", "chat_template.jinja"])
def test_a_template_of_ten_megabytes(where, tmp_path):
    """It is read, but not followed, and the sentence about it is short."""
    if where == "gguf":
        path = tmp_path / "t.gguf"
        lies.write_changed(path, lies.setting(tokenizer__chat_template=TEMPLATE))
    else:
        path = with_vocabulary(F.write_hugging_face(tmp_path / "hf", W, SHAPE))
        (path / where).write_text(TEMPLATE if where.endswith("jinja") else json.dumps({"chat_template": TEMPLATE}))
    model = llama2swift.Model(path)
    assert model.chat_format == ""
    with pytest.raises(Llama2Error, match="the chat template has 10000012 bytes; the limit is 4194304") as problem:
        lib.call_tokens("chat_encode", model._handle, (S.Message * 1)(S.Message(b"user", 4, b"hi", 2)), 1, 0, capacity=10)
    assert problem.value.status == -43 and len(str(problem.value)) < 200
