"""What a run tells, event by event, in the modes that were asked for.

LangGraph streams pairs of a mode and its data; clients of LangGraph's server know events by
name. The mode `messages` tells each message whole, again with each piece (`messages/partial`);
`messages-tuple` tells the pieces, with what is known of them; asked for together, the second
is told (langgraph-api 0.16).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from langchain_core.messages import BaseMessage, BaseMessageChunk, message_chunk_to_message

from groundling.server.runs.converting import Converter, told_checkpoint

Told = tuple[str, Any]


def graph_modes(wanted: tuple[str, ...]) -> list[str]:
    """Return the modes that a graph is streamed in for the modes that are wanted."""
    modes = {"messages" if mode == "messages-tuple" else mode for mode in wanted}
    return sorted((modes | {"values"}) - {"events"})


class Teller:
    """Turns what a graph streams into events.

    Args:
        wanted: the modes that are told.
        convert: into JSON.
    """

    def __init__(self, wanted: tuple[str, ...], convert: Converter) -> None:
        self._wanted = frozenset(wanted)
        self._convert = convert
        self._said: dict[str, BaseMessage] = {}

    def tell(self, namespace: tuple[str, ...], mode: str, data: Any) -> Iterator[Told]:
        """Yield the events for one thing that the graph has streamed; for data see `Log.add`."""
        name = "|".join((mode, *namespace))
        if mode == "messages":
            message, about = data
            if "messages-tuple" in self._wanted:
                yield name, [self._convert(message), self._convert(about)]
            elif "messages" in self._wanted:
                yield from self._whole(message, about)
        elif mode not in self._wanted:
            return
        elif mode == "values":  # whole states, which perhaps nobody reads
            yield name, partial(self._convert, data)
        elif mode == "checkpoints":
            yield name, told_checkpoint(self._convert(data), debug=False)
        elif mode == "debug" and data["type"] == "checkpoint":
            told = self._convert(data)
            yield name, {**told, "payload": told_checkpoint(told["payload"], debug=True)}
        else:
            yield name, self._convert(data)

    def _whole(self, message: BaseMessage, about: Any) -> Iterator[Told]:
        id = message.id or ""
        known = self._said.get(id)
        if known is None:
            yield "messages/metadata", {id: {"metadata": self._convert(about)}}
        if isinstance(message, BaseMessageChunk):
            if isinstance(known, BaseMessageChunk):
                message = known + message
            self._said[id] = message
            whole = message_chunk_to_message(message)
            yield "messages/partial", [self._convert(whole)]
        else:
            self._said[id] = message
            yield "messages/complete", [self._convert(message)]
