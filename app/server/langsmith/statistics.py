"""Sums over runs and over feedback, in the form that LangSmith gives them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from groundling.server.langsmith.conditions import FAILED
from groundling.server.langsmith.fields import Sql, joined
from groundling.server.langsmith.wire import shown
from groundling.tracing.as_json import seconds
from groundling.tracing.query import RunFilter
from groundling.tracing.store import TraceStore

_FROM = "runs JOIN projects ON projects.id = runs.project"
_COMMENTS = 10
_VALUES = 100


def run_stats(store: TraceStore, wanted: RunFilter) -> dict[str, Any]:
    """Return counts, times and tokens of the runs that a filter lets through."""
    where, values = _where(wanted)
    failed = ", ".join(f"'{status}'" for status in FAILED)
    row = store.read(
        f"SELECT count(*), sum(runs.input_tokens), sum(runs.output_tokens), max(runs.started), "  # noqa: S608
        f"sum(runs.status IN ({failed})), count(runs.duration), count(runs.first_token) "
        f"FROM {_FROM} WHERE {where}",
        values,
    )[0]
    count, prompt, completion, latest, errors, ended, streamed = row
    known = [each for each in (prompt, completion) if each is not None]
    return {
        "run_count": count,
        "latency_p50": _percentile(store, "duration", 0.5, ended, where, values),
        "latency_p99": _percentile(store, "duration", 0.99, ended, where, values),
        "first_token_p50": _percentile(store, "first_token", 0.5, streamed, where, values),
        "first_token_p99": _percentile(store, "first_token", 0.99, streamed, where, values),
        "total_tokens": sum(known),
        "prompt_tokens": prompt or 0,
        "completion_tokens": completion or 0,
        "last_run_start_time": shown(latest),
        "error_rate": errors / count if count else None,
        "streaming_rate": streamed / count if count else None,
        "run_facets": [],
        "total_cost": None,
        "prompt_cost": None,
        "completion_cost": None,
    }


def feedback_of_runs(store: TraceStore, runs: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
    """Sum up the feedback of each of some runs, by its key."""
    found: dict[UUID, dict[str, Any]] = {}
    for start in range(0, len(runs), 500):
        part = [run.bytes for run in runs[start : start + 500]]
        where = f"feedback.run IN ({', '.join('?' * len(part))})"
        for run, stats in _feedback(store, "feedback.run", where, part).items():
            found[UUID(bytes=run)] = stats
    return found


def feedback_of_filter(store: TraceStore, wanted: RunFilter) -> dict[str, Any]:
    """Sum up the feedback of all runs that a filter lets through, by its key."""
    where, values = _where(wanted)
    sql = f"feedback.run IN (SELECT runs.id FROM {_FROM} WHERE {where})"  # noqa: S608
    return _feedback(store, "1", sql, values).get(1, {})


def feedback_of_project(store: TraceStore, project: UUID) -> dict[str, Any]:
    """Sum up the feedback that a project as a whole was given, by its key."""
    where = "feedback.run IS NULL AND feedback.project = (SELECT id FROM projects WHERE uuid = ?)"
    return _feedback(store, "1", where, [project.bytes]).get(1, {})


def _feedback(
    store: TraceStore, group: str, where: str, values: Sequence[Any]
) -> dict[Any, dict[str, Any]]:
    rows = store.read(
        f"SELECT {group}, feedback.key, count(*), count(score), avg(score), avg(score * score), "  # noqa: S608
        "min(score), max(score), sum(json_extract(extra, '$.langsmith.error') IS 1), "
        "json_group_array(DISTINCT json_extract(source, '$.type')) "
        f"FROM feedback WHERE {where} GROUP BY 1, 2",
        values,
    )
    found: dict[Any, dict[str, Any]] = {}
    for of, key, count, scored, mean, square, low, high, errors, sources in rows:
        spread = math.sqrt(max(0.0, square - mean * mean)) if scored else None
        found.setdefault(of, {})[key] = {
            "n": count,
            "avg": mean,
            "stdev": spread,
            "min": low,
            "max": high,
            "errors": errors,
            "values": {},
            "comments": [],
            "sources": [each for each in json.loads(sources) if each is not None],
            "contains_thread_feedback": False,
        }
    if found:
        _add_values(store, group, where, values, found)
    return found


def _add_values(
    store: TraceStore,
    group: str,
    where: str,
    values: Sequence[Any],
    found: dict[Any, dict[str, Any]],
) -> None:
    """Add the categories that were given, and some of the comments."""
    rows = store.read(
        f"SELECT {group}, feedback.key, json_extract(value, '$'), count(*) FROM feedback "  # noqa: S608
        f"WHERE {where} AND value IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 4 DESC",
        values,
    )
    for of, key, value, count in rows:
        kept = found[of][key]["values"]
        if len(kept) < _VALUES:
            kept[str(value)] = count
    rows = store.read(
        f"SELECT {group}, feedback.key, comment FROM feedback "  # noqa: S608
        f"WHERE {where} AND comment IS NOT NULL ORDER BY created DESC LIMIT 10000",
        values,
    )
    for of, key, comment in rows:
        comments = found[of][key]["comments"]
        if len(comments) < _COMMENTS:
            comments.append(comment)


def _where(wanted: RunFilter) -> Sql:
    conditions = [(sql, list(values)) for sql, values in wanted.conditions()]
    return joined("AND", conditions) if conditions else ("1", [])


def _percentile(
    store: TraceStore, column: str, share: float, count: int, where: str, values: Sequence[Any]
) -> float | None:
    """Return a percentile in seconds, by the nearest rank."""
    if not count:
        return None
    rank = max(0, math.ceil(share * count) - 1)
    rows = store.read(
        f"SELECT runs.{column} FROM {_FROM} WHERE {where} AND runs.{column} IS NOT NULL "  # noqa: S608
        f"ORDER BY runs.{column} LIMIT 1 OFFSET ?",
        [*values, rank],
    )
    return seconds(rows[0][0]) if rows else None
