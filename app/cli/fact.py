"""`groundling fact`: a text's claims, held against sources."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from groundling.cli.output import Group, Shell, pass_shell

if TYPE_CHECKING:
    from rich.console import RenderableType

SIGNS = {
    "SUPPORTED": ("✓", "green"),
    "REFUTED": ("✗", "red"),
    "NOT_ENOUGH_EVIDENCE": ("?", "yellow"),
    "NOT_CHECKABLE": ("–", "bright_black"),
    "ERROR": ("!", "magenta"),
}


@click.group(cls=Group)
def fact() -> None:
    """Check what a text claims: figures, units, documents, WolframAlpha."""


@fact.command()
@click.argument("text", metavar="TEXT|@FILE|-", required=False)
@click.option("-k", "--knowledge", metavar="NAME", help="The knowledge base to search.")
@click.option("-q", "--question", help="What the text is an answer to.")
@click.option(
    "--refuted",
    type=click.Choice(["mark", "correct", "off"]),
    help="What is done with refuted claims; default: as facts.refuted says.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 if anything is refuted.")
@pass_shell
def check(
    shell: Shell,
    text: str | None,
    knowledge: str | None,
    question: str | None,
    refuted: str | None,
    strict: bool,
) -> None:
    """Put a verdict on each claim of a text, with what was found and where.

    \b
    ✓ supported   ✗ refuted   ? not enough evidence   – not checkable   ! a source failed

    \b
    groundling fact check "15% of 80 is 14."
    groundling fact check -k handbook @answer.txt --refuted correct
    """
    from groundling.cli.prepare import open_home
    from groundling.cli.task import read
    from groundling.errors import KnowledgeError

    whole = read(None if text == "-" else text)
    if not any(sign.isprintable() and not sign.isspace() for sign in whole):
        raise click.UsageError("The text is empty: give TEXT, @FILE, or pipe it in.")
    if knowledge and not shell.settings.knowledge_path(knowledge).is_dir():
        raise KnowledgeError(
            f"There is no knowledge base {knowledge} yet.",
            hint=f"groundling knowledge --name {knowledge} add FOLDER",
        )
    searched = knowledge or shell.settings.retrieval.knowledge
    there = shell.settings.knowledge_path(searched).is_dir()
    with open_home(shell, documents=there) as home:
        given = {"text": whole, "question": question, "refuted": refuted}
        graph = home.graph("verify", knowledge=searched if there else None)
        result = graph.invoke({key: value for key, value in given.items() if value})
    missing = dict(result["missing"])
    if not there and "knowledge" in shell.settings.facts.sources:
        missing["knowledge"] = f"there is no knowledge base {searched}: groundling knowledge add"
    data = {
        "answer": result["answer"],
        "verdicts": result["verdicts"],
        "claims": result["claims"],
        "missing": missing,
    }
    shell.out(data, _table(result["claims"]))
    if not shell.json:
        _tell(shell, whole, result, missing)
    if strict and "REFUTED" in result["verdicts"]:
        sys.exit(1)


def _table(claims: list[dict[str, Any]]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    if not claims:
        return "There is nothing to check: the text makes no claims."
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "claim", "source", "evidence", "place"):
        table.add_column(column, overflow="fold")
    for claim in claims:
        sign, colour = SIGNS[claim["verdict"]]
        evidence = " ".join(claim["evidence"].split())
        if claim["verdict"] == "REFUTED" and claim["correction"]:
            evidence = f"{evidence} → {claim['correction']}"
        table.add_row(
            Text(sign, style=colour),
            Text(claim["text"]),
            Text(claim["source"] or "–"),
            Text(evidence or "–"),
            Text(claim["place"] or "–"),
        )
    return table


def _tell(shell: Shell, text: str, result: dict[str, Any], missing: dict[str, str]) -> None:
    if result["answer"] != text:
        click.echo(f"\n{result['answer'].strip()}")
    for notice in result["notices"]:
        shell.warn(notice)
    for source, reason in missing.items():
        shell.status(f"Not asked: {source} ({reason}).")
