"""Random mixes of requests on one scheduler; the text of each, and what is told of its tokens, is that of llama2_generate alone, bit by bit.

    mixes.py --mixes 500 --seed 1

A mix depends on its seed alone: a failure prints the command that repeats it.
"""

from __future__ import annotations

import argparse
import ctypes as C
import random
import tempfile
import time
from contextlib import ExitStack
from collections import Counter
from pathlib import Path

import llama2swift
from llama2swift import _constants as K
from llama2swift import _library as lib
from llama2swift import _structs as S
from llama2swift.generation import token_report
from llama2swift._engine import REASONS

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
ALONE = {"end": "stop", "stop": "stop", "max_tokens": "length", "context_full": "length"}


class Mismatch(AssertionError):
    pass


def bits(report):
    """All of a report but for its time; NaN is like itself."""
    return repr((report.token, report.text, report.logprob, report.logprob_after, report.best, report.best_after, report.reason, report.prompt))


class Scheduler:
    """A scheduler that is stepped by hand, so that a mix is the same every time."""

    def __init__(self, context, prompt_tokens_per_step=0, max_requests=0, draft=None):
        options = S.sized(S.SchedulerOptions)
        options.prompt_tokens_per_step, options.max_requests = prompt_tokens_per_step, max_requests
        options.draft = None if draft is None else draft._handle
        handle = C.c_void_p()
        lib.call("scheduler_create", context._handle, C.byref(options), C.byref(handle), None, 0)
        self.handle, self.context = handle.value, context
        self.events: dict[int, list[tuple[bytes, int, int, int]]] = {}
        self.counts: dict[int, tuple[int, int, int]] = {}
        self.reports: dict[int, list[str]] = {}
        self.callback = S.EventCallback(self.receive)
        self.on_event = None

    def receive(self, event, _):
        e = event.contents
        piece = C.string_at(C.c_void_p.from_address(C.addressof(e) + S.Event.piece.offset).value, e.length)
        self.events.setdefault(e.request, []).append((piece, e.token, e.reason, e.status))
        self.counts[e.request] = e.prompt_tokens, e.adopted, e.tokens
        if e.report:
            self.reports.setdefault(e.request, []).append(bits(token_report(e.report.contents)))
        return self.on_event(e) if self.on_event else 0

    def submit(self, tokens, sampler, stops=(), **fields) -> int:
        o, number = S.sized(S.RequestOptions), C.c_uint64()
        array = (C.c_int32 * len(tokens))(*tokens)
        texts = (S.Text * max(len(stops), 1))(*(S.Text(s.encode(), len(s.encode())) for s in stops))
        o.tokens, o.token_count, o.sampler, o.stops, o.stop_count = array, len(tokens), sampler._handle, texts, len(stops)
        o.callback = C.cast(self.callback, C.c_void_p)
        for name, value in fields.items():
            setattr(o, name, value)
        lib.call("scheduler_submit", self.handle, C.byref(o), C.byref(number))
        return number.value

    def step(self) -> int:
        remaining = C.c_size_t()
        lib.call("scheduler_step", self.handle, C.byref(remaining))
        return remaining.value

    def run(self) -> None:
        while self.step():
            pass

    def cancel(self, request: int) -> None:
        lib.call("scheduler_cancel", self.handle, request)

    def stats(self) -> dict[str, int]:
        raw = S.sized(S.SchedulerStats)
        lib.call("scheduler_get_stats", self.handle, C.byref(raw))
        return {name: getattr(raw, name) for name, _ in raw._fields_[2:]}

    def close(self) -> None:
        lib.free("scheduler", self.handle)

    def text(self, request: int) -> bytes:
        return b"".join(e[0] for e in self.events.get(request, []))

    def tokens(self, request: int) -> list[int]:
        return [e[1] for e in self.events.get(request, []) if e[1] >= 0]

    def reason(self, request: int) -> str:
        return REASONS[self.events[request][-1][2]]


class Plan:
    """One request of a mix: everything that its text depends on, and when it comes."""

    def __init__(self, dice: random.Random, length: int, stems, grammars):
        stem = dice.choice(stems)
        self.prompt = stem[: dice.randint(1, min(len(stem), length - 1))]
        if dice.random() < 0.4:
            self.prompt = [*self.prompt[: length - 12], *(dice.randrange(3, 500) for _ in range(dice.randint(1, 10)))]
        self.max_tokens = dice.choice([1, 5, 20, 60, 0])
        self.stops = tuple(dice.sample(["the", "an", ".", "\n", "girl named", "zz"], dice.randint(1, 3))) if dice.random() < 0.4 else ()
        self.grammar = dice.choice(grammars) if dice.random() < 0.3 else None
        self.penalize_prompt = dice.random() < 0.3
        self.options = dict(
            temperature=dice.choice([0, 0.7, 1.0, 1.5]), seed=dice.randrange(2**32), top_k=dice.choice([0, 1, 5, 40]), top_p=dice.choice([1, 0.9, 0.5]),
            min_p=dice.choice([0, 0.05]), repetition_penalty=dice.choice([1, 1.3]), frequency_penalty=dice.choice([0, 0.5]),
            presence_penalty=dice.choice([0, 0.2]), penalty_last_n=dice.choice([64, 8, -1]),
        )  # fmt: skip
        self.priority = dice.choice([0, 0, 0, 1, -1])
        self.at = dice.randrange(60)
        self.no_guess = dice.random() < 0.3
        self.cancelled_at = self.at + dice.randrange(40) if dice.random() < 0.15 else None
        self.logprobs, self.echo = dice.choice([None, None, 0, 3]), dice.random() < 0.2

    @property
    def fields(self):
        """Of llama2_request_options."""
        told = self.logprobs is not None
        flags = K.REQUEST_PENALIZE_PROMPT * self.penalize_prompt | K.REQUEST_NO_GUESS * self.no_guess | K.REQUEST_LOGPROBS * told | K.REQUEST_ECHO * self.echo
        return dict(max_tokens=self.max_tokens, priority=self.priority, flags=flags, best=self.logprobs or 0)

    def sampler(self):
        return llama2swift.Sampler(**self.options, grammar=self.grammar)


