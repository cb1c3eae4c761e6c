"""The classes of holes that concern several files, pickles and JSON; see test_known_holes."""

import json
import re
import struct
import zipfile

import formats as F
import hostile_tools as lies
import numpy as np
import pytest
import test_hostile_formats as other
import test_hostile_splits as splits
import test_hostile_tokenizers as vocabularies
from holes_tools import CF, CORRUPT, FORMAT, GG, ST, UNSUPPORTED, ZP, cases, in_folder, pickled, put, refused, safetensors, said, zipped
from hostile_formats_tools import SHAPE, W
from hostile_tools import header
from test_hostile_formats import st
from test_hostile_meta import META
from test_known_holes import shards_with, with_vocabulary, zip64
from tiny_gguf import shape_metadata, tensor_shapes, write_gguf

import llama2swift
from llama2swift.errors import Llama2Error


def split_gguf(change, which=0, count=3):
    def write(folder):
        return splits.split(None, folder, change, count)[which]

    return write


def of_part(number, **values):
    return split_gguf(lambda part, m: m.update({k.replace("__", "."): v for k, v in values.items()}) if part == number else None)


def with_a_tensor_of_the_first(folder):
    paths = splits.split(None, folder)
    metadata, shapes = {"split.no": 1, "split.count": 3}, list(tensor_shapes(shape_metadata(**lies.SHAPE), lies.SHAPE["vocabulary"]).items())
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
    (folder / "tokenizer.json").write_text(json.dumps(vocabularies.tok(vocab=vocabularies.VOCABULARY | {"\u00e9": 20, "e\u0301": 21}, merges=[]), ensure_ascii=False))
    llama2swift.Model(folder)


@pytest.mark.parametrize("name", ["<0x-1>", "<0xZZ>", "<0x100>", "<0x>", "<0xFF", "", "\0", "<0x0A>" * 2])
def test_a_byte_token_whose_name_is_no_byte(name, tmp_path):
    """PLaMo-2's vocabulary in llama.cpp wrote before its table for the first of these. Such a name is refused, as sentencepiece does."""
    tokens, types = list(lies.TOKENS), [2, 3, 3, *([6] * 256), *([1] * 41)]
    tokens[280], types[280] = name, 6
    lies.write_changed(tmp_path / "m.gguf", lies.setting(tokenizer__ggml__tokens=tokens, tokenizer__ggml__token_type=types))
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
