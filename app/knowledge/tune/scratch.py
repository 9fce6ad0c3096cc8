"""Scratch knowledge bases: the stored documents, cut and analysed in another way.

Made from what is stored, never from files, and left on the disk until the tuning has ended,
so that an interrupted one goes on. Texts that two of them share are embedded once.
"""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundling.knowledge import analyser as analysers
from groundling.knowledge.base import Knowledge
from groundling.knowledge.dense import Dense
from groundling.knowledge.passage import Document
from groundling.knowledge.preparation import Place, Preparation, Progress
from groundling.knowledge.store import Store
from groundling.knowledge.texts import FORMAT, PREFIX, TextEntry
from groundling.knowledge.tune.recutting import as_loaded
from groundling.knowledge.tune.trials import Trial
from groundling.models.embedder import Embedder, Fingerprint

FOLDER = "bases"
# Of a larger collection a part is searched: what has answers, and others drawn at random.
MOST_CHARACTERS = 4_000_000
SEED = 7


class Scratch:
    """Makes scratch knowledge bases of one knowledge base.

    Args:
        knowledge: whose documents they hold.
        folder: where they are made.
        needed: keys of documents that must be in them.
    """

    def __init__(self, knowledge: Knowledge, folder: Path, needed: Iterable[str]) -> None:
        self.knowledge = knowledge
        self.folder = folder / FOLDER
        self.documents = some(knowledge.documents(), set(needed))
        self.embedder = Remembering(knowledge.embedder) if knowledge.embedder else None
        self._made: set[Path] = set()
        held = [f"{document.path} {document.sha256}" for document in self.documents]
        self.about = hashlib.sha256("\n".join(held).encode()).hexdigest()[:16]

    def open(self, trial: Trial, tell: Progress) -> Knowledge:
        """Open a base that is cut, analysed and searched as a trial says, made if need be."""
        path = self.folder / f"{self.about}-{trial.chunk_characters}-{trial.analyser}"
        if path not in self._made:
            analyser = analysers.get(trial.analyser)
            self._make(path, Preparation(trial.chunk_characters, analyser), tell)
            self._made.add(path)
        return Knowledge.open(path, self.embedder, recipe=trial.recipe())

    def remove(self) -> None:
        """Remove all scratch bases."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make(self, path: Path, preparation: Preparation, tell: Progress) -> None:
        store = Store(path, create=True)
        try:
            with store.connection.writing():
                there = store.by_paths([document.path for document in self.documents])
                for done, document in enumerate(self.documents):
                    tell("cutting", done, len(self.documents))
                    if document.path not in there:
                        self._copy(document, store, preparation)
                tell("cutting", len(self.documents), len(self.documents))
                vectors = Dense(store, path, self.embedder)
                vectors.embed_waiting(tell)
                vectors.refresh(persist=True)
        finally:
            store.close()

    def _copy(self, document: Document, store: Store, preparation: Preparation) -> None:
        text = self.knowledge.text(document.id)
        if document.format == FORMAT:
            entry = TextEntry(document.path.removeprefix(PREFIX), text, title=document.title)
            store.replace_document(*preparation.entry(entry))
            return
        loaded = as_loaded(document, text, self.knowledge.chunks(document.id))
        place = Place(document.path, document.path, document.source)
        store.replace_document(*preparation.document(loaded, place, document.sha256))


def some(
    documents: Sequence[Document], needed: set[str], most: int = MOST_CHARACTERS
) -> list[Document]:
    """Return the needed documents, and of the others as many as `most` characters allow."""
    room = most - sum(one.characters for one in documents if one.path in needed)
    kept = set(needed)
    for document in random.Random(SEED).sample(documents, len(documents)):  # noqa: S311
        if document.path not in kept and document.characters <= room:
            kept.add(document.path)
            room -= document.characters
    return [document for document in documents if document.path in kept]


class Remembering:
    """An embedder that embeds each document's text once; questions, whose time counts, anew."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self._vectors: dict[str, NDArray[np.float32]] = {}

    @property
    def fingerprint(self) -> Fingerprint:
        return self.embedder.fingerprint

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if new:
            made = np.asarray(self.embedder.embed_documents(new), dtype=np.float32)
            self._vectors.update(zip(new, made, strict=True))
        return [self._vectors[text].tolist() for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embedder.embed_query(text)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return self.embed_documents(texts)

    async def aembed_query(self, text: str) -> list[float]:
        return await self.embedder.aembed_query(text)
