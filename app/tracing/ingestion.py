"""From patches to rows: what the writing side of the store does inside one transaction."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from groundling.knowledge.analyser import analyse
from groundling.tracing.digest import Digest, digest, searchable
from groundling.tracing.packing import decode, dump, pack, unpack
from groundling.tracing.query import marks_of
from groundling.tracing.run import Patch, Status

DEFAULT_PROJECT = "default"
_INTERRUPTS = ("GraphInterrupt(", "NodeInterrupt(", "GraphBubbleUp(")
_CANCELLED = ("CancelledError(", "KeyboardInterrupt(", "GeneratorExit(")
_REMEMBERED = 10_000

Redact = Callable[[Any], tuple[Any, int]]

# What a trace's root says of the runs below it.
_ROLL_UP = """
    UPDATE runs SET
        input_tokens = coalesce(below.input, runs.input_tokens),
        output_tokens = coalesce(below.output, runs.output_tokens),
        cached_tokens = coalesce(below.cached, runs.cached_tokens),
        first_token = coalesce(below.first - runs.started, runs.first_token),
        model = coalesce(runs.model, below.model),
        egress = max(runs.egress, below.egress),
        redacted = max(runs.redacted, below.redacted),
        -- LangGraph ends a run that waits for a person like any other.
        status = CASE WHEN runs.status = 'success' AND below.waits THEN 'interrupted'
            ELSE runs.status END
    FROM (
        SELECT max(status = 'interrupted' AND parent = :trace) AS waits,
            sum(input_tokens) AS input, sum(output_tokens) AS output,
            sum(cached_tokens) AS cached, total(egress) AS egress, total(redacted) AS redacted,
            max(model) AS model,
            min(CASE WHEN run_type = 'llm' AND first_token IS NOT NULL
                AND tags NOT LIKE '%"nostream"%' THEN started + first_token END) AS first
        FROM runs WHERE trace = :trace AND parent IS NOT NULL
    ) AS below
    WHERE runs.id = :trace AND runs.duration IS NOT NULL
