"""The documents of a pickle that LangChain's FAISS store saved.

It holds a docstore (documents by id) and which id each vector has. Classes of LangChain have
moved over the years; their old names are known here, and none of them is imported.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from groundling.errors import KnowledgeError
from groundling.knowledge.inert_pickle import Inert, Refused, read
from groundling.knowledge.loaders.document import storable
from groundling.knowledge.texts import TextEntry

MAX_BYTES = 1 << 30
# What the documents may unfold to, in characters: so many times the pickle's size, but at
# least and at most. A string is written once and shared, such as the path of a file that many
# passages are of; lists, too, could be. A value counts as much as it takes in memory.
UNFOLDS_TO, LEAST, MOST = 20, 1 << 24, 1 << 31
VALUE = 32
MAX_DEPTH = 20

_DOCUMENT = {
    "langchain_core.documents.base.Document",
    "langchain.schema.document.Document",
    "langchain.schema.Document",
    "langchain.docstore.document.Document",
}
_DOCSTORE = {
    f"{package}.docstore.in_memory.InMemoryDocstore"
    for package in ("langchain", "langchain_classic", "langchain_community")
}
# Pydantic notes in a set which fields were given.
_ALLOWED = _DOCUMENT | _DOCSTORE | {"builtins.set"}


def read_documents(file: Path) -> list[TextEntry]:
    """Return the documents in the order of their vectors, with their ids as keys.

    Raises:
        KnowledgeError: the file is missing or too large, or asks for more than documents.
    """
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            raise KnowledgeError(f"{file} has {size} bytes; up to {MAX_BYTES} are read.")
        saved = read(file.read_bytes(), _ALLOWED)
        budget = _Budget(min(max(UNFOLDS_TO * size, LEAST), MOST))
        return [_entry(key, document, budget) for key, document in _ordered(saved)]
    except OSError as error:
        raise KnowledgeError(
            f"{file} cannot be read: {error.strerror}.",
            hint="Name the folder that save_local was given, and its index_name.",
        ) from error
    except Refused as refused:
        raise KnowledgeError(
            f"{file} is not what LangChain saves: {refused}. Nothing of it was run.",
            hint="Save it again with plain values in the metadata (text, numbers, lists, "
            "dicts), or add the documents themselves: groundling knowledge add FOLDER",
        ) from refused


def _ordered(saved: Any) -> Iterator[tuple[str, Any]]:
    """Yield (id, document) by position in the index."""
    docstore, ids = saved if isinstance(saved, tuple) and len(saved) == 2 else (None, None)
    documents = _state(docstore, _DOCSTORE).get("_dict")
    if not isinstance(ids, dict) or not isinstance(documents, dict):
        raise Refused("it does not hold documents and their order")
    if set(ids) != set(range(len(ids))):
        raise Refused("the order of its documents has gaps")
    keys = [ids[place] for place in range(len(ids))]
    if not all(isinstance(key, str) for key in keys) or len(set(keys)) != len(keys):
        raise Refused("its ids are no texts, or one stands twice")
    for key in keys:
        if key not in documents:
            raise Refused(f"it lacks the document {key[:80]}")
        yield key, documents[key]


def _entry(key: str, document: Any, budget: _Budget) -> TextEntry:
    fields = _state(document, _DOCUMENT).get("__dict__")
    text = fields.get("page_content") if isinstance(fields, dict) else None
    metadata = fields.get("metadata") if isinstance(fields, dict) else None
    if not isinstance(text, str) or not isinstance(metadata, dict):
        raise Refused(f"its document {key[:80]} has no text or no metadata")
    budget.take(len(text))
    return TextEntry(key, storable(text), budget.plain(metadata))


def _state(made: Any, names: set[str]) -> dict[str, Any]:
    if not isinstance(made, Inert) or made.name not in names or not isinstance(made.state, dict):
        raise Refused("it holds something else than documents")
    return made.state


class _Budget:
    """How much the documents may still have, in characters."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise Refused("its documents unfold to far more than its size")

    def plain(self, value: Any, depth: int = 0) -> Any:
        """Return a value as JSON has it."""
        if depth > MAX_DEPTH:
            raise Refused(f"metadata is nested more than {MAX_DEPTH} deep")
        self.take(VALUE + (len(value) if isinstance(value, str) else 0))
        if isinstance(value, dict):
            return {self._key(key): self.plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.plain(item, depth + 1) for item in value]
        if isinstance(value, float) and not math.isfinite(value):
            return None  # JSON has no NaN, which tables have in their empty cells.
        if value is None or isinstance(value, str | int | float):
            return value
        raise Refused(f"metadata holds a {getattr(value, 'name', type(value).__name__)}")

    def _key(self, key: Any) -> str:
        self.take(len(str(key)))
        return str(key)
