"""Feedback: what people and evaluators said of a run, in LangSmith's form.

A key says what was judged (`thumbs`, `correctness`), the score how good it was, from bad to
good; a correction is the answer that would have been right. Feedback stays when old runs are
removed, and keeps its run from being removed.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from groundling.errors import TraceError
from groundling.tracing.run import StoredRun
from groundling.tracing.store import TraceStore

THUMBS = "thumbs"
_NAMES = (
    "id, run, trace, project, key, score, value, comment, correction, source, extra, "
    "created, modified"
)


@dataclass(frozen=True)
class Feedback:
    """One judgement.

    Args:
        run: id of the run that is judged; None where it is of a whole project.
        key: what is judged.
        score: higher is better; thumbs are 1 and -1.
        value: a category, or anything else that is no number.
        comment: in a person's words.
        correction: what would have been right: a text, or fields of the outputs.
        source: who says so, such as `{"type": "app"}` for a person.
        created: microseconds since 1970.
    """

    key: str
    run: UUID | None
    trace: UUID | None = None
    score: float | None = None
    value: Any = None
    comment: str | None = None
    correction: Any = None
    source: dict[str, Any] = field(default_factory=lambda: {"type": "app"})
    extra: dict[str, Any] = field(default_factory=dict)
    project_id: UUID | None = None
    id: UUID = field(default_factory=uuid.uuid4)
    created: int = field(default_factory=lambda: time.time_ns() // 1000)
    modified: int = 0


class FeedbackBook:
    """The feedback in a store of runs.

    Args:
        store: where the runs are.
    """

    def __init__(self, store: TraceStore) -> None:
        self._store = store

    def add(self, *given: Feedback) -> None:
        """Keep feedback; one with the id of an earlier one takes its place.

        Runs may be unknown still: a client may judge before the run has come.
        """
        now = time.time_ns() // 1000
        with self._store.writing() as db:
            for each in given:
                trace = each.trace
                if trace is None and each.run is not None:
                    row = db.execute(
                        "SELECT trace FROM runs WHERE id = ?", (each.run.bytes,)
                    ).fetchone()
                    trace = UUID(bytes=row[0]) if row else each.run
                project = None
                if each.project_id is not None:
                    row = db.execute(
                        "SELECT id FROM projects WHERE uuid = ?", (each.project_id.bytes,)
                    ).fetchone()
                    project = row[0] if row else None
                db.execute(
                    f"INSERT OR REPLACE INTO feedback ({_NAMES}) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        each.id.bytes,
                        each.run.bytes if each.run else None,
                        trace.bytes if trace else None,
                        project,
                        each.key,
                        each.score,
                        _json(self._private(each.value)),
                        self._private(each.comment),
                        _json(self._private(each.correction)),
                        json.dumps(each.source),
                        json.dumps(each.extra),
                        each.created,
                        each.modified or now,
                    ),
                )

    def get(self, id: UUID) -> Feedback:
        """Return the feedback of that id.

        Raises:
            TraceError: there is none.
        """
        found = self._find("feedback.id = ?", [id.bytes])
        if not found:
            raise TraceError(f"There is no feedback {id}.")
        return found[0]

    def resolve(self, name: str) -> Feedback:
        """Find feedback by its id, or by the id's beginning or end.

        Raises:
            TraceError: there is none, or several.
        """
        digits = name.replace("-", "").lower()
        found: list[Feedback] = []
        if len(digits) >= 4 and all(letter in "0123456789abcdef" for letter in digits):
            wanted = digits.upper()
            found = self._find(
                "substr(hex(feedback.id), 1, ?) = ? OR substr(hex(feedback.id), ?) = ?",
                [len(wanted), wanted, 33 - len(wanted), wanted],
                limit=2,
            )
        if len(found) != 1:
            what = f"Several have {name} in their id." if found else f"There is no feedback {name}."
            raise TraceError(what, hint="groundling feedback list shows the ids.")
        return found[0]

    def remove(self, id: UUID) -> None:
        """Take feedback back.

        Raises:
            TraceError: there is none of that id.
        """
        with self._store.writing() as db:
            if not db.execute("DELETE FROM feedback WHERE id = ?", (id.bytes,)).rowcount:
                raise TraceError(f"There is no feedback {id}.")

    def of_run(self, run: StoredRun) -> list[Feedback]:
        """Return what was said of a run."""
        return self._find("feedback.run = ?", [run.id.bytes])

    def of_traces(self, traces: Sequence[UUID]) -> dict[UUID, list[Feedback]]:
        """Return what was said of whole traces and of runs in them, by trace."""
        found: dict[UUID, list[Feedback]] = {}
        for start in range(0, len(traces), 500):
            part = traces[start : start + 500]
            marks = ",".join("?" * len(part))
            for each in self._find(f"feedback.trace IN ({marks})", [id.bytes for id in part]):
                if each.trace is not None:
                    found.setdefault(each.trace, []).append(each)
        return found

    def find(
        self,
        *,
        runs: Sequence[UUID] = (),
        keys: Sequence[str] = (),
        source_types: Sequence[str] = (),
        projects: Sequence[UUID] = (),
        limit: int = 100,
        offset: int = 0,
    ) -> list[Feedback]:
        """Return feedback, the newest first."""
        wanted: list[tuple[str, list[Any]]] = [
            ("feedback.run", [id.bytes for id in runs]),
            ("feedback.key", list(keys)),
            ("json_extract(feedback.source, '$.type')", list(source_types)),
            ("projects.uuid", [id.bytes for id in projects]),
        ]
        conditions = [f"{name} IN ({','.join('?' * len(v))})" for name, v in wanted if v]
        parameters = [value for _, values in wanted for value in values]
        return self._find(" AND ".join(conditions) or "1", parameters, limit, offset)

    def _find(
        self, where: str, parameters: list[Any], limit: int = -1, offset: int = 0
    ) -> list[Feedback]:
        columns = ", ".join(f"feedback.{name}" for name in _NAMES.split(", ") if name != "project")
        rows = self._store.read(
            f"SELECT {columns}, projects.uuid FROM feedback "
            "LEFT JOIN projects ON projects.id = feedback.project "
            f"WHERE {where} ORDER BY feedback.created DESC LIMIT ? OFFSET ?",
            [*parameters, limit, offset],
        )
        return [_feedback(*row) for row in rows]

    def _private(self, value: Any) -> Any:
        redact = self._store.redact
        return value if redact is None or value is None else redact(value)[0]


def _feedback(
    id: bytes,
    run: bytes | None,
    trace: bytes | None,
    key: str,
    score: float | None,
    value: str | None,
    comment: str | None,
    correction: str | None,
    source: str,
    extra: str,
    created: int,
    modified: int,
    project: bytes | None,
) -> Feedback:
    return Feedback(
        id=UUID(bytes=id),
        run=UUID(bytes=run) if run else None,
        trace=UUID(bytes=trace) if trace else None,
        key=key,
        score=score,
        value=json.loads(value) if value else None,
        comment=comment,
        correction=json.loads(correction) if correction else None,
        source=json.loads(source),
        extra=json.loads(extra),
        created=created,
        modified=modified,
        project_id=UUID(bytes=project) if project else None,
    )


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)
