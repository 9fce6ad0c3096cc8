"""Guessing what the model will write from what is written already.

Answers from documents copy from them. Where the last few tokens have occurred before, what
followed them there is a guess at what follows now; the model checks all guesses in one
forward pass, and what it would not have written is dropped, so that the guess changes the
speed alone (prompt lookup decoding, Saxena 2023; arXiv:2304.04487).
"""

from __future__ import annotations

from collections.abc import Sequence

_KEY = 3  # tokens that must have occurred before
_FIRST = 3  # guesses at first
_LONGEST_PAUSE = 64


class Drafter:
    """Guess continuations of one growing text; guess more while that works, less while not.

    A wrong guess costs about as much as one token. So after a guess that was wrong from the
    start there is a pause, twice as long each time.

    Args:
        tokens: the text so far.
        longest: guesses in one forward pass; 0 turns guessing off.
    """

    def __init__(self, tokens: Sequence[int], longest: int) -> None:
        self._longest = longest
        self._size = min(_FIRST, longest)
        self._pause = 0
        self._wait = 0
        self._tokens: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}
        self._key: tuple[int, ...] | None = None
        if longest:
            self.extend(tokens)

    def extend(self, tokens: Sequence[int]) -> None:
        """Take in what was written since."""
        if not self._longest:
            return
        for token in tokens:
            # What ended a moment ago is entered only now: a text does not follow itself.
            if self._key is not None:
                self._after[self._key] = len(self._tokens)
            self._tokens.append(token)
            self._key = tuple(self._tokens[-_KEY:]) if len(self._tokens) >= _KEY else None
        self._wait = max(0, self._wait - len(tokens))

    def guess(self, most: int) -> list[int]:
        """Return up to `most` tokens that may come next; none where nothing suggests any."""
        if not self._longest or self._wait or self._key is None:
            return []
        start = self._after.get(self._key)
        if start is None:
            return []
        return self._tokens[start : start + min(most, self._size)]

    def learn(self, guessed: int, right: int) -> None:
        """Take in how many of the last guesses, from the first, were right."""
        if right == guessed:
            self._size = min(2 * self._size, self._longest)
        else:
            self._size = max(2, min(right + 1, self._longest))
        if right:
            self._pause = 0
        else:
            self._pause = min(2 * self._pause or 4, _LONGEST_PAUSE)
            self._wait = self._pause
