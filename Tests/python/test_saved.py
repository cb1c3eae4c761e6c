"""Samplers and decoders that are saved go on elsewhere as if nothing had been between; what is not as it was written is refused."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT
from saved_tools import GRAMMAR, KINDS, ROWS, made, saved, walked  # noqa: F401 (fixtures)

import llama2swift
from llama2swift import errors as E


@pytest.mark.parametrize("kind", KINDS)
def test_a_sampler_goes_on_as_if_nothing_had_been_between(stories, kind):
    one, two = made(stories, kind), made(stories, kind, seed=99)
    for token in (7, 8, 9, 7, 8):
        one.accept(token)
    walked(one, ROWS[:25])
    walked(two, ROWS[3:9])
    state = one.state()
    two.set_state(state)
    assert two.state() == state == one.state()
    expected = walked(one, ROWS[25:])
    assert walked(two, ROWS[25:]) == expected and two.state() == one.state()
    # back to any moment, and its own seed afterwards
    one.set_state(state)
    assert walked(one, ROWS[25:]) == expected
    two.reset()
    assert walked(two, ROWS) == walked(made(stories, kind, seed=99), ROWS)


def test_a_grammar_goes_on_in_the_midst_of_its_text(stories):
    grammar, same = (stories.grammar(gbnf=GRAMMAR) for _ in range(2))
    one, two = llama2swift.Sampler(seed=3, temperature=2, top_k=0, grammar=grammar), llama2swift.Sampler(temperature=2, top_k=0, grammar=same)
    walked(one, ROWS[:7])
    two.set_state(one.state())
    assert walked(two, ROWS[7:20]) == walked(one, ROWS[7:20])
    begun = one.state()
    two.reset()
    two.set_state(begun)
    assert two.state() == begun


def test_a_grammar_that_has_ended_stays_ended(stories):
    samplers = [llama2swift.Sampler(temperature=0, grammar=stories.grammar(choices=["a"])) for _ in range(2)]
    rows = []
    with stories.context(length=64) as context:
        context.eval([1])
        for _ in range(9):
            try:
                context.sample(samplers[0])
            except E.ForbiddenError:
                break
        rows.append(samplers[0].state())
        samplers[1].set_state(rows[0])
        with pytest.raises(E.ForbiddenError):
            context.sample(samplers[1])


CHILD = """
import json, sys
import llama2swift
model = llama2swift.Model(sys.argv[1])
folder, kernels = sys.argv[2], sys.argv[3]
sampler = llama2swift.Sampler(**json.load(open(folder + "/options")), model=model, grammar=model.grammar(gbnf=open(folder + "/grammar").read()))
decoder = llama2swift.Decoder(model)
sampler.set_state(open(folder + "/sampler", "rb").read())
decoder.set_state(open(folder + "/decoder", "rb").read())
out = []
with model.context(length=256, threads=1, kernels=kernels) as context:
    context.load_state(folder + "/context")
    for _ in range(40):
        token = context.sample(sampler)
        if model.is_end(token):
            break
        out.append(decoder.append(token))
        context.eval([token])
out.append(decoder.finish())
json.dump(["".join(out), sampler.state().hex()], open(folder + "/out", "w"))
"""


def test_a_generation_goes_on_exactly_where_it_stopped_in_another_process(stories, stories_path, tmp_path):
    """Context, sampler with everything that remembers, grammar and a half character, saved and loaded by another process with other kernels."""
    options = dict(temperature=1.1, top_k=0, seed=11, dry_multiplier=0.8, repetition_penalty=1.1, penalty_last_n=-1, xtc_probability=0.3, banned=["zz"])
    grammar = 'root ::= "[日本" [a-z ]{25,50} "]" ("{" [a-z ]+ "}")*'
    sampler = llama2swift.Sampler(**options, model=stories, grammar=stories.grammar(gbnf=grammar))
    decoder, tokens = llama2swift.Decoder(stories), []
    with stories.context(length=256) as context:
        context.eval(stories.tokenize("Once upon a time"))
        first, saved = "", False
        for count in range(80):
            token = context.sample(sampler)
            if stories.is_end(token):
                break
            first += decoder.append(token)
            context.eval([token])
            tokens.append(token)
            held = bool(decoder.state()[48])
            if not saved and held:
                saved = True
                (tmp_path / "context").write_bytes(context.state())
                (tmp_path / "sampler").write_bytes(sampler.state())
                (tmp_path / "decoder").write_bytes(decoder.state())
                first, limit = "", count + 40
            if saved and count == limit:
                break
        first += decoder.finish()
    assert saved  # 日 is three tokens of a byte each
    (tmp_path / "options").write_text(json.dumps(options))
    (tmp_path / "grammar").write_text(grammar)
    for kernels in ("reference", "best"):
        subprocess.run(
            [sys.executable, "-c", CHILD, stories_path, str(tmp_path), kernels], check=True, env=os.environ | {"PYTHONPATH": str(ROOT / "Bindings/Python")}
        )
        text, state = json.loads((tmp_path / "out").read_text())
        assert text == first and first.startswith("日") and state == sampler.state().hex()


def test_generate_goes_on_with_a_saved_sampler(stories):
    options = dict(temperature=1.0, seed=4, repetition_penalty=1.2)
    one, two = llama2swift.Sampler(**options), llama2swift.Sampler(**options)
    with stories.context(length=256) as context, stories.context(length=256) as other:
        list(context.generate("Once", one, max_tokens=20))
        other.set_state(context.state())
        two.set_state(one.state())
        assert list(other.generate((), two, max_tokens=30)) == list(context.generate((), one, max_tokens=30))


# Decoders


def test_a_decoder_goes_on_between_any_two_tokens(stories):
    for text in ["héllo wörld 日本 🦙", " two spaces", "  x", "", "🦙" * 3]:
        tokens = stories.tokenize(text, bos=False)
        for start in (False, True):
            for special in (False, True):
                whole = llama2swift.Decoder(stories, special=special, text_start=start)
                expected = "".join(whole.append(t) for t in tokens) + whole.finish()
                for cut in range(len(tokens) + 1):
                    one, two = (llama2swift.Decoder(stories, special=special, text_start=start) for _ in range(2))
                    begin = "".join(one.append(t) for t in tokens[:cut])
                    two.append(300)
                    two.set_state(one.state())
                    assert two.state() == one.state()
                    assert begin + "".join(two.append(t) for t in tokens[cut:]) + two.finish() == expected
                    # whether the text began is part of the state
                    other = llama2swift.Decoder(stories, special=special, text_start=not start)
                    other.set_state(one.state())
                    assert begin + "".join(other.append(t) for t in tokens[cut:]) + other.finish() == expected
