"""`llama2swift chat`: through pipes and on a terminal, longer than the context, with its commands."""

import json
import os
import re

import pytest
from terminals import Terminal, command, sentence

import llama2swift

TALK = "Tell me a story about a dog and a ball.\n"


def chat(model, text, *arguments, **options):
    return command("chat", model, "--seed", "1", *arguments, input=text, **options)


def test_pipes_give_an_answer_a_line_and_empty_lines_do_nothing(stories_path):
    done = chat(stories_path, "\n\n" + TALK + "\n   \n" + TALK + "\n", "-n", "10")
    assert done.returncode == 0 and done.stderr == "" and "> " not in done.stdout
    assert done.stdout.count("\n") >= 2
    assert chat(stories_path, "").stdout == ""


def test_the_same_seed_tells_the_same(stories_path):
    assert chat(stories_path, TALK * 3, "-n", "20").stdout == chat(stories_path, TALK * 3, "-n", "20").stdout


def test_a_talk_is_written_by_the_template_that_is_named(stories_path, tmp_path):
    """A format's name, Jinja and a file with it; a name that is none says so before anything is asked."""
    jinja = "{{ messages[-1]['content'] }}"
    (tmp_path / "plain.jinja").write_text(jinja)
    given = [chat(stories_path, TALK, "-n", "20", *(["--chat-template", x] if x else [])) for x in (None, "chatml", jinja, str(tmp_path / "plain.jinja"))]
    assert [x.returncode for x in given] == [0] * 4
    usual, chatml, text, file = [x.stdout for x in given]
    assert len({usual, chatml, text}) == 3 and text == file
    model = llama2swift.Model(stories_path)
    context = model.context()
    with context.generate(model.chat_tokens([{"role": "user", "content": TALK.strip()}], chat_template=jinja), llama2swift.Sampler(seed=1), max_tokens=20) as pieces:
        assert "".join(pieces) + "\n" == text
    none = chat(stories_path, TALK, "--chat-template", "rag")
    assert none.returncode == 1 and "rag" in sentence(none)


@pytest.mark.parametrize("extra", [[], ["--system", "You tell stories about dogs to children."]], ids=["plain", "system"])
def test_a_talk_longer_than_the_context_goes_on_and_says_so(stories_path, extra, tmp_path):
    saved = tmp_path / "talk.json"
    done = chat(stories_path, TALK * 8 + f"/save {saved}\n", "-c", "160", "-n", "20", *extra)
    assert done.returncode == 0
    assert "the context is full: the oldest" in done.stderr and "left out" in done.stderr
    messages = json.loads(saved.read_text())["messages"]  # what was left out is not lost
    assert [m["role"] for m in messages] == ["system"] * bool(extra) + ["user", "assistant"] * 8
    assert all(m["content"] for m in messages)


def test_what_follows_the_turns_that_are_left_out_is_not_evaluated_again(smollm2_path, monkeypatch):
    """Ten questions in a context for three; the cache moves up, but not under a system prompt that is another one now."""
    from llama2swift.cli.conversation import Conversation

    model, given, left = llama2swift.Model(smollm2_path), [], []
    generate = llama2swift.Context.generate
    monkeypatch.setattr(llama2swift.Context, "generate", lambda self, tokens, *a, **options: given.append(len(tokens)) or generate(self, tokens, *a, **options))

    def shares(edits):
        """Of each prompt from which turns were left out, the share that was evaluated."""
        out = []
        with model.context(length=384) as context:
            talk = Conversation(model, context, left.append)
            talk.system = "You are a gardener."
            for number in range(10):
                left.clear()
                given.clear()
                if edits and number:
                    talk.system = "You are a gardener." if number % 2 == 0 else None
                asked = f"Question {number}: which flower comes after rose number {number}, and when do I water it in a dry summer?"
                assert "".join(talk.answer({"role": "user", "content": asked}, llama2swift.Sampler(temperature=0), 48))
                assert context.sequence_length() <= 384 and len(given) == 1
                if left:
                    out.append(given[0] / len(talk._cached))
        return out

    moved, anew = shares(False), shares(True)
    assert len(moved) >= 3 and max(moved) < 0.6, moved
    assert len(anew) >= 3 and min(anew) > 0.6, anew


def test_an_answer_that_fills_the_context_goes_on_without_the_oldest_turns(stories_path, tmp_path):
    saved = tmp_path / "talk.json"
    text = f"Once upon a time\nThere was a dog\nOne day, a cat\n/save {saved}\n"
    done = chat(stories_path, text, "-c", "160", "-n", "100", "--temperature", "0")
    assert done.returncode == 0 and "left out" in done.stderr and "answer ends here" not in done.stderr
    answers = [m["content"] for m in json.loads(saved.read_text())["messages"] if m["role"] == "assistant"]
    assert len(answers) == 3 and min(len(a) for a in answers) > 100


