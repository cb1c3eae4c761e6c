"""Servers in processes of their own and clients that clock what they are sent; for clients.py and load.py.

llama-server and ours are asked in the one way that both know: llama-server's /completion, prompts as token ids, streamed.
llama-cpp-python's server takes texts only: OpenAI's /v1/completions, the end tokens biased away.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from engines import resident

import llama2swift

PACKAGE = Path(__file__).resolve().parents[1]


class Server:
    """A server that answers at `port` as long as the block runs. kind: "ours", a path of llama-server, or "python:" and an interpreter that has llama_cpp.server."""

    def __init__(self, kind: str, model: Path, parallel: int, request: int, threads: int, more: list[str] | None = None):
        """request: positions of one request."""
        with socket.socket() as one:  # free a moment ago; nobody else on this machine hunts for ports
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        each = -(-request // 256) * 256
        self.ready, self.model, self.ends = "/health", None, {}
        if kind.startswith("python:"):
            # one request at a time, in the order they came (by default a new one ends the one that runs)
            command = [kind[7:], "-m", "llama_cpp.server", "--model", model, "--n_ctx", each, "--n_threads", threads, "--n_threads_batch", threads]
            command += ["--interrupt_requests", "false", "--verbose", "false"]
            self.ready, self.model = "/v1/models", llama2swift.Model(model)
            self.ends = {token: -100 for token in range(self.model.hyperparameters.vocabulary_size) if self.model.is_end(token)}
        elif kind == "ours":
            command = [sys.executable, "-m", "llama2swift", "serve", model, "--parallel", parallel, "-c", each * parallel, "-t", threads, "--no-page"]
        else:
            command = [kind, "-m", model, "-np", parallel, "-c", each * parallel, "-t", threads, "-tb", threads, "--no-webui"]
        command += ["--host", "127.0.0.1", "--port", self.port, *(more or [])]
        self.command = [str(part) for part in command]
        self.said = tempfile.TemporaryFile()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])])}
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.said, stderr=subprocess.STDOUT, env=environment)

    def __enter__(self) -> Server:
        try:
            until = time.monotonic() + 300
            while not self._answers():
                if self.process.poll() is not None or time.monotonic() > until:
                    raise SystemExit(f"{' '.join(self.command)}: {self.words()}")
                time.sleep(0.05)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _answers(self) -> bool:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", self.ready)
            return connection.getresponse().status == 200
        except OSError:
            return False

    def words(self) -> str:
        """The last of what it said."""
        self.said.seek(0)
        return self.said.read().decode("utf-8", "replace")[-2000:]

    def memory(self) -> int:
        """Bytes that are in memory now."""
        return resident(self.process.pid)

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.said.close()


@dataclass
class Answer:
    """One request's. Times by time.monotonic(): asked, of each event with a token, ended."""

    asked: float = 0.0
    times: list[float] = field(default_factory=list)
    ended: float = 0.0
    tokens: int = 0
    text: str = ""

    @property
    def first(self) -> float:
        """Seconds to the first token."""
        return self.times[0] - self.asked

    @property
    def gaps(self) -> list[tuple[float, float]]:
        """(when it ended, seconds) between tokens."""
        return [(b, b - a) for a, b in zip(self.times, self.times[1:])]


def ask(server: Server, prompt: list[int], tokens: int, seed: int, temperature: float, out: Answer, stop: threading.Event | None = None) -> Answer:
    """A stream, read to its end or until `stop` is set; `out` is filled as it comes. Raises RuntimeError on any other answer."""
    body = {
        "prompt": prompt, "n_predict": tokens, "seed": seed, "temperature": temperature, "top_k": 40, "top_p": 0.95, "min_p": 0.05, "ignore_eos": True,
        "stream": True,
    }  # fmt: skip
    if model := server.model:
        text = model.detokenize(prompt)
        # ids in no order are other ids when their words are read again, and more of them
        body |= {"prompt": model.detokenize(model.tokenize(text)[: len(prompt)]), "max_tokens": tokens, "logit_bias": server.ends}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=900)
    written = json.dumps(body)
    out.asked = time.monotonic()
    connection.request("POST", "/v1/completions" if model else "/completion", written, {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status != 200:
        raise RuntimeError(f"{response.status}: {response.read(2000)!r}")
    while not (stop is not None and stop.is_set()):
        line = response.readline()
        now = time.monotonic()
        if not line:
            break
        if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
            continue
        event = json.loads(line[6:])
        if "error" in event:
            raise RuntimeError(str(event))
        out.text += event["choices"][0]["text"] if model else event.get("content", "")
        if model and event["choices"][0]["finish_reason"]:
            out.tokens = tokens if event["choices"][0]["finish_reason"] == "length" else len(out.times)
        elif event.get("stop"):
            out.tokens = event["tokens_predicted"]
        else:
            out.times.append(now)
    out.ended = time.monotonic()
    connection.close()
    return out


def together(server: Server, prompts: list[list[int]], tokens: int, temperature: float, seed: int = 0) -> list[Answer]:
    """All prompts asked at the same moment, each by a client of its own."""
    answers, problems, ready = [Answer() for _ in prompts], [], threading.Barrier(len(prompts))

    def client(index: int) -> None:
        try:
            ready.wait()
            ask(server, prompts[index], tokens, seed + index, temperature, answers[index])
            if answers[index].tokens != tokens or len(answers[index].times) < min(tokens, 2):
                raise RuntimeError(f"{answers[index].tokens} tokens in {len(answers[index].times)} events, {tokens} were asked for")
        except Exception as problem:
            problems.append(problem)

    threads = [threading.Thread(target=client, args=(i,)) for i in range(len(prompts))]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    if problems:
        raise problems[0]
    return answers


def at(values: list[float], percent: float) -> float:
    """The smallest value that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else math.nan
