"""What is asked of a run, what is kept of it, and what it tells while it goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from uuid import UUID, uuid4

from groundling.server.graphs import Wishes
from groundling.server.person import Person

Status = Literal["pending", "running", "success", "error", "interrupted", "timeout"]
Multitask = Literal["reject", "enqueue", "interrupt", "rollback"]
Durability = Literal["sync", "async", "exit"]
Nodes = tuple[str, ...] | Literal["*"]

ACTIVE = ("pending", "running")
MODES = frozenset(
    {
        "values", "updates", "custom", "messages", "messages-tuple", "debug", "tasks",
        "checkpoints", "events",
    }
)  # fmt: skip


class Event(NamedTuple):
    """One thing that a run tells.

    Args:
        id: its place in the run, a number from 1 on; a resumable run goes on after any.
        event: LangGraph's name: `metadata`, `values`, `messages/partial`, `updates|ns`, `error`.
        data: what JSON has a form for.
    """

    id: str
    event: str
    data: Any


@dataclass(frozen=True)
class RunRequest:
    """A run that somebody wants.

    Args:
        person: who asks, and whose threads and memories are used.
        graph: as `groundling graph list` shows it.
        input: what the graph takes, as JSON: messages may be dictionaries.
        command: instead of an input: `resume`, `update`, `goto`, as LangGraph's `Command`.
        assistant_id: default: the graph's own.
        thread_id: where it happens; None: nowhere, and nothing is kept afterwards.
        run_id: its id, and that of its trace.
        config: tags, recursion_limit, configurable of LangChain's `RunnableConfig`.
        context: of the graph.
        metadata: of the run, its checkpoints and its trace.
        wishes: knowledge, as a folder that the person may read, and settings of the model.
        stream_mode: what is told: `MODES`.
        subgraphs: tell of subgraphs, too.
        interrupt_before, interrupt_after: nodes where it stops.
        checkpoint: `checkpoint_id` and `checkpoint_ns` of the state to go on from.
        multitask: what becomes of another run of the same thread.
        if_not_exists: of the thread.
        durability: when checkpoints are written.
        on_disconnect: what becomes of it when its listener goes away.
        resumable: its events are kept and can be listened to again.
        background: nobody listens; it goes on when the server is started again.
        after_seconds: it begins that much later.
        origin: the interface it came by.
    """

    person: Person
    graph: str
    input: Any = None
    command: Mapping[str, Any] | None = None
    assistant_id: str | None = None
    thread_id: str | None = None
    run_id: UUID = field(default_factory=uuid4)
    config: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    wishes: Wishes = field(default_factory=Wishes)
    stream_mode: tuple[str, ...] = ("values",)
    subgraphs: bool = False
    interrupt_before: Nodes = ()
    interrupt_after: Nodes = ()
    checkpoint: Mapping[str, Any] | None = None
    multitask: Multitask = "enqueue"
    if_not_exists: Literal["create", "reject"] = "reject"
    durability: Durability = "exit"
    on_disconnect: Literal["cancel", "continue"] = "cancel"
    resumable: bool = False
    background: bool = False
    after_seconds: float = 0
    origin: Literal["langgraph", "openai", "mcp"] = "langgraph"


@dataclass
class Run:
    """A run, as it is kept and shown; names and values are those of LangGraph's clients.

    Args:
        run_id: a UUID.
        thread_id: of a run without a thread: a UUID that no thread has.
        owner: whose it is.
        kwargs: what was asked, and `temporary` (it has no thread) and `resumable`.
        created_at, updated_at: ISO 8601.
    """

    run_id: str
    thread_id: str
    assistant_id: str
    graph: str
    owner: str
    status: Status
    created_at: str
    updated_at: str
    metadata: dict[str, Any]
    kwargs: dict[str, Any]
    multitask_strategy: Multitask

    @property
    def temporary(self) -> bool:
        """Whether it has no thread that is kept."""
        return bool(self.kwargs.get("temporary"))

    @property
    def active(self) -> bool:
        """Whether it waits or runs."""
        return self.status in ACTIVE
