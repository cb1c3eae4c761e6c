#!/usr/bin/env python3
"""llama.cpp's own tests of its server, run against ours, and SERVER.md made of what they say.

    server_suite.py --tests vendor/llama.cpp/tools/server/tests [--work FOLDER] [--only test_basic.py] [--part EXPRESSION] [-n 2]
    server_suite.py --tests ... --page       the page from the results that are there

The tests are those of the sdist of llama-cpp-python, files unchanged; of conftest.py the fixture that downloads models is left out. They find
llama_server.py in the place of llama-server. Each test that does not apply is named here with its reason; all others apply, and count.
--part runs what pytest's -k chooses of --only once more (and makes no page); of each test the last run counts. On a loaded machine a server may not be there
within their 60 seconds: such tests are run again.
Needs pytest, pytest-timeout, pytest-rerunfailures, aiohttp, filelock, numpy, openai, prometheus-client, requests, wget, and the server's own packages.
"""

import argparse
import collections
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as tree
from pathlib import Path

HERE = Path(__file__).resolve().parent
# A file whose tests all need what is not here.
FILES = {
    "test_compat_anthropic.py": "Anthropic's interface", "test_compat_gcp.py": "Google's interface",
    "test_rerank.py": "a reranking model", "test_infill.py": "filling in, and a model for it: refused by its name", "test_kv_keep_only_active.py": "llama-server's slots and its log",
    "test_slot_save.py": "files of llama-server's slots", "test_sleep.py": "llama-server's sleep (ours: `--idle-unload`)", "test_lora.py": "a model and an adapter from a network",
    "test_speculative.py": "a model from a network (ours: `test_server.py`, `test_draft.py`)", "test_vision_api.py": "images", "test_router.py": "llama-server's router of processes, models from a network",
    "test_stream.py": "streams that are taken up again, models from a network", "test_mcp_servers.py": "tools that llama-server itself runs", "test_proxy.py": "llama-server's proxy for its page",
    "test_tools_builtin.py": "tools that llama-server itself runs",
}  # fmt: skip
# What is run of a file that is marked slow, or whose other tests need models from a network.
ONLY = {"test_tool_call.py": "test_completion_without_tool_call"}
DRAWN = "words of a text that llama.cpp's generator of random numbers draws at temperature 0.8"
# (what matches "file::test[parameters]", why it does not apply)
TESTS = [
    (r"test_completion.py::test_completion(_stream)?\[", DRAWN), (r"test_completion.py::test_completion_(stream_)?with_openai_library$", DRAWN),
    (r"test_chat_completion.py::test_chat_completion\[(?!codellama).*This is not", DRAWN), (r"test_chat_completion.py::test_chat_completion\[None-Book-(Hey|What)", DRAWN),
    (r"test_chat_completion.py::test_chat_completion_stream\[", DRAWN), (r"test_chat_completion.py::test_chat_completion_with_openai_library$", DRAWN),
    (r"test_chat_completion.py::test_chat_completion\[codellama", DRAWN),
    (r"test_chat_completion.py::test_chat_completion\[.*user_prompt\d", DRAWN + "; and parts of a message joined by line breaks, here by nothing, as OpenAI and transformers do"),
    (r"stops$|test_load_split_model", "a model from a network"), (r"test_tool_call.py::(?!test_completion_without)", "models from a network, their own ways to write calls (ours by schema: `test_server.py`)"),
    (r"test_completion_unified", "a text drawn at temperature 0.8 that must not end by itself before 90 tokens, as llama.cpp's does; and a pool of positions that is aborted as a whole, where requests wait here"),
    (r"test_chat_template_assistant_prefill", "an assistant's message at the end is gone on with unasked; here with `continue_final_message`"),
    (r"test_apply_chat_template", "the name of a template of llama.cpp's list; here a file is taken, or a name of the library's list"),
    (r"test_invalid_chat_completion_req\[messages7\]", "two answers in a row are refused; here the model's template decides, and ChatML takes them"),
    (r"test_return_progress|test_responses_stream_with_llama_telemetry", "`return_progress`: refused by its name"), (r"test_responses_(stream_)?with_openai_library$", DRAWN), (r"test_ctx_shift_enabled", "a server that shifts contexts"),
    (r"test_server_model_aliases_and_tags", "tags of a model, and names in a set's order"),
    (r"test_n_probs_post_backend_sampling", "samplers on a GPU"), (r"test_access_static_assets|test_cors_proxy|test_local_media_file", "files of llama-server's own page, its proxy, images"),
    (r"test_cors_options\[web.mydomain.fr-Access-Control-Allow-Headers-\*\]", "`*` for headers beside credentials, which no browser takes: the headers asked for are named"),
    (r"test_cors_origins_defaults_to_localhost_with_tools", "tools that llama-server itself runs"), (r"test_reasoning\[", "`--reasoning`: a template has its own variables (`chat_template_kwargs`)"),
    (r"test_date_inside_prompt", "`date_string` for templates; here they are rendered as transformers does it"),
    (r"test_metrics.py::(?!test_metrics_(disabled|timings_are_finite|slots_idle))", "llama-server's names of metrics; here Prometheus' library makes them"),
    (r"test_embedding_(pooling_none|usage|mixed_input\[.*(string-56|input3|input7|input8|input9|input10)|content_text|error_prompt)", "BERT's tokens and limits, a vector for each token, texts among tokens, inputs as objects"),
    (r"test_embedding_mixed_input\[-", "an empty text has BERT's two tokens; of a model without BOS and EOS it has none"),
]  # fmt: skip