"""


class Ingestion:
    """Writes patches of runs; used under the store's lock and inside its transaction.

    Args:
        db: the connection.
        redact: see `TraceStore`.
    """

    def __init__(self, db: sqlite3.Connection, redact: Redact | None) -> None:
        self._redact = redact
        self._projects: dict[str | bytes, int] = {}
        self._graphs: OrderedDict[bytes, str] = OrderedDict()
        self._version = 0
        self.forget()

    def forget(self) -> None:
        """Let go of what a transaction that was rolled back may have made up."""
        self._projects.clear()
        self._graphs.clear()

    def write(self, db: sqlite3.Connection, patches: Sequence[Patch]) -> None:
        """Insert new runs and update known ones."""
        version = db.execute("PRAGMA data_version").fetchone()[0]
        if version != self._version:  # others wrote; they may have renamed or deleted a project
            self._projects.clear()
            self._version = version
        merged: dict[UUID, Patch] = {}
        for patch in patches:
            if known := merged.get(patch.id):
                known.merge(patch)
            else:
                merged[patch.id] = patch
        ended: set[bytes] = set()
        for patch in merged.values():
            trace = self._write_one(db, patch)
            if trace is not None:
                ended.add(trace)
        for trace in ended:
            self._roll_up(db, trace)

    def project(self, db: sqlite3.Connection, name: str | None, id: UUID | None = None) -> int:
        """Return the number of a project, made where it is not known yet."""
        key: str | bytes = id.bytes if id is not None else name or DEFAULT_PROJECT
        if key not in self._projects:
            column = "uuid" if isinstance(key, bytes) else "name"
            row = db.execute(f"SELECT id FROM projects WHERE {column} = ?", (key,)).fetchone()
            if row is None:
                new = id or uuid.uuid4()
                named = name or (str(id) if id is not None else DEFAULT_PROJECT)
                row = db.execute(
                    "INSERT INTO projects (uuid, name, started) VALUES (?, ?, ?) "
                    "ON CONFLICT (name) DO UPDATE SET name = name RETURNING id",
                    (new.bytes, named, time.time_ns() // 1000),
                ).fetchone()
            self._projects[key] = row[0]
        return self._projects[key]

    def _write_one(self, db: sqlite3.Connection, patch: Patch) -> bytes | None:
        """Write a run; return its trace if that needs to be summed up."""
        known = db.execute(
            "SELECT seq, trace, parent, started, duration, status, run_type, graph, node, error "
            "FROM runs WHERE id = ?",
            (patch.id.bytes,),
        ).fetchone()
        payload, redacted, found = self._payload(db, patch, known[0] if known else None)
        row = _columns(patch, found)
        if patch.error and row.get("status") == Status.ERROR:
            row["error"] = self._black_out(patch.error)
        if known is None:
            row = self._new(db, patch, row)
            if patch.parent is None and patch.name:
                self._remember(patch.id.bytes, patch.name)
            seq = _insert(db, patch.id, row | {"redacted": redacted})
        else:
            seq = known[0]
            _settle(row, patch, known)
            if "trace" in row and row["trace"] != known[1]:
                # Its end came first, and said nothing of where it belongs.
                row["graph"] = self._graph(db, row["trace"])
            elif known[2] is None and patch.parent is None and patch.name:
                row["graph"] = patch.name
            if patch.project is not None or patch.project_id is not None:
                row["project"] = self.project(db, patch.project, patch.project_id)
            _update(db, seq, row, redacted)
        self._store_payload(db, seq, payload, new=known is None)
        for name, (mime_type, data) in patch.attachments.items():
            db.execute(
                "INSERT OR REPLACE INTO attachments VALUES (?, ?, ?, ?)",
                (seq, name, mime_type, data),
            )
        over = row.get("duration") is not None
        if over or (known is not None and known[4] is not None):
            self._index(db, seq, patch, row, known, payload)
            return bytes(row["trace"] if "trace" in row else known[1])
        return None

    def _payload(
        self, db: sqlite3.Connection, patch: Patch, seq: int | None
    ) -> tuple[dict[str, bytes], int, Digest]:
        """Black out what is private, and read the columns out of the rest."""
        payload: dict[str, bytes] = {}
        values: dict[str, Any] = {}
        redacted = 0
        for name in ("inputs", "outputs", "extra", "events", "serialized"):
            data: bytes | None = getattr(patch, name)
            if data is None:
                continue
            if name in ("events", "serialized") and self._redact is None:
                payload[name] = data
                continue
            value = decode(data)
            if self._redact is not None:
                value, count = self._redact(value)
                if count:
                    redacted += count
                    data = dump(value)
            payload[name] = data
            values[name] = value
        found = digest(values.get("inputs"), values.get("outputs"), values.get("extra"))
        return payload, redacted, found

    def _black_out(self, text: str) -> str:
        return str(self._redact(text)[0]) if self._redact is not None else text

    def _new(self, db: sqlite3.Connection, patch: Patch, row: dict[str, Any]) -> dict[str, Any]:
        """Fill in what a new row must have, for patches that come before their run began."""
        trace = (patch.trace or patch.id).bytes
        started = patch.started if patch.started is not None else time.time_ns() // 1000
        if patch.ended is not None and patch.duration is None:
            row["duration"] = max(0, patch.ended - started)
        graph = patch.name or None if patch.parent is None else self._graph(db, trace)
        return {
            "trace": trace,
            "parent": patch.parent.bytes if patch.parent is not None else None,
            "dotted_order": patch.dotted_order or "",
            "project": self.project(db, patch.project, patch.project_id),
            "name": patch.name or "",
            "run_type": patch.run_type or "chain",
            "started": started,
            "status": Status.RUNNING,
            "graph": graph,
            **{name: value for name, value in row.items() if name not in ("trace", "parent")},
        }

    def _store_payload(
        self, db: sqlite3.Connection, seq: int, payload: dict[str, bytes], *, new: bool
    ) -> None:
        if not payload:
            return
        packed = {name: pack(data) for name, data in payload.items()}
        names = ", ".join(packed)
        marks = ", ".join("?" * len(packed))
        sql = f"INSERT INTO payloads (seq, {names}) VALUES (?, {marks})"
        if not new:
            sets = ", ".join(f"{name} = excluded.{name}" for name in packed)
            sql += f" ON CONFLICT (seq) DO UPDATE SET {sets}"
        db.execute(sql, (seq, *packed.values()))

    def _index(
        self,
        db: sqlite3.Connection,
        seq: int,
        patch: Patch,
        row: dict[str, Any],
        known: Any,
        payload: dict[str, bytes],
    ) -> None:
        """Let text search find a run that is over."""
        parent = row["parent"] if "parent" in row else known[2]
        run_type = row["run_type"] if "run_type" in row else known[6]
        error = row["error"] if "error" in row else (known[9] if known else None)
        inputs, outputs = decode(payload.get("inputs")), decode(payload.get("outputs"))
        if known is not None:
            stored = db.execute(
                "SELECT inputs, outputs FROM payloads WHERE seq = ?", (seq,)
            ).fetchone() or (None, None)
            inputs, outputs = (decode(unpack(blob)) for blob in stored)
        text = searchable(run_type, parent is None, inputs, outputs, error)
        found = dict.fromkeys(analyse(text))
        if parent is None:
            graph, verdict, status = db.execute(
                "SELECT graph, verdict, status FROM runs WHERE seq = ?", (seq,)
            ).fetchone()
            found |= dict.fromkeys(marks_of(graph, verdict, status))
        terms = " ".join(found)
        if known is not None:
            db.execute("DELETE FROM terms WHERE rowid = ?", (seq,))
        if terms:
            db.execute("INSERT INTO terms (rowid, body) VALUES (?, ?)", (seq, terms))

    def _graph(self, db: sqlite3.Connection, trace: bytes) -> str | None:
        if trace not in self._graphs:
            row = db.execute("SELECT name FROM runs WHERE id = ?", (trace,)).fetchone()
            if row is None or not row[0]:
                return None
            self._remember(trace, row[0])
        return self._graphs[trace]

    def _remember(self, trace: bytes, graph: str) -> None:
        self._graphs[trace] = graph
        if len(self._graphs) > _REMEMBERED:
            self._graphs.popitem(last=False)

    def _roll_up(self, db: sqlite3.Connection, trace: bytes) -> None:
        """Sum up a trace at its root, and name its graph in runs that came before it."""
        runs = db.execute("SELECT count(*) FROM runs WHERE trace = ?", (trace,)).fetchone()[0]
        if runs > 1:
            db.execute(_ROLL_UP, {"trace": trace})
            db.execute(
                "UPDATE runs SET graph = root.name FROM (SELECT name FROM runs WHERE id = ?1 "
                "AND name != '') AS root WHERE trace = ?1 AND graph IS NULL",
                (trace,),
            )


def _columns(patch: Patch, found: Digest) -> dict[str, Any]:
    """Return the columns that a patch sets."""
    row: dict[str, Any] = {
        "trace": patch.trace.bytes if patch.trace is not None else None,
        "parent": patch.parent.bytes if patch.parent is not None else None,
        "dotted_order": patch.dotted_order,
        "name": patch.name,
        "run_type": patch.run_type,
        "started": patch.started,
        "duration": patch.duration,
        "status": _status(patch, found),
        "model": found.model,
        "prompt": found.prompt,
        "prompt_sha256": found.prompt_sha256,
        "input_tokens": _first(patch.input_tokens, found.input_tokens),
        "output_tokens": _first(patch.output_tokens, found.output_tokens),
        "cached_tokens": _first(patch.cached_tokens, found.cached_tokens),
        "first_token": _first(patch.first_token, found.first_token),
        "speed": _first(patch.speed, found.speed),
        "verdict": found.verdict,
        "thread": found.thread,
        "node": found.node,
        "cpu": patch.cpu,
        "memory": patch.memory,
        "egress": patch.egress or None,
        "example": patch.example.bytes if patch.example is not None else None,
        "tags": json.dumps(patch.tags, ensure_ascii=False) if patch.tags else None,
        "preview": found.preview,
        "answer": found.answer,
        "writer": patch.writer,
    }
    return {name: value for name, value in row.items() if value is not None}


def _status(patch: Patch, found: Digest) -> Status | None:
    """Return how a run ended; None while it has not."""
    if patch.status not in (None, Status.RUNNING):
        return patch.status
    if patch.error is not None:
        if patch.error.startswith(_INTERRUPTS):
            return Status.INTERRUPTED
        return Status.CANCELLED if patch.error.startswith(_CANCELLED) else Status.ERROR
    if found.interrupted:
        return Status.INTERRUPTED
    if patch.duration is not None or patch.ended is not None:
        return Status.SUCCESS
    return None


def _settle(row: dict[str, Any], patch: Patch, known: Any) -> None:
    """Keep a late or doubled patch from undoing what is known of a run."""
    _, _, _, started, _, status, *_ = known
    over = status not in (Status.RUNNING, Status.LOST)
    if over and row.get("status") == Status.SUCCESS:
        row.pop("status")
    if patch.ended is not None and patch.duration is None:
        row["duration"] = max(0, patch.ended - row.get("started", started))


def _insert(db: sqlite3.Connection, id: UUID, row: dict[str, Any]) -> int:
    marks = ", ".join("?" * len(row))
    sql = f"INSERT INTO runs (id, {', '.join(row)}) VALUES (?, {marks})"
    seq = db.execute(sql, (id.bytes, *row.values())).lastrowid
    assert seq is not None
    return seq


def _update(db: sqlite3.Connection, seq: int, row: dict[str, Any], redacted: int) -> None:
    sets = ", ".join(["redacted = redacted + ?", *(f"{name} = ?" for name in row)])
    db.execute(f"UPDATE runs SET {sets} WHERE seq = ?", (redacted, *row.values(), seq))


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