class Mixes:
    def __init__(self, path=FIXTURES / "stories260K.bin"):
        self.model = llama2swift.Model(str(path))
        with tempfile.TemporaryDirectory() as folder:
            llama2swift.quantize(path, Path(folder) / "draft.gguf", "Q8_0")
            self.draft = llama2swift.Model(Path(folder) / "draft.gguf", copy=True)
        self.grammars = [self.model.grammar(regex=r"[a-z ]{3,40}\."), self.model.grammar(json_schema={"enum": ["one", 2, [True]]}), self.model.grammar(choices=["Lily", "a cat", "a dog"])]
        dice = random.Random(5)
        first = self.model.tokenize_prompt("Once upon a time, there was a little girl named Lily. She loved to play outside in the park with her friends.")
        self.stems = [first, *([10 + s, *(dice.randrange(3, 500) for _ in range(220))] for s in range(2))]
        self.stems.append([*first[:20], *self.stems[1][1:150]])
        self.counts: Counter[str] = Counter()

    def alone(self, plan: Plan, length: int) -> tuple[bytes, str, int, list[str]]:
        with self.model.context(length=length, threads=1) as context:
            pieces = context.generate(
                plan.prompt, plan.sampler(), max_tokens=plan.max_tokens, stop=list(plan.stops), penalize_prompt=plan.penalize_prompt, guess=False,
                logprobs=plan.logprobs, echo=plan.echo, report=True,
            )  # fmt: skip
            text = "".join(pieces)
            return text.encode(), ALONE[pieces.reason], pieces.tokens, [bits(step) for step in pieces.steps]

    def run(self, seed: int) -> None:
        """One mix."""
        dice = random.Random(seed)
        length, sequences = dice.choice([70, 150, 300, 700]), dice.randint(1, 6)
        plans = [Plan(dice, length, self.stems, self.grammars) for _ in range(dice.randint(2, 10))]
        where = f"mixes.py --mixes 1 --seed {seed}"
        with ExitStack() as stack:
            context = stack.enter_context(self.model.context(length=length, sequences=sequences, batch_size=dice.choice([4, 16, 64, 256]), threads=dice.randint(1, 2)))
            at_once, draft = dice.choice([0, 0, 1, 7, 64]), None
            if dice.random() < 0.5:
                draft = stack.enter_context(self.draft.context(length=length + dice.choice([0, 64]), sequences=sequences, batch_size=dice.choice([4, 64]), threads=1))
                self.counts["drafted"] += 1
            scheduler, numbers, samplers = Scheduler(context, at_once, draft=draft), {}, []
            step, remaining = 0, 0
            while remaining or len(numbers) < len(plans):
                for index, plan in enumerate(plans):
                    if plan.at == step:
                        samplers.append(plan.sampler())
                        numbers[index] = scheduler.submit(plan.prompt, samplers[-1], plan.stops, **plan.fields)
                    if plan.cancelled_at == step and index in numbers:
                        scheduler.cancel(numbers[index])
                remaining, step = scheduler.step(), step + 1
                if step > 20000:
                    raise Mismatch(f"{where}: it does not end")
            stats = scheduler.stats()
            scheduler.close()
            if context.info.positions:
                raise Mismatch(f"{where}: sequences are left")
        for index, plan in enumerate(plans):
            text, reason, tokens, reports = self.alone(plan, length)
            number = numbers[index]
            found, ended, told = scheduler.text(number), scheduler.reason(number), scheduler.reports.get(number, [])
            if [e[2] != 0 for e in scheduler.events[number]].count(True) != 1:
                raise Mismatch(f"{where}, request {index}: not one end")
            if ended == "cancelled" and plan.cancelled_at is not None:
                self.counts["cancelled"] += 1
                # what was held back comes at the end: it may be the beginning of a stop string that did not come
                if (text.startswith(found) or plan.stops) and told == reports[: len(told)]:
                    continue
            if told != reports:
                at = next(i for i, (a, b) in enumerate(zip([*told, None], [*reports, None])) if a != b)
                raise Mismatch(f"{where}, request {index}: report {at} of {len(told)} is {told[at:][:1]}, alone {reports[at:][:1]} of {len(reports)}")
            if (found, ended, scheduler.counts[number][2]) != (text, reason, tokens):
                raise Mismatch(f"{where}, request {index}: {found!r} {ended} {scheduler.counts[number]}, alone {text!r} {reason} {tokens}")
        self.counts["mixes"] += 1
        self.counts["requests"] += len(plans)
        self.counts["with logprobs"] += sum(plan.logprobs is not None for plan in plans)
        self.counts["echoed"] += sum(plan.echo for plan in plans)
        for name in ("preemptions", "adopted_tokens", "tokens", "steps", "guessed_tokens", "guessed_right"):
            self.counts[name] += stats[name]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--mixes", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    mixes, began = Mixes(), time.monotonic()
    for seed in range(arguments.seed, arguments.seed + arguments.mixes):
        mixes.run(seed)
    print(", ".join(f"{count} {name}" for name, count in mixes.counts.items()), f"in {time.monotonic() - began:.0f} s, seeds from {arguments.seed}")
