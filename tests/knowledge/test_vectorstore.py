"""LangChain's own suite for vector stores, and what it does not ask."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.indexing import InMemoryRecordManager, index
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import VectorStoreIntegrationTests

from groundling.errors import IndexMismatch, KnowledgeError
from groundling.knowledge.base import Knowledge
from groundling.knowledge.foreign import ForeignEmbedder, as_embedder
from groundling.knowledge.marginal import marginal_relevance
from groundling.knowledge.vectorstore import GroundlingVectorStore
from groundling.models.embedder import Embedder
from tests.knowledge.conftest import HashedWords

RULES = {
    "leave": "Everybody has 15 days of annual leave.",
    "sick": "A certificate is needed from the third day of sick leave on.",
    "hotel": "국내 출장의 숙박비는 하루 8만 원까지 지급한다.",
    "printer": "The printer on floor 3 is an HB-220.",
}
METADATA = [
    {"topic": "leave", "year": 2024},
    {"topic": "leave", "year": 2025},
    {"topic": "travel", "year": 2025},
    {"topic": "office"},
]


class TestStandard(VectorStoreIntegrationTests):
    """On a folder, with the suite's own embeddings."""

    @pytest.fixture
    def vectorstore(self, tmp_path: Path) -> Iterator[VectorStore]:  # type: ignore[override]
        store = GroundlingVectorStore.open(tmp_path / "store", self.get_embeddings())
        yield store
        store.close()


@pytest.mark.model
class TestStandardWithMiniLM(VectorStoreIntegrationTests):
    """The same with the embedder that is shipped, which is more than LangChain's interface."""

    @pytest.fixture
    def vectorstore(  # type: ignore[override]
        self, tmp_path: Path, minilm: Embedder
    ) -> Iterator[VectorStore]:
        with Knowledge.open(tmp_path / "store", minilm) as knowledge:
            yield GroundlingVectorStore(knowledge)


@pytest.fixture
def store(base: Knowledge) -> GroundlingVectorStore:
    """Return a store of four rules."""
    made = GroundlingVectorStore(base)
    made.add_texts(list(RULES.values()), METADATA, ids=list(RULES))
    return made


def ids(documents: list[Document]) -> list[str | None]:
    return [document.id for document in documents]


def test_it_is_kept_and_found_by_everything_else(tmp_path: Path) -> None:
    words = HashedWords()
    folder = tmp_path / "store"
    texts = list(RULES.values())
    made = GroundlingVectorStore.from_texts(texts, words, METADATA, ids=list(RULES), folder=folder)
    made.close()
    with Knowledge.open(folder, words, create=False) as knowledge:
        assert knowledge.search("숙박비는 얼마인가요?")[0].text == RULES["hotel"]
        assert knowledge.check() == []
        again = GroundlingVectorStore(knowledge)
        assert again.embeddings is words
        assert again.get_by_ids(["hotel", "nobody", "leave"]) == [
            Document(id="hotel", page_content=RULES["hotel"], metadata=METADATA[2]),
            Document(id="leave", page_content=RULES["leave"], metadata=METADATA[0]),
        ]


def test_without_a_folder_it_says_how_to_name_one() -> None:
    with pytest.raises(KnowledgeError, match="kept in a folder") as raised:
        GroundlingVectorStore.from_texts(["text"], HashedWords())
    assert 'folder="index"' in str(raised.value.hint)


@pytest.mark.parametrize("mode", ["dense", "hybrid", "words"])
def test_every_mode_finds_both_languages(base: Knowledge, mode: str) -> None:
    made = GroundlingVectorStore(base, mode=mode)  # type: ignore[arg-type]
    made.add_texts(list(RULES.values()), METADATA, ids=list(RULES))
    assert made.similarity_search("annual leave days", k=1)[0].id == "leave"
    assert made.similarity_search("출장 숙박비", k=1)[0].id == "hotel"


def test_words_need_no_embeddings(tmp_path: Path) -> None:
    made = GroundlingVectorStore.open(tmp_path / "store", None, mode="words")
    made.add_texts([RULES["printer"]], ids=["printer"])
    assert made.embeddings is None
    assert ids(made.similarity_search("hb-220")) == ["printer"]
    with pytest.raises(KnowledgeError, match="without embeddings"):
        made.similarity_search_by_vector([1.0])
    made.close()


