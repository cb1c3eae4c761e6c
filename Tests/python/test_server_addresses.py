"""Addresses that others have, heads, keys, and what is refused before it is read."""

import json
import socket

import pytest
from served import needs, served

needs()
import httpx  # noqa: E402


@pytest.fixture(scope="module")
def server():
    with served("--alias", "stories", "--context", 512, "--temperature", 0) as one:
        yield one


@pytest.fixture(scope="module")
def http(server):
    with httpx.Client(base_url=server.url, timeout=60) as one:
        yield one


ABSENT = ["/v1/messages", "/v1/messages/count_tokens?beta=true", "/v1/rerank", "/embedding", "/infill", "/slots/0?action=save", "/models/load", "/tools", "/v1/audio/speech", "/v1/files/a", "/v1/moderations", "/props"]


@pytest.mark.parametrize("path", ABSENT)
def test_what_others_have_and_this_has_not_is_told(http, path):
    answer = http.post(path, json={})
    assert answer.status_code == 501 and answer.json()["error"]["code"] == "not_supported" and len(answer.json()["error"]["message"]) > 30
    assert path in ("/props",) or http.get(path).status_code == 501
    assert not any(path.split("?")[0] == one for one in http.get("/openapi.json").json()["paths"] if one != "/props")


def test_chats_that_would_be_stored(http):
    for path, method in (("/v1/chat/completions", "GET"), ("/v1/chat/completions/x", "GET"), ("/v1/chat/completions/x", "DELETE"), ("/v1/chat/completions/x/messages", "GET")):
        answer = http.request(method, path)
        assert answer.status_code == 404 and "stored" in answer.json()["error"]["message"]


def test_heads_are_those_of_what_can_be_read(http):
    for path in ("/health", "/v1/models", "/metrics", "/props", "/", "/openapi.json"):
        head, whole = http.head(path), http.get(path)
        assert head.status_code == whole.status_code == 200 and head.content == b"" and head.headers["content-type"] == whole.headers["content-type"]
    assert http.head("/completion").status_code == 405 and http.head("/nothing").status_code == 404
    assert http.get("/health").json() == {"status": "ok"}  # the same connection


@pytest.mark.parametrize("data, status", [(b"\x16\x03\x01\r\n\r\n", 400), (b"GET /health HTTP/1.1\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000, 431)])
def test_what_is_no_http_is_told_in_the_shape_of_all_errors(server, data, status):
    host, port = server.url[len("http://") :].split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(data)
        head, _, body = b"".join(iter(lambda: raw.recv(65536), b"")).partition(b"\r\n\r\n")
    assert int(head.split(b" ")[1]) == status and b"application/json" in head
    error = json.loads(body)["error"]
    assert error["code"] == "invalid_http" and error["type"] == "invalid_request_error" and len(error["message"]) > 20


def test_what_is_refused_before_it_is_read_can_be_read_by_other_pages():
    origin = {"Origin": "http://a.example"}
    with served("--api-key", "one", "--cors-origin", "http://a.example", "--max-body", 100, "--context", 256) as one, httpx.Client(base_url=one.url) as http:
        wrong = http.get("/v1/models", headers=origin)
        large = http.post("/v1/completions", content=b"x" * 200, headers={**origin, "Authorization": "Bearer one"})
        assert (wrong.status_code, large.status_code) == (401, 413)
        assert {answer.headers.get("access-control-allow-origin") for answer in (wrong, large)} == {"http://a.example"}
        assert "access-control-allow-origin" not in http.get("/v1/models", headers={"Origin": "http://b.example"}).headers
        assert (b"Access-Control-Allow-Origin", b"http://a.example") in wrong.headers.raw


@pytest.mark.parametrize("body, told", [
    (b'{"prompt": "x", "json_schema": ' + b'{"items":' * 9000 + b"{}" + b"}" * 9000 + b"}", "nested too deeply"), (b'{"prompt": "x", "seed": ' + b"9" * 5000 + b"}", "digits"), (b'{"prompt": "\xff"}', "utf-8"),
])  # fmt: skip
def test_a_body_that_cannot_be_read_says_why(http, body, told):
    answer = http.post("/v1/completions", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "invalid_json" and told in answer.json()["error"]["message"]


def test_a_key_of_other_letters_is_known_as_clients_write_it():
    with served("--api-key", "schlüssel", "--api-key", "ключ", "--context", 256) as one, httpx.Client(base_url=one.url) as http:
        sent = ["schlüssel".encode(), "schlüssel".encode("latin-1"), "ключ".encode(), b"schl?ssel", "schlussel".encode(), b"\xff"]
        assert [http.get("/v1/models", headers={b"Authorization": b"Bearer " + key}).status_code for key in sent] == [200, 200, 200, 401, 401, 401]
