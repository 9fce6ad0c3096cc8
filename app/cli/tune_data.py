"""`groundling tune data`: build, look at and pass on what a model learns from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from groundling.cli.output import Group, Shell, pass_shell

if TYPE_CHECKING:
    from groundling.tuning.dataset import Card, DataShelf
    from groundling.tuning.example import Example

_FORMATS = ("chat", "preference", "label", "alpaca", "sharegpt")
_SHOWN = 5
_LINE = 100  # characters


@click.group(cls=Group)
def data() -> None:
    """Keep what a model learns from: examples, each with where it comes from.

    DATA is a name as `list` shows it; NAME@VERSION is an earlier version.
    """


@data.command()
@click.argument("name")
@click.option("--feedback", is_flag=True, help="Corrections and thumbs of this home folder's runs.")
@click.option("--traces", is_flag=True, help="Runs that went well, of which nobody said otherwise.")
@click.option(
    "--docs", "bases", multiple=True, metavar="BASE",
    help="Questions about a knowledge base, written and checked by the model; repeatable.",
)  # fmt: skip
@click.option(
    "--questions", type=click.IntRange(1), default=100, show_default=True,
    help="How many, of each knowledge base.",
)  # fmt: skip
@click.option(
    "--phrasings", type=click.IntRange(1, 4), default=1, show_default=True,
    help="Ways to ask each; of several the last is held out.",
)  # fmt: skip
@click.option(
    "--mistakes", "asked", multiple=True, metavar="DATA",
    help="Ask the model what this data set asks: right answers over its wrong ones; repeatable.",
)  # fmt: skip
@click.option(
    "--file", "files", multiple=True, type=click.Path(path_type=Path, dir_okay=False),
    help="JSON lines or CSV; repeatable.",
)  # fmt: skip
@click.option("-g", "--graph", metavar="NAME", help="Of runs: only this graph's.")
@click.option(
    "--asked-as", type=click.Choice(["question", "prompt"]), default="question", show_default=True,
    help="Learn from the question as it is, or from the prompt that a graph makes of it.",
)  # fmt: skip
@click.option(
    "--heldout", type=click.FloatRange(0, 0.9), default=0.1, show_default=True,
    help="Share that is kept for trying the result.",
)  # fmt: skip
@click.option("--licence", default="unknown", help="Under which terms the examples may be used.")
@pass_shell
def build(
    shell: Shell,
    name: str,
    feedback: bool,
    traces: bool,
    bases: tuple[str, ...],
    questions: int,
    phrasings: int,
    asked: tuple[str, ...],
    files: tuple[Path, ...],
    graph: str | None,
    asked_as: str,
    heldout: float,
    licence: str,
) -> None:
    """Build a version of the data set NAME; say what was let go, and why.

    Personal data and secrets are blacked out. What repeats itself, contradicts itself or is
    asked by the gate or a data set of `groundling dataset` is left out. The same examples make
    the same version.

    \b
    groundling tune data build mine --feedback
    groundling tune data build bot --docs handbook --questions 200 --phrasings 4
    groundling --adapter bot tune data build bot-pairs --mistakes bot
    groundling tune data build mine --feedback --file more.jsonl --licence CC-BY-4.0
    """
    if not (feedback or traces or bases or asked or files):
        raise click.UsageError("Give --feedback, --traces, --docs, --mistakes or --file.")
    from groundling.tuning.dataset import check_name
    from groundling.tuning.gate import FEWEST
    from groundling.tuning.selection import select

    check_name(name)  # before the model is asked for an hour, not after
    bad: list[str] = []
    found: list[Example] = []
    if feedback or traces:
        found += _of_runs(shell, feedback, traces, graph, asked_as)
    for file in files:
        found += _of_file(file, bad)
    for line in bad[:_SHOWN]:
        shell.warn(line)
    if len(bad) > _SHOWN:
        shell.warn(f"{len(bad) - _SHOWN} further lines could not be read.")
    for base in bases:
        found += _of_documents(shell, base, questions, asked_as, phrasings)
    for data in asked:
        found += _of_mistakes(shell, data)
    chosen = select(found, evaluated=_evaluated(shell), heldout=heldout)
    stored = _shelf(shell).store(
        name,
        chosen,
        licence=licence,
        made_of={
            "feedback": feedback, "traces": traces, "docs": list(bases), "questions": questions,
            "phrasings": phrasings, "mistakes": list(asked),
            "model": shell.settings.model.name, "adapter": shell.settings.model.adapter,
            "files": [file.name for file in files], "graph": graph, "asked_as": asked_as,
            "heldout": heldout,
        },
    )  # fmt: skip
    shell.out({**asdict(stored.card), "unread": len(bad)}, _told(stored.card))
    if (held := sum(stored.card.heldout.values())) < FEWEST:
        shell.warn(f"{held or 'No'} examples are held out; `tune gate` wants {FEWEST}: more "
                   "examples, or a larger --heldout.")  # fmt: skip
    shell.status(f"Next:  groundling tune data show {name}")


@data.command("list")
@pass_shell
def list_(shell: Shell) -> None:
    """List the data sets with their versions, the newest first."""
    found = _shelf(shell).list()
    lines = [
        f"{each.card.name}@{each.card.version}  {each.card.created[:16]}  "
        f"{each.card.examples:>6,} to learn from, {sum(each.card.heldout.values()):,} held out"
        for each in found
    ]
    shell.out([asdict(each.card) for each in found], lines)
    if not found and not shell.json:
        shell.status("There is none yet.\nNext:  groundling tune data build --help")


@data.command()
@click.argument("data", metavar="DATA")
@click.option("--drops", is_flag=True, help="What was let go, with the reasons.")
@pass_shell
def show(shell: Shell, data: str, drops: bool) -> None:
    """Show a data set's card and its first examples."""
    found = _shelf(shell).get(data)
    if drops:
        gone = found.drops()
        shell.out(gone, [f"{one['rule']:<15} {one['question']!r}: {one['reason']}" for one in gone])
        if not gone and not shell.json:
            shell.status("Nothing was let go.")
        return
    shown = found.train()[:_SHOWN]
    shell.out(
        {**asdict(found.card), "examples": [_shown(each) for each in shown]},
        [*_told(found.card), "", *(line for each in shown for line in _lines(each))],
    )


