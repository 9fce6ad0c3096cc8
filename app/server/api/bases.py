"""The knowledge bases that are open for this interface, and how one is closed for good.

To look at documents no vectors are needed, so a base is read through an object of its own
without the embedder; what searches or adds takes the one that graphs answer from.
"""

from __future__ import annotations

import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, RLock
from typing import TYPE_CHECKING

from groundling.errors import KnowledgeError
from groundling.server.problems import not_found

if TYPE_CHECKING:
    from groundling.knowledge.base import Knowledge
    from groundling.server.services import Services

DOCUMENTS = "documents"  # the folder, in that of a base, of what was uploaded
_GONE = ".gone-"


class Bases:
    """Opened knowledge bases, by folder; safe for threads. All methods block.

    Args:
        held: what the server works with.
    """

    def __init__(self, held: Services) -> None:
        self._held = held
        self.making = RLock()  # held while a base is made or deleted
        self.home = held.settings.home
        self._lock = Lock()
        self._read: dict[str, Knowledge] = {}

    def path(self, folder: str) -> Path:
        """Return where a base is."""
        return self._held.settings.knowledge_path(folder)

    def exists(self, folder: str) -> bool:
        """Tell whether a folder is that of a base; others may lie beside them."""
        from groundling.knowledge.base import exists

        return exists(self.path(folder))

    def documents(self, folder: str) -> Path:
        """Return where its uploaded documents are; it need not exist."""
        return self.path(folder) / DOCUMENTS

    @contextmanager
    def reading(self, folder: str) -> Iterator[Knowledge]:
        """Give a base to look at its documents.

        Raises:
            Problem: 404, it is deleted meanwhile.
            KnowledgeError: it is damaged.
        """
        with self._lock:
            base = self._read.get(folder)
            if base is None:
                base = self._read[folder] = self._opened(folder)
        with _closed_is_missing(folder):
            yield base

    @contextmanager
    def searching(self, folder: str) -> Iterator[Knowledge]:
        """Give a base that has the embedder; where none is installed, one that has words.

        Raises: as `reading`; IndexMismatch: its vectors are another embedder's.
        """
        if not self.path(folder).is_dir():
            raise not_found(f"knowledge base {folder}")
        try:
            with self._lock:
                base = self._held.graphs.knowledge(folder)
        except KnowledgeError:
            if self.exists(folder):
                raise
            raise not_found(f"knowledge base {folder}") from None  # deleted in this moment
        with _closed_is_missing(folder):
            yield base

    def create(self, folder: str) -> None:
        """Make an empty base."""
        from groundling.knowledge.base import Knowledge

        Knowledge.open(self.path(folder), None, create=True).close()
        self.changed()

    def delete(self, folder: str) -> None:
        """Delete a base with all its documents.

        Runs that answer from it fail with an error of their own; what else looks at it finds
        nothing. It is out of sight at once: its folder is renamed before it is emptied.
        """
        path = self.path(folder)
        self.close(folder)
        gone = path.with_name(f"{_GONE}{uuid.uuid4().hex}")
        path.rename(gone)
        self.close(folder)  # whoever opened it between the two
        for each in path.parent.glob(f"{_GONE}*"):  # a killed server may have left some, too
            shutil.rmtree(each, ignore_errors=True)

    def changed(self) -> None:
        """Let graphs look anew at which bases there are and what is in them."""
        self._held.graphs.forget()

    def close(self, folder: str) -> None:
        """Close a base here and for graphs, which open it anew if it is there."""
        with self._lock:
            if (base := self._read.pop(folder, None)) is not None:
                base.close()
        self._held.graphs.forget(folder)

    def close_all(self) -> None:
        """Close what was opened here."""
        with self._lock:
            while self._read:
                self._read.popitem()[1].close()

    def _opened(self, folder: str) -> Knowledge:
        from groundling.knowledge.base import Knowledge

        path = self.path(folder)
        if not self.exists(folder):
            raise not_found(f"knowledge base {folder}")
        retrieval = self._held.settings.retrieval
        return Knowledge.open(path, None, create=False, chunk_characters=retrieval.chunk_characters)


@contextmanager
def _closed_is_missing(folder: str) -> Iterator[None]:
    """Say that a base is not there if it was closed, for it is being deleted."""
    try:
        yield
    except sqlite3.ProgrammingError as error:
        if "closed" not in str(error):
            raise
        raise not_found(f"knowledge base {folder}") from error