def prepare(tests: Path, work: Path) -> Path:
    """A copy whose conftest downloads nothing, beside the files that tests reach for."""
    root = work / "llama.cpp"
    folder = root / "tools/server/tests"
    if not folder.exists():
        shutil.copytree(tests, folder)
        (root / "models").symlink_to(tests.resolve().parents[2] / "models")
    text = (tests / "conftest.py").read_text()
    (folder / "conftest.py").write_text(re.sub(r'@pytest\.fixture\(scope="session", autouse=True\)\ndef load_server_presets.*', "", text, flags=re.DOTALL))
    return folder


def run(a, folder: Path) -> None:
    files = a.only or sorted(f.name for f in (folder / "unit").glob("test_*.py") if f.name not in FILES)
    environment = {**os.environ, "LLAMA_SERVER_BIN_PATH": str(HERE / "llama_server.py"), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for name in files:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(["-k", a.part or ONLY[name]] if a.part or name in ONLY else ["-m", "not slow"]), f"--timeout={a.timeout}", "--reruns", "4", "--only-rerun", "TimeoutError",
                   "-n", str(a.n), f"--junitxml={a.work / name}.{int(time.time())}.xml", f"unit/{name}"]  # fmt: skip
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        (a.work / f"{name}.log").write_text(done.stdout + done.stderr)
        print(name, done.stdout.strip().splitlines()[-1:] or done.stderr[-300:], flush=True)


def collected(folder: Path) -> "dict[str, list[str]]":
    """The names of all tests, by file."""
    done = subprocess.run([sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "unit"], cwd=folder, capture_output=True, text=True)
    names: "dict[str, list[str]]" = collections.defaultdict(list)
    for line in done.stdout.splitlines():
        if "::" in line:
            names[line.split("::")[0].split("/", 1)[1]].append(line.split("/", 1)[1])
    return names


def why_not(name: str) -> "str | None":
    return next((why for pattern, why in TESTS if re.search(pattern, name)), None)


