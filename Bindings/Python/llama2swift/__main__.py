"""python -m llama2swift chat | run | info | bench | quantize | importance | convert | perplexity"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

import llama2swift
from llama2swift import Context, Llama2Error, Model, Sampler


def _sampler(a: argparse.Namespace) -> Sampler:
    return Sampler(
        temperature=a.temperature, top_k=a.top_k, top_p=a.top_p, min_p=a.min_p, repetition_penalty=a.repetition_penalty,
        seed=a.seed if a.seed is not None else int.from_bytes(os.urandom(8), "little"),
    )  # fmt: skip


def _show(context: Context, tokens: list[int], a: argparse.Namespace, stop=()) -> str:
    text = ""
    with context.generate(tokens, _sampler(a), max_tokens=a.max_tokens, stop=stop) as pieces:
        for piece in pieces:
            print(piece, end="", flush=True)
            text += piece
    print()
    return text


def run(a: argparse.Namespace) -> None:
    """Goes on with a text."""
    model = Model(a.model)
    prompt = a.prompt if a.prompt is not None else sys.stdin.read()
    tokens = model.tokenize_prompt(prompt)
    context = model.context(a.context, a.threads)
    print(prompt, end="", flush=True)
    _show(context, tokens, a, a.stop)
    if a.stats:
        _statistics(context)


def chat(a: argparse.Namespace) -> None:
    """Talks; the cache keeps what two turns have in common."""
    model = Model(a.model)
    context = model.context(a.context, a.threads)
    messages = [{"role": "system", "content": a.system}] if a.system else []
    cached: list[int] = []
    interactive = sys.stdin.isatty()
    if interactive:
        print(f"{model.description}. An empty line or end of input ends the talk.")
    while True:
        if interactive:
            print("> ", end="", flush=True)
        line = sys.stdin.readline().strip()
        if not line:
            break
        messages.append({"role": "user", "content": line})
        tokens = model.chat_tokens(messages)
        common = 0
        # at least one token is evaluated, so that there are logits
        while common < min(len(cached), len(tokens) - 1) and cached[common] == tokens[common]:
            common += 1
        context.truncate(common)
        answer = _show(context, tokens[common:], a)
        messages.append({"role": "assistant", "content": answer})
        cached = tokens  # the next prompt may cut the answer into other tokens than those that were sampled
        if a.stats:
            _statistics(context)


def _statistics(context: Context) -> None:
    t = context.timings
    prefill = t.prefill_tokens / t.prefill_seconds if t.prefill_seconds else 0
    decode = t.decode_tokens / t.decode_seconds if t.decode_seconds else 0
    print(
        f"[prefill {t.prefill_tokens} tokens, {prefill:.1f}/s; decode {t.decode_tokens} tokens, {decode:.1f}/s]",
        file=sys.stderr,
    )


def info(a: argparse.Namespace) -> None:
    """Says what a file holds and what it would take."""
    model = Model(a.model)
    print(model.description)
    for name, value in vars(model.hyperparameters).items():
        print(f"  {name:22} {value}")
    tokenizer = {"llama": "SentencePiece BPE", "gpt2": "byte-level BPE"}.get(model.metadata.get("tokenizer.ggml.model", ""), "none")
    print(f"tokenizer                {tokenizer}")
    if tokenizer != "none":
        for name, value in vars(model.special_tokens).items():
            text = model.detokenize([value], special=True) if type(value) is int else ""
            print(f"  {name:22} {'none' if value is None else value} {text!r}" if text else f"  {name:22} {'none' if value is None else value}")
        print(f"  {'chat_format':22} {model.chat_format or 'none that is known'}")
    memory = llama2swift.preflight(a.model, a.context, a.threads)
    print(f"memory for a context of {a.context or 'the default'} positions: {memory.total / 2**20:.1f} MiB")
    for name, value in vars(memory).items():
        print(f"  {name:22} {value / 2**20:.1f} MiB")
    print("tensors")
    by_type: dict[str, list] = {}
    for tensor in model.tensors:
        by_type.setdefault(tensor.type, []).append(tensor)
    for kind, tensors in sorted(by_type.items(), key=lambda item: -sum(t.bytes for t in item[1])):
        weights, size = sum(t.rows * t.columns for t in tensors), sum(t.bytes for t in tensors)
        print(f"  {kind:22} {len(tensors)} tensors, {weights / 1e6:.1f} M weights, {size / 2**20:.1f} MiB")
    print("metadata")
    for key, value in model.metadata.items():
        line = " ".join(value.split())
        print(f"  {key:40} {line if len(line) <= 100 else line[:97] + '...'}")


def bench(a: argparse.Namespace) -> None:
    """Measures prefill and decode: the median of some runs."""
    model = Model(a.model)
    context = model.context(a.prompt + a.generate, a.threads, kernels=a.kernels)
    vocabulary = model.hyperparameters.vocabulary_size
    prompt = [(7919 * i + 13) % vocabulary for i in range(a.prompt)]
    prefill, decode = [], []
    for _ in range(a.repeat):
        context.reset()
        start = time.perf_counter()
        context.eval(prompt)
        prefill.append(a.prompt / (time.perf_counter() - start))
        start = time.perf_counter()
        for i in range(a.generate):
            context.eval([(104729 * i + 17) % vocabulary])
        decode.append(a.generate / (time.perf_counter() - start))
    result = {
        "model": model.description, "threads": context.info.threads, "kernels": context.info.kernels,
        "prompt": a.prompt, "generate": a.generate, "prefill_tokens_per_second": sorted(prefill)[a.repeat // 2],
        "decode_tokens_per_second": sorted(decode)[a.repeat // 2],
    }  # fmt: skip
    if a.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:28} {value if not isinstance(value, float) else f'{value:.1f}'}")


def _bar(what: str):
    """A progress bar on standard error, when a person looks at it."""

    def show(part: float, note: str = "") -> None:
        if sys.stderr.isatty():
            done = int(40 * part)
            end = "\n" if part >= 1 else ""
            print(f"\r{what} [{'#' * done}{'.' * (40 - done)}] {100 * part:3.0f} % {note}", end=end, file=sys.stderr, flush=True)

    return show


def quantize(a: argparse.Namespace) -> None:
    """Writes a model of any format as GGUF with smaller weights."""
    overrides = dict(rule.split("=", 1) for rule in a.tensor_type)
    llama2swift.quantize(a.model, a.output, a.type, overrides=overrides, importance=a.importance, threads=a.threads, progress=_bar("quantize"))
    print(f"{a.output}: {Model(a.output).description}, {os.path.getsize(a.output) / 2**20:.1f} MiB")


def convert(a: argparse.Namespace) -> None:
    """Writes a model of any format as GGUF in F32, F16, BF16 or Q8_0."""
    llama2swift.convert(a.model, a.output, a.type, threads=a.threads, progress=_bar("convert"))
    print(f"{a.output}: {Model(a.output).description}, {os.path.getsize(a.output) / 2**20:.1f} MiB")


def importance(a: argparse.Namespace) -> None:
    """Writes how much each column of each matrix matters for a text, for quantize --importance."""
    model = Model(a.model)
    with open(a.file, encoding="utf-8") as file:
        tokens = model.tokenize_prompt(file.read())
    model.context(a.context or 512, a.threads).importance(tokens, a.output, progress=_bar("importance"))


def perplexity(a: argparse.Namespace) -> None:
    """Says how well a model predicts a text."""
    model = Model(a.model)
    with open(a.file, encoding="utf-8") as file:
        tokens = model.tokenize_prompt(file.read())
    context = model.context(a.context or 512, a.threads)
    bar = _bar("perplexity")
    result = context.perplexity(tokens, progress=lambda p, windows: bar(p.windows / windows, f"{p.value:.4f}"))
    print(f"perplexity {result.value:.4f} +/- {result.value * result.standard_error:.4f} ({result.tokens} tokens in {result.windows} windows)")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m llama2swift", description="Llama inference on the CPU.")
    commands = parser.add_subparsers(dest="command", required=True)

    def command(function, with_sampling: bool) -> argparse.ArgumentParser:
        p = commands.add_parser(function.__name__, help=function.__doc__)
        p.set_defaults(function=function)
        p.add_argument("model", help="GGUF, a Hugging Face folder, Meta's folder, or a llama2.c checkpoint")
        p.add_argument("-t", "--threads", type=int, default=0, help="default: the CPUs of this process")
        if function not in (bench, quantize, convert):
            p.add_argument("-c", "--context", type=int, default=0, help="positions; default: the model's, at most 4096")
        if with_sampling:
            p.add_argument("-n", "--max-tokens", type=int, default=0, help="default: until the end or a full context")
            p.add_argument("--temperature", "--temp", type=float, default=0.8)
            p.add_argument("--top-k", type=int, default=40)
            p.add_argument("--top-p", type=float, default=0.95)
            p.add_argument("--min-p", type=float, default=0.05)
            p.add_argument("--repetition-penalty", type=float, default=1.0)
            p.add_argument("--seed", type=int, help="default: another one each time")
            p.add_argument("--stats", action="store_true", help="speed, on standard error")
        return p

    p = command(chat, True)
    p.add_argument("--system", help="a system prompt")
    p = command(run, True)
    p.add_argument("prompt", nargs="?", help="default: standard input")
    p.add_argument("--stop", action="append", default=[], help="ends the text; may be given several times")
    command(info, False)
    p = command(bench, False)
    p.add_argument("-p", "--prompt", type=int, default=512)
    p.add_argument("-n", "--generate", type=int, default=64)
    p.add_argument("-r", "--repeat", type=int, default=5)
    p.add_argument("--kernels", default="best")
    p.add_argument("--json", action="store_true")
    p = command(quantize, False)
    p.add_argument("output")
    p.add_argument("type", nargs="?", default="Q4_K_M", help="default: %(default)s")
    p.add_argument("--tensor-type", action="append", default=[], metavar="PART=TYPE", help="for tensors with PART in their name")
    p.add_argument("--importance", metavar="FILE", help="an importance matrix, of `importance` or of llama.cpp")
    p = command(importance, False)
    p.add_argument("file", help="a text")
    p.add_argument("output")
    p = command(convert, False)
    p.add_argument("output")
    p.add_argument("type", nargs="?", default="F16", help="F32, F16 (default), BF16 or Q8_0")
    p = command(perplexity, False)
    p.add_argument("file", help="a text")
    return parser


def main() -> int:
    a = _parser().parse_args()
    try:
        a.function(a)
    except (Llama2Error, ValueError) as problem:
        print(f"llama2swift: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
