"""The classes of holes that other parsers of model files had, one test a class, in every format where the class exists.

Sources: the advisories of llama.cpp (GHSA-vgg9-87g3-85w8, CVE-2024-21802, -23496, CVE-2025-49847, -53630), Ollama (CVE-2024-39720,
CVE-2025-0312, -0315, -66959, CVE-2026-7482), gguf-rs, safetensors (the Trail of Bits audit, zero-sized tensors, repeated keys) and picklescan
(CVE-2025-1716, -1889, -1944, -1945, -10155 to -10157, -71325). What test_hostile and test_hostile_formats have is referred to by
its name there; what they do not have is built here. Each is refused with its status and a sentence that names the field.
"""

import json
import re
import struct
import zipfile

import formats as F
import numpy as np
import pytest
import test_hostile as gguf
import test_hostile_formats as other
from test_hostile import header, key, one_key, one_tensor, u64
from test_hostile_formats import META, SHAPE, W, entry, op, st, tensors
from tiny_gguf import shape_metadata, tensor_shapes, write_gguf

import llama2swift
from llama2swift import _library as lib
from llama2swift import _structs as S
from llama2swift.errors import CorruptFileError, FormatError, Llama2Error, UnsupportedError

CORRUPT, FORMAT, UNSUPPORTED = CorruptFileError.status, FormatError.status, UnsupportedError.status
ROWS = SHAPE["vocabulary"]


# Each gives (what writes the file into a folder and returns what to open, status, regular expression of the sentence).


def file(content, status, words, name="m.gguf"):
    return (lambda folder: put(folder / name, content)), status, words


def put(path, content):
    path.write_bytes(content)
    return path


def changed(change, status, words):
    """The good GGUF model of test_hostile with its metadata and tensors changed."""

    def write(folder):
        gguf.write_changed(folder / "m.gguf", change)
        return folder / "m.gguf"

    return write, status, words


