"""Texts that come from a program instead of a file; each is one passage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

PREFIX = "text:"
FORMAT = "entry"


@dataclass(frozen=True)
class TextEntry:
    """A text with a key of the caller's; putting the same key again replaces it.

    Args:
        key: unique among the texts of a knowledge base.
        text: stored as NFC with "\\n" line ends, as all texts are.
        metadata: JSON values.
        title: found by, like the text.
    """

    key: str
    text: str
    metadata: dict[str, Any] = field(default_factory=dict)
    title: str = ""
