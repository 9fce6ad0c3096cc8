"""The options by which `trace list`, `tail` and `export` choose runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from groundling.cli.when import when

if TYPE_CHECKING:
    from groundling.tracing.query import RunFilter

STATUSES = ("running", "success", "error", "interrupted", "cancelled", "lost")
_Function = TypeVar("_Function", bound=Callable[..., Any])
# LangGraph tags the runs of its nodes; inside them are further runs of the same node.
_IS_NODE = "runs.tags LIKE '%\"graph:step:%'"

period = (
    click.option("--since", type=when, metavar="WHEN", help="Since 24h, 7d, today, 2026-11-01."),
    click.option("--until", type=when, metavar="WHEN", help="Before that."),
)
_OPTIONS = (
    click.option("-g", "--graph", metavar="NAME", help="Of this graph."),
    click.option("--node", metavar="NAME", help="Runs of this node, instead of whole traces."),
    click.option(
        "--status", multiple=True, type=click.Choice(STATUSES), help="Only these; repeatable."
    ),
    click.option("--verdict", metavar="WORD", help="answered, unproved, refused."),
    click.option("--feedback", metavar="TEST", help='With feedback: a key, "<0", "thumbs>=1".'),
    click.option(
        "--slow", type=click.FloatRange(0), metavar="SECONDS", help="That took at least so long."
    ),
    click.option("--text", metavar="WORDS", help="With these words in what went in or out."),
    *period,
    click.option("--thread", metavar="ID", help="Of this conversation."),
    click.option("--tag", metavar="TAG", help="With this tag."),
    click.option("--model", "of_model", metavar="NAME", help="That asked this model."),
    click.option("--project", metavar="NAME", help="Filed under this project."),
    click.option("--all", "every", is_flag=True, help="Every run inside the traces, too."),
)


def filters(command: _Function) -> _Function:
    """Give a command the options; they arrive in its `**options`, for `wanted`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def wanted(
    *,
    graph: str | None,
    node: str | None,
    status: tuple[str, ...],
    verdict: str | None,
    feedback: str | None,
    slow: float | None,
    text: str | None,
    since: int | None,
    until: int | None,
    thread: str | None,
    tag: str | None,
    of_model: str | None,
    project: str | None,
    every: bool,
) -> RunFilter:
    """Return the filter that the options describe."""
    from groundling.tracing.query import RunFilter
    from groundling.tracing.run import Status

    return RunFilter(
        roots=None if every or node else True,
        graph=graph,
        node=node,
        status=[Status(each) for each in status],
        verdict=verdict,
        feedback=feedback,
        slower=slow,
        text=text,
        since=since,
        until=until,
        thread=thread,
        tag=tag,
        model=of_model,
        project=project,
        clauses=[(_IS_NODE, ())] if node and not every else [],
    )
