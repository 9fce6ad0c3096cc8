"""`groundling tune sft|dpo|kto`: train an adapter, and see how it goes."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import click

from groundling.cli.output import Command, Shell, pass_shell

if TYPE_CHECKING:
    from groundling.tuning.learn import Learnt
    from groundling.tuning.training.job import Event

_Function = TypeVar("_Function", bound=Callable[..., Any])
_OPTIONS = (
    click.argument("name"),
    click.option("--data", "data", required=True, metavar="DATA", help="Of `tune data list`."),
    click.option(
        "--recipe", default="laptop", show_default=True, metavar="NAME|FILE",
        help="laptop, gpu, multi-gpu, or a TOML file.",
    ),
    click.option(
        "--set", "flags", multiple=True, metavar="KEY=VALUE",
        help="Change a value of the recipe, such as rank=8; repeatable.",
    ),
    click.option("--steps", type=click.IntRange(1), help="Most updates of the weights."),
    click.option(
        "--from", "parent", metavar="ADAPTER",
        help="Go on from this adapter, whose rank and matrices stay.",
    ),
    click.option(
        "--launch", metavar="COMMAND",
        help='Starts several processes: "torchrun --nproc-per-node 2".',
    ),
    click.option("--plan", "only_plan", is_flag=True, help="Say what memory it takes, and stop."),
)  # fmt: skip


def _trains(command: _Function) -> _Function:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command(cls=Command)
@_trains
@pass_shell
def sft(shell: Shell, /, **options: Any) -> None:
    """Train the adapter NAME on right answers (supervised fine-tuning).

    It runs beside whatever answers, at a low priority. Interrupted or killed, the same
    command goes on from the last checkpoint.

    \b
    groundling tune sft bot --data bot
    groundling tune sft bot --data bot --set rank=8 --steps 100
    """
    _train(shell, "sft", **options)


@click.command(cls=Command)
@_trains
@pass_shell
def dpo(shell: Shell, /, **options: Any) -> None:
    """Train the adapter NAME on pairs of answers, a better and a worse one (DPO).

    \b
    groundling tune dpo bot-2 --data mine --from bot
    """
    _train(shell, "dpo", **options)


@click.command(cls=Command)
@_trains
@pass_shell
def kto(shell: Shell, /, **options: Any) -> None:
    """Train the adapter NAME on single answers, good and bad ones: thumbs (KTO)."""
    _train(shell, "kto", **options)


def _train(
    shell: Shell,
    method: str,
    *,
    name: str,
    data: str,
    recipe: str,
    flags: tuple[str, ...],
    steps: int | None,
    parent: str | None,
    launch: str | None,
    only_plan: bool,
) -> None:
    from groundling.models.files.store import ModelStore
    from groundling.tuning.dataset import DataShelf
    from groundling.tuning.learn import learn, shaped
    from groundling.tuning.recipe import read_recipe
    from groundling.tuning.supervisor import material

    settings = shell.settings
    wanted = {**_values(flags), "method": method, "steps": steps}
    used = read_recipe(recipe, wanted)
    found = DataShelf(settings.tuning_path / "data").get(data)
    base = ModelStore(settings.models_path, settings.download).resolve(settings.model.name).path
    if only_plan:
        used = shaped(settings, used, parent)
        planned = material(base, used, found.train(), found.heldout()).plan
        shell.out({**asdict(planned), "needed": planned.needed}, [planned.explain()])
        return
    with _shown(shell) as tell:
        made = learn(
            settings, base, name, found, used,
            parent=parent, command=shlex.split(launch) if launch else (), tell=tell,
        )  # fmt: skip
    told = {
        **asdict(made.card),
        "ended": made.ended,
        "planned": made.plan.needed,
        "model": made.model and str(made.model),
    }
    shell.out(told, _told(made))
    if made.skipped:
        shell.warn(f"{len(made.skipped)} examples were passed over: {made.skipped[0]}")
    if made.adapter is not None:
        shell.status(f"Next:  groundling tune gate {name}")


def _values(flags: tuple[str, ...]) -> dict[str, Any]:
    import tomllib

    found: dict[str, Any] = {}
    for flag in flags:
        key, equals, value = flag.partition("=")
        if not equals:
            raise click.UsageError(f"--set {flag} wants KEY=VALUE.")
        try:
            found[key.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[key.strip()] = value
    return found


@contextmanager
def _shown(shell: Shell) -> Iterator[Callable[[Event], None]]:
    """Show updates: a bar on a terminal, a line now and then elsewhere, events with --json."""
    if shell.json:
        yield lambda _: None
        return
    if not shell.stderr.is_terminal:
        yield lambda event: _line(shell, event)
        return
    from rich.progress import MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (*Bar.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn(),
               TextColumn("{task.fields[loss]}"))  # fmt: skip
    try:
        with Bar(*columns, console=shell.stderr, transient=True) as bar:
            task = bar.add_task("Reading the weights", total=None, loss="")

            def tell(event: Event) -> None:
                if event["event"] == "begun":
                    bar.update(task, description="Training", total=event["steps"])
                if event["event"] in ("step", "look"):
                    what = "held out " if event["event"] == "look" else ""
                    bar.update(
                        task, completed=event["step"], loss=f"{what}loss {event['loss']:.3f}"
                    )

            yield tell
    except KeyboardInterrupt:
        shell.status("\nThe last whole checkpoint is kept; the same command goes on from there.")
        raise


def _line(shell: Shell, event: Event) -> None:
    match event["event"]:
        case "loading":
            shell.status("Reading the weights …")
        case "begun":
            shell.status(f"Training: {event['step']} of {event['steps']} updates done.")
        case "look":
            right = f", {event['accuracy']:.0%} right" if "accuracy" in event else ""
            shell.status(
                f"{event['step']}/{event['steps']}: held-out loss {event['loss']:.3f}{right}"
            )


def _told(made: Learnt) -> list[str]:
    card, ended = made.card, made.ended
    lines = [f"{card.name}: {card.method} on {card.data}, of {card.base_name}"]
    if "tokens" in ended:
        lines.append(
            f"{ended['step']:,} updates, {ended['tokens']:,} tokens, {ended['trained']:,} numbers "
            f"trained, {ended['seconds']:.0f} s, {ended['memory'] / 1e9:.1f} GB of the "
            f"{made.plan.needed / 1e9:.1f} GB that were planned"
        )
    if ended.get("best", ended.get("step")) != ended.get("step"):
        lines.append(f"Update {ended['best']:,} did best on held-out examples: that is kept.")
    which = f"--adapter {card.name}" if made.model is None else f"--model {made.model}"
    lines.append(f'Try it:  groundling {which} ask "…"')
    return lines