def page(a, folder: Path) -> str:
    rows, reasons, failing = [], collections.defaultdict(list), []
    total = applying = passing = beside = 0
    last: dict = collections.defaultdict(dict)
    tests = collected(folder)
    for path in sorted(a.work.glob("test_*.xml"), key=lambda path: path.stat().st_mtime):
        for case in tree.parse(path).getroot().iter("testcase"):
            last[path.name[: path.name.index(".py") + 3]][case.get("name")] = case
    for file, cases in sorted(last.items()):
        counts, ran = collections.Counter(), set()
        for case in cases.values():
            name = f"{file}::{case.get('name')}"
            passed, skipped = not any(case.find(k) is not None for k in ("failure", "error", "skipped")), case.find("skipped") is not None
            why = why_not(name) or ("skipped by the tests themselves on this machine" if skipped else None)
            counts["all"] += 1
            ran.add(name)
            counts["beside"] += bool(why and passed)
            if why:
                reasons[why].append(name)
            else:
                counts["apply"] += 1
                counts["pass"] += passed
                if not passed:
                    node = case.find("failure") if case.find("failure") is not None else case.find("error")
                    failing.append((name, (node.get("message") or "").splitlines()[0][:160]))
        for name in tests[file] if file in ONLY else ():
            if name not in ran:
                counts["all"] += 1
                reasons[why_not(name)].append(name)
        rows.append(f"| `{file}` | {counts['all']} | {counts['apply']} | {counts['pass']} |")
        total, applying, passing, beside = total + counts["all"], applying + counts["apply"], passing + counts["pass"], beside + counts["beside"]
    days = sorted({time.strftime("%Y-%m-%d %H:%M", time.localtime(path.stat().st_mtime)) for path in a.work.glob("test_*.xml")})
    others = {name: len(tests[name]) for name in FILES}
    lines = [
        "# The server beside llama.cpp's own tests of its server", "",
        "`server_suite.py` made this page: `vendor/llama.cpp/tools/server/tests` of the sdist llama_cpp_python-0.3.36, files of tests unchanged; of `conftest.py` the download of models before "
        "all tests is left out, tests that llama.cpp marks slow are run where they need no model from a network. `LLAMA_SERVER_BIN_PATH` is `llama_server.py`, which takes llama-server's options and becomes "
        "`llama2swift serve` with stories260K, whatever model is asked for. Each test that does not apply is named in the script with its reason. "
        f"Of each test the last run counts; the runs ended between {days[0]} and {days[-1]}.", "",
        f"**{total + sum(others.values())} tests: {applying} apply, {passing} of them pass unchanged: {100 * passing / max(applying, 1):.1f} %.** Of those that do not apply {beside} pass anyway.", "",
        "| file | tests | apply | pass |", "|---|---|---|---|", *rows, "",
        "## What fails", "", *([f"- `{name}`: {said}" for name, said in failing] or ["Nothing that applies."]), "",
        "## What does not apply, and why", "", "| tests | | why |", "|---|---|---|",
    ]  # fmt: skip
    for why, names in reasons.items():
        short = sorted({name.split("[")[0].split("::")[0][5:-3] + ": " + name.split("::")[1].split("[")[0][5:] for name in names})
        lines.append(f"| {len(names)} | {', '.join(short)} | {why} |")
    lines += [f"| {count} | all of `{name}` | {FILES[name]} |" for name, count in others.items()]
    return "\n".join(lines) + "\n"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tests", type=Path, required=True)
    p.add_argument("--work", type=Path, default=HERE.parents[1] / ".build/server_suite")
    p.add_argument("--only", action="append", default=[], metavar="FILE")
    p.add_argument("--part", metavar="EXPRESSION")
    p.add_argument("-n", type=int, default=2, help="tests at the same time")
    p.add_argument("--timeout", type=int, default=300)
    p.add_argument("--page", action="store_true")
    p.add_argument("--output", type=Path, default=HERE.parents[1] / "Bindings/Python/benchmarks/results/SERVER.md")
    a = p.parse_args()
    a.work.mkdir(parents=True, exist_ok=True)
    folder = prepare(a.tests, a.work)
    if not a.page:
        run(a, folder)
        if a.part:
            return
    a.output.write_text(page(a, folder))
    print(a.output)


if __name__ == "__main__":
    main()
