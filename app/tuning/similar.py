"""Texts that are nearly the same, found by MinHash (Broder 1997) of their pieces.

Pieces are five characters of a plain copy, so that Korean works as English does. What the
hashes propose is compared piece by piece: nothing is called alike for chance alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from groundling.errors import TuningError
from groundling.tuning.example import plain

PIECE = 5  # characters
_PERMUTATIONS = 128
_PROPOSED = 0.15  # below the threshold: the hashes only estimate


class Similar:
    """Texts by their likeness.

    Args:
        threshold: Jaccard similarity of pieces from which two texts are alike, 0 to 1.

    Raises:
        TuningError: the extra `tune` is not installed.
    """

    def __init__(self, threshold: float) -> None:
        try:
            from datasketch import MinHash, MinHashLSH
        except ImportError as error:
            raise TuningError(
                "Near duplicates are found with datasketch, which is not installed.",
                hint='pip install "groundling[tune]"; docs/tuning.md says how to keep it small',
            ) from error
        self._threshold = threshold
        self._hash: Any = MinHash
        self._proposed: Any = MinHashLSH(
            threshold=max(0.1, threshold - _PROPOSED), num_perm=_PERMUTATIONS
        )
        self._pieces: dict[str, frozenset[str]] = {}

    def add(self, name: str, text: str) -> None:
        """Remember a text under a name of its own."""
        pieces = _pieces(text)
        self._pieces[name] = pieces
        self._proposed.insert(name, self._hashed(pieces))

    def find(self, text: str) -> str | None:
        """Return the name of the remembered text that is most like this one; None: none is."""
        pieces = _pieces(text)
        found = [(self._likeness(pieces, name), name) for name in self._near(pieces)]
        best = max(found, default=(0.0, ""))
        return best[1] if best[0] >= self._threshold else None

    def _near(self, pieces: frozenset[str]) -> Iterator[str]:
        yield from sorted(self._proposed.query(self._hashed(pieces)))

    def _likeness(self, pieces: frozenset[str], name: str) -> float:
        other = self._pieces[name]
        return len(pieces & other) / len(pieces | other)

    def _hashed(self, pieces: frozenset[str]) -> Any:
        hashed = self._hash(num_perm=_PERMUTATIONS)
        hashed.update_batch([piece.encode("utf-8", "surrogatepass") for piece in pieces])
        return hashed


def _pieces(text: str) -> frozenset[str]:
    read = plain(text)
    return frozenset(read[at : at + PIECE] for at in range(max(1, len(read) - PIECE + 1)))
