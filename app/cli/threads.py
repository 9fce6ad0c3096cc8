"""`groundling threads`: the conversations that are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import click

from groundling.cli.output import Group, Shell, pass_shell

if TYPE_CHECKING:
    from groundling.memory.thread import Checkpoint, Thread
    from groundling.memory.threads import Threads

Found = TypeVar("Found")
_DIGITS = 8  # of a checkpoint's id, its last ones: they are random
_LINE = 60  # characters


@click.group(cls=Group)
def threads() -> None:
    """Look at conversations, go back in them, copy and delete them.

    THREAD is an id as `list` shows it, or `last`. CHECKPOINT is at least 4 of the first or
    last digits of an id as `history` shows it. Go on with one: groundling chat --thread ID.
    """


@threads.command("list")
@click.option(
    "-n", "--limit", type=click.IntRange(1), default=20, show_default=True, help="How many."
)
@pass_shell
def list_(shell: Shell, limit: int) -> None:
    """List the conversations, the one that was used last first."""
    from groundling.memory.thread import as_json

    found = use(shell, lambda kept: kept.list(limit))
    shell.out([as_json(each) for each in found], [_row(each) for each in found])
    if not found and not shell.json:
        shell.status("There is no conversation yet.\nNext:  groundling chat")


@threads.command()
@click.argument("thread", metavar="THREAD")
@pass_shell
def show(shell: Shell, thread: str) -> None:
    """Print what was said in a conversation."""
    from groundling.memory.thread import as_json

    async def read(kept: Threads) -> Checkpoint:
        return await kept.get(await named(kept, thread))

    found = use(shell, read)
    names = {"human": "You", "ai": "Model"}
    shell.out(
        {**as_json(found), "messages": as_json(found.messages)},
        [
            f"{names.get(turn.type, turn.type)}: {_plain(turn.text)}"
            for turn in found.messages
            if turn.text
        ],
    )


@threads.command()
@click.argument("thread", metavar="THREAD")
@pass_shell
def history(shell: Shell, thread: str) -> None:
    """List the states of a conversation that one can go back to, the newest first."""
    from groundling.memory.thread import as_json

    async def read(kept: Threads) -> list[Checkpoint]:
        return await kept.history(await named(kept, thread))

    found = use(shell, read)
    shell.out([as_json(each) for each in found], [_state(each) for each in found])


@threads.command()
@click.argument("thread", metavar="THREAD")
@click.option("--at", "checkpoint", metavar="CHECKPOINT", help="Up to here; default: all of it.")
@pass_shell
def fork(shell: Shell, thread: str, checkpoint: str | None) -> None:
    """Copy a conversation into a new one, which then goes its own way."""

    async def copy(kept: Threads) -> str:
        return await kept.fork(await named(kept, thread), checkpoint)

    new = use(shell, copy)
    shell.out({"thread": new}, [f"Copied. Go on: groundling chat --thread {new}"])


@threads.command()
@click.argument("ids", metavar="THREAD...", nargs=-1, required=True)
@pass_shell
def delete(shell: Shell, ids: tuple[str, ...]) -> None:
    """Delete conversations, with all their states."""

    async def remove(kept: Threads) -> list[str]:
        found = [await named(kept, each) for each in dict.fromkeys(ids)]
        for each in found:
            await kept.history(each)  # all of them are there, or none goes
        for each in found:
            await kept.delete(each)
        await kept.vacuum()
        return found

    gone = use(shell, remove)
    shell.out({"deleted": gone}, [f"Deleted: {', '.join(gone)}."])


@threads.command()
@pass_shell
def prune(shell: Shell) -> None:
    """Delete old states and conversations, as the settings say, and give the room back.

    `conversation.checkpoints` states are kept of each, and a conversation for
    `conversation.keep_days` days after its last turn. It is done by itself, too; this
    command also writes the file anew.
    """
    path = shell.settings.state_path

    async def remove(kept: Threads) -> int:
        removed = await kept.prune(now=datetime.now(UTC))
        await kept.vacuum()
        return removed

    before = path.stat().st_size if path.exists() else 0
    removed = use(shell, remove)
    after = path.stat().st_size
    shell.out(
        {"removed": removed, "bytes_before": before, "bytes": after},
        [f"{removed:,} old states removed; {path.name} has {after / 1e6:.1f} MB."],
    )


def use(shell: Shell, work: Callable[[Threads], Awaitable[Found]]) -> Found:
    """Open the home folder's threads and do something with them."""
    from groundling.memory.threads import Threads

    async def opened() -> Found:
        settings = shell.settings
        async with Threads.open(settings.state_path, settings.conversation) as kept:
            return await work(kept)

    return asyncio.run(opened())


async def named(kept: Threads, thread: str) -> str:
    """Return the id that a person's word for a thread stands for.

    Raises:
        UnknownThread: there is none yet.
    """
    from groundling.errors import UnknownThread

    if thread != "last":
        return thread
    if (last := await kept.last()) is None:
        raise UnknownThread("There is no conversation yet.", hint="groundling chat")
    return last


def _row(thread: Thread) -> str:
    title = "(damaged)" if thread.damaged else thread.title
    turns = f"{thread.turns} turn{'s' * (thread.turns != 1)}"
    return (
        f"{thread.id:<10} {_local(thread.used)}  {turns:>9} {thread.bytes / 1000:>9,.0f} kB  "
        f"{thread.graph or '':<7} {title}"
    )


def _state(state: Checkpoint) -> str:
    from groundling.memory.thread import short

    what = "(damaged)" if state.damaged else short(state.question, _LINE)
    answer = "" if state.answer is None else f" → {short(state.answer, _LINE)}"
    waiting = "  (unfinished)" if state.waiting else ""
    return f"{state.id[-_DIGITS:]}  {_local(state.at)}  {state.turns:>4}  {what}{answer}{waiting}"


def _local(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def _plain(text: str) -> str:
    """Leave out what would steer a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)
