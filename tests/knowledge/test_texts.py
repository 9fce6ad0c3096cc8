"""Texts without files, archives of files, export, and reading anew."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from groundling.knowledge import analyser
from groundling.knowledge.base import Knowledge
from groundling.knowledge.export import records
from groundling.knowledge.texts import TextEntry
from tests.knowledge.conftest import HashedWords


def test_texts_are_put_taken_and_dropped(base: Knowledge) -> None:
    entries = [
        TextEntry("a", "The kettle is blue.", {"colour": "blue", "n": 1}),
        TextEntry("b", "주전자는 파란색이다.", {"색": "파랑"}, title="주전자"),
    ]
    base.put(entries)
    assert base.keys() == ["a", "b"]
    assert base.take(["b", "zzz", "a"]) == [
        entries[1],
        entries[0],
    ]
    assert base.search("파란색")[0].key == "b"
    base.put([TextEntry("a", "The kettle is red.")])
    assert base.take(["a"])[0] == TextEntry("a", "The kettle is red.")
    assert base.search_lexical("blue") == []
    assert base.drop(["a", "zzz"]) == 1
    assert base.keys() == ["b"]
    assert base.check() == []


def test_a_texts_vector_finds_it(base: Knowledge, hashed: HashedWords) -> None:
    base.put([TextEntry("a", "The kettle is blue."), TextEntry("b", "Trains run on rails.")])
    [passage] = base.search_vector(hashed.embed_query("Trains run on rails."), k=1)
    assert passage.key == "b"
    assert passage.score == pytest.approx(1)
    assert base.vector(passage.chunk_id) == pytest.approx(
        hashed.embed_query("Trains run on rails."), abs=1e-6
    )
    assert base.vector(12345) is None


def archive(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        for name, text in files.items():
            made.writestr(name, text)
    return path


def test_an_archive_is_many_documents(base: Knowledge, tmp_path: Path) -> None:
    file = archive(
        tmp_path / "all.zip",
        {
            "a.txt": "The kettle is blue.",
            "sub/규정.md": "# 규정\n\n연차는 15일이다.",
            "x.png": "no",
        },
    )
    report = base.add([file])
    assert report.added == 2
    assert {d.source for d in base.documents()} == {"all.zip!/a.txt", "all.zip!/sub/규정.md"}
    assert base.search("연차 15일")[0].source == "all.zip!/sub/규정.md"
    assert base.add([file]).unchanged == 1

    archive(file, {"a.txt": "The kettle is blue.", "b.txt": "The pan is grey."})
    report = base.add([file])
    assert (report.added, report.unchanged, report.removed) == (1, 1, 1)
    assert base.remove("all.zip") == 2
    assert base.documents() == []
    assert base.check() == []


def test_an_interrupted_archive_is_read_to_its_end(
    base: Knowledge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = archive(tmp_path / "all.zip", {f"{n}.txt": f"Valve {n}." for n in range(9)})
    store, stored = base._store, 0
    whole = store.replace_document

    def stop(*arguments: object, **named: object) -> int:
        nonlocal stored
        stored += 1
        if stored == 5:
            raise KeyboardInterrupt
        return whole(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "replace_document", stop)
    with pytest.raises(KeyboardInterrupt):
        base.add([file])
    monkeypatch.undo()
    report = base.add([file])
    assert (report.added, report.unchanged) == (5, 4)
    assert len(base.documents()) == 9


def test_export_has_everything(base: Knowledge, documents: Path) -> None:
    base.add([documents])
    written = [json.loads(json.dumps(record)) for record in records(base, vectors=True)]
    assert [record["source"] for record in written] == [d.source for d in base.documents()]
    for record in written:
        assert len(record["text"]) == record["characters"]
        for passage in record["passages"]:
            assert record["text"][passage["start"] : passage["end"]].strip()
            assert len(passage["vector"]) == 64


def test_another_analyser_is_taken_when_reindexed(tmp_path: Path, documents: Path) -> None:
    """Questions are analysed as the documents were, whatever is installed by now."""
    pytest.importorskip("kiwipiepy", reason="the extra ko is not installed")
    with Knowledge.open(tmp_path / "b", HashedWords()) as base:
        base._store.connection.put("analyser", "plain/1")
    with Knowledge.open(tmp_path / "b", HashedWords()) as base:
        assert base.analyser.name == analyser.get("plain").name
        base.add([documents])
        base.put([TextEntry("a", "주전자는 파란색이다.")])
    with Knowledge.open(tmp_path / "b", HashedWords(), reindexing=True) as base:
        assert base.analyser.name == analyser.get("kiwi").name
        assert base.reindex().updated == 3
        assert base.search_lexical("주전자")[0].key == "a"
        assert base.check() == []
    with Knowledge.open(tmp_path / "b", HashedWords()) as base:
        assert base.statistics().analyser == base.analyser.name == analyser.get("kiwi").name
