"""Runs and feedback as plain JSON: what `--json` prints, and what pages are made of.

Times are ISO 8601 in UTC, durations seconds, sizes bytes.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from groundling.tracing.feedback import Feedback
    from groundling.tracing.run import StoredRun

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ID_DIGITS = 8


def moment(microseconds: int) -> datetime:
    """Return a point in time; one that no calendar has becomes the nearest that one has."""
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        limit = datetime.max if microseconds > 0 else datetime.min
        return limit.replace(tzinfo=UTC)


def seconds(microseconds: int | None) -> float | None:
    """Return microseconds in seconds."""
    return None if microseconds is None else microseconds / 1e6


def short_id(id: object) -> str:
    """Return the end of an id, by which people name a run: its beginning is the time."""
    return str(id)[-_ID_DIGITS:]


def run_as_json(run: StoredRun) -> dict[str, Any]:
    """Write what is known of a run without its payload."""
    return {
        "id": str(run.id),
        "trace": str(run.trace),
        "parent": str(run.parent) if run.parent else None,
        "project": run.project,
        "name": run.name,
        "run_type": run.run_type,
        "graph": run.graph,
        "node": run.node,
        "status": str(run.status),
        "started": moment(run.started).isoformat(),
        "duration": seconds(run.duration),
        "error": run.error,
        "model": run.model,
        "prompt": run.prompt,
        "prompt_sha256": run.prompt_sha256,
        "input_tokens": run.input_tokens,
        "output_tokens": run.output_tokens,
        "cached_tokens": run.cached_tokens,
        "first_token": seconds(run.first_token),
        "tokens_per_second": speed(run),
        "verdict": run.verdict,
        "thread": run.thread,
        "cpu_seconds": seconds(run.cpu),
        "peak_memory": run.memory,
        "egress": run.egress,
        "redacted": run.redacted,
        "example": str(run.example) if run.example else None,
        "tags": run.tags,
        "preview": run.preview,
        "answer": run.answer,
    }


def speed(run: StoredRun) -> float | None:
    """Return the tokens a second that a model wrote, as it says or as was measured."""
    if run.speed is not None:
        return round(run.speed, 2)
    if run.run_type != "llm" or run.duration is None or run.first_token is None:
        return None
    writing = run.duration - run.first_token
    tokens = run.output_tokens or 0
    return round(tokens * 1e6 / writing, 2) if writing > 0 and tokens > 1 else None


def feedback_as_json(given: Feedback) -> dict[str, Any]:
    """Write what was said of a run."""
    return {
        "id": str(given.id),
        "run": str(given.run) if given.run else None,
        "trace": str(given.trace) if given.trace else None,
        "key": given.key,
        "score": given.score,
        "value": given.value,
        "comment": given.comment,
        "correction": given.correction,
        "source": given.source,
        "extra": given.extra,
        "created": moment(given.created).isoformat(),
    }
