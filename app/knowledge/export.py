"""Everything that is known of the documents, as JSON Lines for other programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from groundling.knowledge.base import Knowledge


def records(knowledge: Knowledge, *, vectors: bool = False) -> Iterator[dict[str, Any]]:
    """Yield a record for each document: what is known of it, its text, its passages.

    Passages have `start` and `end` (character offsets into `text`), `page`, `heading`, and
    their `vector` where that is asked for and there is one.
    """
    for document in knowledge.documents():
        passages = []
        for passage in knowledge.chunks(document.id):
            row: dict[str, Any] = {
                "start": passage.start,
                "end": passage.end,
                "page": passage.page,
                "heading": passage.heading,
            }
            if vectors:
                row["vector"] = knowledge.vector(passage.chunk_id)
            passages.append(row)
        known = dataclasses.asdict(document)
        del known["id"], known["chunks"]
        metadata = knowledge.metadata([document.id])[document.id]
        text = knowledge.text(document.id)
        yield {**known, "metadata": metadata, "text": text, "passages": passages}
