"""What may be said on the command line: one parser a command, each with an example."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import NoReturn

from . import bench, chat, evaluate, files, info, run, serve, state, text
from .terminal import harmless


class Parser(argparse.ArgumentParser):
    """Errors are one line here too, and where help is to be had."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, harmless(f"{self.prog}: {message} (see {self.prog} --help)") + "\n")


class Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from .. import __version__, _library

        print(f"llama2swift {__version__} ({_library._cdll._name})")
        raise SystemExit(0)


def whole(least: int, most: int = 2**32 - 1) -> Callable[[str], int]:
    """A whole number of that range."""

    def number(given: str) -> int:
        try:
            value = int(given)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{given!r} is no whole number") from None
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not in the range {least} to {most}")
        return value

    return number


def finite(given: str) -> float:
    try:
        value = float(given)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{given!r} is no number") from None
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{given} is not finite")
    return value


def some(given: str) -> str:
    if not given:
        raise argparse.ArgumentTypeError("an empty text stops nothing")
    return given


def rule(given: str) -> tuple[str, str]:
    part, equals, kind = given.partition("=")
    if not (part and equals and kind):
        raise argparse.ArgumentTypeError(f"{given!r} is not PART=TYPE")
    return part, capitals(kind)


def capitals(given: str) -> str:
    """A type as llama.cpp's tools take it, q4_k_m too; what is no ASCII has capitals of other letters."""
    return given.upper() if given.isascii() else given


def mix(given: str) -> str:
    """The same of a file: Q3_K, Q4_K and Q5_K are their mixes M there."""
    name = capitals(given)
    return f"{name}_M" if name in ("Q3_K", "Q4_K", "Q5_K") else name


def template(p: argparse.ArgumentParser) -> None:
    p.add_argument("--chat-template", metavar="TEMPLATE", help="Jinja, a file with it, the name of one of the model's templates or a format's, in place of the model's usual one")


def kernels(p: argparse.ArgumentParser) -> None:
    p.add_argument("--kernels", default="best", help="best, reference, avx2, avxvnni, avx512, avx512vbmi, neon, dotprod or i8mm")