def in_folder(kind, name, content, status, words):
    """A good Hugging Face ("hf") or Meta ("meta") folder in which one file is another."""

    def write(folder):
        {"hf": F.write_hugging_face, "meta": F.write_meta}[kind](folder / kind, W, SHAPE)
        if name.endswith(".index.json"):
            (folder / kind / "model.safetensors").unlink()  # a whole file goes first
        (folder / kind / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return folder / kind

    return write, status, words


def said(table, name):
    """A row of one of the tables of the two other files."""
    content, kind, words = table[name]
    if table is gguf.STRUCTURE:
        return file(content, kind.status, words)
    if table is gguf.CONTENT:
        return changed(content, kind.status, words)
    where = {
        id(other.SAFETENSORS): ("hf", "model.safetensors"), id(other.CONFIG): ("hf", "config.json"), id(other.TOKENIZER): ("hf", "tokenizer.json"),
        id(other.PROTO): ("hf", "tokenizer.model"), id(other.ZIP): ("meta", "consolidated.00.pth"),
    }  # fmt: skip
    return in_folder(*where[id(table)], content, kind.status, re.escape(words))


def params(name, words):
    return in_folder("meta", "params.json", other.PARAMS[name][0], CORRUPT, words)


def pickled(body, status, words):
    return in_folder("meta", "consolidated.00.pth", op(body), status, words)


def safetensors(content, status, words):
    return in_folder("hf", "model.safetensors", content, status, words)


def zipped(content, status, words):
    return in_folder("meta", "consolidated.00.pth", content, status, words)


def llama2c(version, at, value, status, words, form="i"):
    def write(folder):
        data = bytearray(F.llama2c(W, version, SHAPE))
        struct.pack_into("<" + form, data, at, value)
        return put(folder / "m.bin", data)

    return write, status, words


def vocabulary_of_llama2c(tokens, status, words):
    """Its tok<count>.bin beside the good checkpoint; tokens: (score, stated length, bytes)."""

    def write(folder):
        put(folder / f"tok{ROWS}.bin", struct.pack("<i", 8) + b"".join(struct.pack("<fi", s, n) + b for s, n, b in tokens))
        return put(folder / "m.bin", F.llama2c(W, 0, SHAPE))

    return write, status, words


GG, M, ST, CF, TK, PB, ZP = gguf.STRUCTURE, gguf.CONTENT, other.SAFETENSORS, other.CONFIG, other.TOKENIZER, other.PROTO, other.ZIP


def cases(**rows):
    """One test a class: it runs with each of these, under its name."""
    return pytest.mark.parametrize("row", [pytest.param(row, id=name) for name, row in rows.items()])


def refused(row, folder):
    write, status, words = row
    path = write(folder)
    with pytest.raises(Llama2Error) as problem:
        llama2swift.Model(path)
    assert problem.value.status == status, repr(problem.value)
    assert re.search(words, str(problem.value)), str(problem.value)
    assert len(str(problem.value).encode()) < 4096 and str(problem.value).isprintable()


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
    tokenizer=in_folder("hf", "tokenizer.json", other.tok(merges=[[["a"], "b"]]), CORRUPT, "merge 0"),
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
    gguf_more_tokens=changed(gguf.setting(tokenizer__ggml__tokens=[*gguf.TOKENS, "x"]), CORRUPT, "tokenizer.ggml.tokens has 301 tokens, but token_embd.weight has 300 rows"),
    gguf_no_tokens=changed(gguf.without("tokenizer.ggml.tokens"), CORRUPT, "tokenizer.ggml.tokens has 0 tokens"),
    # other readers went through them four bytes at a time
    gguf_scores_of_one_byte=changed(gguf.setting(tokenizer__ggml__scores="x" * 300), CORRUPT, "tokenizer.ggml.scores"),
    gguf_output_matrix=changed(gguf.reshape("output", (32, 299)), CORRUPT, r"output.weight has shape \[32, 299\], expected \[32, 300\]"),
    config=said(CF, "vocabulary disagrees"),
    tokenizer_json=in_folder("hf", "tokenizer.json", other.tok(vocab={f"t{i}": i for i in range(ROWS + 1)}), CORRUPT, '"t64" has an id outside of 0 to 63'),
    tokenizer_model=said(PB, "more pieces than rows"),
    tokenizer_model_of_meta=in_folder("meta", "tokenizer.model", F.sentencepiece_model([("a", 0, 1)] * (ROWS + 1)), CORRUPT, "more pieces than the embedding has rows, which are 64"),
    llama2c_fewer=vocabulary_of_llama2c(GOOD_TOKENS[:-1], CORRUPT, f"score of token {ROWS - 1} in .*tok{ROWS}.bin"),
    llama2c_more=vocabulary_of_llama2c(GOOD_TOKENS + [(0, 1, b"b")], CORRUPT, f"9 bytes after its {ROWS} tokens"),
)  # fmt: skip
def test_vocabulary_sizes_that_disagree(row, tmp_path):
    refused(row, tmp_path)


def merge_of(text):
    return changed(gguf.setting(tokenizer__ggml__model="gpt2", tokenizer__ggml__pre="gpt-2", tokenizer__ggml__merges=[text]), CORRUPT, "merge 0 is not two strings")


