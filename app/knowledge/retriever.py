"""A knowledge base as LangChain's retriever: passages as documents that can be cited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field, SkipValidation

from groundling.knowledge.base import Knowledge
from groundling.knowledge.passage import Passage

Mode = Literal["hybrid", "dense", "words"]


class KnowledgeRetriever(BaseRetriever):
    """Finds the passages of an open knowledge base that answer a question.

        retriever = KnowledgeRetriever(knowledge=home.knowledge("handbook"), k=4)
        for document in retriever.invoke("How many days of leave?"):
            print(document.metadata["source"], document.metadata["page"], document.page_content)

    A document's metadata is that of its text or file, and where the passage stands: `source`,
    `title`, `heading`, `page` (from 1; None where there are no pages), `start` and `end`
    (characters of the stored text), `document_id`, `chunk_id` and `score`. Coroutines run in
    a thread; searching lets go of the interpreter while it reads and multiplies.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    knowledge: SkipValidation[Knowledge]
    k: int = Field(6, ge=1, description="passages returned; `invoke(query, k=…)` overrules it")
    mode: Mode = Field("hybrid", description="by words and meaning, by meaning, or by words alone")

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        passages = search(self.knowledge, self.mode, query, self.k if k is None else k)
        return as_documents(self.knowledge, passages)


def search(
    knowledge: Knowledge, mode: Mode, query: str, k: int, *, distinct: bool = True
) -> list[Passage]:
    """Search in one of the three ways."""
    ways = {
        "hybrid": knowledge.search,
        "dense": knowledge.search_dense,
        "words": knowledge.search_lexical,
    }
    return ways[mode](query, k, distinct=distinct)


def as_documents(knowledge: Knowledge, passages: Sequence[Passage]) -> list[Document]:
    """Return passages as LangChain documents with all that a citation needs."""
    metadata = knowledge.metadata([passage.document_id for passage in passages])
    return [
        Document(
            id=str(passage.chunk_id),
            page_content=passage.text,
            metadata=_metadata(passage, metadata.get(passage.document_id, {})),
        )
        for passage in passages
    ]


def _metadata(passage: Passage, of_document: dict[str, Any]) -> dict[str, Any]:
    """Put together what a text's owner wrote of it, and where the passage stands."""
    return {
        "source": passage.source,
        "title": passage.title,
        **of_document,
        "heading": passage.heading,
        "page": passage.page,
        "start": passage.start,
        "end": passage.end,
        "document_id": passage.document_id,
        "chunk_id": passage.chunk_id,
        "score": passage.score,
    }