def test_a_message_that_does_not_fit_is_refused_and_the_talk_goes_on(stories_path):
    done = chat(stories_path, TALK + "word " * 400 + "\n" + TALK, "-c", "128", "-n", "5")
    assert done.returncode == 1
    assert re.search(r"llama2swift: the message has \d+ tokens .* the context 128 positions", done.stderr)
    assert len(done.stdout.splitlines()) >= 2 and "Traceback" not in done.stderr


def test_an_answer_alone_that_fills_the_context_ends_and_says_so(stories_path):
    done = chat(stories_path, "Once upon a time\n", "-c", "48")
    assert done.returncode == 0 and "the context is full: the answer ends here" in done.stderr


def test_several_lines_are_one_message(stories_path, tmp_path):
    saved = tmp_path / "talk.json"
    chat(stories_path, f'one \\\ntwo\n"""three\n\nfour\n"""\n"""five"""\n//six\n/save {saved}\n', "-n", "2")
    said = [m["content"] for m in json.loads(saved.read_text())["messages"] if m["role"] == "user"]
    assert said == ["one \ntwo", "three\n\nfour", "five", "/six"]


def test_save_load_undo_retry_system(stories_path, tmp_path):
    saved = tmp_path / "talk.json"
    talk = f'{TALK}And a cat.\n/undo\n/system Be brief.\n/system\n/save {saved}\n/save {saved}\n/save --force {saved}\n'
    done = chat(stories_path, talk, "-n", "5")
    assert done.returncode == 1 and "--force" in done.stderr and "Be brief." in done.stdout
    messages = json.loads(saved.read_text())["messages"]
    assert [m["role"] for m in messages] == ["system", "user", "assistant"]

    again = tmp_path / "again.json"
    done = chat(stories_path, f'/load {saved}\n/retry\n/system ""\nAnd then?\n/save {again}\n', "-n", "5")
    assert done.returncode == 0, done.stderr
    messages = json.loads(again.read_text())["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant"] * 2 and messages[2]["content"] == "And then?"
    done = command("chat", stories_path, "--load", again, "-n", "3", input="/clear\n/undo\n/quit\nnever\n")
    assert "loaded 4 messages" in done.stderr and "there is no question yet" in done.stderr and done.stdout == ""


def test_a_retry_draws_anew(smollm2_path, tmp_path):
    files = [tmp_path / f"{i}.json" for i in range(2)]
    done = chat(smollm2_path, f"Tell me a joke.\n/save {files[0]}\n/retry\n/save {files[1]}\n", "-n", "20", "--temperature", "1.5")
    assert done.returncode == 0
    first, second = (json.loads(f.read_text())["messages"] for f in files)
    assert first[0] == second[0] and first[1] != second[1] and len(first) == len(second) == 2


def test_a_draft_changes_no_answer(stories_path, tmp_path):
    llama2swift.quantize(stories_path, tmp_path / "draft.gguf", "Q8_0")
    asked = (stories_path, TALK * 3 + "/retry\n/undo\n" + TALK, "-c", "220", "-n", "40", "--temperature", "0.3")
    done = chat(*asked, "--draft", tmp_path / "draft.gguf", "--stats")
    assert done.stdout == chat(*asked).stdout and done.returncode == 0 and "left out" in done.stderr
    found = re.findall(r"\[guessed (\d+) tokens, (\d+) of them right\]", done.stderr)
    assert len(found) == 5 and all(int(guessed) >= int(right) for guessed, right in found) and sum(int(right) for _, right in found) > 20
    assert "guessed" not in chat(*asked, "--stats").stderr
    assert "none.gguf" in sentence(chat(stories_path, TALK, "--draft", tmp_path / "none.gguf"))


HOSTILE = {
    "no JSON": b"{", "binary": b"\x00\xff\xfe", "deep": b"[" * 200000, "a number": b"3", "no messages": b'{"a": 1}',
    "no object": b"[1]", "no text": b'[{"role": "user", "content": 3}]', "a key more": b'[{"role": "user", "content": "a", "name": "b"}]',
    "a role": b'[{"role": "\\u001b[31mking", "content": "a"}]', "system later": b'[{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]',
    "half a pair": b'[{"role": "user", "content": "\\ud83d"}]',
}  # fmt: skip


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_conversation_that_is_none_is_refused(content, stories_path, tmp_path):
    path = tmp_path / "talk.json"
    path.write_bytes(content)
    text = sentence(command("chat", stories_path, "--load", path, input=""))
    assert "talk.json" in text or "UTF-8" in text or "utf-8" in text
    assert "\x1b" not in text
    done = chat(stories_path, f"{TALK}/load {path}\n/load {tmp_path}\n/load {tmp_path / 'none'}\n/load\n{TALK}", "-n", "3")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 4 and done.stdout.count("\n") >= 2