@cases(
    gguf_bos=said(M, "BOS beyond the vocabulary"), gguf_eos=said(M, "EOS beyond the vocabulary"), gguf_unknown=said(M, "unknown token beyond the vocabulary"),
    gguf_eot=changed(gguf.setting(tokenizer__ggml__eot_token_id=300), CORRUPT, "tokenizer.ggml.eot_token_id is 300, but there are 300 tokens"),
    gguf_below=changed(gguf.setting(tokenizer__ggml__bos_token_id=[-2]), CORRUPT, "tokenizer.ggml.bos_token_id"),
    gguf_a_string=changed(gguf.setting(tokenizer__ggml__bos_token_id="1"), CORRUPT, "tokenizer.ggml.bos_token_id is 1, expected an integer"),
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
    (folder / "tokenizer.model").write_bytes(F.sentencepiece_model(other.PIECES))
    return folder


@cases(
    gguf=said(GG, "block does not divide the row"), gguf_superblock=said(GG, "superblock does not divide the row"),
    gguf_empty_row=file(one_tensor("t", 0, kind=2), CORRUPT, "tensor t has dimension 0 of length 0"),
    gguf_of_a_model=changed(gguf.reshape("blk.0.ffn_down", (16, 64), 2), CORRUPT, "blk.0.ffn_down.weight has rows of 16 weights, not a whole number of Q4_0 blocks of 32"),
    llama2c=llama2c(2, 37, 24, CORRUPT, "group_size .* is 24, which does not divide"), llama2c_zero=llama2c(2, 37, 0, CORRUPT, "group_size .* is 0"),
    llama2c_negative=llama2c(2, 37, -32, CORRUPT, "group_size .* is -32"), llama2c_beyond=llama2c(2, 37, 2**31 - 1, CORRUPT, "group_size .* is 2147483647"),
)  # fmt: skip
def test_a_block_size_that_does_not_divide_a_row(row, tmp_path):
    refused(row, tmp_path)


@cases(
    gguf_zero=said(M, "no heads"), gguf_kv_zero=said(M, "no kv heads"), gguf=said(M, "heads do not divide the embedding"), gguf_kv=said(M, "kv heads do not divide the heads"),
    gguf_more_kv_heads=changed(gguf.setting(llama__attention__head_count_kv=8), CORRUPT, "head_count is 4, not a multiple of head_count_kv, 8"),
    gguf_for_each_of_other_layers=changed(gguf.setting(llama__attention__head_count_kv=[2] * 7), CORRUPT, "head_count_kv has 7 values, expected one for each of"),
    config_zero=said(CF, "heads 0"), config_kv_zero=said(CF, "kv heads 0"), config=said(CF, "hidden_size not divisible"), config_kv=said(CF, "kv heads do not divide"),
    params=params("heads 3", "head_count is 3, not a multiple of head_count_kv, 2"), params_negative=params("heads negative", "n_heads"),
    llama2c_zero=llama2c(1, 20, 0, CORRUPT, "n_heads .* is 0"), llama2c_kv_zero=llama2c(1, 24, 0, CORRUPT, "n_kv_heads .* is 0"),
    llama2c=llama2c(1, 20, 3, CORRUPT, "n_heads 3"), llama2c_kv=llama2c(2, 24, 3, CORRUPT, "n_kv_heads 3"), llama2c_without_magic=llama2c(0, 12, 0, FORMAT, "is no model"),
)  # fmt: skip
def test_head_counts_of_zero_or_that_do_not_divide(row, tmp_path):
    refused(row, tmp_path)


@cases(
    gguf=said(M, "rope dimension beyond the head"), gguf_odd=said(M, "rope dimension odd"),
    gguf_huge=changed(gguf.setting(llama__rope__dimension_count=2**32 - 1), CORRUPT, "rope.dimension_count is 4294967295, expected 0 to 8"),
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
        gguf.write_changed(path, gguf.setting(tokenizer__chat_template=TEMPLATE))
    else:
        path = with_vocabulary(F.write_hugging_face(tmp_path / "hf", W, SHAPE))
        (path / where).write_text(TEMPLATE if where.endswith("jinja") else json.dumps({"chat_template": TEMPLATE}))
    model = llama2swift.Model(path)
    assert model.chat_format == ""
    with pytest.raises(Llama2Error, match="the chat template has 10000012 bytes; the limit is 4194304") as problem:
        lib.call_tokens("chat_encode", model._handle, (S.Message * 1)(S.Message(b"user", 4, b"hi", 2)), 1, 0, capacity=10)
    assert problem.value.status == -43 and len(str(problem.value)) < 200


def split_gguf(change, which=0, count=3):
    def write(folder):
        return gguf.split(None, folder, change, count)[which]

    return write


def of_part(number, **values):
    return split_gguf(lambda part, m: m.update({k.replace("__", "."): v for k, v in values.items()}) if part == number else None)


def with_a_tensor_of_the_first(folder):
    paths = gguf.split(None, folder)
    metadata, shapes = {"split.no": 1, "split.count": 3}, list(tensor_shapes(shape_metadata(**gguf.SHAPE), gguf.SHAPE["vocabulary"]).items())
    write_gguf(paths[1], metadata, {n + ".weight": (0, s[::-1], bytes(4 * int(np.prod(s)))) for n, s in [*shapes[1::3], shapes[0]]})
    return paths[0]


def meta_shards(second):
    def write(folder):
        F.write_meta(folder / "meta", W, SHAPE, shards=2)
        (folder / "meta" / "consolidated.01.pth").write_bytes(second)
        return folder / "meta"

    return write


@cases(
    gguf_not_the_first=(split_gguf(lambda part, m: None, which=1), -2, "not the first file of a split model"),
    gguf_number=(of_part(1, split__no=0), CORRUPT, "00002-of-00003.gguf does not say that it is file 2 of 3"),
    gguf_count=(of_part(2, split__count=4), CORRUPT, "does not say that it is file 3 of 3"),
    gguf_count_near_2_32=(of_part(0, split__count=2**32 - 1), CORRUPT, "split.count is 4294967295"),
    gguf_count_zero=(of_part(0, split__count=0), CORRUPT, "split.count is 0"),
    gguf_more_files_than_there_are=(of_part(0, split__count=99_999), CORRUPT, "first of 99999 files, but its name does not end in -00001-of-99999"),
    gguf_number_a_string=(of_part(0, split__no="0"), CORRUPT, "split.no is 0, expected an integer"),
    gguf_tensors=(of_part(0, split__tensors__count=99), CORRUPT, "split.tensors.count is 99, but the files hold"),
    gguf_a_tensor_in_two=(with_a_tensor_of_the_first, CORRUPT, "token_embd.weight appears twice|split.tensors.count"),
    safetensors_a_tensor_in_two=(shards_with("model.embed_tokens.weight"), CORRUPT, "is in two files"),
    meta_other_tensors=(meta_shards(F.pth({n: x for n, x in META.items() if "wq" not in n})), CORRUPT, "shard 1 holds other tensors"),
    meta_other_shapes=(meta_shards(F.pth(META)), CORRUPT, "has another shape or type in another shard"),
    meta_other_types=(meta_shards(F.pth({n: x if x.ndim == 1 else np.ascontiguousarray(np.split(x, 2, 1 if "tok_" in n or n.endswith((".wo.weight", ".w2.weight")) else 0)[1]) for n, x in META.items()}, "HalfStorage")), CORRUPT, "another shape or type"),
)  # fmt: skip
def test_split_files_that_disagree(row, tmp_path):
    refused(row, tmp_path)


def call(module, name, arguments=b")"):
    return f"c{module}\n{name}\n".encode() + arguments + b"R."


def stack_global(module, name):
    return b"".join(b"\x8c" + bytes([len(t)]) + t.encode() for t in (module, name)) + b"\x93)R."


ASKED = [
    ("posix", "system"), ("nt", "system"), ("builtins", "eval"), ("builtins", "exec"), ("__builtin__", "getattr"), ("subprocess", "Popen"), ("runpy", "_run_code"),
    ("pip", "main"), ("importlib", "import_module"), ("torch", "load"), ("torch.hub", "load"), ("torch._utils", "_rebuild_tensor"), ("torch.storage", "_load_from_bytes"),
    ("numpy.core.multiarray", "_reconstruct"), ("collections", "OrderedDict.__class__"), ("collections.OrderedDict", ""), ("", "collections.OrderedDict"), ("torch", "FloatStorage\x00"),
]  # fmt: skip


@cases(
    **{f"global_{m}.{n}".replace("\0", "_"): pickled(call(m, n), UNSUPPORTED, "asks for " + re.escape(f"{m}.{n}".replace("\0", "\ufffd"))) for m, n in ASKED},
    **{f"stack_global_{m}.{n}".replace("\0", "_"): pickled(stack_global(m, n), UNSUPPORTED, "asks for " + re.escape(f"{m}.{n}".replace("\0", "\ufffd"))) for m, n in ASKED[:6]},
    # names that a scanner, which reads the last texts, would take for others: put together from the memo
    stack_global_from_the_memo=pickled(b"\x8c\x05posix\x940\x8c\x06system\x940h\0h\1\x93)R.", UNSUPPORTED, "asks for posix.system"),
    stack_global_of_numbers=pickled(b"K\1K\2\x93.", CORRUPT, "a global without names"),
    after_the_end_of_a_frame=pickled(b"\x95\1\0\0\0\0\0\0\0" + call("posix", "system"), UNSUPPORTED, "asks for posix.system"),
    inst=said(ZP, "inst"), build_class=said(ZP, "build class"), calls_print=said(ZP, "calls print"), calls_the_shell=said(ZP, "calls the shell, protocol 4"), call_of_a_number=said(ZP, "call of a number"),
    obj=pickled(b"(cposix\nsystem\no.", UNSUPPORTED, "asks for posix.system"),
    obj_of_a_known_one=pickled(b"(ccollections\nOrderedDict\no.", UNSUPPORTED, "instruction 0x6f"),
    newobj_ex=pickled(b"ccollections\nOrderedDict\n)}\x92.", UNSUPPORTED, "instruction 0x92"),
    ext1=pickled(b"\x82\1)R.", UNSUPPORTED, "instruction 0x82"), ext4=pickled(b"\x84\1\0\0\0)R.", UNSUPPORTED, "instruction 0x84"),
    persistent_id_as_text=pickled(b"Pstorage\n.", UNSUPPORTED, "instruction 0x50"),
    text_of_eight_bytes_length=pickled(b"\x8d" + b"\xff" * 8 + b".", UNSUPPORTED, "instruction 0x8d"),
    state_of_a_tensor=pickled(b"ccollections\nOrderedDict\n)R)Rb.", CORRUPT, "no function"), state_of_a_global=pickled(b"ccollections\nOrderedDict\n}b.", CORRUPT, "attributes of something that is no dictionary"),
    storage_called=pickled(call("torch", "FloatStorage"), CORRUPT, "a call of torch.FloatStorage with arguments that it does not have"),
    rebuild_of_nothing=pickled(call("torch._utils", "_rebuild_tensor_v2"), CORRUPT, "a call of torch._utils._rebuild_tensor_v2 with arguments"),
    parameter_of_a_number=pickled(call("torch._utils", "_rebuild_parameter", b"K\1K\2K\3\x87"), CORRUPT, "a call of torch._utils._rebuild_parameter with arguments"),
    not_in_the_zip_at_all=zipped(b"\x80\x02" + call("posix", "system"), UNSUPPORTED, "is no zip archive"),
    longer_than_any=pickled(b")" * 600_000, UNSUPPORTED, "data.pkl has 600002 bytes; the limit is 524288"),
)  # fmt: skip
def test_a_pickle_that_asks_for_more_than_a_state_dict_needs(row, tmp_path):
    refused(row, tmp_path)


def two_names(folder):
    """The entry that the directory calls data/0 says in its own header that it is data.pkl."""
    F.write_meta(folder / "meta", W, SHAPE)
    path = folder / "meta" / "consolidated.00.pth"
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo("consolidated/data/1").header_offset
    data = bytearray(path.read_bytes())
    assert data[at + 30 : at + 49] == b"consolidated/data/1"
    data[at + 30 : at + 49] = b"consolidated/data/2"
    path.write_bytes(data)
    return folder / "meta"


SHARED = {"tok_embeddings.weight": META["tok_embeddings.weight"]}


@cases(
    overlap=said(ZP, "entries overlap"), outside=said(ZP, "entry outside"), longer_than_the_file=said(ZP, "entry longer than the file"), no_header=said(ZP, "entry without header"),
    directory=said(ZP, "directory beyond the file"), two_names=(two_names, CORRUPT, "zip entry consolidated/data/1 has another name in its header"),
    # a locator and an end record alone: the zip64 record cannot lie before the beginning (this ended the host)
    smaller_than_a_zip64_record=zipped(b"PK\3\4" + struct.pack("<IIQI", 0x07064B50, 0, 0, 1) + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0, 0, 0, 0, 0), CORRUPT, "the zip64 record at 0 is not there"),
    zip64_record_outside=zipped(zip64(record=10**9), CORRUPT, "the zip64 record at 1000000000"),
    encrypted=said(ZP, "encrypted"), sizes_disagree=said(ZP, "sizes disagree"),
    tensors_on_top_of_each_other=zipped(F.pth(SHARED, pickled=F.state_dict({f"layers.{i}.attention.wq.weight": F._Tensor("0", "FloatStorage", 2048, (64, 32)) for i in range(9)})), CORRUPT, "is missing"),
    gguf=said(GG, "tensors overlap"), gguf_outside=said(GG, "offset beyond the file"), safetensors=said(ST, "ranges overlap"), safetensors_outside=said(ST, "range beyond the data"),
    safetensors_of_no_size=safetensors(st(lambda h: h.__setitem__("zero", {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]})), UNSUPPORTED, "tensor zero is not one of LlamaForCausalLM"),
    safetensors_and_a_pickle=safetensors(st(data=other.DATA + b"\x80\x02."), CORRUPT, "the tensors end at .*, the data at"),
    safetensors_header_of_a_list=safetensors(st(header=b"  [" + json.dumps(other.HEADER).encode() + b"]"), CORRUPT, "not a JSON object"),
)  # fmt: skip
def test_entries_that_overlap_or_lie_outside(row, tmp_path):
    refused(row, tmp_path)


DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000


@cases(
    config=said(CF, "deep"), arrays=said(CF, "deep arrays"),
    index=in_folder("hf", "model.safetensors.index.json", DEEP, CORRUPT, "index.json: nesting deeper than 128"), tokenizer=in_folder("hf", "tokenizer.json", DEEP, CORRUPT, "tokenizer.json: nesting"),
    generation_config=in_folder("hf", "generation_config.json", DEEP, CORRUPT, "generation_config.json: nesting"), params=in_folder("meta", "params.json", DEEP, CORRUPT, "params.json: nesting"),
    safetensors=safetensors(st(header=DEEP), CORRUPT, "model.safetensors: nesting"), one_too_deep=in_folder("hf", "config.json", b"[" * 129 + b"0" + b"]" * 129, CORRUPT, "nesting deeper than 128 at byte 129"),
)  # fmt: skip
def test_json_depth(row, tmp_path):
    if "generation" in row[2]:
        write = row[0]
        row = (lambda folder: with_vocabulary(write(folder))), *row[1:]
    refused(row, tmp_path)


def test_json_as_deep_as_is_allowed_is_read(tmp_path):
    content = json.dumps(F.config(SHAPE))[:-1] + ', "x": ' + "[" * 127 + "]" * 127 + "}"
    folder = F.write_hugging_face(tmp_path / "hf", W, SHAPE)
    (folder / "config.json").write_text(content)
    llama2swift.Model(folder)


