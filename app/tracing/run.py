"""A run as it is stored, and the patches that it is made of.

A run is one unit of work: a graph, a node of it, a model call, a tool, a search. Its shape is
LangSmith's (https://docs.langchain.com/langsmith/run-data-format). Runs arrive as patches, a
first one when a run begins and another when it ends, possibly late, doubled or in the wrong
order; each field of a patch that is not None replaces what was known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any
from uuid import UUID

JsonValue = dict[str, "JsonValue"] | list["JsonValue"] | str | int | float | bool | None


class Status(StrEnum):
    """How a run stands.

    `interrupted` waits for a person (LangGraph's `interrupt`); `cancelled` was stopped by
    its caller; `lost` was running in a process that is gone.
    """

    RUNNING = "running"
    SUCCESS = "success"
    ERROR = "error"
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"
    LOST = "lost"


@dataclass(slots=True)
class Patch:
    """What became known of a run; JSON fields are encoded, see `payload`.

    Args:
        id: of the run.
        trace: id of the run at the root.
        parent: id of the run that called it; None at the root.
        project: name of the project (LangSmith: session) it belongs to.
        project_id: the same by its id, from clients that know that one.
        started: microseconds since 1970.
        duration: microseconds, of a clock that does not go back where one was at hand.
        ended: microseconds since 1970, where no duration was measured.
        status: where the rest of the patch does not tell it. A run without an end is running.
        first_token: microseconds after the start.
        speed: tokens a second while writing.
        cpu: microseconds of this whole process while the run lasted.
        memory: largest size of this process so far, in bytes.
        egress: calls to other machines.
        writer: number of the process that writes this run; None if it is another's.
    """

    id: UUID
    trace: UUID | None = None
    parent: UUID | None = None
    dotted_order: str | None = None
    project: str | None = None
    project_id: UUID | None = None
    name: str | None = None
    run_type: str | None = None
    started: int | None = None
    duration: int | None = None
    ended: int | None = None
    status: Status | None = None
    error: str | None = None
    inputs: bytes | None = None
    outputs: bytes | None = None
    events: bytes | None = None
    extra: bytes | None = None
    serialized: bytes | None = None
    tags: list[str] | None = None
    example: UUID | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    first_token: int | None = None
    speed: float | None = None
    cpu: int | None = None
    memory: int | None = None
    egress: int = 0
    writer: int | None = None
    attachments: dict[str, tuple[str, bytes]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Return roughly how many bytes it takes while it waits."""
        parts = (self.inputs, self.outputs, self.events, self.extra, self.serialized)
        attached = sum(len(data) for _, data in self.attachments.values())
        return 500 + sum(map(len, filter(None, parts))) + len(self.error or "") + attached

    def merge(self, later: Patch) -> None:
        """Take over what a later patch of the same run knows."""
        for name in _MERGED:
            value = getattr(later, name)
            if value is not None:
                setattr(self, name, value)
        self.egress += later.egress
        self.attachments.update(later.attachments)


_MERGED = tuple(
    each.name for each in fields(Patch) if each.name not in ("id", "egress", "attachments")
)


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run without its payload; the fields of `Patch`, and what was read out of it.

    Args:
        graph: name of the run at the root.
        node: the graph's node, where it is one or runs inside one.
        prompt: name of the prompt file, with its hash in `prompt_sha256`.
        verdict: what the graph says of its answer.
        thread: the conversation.
        redacted: how many places were blacked out before it was stored.
        example: id of the data set's example that it answers.
        preview: beginning of what went in.
        answer: beginning of what came out.
    """

    seq: int
    id: UUID
    trace: UUID
    parent: UUID | None
    dotted_order: str
    project: str
    project_id: UUID
    name: str
    run_type: str
    graph: str | None
    node: str | None
    started: int
    duration: int | None
    status: Status
    error: str | None
    model: str | None
    prompt: str | None
    prompt_sha256: str | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    first_token: int | None
    speed: float | None
    verdict: str | None
    thread: str | None
    cpu: int | None
    memory: int | None
    egress: int
    redacted: int
    example: UUID | None
    tags: list[str]
    preview: str
    answer: str

    @property
    def ended(self) -> int | None:
        """Return when it ended, in microseconds since 1970."""
        return None if self.duration is None else self.started + self.duration


@dataclass(frozen=True, slots=True)
class Payload:
    """What went into a run and came out of it."""

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any] | None
    events: list[Any]
    extra: Mapping[str, Any]
    serialized: Mapping[str, Any] | None

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Return what the caller noted about the run."""
        found = self.extra.get("metadata")
        return found if isinstance(found, Mapping) else {}