@data.command()
@click.argument("data", metavar="DATA")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--format", "form", type=click.Choice(_FORMATS), help="Default: each its own.")
@click.option(
    "--part", type=click.Choice(["train", "heldout"]), default="train", show_default=True,
    help="Which examples.",
)  # fmt: skip
@pass_shell
def export(shell: Shell, data: str, file: Path, form: Any, part: str) -> None:
    """Write examples as JSON lines; FILE may be -.

    Those that the format has no place for are left out, and counted.
    """
    from groundling.errors import TuningError
    from groundling.tuning.formats import write_lines

    found = _shelf(shell).get(data)
    examples = found.train() if part == "train" else found.heldout()
    written: dict[str, None] = {}  # a right answer and a pair with it may be one line of Alpaca
    left = 0
    for example in examples:
        try:
            written[write_lines([example], form)] = None
        except TuningError:
            left += 1
    text = "".join(written)
    if str(file) == "-":
        click.echo(text, nl=False)
        if left:
            shell.warn(f"{left:,} examples have no place in this format, and are left out.")
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise TuningError(
            f"{file} cannot be written: {error.strerror or error}.",
            hint="Give a file in a folder that is there, or - for the standard output.",
        ) from error
    shell.out(
        {"file": str(file), "examples": len(written), "left_out": left},
        [f"{len(written):,} examples in {file}; {left:,} have no place in this format."],
    )


@data.command()
@click.argument("name")
@pass_shell
def remove(shell: Shell, name: str) -> None:
    """Delete a data set with all its versions."""
    gone = _shelf(shell).remove(name)
    shell.out({"name": name, "versions": gone}, [f"Deleted: {gone} versions of {name}."])


