"""SentencePiece models with every setting that a model file has, trained here on a few lines."""

import io
import itertools
import tempfile
from pathlib import Path

import formats as F
from tokenizer_settings import WORDS

LINES = [" ".join(WORDS), "Hello World THE end " + " ".join(WORDS[::-1]), "the  quick\tbrown   fox", "cafe\u0301 ① ﬁ ½ 中文字 한글 кот", "aaa bbb ab ba"] * 20


def train(**options):
    import sentencepiece

    out = io.BytesIO()
    settings = dict(vocab_size=420, model_type="bpe", byte_fallback=True, hard_vocab_limit=False, minloglevel=2, character_coverage=0.98)
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(LINES), model_writer=out, **(settings | options))
    return out.getvalue()


def changed(raw, change):
    from sentencepiece import sentencepiece_model_pb2 as proto

    model = proto.ModelProto.FromString(raw)
    change(model)
    return model.SerializeToString()


def models():
    """(name, bytes of tokenizer.model)"""
    rules = {"identity": {"normalization_rule_name": "identity"}, "nfkc": {"normalization_rule_name": "nfkc"}, "nmt_nfkc": {}, "nfkc_cf": {"normalization_rule_name": "nfkc_cf"}}
    for (rule, options), prefix, extra, suffix, fallback in itertools.product(rules.items(), (True, False), (True, False), (False, True), (True, False)):
        name = f"{rule}, prefix {prefix}, remove extra {extra}, suffix {suffix}, bytes {fallback}"
        yield name, train(**options, add_dummy_prefix=prefix, remove_extra_whitespaces=extra, treat_whitespace_as_suffix=suffix, byte_fallback=fallback)
    symbols = ["foo", "<sep>", "▁▁", "▁▁▁▁", "the", " x", "a b", "ﬁ"]
    for extra, fallback in itertools.product((True, False), (True, False)):
        yield f"user-defined pieces, remove extra {extra}, bytes {fallback}", train(user_defined_symbols=symbols, remove_extra_whitespaces=extra, byte_fallback=fallback)
    yield "user-defined pieces, suffix", train(user_defined_symbols=symbols, treat_whitespace_as_suffix=True, normalization_rule_name="identity", remove_extra_whitespaces=False)
    yield "control symbols", train(control_symbols=["<ctl>", "the"], remove_extra_whitespaces=False)
    yield "no BOS, EOS; unk elsewhere", train(bos_id=-1, eos_id=-1, unk_id=0, pad_id=1)
    yield "pieces may hold several words", train(split_by_whitespace=False, normalization_rule_name="identity", remove_extra_whitespaces=False)
    for escapes in (False,):
        def no_escape(model):
            model.normalizer_spec.escape_whitespaces = escapes
        yield "no escapes", changed(train(), no_escape)
        yield "no escapes, extra", changed(train(remove_extra_whitespaces=False), no_escape)

    def unused(model):
        for i, piece in enumerate(model.pieces):
            if piece.type == 1 and i % 3 == 0 and len(piece.piece) > 1:
                piece.type = 5
    yield "unused pieces", changed(train(remove_extra_whitespaces=False), unused)
    yield "unused pieces, no bytes", changed(train(byte_fallback=False), unused)


def folder(raw, place=None, **files):
    place = Path(place or tempfile.mkdtemp()) / "hf"
    count = len(list(F.sentencepiece_pieces(raw)))
    shape = dict(F.SHAPE, vocabulary=count, layers=1)
    F.write_hugging_face(place, F.weights(shape), shape)
    (place / "tokenizer.model").write_bytes(raw)
    return place
