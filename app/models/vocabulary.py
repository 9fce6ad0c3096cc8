"""A model's tokens: text to ids and back.

Reading a vocabulary is safe from any thread; the lock only keeps it from being read while
the model is freed.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from functools import cached_property
from types import ModuleType
from typing import Any, NamedTuple

from groundling.errors import ModelError


class Part(NamedTuple):
    """A piece of a prompt.

    Args:
        text: the piece.
        markup: whether control tokens written in it count as such; text that comes from
            people or documents is no markup.
    """

    text: str
    markup: bool


class Vocabulary:
    """The tokens of one loaded model.

    Args:
        llama: the binding.
        model: the loaded model, which must stay loaded until `close`.
    """

    def __init__(self, llama: ModuleType, model: object) -> None:
        self._llama = llama
        self._lock = threading.Lock()
        self._vocab: Any = llama.llama_model_get_vocab(model)
        self._pieces: dict[int, bytes] = {}
        self.size = int(llama.llama_vocab_n_tokens(self._vocab))

    def tokenize(self, text: str, *, markup: bool = False, begin: bool = False) -> list[int]:
        """Split a text into tokens.

        Args:
            text: any text; control tokens in it are plain text unless `markup`.
            markup: read control tokens, such as `<|im_end|>`, as what they are.
            begin: put the model's begin-of-text token first, where it wants one.
        """
        data = text.encode("utf-8", "replace")
        with self.held() as vocab:
            room = len(data) + 8
            while True:
                tokens = (ctypes.c_int32 * room)()
                count = self._llama.llama_tokenize(
                    vocab, data, len(data), tokens, room, begin, markup
                )
                if count >= 0:
                    return list(tokens[:count])
                room = -count

    def encode(self, parts: Sequence[Part]) -> list[int]:
        """Tokenise a prompt, with one begin-of-text token where the model wants one."""
        begins = bool(parts) and parts[0].markup and parts[0].text.startswith(self.bos or "\0")
        tokens: list[int] = []
        for n, part in enumerate(parts):
            first = n == 0 and not begins
            tokens += self.tokenize(part.text, markup=part.markup, begin=first)
        return tokens

    def piece(self, token: int, *, markup: bool = False) -> bytes:
        """Return the bytes of a token; of a control token none unless `markup`."""
        if not markup and token in self._pieces:
            return self._pieces[token]
        if not 0 <= token < self.size:
            raise ValueError(f"there is no token {token}")
        with self.held() as vocab:
            room = 64
            buffer = ctypes.create_string_buffer(room)
            count = self._llama.llama_token_to_piece(vocab, token, buffer, room, 0, markup)
            if count < 0:
                room = -count
                buffer = ctypes.create_string_buffer(room)
                count = self._llama.llama_token_to_piece(vocab, token, buffer, room, 0, markup)
        piece = buffer.raw[:count]
        if not markup:
            self._pieces[token] = piece
        return piece

    def pieces(self) -> list[bytes]:
        """Return the bytes of every token, as `piece` does: half a second for 152,000."""
        found = []
        room = 256
        buffer = ctypes.create_string_buffer(room)
        read, start = self._llama.llama_token_to_piece, ctypes.addressof(buffer)
        with self.held() as vocab:
            for token in range(self.size):
                count = read(vocab, token, buffer, room, 0, False)
                found.append(ctypes.string_at(start, count) if count >= 0 else None)
        return [self.piece(n) if piece is None else piece for n, piece in enumerate(found)]

    def text(self, tokens: Sequence[int], *, markup: bool = False) -> str:
        """Join tokens into text; bytes that are no UTF-8 become U+FFFD."""
        return b"".join(self.piece(token, markup=markup) for token in tokens).decode(
            "utf-8", "replace"
        )

    def ends(self, token: int) -> bool:
        """Tell whether a token ends the text: end of turn, of message, of text."""
        with self.held() as vocab:
            return bool(self._llama.llama_vocab_is_eog(vocab, token))

    @cached_property
    def enders(self) -> frozenset[int]:
        """All tokens that end the text: a tenth of a second for 152,000."""
        ends = self._llama.llama_vocab_is_eog
        with self.held() as vocab:
            return frozenset(token for token in range(self.size) if ends(vocab, token))

    @cached_property
    def bos(self) -> str:
        """The begin-of-text token as text; empty where there is none."""
        return self._special(self._llama.llama_vocab_bos)

    @cached_property
    def eos(self) -> str:
        """The end-of-text token as text; empty where there is none."""
        return self._special(self._llama.llama_vocab_eos)

    @cached_property
    def control_texts(self) -> frozenset[str]:
        """The texts that `tokenize(…, markup=True)` reads as control tokens."""
        llama = self._llama
        control = llama.LLAMA_TOKEN_ATTR_CONTROL | llama.LLAMA_TOKEN_ATTR_UNKNOWN
        with self.held() as vocab:
            texts = {
                llama.llama_vocab_get_text(vocab, token).decode("utf-8", "replace")
                for token in range(self.size)
                if llama.llama_vocab_get_attr(vocab, token) & control
            }
        return frozenset(texts - {""})

    def close(self) -> None:
        """Let go of the model; later calls raise."""
        with self._lock:
            self._vocab = None

    def _special(self, which: Any) -> str:
        with self.held() as vocab:
            token = which(vocab)
            if token < 0:
                return ""
            return str(self._llama.llama_vocab_get_text(vocab, token).decode("utf-8", "replace"))

    def held(self) -> _Held:
        """Return the native vocabulary for a `with` block; it is not freed inside of it."""
        return _Held(self)


class _Held:
    """The vocabulary's pointer, for the length of a `with` block."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def __enter__(self) -> Any:
        self._vocabulary._lock.acquire()
        if self._vocabulary._vocab is None:
            self._vocabulary._lock.release()
            raise ModelError("This model is closed.")
        return self._vocabulary._vocab

    def __exit__(self, *_: object) -> None:
        self._vocabulary._lock.release()
