"""The vocabulary of a model that is loaded in another process: asked there, remembered here.

Reading it here, too, would let a hostile file end this process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NoReturn

from groundling.errors import ModelError
from groundling.models.isolation.messages import (
    Describe,
    Encode,
    FromChild,
    Specials,
    SpecialTexts,
    Texts,
    Tokenize,
    Tokens,
)
from groundling.models.vocabulary import Part, Vocabulary

Question = Encode | Tokenize | Describe | Specials


class RemoteVocabulary(Vocabulary):
    """A vocabulary whose answers come from a child process.

    Args:
        size: how many tokens there are.
        ask: sends a question and returns its answer.
    """

    def __init__(self, size: int, ask: Callable[[Question], FromChild]) -> None:
        self.size = size
        self._ask = ask
        self._known: dict[tuple[int, bool], bytes] = {}
        self._last: dict[int, bool] = {}

    def tokenize(self, text: str, *, markup: bool = False, begin: bool = False) -> list[int]:
        return _tokens(self._ask(Tokenize(text.encode("utf-8", "replace"), markup, begin)))

    def encode(self, parts: Sequence[Part]) -> list[int]:
        sent = tuple((part.text.encode("utf-8", "replace"), part.markup) for part in parts)
        return _tokens(self._ask(Encode(sent)))

    def piece(self, token: int, *, markup: bool = False) -> bytes:
        self._describe([token], markup)
        return self._known[token, markup]

    def text(self, tokens: Sequence[int], *, markup: bool = False) -> str:
        self._describe(tokens, markup)
        return b"".join(self._known[token, markup] for token in tokens).decode("utf-8", "replace")

    def ends(self, token: int) -> bool:
        if token not in self._last:
            self._describe([token], markup=False)
        return self._last[token]

    @cached_property
    def bos(self) -> str:
        return self._specials.bos

    @cached_property
    def eos(self) -> str:
        return self._specials.eos

    @cached_property
    def control_texts(self) -> frozenset[str]:
        return self._specials.control

    def close(self) -> None:
        """Do nothing: the process that has the model lets go of it."""

    def held(self) -> NoReturn:
        raise ModelError("This model is loaded in another process; nothing native is here.")

    @cached_property
    def _specials(self) -> SpecialTexts:
        answer = self._ask(Specials())
        assert isinstance(answer, SpecialTexts)
        return answer

    def _describe(self, tokens: Sequence[int], markup: bool) -> None:
        unknown = tuple({token for token in tokens if (token, markup) not in self._known})
        if not unknown:
            return
        answer = self._ask(Describe(unknown, markup))
        assert isinstance(answer, Texts)
        for token, piece, last in zip(unknown, answer.pieces, answer.ends, strict=True):
            self._known[token, markup] = piece
            self._last[token] = last


def _tokens(answer: FromChild) -> list[int]:
    assert isinstance(answer, Tokens)
    return answer.tokens