def test_scores_are_cosines(store: GroundlingVectorStore) -> None:
    vector = HashedWords().embed_query("annual leave")
    found = store.similarity_search_with_score("annual leave", k=4)
    for document, score in found:
        assert score == pytest.approx(
            float(np.dot(vector, HashedWords().embed_query(document.page_content))), abs=1e-5
        )
    assert [score for _, score in found] == sorted((s for _, s in found), reverse=True)
    tripled = [3 * number for number in vector]
    assert store.similarity_search_by_vector(tripled, k=4) == [one for one, _ in found]


def test_filters_look_as_deep_as_it_takes(base: Knowledge) -> None:
    made = GroundlingVectorStore(base)
    texts = [f"leave {'leave ' * (n % 7)}rule number {n}" for n in range(300)]
    metadatas = [{"n": n, "rare": n % 100 == 99, "tags": ["a", "b"]} for n in range(300)]
    made.add_texts(texts, metadatas)
    rare = made.similarity_search("leave", k=4, filter={"rare": True})
    assert sorted(one.metadata["n"] for one in rare) == [99, 199, 299]
    assert made.similarity_search("leave", k=2, filter={"rare": True}) == rare[:2]
    assert made.similarity_search("leave", filter={"nothing": None}) == []
    assert len(made.similarity_search("leave", k=9, filter={"tags": ["a", "b"]})) == 9
    below = made.similarity_search("leave", k=20, filter=lambda metadata: metadata["n"] < 5)
    assert sorted(one.metadata["n"] for one in below) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("mode", ["hybrid", "words"])
def test_filters_of_the_other_modes(base: Knowledge, mode: str) -> None:
    made = GroundlingVectorStore(base, mode=mode)  # type: ignore[arg-type]
    # Of texts that say the same these modes look at one.
    texts = [f"휴가 leave {' '.join(str(n * m) for m in range(7, 19))}" for n in range(300)]
    made.add_texts(texts, [{"n": n} for n in range(300)])
    found = made.similarity_search("휴가 leave", filter=lambda metadata: metadata["n"] >= 298)
    assert sorted(one.metadata["n"] for one in found) == [298, 299]


def test_the_same_text_twice_is_two_documents(store: GroundlingVectorStore) -> None:
    store.add_texts(["twin", "twin"], [{"of": "a"}, {"of": "b"}], ids=["a", "b"])
    assert sorted(map(str, ids(store.similarity_search("twin", k=2)))) == ["a", "b"]
    assert ids(store.similarity_search("twin", k=1, filter={"of": "b"})) == ["b"]
    store.delete(["a"])
    assert ids(store.similarity_search("twin", k=1)) == ["b"]


async def test_many_at_once(store: GroundlingVectorStore) -> None:
    texts = [f"rule {n} of 휴가" for n in range(40)]
    await asyncio.gather(
        *(store.aadd_texts([text], ids=[text]) for text in texts),
        *(store.asimilarity_search("annual leave") for _ in range(20)),
        store.adelete(["printer"]),
    )
    found = await store.asimilarity_search("leave 휴가 rule", k=99)
    assert sorted(map(str, ids(found))) == sorted(["hotel", "leave", "sick", *texts])
    assert store.knowledge.check() == []


def test_delete_without_ids_removes_the_texts_and_leaves_files(
    store: GroundlingVectorStore, documents: Path
) -> None:
    store.knowledge.add([documents / "printers.txt"])
    assert store.delete() is True
    assert store.get_by_ids(list(RULES)) == []
    (left,) = store.similarity_search("leave", k=9)
    assert left.metadata["source"] == "printers.txt"
    assert left.id == f"{documents / 'printers.txt'}#0-{len(left.page_content)}"


def test_what_it_does_not_know_it_does_not_ignore(store: GroundlingVectorStore) -> None:
    with pytest.raises(TypeError, match="filters"):
        store.similarity_search("leave", filters={"topic": "leave"})
    with pytest.raises(TypeError, match="filters"):
        store.max_marginal_relevance_search("leave", filters={"topic": "leave"})


def test_metadata_must_be_json(store: GroundlingVectorStore) -> None:
    with pytest.raises(KnowledgeError, match="metadata of new is not JSON"):
        store.add_texts(["text"], [{"at": object()}], ids=["new"])
    with pytest.raises(KnowledgeError, match="metadata of new is not JSON"):
        store.add_texts(["text"], [{"at": float("nan")}], ids=["new"])
    with pytest.raises(KnowledgeError, match="1 texts, 1 ids and 2 metadata"):
        store.add_texts(["text"], [{}, {}])
    assert store.get_by_ids(["new"]) == []


