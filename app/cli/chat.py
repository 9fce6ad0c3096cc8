"""`groundling chat`: a conversation that is kept in the home folder."""

from __future__ import annotations

import asyncio
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import click

from groundling.cli.output import Command, Shell, pass_shell

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    from groundling.home import Home


@click.command(cls=Command)
@click.option(
    "--docs",
    type=click.Path(exists=True, path_type=Path),
    help="Answer from this folder or file; read or brought up to date first.",
)
@click.option("-k", "--knowledge", metavar="NAME", help="Answer from this knowledge base.")
@click.option("-c", "--continue", "resume", is_flag=True, help="Go on with the last conversation.")
@click.option("--thread", metavar="ID", help="Go on with this conversation.")
@pass_shell
def chat(
    shell: Shell, docs: Path | None, knowledge: str | None, resume: bool, thread: str | None
) -> None:
    """Talk with the model, or with documents, turn by turn.

    Each line is a turn; an empty line or Ctrl-D ends it. Piped input works too.
    """
    from groundling.cli.prepare import knowledge_name, open_home, read_documents

    from_documents = docs is not None or knowledge is not None
    with open_home(shell, documents=from_documents) as home:
        name = None
        if from_documents:
            name = knowledge_name(home, docs, knowledge)
            read_documents(shell, home, name, docs)
        asyncio.run(converse(shell, home, name, thread, resume))


async def converse(
    shell: Shell, home: Home, knowledge: str | None, thread: str | None, resume: bool
) -> None:
    """Read turns and answer them until there are no more."""
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    from groundling.cli.running import arun, sources, warn_if_unproved

    path = home.settings.state_path
    path.parent.mkdir(parents=True, exist_ok=True)
    async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
        if resume and thread is None:
            thread = await last_thread(saver)
        thread = thread or uuid.uuid4().hex[:8]
        graph = home.graph("rag" if knowledge else "ask", knowledge=knowledge, checkpointer=saver)
        config: RunnableConfig = {"configurable": {"thread_id": thread}}
        shell.status(f"Conversation {thread}. An empty line ends it.")
        while question := await asyncio.to_thread(read_turn):
            result = await arun(shell, graph, {"question": question}, config)
            if shell.json:
                shell.event(
                    {
                        "thread": thread,
                        "question": question,
                        "answer": result.get("answer"),
                        "verdict": result.get("verdict"),
                        "citations": result.get("citations", []),
                    }
                )
            else:
                for line in sources(result):
                    click.echo(line)
                warn_if_unproved(shell, result)
        shell.status(f"Go on later: groundling chat --thread {thread}")


def read_turn() -> str:
    """Read the person's next line; an empty string when there is none."""
    if sys.stdin.isatty():
        click.echo(click.style("> ", fg="green"), nl=False, err=True)
    return sys.stdin.readline().strip()


async def last_thread(saver: AsyncSqliteSaver) -> str | None:
    """Return the conversation that was added to last."""
    async for checkpoint in saver.alist(None, limit=1):
        return str(checkpoint.config["configurable"]["thread_id"])
    return None
