"""Talking with a model."""

from __future__ import annotations

import argparse
import json
import os

from .. import Grammar, Model
from ..errors import Llama2Error, UnknownTemplateError
from . import lines, outputs, terminal, text
from .conversation import ROLES, Conversation, Message
from .run import drafting, guesses, sampler, seed_of, statistics

HELP = '''A message is a line; a line that ends in \\ goes on in the next one, and so does all between two """.
/retry             the last answer once more      /undo              take the last question back
/system [TEXT]     show or set the system prompt  /system ""         without one
/save [--force] F  write the conversation         /load F            go on with one
/stats             speed of the last answer       /clear             begin anew
/json [FILE]       answers are of this JSON Schema from now on; without a file: free again
/help              this                           /quit              the end, as Ctrl-D
// begins a message with a slash. Ctrl-C stops an answer.'''
MAX_SAVED, MAX_SCHEMA = 64 << 20, 1 << 20


def chat(a: argparse.Namespace) -> int:
    """Talks. Ctrl-C stops an answer, /help tells the rest; messages may come through a pipe, one a line."""
    model = Model(a.model)
    talk = Talk(a, model)
    if a.load:
        talk.load(a.load)
    if a.system is not None:  # "": without the one that was loaded
        talk.conversation.system = a.system
    return talk.run()


class Talk:
    """The loop: reads messages, obeys commands, prints answers."""

    def __init__(self, a: argparse.Namespace, model: Model):
        self.a, self.model = a, model
        self.context = model.context(a.context, a.threads)
        self.template = text.template(a.chat_template)
        self.conversation = Conversation(model, self.context, self._forgotten, drafting(a, self.context), self.template)
        self.interactive = terminal.interactive()
        self.seed, self.draws = seed_of(a), 0
        self.grammar: Grammar | None = None
        self.problems = 0

    def run(self) -> int:
        self._check_template()
        if self.interactive:
            terminal.line(f"{self.model.description}. /help tells the commands, Ctrl-D ends the talk.")
        read = lines.editor(not self.a.no_history) if self.interactive else lines.from_pipe
        interrupts = 0
        source = lines.messages(read)
        while True:
            try:
                message = next(source, None)
                interrupts = 0
                if message is None:
                    break
                if not self._obey(message):
                    break
            except KeyboardInterrupt:
                interrupts += 1
                if not self.interactive or interrupts == 2:
                    raise
                # at the prompt it takes the line back, as in a shell; a second one in a row ends the talk
                print()
                terminal.say("(Ctrl-D or a second Ctrl-C ends the talk)")
                source = lines.messages(read)  # a generator that was interrupted is at its end
        if self.interactive and message is None:
            print()
        return 1 if self.problems and not self.interactive else 0

    def _check_template(self) -> None:
        """A model that cannot chat says so before anything is typed."""
        if self.template is not None or self.model.chat_format is None:
            try:
                self.model.chat_tokens([{"role": "user", "content": "Hello"}], chat_template=self.template)
            except UnknownTemplateError:
                raise
            except Llama2Error:
                pass  # it may want another conversation than this one

    def _obey(self, message: str) -> bool:
        """False when the talk is to end."""
        if not message:
            return True
        word, _, rest = message.partition(" ")
        rest = rest.strip()
        if word.startswith("//") or not word.startswith("/"):
            self._answer({"role": "user", "content": message[1:] if word.startswith("//") else message})
        elif word in ("/quit", "/exit", "/bye"):
            return False
        elif word in _COMMANDS:
            try:
                _COMMANDS[word](self, rest)
            except (OSError, ValueError, Llama2Error) as problem:
                self._problem(terminal.sentence(problem))
        else:
            self._problem(f"{word} is no command; /help lists them, // begins a message with a slash")
        return True

    def _answer(self, question: Message) -> bool:
        """Prints an answer; False when there is none, and the conversation is as before."""
        self.draws += 1
        stopped, given = False, False
        chosen = sampler(self.a, self.seed + self.draws - 1)
        chosen.set_grammar(self.grammar)
        pieces = self.conversation.answer(question, chosen, self.a.max_tokens, in_one=self.grammar is not None)
        try:
            for piece in pieces:
                given = True
                terminal.write(piece)
        except (Llama2Error, ValueError) as problem:
            if given:
                terminal.write("\n")
            self._problem(terminal.sentence(problem))
            return given
        except KeyboardInterrupt:
            stopped = True
            pieces.close()  # where it was interrupted outside, it is still open
            if not self.interactive:
                terminal.write("\n")
                raise
        terminal.write(" [stopped]\n" if stopped else "\n")
        if self.conversation.reason == "context_full":
            terminal.say("[the context is full: the answer ends here]")
        if self.a.stats:
            self._figures()
        return True

    def _forgotten(self, count: int) -> None:
        terminal.say(f"[the context is full: the oldest {count} messages are left out from here on]")

    def _figures(self) -> None:
        statistics(self.context)
        if self.conversation.draft is not None:
            guesses(self.conversation)

    def _problem(self, text: str) -> None:
        self.problems += 1
        terminal.say(f"llama2swift: {text}")

    # Commands

    def help(self, _: str) -> None:
        print(HELP)

    def retry(self, _: str) -> None:
        before = list(self.conversation.messages)
        question = self.conversation.undo()
        if question is None:
            raise ValueError("there is no question yet")
        if not self._answer(question):
            self.conversation.replace(before)

    def undo(self, _: str) -> None:
        question = self.conversation.undo()
        if question is None:
            raise ValueError("there is no question yet")
        terminal.say(f"[taken back: {question['content'][:60]}]")

    def system(self, text: str) -> None:
        if not text:
            terminal.line(self.conversation.system or "(no system prompt)")
            return
        self.conversation.system = None if text in ('""', "''") else text
        terminal.say("[the system prompt is set]" if self.conversation.system else "[no system prompt]")

    def save(self, rest: str) -> None:
        force = rest.split(" ")[0] == "--force"
        path = _path(rest[len("--force") :] if force else rest)
        outputs.write_json(path, {"messages": self.conversation.messages}, force, (self.a.model, self.a.draft))
        terminal.say(f"[saved {len(self.conversation.messages)} messages in {path}]")

    def load(self, path: str) -> None:
        messages = _read(_path(path))
        self.conversation.replace(messages)
        terminal.say(f"[loaded {len(messages)} messages]")

    def stats(self, _: str) -> None:
        self._figures()
        terminal.say(f"[{self.context.sequence_length()} of {self.context.info.context_length} positions used]")

    def json(self, path: str) -> None:
        if not path:
            self.grammar = None
            terminal.say("[answers are free]")
            return
        self.grammar = self.model.grammar(json_schema=_text(_path(path), MAX_SCHEMA))
        terminal.say(f"[answers are JSON of the schema in {path}]")

    def clear(self, _: str) -> None:
        system = self.conversation.system
        self.conversation.replace([])
        self.conversation.system = system


