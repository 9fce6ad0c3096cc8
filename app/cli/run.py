"""`groundling run`: any graph or chain, with its inputs from the command line."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from typing import TYPE_CHECKING, Any

import click

from groundling.cli.output import Command, Shell, pass_shell

if TYPE_CHECKING:
    from groundling.home import Home

DECIDING = ("toolbox", "agent")  # graphs that may wait for a person
READING = ("verify", "guard", "tasks")  # graphs whose input is a text, not a question


@click.command(cls=Command)
@click.argument("graph")
@click.argument("question", required=False)
@click.option(
    "-i",
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME=VALUE",
    help="An input of a chain, or of any graph; NAME=- reads it from stdin.",
)
@click.option("-k", "--knowledge", metavar="NAME", help="Knowledge base, for rag and agent.")
@click.option("--state", metavar="JSON", help="The whole input, as JSON.")
@click.option("--thread", metavar="ID", help="Keep it in this conversation, or go on with it.")
@click.option("--approve", multiple=True, metavar="CALL", help="Let a waiting call be made; all.")
@click.option("--reject", multiple=True, metavar="CALL", help="Do not let it be made; all.")
@click.option("--edit", multiple=True, metavar="CALL=JSON", help="Make it with these arguments.")
@click.option("--reason", default="", metavar="TEXT", help="Why it was rejected.")
@click.option("--answer", metavar="TEXT", help="Answer what the run asks.")
@click.option("--events", is_flag=True, help="Print steps, tokens and the result as JSON lines.")
@pass_shell
def run(
    shell: Shell,
    graph: str,
    question: str | None,
    inputs: tuple[str, ...],
    knowledge: str | None,
    state: str | None,
    thread: str | None,
    approve: tuple[str, ...],
    reject: tuple[str, ...],
    edit: tuple[str, ...],
    reason: str,
    answer: str | None,
    events: bool,
) -> int:
    """Run GRAPH: any name of groundling graph list, such as ask, agent or chain:NAME.

    A run that waits for a person ends with exit code 14 and says how it goes on.

    \b
    groundling run ask "Why is the sky blue?"
    groundling run agent "How many hours are 17 days of leave?"
    groundling run agent --thread ID --approve all
    groundling run chain:draft-critique-revise -i task="a note about our new hours"
    groundling run chain:./my-chain.toml -i topic=tea
    groundling run tasks "Where is my parcel?" -i task=sentiment
    """
    from groundling.cli.approving import command, lines, pending
    from groundling.cli.prepare import knowledge_name, open_home, read_documents
    from groundling.cli.running import sources, warn_if_unproved
    from groundling.errors import WaitsForPerson

    decided: dict[str, Any] | None = None
    if approve or reject or edit or answer is not None:
        if thread is None:
            raise click.UsageError("--approve, --edit, --reject and --answer need --thread ID.")
        decided = {
            "approve": approve,
            "reject": reject,
            "edit": parse_edits(edit),
            "reason": reason,
            "answer": answer,
        }
    given = {} if decided else parse_inputs(question, inputs, state, graph)
    if graph in DECIDING and thread is None:
        thread = uuid.uuid4().hex[:8]
    with open_home(shell, documents=graph == "rag" or knowledge is not None) as home:
        if graph == "rag" or knowledge is not None:
            knowledge = knowledge_name(home, None, knowledge)
            read_documents(shell, home, knowledge, None)
        result = asyncio.run(_run(shell, home, graph, knowledge, given, thread, decided, events))
    waiting = result.pop("__interrupt__", None)
    shown = {key: value for key, value in result.items() if key != "messages"}
    if thread is not None:
        shown["thread"] = thread
    if waiting:
        shown["waiting"] = pending(waiting)
    if events:
        shell.event({"event": "result", **shown})
    else:
        shell.out(shown, [] if waiting else sources(result))
    if waiting:
        raise WaitsForPerson(
            f"The run waits for a person: {'; '.join(lines(waiting))}.",
            hint=command(thread, graph),
        )
    warn_if_unproved(shell, result)
    for notice in result.get("notices") or []:
        shell.warn(notice)
    return 0


async def _run(
    shell: Shell,
    home: Home,
    graph: str,
    knowledge: str | None,
    given: dict[str, Any],
    thread: str | None,
    decided: dict[str, Any] | None,
    events: bool,
) -> dict[str, Any]:
    """Run the graph, in its thread if it has one; a person on a terminal is asked."""
    from langgraph.types import Command as Resume

    from groundling.cli.approving import resolve_interrupts, resume_value
    from groundling.cli.running import Events, arun, clearing

    screen = Events(shell) if events else None
    if thread is None:
        compiled = home.graph(graph, knowledge=knowledge)
        return await arun(shell, compiled, given, screen=screen, guard=clearing(home))

    from groundling.errors import GraphError
    from groundling.memory.threads import DURABILITY, Threads

    config: Any = {"configurable": {"thread_id": thread}}
    settings = home.settings
    async with Threads.open(settings.state_path, settings.conversation) as threads:
        compiled = home.graph(graph, knowledge=knowledge, checkpointer=threads.saver)
        waiting = (await compiled.aget_state(config)).interrupts
        inputs: Any = given
        if decided is not None:
            if not waiting:
                raise GraphError(
                    f"Nothing waits for a person in the thread {thread}.",
                    hint="groundling threads list",
                )
            inputs = Resume(resume=resume_value(waiting, **decided))
        options: Any = {"durability": DURABILITY, "screen": screen, "guard": clearing(home)}
        result = await arun(shell, compiled, inputs, config, **options)
        while (asked := result.get("__interrupt__")) and asks(shell, events):
            inputs = Resume(resume=await resolve_interrupts(shell, asked, thread=thread))
            result = await arun(shell, compiled, inputs, config, **options)
        await threads.prune(thread)
    return result


def asks(shell: Shell, events: bool) -> bool:
    """Tell whether a person is there to be asked."""
    return sys.stdin.isatty() and not shell.json and not events


def parse_edits(pairs: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Read CALL=JSON pairs.

    Raises:
        click.UsageError: one is malformed.
    """
    edits: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        call, _, text = pair.partition("=")
        try:
            args = json.loads(text)
        except ValueError:
            args = None
        if not call or not isinstance(args, dict):
            raise click.UsageError(f'--edit takes CALL={{"argument": value}}, not {pair!r}.')
        edits[call] = args
    return edits


