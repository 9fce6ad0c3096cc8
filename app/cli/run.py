"""`groundling run`: any graph or chain, with its inputs from the command line."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from groundling.cli.output import Command, Shell, pass_shell


@click.command(cls=Command)
@click.argument("graph")
@click.argument("question", required=False)
@click.option(
    "-i",
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME=VALUE",
    help="An input of a chain; NAME=- reads it from stdin.",
)
@click.option("-k", "--knowledge", metavar="NAME", help="Knowledge base, for rag.")
@click.option("--state", metavar="JSON", help="The whole input, as JSON.")
@pass_shell
def run(
    shell: Shell,
    graph: str,
    question: str | None,
    inputs: tuple[str, ...],
    knowledge: str | None,
    state: str | None,
) -> None:
    """Run GRAPH: ask, rag, or chain:NAME (groundling graph list).

    \b
    groundling run ask "Why is the sky blue?"
    groundling run chain:draft-critique-revise -i task="a note about our new hours"
    groundling run chain:./my-chain.toml -i topic=tea
    """
    from groundling.cli.prepare import knowledge_name, open_home, read_documents
    from groundling.cli.running import run as run_graph
    from groundling.cli.running import sources, warn_if_unproved

    given = parse_inputs(question, inputs, state)
    with open_home(shell, documents=graph == "rag") as home:
        if graph == "rag":
            knowledge = knowledge_name(home, None, knowledge)
            read_documents(shell, home, knowledge, None)
        result = run_graph(shell, home.graph(graph, knowledge=knowledge), given)
    shell.out({key: value for key, value in result.items() if key != "messages"}, sources(result))
    warn_if_unproved(shell, result)


def parse_inputs(question: str | None, pairs: tuple[str, ...], state: str | None) -> dict[str, Any]:
    """Put the graph's input together from the three ways of giving it.

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
        given["question"] = question
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.UsageError(f"--input takes NAME=VALUE, not {pair!r}.")
        text = sys.stdin.read() if value == "-" else value
        given.setdefault("inputs", {})[name] = text
    if not given:
        raise click.UsageError("Give a QUESTION, --input NAME=VALUE or --state JSON.")
    return given
