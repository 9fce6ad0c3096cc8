"""Killed, cut short, written by two at once: the knowledge base opens and is whole."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from groundling.errors import KnowledgeError
from groundling.knowledge import dense
from groundling.knowledge.base import Knowledge
from tests.knowledge.conftest import HashedWords

ADD = """
import sys
from pathlib import Path
from groundling.knowledge.base import Knowledge
from tests.knowledge.conftest import HashedWords
print("ready", flush=True)
with Knowledge.open(Path(sys.argv[1]), HashedWords()) as base:
    for folder in sys.argv[2:]:
        base.add([Path(folder)])
"""


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Return a folder of many documents."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(60):
        text = "".join(f"Valve {number}-{i} belongs to pump {i * number}. " for i in range(60))
        (folder / f"{number}.md").write_text(f"# Note {number}\n\n{text}", "utf-8")
    return folder


def start(*arguments: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", ADD, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_killed_at_random_instants(tmp_path: Path, many: Path) -> None:
    where = tmp_path / "base"
    seen = 0
    delays = random.Random(3)
    for _ in range(10):
        with start(where, many) as process:
            time.sleep(delays.uniform(0.02, 0.5))
            process.send_signal(signal.SIGKILL)
        with Knowledge.open(where, HashedWords()) as base:
            assert base.check() == []
            assert len(base.documents()) >= seen
            seen = len(base.documents())
    with Knowledge.open(where, HashedWords()) as base:
        report = base.add([many])
        assert report.added + report.unchanged == 60
        assert base.statistics().waiting == 0
        assert base.check() == []


def test_interrupted_between_documents_goes_on(tmp_path: Path, many: Path) -> None:
    class Stop(Exception):
        pass

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "reading" and done == 20:
            raise Stop

    with Knowledge.open(tmp_path / "base", HashedWords()) as base:
        with pytest.raises(Stop):
            base.add([many], progress=stop)
        assert len(base.documents()) == 20
        report = base.add([many])
        assert (report.added, report.unchanged) == (40, 20)


def test_interrupted_while_embedding_goes_on(
    tmp_path: Path, many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dense, "EMBED_BATCH", 64)

    class Broken(HashedWords):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            if self.embedded > 100:
                raise KeyboardInterrupt
            return super().embed_documents(texts)

    with Knowledge.open(tmp_path / "base", Broken()) as base, pytest.raises(KeyboardInterrupt):
        base.add([many])
    rest = HashedWords()
    with Knowledge.open(tmp_path / "base", rest) as base:
        waiting = base.statistics().waiting
        assert 0 < waiting < base.statistics().passages
        assert base.add([many]).unchanged == 60
        assert rest.embedded == waiting
        assert base.statistics().waiting == 0


def test_two_processes_add_at_once(tmp_path: Path, many: Path, documents: Path) -> None:
    where = tmp_path / "base"
    first, second = start(where, many, documents), start(where, documents, many)
    with first, second:
        assert (first.wait(60), second.wait(60)) == (0, 0)
    with Knowledge.open(where, HashedWords()) as base:
        assert len(base.documents()) == 63
        assert base.check() == []


def test_an_open_base_sees_what_another_adds(
    tmp_path: Path, base: Knowledge, documents: Path
) -> None:
    base.add([documents / "printers.txt"])
    assert len(base.search_dense("leave", k=9)) == 1
    with Knowledge.open(base.path, HashedWords()) as other:
        other.add([documents])
        other.remove("documents/printers.txt")
    assert len(base.search_dense("leave", k=9)) == 3
    assert base.check() == []


@pytest.mark.parametrize("damage", ["missing", "cut short", "changed", "no manifest", "garbage"])
def test_index_file_is_made_again(tmp_path: Path, documents: Path, damage: str) -> None:
    where = tmp_path / "base"
    with Knowledge.open(where, HashedWords()) as base:
        base.add([documents])
    file = where / "vectors.faiss"
    data = bytearray(file.read_bytes())
    if damage == "missing":
        file.unlink()
    elif damage == "cut short":
        file.write_bytes(data[:100])
    elif damage == "changed":
        data[-70] ^= 1
        file.write_bytes(data)
    elif damage == "no manifest":
        (where / "manifest.json").unlink()
    else:
        (where / "manifest.json").write_text("{[")
    with Knowledge.open(where, HashedWords()) as base:
        assert len(base.search_dense("annual leave", k=9)) == 4
        assert base.check() == []


def test_check_finds_what_does_not_agree(tmp_path: Path, documents: Path) -> None:
    where = tmp_path / "base"
    with Knowledge.open(where, HashedWords()) as base:
        base.add([documents])
        base.search("leave")
        with sqlite3.connect(where / "knowledge.sqlite") as outsider:
            outsider.execute("DELETE FROM terms WHERE rowid = 1")
            outsider.execute("UPDATE vectors SET vector = zeroblob(256) WHERE rowid = 2")
            outsider.execute("UPDATE documents SET text = 'short' WHERE source LIKE '%travel.md'")
        outsider.close()
        problems = " / ".join(base.check())
    assert "1 passages are not in full text" in problems
    assert "1 vectors in FAISS differ" in problems
    assert "travel.md" in problems


def test_damaged_database(tmp_path: Path) -> None:
    (tmp_path / "knowledge.sqlite").write_bytes(b"not a database at all, but long enough" * 50)
    with pytest.raises(KnowledgeError, match="damaged"):
        Knowledge.open(tmp_path, None)


def test_database_of_a_newer_version(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "knowledge.sqlite") as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(KnowledgeError, match="newer version"):
        Knowledge.open(tmp_path, None)


def test_a_full_disk_keeps_what_was_finished(tmp_path: Path, many: Path) -> None:
    with Knowledge.open(tmp_path / "base", HashedWords()) as base:
        database = base._store.connection
        pages = database.one("PRAGMA page_count")[0]
        database.one(f"PRAGMA max_page_count = {pages + 60}")  # SQLite's own "disk is full"
        with pytest.raises(KnowledgeError, match="is full") as raised:
            base.add([many])
        assert raised.value.hint is not None
        assert "Make room" in raised.value.hint
        kept = len(base.documents())
        assert 0 < kept < 60
        assert base.check() == []
        database.one("PRAGMA max_page_count = 1000000")
        report = base.add([many])
        assert (report.unchanged, report.added) == (kept, 60 - kept)
        assert base.check() == []
