"""Sampling and text as it is generated."""

import subprocess
import sys

import numpy as np
import pytest

import llama2swift
from llama2swift.errors import InvalidArgumentError, NoLogitsError, OutOfRangeError

PROMPT = "Once upon a time"


@pytest.fixture
def context(stories):
    with stories.context(length=300) as context:
        yield context


def text_of(context, sampler, prompt=PROMPT, **options):
    context.reset()
    pieces = context.generate(prompt, sampler, **options)
    return "".join(pieces), pieces


def test_same_seed_same_text(context):
    options = dict(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0)
    texts = [text_of(context, llama2swift.Sampler(seed=s, **options), max_tokens=60)[0] for s in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    sampler = llama2swift.Sampler(seed=1, **options)
    assert text_of(context, sampler, max_tokens=60)[0] == texts[0]
    sampler.reset()
    assert text_of(context, sampler, max_tokens=60)[0] == texts[0]


def test_the_loop_in_c_equals_the_loop_by_hand(stories, context):
    text, pieces = text_of(context, llama2swift.Sampler(seed=9), max_tokens=80)
    assert (pieces.reason, pieces.tokens) == ("max_tokens", 80)
    context.reset()
    context.eval(stories.tokenize_prompt(PROMPT))
    sampler, tokens = llama2swift.Sampler(seed=9), []
    for _ in range(80):
        tokens.append(context.sample(sampler))
        context.eval(tokens[-1:])
    prompt = stories.tokenize_prompt(PROMPT)
    assert PROMPT + text == stories.detokenize(prompt + tokens)


def test_generation_goes_on_where_it_ended(context, greedy):
    whole, _ = text_of(context, greedy, max_tokens=60)
    parts, _ = text_of(context, greedy, max_tokens=20)
    for _ in range(2):
        parts += "".join(context.generate((), greedy, max_tokens=20))
    assert parts == whole


def test_stops_are_never_given_out_even_in_part(context, greedy):
    whole, _ = text_of(context, greedy, max_tokens=100)
    for start in range(0, 200, 7):
        for length in (1, 3, 11):
            stop = whole[start : start + length]
            text, pieces = text_of(context, greedy, max_tokens=100, stop=[stop, "never there", ""])
            assert pieces.reason == "stop"
            assert text == whole[: whole.index(stop)]


def test_text_that_only_begins_like_a_stop_is_given_out(context, greedy):
    whole, _ = text_of(context, greedy, max_tokens=50)
    text, pieces = text_of(context, greedy, max_tokens=50, stop=[whole[-4:] + "#", whole[20:30] + "#"])
    assert (text, pieces.reason) == (whole, "max_tokens")


def test_a_full_context_ends_the_text(stories, greedy):
    with stories.context(length=40) as context:
        pieces = context.generate(PROMPT, greedy)
        text = "".join(pieces)
        assert pieces.reason == "context_full" and context.sequence_length() == 40
        assert pieces.prompt_tokens + pieces.tokens == 41 and text


def test_letting_go_ends_the_generation(context, greedy):
    pieces = context.generate(PROMPT, greedy)
    next(pieces)
    pieces.close()
    assert pieces.reason == "cancelled"
    context.reset()
    pieces = context.generate(PROMPT, greedy)
    next(pieces)
    del pieces
    context.reset()  # not busy any more


def test_nothing_to_go_on_from_is_an_error(context):
    with pytest.raises(NoLogitsError):
        list(context.generate())
    with pytest.raises(NoLogitsError):
        context.sample(llama2swift.Sampler())


def test_logit_bias_forbids_and_forces(stories, context, greedy):
    context.eval(stories.tokenize_prompt(PROMPT))
    best = context.sample(greedy)
    assert best == int(context.logits().argmax())
    assert context.sample(llama2swift.Sampler(temperature=0, logit_bias={best: -np.inf})) != best
    assert context.sample(llama2swift.Sampler(logit_bias={77: 1e4})) == 77


def test_penalties_break_a_loop(smollm2, greedy):
    prompt = smollm2.tokenize("red red red red red red red red")
    with smollm2.context(length=128) as context:
        context.eval(prompt)
        loop = context.sample(greedy)
        sampler = llama2swift.Sampler(temperature=0, repetition_penalty=1.5, presence_penalty=1.0, frequency_penalty=1.0)
        for token in prompt:
            sampler.accept(token)
        assert loop in prompt and context.sample(sampler) != loop


def test_frequencies_follow_the_softmax(stories, context):
    context.eval(stories.tokenize_prompt(PROMPT))
    logits = context.logits().astype(np.float64)
    p = np.exp(logits - logits.max())
    p /= p.sum()
    sampler = llama2swift.Sampler(temperature=1, top_k=0, top_p=1, min_p=0, seed=4)
    draws = np.bincount([context.sample(sampler) for _ in range(4000)], minlength=len(p)) / 4000
    assert np.abs(draws - p).max() < 4 * np.sqrt(0.25 / 4000)


@pytest.mark.parametrize(
    "options",
    [
        dict(temperature=-1), dict(temperature=float("nan")), dict(top_p=1.5), dict(top_p=-0.1), dict(min_p=2), dict(min_p=-1),
        dict(top_k=-5), dict(repetition_penalty=-1), dict(repetition_penalty=0), dict(frequency_penalty=float("nan")),
        dict(penalty_last_n=-2), dict(logit_bias={1: float("nan")}), dict(logit_bias={1: float("inf")}),
    ],
)  # fmt: skip
def test_wrong_options_are_refused(options):
    with pytest.raises((InvalidArgumentError, OutOfRangeError)):
        llama2swift.Sampler(**options)


def test_pieces_are_whole_characters(smollm2):
    with smollm2.context(length=256) as context:
        # high temperature and byte-level tokens: plenty of broken characters to repair or hold back
        sampler = llama2swift.Sampler(temperature=50, top_k=0, top_p=1, min_p=0, seed=2)
        pieces = list(context.generate("漢字 🎉", sampler, max_tokens=200))
        assert len(pieces) > 50 and all(pieces)


def command(*arguments, **options):
    return subprocess.run([sys.executable, "-m", "llama2swift", *arguments], capture_output=True, text=True, timeout=120, **options)


def test_command_line(stories_path, smollm2_path):
    run = command("run", stories_path, PROMPT, "-n", "30", "--temp", "0", "--stats")
    assert run.returncode == 0 and run.stdout.startswith(PROMPT + ", there was a little girl named Lily")
    assert "decode" in run.stderr
    talk = command("chat", smollm2_path, "--temp", "0", "-n", "40", input="What is 2 + 2?\nThank you!\n")
    assert talk.returncode == 0 and "4" in talk.stdout and len(talk.stdout.splitlines()) >= 2
    info = command("info", smollm2_path)
    assert info.returncode == 0 and "chatml" in info.stdout and "embedding_length       576" in info.stdout
    bench = command("bench", stories_path, "-p", "32", "-n", "8", "-r", "1", "--json")
    assert bench.returncode == 0 and '"decode_tokens_per_second"' in bench.stdout
    wrong = command("info", "/etc/hostname")
    assert wrong.returncode == 1 and len(wrong.stderr.splitlines()) == 1 and "Traceback" not in wrong.stderr
