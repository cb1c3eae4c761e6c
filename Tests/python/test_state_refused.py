"""States that are not taken, and what they leave untouched."""

import ctypes as C
import random
import struct

import pytest
from state_tools import IDS, after, state, talk  # noqa: F401 (fixtures)
from tiny_gguf import random_model

import llama2swift
from llama2swift import _library as lib
from llama2swift import _structs as S
from llama2swift import errors as E


def fnv(data: bytes) -> int:
    h = 0xCBF29CE484222325
    for (word,) in struct.iter_unpack("<Q", data):
        h = (h ^ word) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return h


# What is refused, and changes nothing


class Kept:
    """A context that must stay as it is."""

    def __init__(self, context):
        self.context = context
        self.before = self.look()

    def look(self):
        c = self.context
        return c.state(), c.info

    def refuses(self, problem, state, sequence=None, match=None):
        with pytest.raises(problem, match=match):
            self.context.set_state(state, sequence)
        assert self.look() == self.before


@pytest.fixture
def kept(stories):
    with stories.context(length=512, sequences=2) as context:
        context.eval(IDS[:70])
        yield Kept(context)


def test_states_for_others_are_refused(stories, kept, state, tmp_path):
    one = kept.context.state(0)
    kept.refuses(E.OutOfRangeError, state, match="sequence 3")
    kept.refuses(E.InvalidArgumentError, one, match="one sequence")
    kept.refuses(E.InvalidArgumentError, state, 1, match="whole context")
    kept.refuses(E.InvalidArgumentError, one, 0, match="empty")
    kept.refuses(E.OutOfRangeError, one, 2)
    kept.refuses(E.OutOfRangeError, one, -2)
    with stories.context(length=64, sequences=2) as small:
        Kept(small).refuses(E.ContextFullError, one, 1)
        Kept(small).refuses(E.ContextFullError, kept.context.state())
    with stories.context(length=512, kv="f32") as wide:
        Kept(wide).refuses(E.InvalidArgumentError, one, 0, match="F16.*F32")
    shape = dict(vocabulary=512, dim=64, layers=5, heads=8, heads_kv=4, hidden=172, length=512)
    for seed in (0, 1):
        random_model(tmp_path / f"{seed}.gguf", seed=seed, **shape)
    with llama2swift.Model(tmp_path / "0.gguf").context(length=64) as other, llama2swift.Model(tmp_path / "1.gguf").context(length=64) as third:
        Kept(other).refuses(E.InvalidArgumentError, one, 0, match="another model")
        other.eval([1, 2, 3])
        Kept(third).refuses(E.InvalidArgumentError, other.state(0), 0, match="other weights")


def test_no_room_for_one_sequence_changes_nothing(stories):
    with stories.context(length=256, sequences=2) as context, stories.context(length=512) as other:
        other.eval(IDS[:190])
        context.eval(IDS[300:370])
        kept = Kept(context)
        kept.refuses(E.ContextFullError, other.state(0), 1, match="190 more tokens")


