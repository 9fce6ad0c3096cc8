"""`groundling feedback`: what a person thinks of an answer, kept with its run."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from groundling.cli.output import Group, Shell, pass_shell
from groundling.errors import TraceError

if TYPE_CHECKING:
    from groundling.tracing.feedback import Feedback

_THUMBS = "thumbs"


@click.group(cls=Group)
def feedback() -> None:
    """Say how good an answer was, and what would have been right.

    RUN is `last`, or at least 4 of the first or last digits of a run's id: groundling trace
    list. What is judged is kept longer than other runs, and is what training learns from.
    """


@feedback.command()
@click.argument("run", metavar="RUN")
@click.option("--up", "thumbs", flag_value=1, type=int, help="A good answer.")
@click.option("--down", "thumbs", flag_value=-1, type=int, help="A bad one.")
@click.option("--score", type=float, metavar="X", help="A number; higher is better.")
@click.option("--key", metavar="KEY", help="What is judged; default: thumbs, score or note.")
@click.option("--comment", metavar="TEXT", help="In your words.")
@click.option(
    "--correction", metavar="TEXT|@FILE|-", help="The right answer; @FILE and - read it from there."
)
@pass_shell
def add(
    shell: Shell,
    run: str,
    thumbs: int | None,
    score: float | None,
    key: str | None,
    comment: str | None,
    correction: str | None,
) -> None:
    """Judge a run: thumbs up or down, a score, a comment, the answer that was right."""
    from groundling.cli.run_store import existing
    from groundling.tracing.as_json import feedback_as_json, short_id
    from groundling.tracing.feedback import Feedback, FeedbackBook

    if thumbs is not None and score is not None:
        raise click.UsageError("--up and --down are scores; give one of the three.")
    if thumbs is None and score is None and not comment and not correction:
        raise click.UsageError("Give --up, --down, --score, --comment or --correction.")
    if score is not None and not math.isfinite(score):
        raise click.UsageError("A score is a number.")
    right = None if correction is None else _text(correction)
    with existing(shell, writes=True) as store:
        found = store.resolve(run)
        default = _THUMBS if thumbs is not None else "note" if score is None else "score"
        given = Feedback(
            key=key or default,
            run=found.id,
            score=float(thumbs) if thumbs is not None else score,
            comment=comment,
            correction=right,
        )
        FeedbackBook(store).add(given)
        kept = FeedbackBook(store).get(given.id)
    shell.out(
        feedback_as_json(kept),
        [f"Kept as {short_id(given.id)}, on {found.name} {short_id(found.id)}: {found.preview}"],
    )


@feedback.command("list")
@click.argument("run", required=False, metavar="[RUN]")
@click.option("--key", metavar="KEY", help="Only of this key.")
@click.option(
    "-n", "--limit", type=click.IntRange(1), default=20, show_default=True, help="How many."
)
@pass_shell
def list_(shell: Shell, run: str | None, key: str | None, limit: int) -> None:
    """List what was said, the newest first; of RUN, what was said of anything in its trace."""
    from groundling.cli.run_store import emit, existing, opened, width
    from groundling.tracing.as_json import feedback_as_json
    from groundling.tracing.feedback import FeedbackBook

    given: list[Feedback] = []
    runs: dict[Any, Any] = {}
    with opened(shell) if run is None else existing(shell) as store:
        if store is not None:
            book = FeedbackBook(store)
            if run is None:
                given = book.find(keys=[key] if key else [], limit=limit)
            else:
                trace = store.resolve(run).trace
                said = book.of_traces([trace]).get(trace, [])
                given = [one for one in said if key in (None, one.key)][:limit]
            ids = {one.run for one in given if one.run is not None}
            runs = {id: found for id in ids if (found := store.run(id)) is not None}
    data = [feedback_as_json(one) for one in given]
    if not given:
        shell.out(data)
        if not shell.json:
            shell.status(
                "There is no feedback yet.\nNext:  groundling feedback add last --up, or --down"
            )
        return
    from groundling.cli.run_tables import feedback_table

    emit(shell, data, feedback_table(given, runs, width=width(shell)))


@feedback.command()
@click.argument("id", metavar="ID")
@pass_shell
def remove(shell: Shell, id: str) -> None:
    """Take back what was said; ID as `list` shows it."""
    from groundling.cli.run_store import existing
    from groundling.tracing.as_json import feedback_as_json, short_id
    from groundling.tracing.feedback import FeedbackBook

    with existing(shell) as store:
        book = FeedbackBook(store)
        found = book.resolve(id)
        book.remove(found.id)
    shell.out(feedback_as_json(found), [f"Removed: {short_id(found.id)} ({found.key})."])


@feedback.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True))
@pass_shell
def export(shell: Shell, file: Path) -> None:
    """Write all feedback as JSON lines, with what was asked, answered and right.

    FILE may be - for standard output.
    """
    from groundling.cli.run_store import existing
    from groundling.tracing.exports import export_feedback, written

    with existing(shell) as store:
        if str(file) == "-":
            for line in export_feedback(store):
                sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
            return
        with written(file) as page:
            count = 0
            for line in export_feedback(store):
                page.write(line)
                count += 1
    shell.out(
        {"file": str(file), "feedback": count},
        [f"{count:,} piece{'s' * (count != 1)} of feedback written to {file}."],
    )


def _text(given: str) -> str:
    """Return a text that is given, or where it stands.

    Raises:
        TraceError: the file cannot be read.
    """
    try:
        if given == "-":
            return sys.stdin.read().strip()
        if given.startswith("@"):
            return Path(given[1:]).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise TraceError(
            f"{given} cannot be read: {error}", hint="Name a text file, as @answer.txt."
        ) from error
    return given