def test_retrievers_of_all_search_types(store: GroundlingVectorStore) -> None:
    plain = store.as_retriever(search_kwargs={"k": 2, "filter": {"topic": "leave"}})
    assert sorted(map(str, ids(plain.invoke("leave")))) == ["leave", "sick"]
    certain = store.as_retriever(
        search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.2}
    )
    assert ids(certain.invoke("HB-220 printer")) == ["printer"]
    unlike = store.as_retriever(search_type="mmr", search_kwargs={"k": 3, "fetch_k": 4})
    assert len(unlike.invoke("leave")) == 3


def test_relevance_is_between_0_and_1_and_only_of_cosines(store: GroundlingVectorStore) -> None:
    found = store.similarity_search_with_relevance_scores("annual leave", k=4)
    assert len(found) == 4
    assert all(0 <= score <= 1 for _, score in found)
    hybrid = GroundlingVectorStore(store.knowledge, mode="hybrid")
    with pytest.raises(KnowledgeError, match="one query only"):
        hybrid.similarity_search_with_relevance_scores("annual leave")


def test_marginal_relevance_prefers_what_is_new(store: GroundlingVectorStore) -> None:
    store.add_texts(["Everybody has 15 days of annual leave!"], [{"topic": "leave"}], ids=["same"])
    near = ids(store.similarity_search("15 days annual leave", k=2))
    assert sorted(map(str, near)) == ["leave", "same"]
    diverse = store.max_marginal_relevance_search("15 days annual leave", k=2, lambda_mult=0.3)
    assert diverse[0].id in near
    assert diverse[1].id not in near
    only = store.max_marginal_relevance_search("leave", k=5, filter={"topic": "travel"})
    assert ids(only) == ["hotel"]
    assert store.max_marginal_relevance_search(" ", k=5) == []


def test_marginal_takes_the_nearest_first_and_each_once() -> None:
    vectors = np.eye(4)[[0, 0, 1, 2]].tolist()
    assert marginal_relevance([0.8, 0.6, 0, 0], vectors, 3, 0.5) == [0, 2, 3]
    assert marginal_relevance([0.8, 0.6, 0, 0], vectors, 9, 1.0) == [0, 1, 2, 3]
    assert marginal_relevance([1.0], [], 3, 0.5) == []


def test_langchains_indexing_keeps_it_in_step(store: GroundlingVectorStore) -> None:
    records = InMemoryRecordManager("rules")
    records.create_schema()
    first = [Document(f"rule {n}", metadata={"source": str(n)}) for n in range(3)]

    def run(documents: list[Document]) -> tuple[int, int, int]:
        done = index(
            documents,
            records,
            store,
            cleanup="full",
            source_id_key="source",
            key_encoder="sha256",
        )
        return done["num_added"], done["num_skipped"], done["num_deleted"]

    store.delete()
    assert run(first) == (3, 0, 0)
    assert run(first[1:]) == (0, 2, 1)
    assert len(store.similarity_search("rule", k=9)) == 2


class Named(DeterministicFakeEmbedding):
    """Embeddings with a model's name, as LangChain's packages have them."""

    model: str = "one"


def test_other_embeddings_are_told_apart(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    GroundlingVectorStore.from_texts(["text"], Named(size=8), folder=folder).close()
    GroundlingVectorStore.open(folder, Named(size=8)).close()
    for other in (Named(size=9), Named(size=8, model="two"), DeterministicFakeEmbedding(size=8)):
        with pytest.raises(IndexMismatch):
            GroundlingVectorStore.open(folder, other)


class Silent(Embeddings):
    """Embeddings that make nothing of a text."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return [0.0, 0.0]


async def test_foreign_vectors_have_length_one() -> None:
    fake = DeterministicFakeEmbedding(size=8)
    foreign = as_embedder(fake)
    assert isinstance(foreign, ForeignEmbedder)
    vectors = [*foreign.embed_documents(["a", "나"]), foreign.embed_query("a")]
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-6)
    assert await foreign.aembed_documents(["a", "나"]) == vectors[:2]
    assert await foreign.aembed_query("a") == vectors[2]
    assert foreign.embed_documents([]) == []
    assert foreign.fingerprint["dimension"] == 8
    # The vectors' scale and last digits are not what a model is known by.
    assert ForeignEmbedder(fake).fingerprint == foreign.fingerprint
    words = HashedWords()
    assert as_embedder(words) is words
    with pytest.raises(KnowledgeError, match="Silent makes no vector"):
        _ = ForeignEmbedder(Silent()).fingerprint
