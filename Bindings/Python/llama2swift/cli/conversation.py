"""A conversation on one context: what fits, what the cache has already, and an answer that can be stopped."""

from __future__ import annotations

from collections.abc import Callable, Generator

from .. import Context, Generation, Model, Sampler
from .._common import common_length
from ..errors import ContextFullError

Message = dict[str, str]
ROLES = ("system", "user", "assistant")


class Conversation:
    """messages: all that was said, for saving; of these the oldest are no longer given to the model once the context is full.
    What followed them stays in the cache and moves up (`Context.shift`), so that only what is new is evaluated.

    forgotten(n) is called when n more messages are left out. draft: a context of a smaller model that guesses.
    template: as `chat_tokens` takes it; None: the model's usual one.
    """

    def __init__(self, model: Model, context: Context, forgotten: Callable[[int], None], draft: Context | None = None, template: str | None = None):
        self.model, self.context, self.draft, self.template = model, context, draft, template
        self.guessed = self.guessed_right = 0  # of the last answer
        self.messages: list[Message] = []
        self.reason: str | None = None  # why the last answer ended; "interrupted" for Ctrl-C
        self._forgotten = forgotten
        self._first = 0  # the first message, but for the system prompt, that the model still sees
        self._cached: list[int] = []  # tokens of the cache, as far as they are known
        # since they were evaluated: messages were left out; something else was changed, which what is cached behind it still tells of
        self._left_out = self._edited = False
        self._length = context.info.context_length

    @property
    def system(self) -> str | None:
        return self.messages[0]["content"] if self.messages and self.messages[0]["role"] == "system" else None

    @system.setter
    def system(self, text: str | None) -> None:
        rest = self.messages[1:] if self.system is not None else self.messages
        self.messages = ([{"role": "system", "content": text}] if text else []) + rest
        self._first, self._edited = 0, True

    def replace(self, messages: list[Message]) -> None:
        self.messages, self._first, self._edited = messages, 0, True

    def undo(self) -> Message | None:
        """Takes back the last question with its answer; the question."""
        for index in range(len(self.messages) - 1, -1, -1):
            if self.messages[index]["role"] == "user":
                question = self.messages[index]
                del self.messages[index:]
                self._first, self._edited = min(self._first, len(self.messages)), True
                return question
        return None

    def answer(self, question: Message, sampler: Sampler, max_tokens: int = 0, *, in_one: bool = False) -> Generator[str, None, None]:
        """The pieces of an answer. An error leaves the conversation as it was; closing the iterator or Ctrl-C keeps the part that
        was given. When the context is full in the middle of an answer the oldest turns are left out and it goes on, but not for in_one:
        a grammar would begin anew."""
        self.messages.append(question)
        text, left, self.reason = "", max_tokens, None
        self.guessed = self.guessed_right = 0
        try:
            while True:
                prompt, room = self._prompt(text)
                with self._generate(prompt, sampler, min(left, room) if left else room) as pieces:
                    for piece in pieces:
                        text += piece
                        yield piece
                self.reason = pieces.reason
                self.guessed, self.guessed_right = self.guessed + pieces.guessed, self.guessed_right + pieces.guessed_right
                if left:
                    left -= pieces.tokens
                    if left <= 0:
                        break
                # the context is full, or nearly: go on if there is something to leave out
                if self.reason not in ("context_full", "max_tokens") or in_one or not self._leave_out():
                    self.reason = "context_full" if self.reason == "max_tokens" else self.reason
                    break
        except (GeneratorExit, KeyboardInterrupt):
            self.reason = "interrupted"
            self._keep(text)
            raise
        except BaseException:
            if text:
                self._keep(text)
            else:
                self.messages.pop()
            raise
        self._keep(text)

    def _keep(self, text: str) -> None:
        self.messages.append({"role": "assistant", "content": text})

    def _visible(self) -> list[Message]:
        start = 1 if self.system is not None else 0
        return self.messages[:start] + self.messages[max(start, self._first) :]

    def _prompt(self, begun: str) -> tuple[list[int], int]:
        """The tokens of what the model is to see with `begun`, the part of the answer that is there, and the room for more."""
        while True:
            tokens = self.model.chat_tokens(self._visible(), chat_template=self.template)
            if begun:
                tokens = tokens + self.model.tokenize(begun)
            # a quarter of the context for an answer, if turns can be left out for it
            if len(tokens) <= self._length - self._length // 4 - 1:
                break
            if not self._leave_out():
                if len(tokens) >= self._length:
                    raise ContextFullError(f"the message has {len(tokens)} tokens with what frames it, the context {self._length} positions; --context gives more")
                break
        return tokens, self._length - len(tokens)

    def _leave_out(self) -> bool:
        """Leaves the oldest question and what followed it out; False when only the last question is left."""
        start = max(self._first, 1 if self.system is not None else 0)
        for index in range(start + 1, len(self.messages)):
            if self.messages[index]["role"] == "user":
                self._first, self._left_out = index, True
                self._forgotten(index - start)
                return True
        return False

    def _generate(self, tokens: list[int], sampler: Sampler, max_tokens: int) -> Generation:
        known = min(len(self._cached), self.context.sequence_length())
        common = common_length(self._cached[:known], tokens[:-1])  # at least one token is evaluated, so that there are logits
        if self._left_out and not self._edited and (drop := self._gap(tokens, common, known)):
            self.context.truncate(known)
            self.context.shift(drop, keep=common)
            common = known - drop
        self.context.truncate(common)
        self._cached, self._left_out, self._edited = tokens, False, False
        return self.context.generate(tokens[common:], sampler, max_tokens=max_tokens, draft=self.draft)

    def _gap(self, tokens: list[int], common: int, known: int) -> int:
        """How many of the cached tokens stand between the `common` first ones and a rest that `tokens` has right behind these; 0 where it has none.
        The first four always stay: attention leans on them (Xiao et al., 2023)."""
        if common >= 4:
            for start in range(max(common + 1, known + common - len(tokens) + 1), known):
                if self._cached[start] == tokens[common] and self._cached[start:known] == tokens[common : common + known - start]:
                    return start - common
        return 0
