"""What may be said on the command line: one parser a command, each with an example."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import NoReturn

from . import bench, chat, files, info, run, text
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
    return part, kind


def parser() -> argparse.ArgumentParser:
    root = Parser(prog="llama2swift", description="Llama inference on the CPU.", epilog="llama2swift COMMAND --help shows an example of each.")
    root.add_argument("--version", action=Version, nargs=0, help="the version, and which library is used")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(function: Callable[[argparse.Namespace], int | None], example: str, *, context: bool = True) -> argparse.ArgumentParser:
        name = function.__name__
        p = commands.add_parser(
            name, help=(function.__doc__ or "").splitlines()[0], description=function.__doc__, epilog=f"example:\n  llama2swift {name} {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        p.set_defaults(function=function)
        p.add_argument("model", help="GGUF (of several files the first), a Hugging Face folder, Meta's folder, or a llama2.c checkpoint")
        p.add_argument("-t", "--threads", type=whole(0), default=0, help="default: the CPUs of this process")
        if context:
            p.add_argument("-c", "--context", type=whole(0), default=0, help="positions; default: the model's, at most 4096")
        return p

    p = command(chat.chat, 'model.gguf --system "Answer in one sentence."')
    sampling(p)
    p.add_argument("--system", help="a system prompt")
    p.add_argument("--load", metavar="FILE", help="go on with a conversation that /save wrote")
    p.add_argument("--no-history", action="store_true", help="keep no history of what is typed")

    p = command(run.run, 'model.gguf "Once upon a time" -n 100 --temperature 0')
    sampling(p)
    p.add_argument("prompt", nargs="?", help="default: standard input")
    p.add_argument("--stop", action="append", type=some, default=[], metavar="TEXT", help="ends the text; may be given several times")

    p = command(info.info, "model.gguf")
    p.add_argument("--json", action="store_true", help="for programs")

    p = command(bench.bench, "model.gguf -p 512 -n 64 -r 5", context=False)
    p.add_argument("-p", "--prompt", type=whole(1), default=512, metavar="N", help="tokens of the prompt, default %(default)s")
    p.add_argument("-n", "--generate", type=whole(1), default=64, metavar="N", help="tokens that are decoded, default %(default)s")
    p.add_argument("-r", "--repeat", type=whole(1, 10000), default=5, metavar="N", help="runs, of which the median counts, default %(default)s")
    p.add_argument("--kernels", default="best", help="best, reference, avx2 or avx512")
    p.add_argument("--json", action="store_true", help="for programs")

    p = command(files.quantize, "model.gguf small.gguf Q4_K_M", context=False)
    p.add_argument("output", help="the GGUF that is written")
    p.add_argument("type", nargs="?", default="Q4_K_M", help="F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K to Q6_K, or a mix of llama.cpp's; default %(default)s")
    p.add_argument("--tensor-type", action="append", type=rule, default=[], metavar="PART=TYPE", help="for tensors with PART in their name")
    p.add_argument("--importance", metavar="FILE", help="an importance matrix, of `llama2swift importance` or of llama.cpp")
    p.add_argument("--force", action="store_true", help="replace an output that is there")

    p = command(files.importance, "model.gguf text.txt imatrix.gguf")
    p.add_argument("file", help="a text; - for standard input")
    p.add_argument("output", help="the importance matrix that is written")
    p.add_argument("--force", action="store_true", help="replace an output that is there")

    p = command(files.convert, "folder-of-hugging-face model.gguf F16", context=False)
    p.add_argument("output", help="the GGUF that is written")
    p.add_argument("type", nargs="?", default="F16", help="F32, F16, BF16 or Q8_0; default %(default)s")
    p.add_argument("--force", action="store_true", help="replace an output that is there")

    p = command(text.perplexity, "model.gguf text.txt -c 512")
    p.add_argument("file", help="a text; - for standard input")
    p.add_argument("--json", action="store_true", help="for programs")

    p = command(text.score, 'model.gguf "The capital of France is" " Paris"', context=False)
    p.add_argument("prompt")
    p.add_argument("continuation")
    p.add_argument("--json", action="store_true", help="for programs")
    return root


def sampling(p: argparse.ArgumentParser) -> None:
    p.add_argument("-n", "--max-tokens", type=whole(0), default=0, metavar="N", help="default: until the end")
    for name, kind, default, what in (
        ("temperature", finite, 0.8, "0 takes the most probable token"),
        ("top-k", whole(0, 2**31 - 1), 40, "0 is off"),
        ("top-p", finite, 0.95, "1 is off"),
        ("min-p", finite, 0.05, "0 is off"),
        ("repetition-penalty", finite, 1.0, "1 is off"),
        ("seed", whole(0, 2**64 - 1), None, "the same seed gives the same text"),
    ):
        names = ["--" + name] + (["--temp"] if name == "temperature" else [])
        p.add_argument(*names, type=kind, default=default, metavar="X", help=f"{what}; default {'another one each time' if default is None else default}")
    p.add_argument("--stats", action="store_true", help="speed, on standard error")
