"""A knowledge base from the outside: add, search, read, remove."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from groundling.errors import IndexMismatch, KnowledgeError
from groundling.knowledge.base import Knowledge
from groundling.models.embeddings import Embedder
from tests.knowledge.conftest import HashedWords


def test_passages_are_spans_of_the_stored_text(base: Knowledge, documents: Path) -> None:
    report = base.add([documents])
    assert (report.added, report.chunks, report.skipped) == (3, 4, [])
    found = base.search("certificate for sick leave 출장 printer", k=10)
    assert len(found) == 4
    for passage in found:
        assert base.text(passage.document_id)[passage.start : passage.end] == passage.text
        assert base.text(passage.document_id, passage.start, passage.end) == passage.text


def test_search_in_english_and_korean(base: Knowledge, documents: Path) -> None:
    base.add([documents])
    english = base.search("How many days of annual leave?")[0]
    assert (english.source, english.heading) == ("documents/rules/leave.md", "Leave > Annual leave")
    assert base.search("숙박비는 얼마인가요?")[0].source == "documents/rules/travel.md"
    assert base.search("hb-220")[0].source == "documents/printers.txt"


def test_no_word_found_gives_nothing(base: Knowledge, documents: Path) -> None:
    base.add([documents])
    assert base.search_lexical("zebra 얼룩말") == []
    assert base.search_lexical("") == base.search("  ") == []


def test_a_query_is_not_full_text_syntax(base: Knowledge, documents: Path) -> None:
    base.add([documents])
    for query in ('"leave', "leave*", "NEAR(leave)", "body:leave", "a AND OR NOT leave", "^leave"):
        assert base.search_lexical(query)[0].source == "documents/rules/leave.md"


def test_a_very_long_query(base: Knowledge, documents: Path) -> None:
    base.add([documents])
    query = " ".join("zx" + chr(0x4E00 + i) for i in range(5000)) + " certificate"
    assert base.search_lexical(query)[0].source == "documents/rules/leave.md"


def test_unchanged_are_skipped_and_changed_replaced(
    base: Knowledge, documents: Path, hashed: HashedWords
) -> None:
    base.add([documents])
    embedded = hashed.embedded
    assert base.add([documents]).unchanged == 3
    assert hashed.embedded == embedded
    (documents / "printers.txt").write_text("The printer moved to floor 5.", "utf-8")
    report = base.add([documents])
    assert (report.updated, report.unchanged, report.added) == (1, 2, 0)
    assert hashed.embedded == embedded + 1
    assert base.search_lexical("HB-220") == []
    assert "floor 5" in base.search("printer floor")[0].text
    assert base.check() == []


def test_another_chunk_size_cuts_anew(tmp_path: Path, documents: Path) -> None:
    long = documents / "long.txt"
    long.write_text("One sentence about pumps. " * 100, "utf-8")
    with Knowledge.open(tmp_path / "b", HashedWords(), chunk_characters=700) as base:
        before = base.add([long]).chunks
    with Knowledge.open(tmp_path / "b", HashedWords(), chunk_characters=200) as base:
        report = base.add([long])
        assert report.updated == 1
        assert report.chunks > before
        assert base.check() == []


def test_remove_takes_everything(base: Knowledge, documents: Path) -> None:
    base.add([documents])
    assert base.remove("documents/rules") == 2
    assert [document.source for document in base.documents()] == ["documents/printers.txt"]
    assert base.search_lexical("leave 출장") == []
    assert base.statistics().vectors == base.statistics().passages == 1
    assert base.check() == []
    with pytest.raises(KnowledgeError, match="no document"):
        base.remove("documents/rules")


def test_prune_removes_what_is_gone(base: Knowledge, documents: Path) -> None:
    base.add([documents])
    (documents / "printers.txt").unlink()
    assert base.add([documents]).removed == 0
    assert base.add([documents], prune=True).removed == 1
    assert len(base.documents()) == 2


def test_bad_files_are_told_and_the_rest_goes_on(base: Knowledge, documents: Path) -> None:
    (documents / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    (documents / "empty.md").touch()
    (documents / "picture.png").touch()
    (documents / ".hidden.md").write_text("secret", "utf-8")
    (documents / "away.md").symlink_to(documents.parent / "outside.md")
    report = base.add([documents])
    assert report.added == 3
    assert report.ignored == 1
    reasons = {Path(path).name: reason for path, reason in report.skipped}
    assert "not a readable PDF" in reasons["broken.pdf"]
    assert "0 bytes" in reasons["empty.md"]
    assert "leads out" in reasons["away.md"]


def test_links_in_a_circle_pipes_and_names_that_are_none(base: Knowledge, documents: Path) -> None:
    (documents / "a.md").symlink_to(documents / "b.md")
    (documents / "b.md").symlink_to(documents / "a.md")
    (documents / "around").symlink_to(documents)
    (documents / "inside.md").symlink_to(documents / "printers.txt")
    os.mkfifo(documents / "pipe.txt")  # opened, it would wait for ever
    named = Path(os.fsdecode(os.fsencode(documents) + b"/\xff.txt"))
    named.write_text("The kettle is blue.", "utf-8")
    report = base.add([documents])
    assert report.added == 4
    assert {Path(path).name: reason.partition(";")[0] for path, reason in report.skipped} == {
        "a.md": "the link leads nowhere",
        "b.md": "the link leads nowhere",
        "pipe.txt": "it is no file but a pipe, a socket or a device",
        "\ufffd.txt": "its name is not valid Unicode",
    }
    assert "not valid Unicode" in base.add([named]).skipped[0][1]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(base: Knowledge, documents: Path) -> None:
    (documents / "printers.txt").chmod(0)
    report = base.add([documents])
    assert report.added == 2
    assert report.skipped[0][1] == "Permission denied"


def test_a_file_that_breaks_keeps_what_was_stored(base: Knowledge, documents: Path) -> None:
    base.add([documents])
    (documents / "printers.txt").write_bytes(b"\x00\x01")
    assert len(base.add([documents]).skipped) == 1
    assert base.search_lexical("HB-220")


def test_nothing_to_read(base: Knowledge, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(KnowledgeError, match="no document"):
        base.add([tmp_path / "empty"])
    with pytest.raises(KnowledgeError, match="does not exist"):
        base.add([tmp_path / "missing"])


def test_equal_names_in_two_folders_stay_apart(base: Knowledge, tmp_path: Path) -> None:
    for side in ("east", "west"):
        (tmp_path / side / "docs").mkdir(parents=True)
        (tmp_path / side / "docs" / "a.txt").write_text(f"The {side} office.", "utf-8")
    base.add([tmp_path / "east" / "docs"])
    base.add([tmp_path / "west" / "docs"])
    sources = {document.source for document in base.documents()}
    assert sources == {"docs/a.txt", str(tmp_path / "west" / "docs" / "a.txt")}
    assert base.add([tmp_path / "east" / "docs", tmp_path / "west" / "docs"]).unchanged == 2


def test_equal_passages_are_shown_once(base: Knowledge, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("The same words about valves.", "utf-8")
    base.add([tmp_path / "a.txt", tmp_path / "b.txt"])
    assert len(base.search("valves")) == 1
    base.remove("a.txt")
    assert [passage.source for passage in base.search("valves")] == ["b.txt"]
    assert base.check() == []


def test_passages_by_id_keep_their_order(base: Knowledge, documents: Path) -> None:
    base.add([documents])
    ids = [passage.chunk_id for passage in base.search("leave printer 출장", k=10)]
    assert [p.chunk_id for p in base.passages([*reversed(ids), 999])] == [*reversed(ids)]


def test_coverage_tells_what_is_not_there(base: Knowledge, documents: Path) -> None:
    base.add([documents])
    present = base.search("How many days of annual leave?")
    assert base.coverage("How many days of annual leave?", present) > 0.7
    absent = base.search("Which insurance covers glaciers?")
    assert base.coverage("Which insurance covers glaciers?", absent) == 0
    korean = base.search("국내 출장의 숙박비는 얼마인가요?")
    assert base.coverage("국내 출장의 숙박비는 얼마인가요?", korean) == 1
    assert base.coverage("무엇인가요?", korean) == 0


def test_languages(base: Knowledge, documents: Path) -> None:
    assert base.languages() == {}
    base.add([documents])
    shares = base.languages()
    assert shares["ko"] + shares["en"] == pytest.approx(1, abs=1e-3)
    assert {d.source: d.languages for d in base.documents()}["documents/rules/travel.md"]["ko"] == 1


def test_words_alone_without_an_embedder(tmp_path: Path, documents: Path) -> None:
    with Knowledge.open(tmp_path / "b", None) as base:
        base.add([documents])
        assert base.search("annual leave")
        assert base.search_dense("annual leave") == []
        assert base.statistics().waiting == 4
        assert base.check() == []
        with pytest.raises(KnowledgeError, match="embedder"):
            base.reindex()
    with Knowledge.open(tmp_path / "b", HashedWords()) as base:
        base.add([documents])
        assert base.statistics().waiting == 0


def test_another_embedder_is_refused_until_reindexed(tmp_path: Path, documents: Path) -> None:
    with Knowledge.open(tmp_path / "b", HashedWords()) as base:
        base.add([documents])
    other = HashedWords(dimension=32, name="other")
    with pytest.raises(IndexMismatch) as caught:
        Knowledge.open(tmp_path / "b", other)
    assert caught.value.hint == "groundling knowledge reindex b"
    assert "dimension 64, model hashed" in str(caught.value)
    assert "dimension 32, model other" in str(caught.value)
    with Knowledge.open(tmp_path / "b", other, reindexing=True) as base:
        base.reindex()
        assert base.search_dense("annual leave")
        assert base.check() == []
    with Knowledge.open(tmp_path / "b", other) as base:
        assert base.statistics().vectors == 4


def test_missing_is_not_made_unless_asked(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match="no knowledge base"):
        Knowledge.open(tmp_path / "b", None, create=False)
    assert not (tmp_path / "b").exists()


def test_many_threads(base: Knowledge, documents: Path) -> None:
    base.add([documents])

    def work(number: int) -> int:
        if number % 10 == 0:
            (documents / f"new{number}.txt").write_text(f"Note {number} on leave.", "utf-8")
            base.add([documents / f"new{number}.txt"])
        return len(base.search("annual leave", k=3))

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(work, range(40))) == {3}
    assert base.check() == []
    assert len(base.documents()) == 7


@pytest.mark.model
def test_meaning_finds_what_words_do_not(tmp_path: Path, documents: Path, minilm: Embedder) -> None:
    with Knowledge.open(tmp_path / "b", minilm) as base:
        base.add([documents])
        assert base.search_lexical("vacation") == []
        assert base.search("vacation")[0].heading == "Leave > Annual leave"
        assert base.dense_weight("vacation") == 1
        assert base.dense_weight("휴가") == 0
