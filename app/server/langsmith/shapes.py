"""Runs in the form that LangSmith gives them (https://docs.langchain.com/langsmith/run-data-format).

Its statuses are fewer than ours: a run that was stopped, or whose process is gone, is an error.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote
from uuid import UUID

from groundling.server.langsmith.wire import shown
from groundling.tracing.run import Payload, Status, StoredRun

STATUS = {
    Status.RUNNING: "pending",
    Status.CANCELLED: "error",
    Status.LOST: "error",
}
_WHY = {
    Status.CANCELLED: "The run was stopped by its caller.",
    Status.LOST: "The process that ran it is gone.",
}
Attached = Mapping[str, tuple[str, str]]


def run_json(
    run: StoredRun,
    payload: Payload | None,
    stats: Mapping[str, Any] | None = None,
    attached: Attached | None = None,
    select: Collection[str] | None = None,
) -> dict[str, Any]:
    """Write a run.

    Args:
        payload: None: its fields are left out.
        stats: of its feedback.
        attached: the attachments: path and type by name.
        select: names of the fields that are wanted; None: all.
    """
    tokens = [each for each in (run.input_tokens, run.output_tokens) if each is not None]
    made: dict[str, Any] = {
        "id": str(run.id),
        "name": run.name,
        "run_type": run.run_type,
        "start_time": shown(run.started),
        "end_time": shown(run.ended),
        "status": STATUS.get(run.status, str(run.status)),
        "error": error_of(run),
        "trace_id": str(run.trace),
        "parent_run_id": text(run.parent),
        "parent_run_ids": ancestors(run),
        "dotted_order": run.dotted_order or dotted_order(run),
        "session_id": str(run.project_id),
        "reference_example_id": text(run.example),
        "tags": run.tags,
        "thread_id": run.thread,
        "app_path": None,
        "prompt_tokens": run.input_tokens,
        "completion_tokens": run.output_tokens,
        "total_tokens": sum(tokens) if tokens else None,
        "prompt_token_details": {"cache_read": run.cached_tokens} if run.cached_tokens else None,
        "first_token_time": shown(
            None if run.first_token is None else run.started + run.first_token
        ),
        "inputs_preview": run.preview,
        "outputs_preview": run.answer,
        "feedback_stats": stats,
        "s3_urls": {
            f"attachment.{name}": {"presigned_url": path, "mime_type": kind}
            for name, (path, kind) in (attached or {}).items()
        }
        or None,
    }
    if payload is not None:
        made |= {
            "inputs": payload.inputs,
            "outputs": payload.outputs,
            "extra": {"metadata": {}, **payload.extra},
            "events": payload.events,
            "serialized": payload.serialized,
        }
    if select is None:
        return made
    # The client's models cannot do without some.
    always = {"id", "name", "run_type", "start_time", "trace_id"}
    return {name: value for name, value in made.items() if name in select or name in always}


def error_of(run: StoredRun) -> str | None:
    """Return why a run failed; None if it did not."""
    return run.error or _WHY.get(run.status)


def ancestors(run: StoredRun) -> list[str]:
    """Return the ids of the runs above one, the root first."""
    above = [each.partition("Z")[2] for each in run.dotted_order.split(".")[:-1]]
    return [each for each in above if len(each) == 36] or ([str(run.parent)] if run.parent else [])


def dotted_order(run: StoredRun) -> str:
    """Return an order for a run that came without one: its start and its id."""
    start = (shown(run.started) or "").partition("+")[0]
    digits = "".join(each for each in start if each.isdigit()).ljust(20, "0")
    return f"{digits[:8]}T{digits[8:]}Z{run.id}"


def text(id: UUID | None) -> str | None:
    """Write an id, if there is one."""
    return None if id is None else str(id)


def attachment_path(secret: bytes, run_id: UUID, name: str) -> str:
    """Return where an attachment can be fetched without a key, while this process lives."""
    return f"/attachments/{run_id}/{quote(name, safe='')}?signature={sign(secret, run_id, name)}"


def sign(secret: bytes, run_id: UUID, name: str) -> str:
    """Return what proves that an attachment's address was made here."""
    return hmac.new(secret, run_id.bytes + name.encode(), hashlib.sha256).hexdigest()