def parser() -> argparse.ArgumentParser:
    root = Parser(prog="llama2swift", description="Llama inference on the CPU.", epilog="llama2swift COMMAND --help shows an example of each.")
    root.add_argument("--version", action=Version, nargs=0, help="the version, and which library is used")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(
        function: Callable[[argparse.Namespace], int | None], example: str, *, context: str | None = "the model's, at most 4096", several: bool = False
    ) -> argparse.ArgumentParser:
        name = function.__name__
        p = commands.add_parser(
            name, help=(function.__doc__ or "").splitlines()[0], description=function.__doc__, epilog=f"example:\n  llama2swift {name} {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        p.set_defaults(function=function)
        what = "GGUF (of several files the first), a Hugging Face folder, Meta's folder, or a llama2.c checkpoint"
        if several:
            p.add_argument("models", nargs="+", metavar="model", help=what + "; NAME=PATH gives it another name than its file's")
        else:
            p.add_argument("model", help=what)
        p.add_argument("-t", "--threads", type=whole(0), default=0, help="default: the CPUs of this process")
        if context is not None:
            p.add_argument("-c", "--context", type=whole(0), default=0, help=f"positions; default: {context}")
        return p

    p = command(chat.chat, 'model.gguf --system "Answer in one sentence."')
    sampling(p)
    template(p)
    p.add_argument("--system", help="a system prompt")
    p.add_argument("--draft", metavar="FILE", help="a smaller model with the same vocabulary, which guesses; the text is the same")
    p.add_argument("--load", metavar="FILE", help="go on with a conversation that /save wrote")
    p.add_argument("--no-history", action="store_true", help="keep no history of what is typed")

    p = command(run.run, 'model.gguf "Once upon a time" -n 100 --temperature 0')
    sampling(p)
    p.add_argument("prompt", nargs="?", help="default: standard input")
    p.add_argument("--stop", action="append", type=some, default=[], metavar="TEXT", help="ends the text; may be given several times")
    p.add_argument("--draft", metavar="FILE", help="a smaller model with the same vocabulary, which guesses; the text is the same")

    p = command(serve.serve, "model.gguf --port 8080 --api-key secret", several=True)
    serving(p)

    p = command(state.state, 'model.gguf talk.state --prompt "Once upon a time"')
    p.add_argument("file", help="the state: written with --prompt, otherwise read and gone on with")
    p.add_argument("--prompt", help="evaluate this text and write the state that follows it; - for standard input")
    p.add_argument("--force", action="store_true", help="replace a file that is there")
    sampling(p)
    p.set_defaults(usual={name: p.get_default(name) for name in ("max_tokens", "temperature", "top_k", "top_p", "min_p", "seed", "repetition_penalty")})

    p = command(info.info, "model.gguf")
    p.add_argument("--json", action="store_true", help="for programs")

    p = command(bench.bench, "model.gguf -p 512 -n 64 -r 5", context=None)
    p.add_argument("-p", "--prompt", type=whole(1), default=512, metavar="N", help="tokens of the prompt, default %(default)s")
    p.add_argument("-n", "--generate", type=whole(1), default=64, metavar="N", help="tokens that are decoded, default %(default)s")
    p.add_argument("-r", "--repeat", type=whole(1, 10000), default=5, metavar="N", help="runs, of which the median counts, default %(default)s")
    kernels(p)
    footprint(p)
    p.add_argument("--json", action="store_true", help="for programs")

    p = command(evaluate.evaluate, "model.gguf --tasks hellaswag,mmlu --data folder --limit 100 --json card.json")
    p.add_argument("--tasks", "--suite", default="card", metavar="NAMES", help="card for all of it, or tasks with commas between; default %(default)s")
    p.add_argument("--data", required=True, metavar="FOLDER", help="the data files, NAME.jsonl, also packed as .xz or .gz; hub:FOLDER fetches what is missing from the Hugging Face hub")
    p.add_argument("--limit", type=whole(1), metavar="N", help="items of each task; default: all")
    p.add_argument("--seed", type=whole(0, 2**64 - 1), default=0, help="which items, and what is drawn; default %(default)s")
    p.add_argument("--chat", action="store_true", help="ask in the model's chat template")
    p.add_argument("--kv", default="f16", choices=("f16", "f32"), help="the KV cache, default %(default)s")
    kernels(p)
    p.add_argument("--allow-code", action="store_true", help="run programs that the model writes (HumanEval, MBPP), in a sandbox")
    p.add_argument("--classifier", metavar="FOLDER", help="judges ToxiGen: a Hugging Face folder; needs transformers")
    footprint(p)
    p.add_argument("--json", metavar="FILE", help="write the results; FILE.items keeps each answer, so that a run that ended goes on")
    p.add_argument("--card", metavar="FILE", help="write the card as Markdown")
    p.add_argument("--picture", metavar="FILE", help="write the card as SVG")
    p.add_argument("--force", action="store_true", help="replace files that are there, and answers of another run")

    p = command(files.quantize, "model.gguf small.gguf Q4_K_M", context=None)
    p.add_argument("output", help="the GGUF that is written")
    p.add_argument("type", nargs="?", type=mix, default="Q4_K_M", help="F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K to Q6_K, or a mix of llama.cpp's; default %(default)s")
    p.add_argument("--tensor-type", action="append", type=rule, default=[], metavar="PART=TYPE", help="for tensors with PART in their name")
    p.add_argument("--importance", metavar="FILE", help="an importance matrix, of `llama2swift importance` or of llama.cpp")
    p.add_argument("--force", action="store_true", help="replace an output that is there")

    p = command(files.importance, "model.gguf text.txt imatrix.gguf", context="512")
    p.add_argument("file", help="a text; - for standard input")
    p.add_argument("output", help="the importance matrix that is written")
    p.add_argument("--force", action="store_true", help="replace an output that is there")

    p = command(files.convert, "folder-of-hugging-face model.gguf F16", context=None)
    p.add_argument("output", help="the GGUF that is written")
    p.add_argument("type", nargs="?", type=capitals, default="F16", help="F32, F16, BF16 or Q8_0; default %(default)s")
    p.add_argument("--force", action="store_true", help="replace an output that is there")

    p = command(text.perplexity, "model.gguf text.txt -c 512", context="512")
    p.add_argument("file", help="a text; - for standard input")
    p.add_argument("--json", action="store_true", help="for programs")

    p = command(text.embed, 'model.gguf "a text" "another one" --pooling mean --normalize', context="what the longest text takes")
    p.add_argument("text", nargs="*", help="default: each line of standard input that is not empty")
    p.add_argument("--pooling", choices=["mean", "last", "first"], default="mean", help="how the tokens of a text become one; default %(default)s")
    p.add_argument("--normalize", action="store_true", help="to the length 1")

    p = command(text.score, 'model.gguf "The capital of France is" " Paris"', context=None)
    p.add_argument("prompt")
    p.add_argument("continuation")
    p.add_argument("--json", action="store_true", help="for programs")
    return root


def footprint(p: argparse.ArgumentParser) -> None:
    p.add_argument("--watts", type=finite, metavar="W", help="what the machine takes; default: as the processors count it, else estimated")
    p.add_argument("--energy", metavar="FOLDER", help="where the kernel counts energy, default /sys/class/powercap")
    p.add_argument("--intensity", type=finite, metavar="G", help="grams of CO2 equivalent a kWh; default: the card's 423.5")
    p.add_argument("--country", metavar="ISO", help="the intensity of a country, three letters; needs codecarbon")


def sampling(p: argparse.ArgumentParser) -> None:
    p.add_argument("-n", "--max-tokens", type=whole(0), default=0, metavar="N", help="default: until the end")
    samplers(p)
    p.add_argument("--repetition-penalty", type=finite, default=1.0, metavar="X", help="1 is off; default 1.0")
    p.add_argument("--stats", action="store_true", help="speed, on standard error")


def serving(p: argparse.ArgumentParser) -> None:
    p.add_argument("--host", default="127.0.0.1", help="the address to listen at, or several with commas between; default %(default)s, 0.0.0.0 for every network")
    p.add_argument("--port", type=whole(0, 65535), default=8080, help="default %(default)s; 0: one that is free")
    p.add_argument("--alias", action="append", default=[], metavar="NAME", help="what requests call the model; the next one is for the next model")
    p.add_argument("--any-model", action="store_true", help="serve the first model whatever a request calls it, for clients with a fixed name")
    p.add_argument("--api-key", action="append", default=[], metavar="KEY", help="what clients must know; may be given several times; or in LLAMA2SWIFT_API_KEY")
    p.add_argument("--api-key-file", metavar="FILE", help="keys, one a line")
    p.add_argument("--cors-origin", action="append", default=[], metavar="ORIGIN", help="whose pages may ask this server, * for all, localhost for those of this machine; default: its own only")
    p.add_argument("--parallel", type=whole(1, 256), default=4, metavar="N", help="requests that are worked on at the same time; default %(default)s")
    p.add_argument("--request-context", type=whole(0), default=0, metavar="N", help="positions of one request; default: as many as there are")
    p.add_argument("--batch-size", type=whole(0), default=0, metavar="N", help="tokens of one pass")
    p.add_argument("--kv", choices=["f16", "f32"], default="f16", help="numbers of the cache; default %(default)s")
    p.add_argument("--copy", action="store_true", help="read model files into memory instead of mapping them: whoever shortens one while it is served does no harm")
    p.add_argument("--interleave", action="store_true", help="read model files into memory, page by page in turn on each memory node of a machine that has several (NUMA)")
    p.add_argument("--draft", metavar="FILE", help="a smaller model with the same vocabulary, which guesses; texts are the same")
    p.add_argument("--max-loaded", type=whole(0), default=0, metavar="N", help="models in memory at the same time; default: all")
    p.add_argument("--idle-unload", type=positive, default=0.0, metavar="SECONDS", help="unload a model that nobody has asked for so long; default: never")
    p.add_argument("--queue", type=whole(1, 100_000), default=64, metavar="N", help="requests that run or wait; the next one is told 429; default %(default)s")
    p.add_argument("--max-body", type=whole(1, 2**40), default=8 << 20, metavar="BYTES", help="the largest request; default %(default)s")
    p.add_argument("--body-timeout", type=some_time, default=30.0, metavar="SECONDS", help="until a request is there; default %(default)s")
    p.add_argument("--write-timeout", type=some_time, default=60.0, metavar="SECONDS", help="until a client reads on; default %(default)s")
    p.add_argument("--timeout", type=positive, default=600.0, metavar="SECONDS", help="of an answer; 0: none; default %(default)s")
    p.add_argument("-n", "--max-tokens", type=whole(0), default=0, metavar="N", help="of an answer; default: what the context holds")
    template(p)
    p.add_argument("--no-page", action="store_true", help="without the page at /")
    p.add_argument("--slots", action="store_true", help="with /slots, as llama-server has it")
    p.add_argument("--no-metrics", action="store_true", help="without /metrics")
    p.add_argument("--grace", type=positive, default=30.0, metavar="SECONDS", help="for what runs when the server is told to end; default %(default)s")
    p.add_argument("--log", choices=["debug", "info", "warning", "error", "critical"], default="warning", help="default %(default)s")
    samplers(p)


def positive(given: str) -> float:
    value = finite(given)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{given} is less than zero")
    return value


def some_time(given: str) -> float:
    value = positive(given)
    if value == 0:
        raise argparse.ArgumentTypeError("nothing is done in no time")
    return value


def samplers(p: argparse.ArgumentParser) -> None:
    for name, kind, default, what in (
        ("temperature", finite, 0.8, "0 takes the most probable token"),
        ("top-k", whole(0, 2**31 - 1), 40, "0 is off"),
        ("top-p", finite, 0.95, "1 is off"),
        ("min-p", finite, 0.05, "0 is off"),
        ("seed", whole(0, 2**64 - 1), None, "the same seed gives the same text"),
    ):
        names = ["--" + name] + (["--temp"] if name == "temperature" else [])
        p.add_argument(*names, type=kind, default=default, metavar="X", help=f"{what}; default {'another one each time' if default is None else default}")