def test_tokens_that_look_alike_are_not_the_same_key(tmp_path):
    """é as one character and as two: told apart by their bytes, as in every other reader of vocabularies."""
    folder = F.write_hugging_face(tmp_path / "hf", W, SHAPE)
    (folder / "tokenizer.json").write_text(json.dumps(other.tok(vocab=other.VOCABULARY | {"\u00e9": 20, "e\u0301": 21}, merges=[]), ensure_ascii=False))
    llama2swift.Model(folder)


@pytest.mark.parametrize("name", ["<0x-1>", "<0xZZ>", "<0x100>", "<0x>", "<0xFF", "", "\0", "<0x0A>" * 2])
def test_a_byte_token_whose_name_is_no_byte(name, tmp_path):
    """PLaMo-2's vocabulary in llama.cpp wrote before its table for the first of these. Such a name is refused, as sentencepiece does."""
    tokens, types = list(gguf.TOKENS), [2, 3, 3, *([6] * 256), *([1] * 41)]
    tokens[280], types[280] = name, 6
    gguf.write_changed(tmp_path / "m.gguf", gguf.setting(tokenizer__ggml__tokens=tokens, tokenizer__ggml__token_type=types))
    with pytest.raises(llama2swift.Llama2Error, match="^token 280 is of the type of a byte and its name is none, <0x00> to <0xFF>") as caught:
        llama2swift.Model(tmp_path / "m.gguf")
    assert caught.value.status == CORRUPT


