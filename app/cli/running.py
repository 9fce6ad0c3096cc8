"""Running a graph in a terminal: its steps on stderr, its answer on stdout as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Self

import click

from groundling.cli.output import Shell

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.graph.state import CompiledStateGraph
    from langgraph.types import Command, Durability
    from rich.live import Live

    from groundling.guardrails.guard import Guard
    from groundling.home import Home

Result = dict[str, Any]


class Screen:
    """What the person sees while a graph runs.

    On a terminal the answer grows in place and is shown once more, checked and marked,
    when the run ends. Anywhere else only the finished answer is printed.
    """

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.text = ""
        self._live: Live | None = None
        self._status = shell.stderr.status("starting")

    def __enter__(self) -> Self:
        if self.shell.stderr.is_terminal:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()
        if self._live:
            self._live.stop()

    def step(self, name: str) -> None:
        """Say which step runs now; what it writes takes the place of the step before."""
        self._status.update(f"{name} …")
        self.text = ""

    def token(self, text: str) -> None:
        """Add to the answer."""
        self.text += text
        if self.shell.json or not self.shell.console.is_terminal:
            return
        if self._live is None:
            from rich.live import Live

            self._status.stop()
            self._live = Live(console=self.shell.console, vertical_overflow="visible")
            self._live.start()
        from rich.text import Text

        self._live.update(Text(self.text))

    def finish(self, answer: str) -> None:
        """Show the finished answer in place of the growing one."""
        self._status.stop()
        if self.shell.json:
            return
        if self._live:
            from rich.text import Text

            self._live.update(Text(answer), refresh=True)
            self._live.stop()
            self._live = None
        else:
            click.echo(answer)


class Events(Screen):
    """The same for a program: a line of JSON for each step and each piece of the answer."""

    def __enter__(self) -> Self:
        return self

    def step(self, name: str) -> None:
        """Say which step runs now."""
        self.shell.event({"event": "step", "name": name})

    def token(self, text: str) -> None:
        """Pass on a piece of the answer."""
        if text:
            self.shell.event({"event": "token", "text": text})

    def finish(self, answer: str) -> None:
        """Do nothing: the result is the caller's last line."""


def run(
    shell: Shell,
    graph: CompiledStateGraph[Any, None, Any, Any],
    inputs: Mapping[str, Any],
    config: RunnableConfig | None = None,
) -> Result:
    """Run a graph to its end and return what it gives; Ctrl-C stops it within a token."""
    return asyncio.run(arun(shell, graph, inputs, config))


async def arun(
    shell: Shell,
    graph: CompiledStateGraph[Any, None, Any, Any],
    inputs: Mapping[str, Any] | Command[Any],
    config: RunnableConfig | None = None,
    *,
    durability: Durability | None = None,
    screen: Screen | None = None,
    guard: Guard | None = None,
) -> Result:
    """Run a graph, showing its answer as it comes.

    The answer of a graph that guards its output is cleared before it is shown: by patterns,
    and by the model where the policy wants its judgement, after each few sentences.

    Args:
        inputs: what the graph takes, or how a person decided an interrupt.
        durability: when a checkpointer writes; default: LangGraph's.
        screen: where it is shown; default: the shell's.
        guard: clears the answer; see `clearing`.
    """
    from groundling.guardrails.windows import GuardedStream

    result: Result = {}
    guard = guard if "guard_output" in graph.nodes else None
    question = str(inputs.get("question", "")) if isinstance(inputs, Mapping) else ""
    cleared: GuardedStream | None = None
    with screen or Screen(shell) as screen:
        events: AsyncIterator[Any] = graph.astream(
            inputs, config, stream_mode=["tasks", "messages", "values"], durability=durability
        )
        async for mode, data in events:
            if mode == "tasks" and "input" in data:
                screen.step(data["name"])
                cleared = None
            elif mode == "tasks" and cleared is not None:
                screen.token(await cleared.finish())
                cleared = None
            elif mode == "messages" and data[0].type == "AIMessageChunk":
                if guard is not None and cleared is None:
                    cleared = GuardedStream(guard, question=question)
                text = data[0].text
                screen.token(await cleared.feed(text) if cleared is not None else text)
            elif mode == "values":
                result = data
        if "__interrupt__" not in result:  # else the answer is the turn's before
            screen.finish(str(result.get("answer", "")))
    return result


def clearing(home: Home) -> Guard | None:
    """Return what clears answers while they are written; None where the guard is off."""
    if not home.settings.guard.enabled:
        return None
    from groundling.guardrails.guard import Guard

    return Guard.from_settings(home.settings, home.model)


def warn_if_unproved(shell: Shell, result: Result) -> None:
    """Say so when no passage carries the answer."""
    if result.get("verdict") == "unproved":
        shell.warn("no passage carries this answer; treat it as unchecked.")


def sources(result: Result) -> list[str]:
    """List where the answer's citations stand, and how to open them."""
    lines: list[str] = []
    for citation in result.get("citations") or []:
        page = f", page {citation['page']}" if citation["page"] else ""
        quote = " ".join(citation["quote"].split())
        lines += [
            f"[{citation['number']}] {citation['source']}{page}, "
            f"characters {citation['start']}–{citation['end']}",
            f"    “{quote if len(quote) <= 160 else quote[:157] + '…'}”",
        ]
    return lines
