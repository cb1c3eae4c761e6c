"""What test_server_bad_input.py and test_server_bad_connections.py have in common."""

import httpx  # noqa: E402
import pytest
from served import served

MB = 1 << 20


@pytest.fixture(scope="module")
def server():
    with served("--alias", "stories", "--chat-template", "chatml", "--context", 512, "--temperature", 0, "--max-body", 4 * MB, "--body-timeout", 1, "--write-timeout", 1) as one:
        yield one


@pytest.fixture(scope="module")
def http(server):
    with httpx.Client(base_url=server.url, timeout=60) as one:
        yield one


def refused(answer, status=400, **expected):
    error = answer.json()["error"]
    assert answer.status_code == status, answer.text
    assert set(error) >= {"message", "type", "param", "code"} and error["message"] and "Traceback" not in error["message"]
    for name, value in expected.items():
        assert value in error[name] if name == "message" else error[name] == value, error
    return error


def read(raw, seconds=10):
    raw.settimeout(seconds)
    out = b""
    try:
        while data := raw.recv(65536):
            out += data
    except ConnectionError:
        pass
    return out