def test_what_was_no_text_comes_back_from_a_saved_talk(stories_path, tmp_path):
    saved = tmp_path / "talk.json"
    done = command("chat", stories_path, "-n", "2", text=False, input=b"caf\xe9\n/save " + os.fsencode(saved) + b"\n")
    assert done.returncode == 0 and json.loads(saved.read_text())["messages"][0]["content"] == "caf\udce9"
    done = command("chat", stories_path, "--load", saved, "-n", "2", input="/retry\n")
    assert done.returncode == 0, done.stderr


def test_a_schema_or_talk_is_a_file_that_is_there_whole(stories_path, tmp_path):
    """A FIFO would be waited for; a mark of the byte order belongs to the file and not to its text."""
    os.mkfifo(tmp_path / "fifo")
    for name, why in (("fifo", "no regular file"), (".", "no regular file"), ("none", "No such file")):
        done = command("chat", stories_path, input=f"/json {tmp_path / name}\n/load {tmp_path / name}\n", timeout=60)
        assert done.returncode == 1 and done.stderr.count(why) == 2, done.stderr
    (tmp_path / "schema").write_bytes(b'\xef\xbb\xbf{"const": "seven"}')
    (tmp_path / "talk").write_bytes(b'\xef\xbb\xbf[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes"}]')
    done = command("chat", stories_path, input=f"/load {tmp_path / 'talk'}\n/json {tmp_path / 'schema'}\nHi\n")
    assert done.returncode == 0 and done.stdout.strip() == '"seven"', done.stderr


# On a terminal


@pytest.fixture
def home(tmp_path):
    return {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}


def test_ctrl_c_stops_the_answer_and_nothing_else(smollm2_path, home):
    with Terminal("chat", smollm2_path, "--seed", "3", **home) as talk:
        talk.wait_for("> ")
        talk.type("Write a very long story about the sea, with many chapters.\n")
        talk.wait_for("\n")
        talk.wait_for(" ")
        talk.type("\x03")
        talk.wait_for("[stopped]")
        talk.wait_for("> ")
        talk.type("Say yes.\n")
        talk.wait_for("\n")
        talk.wait_for("> ")
        talk.type("\x04")
        assert talk.status() == 0 and "Traceback" not in talk.screen


def test_ctrl_c_at_the_prompt_takes_the_line_back_and_twice_ends(stories_path, home):
    with Terminal("chat", stories_path, "-n", "5", **home) as talk:
        talk.wait_for("> ")
        talk.type("half a li\x03")
        talk.wait_for("second Ctrl-C")
        talk.wait_for("> ")
        talk.type("\n/help\n")
        talk.wait_for("/retry")
        talk.wait_for("> ")
        talk.type("\x03")
        talk.wait_for("second Ctrl-C")
        talk.wait_for("> ")
        talk.type("\x03")
        assert talk.status() == 130 and "Traceback" not in talk.screen


def test_what_was_typed_is_there_in_the_next_talk_for_its_owner_alone(stories_path, home, tmp_path):
    for _ in range(2):
        with Terminal("chat", stories_path, "-n", "2", **home) as talk:
            talk.wait_for("> ")
            talk.type("/system Remember the milk.\n")
            talk.wait_for("> ")
            talk.type("\x04")
            assert talk.status() == 0
    history = tmp_path / "state/llama2swift/history"
    assert history.read_text().count("milk") >= 1 and history.stat().st_mode & 0o777 == 0o600
    with Terminal("chat", stories_path, "-n", "2", **home) as talk:
        talk.wait_for("> ")
        talk.type("\x10\n")  # the line before, as with the arrow
        talk.wait_for("the system prompt is set")
        talk.wait_for("> ")
        talk.type("\x04")
        assert talk.status() == 0
    history.unlink()
    with Terminal("chat", stories_path, "-n", "2", "--no-history", **home) as talk:
        talk.wait_for("> ")
        talk.type("/help\n")
        talk.wait_for("> ")
        talk.type("\x04")
        assert talk.status() == 0
    assert not history.exists()


def test_a_home_that_cannot_be_written_is_no_obstacle(stories_path):
    with Terminal("chat", stories_path, "-n", "2", HOME="/proc/none", XDG_STATE_HOME="/proc/none") as talk:
        talk.wait_for("> ")
        talk.type("Hello\n")
        talk.wait_for("> ")
        talk.type("/quit\n")
        assert talk.status() == 0 and "Traceback" not in talk.screen


def test_a_template_that_is_not_there_is_no_template(stories_path):
    """Its path would be all that the model is told, whatever is typed."""
    for given in ("./none.jinja", "/none/of/these", "a / b"):
        done = chat(stories_path, "Hello\n", "--chat-template", given)
        assert done.returncode == 1 and "leads nowhere" in done.stderr and done.stdout == ""
