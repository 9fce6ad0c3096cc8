"""From the bytes of tokens to text that may be shown: whole characters, no stop strings."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextStream:
    """Join token bytes into text, holding back what may still become something else.

    A token can end inside a UTF-8 character or inside a stop string; both wait for the
    next token. Text from a stop string on is never returned.

    Args:
        stop: the strings that end the text; empty ones are ignored.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._stop = tuple(text for text in stop if text)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""
        self.stopped = False

    def push(self, piece: bytes) -> str:
        """Add the bytes of a token and return the text that is now certain."""
        return self._release(self._decoder.decode(piece))

    def finish(self) -> str:
        """Return what was held back; half a character becomes U+FFFD."""
        text = self._release(self._decoder.decode(b"", final=True))
        rest, self._held = self._held, ""
        return text + rest

    def _release(self, text: str) -> str:
        if self.stopped:
            return ""
        self._held += text
        found = [at for at in (self._held.find(stop) for stop in self._stop) if at >= 0]
        if found:
            self.stopped = True
            certain, self._held = self._held[: min(found)], ""
            return certain
        keep = max((_overlap(self._held, stop) for stop in self._stop), default=0)
        cut = len(self._held) - keep
        certain, self._held = self._held[:cut], self._held[cut:]
        return certain


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of the text that begins the stop string."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
