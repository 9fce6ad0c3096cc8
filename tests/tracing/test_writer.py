"""Whatever happens to the disk, programs go on, and what was dropped is counted."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from uuid import uuid4

import pytest

from groundling.errors import TraceError
from groundling.tracing.payload import encode
from groundling.tracing.run import Patch, Status
from groundling.tracing.store import TraceStore
from groundling.tracing.writer import TraceWriter

NOW = 1_790_000_000_000_000


def a_run(text: str = "x") -> Patch:
    return Patch(
        id=uuid4(), name="rag", started=NOW, duration=5, inputs=encode({"question": text}), writer=0
    )


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def writer(tmp_path: Path, said: list[str]):
    with TraceWriter(tmp_path / "traces.sqlite", tell=said.append, retry=0.02) as opened:
        yield opened


def test_what_many_threads_put_is_all_there(writer):
    def put() -> None:
        for n in range(250):
            writer.put(a_run(f"run {n}"))

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert writer.flush(30)
    with TraceStore(writer.file) as store:
        assert store.count() == 2000
    assert not writer.dropped


def test_what_is_submitted_is_on_the_disk_when_its_future_is_done(writer):
    futures = [writer.submit([a_run(), a_run()]) for _ in range(50)]
    with TraceStore(writer.file) as store:
        for n, future in enumerate(futures, start=1):
            future.result(10)
            assert store.count() >= 2 * n


def test_nothing_is_lost_while_another_process_writes(writer):
    with TraceStore(writer.file) as other:
        with other.writing():
            writer.put(a_run("while locked"))
            assert not writer.flush(0.3)
        assert writer.flush(20)
        assert other.count() == 1


def test_a_full_disk_costs_runs_and_nothing_else(writer, said):
    writer.put(a_run())
    assert writer.flush()
    with writer._store.maintaining() as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages}")
    big = a_run("filler")
    big.outputs = encode({"answer": [str(n) * 7 for n in range(50_000)]})
    writer.put(big)
    assert not writer.flush(0.3)
    assert any("full" in message for message in said)
    with writer._store.maintaining() as db:
        db.execute("PRAGMA max_page_count = 1000000")
    assert writer.flush(10)
    with TraceStore(writer.file) as store:
        assert store.count() == 2


def test_what_does_not_fit_into_memory_is_dropped_and_counted(tmp_path, said):
    file = tmp_path / "traces.sqlite"
    blocked = TraceStore(file)
    with TraceWriter(file, tell=said.append, most=20_000, retry=0.02) as writer:
        with blocked.writing():
            for _ in range(100):
                writer.put(a_run("y" * 1000))
            future = writer.submit([a_run("z" * 30_000)])
            with pytest.raises(TraceError, match="than may wait"):
                future.result(5)
        assert writer.flush(20)
        kept = blocked.count()
        dropped = sum(writer.dropped.values())
        assert kept + dropped == 101
        assert dropped > 50
        writer.put(a_run())
        assert writer.flush(20)
    assert sum(blocked.drops().values()) == dropped
    blocked.close()


@pytest.mark.parametrize(
    "damage", [b"this is no database" * 1000, b"SQLite format 3\0" + b"\xff" * 9000]
)
def test_a_damaged_file_is_moved_aside(tmp_path, said, damage):
    file = tmp_path / "traces.sqlite"
    file.write_bytes(damage)
    with TraceWriter(file, tell=said.append, retry=0.02) as writer:
        writer.put(a_run("after the damage"))
        assert writer.flush(10)
    with TraceStore(file) as store:
        assert store.find()[0].preview == "after the damage"
    [aside] = tmp_path.glob("*.damaged-*[0-9]")
    assert aside.read_bytes() == damage
    assert str(aside) in said[0]


def test_a_file_whose_beginning_is_whole_is_moved_aside_too(tmp_path, said):
    file = tmp_path / "traces.sqlite"
    with TraceStore(file) as store:
        store.write([a_run(f"{n} " * 500) for n in range(200)])
    data = bytearray(file.read_bytes())
    data[4096:] = b"\xaa" * (len(data) - 4096)
    file.write_bytes(data)
    with TraceWriter(file, tell=said.append, retry=0.02) as writer:
        writer.put(a_run("later"))
        assert writer.flush(10)
    with TraceStore(file) as store:
        assert [run.preview for run in store.find()] == ["later"]
        assert store.read("PRAGMA quick_check")[0][0] == "ok"
    [aside] = tmp_path.glob("*.damaged-*[0-9]")
    assert aside.stat().st_size == len(data)


def test_one_bad_run_does_not_take_others_with_it(writer):
    bad = a_run()
    bad.extra = b"this is no JSON"
    good = [a_run(f"good {n}") for n in range(3)]
    for patch in (good[0], bad, *good[1:]):
        writer.put(patch)
    assert writer.flush()
    with TraceStore(writer.file) as store:
        assert {run.id for run in store.find()} == {patch.id for patch in good}
    assert sum(writer.dropped.values()) == 1


def test_a_folder_that_cannot_be_made_is_told_once(tmp_path, said):
    (tmp_path / "file").write_text("in the way")
    with TraceWriter(tmp_path / "file" / "traces.sqlite", tell=said.append, retry=0.02) as writer:
        writer.put(a_run())
        writer.put(a_run())
        writer.flush(0.2)
    assert len(said) in (1, 2)
    assert sum(writer.dropped.values()) == 2


_PROGRAM = """
import sys
from groundling.settings import load
from groundling.tracing.attach import attach
from langchain_core.runnables import RunnableLambda
attach(load({"home": sys.argv[1]}))
for n in range(20):
    RunnableLambda(lambda x: x + 1, name=f"step {n}").invoke(n)
"""


def test_a_program_that_just_ends_has_its_runs_stored(home):
    subprocess.run([sys.executable, "-c", _PROGRAM, home], check=True)
    with TraceStore(home / "traces.sqlite") as store:
        assert store.count() == 20
        assert {run.status for run in store.find(limit=50)} == {Status.SUCCESS}
        assert not list((home / "traces.locks").iterdir())


def test_maintenance_is_done_and_its_failure_hurts_nobody(tmp_path, said):
    called = threading.Event()

    def maintain(_: TraceStore) -> bool:
        called.set()
        raise sqlite3.OperationalError("no")

    with TraceWriter(tmp_path / "t.sqlite", tell=said.append, maintain=maintain) as writer:
        writer.put(a_run())
        assert called.wait(10)
        assert writer.flush()
        time.sleep(0.01)
        writer.put(a_run())
        assert writer.flush()
    assert len(said) == 1


def test_maintenance_that_was_not_done_goes_on_soon(tmp_path, monkeypatch):
    monkeypatch.setattr("groundling.tracing.writer.MAINTAIN_SOON", 0.0)
    left = [3, 2, 1, 0]
    with TraceWriter(tmp_path / "t.sqlite", maintain=lambda _: left.pop(0) == 0) as writer:
        for _ in range(10):
            writer.put(a_run())
            assert writer.flush()
            with writer._working:
                pass
    assert left == []
