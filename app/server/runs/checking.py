"""What can be seen to be wrong with a run before it begins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from langgraph.graph import END
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, Send

from groundling.server.problems import Problem
from groundling.server.runs.request import MODES, RunRequest

Graph = CompiledStateGraph[Any, None, Any, Any]
_SHOWN = 80  # characters of what was given
_LONGEST_WAIT = 8 * 24 * 3600


def check_shape(request: RunRequest) -> None:
    """Refuse what no graph takes.

    Raises:
        Problem: 422; it names the field.
    """
    for mode in request.stream_mode:
        if mode not in MODES:
            known = ", ".join(sorted(MODES))
            raise _wrong("stream_mode", f"there is no mode {mode[:_SHOWN]}", hint=f"{known}.")
    if not 0 <= request.after_seconds <= _LONGEST_WAIT:
        raise _wrong("after_seconds", f"it is 0 to {_LONGEST_WAIT}")
    if request.input is not None and not isinstance(request.input, Mapping):
        raise _wrong("input", 'it is an object, such as {"question": "…"}')
    if request.thread_id is None and request.checkpoint:
        raise _wrong("checkpoint", "there is no thread whose state it could be")
    if request.thread_id is None and goes_on(request):
        raise _wrong("input", "there is none, and no thread whose state could be gone on from")
    command = request.command
    if command is not None:
        if unknown := set(command) - {"resume", "update", "goto"}:
            raise _wrong("command", f"it has no {sorted(unknown)[0][:_SHOWN]}")
        if request.thread_id is None and "resume" in command:
            raise _wrong("command", "there is no thread that could be resumed")
        update = command.get("update")
        if update is not None and not isinstance(update, Mapping) and not _is_pairs(update):
            raise _wrong("command", "update is an object, or a list of pairs of name and value")


def check_nodes(request: RunRequest, graph: Graph) -> None:
    """Refuse nodes that the graph does not have, and channels that it has not.

    Raises:
        Problem: 422; it names them.
    """
    for field in ("interrupt_before", "interrupt_after"):
        nodes = getattr(request, field)
        if nodes != "*":
            _known(field, nodes, graph)
    if request.command:
        _known("command.goto", (node for node, _ in _goto(request.command)), graph)
        update = request.command.get("update")
        names = update if isinstance(update, Mapping) else [name for name, _ in update or ()]
        channels = set(graph.channels) & set(graph.builder.channels)
        if unknown := [str(name) for name in names if name not in channels]:
            raise _wrong("command.update", f"the graph has no {unknown[0][:_SHOWN]}")


def graph_input(request: RunRequest) -> Any:
    """Return what the graph is called with: an input, a command, or None to go on."""
    command = request.command
    if command is None:
        return request.input
    given: dict[str, Any] = {}
    if "resume" in command:
        given["resume"] = command["resume"]
    if (update := command.get("update")) is not None:
        given["update"] = (
            dict(update) if isinstance(update, Mapping) else [tuple(each) for each in update]
        )
    if goto := _goto(command):
        given["goto"] = [node if value is _NOTHING else Send(node, value) for node, value in goto]
    return Command(**given)


def goes_on(request: RunRequest) -> bool:
    """Tell whether a run needs a state to go on from: it brings nothing of its own."""
    command = request.command or {}
    return request.input is None and not (command.get("update") or command.get("goto"))


_NOTHING = object()


def _goto(command: Mapping[str, Any]) -> list[tuple[str, Any]]:
    goto = command.get("goto") or []
    found: list[tuple[str, Any]] = []
    for one in goto if isinstance(goto, list) else [goto]:
        if isinstance(one, str):
            found.append((one, _NOTHING))
        elif isinstance(one, Mapping) and isinstance(one.get("node"), str):
            found.append((one["node"], one.get("input")))
        else:
            raise _wrong("command", 'goto is a node, {"node": …, "input": …}, or a list of them')
    return found


def _known(field: str, nodes: Iterable[str], graph: Graph) -> None:
    there = set(graph.builder.nodes) | ({END} if field == "command.goto" else set())
    for node in nodes:
        if node not in there:
            names = ", ".join(sorted(graph.builder.nodes))
            raise _wrong(field, f"there is no node {node[:_SHOWN]}", hint=f"{names}.")


def _is_pairs(update: Any) -> bool:
    return isinstance(update, list) and all(
        isinstance(each, (list, tuple)) and len(each) == 2 and isinstance(each[0], str)
        for each in update
    )


def _wrong(field: str, reason: str, hint: str | None = None) -> Problem:
    return Problem(422, f"{field}: {reason}.", hint=hint, param=field)
