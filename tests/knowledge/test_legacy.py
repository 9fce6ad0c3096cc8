"""Indexes that LangChain saved come over; what else a pickle may ask for does not run."""

from __future__ import annotations

import datetime
import os
import pickle
import pickletools
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document

from groundling.errors import KnowledgeError
from groundling.knowledge import inert_pickle
from groundling.knowledge.base import Knowledge
from groundling.knowledge.foreign import as_embedder
from groundling.knowledge.inert_pickle import Refused, read
from groundling.knowledge.legacy import import_faiss
from groundling.knowledge.legacy_documents import read_documents
from groundling.knowledge.legacy_vectors import read_vectors
from groundling.knowledge.vectorstore import GroundlingVectorStore
from tests.knowledge.conftest import HashedWords

with warnings.catch_warnings():
    # The package says on its import that it is retired, which is why there is an import here.
    warnings.simplefilter("ignore", DeprecationWarning)
    from langchain_community.docstore.in_memory import InMemoryDocstore
    from langchain_community.vectorstores import FAISS

DOCUMENTS = {
    "leave": Document("Everybody has 15 days of leave.", metadata={"page": 3, "tags": ["a", 1.5]}),
    "hotel": Document("숙박비는 하루 8만 원까지 지급한다.", metadata={"source": "규정.md"}),
    "short": Document("HB-220", metadata={"empty": None, "yes": True, "in": {"deep": [[]]}}),
}
GLOBAL = pickle.GLOBAL  # an instruction: the name of a module, of an attribute


