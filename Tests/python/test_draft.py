"""A smaller model that guesses: the same text, tokens, probabilities, logits and sampler, bit for bit; what cannot draft is refused."""

import random
import shutil
import struct
from pathlib import Path

import mixes as M
import numpy as np
import pytest
from gguf_reader import read, with_layers
from tiny_gguf import random_model

import llama2swift
from llama2swift import Sampler
from llama2swift import errors as E

PROMPTS = [
    "Once upon a time, there was a little girl", "Lily and Tom went to the park. They saw", "The dog was very sad because", "One day, a big bear", "\"Can you help me?\" asked",
    "Tim had a red ball. He liked to", "The sun was hot and", "Mom said, \"",
]  # fmt: skip


def cut(source, folder, layers):
    """The first layers of a checkpoint of llama2.c, version 0."""
    raw = Path(source).read_bytes()
    dim, hidden, all_layers, heads, kv_heads, vocabulary, length = struct.unpack_from("<7i", raw)
    kv, at, out = dim * kv_heads // heads, 28, [struct.pack("<7i", dim, hidden, layers, heads, kv_heads, vocabulary, length)]
    for each, of_layer in ((vocabulary * dim, 0), *((n, 1) for n in (dim, dim * dim, dim * kv, dim * kv, dim * dim, dim, dim * hidden, dim * hidden, dim * hidden)), (None, 0)):
        size = len(raw) - at if each is None else 4 * each * (all_layers if of_layer else 1)
        out.append(raw[at : at + (size * layers // all_layers if of_layer else size)])
        at += size
    folder.mkdir()
    (folder / "model.bin").write_bytes(b"".join(out))
    shutil.copy(Path(source).parent / "tok512.bin", folder)
    return llama2swift.Model(folder / "model.bin")


@pytest.fixture(scope="module")
def drafts(stories_path, tmp_path_factory):
    """One that is nearly always right, one that is often."""
    folder = tmp_path_factory.mktemp("drafts")
    llama2swift.quantize(stories_path, folder / "q8.gguf", "Q8_0")
    return [llama2swift.Model(folder / "q8.gguf"), cut(stories_path, folder / "cut", 2)]


@pytest.fixture(scope="module")
def grammars(stories):
    return [
        stories.grammar(json_schema={"type": "object", "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "maximum": 99}}, "required": ["name", "age"], "additionalProperties": False}, whitespace="compact"),
        stories.grammar(regex=r"[A-Z][a-z ]{10,60}\."),
    ]  # fmt: skip


def told(context, prompt, sampler, parts, **more):
    """Everything that is left behind, and what was guessed."""
    found, guessed, right = [], 0, 0
    for i, max_tokens in enumerate(parts):
        pieces = context.generate(prompt if i == 0 else (), sampler, max_tokens=max_tokens, logprobs=2, **more)
        text = "".join(pieces)
        found.append((text, pieces.reason, pieces.tokens, pieces.dropped, [M.bits(s) for s in pieces.steps], context.sequence_length(), context.logits().tobytes()))
        guessed, right = guessed + pieces.guessed, right + pieces.guessed_right
        if pieces.reason != "max_tokens":
            break
    return found, guessed, right


def test_the_same_with_and_without(stories, drafts, grammars):
    """Prompts, temperatures, seeds, grammars, stops, ends of the context, shifts, echoes, and what goes on in a further call."""
    counts = np.zeros((2, 2), int)
    for seed in range(48):
        dice = random.Random(seed)
        prompt = stories.tokenize_prompt(dice.choice(PROMPTS))
        options = dict(temperature=dice.choice([0, 0, 0.4, 1.0]), seed=seed, repetition_penalty=dice.choice([1, 1, 1.2]), grammar=dice.choice([None, None, *grammars]))
        more = dict(stop=dice.choice([(), (), [" the", "cat"]]), shift=dice.random() < 0.2, echo=dice.random() < 0.2)
        length, parts = dice.choice([len(prompt) + 20, 200]), dice.choice([[50], [7, 1, 30], [120]])
        left, which = [], seed % 2
        for is_drafted in (True, False):
            with stories.context(length=length) as context, drafts[which].context(length=length + dice.choice([0, 50])) as draft:
                sampler = Sampler(**options)
                found, *count = told(context, prompt, sampler, parts, **(dict(draft=draft) if is_drafted else dict(guess=False)), **more)
                if found[-1][1] == "max_tokens":  # the sampler stands where it would
                    found.append(context.sample(sampler))
                left.append(found)
                counts[which] += count if is_drafted else 0
        assert left[0] == left[1], seed
    assert (counts[:, 1] > 150).all() and counts[0, 1] > 0.5 * counts[0, 0], counts


def test_the_draft_is_used_from_call_to_call(stories, drafts):
    """Its context keeps what it has evaluated: of a conversation that goes on only what is new."""
    with stories.context(length=400) as context, drafts[0].context(length=400) as draft:
        sampler = Sampler(temperature=0, logit_bias={1: -1e9, 2: -1e9})
        text = "".join(context.generate(PROMPTS[0], sampler, max_tokens=100, draft=draft))
        before = draft.timings.prefill_tokens + draft.timings.decode_tokens
        text += "".join(context.generate((), sampler, max_tokens=20, draft=draft))
        assert draft.timings.prefill_tokens + draft.timings.decode_tokens - before < 60
    with stories.context(length=400) as context:
        assert text == "".join(context.generate(PROMPTS[0], sampler, max_tokens=120))


def test_guesses_are_what_the_sampler_would_draw(stories, drafts):
    """A draft is drawn from with the numbers that the text will be drawn with, so that one that knows nearly the same is nearly always right, at any temperature; all
    that a sampler remembers is as without."""
    guessed = right = 0
    for seed in range(24):
        dice = random.Random(seed)
        options = dict(
            temperature=dice.choice([0.7, 1.0, 1.5]), seed=seed, repetition_penalty=dice.choice([1, 1.3]), frequency_penalty=dice.choice([0, 0.4]), penalty_last_n=dice.choice([1, 5, 64]),
            mirostat=dice.choice([0, 0, 1, 2]), xtc_probability=dice.choice([0, 0.5]), dry_multiplier=dice.choice([0, 0.8]), no_repeat_ngram=dice.choice([0, 3]), min_tokens=dice.choice([0, 30]),
            banned=dice.choice([(), (" the", "She was")]), model=stories,
        )  # fmt: skip
        left = []
        for drafted in (True, False):
            with stories.context(length=200) as context, drafts[0].context(length=200) as draft:
                sampler = Sampler(**options)
                found, count, came = told(context, PROMPTS[seed % len(PROMPTS)], sampler, (50, 30), **(dict(draft=draft) if drafted else dict(guess=False)))
                left.append((found, sampler.state()))
                guessed, right = guessed + count, right + came
        assert left[0] == left[1], options
    assert guessed > 400 and right > 0.75 * guessed, (guessed, right)  # the most probable token is drawn half the time


def test_steps_of_the_host_see_the_tokens_of_the_text_only(stories, drafts):
    seen = []
    for drafted in (True, False):
        with stories.context(length=200) as context, drafts[0].context(length=200) as draft:
            rows = []
            steps = ["top_k", lambda ids, logits: rows.append((ids.tobytes(), logits.tobytes())), "temperature"]
            pieces = context.generate(PROMPTS[0], Sampler(temperature=0.3, top_p=1, min_p=0, seed=4, steps=steps), max_tokens=60, **(dict(draft=draft) if drafted else dict(guess=False)))
            seen.append(("".join(pieces), rows))
            assert (pieces.guessed_right > 0) == drafted
    assert seen[0] == seen[1] and len(seen[0][1]) >= 60


def test_requests_to_a_scheduler_are_drafted_too(stories, drafts, grammars, tmp_path):
    """Each with the text it has alone, whoever is beside it; the draft is asked where that pays."""
    asked = [dict(temperature=t, seed=s, grammar=g, logit_bias={1: -1e9, 2: -1e9}) for t, s, g in ((0, 1, None), (0, 2, grammars[0]), (0.3, 3, None), (0, 4, None), (0.4, 5, grammars[1]))]
    expected = []
    for options, prompt in zip(asked, PROMPTS):
        with stories.context(length=400) as context:
            expected.append("".join(context.generate(stories.tokenize_prompt(prompt), Sampler(**options), max_tokens=60, guess=False)))
    for model, sequences in ((drafts[0], 1), (drafts[0], 2), (drafts[1], 5)):
        with stories.context(length=500, sequences=sequences) as context, model.context(length=500, sequences=5) as draft:
            with llama2swift.Scheduler(context, draft=draft) as scheduler:
                requests = [scheduler.submit(stories.tokenize_prompt(p), 60, Sampler(**o)) for p, o in zip(PROMPTS, asked)]
                assert [r.text() for r in requests] == expected
                with pytest.raises(E.BusyError):
                    draft.eval([1])
                count = scheduler.stats()
            if sequences == 1:
                assert count["guessed_tokens"] >= count["guessed_right"] > 60 and draft.timings.decode_tokens > 50
            draft.eval([1])
    with stories.context(length=100, sequences=3) as context, drafts[0].context(length=100, sequences=2) as draft:
        with pytest.raises(E.InvalidArgumentError, match="2 sequences; it needs 3"):
            llama2swift.Scheduler(context, draft=draft)
        with pytest.raises(E.InvalidArgumentError, match="the context itself"):
            llama2swift.Scheduler(context, draft=context)
        context.eval([1])
        with llama2swift.Scheduler(draft), pytest.raises(E.BusyError):
            llama2swift.Scheduler(context, draft=draft)
        context.eval([1])
        draft.eval([1])


def test_a_draft_that_is_no_help_is_soon_left_alone(stories, stories_path, tmp_path):
    """One that says what is least likely, of a text so random that nothing in it repeats; and one as large as the model, which could not pay."""
    noise = Sampler(temperature=30, top_k=0, top_p=1, min_p=0, logit_bias={1: -1e9, 2: -1e9}, seed=1)
    path = tmp_path / "negated.gguf"
    llama2swift.quantize(stories_path, path, "Q8_0")
    _, infos, data = read(path)
    raw = np.memmap(path, np.uint8, "r+")
    _, (columns,), offset = infos["output_norm.weight"]
    norm = raw[len(raw) - len(data) + offset :][: 4 * columns].view("<f4")
    norm *= -1
    raw.flush()
    with stories.context(length=900) as context, llama2swift.Model(path) as wrong, wrong.context(length=900) as draft:
        pieces = context.generate([1], noise, max_tokens=800, draft=draft)
        list(pieces)
        assert 0 < pieces.guessed < 10 and draft.timings.prefill_tokens + draft.timings.decode_tokens < 160
    with stories.context(length=300) as context, stories.context(length=300) as draft:
        pieces = context.generate(PROMPTS[0], Sampler(temperature=0), max_tokens=100, draft=draft)
        list(pieces)
        assert draft.timings.prefill_tokens + draft.timings.decode_tokens == 0


def test_nothing_that_fails_in_a_draft_is_a_reason_to_fail(stories, drafts, greedy):
    with stories.context(length=200) as context:
        text = "".join(context.generate(PROMPTS[0], greedy, max_tokens=60, guess=False))
    with stories.context(length=200) as context, drafts[0].context(length=200, sequences=2) as draft:
        draft.eval_batch([(5, 1, False)] * 180)  # another sequence leaves it little room
        assert text == "".join(context.generate(PROMPTS[0], greedy, max_tokens=60, draft=draft))
        assert draft.sequence_length(1) == 180


def test_cancelled_at_any_moment(stories, drafts):
    """In the draft too: what was evaluated stays, and a further call goes on with what this one would have chosen."""
    whole, drafted = None, 0
    for at in (0, *range(3, 700, 41)):
        with stories.context(length=200) as context, drafts[0].context(length=200) as draft:
            asked, sampler = 0, Sampler(temperature=0.4, seed=3)
            draft.set_cancel(lambda: True)  # its own is not asked

            def cancel():
                nonlocal asked
                asked += 1
                return asked == at

            context.set_cancel(cancel)
            pieces = context.generate(PROMPTS[0], sampler, max_tokens=60, draft=draft)
            try:
                list(pieces)
            except E.CancelledError:
                pass
            context.set_cancel(None)
            if at == 0:
                whole = pieces.text
                continue
            if pieces.reason != "cancelled":
                break
            drafted += 1
            rest = "".join(context.generate(PROMPTS[0] if not pieces.prompt_tokens else (), sampler, max_tokens=60 - pieces.tokens, draft=None))
            assert whole.startswith(pieces.text) and whole.endswith(rest) and len(pieces.text) + len(rest) >= len(whole)
            with pytest.raises(E.CancelledError):
                draft.eval([1])
    assert drafted > 5


def test_what_cannot_draft_is_refused_by_its_name(stories, drafts, stories_path, greedy, tmp_path):
    random_model(tmp_path / "other.gguf", vocabulary=300, dim=64, layers=1, heads=4, heads_kv=4, hidden=64)
    other = llama2swift.Model(tmp_path / "other.gguf")
    piece = llama2swift.Model(stories_path, layer_count=1)

    def ask(draft, **more):
        with stories.context(length=100) as context:
            list(context.generate("Once", greedy, max_tokens=8, draft=draft, **more))

    with stories.context(length=100) as context, drafts[0].context(length=100) as draft:
        with pytest.raises(E.InvalidArgumentError, match="the context itself"):
            list(context.generate("Once", greedy, draft=context))
        with pytest.raises(E.InvalidArgumentError, match="NO_GUESS"):
            ask(draft, guess=False)
        with draft.generate("Once", Sampler(temperature=0)) as under_way, pytest.raises(E.BusyError):
            next(under_way)
            ask(draft)
        with llama2swift.Scheduler(draft), pytest.raises(E.BusyError):
            ask(draft)
        ask(draft)
        row = draft.logits()  # an array of its memory
        with pytest.raises(BufferError):
            ask(draft)
        del row
    for model, length, match in ((drafts[0], 99, "99 positions"), (other, 100, "vocabulary"), (piece, 100, "piece")):
        with model.context(length=length) as draft, pytest.raises((E.InvalidArgumentError, E.UnsupportedError), match=match):
            ask(draft)
    with drafts[0].context(length=100, embeddings=True) as draft, pytest.raises(E.UnsupportedError, match="embeddings"):
        ask(draft)
    closed = drafts[0].context(length=100)
    closed.close()
    with pytest.raises(E.BadHandleError):
        ask(closed)


def test_smollm2_and_its_first_layers(smollm2_path, tmp_path):
    """A draft of three of its thirty layers, beside it in F16, in one quick text."""
    llama2swift.convert(smollm2_path, tmp_path / "f16.gguf", "F16")
    smollm2 = llama2swift.Model(tmp_path / "f16.gguf")
    draft_model = llama2swift.Model(with_layers(smollm2_path, tmp_path / "short.gguf", range(3)))
    prompt = smollm2.chat_tokens([{"role": "user", "content": "Say hello, then count from one to ten."}])
    texts = set()
    for drafted in (True, False):
        with smollm2.context(length=256) as context, draft_model.context(length=256) as draft:
            pieces = context.generate(prompt, Sampler(temperature=0.2, seed=5), max_tokens=24, **(dict(draft=draft) if drafted else dict(guess=False)))
            texts.add("".join(pieces))
            assert (pieces.guessed > 0) == drafted
    assert len(texts) == 1


def test_a_draft_that_takes_long_is_soon_left_alone(smollm2, smollm2_path, tmp_path):
    """A third of the bytes and nearly always right, but on plain kernels: what it takes is measured, as sizes do not tell it."""
    llama2swift.convert(smollm2_path, tmp_path / "f16.gguf", "F16")
    model = llama2swift.Model(tmp_path / "f16.gguf")
    prompt = model.chat_tokens([{"role": "user", "content": "Count from one to ten."}])
    texts = set()
    for draft in (dict(draft=smollm2.context(length=128, kernels="reference")), dict(guess=False)):
        with model.context(length=128) as context:
            pieces = context.generate(prompt, Sampler(temperature=0, logit_bias={2: -1e9}), max_tokens=40, **draft)
            texts.add("".join(pieces))
            assert (0 < pieces.guessed < 12) == ("draft" in draft), pieces.guessed  # was 32
    assert len(texts) == 1
