"""From what a person wants to see to SQL, and from rows to runs."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from groundling.errors import TraceError
from groundling.knowledge.analyser import query_terms
from groundling.tracing.run import Status, StoredRun

_NAMES = (
    "seq", "id", "trace", "parent", "dotted_order", "name", "run_type", "graph", "node",
    "started", "duration", "status", "error", "model", "prompt", "prompt_sha256",
    "input_tokens", "output_tokens", "cached_tokens", "first_token", "speed", "verdict",
    "thread", "cpu", "memory", "egress", "redacted", "example", "tags", "preview", "answer",
)  # fmt: skip
_SELECTED = ", ".join(f"runs.{name}" for name in _NAMES) + ", projects.name, projects.uuid"
_TABLES = "runs JOIN projects ON projects.id = runs.project"
# The text index is read first, and in the order of time: see `RunFilter.sql`.
_FOUND = f"terms CROSS JOIN runs ON runs.seq = terms.rowid {_TABLES.removeprefix('runs ')}"
COLUMNS = f"{_SELECTED} FROM {_TABLES}"
_FEEDBACK = re.compile(r"\s*(?:([\w.:-]*?)\s*(<=|>=|!=|==?|<|>)\s*(-?\d+(?:\.\d+)?)|([\w.:-]+))\s*")


@dataclass
class RunFilter:
    """Which runs are wanted; each field that is set narrows them further.

    Args:
        roots: whole traces alone; None: all runs. Ignored where `trace` is set.
        graph: name of the graph, that is of the root run.
        node: of the graph.
        status: any of these.
        verdict: what the graph said of its answer.
        feedback: a key that the trace has feedback of, or a comparison with a score:
            `<0`, `thumbs>=1`, `correctness==0`.
        slower: runs that took at least this many seconds.
        text: words that stand in what went in or came out, Korean ones by their characters.
        since: began at or after this, in microseconds since 1970.
        until: began before this.
        clauses: further conditions, SQL and parameters; never from outside.
    """

    roots: bool | None = True
    project: str | None = None
    project_ids: Sequence[UUID] = ()
    graph: str | None = None
    node: str | None = None
    name: str | None = None
    run_types: Sequence[str] = ()
    status: Sequence[Status] = ()
    verdict: str | None = None
    feedback: str | None = None
    slower: float | None = None
    text: str | None = None
    since: int | None = None
    until: int | None = None
    trace: UUID | None = None
    parent: UUID | None = None
    ids: Sequence[UUID] = ()
    examples: Sequence[UUID] = ()
    thread: str | None = None
    tag: str | None = None
    model: str | None = None
    clauses: list[tuple[str, Sequence[Any]]] = field(default_factory=list)

    def conditions(self) -> list[tuple[str, Sequence[Any]]]:
        """Return the conditions, each as SQL and its parameters.

        Raises:
            TraceError: the feedback wanted is not in the form it should have.
        """
        found: list[tuple[str, Sequence[Any]]] = list(self.clauses)
        if self.trace is not None:
            found.append(("runs.trace = ?", (self.trace.bytes,)))
        elif self.roots is not None:
            found.append((f"runs.parent IS {'' if self.roots else 'NOT '}NULL", ()))
        equal = {
            "projects.name": self.project,
            "runs.graph": self.graph,
            "runs.node": self.node,
            "runs.name": self.name,
            "runs.verdict": self.verdict,
            "runs.thread": self.thread,
            "runs.model": self.model,
            "runs.parent": self.parent.bytes if self.parent is not None else None,
        }
        found += [(f"{name} = ?", (value,)) for name, value in equal.items() if value is not None]
        several: dict[str, Sequence[Any]] = {
            "runs.status": [str(status) for status in self.status],
            "runs.run_type": self.run_types,
            "runs.id": [each.bytes for each in self.ids],
            "runs.example": [each.bytes for each in self.examples],
            "projects.uuid": [each.bytes for each in self.project_ids],
        }
        found += [one_of(name, values) for name, values in several.items() if values]
        if self.slower is not None:
            found.append(("runs.duration >= ?", (int(self.slower * 1e6),)))
        if self.since is not None:
            found.append(("runs.started >= ?", (self.since,)))
        if self.until is not None:
            found.append(("runs.started < ?", (self.until,)))
        if self.tag is not None:
            found.append(
                ("EXISTS (SELECT 1 FROM json_each(runs.tags) WHERE value = ?)", (self.tag,))
            )
        if self.feedback is not None:
            # A root has its trace's id: it is looked up at once, without the runs below it.
            whole = self.roots and self.trace is None
            found.append(_feedback(self.feedback, "runs.id" if whole else "runs.trace"))
        return found

    def sql(self, limit: int, offset: int = 0, oldest_first: bool = False) -> tuple[str, list[Any]]:
        """Return the query for runs, the newest first, and its parameters."""
        tables, where, parameters = self._joined()
        # The order in which runs came is the order of the text index, which then need not
        # be read to its end; all runs of all projects have no other.
        of_all = self.roots is None and not (
            self.trace or self.parent or self.project or self.project_ids or self.node
        )
        key = "terms.rowid" if self.text is not None else "runs.seq" if of_all else "runs.started"
        order = "ASC" if oldest_first else "DESC"
        sql = f"SELECT {_SELECTED} FROM {tables}{where} ORDER BY {key} {order} LIMIT ? OFFSET ?"
        return sql, [*parameters, limit, offset]

    def counting(self) -> tuple[str, list[Any]]:
        """Return the query that counts the runs, and its parameters."""
        tables, where, parameters = self._joined()
        return f"SELECT count(*) FROM {tables}{where}", parameters

    def _joined(self) -> tuple[str, str, list[Any]]:
        conditions = self.conditions()
        if self.text is not None:
            marks: list[str] = []
            if self.roots and self.trace is None:
                error = self.status == [Status.ERROR]
                marks = marks_of(self.graph, self.verdict, Status.ERROR if error else None)
            conditions.insert(0, _match(self.text, marks))
        where = " AND ".join(f"({sql})" for sql, _ in conditions)
        parameters = [value for _, values in conditions for value in values]
        tables = _TABLES if self.text is None else _FOUND
        return tables, f" WHERE {where}" if where else "", parameters


def marks_of(graph: str | None, verdict: str | None, status: Status | None) -> list[str]:
    """Return the terms by which the text index knows a root run's columns.

    With them a frequent word in a rare kind of run is found without reading all its places.
    """
    marks = ["=root"]
    if graph:
        marks.append(f"=graph:{'_'.join(graph.split())}")
    if verdict:
        marks.append(f"=verdict:{'_'.join(verdict.split())}")
    if status == Status.ERROR:
        marks.append("=error")
    return marks


def one_of(name: str, values: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    """Return the condition that a column has one of the values."""
    if len(values) == 1:
        return f"{name} = ?", values
    return f"{name} IN ({','.join('?' * len(values))})", values


def matching(text: str) -> tuple[str, Sequence[Any]]:
    """Return the condition that a run's text has all of the words; it may stand anywhere."""
    sql, parameters = _match(text)
    return f"runs.seq IN (SELECT rowid FROM terms WHERE {sql})", parameters


