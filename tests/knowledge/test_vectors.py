"""The FAISS side: both kinds of index, files that do not fit, following what changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from groundling.knowledge import dense, vectors
from groundling.knowledge.base import Knowledge
from groundling.knowledge.vectors import INDEX, MANIFEST, VectorIndex
from tests.knowledge.conftest import HashedWords

DIMENSION = 16


def rows(count: int, first: int = 1) -> list[tuple[int, bytes]]:
    made = np.random.default_rng(first).standard_normal((count, DIMENSION)).astype("<f4")
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return [(first + n, row.tobytes()) for n, row in enumerate(made)]


def batches(count: int) -> Iterator[list[tuple[int, bytes]]]:
    made = rows(count)
    for start in range(0, count, 100):
        yield made[start : start + 100]


@pytest.fixture(params=[0, 100_000], ids=["ivf", "flat"])
def index(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> VectorIndex:
    monkeypatch.setattr(vectors, "FLAT_MOST", request.param)
    return VectorIndex.make(DIMENSION, 2000, lambda: batches(2000))


def test_finds_a_vector_by_itself(index: VectorIndex) -> None:
    assert len(index) == 2000
    hits = 0
    for chunk_id, row in rows(2000)[::50]:
        found = index.search(np.frombuffer(row, dtype="<f4"), 3)
        assert len(found) == 3
        hits += found[0][0] == chunk_id
    assert hits == 40


def test_adds_and_removes_by_id(index: VectorIndex) -> None:
    index.add(rows(3, first=5001))
    index.remove([1, 2, 5003, 77777])
    assert index.ids().tolist() == [*range(3, 2001), 5001, 5002]


def test_read_back_as_it_was(index: VectorIndex, tmp_path: Path) -> None:
    index.save(tmp_path, {"space": "s", "sequence": 7})
    read = VectorIndex.read(tmp_path, "s", DIMENSION)
    assert read is not None
    again, sequence = read
    query = np.frombuffer(rows(1)[0][1], dtype="<f4")
    assert sequence == 7
    assert again.kind == index.kind
    assert again.search(query, 5) == index.search(query, 5)
    assert VectorIndex.read(tmp_path, "another space", DIMENSION) is None


def test_a_damaged_file_is_not_read(index: VectorIndex, tmp_path: Path) -> None:
    index.save(tmp_path, {"space": "s", "sequence": 7})
    whole = (tmp_path / INDEX).read_bytes()
    for broken in (whole[:-1], b"", whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]):
        (tmp_path / INDEX).write_bytes(broken)
        assert VectorIndex.read(tmp_path, "s", DIMENSION) is None
    (tmp_path / INDEX).unlink()
    assert VectorIndex.read(tmp_path, "s", DIMENSION) is None
    (tmp_path / MANIFEST).write_text("{", "utf-8")
    assert VectorIndex.read(tmp_path, "s", DIMENSION) is None


def test_the_kind_follows_the_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "FLAT_MOST", 50)
    folder = tmp_path / "documents"
    folder.mkdir()

    def write(count: int) -> None:
        for number in range(count):
            text = f"Note {number}: pump {number * 3} feeds valve {number * 7}."
            (folder / f"{number}.txt").write_text(text, "utf-8")

    with Knowledge.open(tmp_path / "b", HashedWords()) as base:
        write(40)
        base.add([folder])
        assert base.statistics().index == "flat, exact"
        write(90)
        base.add([folder])
        assert base.statistics().index.startswith("IVF")
        # Found by eight bits, weighed again with the exact vectors.
        [itself] = base.search_dense("33\nNote 33: pump 99 feeds valve 231.", k=1)
        assert itself.source == "documents/33.txt"
        assert base.check() == []
    with Knowledge.open(tmp_path / "b", HashedWords()) as base:
        base.remove("documents/33.txt")
        found = base.search_dense("33\nNote 33: pump 99 feeds valve 231.", k=20)
        assert all(passage.source != "documents/33.txt" for passage in found)
        assert base.check() == []


def test_others_changes_are_followed(tmp_path: Path, documents: Path) -> None:
    with (
        Knowledge.open(tmp_path / "b", HashedWords()) as one,
        Knowledge.open(tmp_path / "b", HashedWords()) as other,
    ):
        one.add([documents])
        assert other.search_dense("annual leave")
        other.remove("documents/printers.txt")
        assert all(p.source != "documents/printers.txt" for p in one.search_dense("printer", 20))
        (documents / "new.txt").write_text("The canteen opens at noon.", "utf-8")
        one.add([documents / "new.txt"])
        assert other.search_dense("canteen")[0].source == "new.txt"
        assert one.check() == other.check() == []


def test_a_forgotten_log_is_made_up_for(
    tmp_path: Path, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index in memory that is older than the log compares itself with all rows."""
    monkeypatch.setattr(dense, "_SAVE_AFTER", 0)
    monkeypatch.setattr(dense, "_SAVE_SHARE", 0.0)
    with (
        Knowledge.open(tmp_path / "b", HashedWords()) as one,
        Knowledge.open(tmp_path / "b", HashedWords()) as other,
    ):
        one.add([documents])
        assert other.search_dense("printer")
        for number in range(3):
            (documents / "printers.txt").write_text(f"Printer {number} is on floor 9.", "utf-8")
            one.add([documents])  # saved each time, and the log dropped
        assert one._store.vectors.since(0) is None
        assert "Printer 2" in other.search_dense("printer floor")[0].text
        assert other.check() == []


def test_the_file_is_written_when_enough_has_changed(tmp_path: Path, documents: Path) -> None:
    with Knowledge.open(tmp_path / "b", HashedWords()) as base:
        base.add([documents])
        written = (tmp_path / "b" / INDEX).read_bytes()
        base.remove("documents/printers.txt")
        (documents / "new.txt").write_text("The canteen opens at noon.", "utf-8")
        base.add([documents / "new.txt"])
        assert (tmp_path / "b" / INDEX).read_bytes() == written
        stated = json.loads((tmp_path / "b" / MANIFEST).read_text("utf-8"))
        assert stated["index"]["vectors"] == 4
    with Knowledge.open(tmp_path / "b", HashedWords()) as base:
        assert base.search_dense("canteen")[0].source == "new.txt"
        assert base.check() == []