def _shelf(shell: Shell) -> DataShelf:
    from groundling.tuning.dataset import DataShelf

    return DataShelf(shell.settings.tuning_path / "data")


def _of_runs(
    shell: Shell, feedback: bool, traces: bool, graph: str | None, asked_as: Any
) -> list[Example]:
    from groundling.home import Home
    from groundling.tracing.query import RunFilter
    from groundling.tuning.sources import from_feedback, from_traces

    with Home(**shell.flags) as home:
        wanted, found = RunFilter(graph=graph), list["Example"]()
        if feedback:
            found += from_feedback(home.traces, wanted, asked_as)
        if traces:
            found += from_traces(home.traces, wanted, asked_as)
    return found


def _of_file(file: Path, bad: list[str]) -> Iterator[Example]:
    from groundling.tuning.files import read_file

    for line, example in read_file(file):
        if isinstance(example, str):
            bad.append(f"{file}:{line}: {example}")
        else:
            yield example


def _of_documents(
    shell: Shell, base: str, questions: int, asked_as: Any, phrasings: int
) -> list[Example]:
    from groundling.cli.prepare import open_home, read_documents
    from groundling.cli.progress import stages
    from groundling.tuning.documents import from_documents

    with open_home(shell, documents=True) as home:
        read_documents(shell, home, base, None)
        shell.status(f"The model asks and answers about {base}; each question takes some seconds …")
        kept = "What was asked is kept; the same command goes on from there."
        with stages(shell, kept) as tell:
            found = from_documents(
                home.knowledge(base), home.model, questions, tell,
                asked_as=asked_as, phrasings=phrasings,
            )  # fmt: skip
    asked = len({(each.about["document"], each.about["start"]) for each in found})
    if asked < questions:
        shell.warn(
            f"{asked} of {questions} questions about {base} could be kept: each passage is asked "
            "about once, and what the model does not answer alike from it is let go."
        )
    return found


def _of_mistakes(shell: Shell, data: str) -> list[Example]:
    from groundling.cli.prepare import open_home
    from groundling.cli.progress import stages
    from groundling.tuning.mistakes import from_mistakes

    asked = _shelf(shell).get(data)
    shell.status(f"The model is asked what {data} asks …")
    lost = "No answer is kept, and no data set is changed: the same command asks all of it again."
    with open_home(shell, documents=False) as home, stages(shell, lost) as tell:
        return from_mistakes(asked, home.model, tell)


def _evaluated(shell: Shell) -> dict[str, list[str]]:
    """Return what experiments and the gate ask: it is not to be learnt."""
    from groundling.evaluation.datasets import DatasetStore
    from groundling.evaluation.score import asked_of
    from groundling.evaluation.shipped import SHIPPED, dataset_of
    from groundling.tuning.regression import suite

    with DatasetStore(shell.settings.evaluation_path) as store:
        for name in SHIPPED:
            dataset_of(store, name)
        asked = {
            each.name: [asked_of(example) for example in store.examples(each.id)]
            for each in store.list(limit=-1)
        }
    return {**asked, "of the gate": [case.shown for case in suite()]}


def _told(card: Card) -> list[str]:
    def counted(counts: Any) -> str:
        return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items())) or "none"

    return [
        f"{card.name}@{card.version}",
        f"to learn from   {counted(card.train)}",
        f"held out        {counted(card.heldout)}",
        f"sources         {counted(card.sources)}",
        f"languages       {counted(card.languages)}",
        f"let go          {counted(card.drops)}",
        f"blacked out     {counted(card.redacted)}",
        f"licence         {card.licence}",
    ]


def _lines(example: Example) -> Iterator[str]:
    yield f"? {short(example.question)}"
    mark = {None: "+", True: "👍", False: "👎"}[example.good]
    yield f"{mark} {short(example.answer)}"
    if example.rejected is not None:
        yield f"- {short(example.rejected)}"


def _shown(example: Example) -> dict[str, Any]:
    from groundling.tuning.formats import as_json

    return as_json(example)


def short(text: str) -> str:
    """Return a text on one line of the terminal."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _LINE else line[: _LINE - 1] + "…"