def _match(text: str, marks: Sequence[str] = ()) -> tuple[str, Sequence[Any]]:
    terms = list(dict.fromkeys(query_terms(text)))[:64]
    if not terms:
        return "0", ()
    quoted = ('"{}"'.format(term.replace('"', '""')) for term in [*terms, *marks])
    return "terms MATCH ?", (" ".join(quoted),)


def run_of(row: Sequence[Any]) -> StoredRun:
    """Make a run of a row of `COLUMNS`."""
    *values, project, project_uuid = row
    columns = dict(zip(_NAMES, values, strict=True))
    for name in ("id", "trace", "parent", "example"):
        if columns[name] is not None:
            columns[name] = UUID(bytes=columns[name])
    columns["status"] = Status(columns["status"])
    columns["tags"] = json.loads(columns["tags"])
    return StoredRun(**columns, project=project, project_id=UUID(bytes=project_uuid))


def _feedback(wanted: str, column: str) -> tuple[str, Sequence[Any]]:
    match = _FEEDBACK.fullmatch(wanted)
    if match is None:
        raise TraceError(
            f"Feedback {wanted!r} cannot be understood.",
            hint='Give a key, or a comparison with a score: "<0", "thumbs>=1".',
        )
    key, operator, score, alone = match.groups()
    conditions, parameters = ["feedback.trace IS NOT NULL"], []
    if key or alone:
        conditions.append("feedback.key = ?")
        parameters.append(key or alone)
    if operator:
        conditions.append(f"feedback.score {operator} ?")
        parameters.append(float(score))
    where = " AND ".join(conditions)
    return f"{column} IN (SELECT trace FROM feedback WHERE {where})", parameters
