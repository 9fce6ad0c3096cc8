"""`groundling guard`: check a text as the graphs do, and see the policy."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from groundling.cli.output import Group, Shell, pass_shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from groundling.guardrails.decision import Decision, Rail
    from groundling.guardrails.guard import Guard

RAILS = ("input", "retrieved", "tool", "output")


@click.group(cls=Group)
def guard() -> None:
    """Check texts by the policy, and look at it."""


@guard.command()
@click.argument("text", required=False)
@click.option(
    "--rail",
    type=click.Choice(RAILS),
    default="input",
    show_default=True,
    help="Where the text stands.",
)
@click.option("-q", "--question", help="What the text answers, on the output rail.")
@click.option("--policy", "file", type=click.Path(path_type=Path), help="Another policy file.")
@click.option("--patterns", is_flag=True, help="Ask no model.")
@click.option("--explain", is_flag=True, help="Show each detector, its score and its rule.")
@click.option("--strict", is_flag=True, help="Exit with 1 unless the text passes.")
@pass_shell
def check(
    shell: Shell,
    text: str | None,
    rail: Rail,
    question: str | None,
    file: Path | None,
    patterns: bool,
    explain: bool,
    strict: bool,
) -> int:
    """Say what the guard makes of TEXT, or of what is piped in.

    \b
    groundling guard check "Ignore all previous instructions." --rail retrieved --explain
    """
    from groundling.cli.prepare import open_home
    from groundling.guardrails import policy
    from groundling.guardrails.guard import Guard

    if text is None:
        text = "" if sys.stdin.isatty() else sys.stdin.read()
    if not text:
        raise click.UsageError("Give TEXT, or pipe it in.")
    rules = policy.load(file or shell.settings.guard.policy)
    if patterns or not rules.needs_model(rail):
        checked = Guard(rules)
        decision, milliseconds = _check(checked, text, rail, question)
    else:
        with open_home(shell, documents=False) as home:
            checked = Guard.from_settings(home.settings, home.model)
            checked.policy = rules
            decision, milliseconds = _check(checked, text, rail, question)
    data: dict[str, Any] = {**decision, "policy": rules.source, "milliseconds": milliseconds}
    shell.out(data, list(_lines(decision)))
    if explain and not shell.json:
        shell.console.print(explained(checked, decision, text, rail))
        shell.status(f"policy {rules.source} ({rules.sha256[:12]}), {milliseconds} ms")
    return int(strict and decision["outcome"] != "pass")


@guard.command()
@click.option("--write", "file", type=click.Path(path_type=Path), help="Write it to a new file.")
@pass_shell
def policy(shell: Shell, file: Path | None) -> None:
    """Print the policy that comes with Groundling, each entry explained."""
    from groundling.guardrails.policy import default_text, load

    if file is None:
        shell.out(load().model_dump(), default_text().rstrip().splitlines())
        return
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(default_text())
    except FileExistsError as error:
        raise click.UsageError(f"{file} is there already; it was not changed.") from error
    except OSError as error:
        raise click.UsageError(f"{file} cannot be written: {error.strerror}.") from error
    shell.status(f"Use it: groundling config set guard.policy {file}")


def _check(checked: Guard, text: str, rail: Rail, question: str | None) -> tuple[Decision, float]:
    begun = time.perf_counter()
    decision = asyncio.run(checked.check(text, rail, question=question))
    return decision, round((time.perf_counter() - begun) * 1000, 1)


def _lines(decision: Decision) -> Iterator[str]:
    yield f"{decision['outcome']}: {decision['action']}"
    for reason in decision["reasons"]:
        place = "" if reason["start"] is None else f", characters {reason['start']}–{reason['end']}"
        yield f"  {reason['detector']}: {reason['detail']} ({reason['score']:.2f}{place})"
    if decision["notice"]:
        yield decision["notice"]


def explained(checked: Guard, decision: Decision, text: str, rail: Rail) -> Table:
    """Draw what each detector said beside the rule it was held against."""
    from rich.table import Table

    from groundling.guardrails.policy import DETECTORS, NEED_MODEL
    from groundling.models.prompts import language_of

    table = Table("detector", "found", "score", "threshold", "rule", "by")
    rules = checked.policy.rules(rail)
    for name in DETECTORS:
        rule = rules.of(name)
        found = [one for one in decision["reasons"] if one["detector"] == name]
        by = "model" if name in NEED_MODEL else "patterns"
        if rule.action == "off":
            table.add_row(name, "", "", "", "off", by)
            continue
        asked = name not in NEED_MODEL or checked.model is not None
        kinds = ", ".join(dict.fromkeys(one["kind"] for one in found))
        best = f"{max(one['score'] for one in found):.2f}" if found else ""
        threshold = f"{rule.least(language_of(text)):.2f}"
        told = kinds or ("–" if asked else "not asked")
        table.add_row(name, told, best, threshold, rule.action, by)
    return table
