"""Text to tokens and back."""

from __future__ import annotations

import ctypes as C
from collections.abc import Sequence
from typing import Any

from . import _arguments as A
from . import _constants as K
from . import _library as lib
from . import _structs as S
from ._calling import said
from ._calls import Calls, run
from ._closing import Handle
from .chat import Conversation, Messages, Objects
from .errors import NotFoundError
from .grammar import Grammar, Schema
from .results import SpecialTokens


# Bytes that are tokenized in some hundredths of a second.
_SHORT_TEXT = 1 << 17


class Vocabulary:
    """The part of a model that text meets: for any number of threads."""

    _handle: int | None

    @property
    def special_tokens(self) -> SpecialTokens:
        """The ids of BOS, EOS and so on. Raises UnsupportedError for a file without a vocabulary, as all of the following."""
        values = S.sized(S.SpecialTokens)
        lib.call("model_special_tokens", self._handle, C.byref(values))
        bos, eos, eot, unknown = (None if v < 0 else v for v in (values.bos, values.eos, values.eot, values.unknown))
        return SpecialTokens(bos, eos, eot, unknown, bool(values.adds_bos), bool(values.adds_eos))

    def tokenize(self, text: A.Text, bos: bool | None = False, special: bool = False, eos: bool | None = False) -> list[int]:
        """The tokens of `text`. bos, eos: begin with BOS, end with EOS; None: if the model expects it (add_bos_token,
        add_eos_token). special: names of control tokens in the text become these tokens, for trusted text only."""
        flags = K.TOKENIZE_SPECIAL if A.flag("special", special) else 0
        flags |= K.TOKENIZE_DEFAULT_BOS if bos is None else K.TOKENIZE_BOS if A.flag("bos", bos) else 0
        flags |= K.TOKENIZE_DEFAULT_EOS if eos is None else K.TOKENIZE_EOS if A.flag("eos", eos) else 0
        return self._tokenize(A.text("text", text), flags)

    def tokenize_prompt(self, text: A.Text) -> list[int]:
        """The tokens of a text that begins a sequence: with BOS if the model expects it, and no EOS, since it goes on."""
        return self._tokenize(A.text("text", text), K.TOKENIZE_DEFAULT_BOS)

    def _tokenize(self, raw: bytes, flags: int) -> list[int]:
        def call() -> list[int]:
            return lib.call_tokens("tokenize", self._handle, raw, len(raw), flags, capacity=len(raw) + 2)

        return call() if len(raw) < _SHORT_TEXT else run(Calls(), call, late=lambda _: None)

    def detokenize(self, tokens: A.TokenIds, special: bool = False) -> str:
        """The text of `tokens`; bytes that are not UTF-8 become U+FFFD. special: control tokens by their names."""
        return self.detokenize_bytes(tokens, special).decode("utf-8", "replace")

    def detokenize_bytes(self, tokens: A.TokenIds, special: bool = False) -> bytes:
        """The bytes of `tokens`: detokenize_bytes(tokenize(x)) is x."""
        ids = A.tokens("tokens", tokens)
        return lib.call_text("detokenize", self._handle, ids.pointer, ids.count, _special(special))

    def piece(self, token: int, special: bool = False) -> bytes:
        """The bytes of one token, which may be part of a character. special: a control token by its name, else it gives nothing.
        Raises InvalidTokenError."""
        return lib.call_text("token_piece", self._handle, A.token("token", token), _special(special))

    def grammar(
        self, *, gbnf: A.Text | None = None, json_schema: Schema | None = None, regex: A.Text | None = None,
        choices: Sequence[str] | None = None, whitespace: str = "free", any_order: bool = False, ignore_unsupported: bool = False,
    ) -> Grammar:  # fmt: skip
        """A grammar of this vocabulary, given by one of:

        json_schema: JSON Schema as text, dict, pydantic model or TypeAdapter. gbnf: llama.cpp's grammars. regex: RE2's expressions, for
        the whole text. choices: texts, one of which it is. whitespace: "free" or "compact", of JSON. any_order: members of
        objects in any order, not the schema's. ignore_unsupported: what cannot be followed is left out, see `Grammar.ignored`.
        Raises InvalidArgumentError (with the line or path), UnsupportedError (a keyword that cannot be followed)."""
        return Grammar(
            self, gbnf=gbnf, json_schema=json_schema, regex=regex, choices=choices, whitespace=whitespace, any_order=any_order,
            ignore_unsupported=ignore_unsupported,
        )  # fmt: skip

    def decoder(self, *, special: bool = False, text_start: bool = False) -> Decoder:
        """A streaming decoder: tokens in, whole characters out."""
        return Decoder(self, special=special, text_start=text_start)

    def is_end(self, token: int) -> bool:
        """Whether generation ends with `token`. Raises InvalidTokenError."""
        value = C.c_int32()
        lib.call("token_is_end", self._handle, A.token("token", token), C.byref(value))
        return bool(value.value)

    # Conversations

    @property
    def chat_format(self) -> str:
        """The name of the format that the chat template writes: "llama2", "chatml", "llama3", "zephyr", "mistral-v1", "mistral-v3",
        "mistral-v3-tekken", "vicuna" or "alpaca"; "" for any other. It decides nothing."""
        return lib.call_text("chat_format", self._handle).decode()

    @property
    def chat_template(self) -> str | None:
        """The file's chat template, None if it has none."""
        key = b"tokenizer.chat_template"
        try:
            return lib.call_text("model_metadata", self._handle, key, len(key)).decode("utf-8", "replace")
        except NotFoundError:
            return None

    @property
    def chat_templates(self) -> dict[str, str]:
        """The file's chat templates by name: "default", and what else it has, "tool_use" (which conversations with tools get) or "rag"
        for instance. `chat_tokens` takes a name as chat_template."""
        found = {} if self.chat_template is None else {"default": self.chat_template}
        count, prefix = C.c_size_t(), b"tokenizer.chat_template."
        lib.call("model_metadata_count", self._handle, C.byref(count))
        for i in range(count.value):
            key = lib.call_text("model_metadata_key", self._handle, i)
            if key.startswith(prefix):
                text = lib.call_text("model_metadata", self._handle, key, len(key)).decode("utf-8", "replace")
                found.setdefault(key[len(prefix) :].decode("utf-8", "replace"), text)
        return found

    def chat_tokens(
        self, messages: Messages, *, add_generation_prompt: bool = True, continue_final_message: bool = False, tools: Objects = None,
        documents: Objects = None, chat_template: str | None = None, **variables: Any,
    ) -> list[int]:  # fmt: skip
        """A conversation as the model's chat template writes it. No text of a message can become a control token.

        messages: ``[{"role": "user", "content": text}, ...]`` with the roles and further keys that the template takes; a content
        may be a list of parts ``{"type": "text", "text": ...}``: a template that reads parts gets them, any other their texts
        put together. add_generation_prompt: open the answer.
        continue_final_message: leave the last message open instead, the answer goes on with it. tools, documents: lists of dicts,
        as `transformers` passes them. chat_template: Jinja, the name of one of `chat_templates` ("rag") or a format's name, in place of
        the model's usual one. variables: more of the template's, `enable_thinking` for instance.
        Raises InvalidArgumentError when the template refuses the conversation, UnknownTemplateError when there is none or it cannot
        be followed.
        """
        talk = Conversation(messages, tools, documents, chat_template, add_generation_prompt, continue_final_message, variables)
        try:
            options = talk.options()
        except UnicodeEncodeError:
            if not talk.is_plain:
                raise
            # bytes that are no text, as os.fsdecode keeps them: these C takes as they are
            raw = [(A.text("role", m["role"]), A.text("content", said(m["content"]))) for m in talk.messages]
            array = (S.Message * max(len(raw), 1))(*(S.Message(r, len(r), c, len(c)) for r, c in raw))
            return lib.call_tokens("chat_encode", self._handle, array, len(raw), talk.flags, capacity=talk.size)
        return lib.call_tokens("chat_encode_json", self._handle, C.byref(options), capacity=talk.size)

    def chat_text(
        self, messages: Messages, *, add_generation_prompt: bool = True, continue_final_message: bool = False, tools: Objects = None,
        documents: Objects = None, chat_template: str | None = None, **variables: Any,
    ) -> str:  # fmt: skip
        """The text that the template writes: for looking at. Tokens come from `chat_tokens`, which keeps control tokens and the
        text of messages apart."""
        talk = Conversation(messages, tools, documents, chat_template, add_generation_prompt, continue_final_message, variables)
        return lib.call_text("chat_render", self._handle, C.byref(talk.options())).decode("utf-8", "replace")


