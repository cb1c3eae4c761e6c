"""`schemathesis` over the schema that the server shows at /openapi.json: statuses, content types, bodies, what must be refused, keys, methods.

A short run; more with LLAMA2SWIFT_SCHEMA_EXAMPLES=2000 (of each route) and LLAMA2SWIFT_SCHEMA_PHASES=coverage,fuzzing. Skipped without schemathesis (PyPI).
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
from served import needs, served  # noqa: E402

needs()
pytest.importorskip("schemathesis", reason="pip install schemathesis")
# A schema cannot say all: that a text is a grammar, that two fields exclude each other, that a token is in the vocabulary. Such requests are 400.
SETTINGS = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "404", "429"]
"""


@pytest.mark.parametrize("key", [None, "secret"])
def test_answers_are_as_the_schema_says(key, tmp_path):
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    examples = os.environ.get("LLAMA2SWIFT_SCHEMA_EXAMPLES", "12")
    arguments = ("--alias", "stories", "--context", 96, "--parallel", 2, "--max-tokens", 4, "--chat-template", "chatml", "--timeout", 20)
    with served(*arguments, *(("--api-key", key) if key else ())) as server:
        command = [
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(tmp_path / "schemathesis.toml"), "run", f"{server.url}/openapi.json", "--max-examples", examples,
            "--phases", os.environ.get("LLAMA2SWIFT_SCHEMA_PHASES", "fuzzing"), "--continue-on-failure", "--request-timeout", "60", "--suppress-health-check", "all", "--generation-database", "none", "--seed", "1",
            *(("-H", f"Authorization: Bearer {key}") if key else ()),
        ]  # fmt: skip
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        said = done.stdout + done.stderr
        assert server.process.poll() is None
    if os.environ.get("LLAMA2SWIFT_SCHEMA_LOG"):
        Path(os.environ["LLAMA2SWIFT_SCHEMA_LOG"]).write_text(said)
    assert done.returncode == 0, said[-6000:]
    assert re.search(r"generated", said), said[-2000:]
