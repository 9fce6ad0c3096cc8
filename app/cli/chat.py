"""`groundling chat`: a conversation that is kept in the home folder."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from groundling.cli.output import Command, Shell, pass_shell


@click.command(cls=Command)
@click.option(
    "--docs",
    type=click.Path(exists=True, path_type=Path),
    help="Answer from this folder or file; read or brought up to date first.",
)
@click.option("-k", "--knowledge", metavar="NAME", help="Answer from this knowledge base.")
@click.option("--agent", is_flag=True, help="Let the model use documents and tools as it decides.")
@click.option("-c", "--continue", "resume", is_flag=True, help="Go on with the last conversation.")
@click.option("--thread", metavar="ID", help="Go on with this one: groundling threads list.")
@click.option(
    "--at", metavar="CHECKPOINT", help="Go on from here, as a branch: groundling threads history."
)
@pass_shell
def chat(
    shell: Shell,
    docs: Path | None,
    knowledge: str | None,
    agent: bool,
    resume: bool,
    thread: str | None,
    at: str | None,
) -> None:
    """Talk with the model, or with documents, turn by turn.

    Each line is a turn; an empty line or Ctrl-D ends it, and Ctrl-C stops an answer. Piped
    input works too. /help lists what else there is: /undo, /fork, /exit.
    """
    from groundling.cli.chatting import converse
    from groundling.cli.prepare import knowledge_name, open_home, read_documents

    if at is not None and not (thread or resume):
        raise click.UsageError("--at goes with --thread ID or -c.")
    from_documents = docs is not None or knowledge is not None
    has_documents = agent and shell.settings.knowledge_path().is_dir()
    with open_home(shell, documents=from_documents or has_documents) as home:
        name = None
        if from_documents:
            name = knowledge_name(home, docs, knowledge)
            read_documents(shell, home, name, docs)
        graph = "agent" if agent else "rag" if from_documents else "chat"
        asyncio.run(converse(shell, home, graph, name, thread=thread, last=resume, at=at))
