"""What `make demo` runs: a small model answers, through Python and through C, and a table of figures.

Usage: demo.py FOLDER-OF-C-EXAMPLES
"""

import json
import resource
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import fetch_model
import llama2swift

QUESTIONS = ["What is the capital of France, and what is it known for?", "Explain in two sentences why the sky is blue."]
TINY = Path(__file__).parents[2] / "Tests" / "fixtures" / "stories260K.bin"


def say(title: str) -> None:
    print(f"\n\033[1m{title}\033[0m" if sys.stdout.isatty() else f"\n== {title}")


def answer(context, tokens) -> float:
    """Streams an answer; the seconds to its first piece."""
    context.reset()
    start, first = time.perf_counter(), None
    for piece in context.generate(tokens, llama2swift.Sampler(temperature=0), max_tokens=150):
        first = first or time.perf_counter() - start
        print(piece, end="", flush=True)
    print()
    return first or 0


def over_http(path: Path, chat: bool, question: str) -> None:
    """A server is started, asked once as any client of OpenAI's interface asks, and ended."""
    command = [sys.executable, "-m", "llama2swift", "serve", str(path), "--port", "0", "--context", "2048"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            said = next((line for line in server.stderr if " at http" in line), "")
            if not said:
                print("no server: pip install llama2swift[server]")
                return
            address = said.split(" at ")[-1].strip()
            asked = {"messages": [{"role": "user", "content": question}]} if chat else {"prompt": question}
            body = json.dumps({**asked, "max_tokens": 60, "temperature": 0}).encode()
            url = f"{address}/v1/{'chat/completions' if chat else 'completions'}"
            with urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"}), timeout=120) as answered:
                choice = json.load(answered)["choices"][0]
            print(choice["message"]["content"] if chat else choice["text"])
            print(f"\nThat was {url}. To open a page in a browser: llama2swift serve {path}, then http://127.0.0.1:8080")
        finally:
            server.terminate()


def main() -> None:
    examples = Path(sys.argv[1])
    try:
        path, chat = fetch_model.fetch(), True
    except SystemExit as problem:
        print(f"{problem}\nWithout it, a tiny model that comes with the project tells a story.")
        path, chat = TINY, False

    start = time.perf_counter()
    model = llama2swift.Model(path)
    context = model.context(length=2048)
    load = time.perf_counter() - start
    prefilled = decoded = prefill = decode = 0.0
    first = 0.0
    for question in QUESTIONS if chat else ["Once upon a time"]:
        say(f"Python: {question}")
        tokens = model.chat_tokens([{"role": "user", "content": question}]) if chat else model.tokenize_prompt(question)
        seconds = answer(context, tokens)
        first = first or seconds
        t = context.timings
        prefilled, prefill = prefilled + t.prefill_tokens, prefill + t.prefill_seconds
        decoded, decode = decoded + t.decode_tokens, decode + t.decode_seconds

    question = "Name three rivers of Europe." if chat else "One day, a cat"
    say(f"C: {question}")
    subprocess.run([examples / ("chat" if chat else "minimal"), path, question], check=True)

    question = "Name three seas." if chat else "One day, a dog"
    say(f"HTTP: {question}")
    over_http(path, chat, question)

    say(f"{model.description}, {context.info.threads} threads, {context.info.kernels}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for name, value in (
        ("load", f"{load * 1e3:.0f} ms"),
        ("time to first token", f"{first * 1e3:.0f} ms"),
        ("prefill", f"{prefilled / prefill:.0f} tokens/s" if prefill else "-"),
        ("decode", f"{decoded / decode:.0f} tokens/s" if decode else "-"),
        ("peak memory", f"{peak:.0f} MiB, Python and the mapped file included"),
    ):
        print(f"  {name:20} {value}")


if __name__ == "__main__":
    main()
