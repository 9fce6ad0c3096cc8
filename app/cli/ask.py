"""`groundling ask`: one question, of the model alone or of documents."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from groundling.cli.output import Command, Shell, pass_shell

CLOSEST = {
    "en": "Closest to it in the documents:",
    "ko": "문서에서 가장 가까운 대목:",
}


@click.command(cls=Command)
@click.argument("question")
@click.option(
    "--docs",
    type=click.Path(exists=True, path_type=Path),
    help="Answer from this folder or file; read or brought up to date first.",
)
@click.option("-k", "--knowledge", metavar="NAME", help="Answer from this knowledge base.")
@click.option("--system", metavar="TEXT", help="System prompt, without documents.")
@click.option(
    "--examples",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Few-shot examples: a TOML file of [[examples]] with question and answer.",
)
@click.option("--reasoning", is_flag=True, help="Think step by step first, without documents.")
@pass_shell
def ask(
    shell: Shell,
    question: str,
    docs: Path | None,
    knowledge: str | None,
    system: str | None,
    examples: Path | None,
    reasoning: bool,
) -> None:
    """Ask QUESTION ("-" reads it from stdin).

    With --docs or --knowledge the answer comes from those documents, each sentence with
    the place that proves it; what they do not answer is refused, with the places that come
    closest. Without them the model answers alone.
    """
    from groundling.cli.prepare import knowledge_name, open_home, read_documents
    from groundling.cli.running import run, sources, warn_if_unproved

    if question == "-":
        question = sys.stdin.read()
    from_documents = docs is not None or knowledge is not None
    inputs: dict[str, Any] = {"question": question}
    if from_documents and (system or examples or reasoning):
        raise click.UsageError("--system, --examples and --reasoning go without documents.")
    if system:
        inputs["system"] = system
    if examples:
        inputs["examples"] = read_examples(examples)
    if reasoning:
        inputs["reasoning"] = True

    with open_home(shell, documents=from_documents) as home:
        if from_documents:
            name = knowledge_name(home, docs, knowledge)
            read_documents(shell, home, name, docs)
            graph = home.graph("rag", knowledge=name)
        else:
            name = None
            graph = home.graph("ask")
        result = run(shell, graph, inputs)
    shell.out({key: value for key, value in result.items() if key != "messages"})
    if not shell.json and result.get("citations"):
        click.echo()
        for line in sources(result):
            click.echo(line)
        first = result["citations"][0]
        shell.status(
            f"\nOpen one: groundling knowledge --name {name} text {first['source']!r} "
            f"--at {first['start']}:{first['end']}"
        )
    if not shell.json and result.get("closest"):
        from groundling.models.prompts import language_of

        click.echo(f"\n{CLOSEST[language_of(question)]}")
        for line in closest_lines(result["closest"]):
            click.echo(line)
    if note := left_out(result):
        shell.status(note)
    warn_if_unproved(shell, result)


def closest_lines(places: Sequence[Mapping[str, Any]]) -> list[str]:
    """List the places that come closest to a question which was refused."""
    lines: list[str] = []
    for place in places:
        page = f", page {place['page']}" if place["page"] else ""
        lines += [
            f"- {place['source']}{page}, characters {place['start']}–{place['end']}",
            f"    “{' '.join(place['quote'].split())}”",
        ]
    return lines


def left_out(result: Mapping[str, Any]) -> str:
    """Say how many of the passages that were found the model could not be shown."""
    found = result.get("retrieved") or []
    dropped = sum(not passage["shown"] for passage in found)
    if not dropped:
        return ""
    return f"{dropped} of {len(found)} passages found did not fit the context."


def read_examples(file: Path) -> list[dict[str, str]]:
    """Read few-shot examples.

    Raises:
        click.UsageError: the file is not the TOML it should be.
    """
    try:
        examples = tomllib.loads(file.read_text(encoding="utf-8"))["examples"]
        return [{"question": str(e["question"]), "answer": str(e["answer"])} for e in examples]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise click.UsageError(
            f"{file} holds no examples ({error}). It should hold, for each one:\n"
            '[[examples]]\nquestion = "…"\nanswer = "…"'
        ) from error