# Matrix files of another model (this version has no state files)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("importance")
    return F.write_gguf_model(folder / "m.gguf", F.weights(F.SHAPE), F.SHAPE)


def matrix(path, values, metadata=None):
    write_gguf(path, {"general.type": "imatrix"} | (metadata or {}), {n: (0, np.shape(x)[::-1], np.asarray(x, "<f4").tobytes()) for n, x in values.items()})
    return path


IN, COUNT = "blk.0.attn_q.weight.in_sum2", "blk.0.attn_q.weight.counts"
ONES = np.ones((1, 64))
MATRICES = {
    "other columns": ({IN: np.ones((1, 32)), COUNT: [[1]]}, CORRUPT, "blk.0.attn_q.weight has 32 columns, the model's has 64"),
    "more layers": ({IN: ONES, COUNT: [[1]], IN.replace("0", "7"): ONES, COUNT.replace("0", "7"): [[1]]}, CORRUPT, "blk.7.attn_q.weight is no tensor of .*another model"),
    "no counts": ({IN: ONES}, CORRUPT, "in_sum2 has no counts"),
    "count 0": ({IN: ONES, COUNT: [[0]]}, CORRUPT, "counts is 0"),
    "count of no tokens": ({IN: ONES, COUNT: [[2.5]]}, CORRUPT, "counts is 2.5, expected how many tokens"),
    "a count below one": ({IN: ONES * 3e38, COUNT: [[0.5]]}, CORRUPT, "counts is 0.5, expected how many tokens"),
    "count NaN": ({IN: ONES, COUNT: [[np.nan]]}, CORRUPT, "counts is nan"),
    "sum NaN": ({IN: ONES * np.nan, COUNT: [[1]]}, CORRUPT, r"in_sum2\[0\] is nan"),
    "sum negative": ({IN: -ONES, COUNT: [[1]]}, CORRUPT, r"in_sum2\[0\] is -1"),
    "of several matrices": ({IN: np.ones((8, 64)), COUNT: np.ones((8, 1))}, CORRUPT, "is of several matrices"),
    "nothing": ({"x": ONES}, CORRUPT, "holds no NAME.in_sum2"),
}  # fmt: skip


@pytest.mark.parametrize("name", MATRICES)
def test_a_matrix_file_of_another_model(source, name, tmp_path):
    values, status, words = MATRICES[name]
    with pytest.raises(Llama2Error, match=words) as problem:
        llama2swift.quantize(source, tmp_path / "q.gguf", "Q8_0", importance=matrix(tmp_path / "i.gguf", values))
    assert problem.value.status == status
    assert not list(tmp_path.glob("q.gguf*"))


def test_a_matrix_file_that_is_a_model_or_nothing(source, tmp_path):
    for content, status, words in ((source.read_bytes(), FORMAT, "no importance matrix"), (b"", FORMAT, "no importance matrix"), (header(2**60), CORRUPT, "number of tensors")):
        put(tmp_path / "i.gguf", content)
        with pytest.raises(Llama2Error, match=words) as problem:
            llama2swift.quantize(source, tmp_path / "q.gguf", "Q8_0", importance=tmp_path / "i.gguf")
        assert problem.value.status == status