def _special(value: object) -> int:
    return K.DETOKENIZE_SPECIAL if A.flag("special", value) else 0


class Decoder(Handle):
    """A streaming decoder: tokens in, whole characters out, U+FFFD for bytes that can become none. For one thread at a time.

    special: control tokens by their names. text_start: the tokens begin a text, drop the space that tokenize added.
    """

    _not_copied = ": it stands between two characters of a text"

    def __init__(self, model: Vocabulary, *, special: bool = False, text_start: bool = False):
        A.instance("model", model, Vocabulary)
        flags = K.DECODER_SPECIAL if A.flag("special", special) else 0
        flags |= K.DECODER_TEXT_START if A.flag("text_start", text_start) else 0
        handle = C.c_void_p()
        lib.call("decoder_create", model._handle, flags, C.byref(handle), None, 0)
        self._hold("decoder", handle.value)

    def append(self, token: int) -> str:
        """The characters that `token` completes, possibly none. Raises InvalidTokenError, with the decoder as before."""
        return lib.call_text("decoder_append", self._handle, A.token("token", token)).decode()

    def finish(self) -> str:
        """What is held back: U+FFFD if a character was left unfinished. The decoder is then at a beginning."""
        return lib.call_text("decoder_finish", self._handle).decode()

    def state(self) -> bytes:
        """What it is in the midst of, for `set_state`. Format: STATE.md."""
        return lib.call_text("decoder_save", self._handle)

    def set_state(self, state: bytes) -> None:
        """Goes on where `state` was called, in another process too: with the same vocabulary, and `special` alike. All or nothing. Raises
        InvalidArgumentError, FormatError, CorruptFileError, UnsupportedError."""
        data = A.saved("state", state)
        lib.call("decoder_load", self._handle, data, len(data))