def parse_inputs(
    question: str | None, pairs: tuple[str, ...], state: str | None, graph: str = "chain"
) -> dict[str, Any]:
    """Put the graph's input together from the three ways of giving it.

    Args:
        question: the argument on the command line: the graph's question, or its text.
        pairs: NAME=VALUE; a chain's inputs, or any key of another graph's state. A value that
            is a JSON list, object, true or false is read as one.
        state: the whole input as JSON; the others are added to it.
        graph: which graph it is for.

    Raises:
        click.UsageError: none was given, or one is malformed.
    """
    given: dict[str, Any] = {}
    if state is not None:
        try:
            given = json.loads(state)
        except json.JSONDecodeError as error:
            raise click.UsageError(f"--state is not JSON: {error}") from error
        if not isinstance(given, dict):
            raise click.UsageError("--state must be a JSON object.")
    if question is not None:
        given["text" if graph in READING else "question"] = question
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.UsageError(f"--input takes NAME=VALUE, not {pair!r}.")
        text = sys.stdin.read() if value == "-" else value
        if graph.partition(":")[0] == "chain":
            given.setdefault("inputs", {})[name] = text
        else:
            given[name] = _value(text)
    if not given:
        raise click.UsageError("Give a QUESTION, --input NAME=VALUE or --state JSON.")
    return given


def _value(text: str) -> Any:
    if text.lstrip()[:1] in ("[", "{") or text in ("true", "false"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text