def test_files_that_are_no_states(stories, kept, tmp_path, stories_path):
    for content, problem in [(b"", E.FormatError), (b"GGUF", E.FormatError), (b"x" * 1000, E.FormatError), (open(stories_path, "rb").read(), E.FormatError)]:
        (tmp_path / "f").write_bytes(content)
        with pytest.raises(problem):
            kept.context.load_state(tmp_path / "f")
        kept.refuses(problem, content)
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(E.InputOutputError):
            kept.context.load_state(path)
    with pytest.raises(E.InputOutputError):
        kept.context.save_state(tmp_path / "no folder" / "f")
    assert kept.look() == kept.before and [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_changed_byte_of_the_head_is_found(kept):
    state = kept.before[0]
    for at in range(80):
        changed = bytearray(state)
        changed[at] ^= 1 << at % 8
        kept.refuses(E.UnsupportedError if 8 <= at < 12 else E.FormatError, bytes(changed))


def test_a_changed_byte_anywhere_is_found_and_named(kept):
    state, dice = kept.before[0], random.Random(1)
    for _ in range(150):
        at = dice.randrange(80, len(state))
        changed = bytearray(state)
        changed[at] ^= dice.randrange(1, 256)
        with pytest.raises(E.CorruptFileError) as found:
            kept.context.set_state(bytes(changed))
        first, last = (int(n) for n in str(found.value).split("bytes ")[1].split(",")[0].split(" to "))
        assert first <= at <= last
    assert kept.look() == kept.before


def test_a_truncated_state_is_refused(kept):
    state = kept.before[0]
    for i in range(200):
        kept.refuses(E.FormatError, state[: len(state) * i // 200])
    kept.refuses(E.CorruptFileError, state + bytes(8))
    kept.refuses(E.CorruptFileError, state + state)


def sections(state: bytes) -> list[tuple[int, int]]:
    """(begin, end) of each, by the format's description."""
    sequences, pages, rows, references = struct.unpack_from("<IIIQ", state, 52)
    found, at = [(0, 80)], 80 + -(-(16 * sequences + 4 * references) // 8) * 8 + 8
    found.append((80, at))
    _, kind = struct.unpack_from("<II", state, 8)
    vocabulary, layers, heads, dimension = struct.unpack_from("<IIII", state, 24)
    for _ in range(pages):
        (p,) = struct.unpack_from("<I", state, at)
        end = at + -(-(8 + 4 * p) // 8) * 8 + -(-2 * layers * heads * dimension * p * (2 if kind else 4) // 8) * 8 + 8
        found.append((at, end))
        at = end
    if rows:
        found.append((at, at + -(-4 * rows * vocabulary // 8) * 8 + 8))
        at = found[-1][1]
    assert at == len(state)
    return found


def signed(state: bytes, parts) -> bytes:
    """With checksums that are right."""
    out = bytearray(state)
    for begin, end in parts:
        out[end - 8 : end] = struct.pack("<Q", fnv(bytes(out[begin : end - 8])))
    return bytes(out)


def test_the_description_says_every_byte(state):
    assert signed(state, sections(state)) == state


def test_lies_with_right_checksums_give_a_status_and_leave_a_context_that_works(stories, state):
    """Numbers of the head, of sequences and of pages changed at random: whatever is accepted is consistent."""
    parts, dice, accepted = sections(state), random.Random(2), 0
    heads = [parts[0], parts[1], *((b, b + 8) for b, _ in parts[2:8])]
    with stories.context(length=1024, sequences=4, threads=1) as context:
        for _ in range(300):
            changed = bytearray(state)
            for _ in range(dice.choice([1, 1, 2, 3])):
                begin, end = dice.choice(heads)
                at = dice.randrange(begin // 4, end // 4) * 4
                old = struct.unpack_from("<I", changed, at)[0]
                new = dice.choice([0, 1, 2, 63, 64, 65, 2**31 - 1, 2**31, 2**32 - 1, old + 1, old - 1, old ^ 1 << dice.randrange(32)]) % 2**32
                struct.pack_into("<I", changed, at, new)
            try:
                context.set_state(signed(changed, parts))
                accepted += 1
            except E.Llama2Error:
                pass
            if accepted and dice.random() < 0.05:
                for s in range(4):
                    after(context, IDS[: dice.randrange(1, 70)], s)
                context.copy_sequence(dice.randrange(2), 2)
                context.truncate(0, dice.randrange(4))
                context.reset()
        context.reset()
        assert context.info.positions == 0 and context.info.pages_used == 0
        with stories.context(length=64, threads=1) as fresh:
            fresh.eval([499, 5, 6])
            assert after(context, [499, 5, 6]) == fresh.logits().tobytes()
    assert accepted > 4


def test_a_state_that_is_loaded_while_pages_are_scarce(stories):
    """Everything that fits, fits: the room of a context is that of its positions."""
    with stories.context(length=256, sequences=4) as context:
        context.eval_batch([(t, s, False) for s in range(4) for t in IDS[s * 7 : s * 7 + 64]])
        state = context.state()
        for turn in range(5):
            context.set_state(state)
            assert context.info.positions == 256
            with pytest.raises(E.ContextFullError):
                context.eval([1])
            context.reset()
            context.eval(IDS[turn : turn + 250])


def test_a_host_keeps_states_piece_by_piece(stories, talk, state):
    """What goes through callbacks is what goes through memory; a failure of theirs at any piece is IO, and nothing changes."""
    pieces: list[bytes] = []
    before = talk.state()
    for sequence in (-1, 1):
        pieces.clear()
        write = S.WriteCallback(lambda data, length, _: pieces.append(C.string_at(data, length)) or 0)
        lib.call("state_save_io", talk._handle, sequence, write, None)
        assert b"".join(pieces) == talk.state(None if sequence < 0 else sequence) and len(pieces) > 4
    for at in (0, 1, len(pieces) - 1):
        count = iter(range(len(pieces)))
        with pytest.raises(E.InputOutputError):
            lib.call("state_save_io", talk._handle, 1, S.WriteCallback(lambda *_: int(next(count) == at)), None)
    assert talk.state() == before

    def load(context, fails=-1):
        asked = []

        def read(offset, buffer, length, _):
            asked.append((offset, length))
            if len(asked) - 1 == fails or offset + length > len(state):
                return 1
            C.memmove(buffer, state[offset : offset + length], length)
            return 0

        callback = S.ReadCallback(read)
        io = S.sized(S.IO)
        io.size, io.read = len(state), C.cast(callback, C.c_void_p)
        lib.call("state_load_io", context._handle, -1, C.byref(io))
        return asked

    with stories.context(length=1024, sequences=4) as context:
        context.eval(IDS[:5])
        before = context.state()
        for fails in (0, 1):
            try:
                asked = load(context, fails)
                assert len(asked) <= fails
            except E.InputOutputError:
                assert context.state() == before
        asked = load(context)
        assert sum(length for _, length in asked) == len(state) and len({offset for offset, _ in asked}) == len(asked)  # each byte once
        assert context.state() == state
