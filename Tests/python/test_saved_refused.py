"""Saved samplers and decoders that are not taken, and what they leave untouched."""

import ctypes as C
import random
import shutil
import struct
from pathlib import Path

import pytest
from conftest import FIXTURES
from saved_tools import ROWS, made, saved, walked  # noqa: F401 (fixtures)
from test_state_refused import fnv

import llama2swift
from llama2swift import _library as lib
from llama2swift import _structs as S
from llama2swift import errors as E

HEAD = 24


def signed(raw: bytes, at=None, form="<Q", value=0) -> bytes:
    """With a number changed, and a checksum that is right."""
    out = bytearray(raw)
    if at is not None:
        struct.pack_into(form, out, at, value)
    out[-8:] = struct.pack("<Q", fnv(bytes(out[:-8])))
    return bytes(out)


def refuses(thing, problem, state, match=None):
    before = thing.state()
    with pytest.raises(problem, match=match):
        thing.set_state(state)
    assert thing.state() == before


def test_a_changed_byte_anywhere_is_found(saved):
    for thing in saved:
        state = thing.state()
        for at in range(len(state)):
            for bit in (1, 128) if at >= HEAD else range(1, 256, 3):
                changed = bytearray(state)
                changed[at] ^= bit
                refuses(thing, E.UnsupportedError if 8 <= at < 12 else E.FormatError if at < 8 else E.CorruptFileError, bytes(changed))


