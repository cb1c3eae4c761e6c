"""Several tokens at once where they can be guessed: the same text, tokens, logits and sampler, bit for bit."""

import itertools
import random

import mixes as M
import pytest

import llama2swift

LIST = "Tom has a red ball. Tom has a blue ball. Tom has a green ball. Lily has a red ball. Lily has a blue ball. Lily has a"


@pytest.fixture(scope="module")
def grammars(stories):
    return [
        None, None, stories.grammar(json_schema={"type": "object", "properties": {"name": {"enum": ["Lily", "Tom"]}, "colour of the ball": {"type": "boolean"}}, "required": ["name", "colour of the ball"], "additionalProperties": False}, whitespace="compact"),
        stories.grammar(regex=r"Once upon a time there was a (cat|dog)\. The end\."), stories.grammar(gbnf='root ::= "one two three four " ("a" | "b") " five six" root?'),
    ]  # fmt: skip


def told(context, prompt, sampler, guess, parts, **options):
    """Everything that is left behind, and how many guesses came true."""
    found, right = [], 0
    for i, max_tokens in enumerate(parts):
        pieces = context.generate(prompt if i == 0 else (), sampler, max_tokens=max_tokens, guess=guess, **options)
        text = "".join(pieces)
        found.append((text, pieces.reason, pieces.tokens, pieces.dropped, context.sequence_length(), context.logits().tobytes(), context.info.positions))
        right += pieces.guessed_right
        assert guess or pieces.guessed == 0
        if pieces.reason != "max_tokens":
            break
    return found, right


def test_the_same_with_and_without(stories, grammars):
    """Prompts, temperatures, seeds, grammars, stops, ends of the context, shifts, and what goes on in a further call."""
    right = 0
    for seed in range(40):
        dice = random.Random(seed)
        words = LIST.split()
        prompt = stories.tokenize_prompt(" ".join(words[: dice.randrange(2, len(words))]) if dice.random() < 0.7 else LIST * 2)
        options = dict(temperature=dice.choice([0, 0, 0.5, 1.0]), seed=seed, repetition_penalty=dice.choice([1, 1, 1.2]), top_k=dice.choice([0, 5]), grammar=dice.choice(grammars))
        more = dict(stop=dice.choice([(), (), ["ball"], ["a r"]]), shift=dice.random() < 0.2)
        length, parts = dice.choice([len(prompt) + 20, 300]), dice.choice([[60], [7, 1, 30], [200]])
        left = []
        for guess in (True, False):
            with stories.context(length=length, batch_size=dice.choice([4, 256])) as context:
                sampler = llama2swift.Sampler(**options)
                found, count = told(context, prompt, sampler, guess, parts, **more)
                if found[-1][1] == "max_tokens":  # the sampler stands where it would
                    found.append(context.sample(sampler))
                left.append(found)
                right += count
        assert left[0] == left[1], seed
    assert right > 150


def test_what_repeats_itself_is_guessed(stories, greedy):
    prompt = stories.tokenize_prompt(LIST)
    with stories.context(length=400) as context:
        pieces = context.generate(prompt, llama2swift.Sampler(temperature=0, logit_bias={1: -1e9, 2: -1e9}), max_tokens=250)
        assert len("".join(pieces)) > 100 and pieces.guessed >= pieces.guessed_right > 0
        assert context.timings.decode_tokens == 250


@pytest.mark.skipif(not llama2swift.kernels_available()[-1].startswith("avx512"), reason="where more tokens in a pass take more, fewer are guessed")
def test_a_list_that_becomes_json_is_guessed_behind_few_tokens_that_are_the_same(smollm2):
    """Names and numbers stand behind one or two tokens that were there before; where nothing repeats itself little is tried."""
    rows = [("Anna", 34, "Oslo"), ("Ben", 51, "Lima"), ("Clara", 27, "Cairo"), ("David", 45, "Quito"), ("Elena", 62, "Riga"), ("Farid", 19, "Tunis"), ("Grete", 38, "Bonn")]
    begun = "[" + "".join(f'{{"name": "{name}", "age": {age}, "city": "{city}"}}, ' for name, age, city in rows[:3]) + '{"name": "David",'
    prompt = "".join(f"{name}, {age}, {city}\n" for name, age, city in rows) + "\nAs JSON:\n" + begun
    story = smollm2.chat_tokens([{"role": "user", "content": "Write a short story about a clockmaker who is afraid of time."}])
    right = wrong = 0
    with smollm2.context(length=512) as context:
        for temperature in (0, 0.8):
            for text in (prompt, story):
                context.reset()
                pieces = context.generate(text, llama2swift.Sampler(temperature=temperature, seed=1), max_tokens=96)
                list(pieces)
                if text is prompt:
                    right += pieces.guessed_right
                else:
                    wrong += pieces.guessed - pieces.guessed_right
    assert right > 65 and wrong < 30, (right, wrong)  # 51 were, where three tokens had to be the same