class Longer(HashedWords):
    """The same directions, not of length one, as many models' vectors are."""

    def embed_query(self, text: str) -> list[float]:
        return [3 * number for number in super().embed_query(text)]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Return the folder of an index as LangChain saves it."""
    store = FAISS.from_documents(list(DOCUMENTS.values()), Longer(), ids=list(DOCUMENTS))
    store.save_local(str(tmp_path / "saved"))
    return tmp_path / "saved"


@pytest.mark.parametrize("trust", [False, True])
def test_a_saved_index_comes_over(
    base: Knowledge, hashed: HashedWords, saved: Path, trust: bool
) -> None:
    store = GroundlingVectorStore(base)
    assert import_faiss(saved, store, trust_vectors=trust) == 3
    assert store.get_by_ids(list(DOCUMENTS)) == [
        one.model_copy(update={"id": key}) for key, one in DOCUMENTS.items()
    ]
    # Trusted, each of the three is made once to look at it.
    assert hashed.embedded == 3
    assert base.check() == []
    assert store.similarity_search("숙박비", k=1)[0].id == "hotel"
    (found,) = base.search_vector(hashed.embed_query("HB-220"), 1)
    assert base.vector(found.chunk_id) == pytest.approx(hashed.embed_query("HB-220"), abs=1e-6)
    assert import_faiss(saved, base) == 3
    assert hashed.embedded == 3, "what is there already is not made again"


def test_trusted_vectors_are_kept_and_not_made(base: Knowledge, tmp_path: Path) -> None:
    texts = [f"rule {n} of 휴가" for n in range(600)]
    FAISS.from_texts(texts, HashedWords()).save_local(str(tmp_path / "saved"))
    words = base.embedder
    assert isinstance(words, HashedWords)
    assert import_faiss(tmp_path / "saved", base, trust_vectors=True) == 600
    assert words.embedded == 3
    assert base.statistics().vectors == 600
    assert base.check() == []
    for found in base.search_vector(words.embed_query(texts[431]), 3):
        assert base.vector(found.chunk_id) == pytest.approx(words.embed_query(found.text), abs=1e-6)


def test_vectors_of_another_embedder_are_found_out(tmp_path: Path, saved: Path) -> None:
    class Other(HashedWords):
        def embed_query(self, text: str) -> list[float]:
            return super().embed_query(text)[::-1]

    with (
        Knowledge.open(tmp_path / "other", Other()) as other,
        pytest.raises(KnowledgeError, match="not this embedder's"),
    ):
        import_faiss(saved, other, trust_vectors=True)
    with Knowledge.open(tmp_path / "wider", as_embedder(HashedWords(65))) as wider:
        with pytest.raises(KnowledgeError, match="of 64 numbers; the embedder's have 65"):
            import_faiss(saved, wider, trust_vectors=True)
        assert import_faiss(saved, wider) == 3
    with (
        Knowledge.open(tmp_path / "none", None) as none,
        pytest.raises(KnowledgeError, match="with an embedder"),
    ):
        import_faiss(saved, none, trust_vectors=True)


@pytest.mark.parametrize("strategy", ["EUCLIDEAN_DISTANCE", "MAX_INNER_PRODUCT"])
def test_numpy_reads_what_faiss_wrote(tmp_path: Path, strategy: str) -> None:
    import faiss

    store = FAISS.from_texts(["one", "둘"], HashedWords(), distance_strategy=strategy)
    store.save_local(str(tmp_path))
    written = faiss.read_index(str(tmp_path / "index.faiss")).reconstruct_n(0, 2)
    assert np.array_equal(read_vectors(tmp_path / "index.faiss"), written)


def test_other_kinds_of_index_can_be_embedded_anew(base: Knowledge, saved: Path) -> None:
    import faiss

    vectors = read_vectors(saved / "index.faiss")
    graph = faiss.IndexHNSWFlat(vectors.shape[1], 8)
    graph.add(np.ascontiguousarray(vectors))
    faiss.write_index(graph, str(saved / "index.faiss"))
    with pytest.raises(KnowledgeError, match="of kind 'IHNf'"):
        import_faiss(saved, base, trust_vectors=True)
    assert import_faiss(saved, base) == 3


def test_files_that_do_not_fit_are_refused(base: Knowledge, saved: Path) -> None:
    faiss = saved / "index.faiss"
    whole = faiss.read_bytes()
    for damaged, reason in (
        (whole[:-4], "not as long as its header says"),
        (whole[:37] + struct.pack("<Q", 1 << 62) + whole[45:], "not as long"),
        (whole[:20], "too short"),
        (whole[:8] + struct.pack("<q", -1) + whole[16:], "no FAISS index"),
        (whole[:8] + struct.pack("<q", 7) + whole[16:], "7 vectors, the file beside it 3"),
    ):
        faiss.write_bytes(damaged)
        with pytest.raises(KnowledgeError, match=reason):
            import_faiss(saved, base, trust_vectors=True)
    for missing in ("index.faiss", "index.pkl"):
        (saved / missing).unlink()
        with pytest.raises(KnowledgeError, match="No such file"):
            import_faiss(saved, base)
    assert base.keys() == []


def write(folder: Path, data: bytes) -> Path:
    file = folder / "index.pkl"
    file.write_bytes(data)
    return file


def index_of(documents: dict[str, Any], ids: Any = None) -> tuple[InMemoryDocstore, Any]:
    return InMemoryDocstore(documents), dict(enumerate(documents)) if ids is None else ids


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_every_protocol_that_was_in_use(tmp_path: Path, protocol: int) -> None:
    file = write(tmp_path, pickle.dumps(index_of(DOCUMENTS), protocol))
    found = {entry.key: (entry.text, entry.metadata) for entry in read_documents(file)}
    assert found == {key: (one.page_content, one.metadata) for key, one in DOCUMENTS.items()}


@pytest.mark.parametrize(
    ("document", "docstore"),
    [
        ("langchain.schema.document", "langchain.docstore.in_memory"),
        ("langchain_core.documents.base", "langchain_classic.docstore.in_memory"),
    ],
)
def test_classes_under_their_old_names(tmp_path: Path, document: str, docstore: str) -> None:
    data = pickle.dumps(index_of(DOCUMENTS), 3)
    data = data.replace(b"clangchain_core.documents.base\n", f"c{document}\n".encode())
    data = data.replace(b"clangchain_community.docstore.in_memory\n", f"c{docstore}\n".encode())
    assert len(read_documents(write(tmp_path, data))) == 3


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


class Builds(Calls):
    """Pickles as a call and a state."""

    def __reduce__(self) -> Any:
        return (*self.call, {"__setstate__": eval, "page_content": "x"})


@pytest.mark.parametrize(
    ("evil", "named"),
    [
        (lambda mark: Calls(os.system, f"touch {mark}"), f"{os.system.__module__}.system"),
        (lambda mark: Calls(eval, f"open({mark!r}, 'w')"), "builtins.eval"),
        (lambda mark: Calls(getattr, Calls(__import__, "os"), "system"), "builtins.getattr"),
        (lambda mark: Calls(Calls, Calls(exec, f"open({mark!r}, 'w')")), "builtins.exec"),
        (lambda mark: Builds(Calls, Calls(open, mark, "w")), "open"),
        (lambda mark: Calls(bytearray, 1 << 40), "builtins.bytearray"),
        (lambda mark: datetime.date(2024, 1, 1), "datetime.date"),
    ],
)
@pytest.mark.parametrize("where", ["alone", "document", "metadata", "id"])
def test_calls_are_named_and_not_made(
    base: Knowledge, saved: Path, evil: Callable[[str], Any], named: str, where: str
) -> None:
    mark = saved / "ran"
    bad = evil(str(mark))
    saved_object: Any = {
        "alone": bad,
        "document": index_of({"a": bad}),
        "metadata": index_of({"a": Document("text", metadata={"at": bad})}),
        "id": index_of({"a": Document("text")}, [bad]),
    }[where]
    write(saved, pickle.dumps(saved_object))
    with pytest.raises(KnowledgeError, match="Nothing of it was run") as raised:
        import_faiss(saved, base)
    if named != "builtins.exec" and named != "open":
        assert f"it names {named}" in str(raised.value)
    assert "it names" in str(raised.value)
    assert not mark.exists()
    assert base.keys() == []


@pytest.mark.parametrize(
    "data",
    [
        b"cos\nsystem\n(S'true'\ntR.",  # protocol 0
        b"(S'true'\nios\nsystem\n.",  # INST
        b"\x80\x02\x82\x01.",  # an extension's number
        b"\x80\x04Pname\n.",  # a persistent id
        b"\x80\x04cbuiltins\nset\n)\x81}\x8c\x01a\x8c\x01bsb" + b"0" * 3 + b".",
        b"\x80\x04]}b.",  # changes a list
        b"\x80\x04cbuiltins\nset\n(\x8c\x01a\x8c\x01bu.",  # sets keys of a class
        b"\x80\x04cbuiltins\nset\n\x8c\x01aa.",  # appends to a class
        b"\x80\x04\x8c\x01a)R.",  # calls a text
        b"\x80\x04}((((tttt\x8c\x01as.",  # a nested tuple as a key
        b"\x80\x04}\x8a\x10" + b"\x01" * 16 + b"\x8c\x01as.",  # a long number as a key
        b"\x80\x04h\x07.",  # what was never put
        b"\x80\x04" + b"r" + b"\xff" * 4 + b".",  # puts what is not there
        b"\x80\x04t.",  # no mark
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b".",  # a text of 2**60 bytes
        b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b".",
        b"\x80\x04\x8b" + struct.pack("<i", 1 << 30) + b".",  # a number of 2**30 bytes
        b"\x80\x04\x96" + struct.pack("<Q", 1 << 40) + b".",  # a byte array
        b"",
        b".",
        b"not a pickle",
    ],
)
def test_instructions_beyond_plain_values_are_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        read(data, {"builtins.set"})


def test_a_memo_of_many_places_takes_no_memory() -> None:
    # Python's own machine makes a table up to the place that is named: 34 GB.
    assert read(b"\x80\x04Nr" + struct.pack("<I", 0xFFFFFFFE) + b".", set()) is None


def test_what_unfolds_without_end_is_refused(tmp_path: Path) -> None:
    nested: list[Any] = ["x"]
    for _ in range(18):
        nested = [nested] * 10
    itself: list[Any] = []
    itself.append(itself)
    long = "가" * 100_000
    for metadata, reason in (
        ({"a": nested}, "far more than its size"),
        ({"a": itself}, "nested more than"),
        ({"a": [long] * 1000}, "far more than its size"),
        ({long: {long: 1}, "a": [{long: 1}] * 1000}, "far more than its size"),
    ):
        file = write(tmp_path, pickle.dumps(index_of({"a": Document("text", metadata=metadata)})))
        with pytest.raises(KnowledgeError, match=reason):
            read_documents(file)


def test_what_is_shared_as_in_real_indexes_is_not_refused(tmp_path: Path) -> None:
    about = "/a/path/of/some/length/handbook.pdf" * 4
    documents = {
        str(n): Document(f"{n}", metadata={"source": about, "n": [n % 9] * 99}) for n in range(5000)
    }
    assert len(read_documents(write(tmp_path, pickle.dumps(index_of(documents))))) == 5000


def test_instructions_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inert_pickle, "MAX_INSTRUCTIONS", 50)
    assert read(pickle.dumps(list(range(20))), set()) == list(range(20))
    with pytest.raises(Refused, match="more than 50 instructions"):
        read(pickle.dumps(list(range(60))), set())


@pytest.mark.parametrize(
    "saved_object",
    [
        None,
        (1, 2),
        index_of({"a": "no document"}),
        index_of({"a": Document("x")}, {1: "a"}),
        index_of({"a": Document("x")}, {0: "a", 1: "a"}),
        index_of({"a": Document("x")}, {0: "b"}),
        index_of({"a": Document("x")}, {0: 5}),
        index_of({"a": InMemoryDocstore()}),
    ],
)
def test_other_contents_are_refused(tmp_path: Path, saved_object: Any) -> None:
    with pytest.raises(KnowledgeError, match="not what LangChain saves"):
        read_documents(write(tmp_path, pickle.dumps(saved_object)))


def test_texts_are_stored_as_all_texts_are(base: Knowledge, tmp_path: Path) -> None:
    documents = {"a": Document("a\r\nb \ud800 \u1112\u1161\u11ab", metadata={"n": float("nan")})}
    (entry,) = read_documents(write(tmp_path, pickle.dumps(index_of(documents))))
    assert entry.text == "a\nb \ufffd 한"
    assert entry.metadata == {"n": None}
    base.put([entry])
    assert base.take(["a"]) == [entry]


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


@given(value=plain, protocol=st.integers(2, 5))
def test_plain_values_are_read_as_they_were(value: Any, protocol: int) -> None:
    assert read(pickle.dumps(value, protocol), set()) == value


@given(data=st.binary(max_size=60), cut=st.integers(0, 400), place=st.integers(0, 400))
def test_whatever_the_bytes_it_is_a_value_or_refused(data: bytes, cut: int, place: int) -> None:
    whole = pickle.dumps(index_of(DOCUMENTS))
    for damaged in (data, whole[:cut], whole[:place] + data + whole[place + len(data) :]):
        try:
            read(damaged, {"builtins.set"})
        except Refused:
            continue
        assert any(op.name == "STOP" for op, _, _ in pickletools.genops(damaged))
