"""Texts that are nearly the same, found by MinHash (Broder 1997) of their pieces.

Pieces are five characters of a plain copy, so that Korean works as English does. What the
hashes propose is compared piece by piece: nothing is called alike for chance alone.
"""

from __future__ import annotations

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
        return next(iter(self.alike(text)), None)

    def alike(self, text: str) -> list[str]:
        """Return the names of the remembered texts that are like this one, the most alike first."""
        pieces = _pieces(text)
        near = sorted(self._proposed.query(self._hashed(pieces)))
        found = [(_jaccard(pieces, self._pieces[name]), name) for name in near]
        return [name for share, name in sorted(found, reverse=True) if share >= self._threshold]

    def _hashed(self, pieces: frozenset[str]) -> Any:
        hashed = self._hash(num_perm=_PERMUTATIONS)
        hashed.update_batch([piece.encode("utf-8", "surrogatepass") for piece in pieces])
        return hashed


def likeness(one: str, other: str) -> float:
    """Return the Jaccard similarity of two texts' pieces, 0 to 1."""
    return _jaccard(_pieces(one), _pieces(other))


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other)


def _pieces(text: str) -> frozenset[str]:
    read = plain(text)
    return frozenset(read[at : at + PIECE] for at in range(max(1, len(read) - PIECE + 1)))
