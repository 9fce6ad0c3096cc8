"""Traces from JSON lines: those that `exports` wrote, and runs in LangSmith's fields."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from groundling.tracing.feedback import Feedback, FeedbackBook
from groundling.tracing.payload import encode
from groundling.tracing.run import Patch, Status
from groundling.tracing.store import TraceStore

BATCH = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Report:
    """What was read; `bad` are the numbers of lines that were not, with the reason."""

    runs: int = 0
    feedback: int = 0
    bad: list[tuple[int, str]] = field(default_factory=list)


def import_traces(store: TraceStore, lines: Iterable[bytes]) -> Report:
    """Store the runs and the feedback in some lines; runs that are known are updated.

    A line that cannot be read is left out and reported. A run that was still going on when
    it was exported comes in as lost: nobody here will end it.

    Raises:
        sqlite3.Error: the file cannot be written; batches before that are stored.
    """
    report = Report()
    batch: list[tuple[int, _Line]] = []
    for number, data in enumerate(lines, start=1):
        if not data.strip():
            continue
        try:
            batch.append((number, _read(data)))
        except (ValueError, TypeError, OverflowError) as error:
            report.bad.append((number, str(error)))
        if len(batch) >= BATCH:
            _store(store, batch, report)
            batch = []
    _store(store, batch, report)
    return report


@dataclass
class _Line:
    patch: Patch
    feedback: list[Feedback]
    redacted: int
    running: bool
    project: Mapping[str, Any]


def _store(store: TraceStore, batch: Sequence[tuple[int, _Line]], report: Report) -> None:
    """Write a batch; of one that fails for what it holds, each line by itself."""
    if not batch:
        return
    lines = [line for _, line in batch]
    for line in lines:
        if line.running and store.run(line.patch.id) is None:
            line.patch.status = Status.LOST
    try:
        store.write([line.patch for line in lines])
    except (ValueError, OverflowError) as error:
        if len(batch) == 1:
            report.bad.append((batch[0][0], str(error)))
            return
        for each in batch:
            _store(store, [each], report)
        return
    said = [each for line in lines for each in line.feedback]
    with store.writing() as db:
        db.executemany(
            "UPDATE runs SET redacted = max(redacted, ?) WHERE id = ?",
            [(line.redacted, line.patch.id.bytes) for line in lines if line.redacted],
        )
        for project in {line.patch.project_id: line.project for line in lines}.values():
            if project.get("dataset"):
                db.execute(
                    "UPDATE projects SET dataset = coalesce(dataset, ?), "
                    "description = coalesce(description, ?), extra = ? WHERE uuid = ?",
                    (
                        UUID(project["dataset"]).bytes,
                        project.get("description"),
                        orjson.dumps(project.get("extra") or {}).decode(),
                        UUID(project["id"]).bytes,
                    ),
                )
    FeedbackBook(store).add(*said)
    report.runs += len(lines)
    report.feedback += len(said)


def _read(data: bytes) -> _Line:
    """Read a line.

    Raises:
        ValueError: it is no run; the text says why.
    """
    run = orjson.loads(data)
    if not isinstance(run, Mapping) or "id" not in run:
        raise ValueError("it is no run: it has no id")
    own = _mapping(run, "groundling")
    project = _mapping(own, "project")
    extra = _mapping(run, "extra")
    started = _whole(own, "started")
    ended = _time(run.get("end_time"))
    patch = Patch(
        id=_id(run, "id") or UUID(int=0),
        trace=_id(run, "trace_id") or _id(run, "id"),
        parent=_id(run, "parent_run_id"),
        dotted_order=_text(run, "dotted_order"),
        project=_text(run, "session_name"),
        project_id=_id(project, "id"),
        name=_text(run, "name") or "",
        run_type=_text(run, "run_type"),
        started=started if started is not None else _time(run.get("start_time")),
        duration=_whole(own, "duration"),
        ended=ended,
        error=_text(run, "error"),
        inputs=encode(_mapping(run, "inputs")),
        outputs=encode(run["outputs"]) if run.get("outputs") is not None else None,
        events=encode(run.get("events") or []),
        extra=encode(extra),
        serialized=encode(run["serialized"]) if run.get("serialized") else None,
        tags=[str(tag) for tag in run.get("tags") or []],
        example=_id(run, "reference_example_id"),
        speed=float(own["speed"]) if own.get("speed") is not None else None,
        egress=_whole(own, "egress") or 0,
        attachments=_attached(_mapping(run, "attachments")),
        input_tokens=_whole(own, "input_tokens"),
        output_tokens=_whole(own, "output_tokens"),
        cached_tokens=_whole(own, "cached_tokens"),
        first_token=_whole(own, "first_token"),
        cpu=_whole(own, "cpu"),
        memory=_whole(own, "memory"),
    )
    named = _text(run, "status")
    running = named == Status.RUNNING or (patch.duration is None and ended is None)
    if named in tuple(Status) and not running:
        patch.status = Status(named)
    elif named == Status.LOST:
        patch.status = Status.LOST
    said = [_feedback(each) for each in run.get("feedback") or []]
    return _Line(patch, said, _whole(own, "redacted") or 0, running, project)


def _feedback(given: Any) -> Feedback:
    if not isinstance(given, Mapping) or not given.get("key"):
        raise ValueError("its feedback has no key")
    made = Feedback(
        key=str(given["key"]),
        run=_id(given, "run"),
        trace=_id(given, "trace"),
        score=float(given["score"]) if given.get("score") is not None else None,
        value=given.get("value"),
        comment=_text(given, "comment"),
        correction=given.get("correction"),
        source=dict(_mapping(given, "source")) or {"type": "app"},
        extra=dict(_mapping(given, "extra")),
    )
    id, created = _id(given, "id"), _time(given.get("created"))
    return replace(made, id=id or made.id, created=made.created if created is None else created)


def _attached(given: Mapping[str, Any]) -> dict[str, tuple[str, bytes]]:
    try:
        return {
            str(name): (str(each["mime_type"]), base64.b64decode(each["data"], validate=True))
            for name, each in given.items()
        }
    except (KeyError, TypeError, binascii.Error) as error:
        raise ValueError(f"its attachments cannot be read: {error}") from error


def _mapping(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = holder.get(name)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise ValueError(f"{name} is no object")
    return found


def _text(holder: Mapping[str, Any], name: str) -> str | None:
    found = holder.get(name)
    return None if found is None else str(found)


def _id(holder: Mapping[str, Any], name: str) -> UUID | None:
    found = holder.get(name)
    if found is None:
        return None
    try:
        return UUID(str(found))
    except ValueError:
        raise ValueError(f"{name} {str(found)[:60]!r} is no UUID") from None


def _whole(holder: Mapping[str, Any], name: str) -> int | None:
    found = holder.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int) or not -(2**63) <= found < 2**63:
        raise ValueError(f"{name} {str(found)[:60]!r} is no whole number")
    return found


def _time(value: Any) -> int | None:
    if value is None:
        return None
    found = datetime.fromisoformat(str(value))
    found = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return (found - _EPOCH) // timedelta(microseconds=1)