_COMMANDS = {
    "/help": Talk.help, "/retry": Talk.retry, "/undo": Talk.undo, "/system": Talk.system, "/save": Talk.save, "/load": Talk.load,
    "/stats": Talk.stats, "/clear": Talk.clear, "/json": Talk.json,
}  # fmt: skip


def _path(text: str) -> str:
    if not text.strip():
        raise ValueError("which file?")
    return os.path.expanduser(text.strip())


def _text(path: str, most: int) -> str:
    """Of a file that is there whole: a FIFO would be waited for. A mark of the byte order, as some editors write it, is not of the text."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(f"{path} is no regular file")
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read(most + 1)
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no UTF-8") from None
    if len(text) > most:
        raise ValueError(f"{path} has more than {most >> 20} MiB")
    return text


def _read(path: str) -> list[Message]:
    """A conversation that was saved: {"messages": [...]} or the list alone, in the shape that HTTP interfaces use."""
    text = _text(path, MAX_SAVED)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{path} is no JSON") from None
    messages = value.get("messages") if isinstance(value, dict) else value
    if not isinstance(messages, list):
        raise ValueError(f"{path} has no list of messages")
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or set(message) != {"role", "content"} or not all(isinstance(v, str) for v in message.values()):
            raise ValueError(f"{path}: message {number} is not a role and a text")
        try:
            message["content"].encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise ValueError(f"{path}: message {number} has half a surrogate pair") from None
        if message["role"] not in ROLES or (message["role"] == "system" and number > 0):
            raise ValueError(f"{path}: message {number} has the role {message['role'][:40]!r}, which cannot stand there")
    return messages