def test_it_pauses_where_it_does_not_pay(stories):
    with stories.context(length=900) as context:
        pieces = context.generate([1], llama2swift.Sampler(temperature=30, top_k=0, top_p=1, min_p=0, logit_bias={1: -1e9, 2: -1e9}), max_tokens=800)
        list(pieces)
        assert pieces.guessed < 80  # noise: a guess here and there


def test_what_a_grammar_forces_comes_at_once(stories, grammars):
    for guess, most in ((True, 30), (False, 1000)):
        with stories.context(length=300) as context:
            asked = 0

            def count():
                nonlocal asked
                asked += 1

            sampler = llama2swift.Sampler(temperature=0, grammar=grammars[3])
            context.set_cancel(count)
            pieces = context.generate([1], sampler, guess=guess)
            assert "".join(pieces) in ("Once upon a time there was a cat. The end.", "Once upon a time there was a dog. The end.")
            context.set_cancel(None)
            if guess:
                fewer = asked
                assert pieces.guessed_right > pieces.tokens / 3
            else:
                assert asked > 1.3 * fewer


def test_a_wrong_guess_is_no_reason_to_fail(stories, greedy):
    """With room for one token, guesses that do not fit are left out; a cancel leaves all as it was."""
    prompt = stories.tokenize_prompt(LIST)
    texts = set()
    for length, guess in itertools.product((len(prompt) + 5, len(prompt) + 6), (True, False)):
        with stories.context(length=length) as context:
            pieces = context.generate(prompt, greedy, guess=guess)
            text = "".join(pieces)
            assert pieces.reason == "context_full" and context.sequence_length() == length
            texts.add((length, text))
    assert len(texts) == 2


def test_cancelled_between_guesses(stories):
    prompt = stories.tokenize_prompt(LIST)
    with stories.context(length=400) as context:
        whole = "".join(context.generate(prompt, llama2swift.Sampler(seed=3), max_tokens=80, guess=False))
    for at in range(3, 60, 7):
        with stories.context(length=400) as context:
            asked, sampler = 0, llama2swift.Sampler(seed=3)

            def cancel():
                nonlocal asked
                asked += 1
                return asked == at * 5

            context.set_cancel(cancel)
            pieces = context.generate(prompt, sampler, max_tokens=80)
            text, tokens = "", 0
            try:
                for piece in pieces:
                    text += piece
            except llama2swift.errors.CancelledError:
                pass
            tokens = pieces.tokens
            context.set_cancel(None)
            if pieces.reason == "cancelled":
                assert context.sequence_length() == pieces.prompt_tokens + tokens if pieces.prompt_tokens else True
            rest = "".join(context.generate(prompt if not pieces.prompt_tokens else (), sampler, max_tokens=80 - tokens))
            # the text of a token whose eval was cancelled was given out and comes again
            assert whole.startswith(text) and whole.endswith(rest) and len(text) + len(rest) >= len(whole)


def test_the_scheduler_guesses_too(stories):
    prompt = stories.tokenize_prompt(LIST)
    with stories.context(length=1000, sequences=3) as context:
        scheduler = M.Scheduler(context)
        kept = [llama2swift.Sampler(temperature=0, logit_bias={1: -1e9, 2: -1e9}) for _ in range(3)]
        numbers = [scheduler.submit(prompt, s, max_tokens=100, flags=2 * (i == 2)) for i, s in enumerate(kept)]
        scheduler.run()
        assert len({scheduler.text(n) for n in numbers}) == 1
        stats = scheduler.stats()
        assert stats["guessed_tokens"] >= stats["guessed_right"] > 0 and stats["tokens"] == 300
        scheduler.close()
