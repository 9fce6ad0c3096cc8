"""Which runs a client asks for, and pages of them.

A page ends with a cursor: the place of its last run in the order, from where the next one goes
on, whatever has come in meanwhile.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from groundling.server.langsmith.conditions import condition
from groundling.server.langsmith.errors import BadPart
from groundling.server.langsmith.fields import Sql
from groundling.server.langsmith.filters import parse
from groundling.server.langsmith.wire import identity, moment, optional
from groundling.tracing.query import COLUMNS, RunFilter, matching, one_of, run_of
from groundling.tracing.run import StoredRun
from groundling.tracing.store import TraceStore

MOST = 1000  # runs of one page
USUAL = 100
_IDS = 10_000


@dataclass
class Query:
    """What is asked.

    Args:
        wanted: which runs.
        limit: runs of one page.
        oldest_first: the order, by when the runs began.
        after: where the page begins: start and number of the run before it.
        select: names of the fields that are wanted; None: all.
    """

    wanted: RunFilter
    limit: int = USUAL
    oldest_first: bool = False
    after: tuple[int, int] | None = None
    select: frozenset[str] | None = None


@dataclass
class Page:
    """Some of the runs that were asked for, and how to get the next ones."""

    runs: list[StoredRun] = field(default_factory=list)
    cursor: str | None = None


def read_query(body: Mapping[str, Any]) -> Query:
    """Read the body of `/runs/query` and `/runs/stats`, as LangSmith's client writes it.

    Raises:
        BadPart: a value is not what it should be.
        FilterError: a filter makes no sense.
    """
    wanted = RunFilter(
        roots=None,
        ids=_ids(body, "id"),
        examples=_ids(body, "reference_example"),
        run_types=[str(body["run_type"])] if body.get("run_type") else (),
        since=moment(body.get("start_time")),
        until=moment(body.get("end_time")),
    )
    add = wanted.clauses.append
    trace = optional(body.get("trace"), "trace")
    parent = optional(body.get("parent_run"), "parent_run")
    if trace is not None:
        add(("runs.trace = ?", (trace.bytes,)))
    if parent is not None:
        # There is an index of traces, and a parent is in the trace of its children.
        add(("runs.trace = (SELECT trace FROM runs WHERE id = ?)", (parent.bytes,)))
        add(("runs.parent = ?", (parent.bytes,)))
    projects = _ids(body, "session") + _ids(body, "session_id")
    if projects and (wanted.ids or trace is not None or parent is not None):
        # Few runs are left: the database shall not walk through the project for them.
        sql, values = one_of("uuid", [each.bytes for each in projects])
        add((f"+runs.project IN (SELECT id FROM projects WHERE {sql})", values))  # noqa: S608
    else:
        wanted.project_ids = projects
    if body.get("is_root") is not None:
        add((f"runs.parent IS {'' if body['is_root'] else 'NOT '}NULL", ()))
    elif body.get("execution_order") == 1:
        add(("runs.parent IS NULL", ()))
    if body.get("error") is not None:
        add(condition(parse(f"{'neq' if body['error'] else 'eq'}(error, null)")))
    if text := body.get("query") or body.get("search_filter"):
        add(matching(str(text)))
    add_filters(wanted, body)
    select = body.get("select")
    return Query(
        wanted,
        limit=_limit(body.get("limit"), USUAL),
        oldest_first=str(body.get("order", "desc")).lower() == "asc",
        after=read_cursor(body.get("cursor")),
        select=frozenset(map(str, select)) if isinstance(select, list) else None,
    )


def add_filters(wanted: RunFilter, body: Mapping[str, Any]) -> None:
    """Add the conditions of a body's filters.

    Raises:
        FilterError: one makes no sense.
    """
    for name, table, around in (
        ("filter", "runs", "{}"),
        (
            "trace_filter",
            "root",
            "EXISTS (SELECT 1 FROM runs AS root WHERE root.id = runs.trace AND ({}))",
        ),
        (
            "tree_filter",
            "tree",
            "EXISTS (SELECT 1 FROM runs AS tree WHERE tree.trace = runs.trace AND ({}))",
        ),
    ):
        if body.get(name):
            sql, values = condition(parse(str(body[name])), table)
            wanted.clauses.append((around.format(sql), values))


def find(store: TraceStore, query: Query) -> Page:
    """Return a page of runs."""
    where, values = _where(query)
    order = "ASC" if query.oldest_first else "DESC"
    keys = ", ".join(f"{key} {order}" for key in _keys(query.wanted))
    rows = store.read(
        f"SELECT {COLUMNS}{where} ORDER BY {keys} LIMIT ?", [*values, query.limit + 1]
    )
    runs = [run_of(row) for row in rows]
    return cut(runs, query.limit)


def cut(runs: Sequence[StoredRun], limit: int) -> Page:
    """Return the first of some runs as a page; its cursor leads to the others."""
    taken = list(runs[:limit])
    return Page(taken, write_cursor(taken[-1]) if len(runs) > limit else None)


def write_cursor(run: StoredRun) -> str:
    """Return the place of a run in the order."""
    return base64.urlsafe_b64encode(f"[{run.started},{run.seq}]".encode()).decode()


def read_cursor(cursor: Any) -> tuple[int, int] | None:
    """Return the place that a cursor means.

    Raises:
        BadPart: it was not made here.
    """
    if not cursor:
        return None
    try:
        started, seq = json.loads(base64.urlsafe_b64decode(str(cursor)))
        return int(started), int(seq)
    except (ValueError, TypeError, binascii.Error):
        raise BadPart("The cursor is none that this server gave.") from None


def _keys(wanted: RunFilter) -> tuple[str, ...]:
    """Return what runs are ordered by; among all of them only the order they came in is known."""
    narrow = wanted.project_ids or wanted.ids or wanted.examples or wanted.clauses
    return ("runs.started", "runs.seq") if narrow else ("runs.seq",)


def _where(query: Query) -> Sql:
    conditions = list(query.wanted.conditions())
    if query.after is not None:
        sign = ">" if query.oldest_first else "<"
        keys = _keys(query.wanted)
        marks = ", ".join("?" * len(keys))
        conditions.append((f"({', '.join(keys)}) {sign} ({marks})", query.after[-len(keys) :]))
    if not conditions:
        return "", []
    sql = " AND ".join(f"({each})" for each, _ in conditions)
    return f" WHERE {sql}", [value for _, values in conditions for value in values]


def _ids(body: Mapping[str, Any], name: str) -> list[Any]:
    given = body.get(name)
    if given is None:
        return []
    listed = given if isinstance(given, list) else [given]
    if len(listed) > _IDS:
        raise BadPart(f"{name} has more than {_IDS} ids; ask several times.")
    return [identity(each, name) for each in listed]


def _limit(given: Any, usual: int) -> int:
    if given is None:
        return usual
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise BadPart("limit should be a count.")
    return min(given, MOST)
