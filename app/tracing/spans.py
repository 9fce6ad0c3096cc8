"""Stored runs as finished OpenTelemetry spans, with the times at which they really ran.

A trace keeps its id, since both are 128 bits; a span's id is the end of the run's, which in
time-ordered ids is the random part. So a trace that is sent twice is the same trace. Needs the
extra `otlp`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import metadata
from typing import Any
from uuid import UUID

from openinference.semconv.resource import ResourceAttributes
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from groundling.tracing.feedback import Feedback
from groundling.tracing.run import Payload, StoredRun
from groundling.tracing.run import Status as RunStatus
from groundling.tracing.span_attributes import attribute, attributes_of

SERVICE = "groundling"
# What the span says of itself anyway.
_REPEATED = frozenset({"start", "end", "error"})
_NANO = 1000  # in a microsecond
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def spans_of(
    runs: Sequence[StoredRun],
    payloads: Mapping[int, Payload],
    feedback: Sequence[Feedback] = (),
) -> list[ReadableSpan]:
    """Make spans of all runs of one trace; those that still run are left out.

    Args:
        runs: the whole trace, in the order of the store: ids depend on it in the one case
            that two of them would be the same.
        payloads: of the runs, by `seq`.
        feedback: what was said of them; of runs that are not here, it goes to the first.
    """
    contexts = _contexts(runs)
    ended = _ends(runs)
    first = runs[0].id if runs else None
    said: dict[UUID | None, list[Feedback]] = {}
    for each in feedback:
        said.setdefault(each.run if each.run in contexts else first, []).append(each)
    return [
        _span(run, payloads[run.seq], contexts, ended[run.id], said.get(run.id, ()))
        for run in runs
        if run.status != RunStatus.RUNNING
    ]


def span_id(run: UUID) -> int:
    """Return the last 8 bytes of a run's id; of its hash where they are all 0."""
    return int.from_bytes(run.bytes[8:], "big") or _hashed(run)


def _span(
    run: StoredRun,
    payload: Payload,
    contexts: Mapping[UUID, SpanContext],
    ended: int,
    feedback: Sequence[Feedback],
) -> ReadableSpan:
    events = [*_events(run, payload), *_error(run, ended), *map(_judgement, feedback)]
    return ReadableSpan(
        name=run.name or run.run_type,
        context=contexts[run.id],
        parent=contexts.get(run.parent) if run.parent is not None else None,
        resource=_resource(run.project),
        attributes=attributes_of(run, payload),
        events=sorted(events, key=lambda event: event.timestamp),
        kind=SpanKind.CLIENT if run.egress and run.run_type == "llm" else SpanKind.INTERNAL,
        status=_status(run),
        start_time=_nanoseconds(run.started),
        end_time=_nanoseconds(ended),
        instrumentation_scope=InstrumentationScope(SERVICE, _version()),
    )


def _contexts(runs: Sequence[StoredRun]) -> dict[UUID, SpanContext]:
    contexts: dict[UUID, SpanContext] = {}
    taken: set[int] = set()
    for run in runs:
        id = span_id(run.id)
        while id in taken:  # a client may have made both ids by counting
            id = _hashed(run.id, len(taken))
        taken.add(id)
        trace = int.from_bytes(run.trace.bytes, "big") or _hashed(run.trace)
        contexts[run.id] = SpanContext(trace, id, False, TraceFlags(TraceFlags.SAMPLED))
    return contexts


def _hashed(id: UUID, number: int = 0) -> int:
    digest = hashlib.sha256(id.bytes + number.to_bytes(8, "big")).digest()
    return int.from_bytes(digest[:8], "big") or 1


def _ends(runs: Sequence[StoredRun]) -> dict[UUID, int]:
    """Return when each run ended; one that was lost, when the last below it was heard of."""
    ends = {run.id: run.started if run.ended is None else run.ended for run in runs}
    without = {run.id for run in runs if run.ended is None}
    for run in reversed(runs):  # children stand behind their parents
        if run.parent in without:
            ends[run.parent] = max(ends[run.parent], ends[run.id])
    return ends


def _status(run: StoredRun) -> Status:
    if run.status == RunStatus.SUCCESS:
        return Status(StatusCode.OK)
    if run.status == RunStatus.ERROR:
        return Status(StatusCode.ERROR, (run.error or "").partition("\n")[0])
    if run.status == RunStatus.LOST:
        return Status(StatusCode.ERROR, "lost: its process ended before it did")
    return Status(StatusCode.UNSET)  # it waits for a person, or was stopped by its caller


def _events(run: StoredRun, payload: Payload) -> Iterator[Event]:
    for each in payload.events:
        if not isinstance(each, Mapping) or each.get("name") in _REPEATED:
            continue
        details = each.get("kwargs")
        attributes = dict(_flat(details)) if isinstance(details, Mapping) else {}
        yield Event(str(each.get("name") or "event"), attributes, _time(each.get("time"), run))


def _error(run: StoredRun, ended: int) -> Iterator[Event]:
    if run.error:
        line, _, trace = run.error.partition("\n")
        kind, bracket, message = line.partition("(")
        told = {
            "exception.type": kind if bracket else "Exception",
            "exception.message": message.removesuffix(")") if bracket else line,
            "exception.stacktrace": trace.strip(),
        }
        attributes = {name: attribute(text) for name, text in told.items() if text}
        yield Event("exception", attributes, _nanoseconds(ended))


def _judgement(given: Feedback) -> Event:
    """Write what was said of a run as OpenTelemetry's event for evaluations."""
    told = {
        "gen_ai.evaluation.name": given.key,
        "gen_ai.evaluation.score.value": given.score,
        "gen_ai.evaluation.score.label": given.value,
        "gen_ai.evaluation.explanation": given.comment,
        "groundling.feedback.correction": given.correction,
        "groundling.feedback.source": given.source.get("type"),
        "groundling.feedback.id": str(given.id),
    }
    attributes = {name: attribute(value) for name, value in told.items() if value is not None}
    return Event("gen_ai.evaluation.result", attributes, _nanoseconds(given.created))


def _flat(details: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in details.items():
        if (told := attribute(value)) is not None:
            yield str(name), told


@cache
def _resource(project: str) -> Resource:
    # Not `Resource.create`: that one adds what the environment says.
    return Resource(
        {
            SERVICE_NAME: SERVICE,
            SERVICE_VERSION: _version(),
            ResourceAttributes.PROJECT_NAME: project,
        }
    )


@cache
def _version() -> str:
    return metadata.version(SERVICE)


def _time(said: Any, run: StoredRun) -> int:
    """Read an event's time; where it says none, the run's beginning."""
    try:
        moment = datetime.fromisoformat(str(said))
    except ValueError:
        return _nanoseconds(run.started)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return _nanoseconds((moment - _EPOCH) // timedelta(microseconds=1))


def _nanoseconds(microseconds: int) -> int:
    """Return a time as a span has it: not negative, and of 64 bits."""
    return min(max(0, microseconds * _NANO), 2**63 - 1)
