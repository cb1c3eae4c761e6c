#!/usr/bin/env python3
"""Many clients for some minutes, a part of which goes away in the middle: load.py [--minutes 5] [--clients 64] [--model FILE]

Checked: no error that is not explained (429 where the queue is full; what a client itself broke off), every text that came to its end is that of the
same request alone (asked of another server, one at a time), memory is flat after the first fifth of the time, and at the end nothing is left inside.
Before the clock starts every page of the cache is written once: how long that takes beside clients depends on what else the machine does.
Writes results/LOAD.md, and ends with 1 where a check fails.
"""

from __future__ import annotations

import argparse
import collections
import http.client
import json
import os
import random
import socket
import struct
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
import fetch_model
from serving import Server, at

import llama2swift

RESULTS = Path(__file__).resolve().parent / "results"
QUESTIONS = ["What is a tide?", "Name three rivers.", "Say hello in French.", "Why is the sky blue?", "Write a line about rain.", "Count to five.", "What do bees make?", "Who was Ada Lovelace?"]
HEAD = "You are a patient teacher who answers in one short sentence, without any list, and who never repeats the question. " * 4
SCHEMA = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0, "maximum": 99}}, "required": ["name", "age"], "additionalProperties": False}
GROWTH = 16 << 20  # bytes that count as flat


def cases(count: int) -> list[tuple[str, dict]]:
    """(path, body): the same ones every time, each with its seed, so that its text is known."""
    dice, out = random.Random(17), []
    for number in range(count):
        body: dict = {"max_tokens": dice.randint(4, 40), "temperature": dice.choice([0, 0, 0.7, 1.2]), "seed": number}
        question = dice.choice(QUESTIONS)
        if dice.random() < 0.25:
            body["stop"] = dice.choice([[" the"], [".", "\n"], ["e"]])
        if dice.random() < 0.2:
            body |= {"presence_penalty": 0.4, "frequency_penalty": 0.3}
        if dice.random() < 0.2:
            body["logit_bias"] = {str(dice.randint(300, 2000)): 3}
        if dice.random() < 0.5:
            out.append(("/v1/completions", body | {"prompt": (HEAD if dice.random() < 0.4 else "") + question}))
            continue
        system = [{"role": "system", "content": HEAD}] if dice.random() < 0.4 else []
        body["messages"] = [*system, {"role": "user", "content": question * dice.choice([1, 1, 8])}]
        if dice.random() < 0.3:
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}
            body.pop("stop", None)
        if dice.random() < 0.3:
            body |= {"logprobs": True, "top_logprobs": 2}
        out.append(("/v1/chat/completions", body))
    return out


class Left(Exception):
    """The client went away, as it had meant to."""


def leave(connection: http.client.HTTPConnection, dice: random.Random) -> None:
    """Goodbye, or no word at all (RST)."""
    if connection.sock is not None and dice.random() < 0.5:
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    raise Left


