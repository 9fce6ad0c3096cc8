"""A conversation in a terminal: turns are read, answered and kept until there are no more."""

from __future__ import annotations

import asyncio
import signal
import sys
import uuid
from collections.abc import Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from groundling.cli.output import Shell, report
from groundling.errors import GroundlingError, MemoriesError, UnknownThread

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

    from groundling.guardrails.guard import Guard
    from groundling.home import Home
    from groundling.memory.threads import Threads

# These keep what was said in `messages`, so that each can go on with a thread of the others.
_CONVERSATIONS = (None, "ask", "rag", "chat", "toolbox", "agent")
_HELP = """/undo   take back the last turn
/fork   copy the conversation so far, and go on in the copy
/exit   end it; so does an empty line or Ctrl-D"""


async def converse(
    shell: Shell,
    home: Home,
    graph: str,
    knowledge: str | None,
    *,
    thread: str | None = None,
    last: bool = False,
    at: str | None = None,
) -> None:
    """Read turns and answer them until there are no more.

    Args:
        graph: the graph that answers.
        knowledge: the knowledge base it answers from.
        thread: which conversation to go on with; default: a new one.
        last: go on with the one that was used last, where there is one.
        at: from which state of it.

    Raises:
        UnknownThread: there is no such conversation.
        MemoriesError: it cannot be read, or cannot be gone on with.
    """
    from groundling.cli.running import clearing
    from groundling.memory.threads import Threads

    settings = home.settings
    async with Threads.open(settings.state_path, settings.conversation) as threads:
        await threads.prune(now=datetime.now(UTC))
        if last and thread is None:
            thread = await threads.last()
        compiled = home.graph(graph, knowledge=knowledge, checkpointer=threads.saver)
        talk = Talk(shell, threads, compiled, thread, clearing(home))
        await talk.begin(at)
        shell.status(f"Conversation {talk.thread}. An empty line ends it; /help says more.")
        while text := read_turn():
            if not await talk.turn(text):
                break
        shell.status(f"Go on later: groundling chat --thread {talk.thread}")


