"""Connections that lie, say nothing, or come by the hundred, and files that come and go."""

import asyncio
import gc
import json
import os
import shutil
import signal
import socket
import threading
import time

import httpx  # noqa: E402
import pytest
from served import STORIES, served
from server_bad_input_tools import http, read, refused, server  # noqa: F401 (fixtures)


def connect(server):
    host, port = server.url[len("http://") :].split(":")
    return socket.create_connection((host, int(port)))


def test_connections_that_lie_or_say_nothing(server, http):
    body = json.dumps({"prompt": "Once", "max_tokens": 2}).encode()
    head = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    silent, half = connect(server), connect(server)
    half.sendall(b"POST /v1/comp")
    with connect(server) as raw:  # less than was promised
        raw.sendall(head + b"Content-Length: 500\r\n\r\n" + body)
        assert b" 408 " in read(raw).split(b"\r\n")[0]
    with connect(server) as raw:  # more: the rest is another request, which is none
        raw.sendall(head + b"Content-Length: 5\r\n\r\n" + body)
        assert b" 400 " in read(raw).split(b"\r\n")[0]
    for wrong in (b"Content-Length: -1\r\n", b"Content-Length: 10\r\nContent-Length: 11\r\n", b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"X: " + b"a" * 200_000 + b"\r\n", b"".join(b"H%d: x\r\n" % i for i in range(20_000)), b"Content-Length: 99999999999999999999999\r\n"):  # fmt: skip
        with connect(server) as raw:
            try:
                raw.sendall(head + wrong + b"\r\n" + body)
                answer = read(raw, 5)
            except (ConnectionError, TimeoutError):
                continue
            assert not answer or answer.split(b" ")[1] in (b"400", b"413", b"431", b"408"), answer[:200]
    for raw in (silent, half):  # closed by the server after a while
        assert read(raw, 10) == b""
        raw.close()


def talk(server, data, seconds=10):
    """What is answered to these bytes, until the server closes; b"" where it just closes."""
    with connect(server) as raw:
        try:
            raw.sendall(data)
            return read(raw, seconds)
        except ConnectionError:
            return b""


