"""What is told of a thread and of each of its states; read from LangGraph's checkpoints."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage

_EPOCH = datetime(1582, 10, 15, tzinfo=UTC)
_TITLE = 60  # characters


@dataclass(frozen=True)
class Checkpoint:
    """The state of a thread at one moment.

    Args:
        id: LangGraph's; they sort by time.
        parent: the state it came from.
        at: when it was stored.
        graph: the graph that ran; None for one not made by `Home.graph`.
        messages: what had been said.
        question: the latest one.
        answer: the latest one; None while it is not given.
        waiting: the turn is not finished: it waits for a person, or failed half way.
        damaged: it cannot be read.
    """

    id: str
    parent: str | None
    at: datetime
    graph: str | None = None
    messages: list[BaseMessage] = field(default_factory=list)
    question: str = ""
    answer: str | None = None
    waiting: bool = False
    damaged: bool = False

    @property
    def turns(self) -> int:
        """How many questions were asked."""
        return sum(isinstance(message, HumanMessage) for message in self.messages)


@dataclass(frozen=True)
class Thread:
    """A conversation.

    Args:
        id: its name.
        title: the beginning of its first question.
        turns: questions asked.
        used: when it was added to last.
        states: checkpoints kept.
        bytes: their size.
        graph: the graph that ran last.
        damaged: its latest state cannot be read.
    """

    id: str
    title: str
    turns: int
    used: datetime
    states: int
    bytes: int
    graph: str | None
    damaged: bool


def told(thread: str, latest: Checkpoint, states: int, size: int) -> Thread:
    """Describe a thread by its latest state."""
    first = next((turn.text for turn in latest.messages if isinstance(turn, HumanMessage)), "")
    return Thread(
        id=thread,
        title=short(first, _TITLE),
        turns=latest.turns,
        used=latest.at,
        states=states,
        bytes=size,
        graph=latest.graph,
        damaged=latest.damaged,
    )


def seen(id: str, parent: str | None, state: Any, metadata: bytes | None) -> Checkpoint:
    """Describe a state.

    Args:
        state: LangGraph's checkpoint; anything else counts as damaged.
        metadata: JSON, as the saver stores it.
    """
    try:
        said = json.loads(metadata or b"{}")
        graph = said.get("graph") if isinstance(said, dict) else None
        values = state["channel_values"]
        messages = [each for each in values.get("messages") or [] if isinstance(each, BaseMessage)]
    except (ValueError, TypeError, KeyError, AttributeError):
        return Checkpoint(id, parent, time_of(id), damaged=True)
    asked = next((turn.text for turn in reversed(messages) if isinstance(turn, HumanMessage)), "")
    last = messages[-1] if messages else None
    return Checkpoint(
        id=id,
        parent=parent,
        at=time_of(id),
        graph=graph if isinstance(graph, str) else None,
        messages=messages,
        question=asked,
        answer=last.text if last is not None and last.type == "ai" else None,
        waiting=any(str(name).startswith("branch:to:") for name in values),
    )


def short(text: str, most: int) -> str:
    """Return a text as one line of at most so many characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def time_of(checkpoint: str) -> datetime:
    """Return when a checkpoint was made: its id is a UUID of version 6, which says it.

    Ids of other makers count as made in 1970.
    """
    try:
        id = uuid.UUID(checkpoint)
    except ValueError:
        return datetime(1970, 1, 1, tzinfo=UTC)
    if id.version != 6:
        return datetime(1970, 1, 1, tzinfo=UTC)
    ticks = (id.int >> 80) << 12 | (id.int >> 64) & 0x0FFF  # of 100 ns, RFC 9562, 5.6
    return _EPOCH + timedelta(microseconds=ticks // 10)


def at_least(moment: datetime) -> str:
    """Return a text that sorts before the ids of all checkpoints made from then on."""
    ticks = (moment - _EPOCH) // timedelta(microseconds=1) * 10
    high, low = ticks >> 12, ticks & 0x0FFF
    return f"{high >> 16:08x}-{high & 0xFFFF:04x}-6{low:03x}"


def as_json(what: Thread | Checkpoint | Sequence[BaseMessage]) -> Any:
    """Return what `--json` prints of it."""
    if isinstance(what, Thread):
        return {**vars(what), "used": what.used.isoformat()}
    if isinstance(what, Checkpoint):
        told = {name: value for name, value in vars(what).items() if name != "messages"}
        return {**told, "at": what.at.isoformat(), "turns": what.turns}
    return [{"role": message.type, "text": message.text} for message in what]
