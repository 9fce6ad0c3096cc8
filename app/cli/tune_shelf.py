"""`groundling tune list|show|promote|rollback|remove`: the adapters, and which one answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from groundling.cli.output import Command, Shell, pass_shell

if TYPE_CHECKING:
    from groundling.models.adapter_shelf import AdapterShelf


@click.command("list", cls=Command)
@pass_shell
def list_(shell: Shell) -> None:
    """List the adapters, the newest first; * answers wherever its base does."""
    shelf = _shelf(shell)
    found = shelf.list()
    lines = [
        f"{'*' if shelf.promoted(each.card.base) == each.card.name else ' '} "
        f"{each.card.name:<20} {each.card.method:<4} {each.card.created[:16]}  "
        f"{each.card.base_name}  {each.card.data}"
        for each in found
    ]
    data = [
        {**asdict(each.card), "promoted": shelf.promoted(each.card.base) == each.card.name}
        for each in found
    ]
    shell.out(data, lines)
    if not found and not shell.json:
        shell.status("There is none yet.\nNext:  groundling tune data build --help")


@click.command(cls=Command)
@click.argument("name")
@pass_shell
def show(shell: Shell, name: str) -> None:
    """Show how an adapter was made and what it scored."""
    shelf = _shelf(shell)
    card = shelf.get(name).card
    steps = shelf.promotions(name)
    lines = [
        f"{card.name}  {card.method}, {card.created}",
        f"base      {card.base_name}  {card.base[:12]}",
        f"data      {card.data}",
        f"parent    {card.parent or 'none'}",
        *_scores(card.scores),
        *(f"{step['at'][:16]}  {_done(step)}" for step in steps),
        "",
        card.recipe,
    ]
    shell.out({**asdict(card), "promotions": steps}, lines)


@click.command(cls=Command)
@click.argument("name")
@pass_shell
def promote(shell: Shell, name: str) -> None:
    """Let an adapter answer wherever its base does, from the next answer on.

    `groundling tune gate` does it by itself where the adapter has earned it.
    """
    before = _shelf(shell).promote(name)
    shell.out(
        {"promoted": name, "before": before},
        [f"{name} answers; before: {before or 'the bare model'}."],
    )
    shell.status("Back:  groundling tune rollback")


@click.command(cls=Command)
@pass_shell
def rollback(shell: Shell) -> None:
    """Take the latest promotion of the configured model back."""
    from groundling.models.adapter_shelf import fingerprint
    from groundling.models.files.store import ModelStore

    settings = shell.settings
    base = ModelStore(settings.models_path, settings.download).resolve(settings.model.name).path
    gone, answers = _shelf(shell).rollback(fingerprint(base))
    shell.out(
        {"gone": gone, "answers": answers},
        [f"{gone} answers no more; {answers or 'the bare model'} does."],
    )


@click.command(cls=Command)
@click.argument("name")
@pass_shell
def remove(shell: Shell, name: str) -> None:
    """Delete an adapter, and what its training kept; or what a stopped training kept."""
    import shutil

    from groundling.models.adapter_shelf import is_name
    from groundling.tuning.supervisor import alone

    shelf = _shelf(shell)
    kept = shell.settings.tuning_path / "runs" / name
    stopped = name not in shelf and is_name(name) and kept.is_dir()  # a training without end
    if name not in shelf and not stopped:
        shelf.remove(name)  # says that there is none
    with alone(kept):  # not under a training of that name
        if not stopped:
            shelf.remove(name)
        shutil.rmtree(kept)
    shell.out({"removed": name}, [f"Deleted: {name}."])


def _scores(scores: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a gate measured, a line for each skill."""
    for name, score in scores.items():
        if isinstance(score, Mapping):
            yield (
                f"{name:<9} {score['base']:.2f} → {score['adapter']:.2f}, difference "
                f"{score['low']:+.2f} … {score['high']:+.2f}, {score['examples']} examples"
            )
    if "passed" in scores:
        yield f"gate      {'passed' if scores['passed'] else 'not passed'}"


def _done(step: Mapping[str, Any]) -> str:
    if step["did"] == "promoted":
        return f"promoted; before: {step.get('before') or 'the bare model'}"
    return f"{step['did']}; answers since: {step.get('answers') or 'the bare model'}"


def _shelf(shell: Shell) -> AdapterShelf:
    from groundling.models.adapter_shelf import AdapterShelf

    return AdapterShelf(shell.settings.adapters_path)
