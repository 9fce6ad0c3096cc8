"""From training data to an adapter on the shelf: train, export, put away.

    made = learn(settings, base, "mine", data, recipe, tell=print)

What is trained stays in `tuning/runs/<name>` until it is on the shelf, so that whatever stops
it, the same call goes on; PEFT's own form stays there, for the next training to go on from.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from groundling.errors import TuningError
from groundling.models.adapter_shelf import ADAPTER, AdapterCard, AdapterShelf, Shelved, fingerprint
from groundling.models.gguf import read_gguf
from groundling.settings import Settings
from groundling.tuning.dataset import TrainingData
from groundling.tuning.export import export_adapter
from groundling.tuning.recipe import Recipe
from groundling.tuning.supervisor import TrainingRun
from groundling.tuning.training.job import RESULT, Event

Tell = Callable[[Event], None]


@dataclass(frozen=True)
class Learnt:
    """What a training run made.

    Args:
        ended: what the process told at its end.
        skipped: why examples were not learnt from.
    """

    adapter: Shelved
    ended: Event
    skipped: Sequence[str]


def learn(
    settings: Settings,
    base: Path,
    name: str,
    data: TrainingData,
    recipe: Recipe,
    *,
    parent: str | None = None,
    command: Sequence[str] = (),
    tell: Tell = lambda _: None,
) -> Learnt:
    """Train an adapter and put it on the shelf.

    Args:
        base: the model's file.
        name: what the adapter is to be called.
        parent: an adapter of this home folder to go on from, such as the one that SFT made
            before DPO.
        command: starts Python with its arguments, such as torchrun.
        tell: called with what the training tells.

    Raises:
        TuningError: see `TrainingRun`; the parent's PEFT form is gone.
        AdapterError: the name is none, or the parent is another base's.
    """
    shelf = AdapterShelf(settings.adapters_path)
    print_of_base = fingerprint(base)
    start = None if parent is None else _start(settings, shelf, parent, print_of_base)
    folder = settings.tuning_path / "runs" / name
    if (folder / "job.json").is_file() and not _same(folder, data, recipe, parent):
        shutil.rmtree(folder)  # of another recipe or other data: nothing to go on from
    run = TrainingRun.prepare(folder, base, recipe, data.train(), data.heldout(), start=start)
    (folder / "made-of").write_text(_made_of(data, recipe, parent), encoding="utf-8")
    ended: Event = {}
    if not (run.result / "adapter_config.json").is_file():
        for event in run.events(command):
            tell(event)
            ended = event
    export_adapter(run.result, base, folder / ADAPTER)
    card = AdapterCard(
        name=name,
        base=print_of_base,
        base_name=read_gguf(base).name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        method=recipe.method,
        data=f"{data.card.name}@{data.card.version}",
        recipe=recipe.text(),
        parent=parent,
    )
    made = shelf.add(folder / ADAPTER, card)
    (folder / ADAPTER).unlink()
    return Learnt(made, ended, run.skipped)


def _start(settings: Settings, shelf: AdapterShelf, parent: str, base: str) -> Path:
    shelf.for_base(parent, base)
    folder = settings.tuning_path / "runs" / parent / RESULT
    if not (folder / "adapter_config.json").is_file():
        raise TuningError(
            f"The adapter {parent} cannot be gone on with: what torch needs of it is gone.",
            hint="groundling tune sft makes it anew from the same data.",
        )
    return folder


def _made_of(data: TrainingData, recipe: Recipe, parent: str | None) -> str:
    return f"{data.card.name}@{data.card.version} {recipe.digest} {parent or '-'}"


def _same(folder: Path, data: TrainingData, recipe: Recipe, parent: str | None) -> bool:
    try:
        return (folder / "made-of").read_text(encoding="utf-8") == _made_of(data, recipe, parent)
    except OSError:
        return False
