"""Writes the manual page llama2swift.1 from the command line's own descriptions: python3 Bindings/C/make_man.py

The page is committed; Tests/python/test_install.py compares it.
"""

import argparse
import re
from pathlib import Path

from llama2swift.cli.arguments import parser

PAGE = Path(__file__).parent / "llama2swift.1"


def escape(text: str) -> str:
    """Text for roff: backslashes, hyphens that may be typed, and dots that would begin a request."""
    return re.sub(r"^([.'])", r"\\&\1", text.replace("\\", "\\e").replace("-", "\\-"), flags=re.MULTILINE)


def option(action: argparse.Action) -> str:
    """.TP, the spelling, what it means."""
    if action.option_strings:
        value = "" if action.nargs == 0 else " \\fI" + escape(action.metavar or action.dest.upper()) + "\\fR"
        names = ", ".join(f"\\fB{escape(name)}\\fR" for name in action.option_strings) + value
    else:
        names = f"\\fI{escape(action.dest)}\\fR"
    told = (action.help or "").replace("%(default)s", str(action.default))
    return f".TP\n{names}\n{escape(told)}\n" if told else f".TP\n{names}\n"


def page() -> str:
    root = parser()
    commands = next(a for a in root._actions if isinstance(a, argparse._SubParsersAction))
    out = [
        ".\\\" made by Bindings/C/make_man.py\n.TH LLAMA2SWIFT 1\n.SH NAME\nllama2swift \\- Llama inference on the CPU\n"
        ".SH SYNOPSIS\n.B llama2swift\n.I COMMAND model\n[\\fIoptions\\fR]\n.br\n.B llama2swift \\-\\-version\n"
        ".SH DESCRIPTION\nThe command comes with the Python package llama2swift. Programs in C use the library libllama2swift: the header\n"
        ".I llama2swift.h\nis its manual; compile with\n.PP\n.nf\n    cc program.c $(pkg\\-config \\-\\-cflags \\-\\-libs llama2swift)\n.fi\n"
        ".SH COMMANDS\n"
    ]
    for name, command in commands.choices.items():
        out.append(f".SS {name}\n{escape(command.description or '')}\n")
        out += [option(a) for a in command._actions if a.dest != "help"]
        out.append(".PP\n.nf\n" + escape(command.epilog or "").replace("example:\n", "") + "\n.fi\n")
    out.append(
        ".SH EXIT STATUS\n0 done, 1 an error (one sentence on standard error), 2 a wrong command line, 130 Ctrl\\-C, 141 nobody reads any more.\n"
        ".SH FILES\n.TP\n\\fI~/.local/state/llama2swift/history\\fR\nwhat was typed in chats\n"
    )
    return "".join(out)


if __name__ == "__main__":
    PAGE.write_text(page())
