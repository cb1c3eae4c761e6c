"""What test_server.py and test_server_native.py have in common."""

import httpx  # noqa: E402
import pytest
from served import served

import llama2swift

openai = pytest.importorskip("openai", reason="pip install -r Tests/requirements.txt")
PROMPT = "Once upon a time, there was a"
SCHEMA = {"type": "object", "properties": {"name": {"enum": ["Lily", "Tom"]}, "age": {"type": "integer", "minimum": 3, "maximum": 9}}, "required": ["name", "age"], "additionalProperties": False}
TALK = [{"role": "user", "content": "Tell me of a cat."}]


@pytest.fixture(scope="module")
def server():
    with served("--alias", "stories", "--chat-template", "chatml", "--context", 2048, "--request-context", 1024, "--temperature", 0, "--seed", 7) as one:
        yield one


@pytest.fixture(scope="module")
def client(server):
    with openai.OpenAI(api_key="none", base_url=server.url + "/v1", max_retries=0) as one:
        yield one


@pytest.fixture(scope="module")
def http(server):
    with httpx.Client(base_url=server.url, timeout=60) as one:
        yield one


def alone(model, prompt, count, **options):
    """The same text from the library itself."""
    with model.context(length=1024) as context:
        return "".join(context.generate(prompt, llama2swift.Sampler(**{"temperature": 0, "seed": 7, **options}), max_tokens=count))