class Talk:
    """One conversation: its thread, and the state from which it goes on.

    Args:
        graph: compiled with the saver of `threads`.
        thread: its id; default: a new one.
        guard: clears answers while they are written.
    """

    def __init__(
        self,
        shell: Shell,
        threads: Threads,
        graph: CompiledStateGraph[Any, None, Any, Any],
        thread: str | None,
        guard: Guard | None = None,
    ) -> None:
        self.guard = guard
        self.shell = shell
        self.threads = threads
        self.graph = graph
        self.new = thread is None
        self.thread = thread or _fresh()
        self.at: str | None = None  # None: the latest state

    async def begin(self, at: str | None = None) -> None:
        """Look whether the thread can be gone on with, and finish what waits for a person.

        Args:
            at: the state to go on from.

        Raises:
            UnknownThread: there is no such thread.
            MemoriesError: it is damaged, or another kind of graph's.
        """
        if self.new:
            return
        if at is not None:
            state = await self.threads.resolve(self.thread, at)
            self.at = state.id
        else:
            state = await self.threads.get(self.thread)
        if state.graph not in _CONVERSATIONS and not state.messages:
            raise MemoriesError(
                f"{self.thread} is a run of the graph {state.graph}, not a conversation.",
                hint="groundling threads list; groundling chat begins a new one",
            )
        if self.at is None and state.waiting and state.graph == self.graph.name:
            pending = (await self.graph.aget_state(self._config())).interrupts
            if pending:
                await self._show(state.question, await self._decided({"__interrupt__": pending}))

    async def turn(self, text: str) -> bool:
        """Answer one turn; return whether the conversation goes on.

        Raises:
            GroundlingError: it failed, and nobody is there to be told and go on.
        """
        if text.startswith("/") and sys.stdin.isatty():
            return await self._command(text)
        before = self.at or await self._latest()
        try:
            result = await self._stoppable(self._run({"question": text}))
        except GroundlingError as error:
            from groundling.errors import WaitsForPerson

            if isinstance(error, WaitsForPerson) or not sys.stdin.isatty():
                raise
            report(error, self.shell)
            result = None
        if result is None:  # the turn is as if it had not been
            if before is None and await self._latest() is not None:
                await self.threads.delete(self.thread)
            self.at = before
            return True
        self.at = None
        await self._show(text, result)
        await self.threads.prune(self.thread)
        return True

    async def _run(self, inputs: Any) -> dict[str, Any]:
        from groundling.cli.running import arun
        from groundling.memory.threads import DURABILITY

        options: Any = {"durability": DURABILITY, "guard": self.guard}
        result = await arun(self.shell, self.graph, inputs, self._config(), **options)
        self.at = None
        return await self._decided(result)

    async def _decided(self, result: dict[str, Any]) -> dict[str, Any]:
        """Have a person decide what the graph waits for, and go on, until it waits no more."""
        while waiting := result.get("__interrupt__"):
            from langgraph.types import Command

            from groundling.cli.approving import resolve_interrupts
            from groundling.cli.running import arun
            from groundling.memory.threads import DURABILITY

            decided = await resolve_interrupts(self.shell, waiting, thread=self.thread)
            result = await arun(
                self.shell,
                self.graph,
                Command(resume=decided),
                self._config(),
                durability=DURABILITY,
                guard=self.guard,
            )
        return result

    async def _show(self, question: str, result: dict[str, Any]) -> None:
        from groundling.cli.running import sources, warn_if_unproved

        if self.shell.json:
            event = {
                "thread": self.thread,
                "checkpoint": await self._latest(),
                "question": question,
                "answer": result.get("answer"),
                "verdict": result.get("verdict"),
                "citations": result.get("citations", []),
                "notices": result.get("notices", []),
            }
            self.shell.event(event)
            return
        for line in sources(result):
            click.echo(line)
        warn_if_unproved(self.shell, result)
        for notice in result.get("notices") or []:
            self.shell.warn(notice)

    async def _stoppable(self, work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any] | None:
        """Do the work until Ctrl-C; None if it was stopped and the person is there to go on."""
        if not sys.stdin.isatty():
            return await work
        task = asyncio.create_task(work)
        loop, former = asyncio.get_running_loop(), signal.getsignal(signal.SIGINT)
        with suppress(NotImplementedError):  # Windows: Ctrl-C ends the conversation there
            loop.add_signal_handler(signal.SIGINT, task.cancel)
        try:
            return await task
        except asyncio.CancelledError:
            if (current := asyncio.current_task()) is not None and current.cancelling():
                raise
            self.shell.status("\nStopped.")
            return None
        finally:
            with suppress(NotImplementedError):
                loop.remove_signal_handler(signal.SIGINT)
            signal.signal(signal.SIGINT, former)

    async def _command(self, text: str) -> bool:
        match text.split()[0]:
            case "/exit" | "/quit":
                return False
            case "/undo":
                await self._undo()
            case "/fork":
                await self._fork()
            case _:
                self.shell.status(_HELP)
        return True

    async def _undo(self) -> None:
        if (head := self.at or await self._latest()) is None:
            self.shell.status("There is nothing to take back.")
            return
        state = await self.threads.resolve(self.thread, head)
        kept = {each.id for each in await self.threads.history(self.thread)}
        if state.parent in kept:
            self.at = state.parent
        else:  # before the first turn there is no state to go on from
            self.thread, self.at = _fresh(), None
        self.shell.status(f"Taken back: {state.question}")

    async def _fork(self) -> None:
        if (head := self.at or await self._latest()) is None:
            self.shell.status("There is nothing to copy yet.")
            return
        self.thread, self.at = await self.threads.fork(self.thread, head), None
        self.shell.status(f"Conversation {self.thread}.")

    async def _latest(self) -> str | None:
        try:
            return (await self.threads.history(self.thread))[0].id
        except UnknownThread:
            return None

    def _config(self) -> Any:
        from groundling.memory.threads import thread_config

        return thread_config(self.thread, self.at)


def read_turn() -> str:
    """Read the person's next line; an empty string when there is none.

    It is read on this thread, with nothing else to do meanwhile, so that Ctrl-C ends it.
    """
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if sys.stdin.isatty():
            click.echo(click.style("> ", fg="green"), nl=False, err=True)
        return sys.stdin.readline().strip()
    finally:
        signal.signal(signal.SIGINT, former)


def _fresh() -> str:
    return uuid.uuid4().hex[:8]