def test_what_is_cut_or_longer_is_refused(saved):
    for thing in saved:
        state = thing.state()
        for i in range(200):
            refuses(thing, E.FormatError, state[: len(state) * i // 200])
        for more in (bytes(1), bytes(8), state):
            refuses(thing, E.CorruptFileError, state + more)
        for cut in range(8, len(state) - HEAD, 8):  # whole words are missing, and all else says so
            short = bytearray(state[:-cut])
            struct.pack_into("<Q", short, 16, len(short))
            if len(short) >= 32:
                refuses(thing, E.CorruptFileError if len(short) >= 40 else E.FormatError, signed(short))


def test_each_is_no_other(saved, stories):
    decoder, plain, full = saved
    refuses(decoder, E.FormatError, plain.state(), "L2DECOD")
    refuses(plain, E.FormatError, decoder.state(), "L2SAMPL")
    with stories.context(length=64) as context:
        context.eval([1, 2])
        for thing in saved:
            refuses(thing, E.FormatError, context.state())
            with pytest.raises(E.FormatError):
                context.set_state(thing.state())
    refuses(plain, E.InvalidArgumentError, full.state(), "other options")


def test_numbers_that_cannot_be_are_refused_though_the_checksum_is_right(saved):
    decoder, plain, full = saved
    state = full.state()
    history, taken = struct.unpack_from("<QQ", state, 96)
    for at, value in [
        (72, 0x7FF8 << 48), (72, 0x7FF << 52), (80, 2**63), (80, 2**62 + 1), (88, 2**40), (88, 70), (96, history + 1), (96, 2**63), (96, 2**64 - 1), (96, 2**40), (96, 0),
        (104, taken + 2), (104, 2**64 - 1), (104, 2**40), (104, 1), (16, 8), (16, 2**64 - 8),
    ]:  # fmt: skip
        refuses(full, E.CorruptFileError, signed(state, at, "<Q", value))
    none = bytearray(state)
    none[40:72] = bytes(32)
    refuses(full, E.CorruptFileError, signed(none), "generator of zeros")
    for at in range(112, 112 + 4 * history, 4):
        refuses(full, E.CorruptFileError, signed(state, at, "<i", -1))
    for at in range(112 + 4 * history, 112 + 4 * (history + taken - 1), 4):
        for token in (-1, 512, 2**31 - 1, 1):
            refuses(full, E.CorruptFileError, signed(state, at, "<i", token))
    refuses(full, E.CorruptFileError, signed(state, 12, "<I", 1))
    refuses(plain, E.CorruptFileError, signed(plain.state(), 88, "<Q", 1))
    refuses(plain, E.CorruptFileError, signed(plain.state(), 32, "<Q", 1))
    held = decoder.state()
    for at, form, value in [(32, "<I", 4), (32, "<I", 2**32 - 1), (36, "<I", 1), (40, "<I", 2), (44, "<I", 2), (48, "<I", 4), (48, "<I", 3), (48, "<I", 0), (52, "<B", 0x41), (52, "<B", 0xFF), (55, "<B", 1)]:
        refuses(decoder, E.CorruptFileError, signed(held, at, form, value))


def test_any_number_that_is_accepted_does_no_harm(stories):
    """Words of a right one changed at random and signed: the sampler works on, or refused it."""
    dice = random.Random(2)
    sampler = made(stories, "banned", dry_multiplier=0.5, grammar=stories.grammar(regex="[a-z ]*"))
    walked(sampler, ROWS[:20])
    state, accepted = sampler.state(), 0
    for _ in range(3000):
        changed = bytearray(state)
        for _ in range(dice.choice([1, 1, 2])):
            at = dice.choice(range(HEAD, len(state) - 8, 4))
            struct.pack_into("<I", changed, at, dice.choice([0, 1, 2, 97, 500, 2**31, 2**32 - 1, dice.getrandbits(32)]))
        try:
            sampler.set_state(signed(changed))
            accepted += 1
        except E.Llama2Error:
            continue
        try:
            sampler.sample(ROWS[0])
        except E.ForbiddenError:  # the last token ends the text now
            pass
        assert len(sampler.state()) >= 120
    assert accepted > 100


def test_other_options_are_refused_every_one_of_them(stories):
    """Each field of the header's struct, so that none that comes is forgotten."""
    same = {"struct_size", "seed", "reserved"}  # what makes no other sampler, or is refused
    counts = {n for n, _ in S.SamplerOptions._fields_ if n.endswith("_count")}
    lists = {"logit_bias", "dry_breakers", "steps", "own_steps", "text_bias", "banned_texts", "model"}
    values = dict(
        flags=dict(temperature=0), temperature=0.5, top_p=0.5, min_p=0.2, repetition_penalty=1.5, frequency_penalty=0.5, presence_penalty=0.5, top_k=7, penalty_last_n=9,
        typical_p=0.5, top_a=0.3, top_n_sigma=1.0, epsilon_cutoff=0.001, eta_cutoff=0.001, xtc_probability=0.3, xtc_threshold=0.3, dynamic_range=0.3, dynamic_exponent=2.0,
        smoothing_factor=0.4, smoothing_curve=1.5, mirostat=2, mirostat_tau=3.0, mirostat_eta=0.2, dry_multiplier=0.3, dry_base=1.5, dry_allowed_length=3, dry_last_n=9,
        min_tokens=3, no_repeat_ngram=2,
    )  # fmt: skip
    assert {n for n, _ in S.SamplerOptions._fields_} == same | counts | lists | set(values)
    base = dict(model=stories)
    plain = llama2swift.Sampler(**base).state()

    def other(**options):
        refuses(llama2swift.Sampler(**base | options), E.InvalidArgumentError, plain, "other options")

    for name, value in values.items():
        other(**(value if isinstance(value, dict) else {name: value}))
    for name, value in dict(logit_bias={1: 2.0}, text_bias={"a": 1.0}, banned=["a"], steps=["top_k", "temperature"]).items():
        other(**{name: value})
    dry = dict(dry_multiplier=0.5, model=stories)
    refuses(llama2swift.Sampler(**dry, dry_breakers=["x"]), E.InvalidArgumentError, llama2swift.Sampler(**dry).state(), "other options")
    refuses(llama2swift.Sampler(steps=[lambda *_: None, "temperature"]), E.InvalidArgumentError, llama2swift.Sampler(steps=["temperature"], top_k=40).state(), "other options")
    banned = llama2swift.Sampler(banned=["a", "b"], model=stories)
    refuses(banned, E.InvalidArgumentError, llama2swift.Sampler(banned=["b", "a"], model=stories).state())
    biased = llama2swift.Sampler(logit_bias={1: 2.0, 3: 1.0})
    refuses(biased, E.InvalidArgumentError, llama2swift.Sampler(logit_bias={1: 2.0, 3: 1.5}).state())
    # and the same again, made anew, is the same; the seed is another sampler's
    for options in [dry, dict(banned=["a", "b"], model=stories), values | dict(model=stories, flags=None)]:
        options = {k: v for k, v in options.items() if k != "flags"}
        llama2swift.Sampler(**options, seed=3).set_state(llama2swift.Sampler(**options).state())


def test_other_grammars_are_refused(stories):
    grammars = dict(
        one=dict(gbnf='root ::= "a"+'), text=dict(gbnf='root ::= "b"+'), kind=dict(regex="a+"), order=dict(json_schema={"type": "object"}, any_order=True),
        strict=dict(json_schema={"type": "object"}), compact=dict(json_schema={"type": "object"}, whitespace="compact"),
    )  # fmt: skip
    samplers = {name: llama2swift.Sampler(grammar=stories.grammar(**options)) for name, options in grammars.items()}
    for name, sampler in samplers.items():
        for other, from_there in samplers.items():
            if other == name:
                sampler.set_state(from_there.state())
            else:
                refuses(sampler, E.InvalidArgumentError, from_there.state(), "another grammar")
    plain = llama2swift.Sampler()
    refuses(plain, E.InvalidArgumentError, samplers["one"].state(), "set it first")
    refuses(samplers["one"], E.InvalidArgumentError, plain.state(), "had no grammar")


def test_another_vocabulary_is_refused(stories, stories_path, tmp_path):
    """One token of 512 has another letter."""
    raw = (FIXTURES / "tok512.bin").read_bytes().replace(b"\1\0\0\0~", b"\1\0\0\0^")
    (tmp_path / "tok512.bin").write_bytes(raw)
    shutil.copy(stories_path, tmp_path)
    with llama2swift.Model(tmp_path / Path(stories_path).name) as other:
        refuses(llama2swift.Decoder(stories), E.InvalidArgumentError, llama2swift.Decoder(other).state(), "vocabulary")
        sampler = llama2swift.Sampler(grammar=stories.grammar(regex="a+"))
        refuses(sampler, E.InvalidArgumentError, llama2swift.Sampler(grammar=other.grammar(regex="a+")).state(), "another grammar")
    refuses(llama2swift.Decoder(stories), E.InvalidArgumentError, llama2swift.Decoder(stories, special=True).state(), "flags")


def test_a_buffer_of_any_size(stories):
    sampler = llama2swift.Sampler()
    state = sampler.state()
    for capacity in (0, 1, len(state) - 1, len(state), len(state) + 1):
        buffer, needed = C.create_string_buffer(b"\7" * (len(state) + 9)), C.c_size_t()
        if capacity < len(state):
            with pytest.raises(E.Llama2Error):
                lib.call("sampler_save", sampler._handle, buffer, capacity, C.byref(needed))
            assert buffer.raw[: len(state)] == b"\7" * len(state)
        else:
            lib.call("sampler_save", sampler._handle, buffer, capacity, C.byref(needed))
            assert buffer.raw[: len(state)] == state
        assert needed.value == len(state) and buffer.raw[len(state) :].startswith(b"\7" * 8)
