"""`groundling task`: the classic tasks, on texts from the command line, files or a pipe."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from groundling.cli.output import Group, Shell, pass_shell

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

AT_ONCE = 8  # lines that are worked on together: the engine reads them in one batch

Decorated = Callable[..., Any]


@click.group(cls=Group)
def task() -> None:
    """Classify, find names, judge, summarise, translate, answer, compare.

    The text is the argument, the content of FILE with @FILE, or what comes through a pipe.
    With --lines each line is a text of its own.
    """


def _text(command: Decorated) -> Decorated:
    return click.argument("text", metavar="[TEXT|@FILE]", required=False)(command)


def _options(*, thinks: bool, examples: bool = True) -> Callable[[Decorated], Decorated]:
    def decorate(command: Decorated) -> Decorated:
        command = click.option("--lines", is_flag=True, help="Each line is a text.")(command)
        if examples:
            command = click.option(
                "--examples",
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                help="Worked examples: .jsonl, .csv or .toml with `text` and `output`.",
            )(command)
        if thinks:
            command = click.option(
                "--reasoning", is_flag=True, help="Let the model think aloud first."
            )(command)
        return command

    return decorate


@task.command()
@_text
@click.option("--labels", required=True, metavar="A,B,…", help="What to choose from.")
@click.option("--several", is_flag=True, help="Give each label that fits.")
@click.option("--calibrated", is_flag=True, help="Weigh labels against an empty text.")
@_options(thinks=True)
@pass_shell
def classify(shell: Shell, /, text: str | None, labels: str, **options: Any) -> None:
    """Give a text one of the labels.

    \b
    groundling task classify --labels complaint,question,praise "Where is my parcel?"
    groundling task classify --labels 문의,불만 --lines --json < mails.txt
    """
    _run(shell, "classify", text, labels=split(labels), **options)


@task.command()
@_text
@click.option("--types", "labels", metavar="A,B,…", help="Default: person, organization, …")
@_options(thinks=False)
@pass_shell
def entities(shell: Shell, /, text: str | None, labels: str | None, **options: Any) -> None:
    """List the names in a text, each at its place."""
    _run(shell, "entities", text, labels=split(labels), **options)


@task.command()
@_text
@_options(thinks=True)
@pass_shell
def sentiment(shell: Shell, /, text: str | None, **options: Any) -> None:
    """Tell whether a text is positive, negative or neutral."""
    _run(shell, "sentiment", text, **options)


@task.command()
@_text
@click.option("--sentences", type=click.IntRange(1, 20), help="How many; default: 3.")
@_options(thinks=False)
@pass_shell
def summarize(shell: Shell, /, text: str | None, **options: Any) -> None:
    """Summarise a text of any length."""
    _run(shell, "summarize", text, **options)


@task.command()
@_text
@click.option("--to", metavar="LANGUAGE", help="Default: Korean, or English from Korean.")
@_options(thinks=False)
@pass_shell
def translate(shell: Shell, /, text: str | None, **options: Any) -> None:
    """Translate a text of any length; code blocks stay as they are."""
    _run(shell, "translate", text, **options)


@task.command()
@_text
@click.option("-q", "--question", required=True, help="What to answer.")
@_options(thinks=False)
@pass_shell
def answer(shell: Shell, /, text: str | None, **options: Any) -> None:
    """Answer a question from a text, with the words that prove it."""
    _run(shell, "answer", text, **options)


@task.command()
@click.argument("text", metavar="TEXT|@FILE")
@click.argument("other", metavar="TEXT|@FILE")
@_options(thinks=True, examples=False)
@pass_shell
def similarity(shell: Shell, /, text: str, other: str, **options: Any) -> None:
    """Grade from 0 to 1 how near two texts are in meaning."""
    _run(shell, "similarity", text, other=read(other), **options)


def _run(shell: Shell, name: str, text: str | None, *, lines: bool, **options: Any) -> None:
    from groundling.cli.examples import read_examples
    from groundling.cli.prepare import open_home

    given = {key: value for key, value in options.items() if value not in (None, False, [])}
    if "examples" in given:
        given["examples"] = read_examples(given["examples"], questions=name == "answer")
    whole = read(text)
    texts = [line for line in whole.splitlines() if line.strip()] if lines else [whole]
    if not any(one.strip() for one in texts):
        raise click.UsageError("The text is empty: give TEXT, @FILE, or pipe it in.")
    with open_home(shell, documents=False) as home:
        graph = home.graph("tasks")
        inputs = [{"task": name, "text": one, **given} for one in texts]
        if not lines:
            result = graph.invoke(inputs[0])
            shell.out({"task": name, **_data(result)}, [result["answer"]])
            return
        for one, result in zip(texts, asyncio.run(_all(graph, inputs)), strict=True):
            if shell.json:
                shell.event({"text": one, **_data(result)})
            else:
                click.echo(f"{' '.join(result['answer'].split())}\t{one}")


async def _all(
    graph: CompiledStateGraph[Any, None, Any, Any], inputs: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = await graph.abatch(list(inputs), {"max_concurrency": AT_ONCE})
    return results


def _data(result: dict[str, Any]) -> dict[str, Any]:
    thoughts = {"thoughts": result["thoughts"]} if result.get("thoughts") else {}
    return {**result["result"], **thoughts}


def read(text: str | None) -> str:
    """Return the text of an argument: itself, a file's with `@`, or what is piped in."""
    if text is None:
        return "" if sys.stdin.isatty() else sys.stdin.read()
    if not text.startswith("@") or text == "@":
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{text[1:]} is not UTF-8 text: {error}") from error
    except OSError as error:
        raise click.UsageError(f"{text[1:]} cannot be read: {error.strerror}.") from error


def split(labels: str | None) -> list[str]:
    """Split labels at commas."""
    return list(_labels(labels or ""))


def _labels(labels: str) -> Iterator[str]:
    for label in labels.split(","):
        if label.strip():
            yield label.strip()
