"""A model in several processes: logits and texts are one process's, also after a piece has died. With Ray where it is installed, else with threads in its
place."""

import os
import signal
import socket
import struct
import sys
import threading

import local_ray
import numpy as np
import pytest

import llama2swift
from llama2swift import Sampler, _wire, pipeline as module
from llama2swift import errors as E
from llama2swift._piece import Piece, fingerprint
from llama2swift._pieces import Pieces, split
from llama2swift.pipeline import PieceLostError, Pipeline

IDS = [3 + 11 * i * i % 490 for i in range(40)]
PROMPTS = ["Once upon a time", "Tom and Lily", "The dog", "One day a girl", "Ben had a red ball"]


@pytest.fixture(scope="module", autouse=True)
def ray():
    try:
        import ray
    except ImportError:
        patch = pytest.MonkeyPatch()
        patch.setitem(sys.modules, "ray", local_ray.module())
        yield sys.modules["ray"]
        patch.undo()
        return
    paths = {name: os.environ[name] for name in ("PYTHONPATH", "LLAMA2SWIFT_LIBRARY")}
    ray.init(num_cpus=6, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": paths})
    yield ray
    ray.shutdown()


def kill(ray, actor):
    """At once: `ray.kill` alone comes some time later."""
    process = ray.get(actor.alive.remote())
    if process == os.getpid():
        ray.kill(actor)
    else:
        os.kill(process, signal.SIGKILL)


def alone(path, sequences):
    """The last logits of token lists, in one process."""
    with llama2swift.Model(path).context(256, sequences=len(sequences)) as context:
        rows = []
        for number, tokens in enumerate(sequences):
            context.eval_batch([(t, number, i == len(tokens) - 1) for i, t in enumerate(tokens)])
            rows.append(np.array(context.logits()).tobytes())
        return rows


@pytest.mark.parametrize("pieces", [2, [1, 3, 1], 5])
def test_logits_are_one_process_s(stories_path, pieces):
    with Pipeline(stories_path, pieces, length=256, sequences=3) as pipeline:
        assert pipeline.layers == {2: [3, 2], 5: [1] * 5}.get(pieces if isinstance(pieces, int) else 0, pieces)
        assert [pipeline.eval(IDS[:20]).tobytes(), pipeline.eval(IDS[5:9], 2).tobytes()] == alone(stories_path, [IDS[:20], IDS[5:9]])
        assert pipeline.eval(IDS[20:22]).tobytes() == alone(stories_path, [IDS[:22]])[0]
        pipeline.truncate(11)
        assert (pipeline.length(), pipeline.length(1), pipeline.length(2)) == (11, 0, 4)
        assert pipeline.eval(IDS[30:33]).tobytes() == alone(stories_path, [IDS[:11] + IDS[30:33]])[0]


def test_texts_are_one_process_s(stories_path):
    model = llama2swift.Model(stories_path)
    for make in (None, lambda index: Sampler(temperature=0.9, seed=index)):
        expected = []
        for index, prompt in enumerate(PROMPTS):
            with model.context(256) as context, context.generate(prompt, make(index) if make else Sampler(temperature=0), max_tokens=12 + index % 2, stop=["ball"]) as pieces:
                expected.append("".join(pieces))
        with Pipeline(stories_path, 3, length=512, sequences=2) as pipeline:
            found = pipeline.generate(PROMPTS[::2], sampler=(lambda i: make(2 * i)) if make else None, max_tokens=12, stop="ball")
            assert [text for text, _ in found] == expected[::2]
            found = pipeline.generate(PROMPTS[1::2], sampler=(lambda i: make(2 * i + 1)) if make else None, max_tokens=13, stop=["ball"])
            assert [text for text, _ in found] == expected[1::2] and {reason for _, reason in found} <= {"max_tokens", "stop"}
            assert [pipeline.length(s) for s in (0, 1)] == [0, 0]


def test_a_piece_that_dies_is_computed_again(ray, stories_path):
    with Pipeline(stories_path, 3, length=512, sequences=2, restarts=3) as pipeline:
        pipeline.eval(IDS[:20]), pipeline.eval(IDS[5:9], 1)
        kill(ray, pipeline._pieces.actors[1])
        assert pipeline.eval(IDS[20:22]).tobytes() == alone(stories_path, [IDS[:22]])[0]
        assert pipeline.eval(IDS[9:12], 1).tobytes() == alone(stories_path, [IDS[5:12]])[0]
        calls = 0

        def dies(index):
            class Dies(Sampler):
                def sample(self, logits):
                    nonlocal calls
                    calls += 1
                    if calls in (5, 16):
                        kill(ray, pipeline._pieces.actors[calls % 3])
                    return super().sample(logits)

            return Dies(temperature=0)

        found = pipeline.generate(PROMPTS, sampler=dies, max_tokens=10)
        assert calls == 50
        with llama2swift.Model(stories_path).context(256) as context:
            for prompt, (text, reason) in zip(PROMPTS, found):
                context.reset()
                with context.generate(prompt, Sampler(temperature=0), max_tokens=10) as pieces:
                    assert "".join(pieces) == text and reason == "max_tokens"
        kill(ray, pipeline._pieces.actors[0])
        with pytest.raises(PieceLostError, match="piece 0 died"):
            pipeline.eval(IDS[:3])


def test_what_is_refused(stories_path, tmp_path):
    for pieces, sentence in ((0, "pieces is 0, expected 1 to 5"), (6, "expected 1 to 5"), ([2, 2], r"\[2, 2\] layers, 4 in all; the model has 5"), ([5, 0], "each piece has one")):
        with pytest.raises(ValueError, match=sentence):
            Pipeline(stories_path, pieces)
    for pieces in (2.0, "2", b"2", None, True, {2: 3}, [2, "3"], [2.5, 2.5]):
        with pytest.raises(TypeError, match="pieces(.[01].)? is "):
            Pipeline(stories_path, pieces)
    assert split(5, np.int64(2)) == split(5, 2) == split(5, np.array([3, 2])) == [3, 2]
    with pytest.raises(FileNotFoundError):
        Pipeline(tmp_path / "none.gguf")
    for places in ({"num_gpus": 1}, [{}, {"num_gpus": 0.5}]):  # Ray waited for such a machine
        with pytest.raises(ValueError, match="placement has num_gpus=.*; llama2swift computes on the CPU"):
            Pipeline(stories_path, 2, placement=places)
    with pytest.raises(TypeError, match="placement is 'a'"):
        Pipeline(stories_path, 2, placement="ab")
    with pytest.raises(ValueError, match="placement has 1 mappings for 2 pieces"):
        Pipeline(stories_path, 2, placement=[{}])
    with Pipeline(stories_path, 2, length=16, sequences=1) as pipeline:
        with pytest.raises(E.ContextFullError):
            pipeline.eval(IDS[:17])
        with pytest.raises(E.InvalidTokenError):
            pipeline.eval([1, 512])
        with pytest.raises(E.InvalidArgumentError):
            pipeline.eval([])
        with pytest.raises(E.InvalidArgumentError, match="sequence is 1, expected 0 to 0"):
            pipeline.eval([1], 1)
        with pytest.raises(TypeError):
            pipeline.generate("Once")
        with pytest.raises(ValueError, match="max_tokens is 0"):
            pipeline.generate(["Once"], max_tokens=0)
        assert pipeline.eval(IDS[:16]).tobytes() == alone(stories_path, [IDS[:16]])[0]
    with pytest.raises(E.InvalidArgumentError, match="closed"):
        pipeline.eval([1])


def test_pieces_of_another_file_are_refused(stories_path, tmp_path, monkeypatch):
    other = bytearray(open(stories_path, "rb").read())
    other[-5] ^= 1
    (tmp_path / "other.bin").write_bytes(other)
    (tmp_path / "same.bin").write_bytes(open(stories_path, "rb").read())
    assert fingerprint(stories_path) == fingerprint(tmp_path / "same.bin") != fingerprint(tmp_path / "other.bin")
    started = Pieces._started

    def elsewhere(self, index):
        self.path = str(tmp_path / ("other.bin" if index else "same.bin"))  # what another machine has under the path
        return started(self, index)

    monkeypatch.setattr(Pieces, "_started", elsewhere)
    with pytest.raises(E.InvalidArgumentError, match="piece 1 has another file than piece 0"):
        Pipeline(stories_path, 2)


class OfAnotherVersion(Piece):
    def identity(self):
        version, file = super().identity()
        return (version if self._context.model.hyperparameters.first_layer == 0 else "0.2.0"), file


def test_pieces_of_another_version_are_refused(stories_path):
    class Mixed(Pipeline):
        piece = OfAnotherVersion

    with pytest.raises(E.InvalidArgumentError, match=r"piece 1 has another version of this library than piece 0 \(0.2.0, "):
        Mixed(stories_path, 2)


def test_long_prompts_go_through_in_parts(stories_path, monkeypatch):
    """A piece computes the beginning while the one before computes what follows; what fails on the way takes nothing with it."""
    monkeypatch.setattr(module, "CHUNK", 7)
    with Pipeline(stories_path, 3, length=64, sequences=2) as pipeline:
        assert pipeline.eval(IDS[:30]).tobytes() == alone(stories_path, [IDS[:30]])[0]
        for wrong, kind in (([*IDS[30:39], 512, 5], E.InvalidTokenError), (IDS[:39], E.ContextFullError)):  # in the second part, and in the last
            with pytest.raises(kind):
                pipeline.eval(wrong)
            with pytest.raises(kind):
                pipeline.eval(wrong, 1)
        assert (pipeline.length(), pipeline.length(1)) == (30, 0)
        # nothing of what failed takes room
        assert pipeline.eval(IDS[:30], 1).tobytes() == alone(stories_path, [IDS[:30]])[0]
        assert pipeline.eval(IDS[30:34]).tobytes() == alone(stories_path, [IDS[:34]])[0]


def test_a_connection_that_breaks_is_made_again_as_often_as_pieces_are(stories_path):
    with Pipeline(stories_path, 2, length=256, sequences=2, restarts=2) as pipeline:
        pipeline.eval(IDS[:20])
        pipeline._pieces.first.close()
        assert pipeline.eval(IDS[20:22]).tobytes() == alone(stories_path, [IDS[:22]])[0]
        pipeline._pieces.last.close()
        assert pipeline.eval(IDS[22:30]).tobytes() == alone(stories_path, [IDS[:30]])[0]
        pipeline._pieces.last.close()
        with pytest.raises(PieceLostError, match="the connection between the pieces broke"):
            pipeline.eval(IDS[30:])
        assert pipeline.length() == 30


def ends():
    """Two ends of a connection: bytes go in here, messages come out there."""
    one, other = socket.socketpair()
    # of TCP alone
    wire = _wire.Wire.__new__(_wire.Wire)
    wire._socket = other
    return one, wire


def test_only_who_knows_the_secret_is_listened_to():
    listener = _wire.listen("127.0.0.1")
    address, secret = listener.getsockname(), os.urandom(_wire.SECRET)
    found = []
    waiting = threading.Thread(target=lambda: found.append(_wire.accept(listener, secret, 30)))
    waiting.start()
    strangers = [_wire.connect(address, told) for told in (os.urandom(_wire.SECRET), b"GET / HTTP/1.1\r\n\r\n" * 2)]
    with socket.create_connection(address):
        pass  # says nothing
    assert [stranger.recv(1) if not _reset(stranger) else b"" for stranger in strangers] == [b"", b""]
    known = _wire.connect(address, secret)
    waiting.join(30)
    known.sendall(b"x")
    assert found[0].recv(1) == b"x"
    with pytest.raises(OSError):
        socket.create_connection(address, timeout=5)  # one, and nobody else
    for end in (*strangers, known, *found):
        end.close()
    with pytest.raises(OSError):
        _wire.accept(_wire.listen("127.0.0.1"), secret, 0.05)


def _reset(connection):
    """Whether the other end has closed it with data unread."""
    try:
        connection.recv(1, socket.MSG_PEEK)
    except ConnectionResetError:
        return True
    return False


@pytest.mark.parametrize(
    "sent",
    [
        b"", b"l2p1", b"x" * 60, _wire._HEAD.pack(b"l2p1", 0, 1, 0, 0, 1, 0), _wire._HEAD.pack(b"l2p1", 6, 1, 0, 0, 1, 0), _wire._HEAD.pack(b"l2p0", 1, 1, 0, 0, 0, 0),
        _wire._HEAD.pack(b"l2p1", 1, 1, 0, 0, 2**32 - 1, 2**32 - 1), _wire._HEAD.pack(b"l2p1", 5, 1, 0, 0, 2**31, 0), _wire._HEAD.pack(b"l2p1", 2, 1, 0, 0, 2, 3) + b"\0" * 31,
    ],
)  # fmt: skip
def test_what_no_piece_says_ends_a_connection(sent):
    one, wire = ends()
    one.sendall(sent)
    one.close()
    with pytest.raises(OSError, match="the other end is (gone|no piece of this version)"):
        wire.receive()
    wire.close()


def test_messages_come_out_as_they_went_in():
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2]  # not one behind the other in memory
    for message in (
        _wire.Message(_wire.LAST, 2**63, 3, 2**40, [1, 2, 511], rows), _wire.Message(_wire.EVAL, 1, 0, 0, [7]), _wire.Message(_wire.DROP, 0, 5, 9),
        _wire.Message(_wire.ANSWER, 9, rows=rows[:1]), _wire.Message(_wire.PROBLEM, 9, start=-12, sentence="schön \ud800"),
    ):  # fmt: skip
        one, wire = ends()
        one.sendall(wire.pack(message) + struct.pack("<I", 5))
        found = wire.receive()
        assert (found.kind, found.number, found.sequence, found.start, list(found.tokens)) == (message.kind, message.number, message.sequence, message.start, list(message.tokens))
        assert (found.rows is None) == (message.rows is None) and (found.rows is None or found.rows.tobytes() == message.rows.tobytes())
        assert found.sentence == message.sentence.replace("\ud800", "?")
        assert wire._take(4) == b"\5\0\0\0"
        one.close(), wire.close()
