"""An embedder that needs no model file, and one that is the real thing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings

from groundling.knowledge.analyser import analyse
from groundling.knowledge.base import Knowledge
from groundling.models.embeddings import Embedder, Fingerprint, load_embedder
from groundling.models.files.store import ModelStore
from groundling.settings import DownloadSettings


class HashedWords(Embeddings):
    """Vectors of counted words, each word at a place its hash gives; counts its texts."""

    def __init__(self, dimension: int = 64, name: str = "hashed") -> None:
        self.dimension = dimension
        self.name = name
        self.embedded = 0

    @property
    def fingerprint(self) -> Fingerprint:
        return {"model": self.name, "dimension": self.dimension, "languages": "en"}

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.embedded += len(texts)
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        vector = np.full(self.dimension, 1e-3)
        for term in analyse(text):
            place = int.from_bytes(hashlib.sha256(term.encode()).digest()[:4], "big")
            vector[place % self.dimension] += 1
        normal: list[float] = (vector / np.linalg.norm(vector)).tolist()
        return normal


@pytest.fixture
def hashed() -> HashedWords:
    return HashedWords()


@pytest.fixture(scope="session")
def minilm(embedder_files: Path, models_folder: Path) -> Embedder:
    """Return the shipped English embedder."""
    return load_embedder(ModelStore(models_folder, DownloadSettings()).installed("minilm-l6"))


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """Return a folder of three small documents in two languages."""
    folder = tmp_path / "documents"
    (folder / "rules").mkdir(parents=True)
    (folder / "rules" / "leave.md").write_text(
        "# Leave\n\n## Annual leave\n\nEverybody has 15 days of annual leave.\n\n"
        "## Sick leave\n\nA certificate is needed from the third day on.\n",
        encoding="utf-8",
    )
    (folder / "rules" / "travel.md").write_text(
        "# 출장 규정\n\n국내 출장의 숙박비는 하루 8만 원까지 지급한다.\n\n"
        "해외 출장은 부서장의 승인을 받아야 한다.\n",
        encoding="utf-8",
    )
    (folder / "printers.txt").write_text("The printer on floor 3 is an HB-220.", "utf-8")
    return folder


@pytest.fixture
def base(tmp_path: Path, hashed: HashedWords) -> Iterator[Knowledge]:
    """Return an empty knowledge base."""
    with Knowledge.open(tmp_path / "base", hashed) as knowledge:
        yield knowledge
