"""Traces and feedback as JSON lines.

A line of a trace is a run in LangSmith's fields (`id`, `trace_id`, `inputs`, `start_time`, …),
so that other tools can read it; what LangSmith has no field for, and times to the microsecond,
stand under `groundling`. Runs of a trace follow each other, parents first. `imports` reads
them back.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import orjson

from groundling.errors import TraceError
from groundling.tracing.as_json import feedback_as_json, moment
from groundling.tracing.feedback import FeedbackBook
from groundling.tracing.query import RunFilter
from groundling.tracing.run import Payload, StoredRun
from groundling.tracing.store import TraceStore

EXACT = (
    "started", "duration", "first_token", "speed", "input_tokens", "output_tokens",
    "cached_tokens", "cpu", "memory", "egress", "redacted",
)  # fmt: skip


def export_traces(
    store: TraceStore, wanted: RunFilter, *, limit: int | None = None
) -> Iterator[bytes]:
    """Yield the lines of whole traces that have a run which a filter lets through.

    Args:
        store: the runs.
        wanted: which traces, the newest first.
        limit: at most so many traces.
    """
    sql, parameters = wanted.sql(-1)
    found = store.read(f"SELECT trace FROM ({sql})", parameters)
    book = FeedbackBook(store)
    projects: dict[UUID, dict[str, Any]] = {}
    for trace in list(dict.fromkeys(UUID(bytes=each) for (each,) in found))[:limit]:
        runs = store.trace(trace)
        payloads = store.payloads(runs)
        attached = _attachments(store, runs)
        said = [feedback_as_json(each) for each in book.of_traces([trace]).get(trace, [])]
        ids = {str(run.id) for run in runs}
        for n, run in enumerate(runs):
            if run.project_id not in projects:
                projects[run.project_id] = _project(store, run)
            line = _line(run, payloads[run.seq], projects[run.project_id])
            # What was said of runs that are not here goes with the first one.
            line["feedback"] = [
                each
                for each in said
                if each["run"] == str(run.id) or (n == 0 and each["run"] not in ids)
            ]
            if run.seq in attached:
                line["attachments"] = attached[run.seq]
            yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def export_feedback(store: TraceStore) -> Iterator[bytes]:
    """Yield all feedback as JSON lines, the oldest first, each with its run's input and output.

    That is what training needs: what was asked, what was answered, how good that was and
    what would have been right.
    """
    for each in reversed(FeedbackBook(store).find(limit=-1)):
        run = store.run(each.run) if each.run is not None else None
        payload = store.payload(run) if run is not None else None
        line = {
            **feedback_as_json(each),
            "graph": run.graph if run else None,
            "name": run.name if run else None,
            "started": moment(run.started).isoformat() if run else None,
            "model": run.model if run else None,
            "prompt": run.prompt if run else None,
            "prompt_sha256": run.prompt_sha256 if run else None,
            "verdict": run.verdict if run else None,
            "inputs": payload.inputs if payload else None,
            "outputs": payload.outputs if payload else None,
        }
        yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


@contextmanager
def written(file: Path) -> Iterator[IO[bytes]]:
    """Give a file to write into, which takes its name when all of it is there.

    Raises:
        TraceError: it cannot be written; a file of that name stays as it was.
    """
    beside = file.with_name(f"{file.name}.part")
    try:
        with beside.open("wb") as part:
            yield part
        beside.replace(file)
    except OSError as error:
        raise TraceError(
            f"{file} cannot be written: {error}", hint="Name a file in a folder of yours."
        ) from error
    finally:
        beside.unlink(missing_ok=True)


def _line(run: StoredRun, payload: Payload, project: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": str(run.id),
        "trace_id": str(run.trace),
        "parent_run_id": str(run.parent) if run.parent else None,
        "dotted_order": run.dotted_order,
        "session_name": run.project,
        "name": run.name,
        "run_type": run.run_type,
        "start_time": moment(run.started).isoformat(),
        "end_time": moment(run.ended).isoformat() if run.ended is not None else None,
        "status": str(run.status),
        "error": run.error,
        "inputs": payload.inputs,
        "outputs": payload.outputs,
        "events": payload.events,
        "extra": payload.extra,
        "serialized": payload.serialized,
        "tags": run.tags,
        "reference_example_id": str(run.example) if run.example else None,
        "groundling": {
            **{name: getattr(run, name) for name in EXACT},
            "project": project,
        },
    }


def _project(store: TraceStore, run: StoredRun) -> dict[str, Any]:
    [[description, dataset, extra]] = store.read(
        "SELECT description, dataset, extra FROM projects WHERE uuid = ?", (run.project_id.bytes,)
    )
    return {
        "id": str(run.project_id),
        "description": description,
        "dataset": str(UUID(bytes=dataset)) if dataset else None,
        "extra": orjson.loads(extra),
    }


def _attachments(store: TraceStore, runs: Sequence[StoredRun]) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    rows = store.read(
        "SELECT seq, name, mime_type, data FROM attachments "
        "WHERE seq IN (SELECT seq FROM runs WHERE trace = ?)",
        (runs[0].trace.bytes,),
    )
    for seq, name, mime_type, data in rows:
        content = {"mime_type": mime_type, "data": base64.b64encode(data).decode()}
        found.setdefault(seq, {})[name] = content
    return found
