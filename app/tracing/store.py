"""`traces.sqlite`: runs are written in batches and looked up here; lists are `query`'s.

    with TraceStore(home / "traces.sqlite") as store:
        store.write([Patch(id=uuid4(), name="rag", started=now, status=Status.RUNNING)])
        for run in store.find(RunFilter(status=[Status.ERROR]), limit=20):
            print(run.name, run.error)

One object serves many threads, and many processes may have the same file open. What is
written is there when the process is killed. Knows nothing of LangChain.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock, local
from typing import Any, Self
from uuid import UUID

from groundling.database import NewerLayout, connect, migrate, transaction
from groundling.errors import TraceError
from groundling.tracing.ingestion import Ingestion
from groundling.tracing.liveness import Writers
from groundling.tracing.migrations import MIGRATIONS
from groundling.tracing.packing import decode, unpack
from groundling.tracing.query import COLUMNS, RunFilter, run_of
from groundling.tracing.run import Patch, Payload, StoredRun

Redact = Callable[[Any], tuple[Any, int]]
DATABASE = "traces.sqlite"


class TraceStore:
    """One `traces.sqlite`.

    Args:
        file: where it is; made if it is not there.
        redact: takes a JSON value; gives it back with secrets and personal data blacked out,
            and how many places that were. None: everything is stored as it is.

    Raises:
        TraceError: it cannot be opened, or is damaged.
    """

    def __init__(self, file: Path, redact: Redact | None = None) -> None:
        self.file = file
        self.redact = redact
        self._lock = RLock()
        self._local = local()
        self._readers: list[sqlite3.Connection] = []
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._db = self._open()
            migrate(self._db, MIGRATIONS)
        except NewerLayout as newer:
            raise TraceError(
                f"{file} was written by a newer version of Groundling ({newer}).",
                hint="Update Groundling.",
            ) from newer
        except (sqlite3.Error, OSError) as error:
            raise TraceError(
                f"{file} cannot be opened: {error}",
                hint="groundling trace repair moves it aside; new runs go into a new one.",
            ) from error
        self._ingestion = Ingestion(self._db, redact)
        self.writers = Writers(file, self._db, self._lock)

    # writing

    def write(self, patches: Sequence[Patch]) -> None:
        """Store what became known of runs, all of it or nothing.

        Raises:
            sqlite3.Error: the disk is full, the file is locked or damaged.
        """
        with self.writing() as db:
            self._ingestion.write(db, patches)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give the connection inside a transaction of its own."""
        with self._lock:
            try:
                with transaction(self._db):
                    yield self._db
            except BaseException:
                self._ingestion.forget()
                raise

    @contextmanager
    def maintaining(self) -> Iterator[sqlite3.Connection]:
        """Give the connection outside of any transaction."""
        with self._lock:
            yield self._db

    def count_drop(self, reason: str, count: int = 1) -> None:
        """Remember that something could not be kept; `trace stats` shows it."""
        with self.writing() as db:
            db.execute(
                "INSERT INTO drops VALUES (?, ?, ?) ON CONFLICT (reason) "
                "DO UPDATE SET count = count + excluded.count, last = excluded.last",
                (reason, count, time.time_ns() // 1000),
            )

    def mark_lost(self, *, silent_for: float | None = None) -> int:
        """Mark runs of processes that are gone; return how many.

        Args:
            silent_for: also those of clients of the server, if they began longer ago than
                this, in seconds, and nothing of their trace was heard since.
        """
        with self.writing() as db:
            gone = self.writers.gone(db)
            lost = 0
            for writer in gone:
                lost += db.execute(
                    "UPDATE runs SET status = 'lost' WHERE status = 'running' AND writer = ?",
                    (writer,),
                ).rowcount
            if silent_for is not None:
                before = time.time_ns() // 1000 - int(silent_for * 1e6)
                lost += db.execute(
                    "UPDATE runs SET status = 'lost' WHERE status = 'running' AND writer IS NULL "
                    "AND started < ? AND NOT EXISTS (SELECT 1 FROM runs AS other "
                    "WHERE other.trace = runs.trace AND other.started + "
                    "coalesce(other.duration, 0) >= ?)",
                    (before, before),
                ).rowcount
            return lost

    # reading

    def find(
        self,
        wanted: RunFilter | None = None,
        *,
        limit: int = 20,
        offset: int = 0,
        oldest_first: bool = False,
    ) -> list[StoredRun]:
        """Return the newest runs that a filter lets through."""
        sql, parameters = (wanted or RunFilter()).sql(limit, offset, oldest_first)
        return [run_of(row) for row in self.read(sql, parameters)]

    def count(self, wanted: RunFilter | None = None) -> int:
        """Count the runs that a filter lets through."""
        sql, parameters = (wanted or RunFilter()).counting()
        return int(self.read(sql, parameters)[0][0])

    def run(self, run_id: UUID) -> StoredRun | None:
        """Return a run; None if there is none of that id."""
        rows = self.read(f"SELECT {COLUMNS} WHERE runs.id = ?", (run_id.bytes,))
        return run_of(rows[0]) if rows else None

    def resolve(self, name: str) -> StoredRun:
        """Find a run by its id, by the id's beginning or end, or as `last`.

        Raises:
            TraceError: there is none, or several.
        """
        if name == "last":
            if found := self.find(limit=1):
                return found[0]
            raise TraceError("There are no runs yet.", hint='groundling ask "…" makes one.')
        wanted = name.replace("-", "").lower()
        if len(wanted) < 4 or not all(letter in "0123456789abcdef" for letter in wanted):
            raise TraceError(
                f"{name} is no run's id.",
                hint="At least 4 of its first or last digits, or the word last: "
                "groundling trace list",
            )
        if len(wanted) == 32:
            rows = self.read(
                f"SELECT {COLUMNS} WHERE runs.id = ?",
                (bytes.fromhex(wanted),),
            )
        else:
            low, high = bytes.fromhex(wanted.ljust(32, "0")), bytes.fromhex(wanted.ljust(32, "f"))
            # Eight digits, as lists show them, are looked up in an index.
            ending = "substr(hex(runs.id), 25)"
            if len(wanted) != 8:
                ending = f"substr(hex(runs.id), {33 - len(wanted)})"
            rows = self.read(
                f"SELECT {COLUMNS} WHERE runs.id BETWEEN ? AND ? LIMIT 2", (low, high)
            ) or self.read(f"SELECT {COLUMNS} WHERE {ending} = ? LIMIT 2", (wanted.upper(),))
        if len(rows) != 1:
            what = f"Several runs have {name} in their id." if rows else f"There is no run {name}."
            raise TraceError(what, hint="groundling trace list shows the ids.")
        return run_of(rows[0])

    def trace(self, trace_id: UUID) -> list[StoredRun]:
        """Return all runs of a trace, parents before their children."""
        rows = self.read(
            f"SELECT {COLUMNS} WHERE runs.trace = ? ORDER BY runs.started, runs.seq",
            (trace_id.bytes,),
        )
        return depth_first([run_of(row) for row in rows])

    def payload(self, run: StoredRun) -> Payload:
        """Return what went into a run and came out."""
        return self.payloads([run])[run.seq]

    def payloads(self, runs: Sequence[StoredRun]) -> dict[int, Payload]:
        """Return the payloads of runs, by `seq`."""
        found: dict[int, Payload] = {run.seq: Payload({}, None, [], {}, None) for run in runs}
        for start in range(0, len(runs), 500):
            part = [run.seq for run in runs[start : start + 500]]
            marks = ",".join("?" * len(part))
            sql = (
                "SELECT seq, inputs, outputs, events, extra, serialized "
                f"FROM payloads WHERE seq IN ({marks})"
            )
            for seq, *blobs in self.read(sql, part):
                inputs, outputs, events, extra, serialized = (
                    decode(unpack(blob)) for blob in blobs
                )
                found[seq] = Payload(inputs or {}, outputs, events or [], extra or {}, serialized)
        return found

    def drops(self) -> dict[str, int]:
        """Return what could not be kept, by reason."""
        return dict(self.read("SELECT reason, count FROM drops ORDER BY count DESC"))

    def problems(self) -> list[str]:
        """Read the whole file; return what does not agree in it, nothing if all does."""
        found = [row[0] for row in self.read("PRAGMA integrity_check(10)") if row[0] != "ok"]
        searched = "SELECT count(*) FROM terms WHERE rowid NOT IN (SELECT seq FROM runs)"
        if lost := self.read(searched)[0][0]:
            found.append(f"{lost} texts in the index belong to no run")
        return found

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Run a query on this thread's own connection."""
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            db = self._local.db = self._open()
            db.execute("PRAGMA query_only = ON")
            with self._lock:
                self._readers.append(db)
        return db.execute(sql, parameters).fetchall()

    def close(self) -> None:
        """Close the file; the object is of no use after that."""
        with self._lock:
            self.writers.release()
            for db in (*self._readers, self._db):
                db.close()
            self._readers.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> sqlite3.Connection:
        db = connect(self.file)
        db.execute("PRAGMA cache_size = -16000")
        # For conditions on what stands in payloads: json_each(unpacked(payloads.extra), …).
        db.create_function("unpacked", 1, _unpacked, deterministic=True)
        return db


def _unpacked(blob: bytes | None) -> str | None:
    data = unpack(blob)
    return None if data is None else data.decode()


def depth_first(runs: Sequence[StoredRun]) -> list[StoredRun]:
    """Order the runs of a trace as a tree is read; a run without its parent is a root."""
    known = {run.id for run in runs}
    children: dict[UUID | None, list[StoredRun]] = {}
    for run in runs:
        children.setdefault(run.parent if run.parent in known else None, []).append(run)
    ordered: list[StoredRun] = []
    waiting = list(reversed(children.get(None, [])))
    while waiting:
        run = waiting.pop()
        ordered.append(run)
        waiting.extend(reversed(children.get(run.id, [])))
    # Runs that are each other's parents, from a client gone wrong, are shown all the same.
    shown = {run.id for run in ordered}
    return ordered + [run for run in runs if run.id not in shown]
