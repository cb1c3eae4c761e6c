"""Speed of llama2swift beside llama.cpp: alternating, median of some runs, ratios.

    bench.py                        everything (more than an hour)
    bench.py --goals                what the project sets itself as goals, twenty minutes
    bench.py --scaling              how ours grows with threads, context, batch and model (for SCALING.md)
    bench.py --quick                the 1.1B shape in Q4_0 and SmolLM2, some minutes
    bench.py --models 1.1b:Q4_0,smollm2 --work decode,prefill

Models with random weights are made in the cache folder. The peer is skipped where it is not installed (make compare-setup).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
import fetch_model
import make_model
from engines import LlamaCpp, Ours, Stream, cpu_seconds, peak_memory

EVERYTHING = [
    *(f"1.1b:{t}" for t in make_model.TYPES), "7b:Q4_0", "7b:Q8_0", "7b:Q4_K", "15m:Q4_0", "15m:F32", "110m:Q4_0", "110m:Q8_0", "smollm2",
]  # fmt: skip
# What the project sets itself as goals: (model, work, settings)
_LARGE = ["Q4_0", "Q4_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K", "F16"]
GOALS = [
    *((f"1.1b:{t}", "decode", {"after": [0]}) for t in _LARGE),
    ("1.1b:Q4_0", "decode", {"after": [2048]}),
    *((f"1.1b:{t}", "prefill", {"prompts": [512]}) for t in [*_LARGE, "BF16", "F32"]),
    ("1.1b:Q4_0", "prefill", {"prompts": [128, 2048]}),
    ("1.1b:Q4_0", "batch", {"batches": [8, 16]}),
    ("smollm2", "prefill", {"prompts": [512]}),
    *((m, "decode", {"after": [0]}) for m in ("smollm2", "15m:Q4_0", "15m:F32", "110m:Q4_0", "110m:Q8_0", "7b:Q4_0")),
    ("7b:Q4_0", "load", {}),
    ("7b:Q4_0", "memory", {}),
    ("1.1b:Q4_0", "idle", {}),
]
# Ours alone, as one thing grows
SCALING = [
    *(("1.1b:Q4_0", "decode", {"threads": n, "after": [0, 128, 512, 2048, 7000]}) for n in (1, 2)),
    *(("1.1b:Q4_0", "prefill", {"threads": n, "prompts": [128, 512, 2048, 4096]}) for n in (1, 2)),
    ("1.1b:Q4_0", "batch", {"batches": [1, 2, 4, 8, 16, 32, 64]}),
    *((f"{m}:Q4_0", "decode", {"threads": n, "after": [0]}) for m in ("15m", "110m", "7b") for n in (1, 2)),
    *((f"{m}:Q4_0", "prefill", {"threads": n, "prompts": [512]}) for m in ("15m", "110m", "7b") for n in (1, 2)),
]
WORK = ["load", "decode", "prefill", "batch", "memory", "idle"]


def model_path(name: str, folder: Path) -> Path:
    if name == "smollm2":
        return fetch_model.fetch()
    shape, kind = name.split(":")
    folder.mkdir(parents=True, exist_ok=True)
    return make_model.write(shape, kind, folder / f"random-{shape}-{kind}.gguf")


def tokens(count: int, vocabulary: int, seed: int = 0) -> list[int]:
    return [(7919 * i + 13 + 101 * seed) % (vocabulary - 300) + 260 for i in range(count)]


class Bench:
    def __init__(self, options: argparse.Namespace):
        self.o = options
        self.rows: list[dict] = []
        self.peer = LlamaCpp if LlamaCpp.installed and not options.no_peer else None

    def engines(self, path, **options):
        yield Ours(path, threads=self.o.threads, kernels=self.o.kernels, **options)
        if self.peer:
            yield self.peer(path, threads=self.o.threads, **options)

    def alternate(self, engines, measure) -> list[list[float]]:
        """Each engine in turn, `repeat` times; one list of figures an engine. The first round warms up."""
        figures = [[] for _ in engines]
        for turn in range(self.o.repeat + 1):
            for engine, list_ in zip(engines, figures):
                value = measure(engine)
                if turn > 0:
                    list_.append(value)
        return figures

    def add(self, model: str, work: str, unit: str, figures: list[list[float]], **more) -> None:
        ours = statistics.median(figures[0])
        row = {"model": model, "work": work, "threads": self.o.threads, "unit": unit, "ours": ours, "ours_all": figures[0], **more}
        text = f"{model:10} {work:22} {ours:10.1f} {unit:9}" + (f" {self.o.threads} threads" if self.o.scaling else "")
        if len(figures) > 1:
            peer = statistics.median(figures[1])
            # of pairs measured side by side, so that a slow moment of the machine hits both
            better = [(a / b) if unit.endswith("/s") else (b / a) for a, b in zip(*figures)]
            row |= {"peer": peer, "peer_all": figures[1], "ratio": statistics.median(better)}
            text += f" {peer:10.1f}   {row['ratio']:5.2f}x"
        if "share" in more:
            text += f"   {more['share']:.2f} of the stream ({more['stream']:.1f} GB/s)"
        print(text, flush=True)
        self.rows.append(row)

    def load(self, name, path):
        def measure(kind, **options):
            start = time.perf_counter()
            engine = kind(path, length=512, threads=self.o.threads, **options)
            engine.eval([1])
            elapsed = time.perf_counter() - start
            engine.close()
            return elapsed * 1e3

        kinds = [lambda: measure(Ours, kernels=self.o.kernels)] + ([lambda: measure(self.peer)] if self.peer else [])
        self.add(name, "load to first token", "ms", self.alternate(kinds, lambda run: run()))

    def decode(self, name, path):
        stream, steps = Stream(path, self.o.threads), max(4, min(200, int(4e9 / path.stat().st_size)))
        for after in self.o.after:
            engines = list(self.engines(path, length=after + 4 * steps + 64))
            for e in engines:
                e.eval([1])
                e.reset()
                if after:
                    e.eval(tokens(after, e.vocabulary))
            reads = []

            def measure(engine):
                start = time.perf_counter()
                size = stream.read()
                reads.append(size / (time.perf_counter() - start) / 1e9)
                start = time.perf_counter()
                for t in tokens(steps // 2 + 1, engine.vocabulary, 3):
                    engine.eval([t])
                return (steps // 2 + 1) / (time.perf_counter() - start)

            # the positions grow by some steps meanwhile, the same for both
            figures = self.alternate(engines, measure) if after + (self.o.repeat + 1) * steps < 8000 else None
            limit = statistics.median(reads)
            e, *_, vocabulary = make_model.SHAPES.get(name.split(":")[0], (0,) * 6)
            # a step reads every weight but the embedding (one row of it)
            read = path.stat().st_size * (1 if name == "smollm2" else self.share_read(path))
            rate = statistics.median(figures[0]) * read / 1e9
            self.add(name, f"decode after {after}", "tokens/s", figures, stream=limit, bytes_per_token=int(read), share=rate / limit)
            for e in engines:
                e.close()

    @staticmethod
    def share_read(path) -> float:
        """The part of a random model that a step reads: all but the embedding, which is as large as the output matrix."""
        shape, kind = path.stem.split("-")[1:]
        e, layers, heads, kv, f, vocabulary = make_model.SHAPES[shape]
        k = e // heads * kv
        rest = vocabulary * e + layers * (2 * e * e + 2 * e * k + 3 * e * f)
        return rest / (rest + vocabulary * e)

    def prefill(self, name, path):
        for count in self.o.prompts:
            engines = list(self.engines(path, length=count + 64))

            def measure(engine):
                engine.reset()
                start = time.perf_counter()
                engine.eval(tokens(count, engine.vocabulary))
                return count / (time.perf_counter() - start)

            self.add(name, f"prefill {count}", "tokens/s", self.alternate(engines, measure))
            for e in engines:
                e.close()

    def batch(self, name, path):
        for sequences in self.o.batches:
            steps = max(2, min(50, int(1e9 / path.stat().st_size)))
            engines = list(self.engines(path, length=sequences * (steps + 1) * (self.o.repeat + 3) + 512, sequences=sequences))

            def measure(engine):
                start = time.perf_counter()
                for i in range(steps):
                    engine.step([260 + 31 * i + s for s in range(sequences)])
                return steps * sequences / (time.perf_counter() - start)

            self.add(name, f"batch of {sequences}", "tokens/s", self.alternate(engines, measure))
            for e in engines:
                e.close()

    def memory(self, name, path):
        figures = [[peak_memory("Ours", path, self.o.threads)]]
        if self.peer:
            figures.append([peak_memory("LlamaCpp", path, self.o.threads)])
        self.add(name, "peak memory", "MiB", figures)

    def idle(self, name, path):
        figures = []
        for engine in self.engines(path, length=512):
            engine.eval([1, 2, 3])
            time.sleep(0.2)
            start = cpu_seconds()
            time.sleep(2)
            figures.append([max((cpu_seconds() - start) / 2 * 1e3, 1e-3)])
            engine.close()
        self.add(name, "idle, CPU per second", "ms", figures)


def machine() -> dict:
    info = {"system": platform.platform(), "cpus": os.cpu_count(), "threads_usable": len(os.sched_getaffinity(0))}
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            info["cpu"] = line.split(":", 1)[1].strip()
        if line.startswith("flags"):
            info["avx"] = " ".join(f for f in line.split() if f.startswith(("avx", "fma", "f16c")))
            break
    import llama2swift

    info["llama2swift"] = llama2swift.__version__
    if LlamaCpp.installed:
        info["llama_cpp"] = LlamaCpp.api.__version__
        # what it was built for: "CPU : SSE3 = 1 | AVX2 = 1 | ..."
        features = LlamaCpp.api.llama_print_system_info().decode().split(":", 1)[-1].split("|")
        info["llama_cpp_features"] = " ".join(f.split("=")[0].strip() for f in features if f.strip().endswith("= 1"))
    return info


def plot(rows, path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = [r for r in rows if "ratio" in r]
    figure, axis = plt.subplots(figsize=(9, 0.28 * len(rows) + 1))
    axis.barh([f"{r['model']} {r['work']}" for r in rows][::-1], [r["ratio"] for r in rows][::-1])
    axis.axvline(1, color="black", linewidth=1)
    axis.set_xlabel("times as fast as llama.cpp (or as small)")
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers = lambda text: [int(n) for n in text.split(",")]  # noqa: E731
    parser.add_argument("--models", default=",".join(EVERYTHING), help="default: %(default)s")
    parser.add_argument("--work", default=",".join(WORK), help="default: %(default)s")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--goals", action="store_true", help="the project's goals, about twenty minutes")
    parser.add_argument("--scaling", action="store_true", help="how ours grows, some minutes")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--kernels", default="best", help="best, avx512vbmi, avx512, avxvnni, avx2 or reference, for ours")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--after", type=numbers, default=[0, 512, 2048], help="positions before decoding")
    parser.add_argument("--prompts", type=numbers, default=[128, 512, 2048])
    parser.add_argument("--batches", type=numbers, default=[1, 2, 4, 8, 16])
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--cache", type=Path, default=fetch_model.cache() / "bench")
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--plot", type=Path, help="where a picture goes (matplotlib)")
    o = parser.parse_args()
    if o.quick:
        o.models, o.work, o.prompts, o.after, o.batches = "1.1b:Q4_0,smollm2", "load,decode,prefill,batch", [512], [0, 512], [1, 8]
    o.no_peer |= o.scaling
    bench = Bench(o)
    if not LlamaCpp.installed:
        print("llama.cpp is not installed, so there are no ratios; `make compare-setup` builds it")
    description = machine()
    print(json.dumps(description))
    print(f"{'model':10} {'work':22} {'ours':>10} {'':9} {'llama.cpp':>10}   ratio")
    plan = GOALS if o.goals else SCALING if o.scaling else [(name, work, {}) for name in o.models.split(",") for work in o.work.split(",")]
    for name, work, settings in plan:
        vars(o).update(settings)
        getattr(bench, work)(name, model_path(name, o.cache))
        if o.json:  # after every line: a run that is cut off has not been in vain
            head = {"date": time.strftime("%Y-%m-%d"), "machine": description, "threads": o.threads, "kernels": o.kernels}
            o.json.write_text(json.dumps(head | {"rows": bench.rows}, indent=1))
    if o.plot:
        plot(bench.rows, o.plot)


if __name__ == "__main__":
    main()
