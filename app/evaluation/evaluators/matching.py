"""When an answer is another one: texts compared as the heads of the shipped questions say.

`data/questions.toml` states the rule: Unicode NFKC, lower case, without white space, without
"*", "_" and "`", without commas between digits; and no number is cut in two.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, NamedTuple


class Span(NamedTuple):
    """A stretch of a document that a gold answer rests on."""

    document: str
    quote: str


@lru_cache
def normal(text: str) -> str:
    """Fold what does not make an answer another one."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"(?<=\d),(?=\d)", "", re.sub(r"[\s*_`]", "", text))


def holds(text: str, wanted: str) -> bool:
    """Tell whether a string stands in a text, without cutting a number in two."""
    key = normal(wanted)
    if not key:
        return False
    before = r"(?<!\d)(?<!\d\.)" if key[0].isdigit() else ""
    after = r"(?!\d)(?!\.\d)" if key[-1].isdigit() else ""
    return re.search(before + re.escape(key) + after, normal(text)) is not None


def holds_any(text: str, strings: Iterable[str]) -> bool:
    """Tell whether any of the strings stands in the text."""
    return any(holds(text, string) for string in strings)


def cites(citations: Sequence[Mapping[str, Any]], span: Span, accept: Sequence[str]) -> bool:
    """Tell whether a citation lies on a span, or on an accepted string in its document."""
    return any(
        holds_any(citation["quote"], accept) or normal(span.quote) in normal(citation["quote"])
        for citation in citations
        if PurePosixPath(citation["source"]).name == span.document
    )
