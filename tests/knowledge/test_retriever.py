"""LangChain's own suite for retrievers, and what a citation needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.retrievers import BaseRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests
from pydantic import ValidationError

from groundling.knowledge.base import Knowledge
from groundling.knowledge.retriever import KnowledgeRetriever
from groundling.knowledge.texts import TextEntry
from tests.knowledge.conftest import HashedWords


class TestStandard(RetrieversIntegrationTests):
    """Over four passages of three files."""

    @pytest.fixture(autouse=True)
    def _documents(self, tmp_path: Path, documents: Path) -> Iterator[None]:
        with Knowledge.open(tmp_path / "base", HashedWords()) as self.knowledge:
            self.knowledge.add([documents])
            yield

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return KnowledgeRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"knowledge": self.knowledge}

    @property
    def retriever_query_example(self) -> str:
        return "certificate of sick leave, 출장, annual leave days, printer floor"


@pytest.fixture
def filled(base: Knowledge, documents: Path) -> Knowledge:
    """Return a knowledge base of three files and a text."""
    base.add([documents])
    metadata = {"source": "wiki/parking", "team": "office", "score": "mine"}
    base.put([TextEntry("parking", "주차는 지하 2층에 한다.", metadata, "주차")])
    return base


@pytest.mark.parametrize("mode", ["hybrid", "dense", "words"])
def test_documents_can_be_cited(filled: Knowledge, mode: str) -> None:
    retriever = KnowledgeRetriever(knowledge=filled, k=1, mode=mode)  # type: ignore[arg-type]
    (document,) = retriever.invoke("How many days of annual leave?")
    place = document.metadata
    assert (place["source"], place["title"]) == ("documents/rules/leave.md", "Leave")
    assert (place["heading"], place["page"]) == ("Leave > Annual leave", None)
    stored = filled.text(place["document_id"])
    assert stored[place["start"] : place["end"]] == document.page_content
    (passage,) = filled.passages([place["chunk_id"]])
    assert (passage.text, document.id) == (document.page_content, str(passage.chunk_id))
    assert place["score"] > 0


def test_a_text_keeps_what_its_owner_says_of_it(filled: Knowledge) -> None:
    (document,) = KnowledgeRetriever(knowledge=filled, k=1).invoke("주차는 어디에 하나요?")
    assert document.page_content == "주차는 지하 2층에 한다."
    assert document.metadata["source"] == "wiki/parking"
    assert document.metadata["team"] == "office"
    assert isinstance(document.metadata["score"], float)


async def test_coroutines_return_the_same(filled: Knowledge) -> None:
    retriever = KnowledgeRetriever(knowledge=filled, k=2)
    for query in ("annual leave", "출장 숙박비"):
        assert await retriever.ainvoke(query) == retriever.invoke(query) != []


def test_nothing_found_is_nothing(filled: Knowledge) -> None:
    assert KnowledgeRetriever(knowledge=filled, mode="words").invoke("zebra 얼룩말") == []


@pytest.mark.parametrize("wrong", [{"k": 0}, {"mode": "magic"}, {"top_k": 3}])
def test_wrong_options_are_refused(base: Knowledge, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        KnowledgeRetriever(knowledge=base, **wrong)