def ask(port: int, path: str, body: dict, dice: random.Random | None = None, leaves: bool = False) -> tuple[int, object]:
    """(status, (text, reason)) of a request, streamed or not by the dice; raises Left where the client goes away."""
    stream = dice is not None and dice.random() < 0.6
    raw = json.dumps({**body, "stream": True} if stream else body).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.putrequest("POST", path)
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(raw)))
    connection.endheaders()
    way = dice.choice(["half", "at once", "later", "later"]) if leaves and dice else ""
    if way == "half":
        connection.send(raw[: len(raw) // 2])
        time.sleep(dice.random() * 0.1)
        leave(connection, dice)
    connection.send(raw)
    if way == "at once" or (way == "later" and not stream):
        time.sleep(dice.random() * (0 if way == "at once" else 2))
        leave(connection, dice)
    response = connection.getresponse()
    if response.status != 200 or not stream:
        value = json.loads(response.read())
        connection.close()
        if response.status != 200:
            return response.status, (value, response.getheader("Retry-After"))
        choice = value["choices"][0]
        return 200, (choice["text"] if "text" in choice else choice["message"]["content"], choice["finish_reason"])
    text, reason, left, ended = "", None, dice.randint(1, 12) if way else -1, False
    while line := response.readline():
        if not line.startswith(b"data: "):
            continue
        if line.startswith(b"data: [DONE]"):
            ended = True
            break
        event = json.loads(line[6:])
        if "error" in event:
            return 500, event
        for choice in event["choices"]:
            text += choice["text"] if "text" in choice else choice["delta"].get("content") or ""
            reason = choice["finish_reason"] or reason
        left -= 1
        if left == 0:
            leave(connection, dice)
    connection.close()
    return (200, (text, reason)) if ended else (0, "the stream had no end")


class Load:
    """The clients, and what they found."""

    def __init__(self, port: int, asked: list, expected: list, a: argparse.Namespace):
        self.port, self.asked, self.expected, self.a = port, asked, expected, a
        self.lock, self.until = threading.Lock(), time.monotonic() + 60 * a.minutes
        self.found: collections.Counter = collections.Counter()
        self.times: list[float] = []
        self.problems: list[str] = []

    def client(self, number: int) -> None:
        dice = random.Random(number)
        while time.monotonic() < self.until:
            index = dice.randrange(len(self.asked))
            begun, wait = time.monotonic(), 0.0
            try:
                status, got = ask(self.port, *self.asked[index], dice, dice.random() < self.a.leaving)
                what = f"status {status}"
                if status == 200:
                    what = "finished" if got == self.expected[index] else f"another text: {self.asked[index]}: {got!r}, alone {self.expected[index]!r}"
                elif status == 429:
                    what, wait = "told 429", float(got[1] or 0)  # type: ignore[index]
                else:
                    what = f"status {status}: {got}"
            except Left:
                what = "left"
            except Exception as problem:
                what = f"{type(problem).__name__}: {problem}"
            with self.lock:
                if what in ("finished", "told 429", "left"):
                    self.found[what] += 1
                    if what == "finished":
                        self.times.append(time.monotonic() - begun)
                else:
                    self.found["unexplained"] += 1
                    self.problems.append(what)
            time.sleep(wait)


def fill(port: int, parallel: int, positions: int) -> None:
    """Writes every page of the cache: as many prompts at once as there is room for, no two with the same beginning; and again, so that none is left out."""
    dice = random.Random(5)
    for _ in range(2):
        bodies = [{"prompt": [dice.randint(300, 3000) for _ in range(positions - 8)], "max_tokens": 4, "ignore_eos": True} for _ in range(parallel)]
        threads = [threading.Thread(target=ask, args=(port, "/v1/completions", body)) for body in bodies]
        for one in threads:
            one.start()
        for one in threads:
            one.join()


def gauge(port: int, name: str) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name + " "))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", type=Path, default=os.environ.get("LLAMA2SWIFT_MODEL"))
    p.add_argument("--minutes", type=float, default=5)
    p.add_argument("--clients", type=int, default=64)
    p.add_argument("--cases", type=int, default=60)
    p.add_argument("--parallel", type=int, default=8)
    p.add_argument("--queue", type=int, default=48, help="less than there are clients, so that some are told 429")
    p.add_argument("--leaving", type=float, default=0.3, help="part of the requests whose client goes away")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--output", type=Path, default=RESULTS / "LOAD.md")
    a = p.parse_args()
    model = a.model or fetch_model.fetch()
    asked = cases(a.cases)
    with Server("ours", model, 1, 1024, a.threads) as server:
        expected = []
        for path, body in asked:
            status, got = ask(server.port, path, body)
            if status != 200:
                raise SystemExit(f"{path} {body}: {got}")
            expected.append(got)
    memory: list[tuple[float, int]] = []
    with Server("ours", model, a.parallel, 1024, a.threads, ["--queue", str(a.queue)]) as server:
        before = server.memory()
        fill(server.port, a.parallel, 1024)
        filled = server.memory()
        load = Load(server.port, asked, expected, a)
        begun = time.monotonic()
        threads = [threading.Thread(target=load.client, args=(i,)) for i in range(a.clients)]
        for one in threads:
            one.start()
        while any(one.is_alive() for one in threads):
            time.sleep(min(2.0, 60 * a.minutes / 50))
            memory.append((time.monotonic() - begun, server.memory()))
        seconds = time.monotonic() - begun
        until = time.monotonic() + 30
        while (inside := gauge(server.port, "llama2swift_requests_inside")) and time.monotonic() < until:
            time.sleep(0.2)
        generated, left_at = gauge(server.port, "llama2swift_generated_tokens_total"), server.memory()
        again = [ask(server.port, *one)[1] for one in asked[:8]]
        words = server.words()
    warm = max(m for t, m in memory if t <= 60 * a.minutes / 5)
    last = max(m for t, m in memory if t > 60 * a.minutes * 4 / 5)
    mib = lambda n: f"{n / 2**20:.0f} MiB"  # noqa: E731
    found = load.found
    checks = {
        "every error is explained": (not load.problems, f"{len(load.problems)} unexplained; {found['told 429']} answers were 429, as the queue was full"),
        "every finished text is that of the request alone": (found["finished"] > 0 and not any("another text" in p for p in load.problems), f"{found['finished']} texts of {len(asked)} requests"),
        "memory is flat": (last <= warm + GROWTH, f"{mib(before)} at the start, {mib(filled)} with the cache full, {mib(warm)} at most in the first fifth, {mib(last)} at most in the last, {mib(left_at)} at the end"),
        "nothing is left inside, and the server answers as before": (inside == 0 and again == expected[:8], f"{inside:g} requests inside"),
        "the server's log has no trace of an error": ("Traceback" not in words, words.strip().splitlines()[-1][:200] if words.strip() else "empty"),
    }  # fmt: skip
    good = all(ok for ok, _ in checks.values())
    lines = [
        "# Load", "",
        f"`load.py --minutes {a.minutes:g}` wrote this page on {time.strftime('%Y-%m-%d')}: {a.clients} clients ask {Path(model).name} without a pause ({len(asked)} different requests: chats and completions, streams and whole "
        f"answers, temperatures, penalties, stops, schemas, shared heads), {100 * a.leaving:.0f} % of the requests by clients that go away: with half of a body sent, at once, or in the middle of a stream, with FIN or RST. "
        f"`--parallel {a.parallel} --queue {a.queue}`, {a.threads} threads, llama2swift {llama2swift.__version__}, kernels {llama2swift.kernels_available()[-1]}, on a machine that did other work, too: speed is not what this is about.", "",
        f"{sum(found.values())} requests in {seconds:.0f} s: {found['finished']} finished, {found['left']} left, {found['told 429']} told 429, {found['unexplained']} else; {generated:.0f} tokens generated; a finished one took {at(load.times, 50):.1f} s (p50), {at(load.times, 99):.1f} s (p99).", "",
        "| check | | |", "|---|---|---|",
        *(f"| {name} | {'holds' if ok else '**fails**'} | {what} |" for name, (ok, what) in checks.items()),
        "", "Memory each tenth of the time: " + ", ".join(mib(max([m for t, m in memory if i <= 10 * t / seconds <= i + 1] or [0])) for i in range(10)) + ".",
    ]  # fmt: skip
    lines += ["", *[f"- {problem}" for problem in load.problems[:20]]] if load.problems else []
    a.output.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