GET = b"GET /health HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
ASKED = b'{"prompt": "Once", "max_tokens": 2}'
STRANGE = {
    "no host": (b"GET /health HTTP/1.1\r\n\r\n", b"400"), "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n", b"400"), "a version of its own": (b"GET /health HTTP/9.9\r\nHost: x\r\nConnection: close\r\n\r\n", b"200"),
    "an old version": (b"GET /health HTTP/1.0\r\n\r\n", b"200"), "a method of its own": (b"BREW /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"405"), "TRACE": (b"TRACE /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"405"),
    "a NUL in a header": (GET + b"X: a\x00b\r\n\r\n", b"400"), "a line break in a header": (GET + b"X: a\r\n b\r\nConnection: close\r\n\r\n", b"200"), "a space before the colon": (GET + b"X : a\r\n\r\n", b"400"),
    "chunks without sizes": (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + ASKED + b"\r\n0\r\n\r\n", b"400"), "a chunk that says it is endless": (POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 30 + b"\r\n" + ASKED, b"400"),
    "a chunk that says it is large": (POST + b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n" + ASKED, b"408"), "chunks": (POST + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(ASKED) + ASKED + b"\r\n0\r\nTrailer: x\r\n\r\n", b"200"),
    "another encoding": (POST + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\n\x1f\x8b\x08\x00x", b"400"), "another type": (POST.replace(b"application/json", b"text/plain") + b"Content-Length: %d\r\n\r\n" % len(ASKED) + ASKED, b"400"),
    "another host's address": (b"GET http://169.254.169.254/latest HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"404"), "a WebSocket": (GET + b"Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", b"200"),
    "a long path": (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"404"), "a path of no characters": (b"GET /%ff%00%c0%af HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"404"),
}  # fmt: skip


@pytest.mark.parametrize("data, status", STRANGE.values(), ids=STRANGE.keys())
def test_strange_requests(server, data, status):
    answer = talk(server, data)
    assert answer.split(b" ")[1:2] == [status], answer[:300]
    if status in (b"404", b"405", b"408"):
        refused(httpx.Response(int(status), content=answer.split(b"\r\n\r\n", 1)[1]), int(status))


def test_several_requests_on_a_connection_are_answered_in_their_order(server):
    answer = talk(server, (POST.replace(b"Connection: close\r\n", b"") + b"Content-Length: %d\r\n\r\n" % len(ASKED) + ASKED) * 3 + GET + b"Connection: close\r\n\r\n", 30)
    assert answer.count(b"HTTP/1.1 200 ") == 4 and answer.count(b"text_completion") == 3 and answer.rstrip().endswith(b'{"status":"ok"}')


def test_a_head_that_comes_letter_by_letter_is_cut_off(server):
    with connect(server) as raw:
        begun = time.monotonic()
        with pytest.raises(ConnectionError):
            for letter in (GET + b"X: " + b"a" * 4000)[:200]:
                raw.sendall(bytes([letter]))
                time.sleep(0.1)
        assert time.monotonic() - begun < 15


def test_many_open_connections_keep_nobody_out(server, http):
    """More of them than the queue has places: silent ones, and halves of requests."""
    many = []
    for index in range(600):
        many.append(connect(server))
        if index % 2:
            many[-1].sendall(GET[: index % 40])
    assert http.get("/health").status_code == 200
    with httpx.Client(base_url=server.url, timeout=60) as new:
        assert new.post("/v1/completions", json={"prompt": "Once upon a time", "max_tokens": 4}).json()["choices"][0]["text"] == ", there was a"
    for raw in many:
        raw.close()


def test_a_stream_that_nobody_reads(server, http):
    """Its sequence is freed after the write timeout, or its text is short enough to lie in the buffers."""
    raws = []
    body = json.dumps({"prompt": "Once", "max_tokens": 400, "ignore_eos": True, "stream": True, "logprobs": 20}).encode()
    for _ in range(3):
        raw = connect(server)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        raw.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        raws.append(raw)
    assert http.post("/v1/completions", json={"prompt": "Tom", "max_tokens": 3}, timeout=60).status_code == 200
    until = time.monotonic() + 30
    while "llama2swift_requests_inside 0.0" not in http.get("/metrics").text:
        assert time.monotonic() < until
        time.sleep(0.05)
    for raw in raws:
        raw.close()


def test_many_at_once_do_not_notice_each_other(server, http):
    expected = http.post("/v1/completions", json={"prompt": "Once upon a time", "max_tokens": 12}).json()["choices"][0]["text"]
    texts, stop = [], threading.Event()

    def good():
        with httpx.Client(base_url=server.url, timeout=60) as one:
            for _ in range(4):
                texts.append(one.post("/v1/completions", json={"prompt": "Once upon a time", "max_tokens": 12}).json()["choices"][0]["text"])

    def bad():
        with httpx.Client(base_url=server.url, timeout=60) as one:
            while not stop.is_set():
                one.post("/v1/completions", content=b"{" * 1000)
                try:
                    one.post("/v1/completions", json={"prompt": "Tom", "max_tokens": 200, "ignore_eos": True}, timeout=0.05)
                except httpx.TimeoutException:
                    pass

    goods, bads = [threading.Thread(target=good) for _ in range(4)], [threading.Thread(target=bad) for _ in range(2)]
    for thread in goods + bads:
        thread.start()
    for thread in goods:
        thread.join()
    stop.set()
    for thread in bads:
        thread.join()
    assert texts == [expected] * 16


# ---- The command line, and files that come and go


def test_nothing_stays_of_a_connection_that_is_gone():
    """What looks after silent connections held each, and its requests, for as long as it is patient."""
    from llama2swift.server import serving

    loop = asyncio.new_event_loop()

    class Transport:
        def get_extra_info(self, _):
            return None

        def is_closing(self):
            return False

        def close(self):
            pass

    async def come_and_go():
        config = serving.uvicorn.Config(lambda *_: None, http=serving.Protocol, ws="none", log_level="critical")
        config.load()
        for _ in range(50):
            one = serving.Protocol(config, serving.uvicorn.server.ServerState(), {})
            one.connection_made(Transport())
            one.connection_lost(None)

    loop.run_until_complete(come_and_go())
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one) is serving.Protocol]
    loop.close()


def test_a_model_file_that_is_shortened_or_gone_under_a_server(tmp_path):
    """Read into memory it may be shortened; a mapped one may be gone."""
    shutil.copy(STORIES.parent / "tok512.bin", tmp_path / "tokenizer.bin")
    for options, harm in ((("--copy",), lambda path: os.truncate(path, 100)), ((), os.unlink)):
        path = tmp_path / "a.bin"
        shutil.copy(STORIES, path)
        with served(*options, "--context", 64, models=[f"a={path}"]) as server, httpx.Client(base_url=server.url, timeout=60) as http:
            ask = lambda: http.post("/v1/completions", json={"prompt": "Once upon", "max_tokens": 8, "temperature": 0}).json()["choices"][0]["text"]  # noqa: E731
            before = ask()
            harm(path)
            assert ask() == before and http.get("/health").status_code == 200 and server.process.poll() is None


def test_what_cannot_be_served(server, tmp_path, capfd):
    from llama2swift import cli

    stopped = signal.getsignal(signal.SIGINT)
    port = server.url.rsplit(":", 1)[1]
    for arguments, sentence in (
        ((STORIES, "--port", port), "Address already in use"), (("/nowhere.gguf", "--port", "0"), "No such file"), ((STORIES, STORIES, "--port", "0"), "two models are called"),
        ((STORIES, "--host", "no.such.host.invalid", "--port", "0"), "no.such.host.invalid"), ((STORIES, "--api-key-file", tmp_path / "no"), "No such file"),
    ):  # fmt: skip
        assert cli.main(["serve", *map(str, arguments)]) == 1
        said = capfd.readouterr().err
        assert sentence in said and said.startswith("llama2swift: ") and said.count("\n") == 1, said
    signal.signal(signal.SIGINT, stopped)


def test_models_come_on_demand_and_go(tmp_path):
    shutil.copy(STORIES.parent / "tok512.bin", tmp_path / "tokenizer.bin")
    for name in "abc":
        shutil.copy(STORIES, tmp_path / f"{name}.bin")
    models = [f"{name}={tmp_path}/{name}.bin" for name in "abc"]
    with served("--max-loaded", 1, "--idle-unload", 0.3, "--context", 64, models=models) as server, httpx.Client(base_url=server.url, timeout=60) as http:
        loaded = lambda: [m["id"] for m in http.get("/v1/models").json()["data"] if m["loaded"]]  # noqa: E731
        ask = lambda name: http.post("/v1/completions", json={"model": name, "prompt": "Once upon", "max_tokens": 2, "temperature": 0})  # noqa: E731
        assert ask("a").json()["model"] == "a" and loaded() == ["a"]
        assert ask("b").json()["model"] == "b" and loaded() == ["b"]
        os.unlink(tmp_path / "c.bin")
        refused(ask("c"), 503, code="model_not_available", message="No such file")
        assert ask("a").status_code == 200
        until = time.monotonic() + 10
        while loaded():
            assert time.monotonic() < until
            time.sleep(0.1)
        assert ask("b").status_code == 200
