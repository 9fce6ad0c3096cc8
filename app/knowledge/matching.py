"""Search results that pass a filter on their metadata, as LangChain documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from langchain_core.documents import Document

from groundling.knowledge.base import Knowledge
from groundling.knowledge.passage import Passage
from groundling.knowledge.texts import PREFIX

Metadata = dict[str, Any]
# Values that metadata must have, or a function that is given all metadata of a document.
Filter = Mapping[str, Any] | Callable[[Metadata], bool]
# A search: given how many passages it may return, it does.
Look = Callable[[int], list[Passage]]

# How much deeper to look when a filter left too few.
DEEPER = 4


def matching(
    knowledge: Knowledge, look: Look, k: int, filter: Filter | None
) -> list[tuple[Passage, Document]]:
    """Return the best `k` that a filter lets through, looking as deep as it takes.

    A passage of a text has the text's key as its id, one of a file the file's path and where
    in it the passage stands.
    """
    passes = _predicate(filter)
    depth, seen = k, 0
    while True:
        found = look(depth) if depth > 0 else []
        metadata = knowledge.metadata([passage.document_id for passage in found])
        kept = [
            (passage, Document(id=_id(passage), page_content=passage.text, metadata=of_document))
            for passage in found
            if passes(of_document := metadata.get(passage.document_id, {}))
        ]
        # A deeper look that finds no more has seen all there is.
        if filter is None or len(kept) >= k or len(found) <= seen:
            return kept[:k]
        depth, seen = depth * DEEPER, len(found)


def _predicate(filter: Filter | None) -> Callable[[Metadata], bool]:
    if filter is None:
        return lambda _: True
    if callable(filter):
        return filter
    wanted = dict(filter)
    return lambda metadata: all(
        key in metadata and metadata[key] == value for key, value in wanted.items()
    )


def _id(passage: Passage) -> str:
    if passage.source.startswith(PREFIX) and passage.source.endswith(passage.key):
        return passage.source.removeprefix(PREFIX)
    return f"{passage.key}#{passage.start}-{passage.end}"
