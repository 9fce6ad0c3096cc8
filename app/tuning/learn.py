"""From training data to an adapter on the shelf, or to a new model: train, export, put away.

    made = learn(settings, base, "mine", data, recipe, tell=print)

What is trained stays in `tuning/runs/<name>` until it is on the shelf, so that whatever stops
it, the same call goes on; PEFT's own form stays there, for the next training to go on from.
Full weights are no adapter: they become a GGUF file of their own, `tuning/models/<name>.gguf`,
with its card beside it, which is used by its path, as any file is; the base stays what it is.
"""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from groundling.errors import TuningError
from groundling.models.adapter_shelf import ADAPTER, AdapterCard, AdapterShelf, Shelved, fingerprint
from groundling.models.gguf import read_gguf
from groundling.settings import Settings
from groundling.tuning.dataset import TrainingData
from groundling.tuning.export import check_exportable, export_adapter
from groundling.tuning.plan import TrainingPlan
from groundling.tuning.recipe import Recipe
from groundling.tuning.rewriting import check_rewritable, write_weights
from groundling.tuning.supervisor import TrainingRun, alone
from groundling.tuning.training.job import RESULT, Event

Tell = Callable[[Event], None]
_MADE_OF = "made-of"
_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"  # PEFT's names
# What a recipe says of an adapter's form, which is settled when it is first made.
_SHAPE = ("rank", "alpha", "dropout", "targets", "ranks")


@dataclass(frozen=True)
class Learnt:
    """What a training run made.

    Args:
        card: what is known of it.
        ended: what the process told at its end; empty where it had ended before.
        skipped: why examples were not learnt from.
        plan: what it was to take of memory.
        adapter: on the shelf; None where all weights were trained.
        model: the new model's file where all weights were trained.
    """

    card: AdapterCard
    ended: Event
    skipped: Sequence[str]
    plan: TrainingPlan
    adapter: Shelved | None = None
    model: Path | None = None


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
    """Train an adapter and put it on the shelf, or write a new model.

    Args:
        base: the model's file; it is only read.
        name: what the adapter or the model is to be called.
        parent: an adapter of this home folder to go on from, such as the one that SFT made
            before DPO. Its rank and its matrices stay, whatever the recipe says of them.
        command: starts Python with its arguments, such as torchrun.
        tell: called with what the training tells.

    Raises:
        TuningError: see `TrainingRun`; the parent's PEFT form is gone; the base is of a kind
            whose adapter, or whose weights, cannot be written.
        AdapterError: the name is none or is promoted, or the parent is another base's.
    """
    shelf = AdapterShelf(settings.adapters_path)
    shelf.check_free(name)  # before hours of training, not after
    header = read_gguf(base)
    recipe = shaped(settings, recipe, parent)
    card = AdapterCard(
        name=name,
        base=fingerprint(base),
        base_name=header.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        method=recipe.method,
        data=f"{data.card.name}@{data.card.version}",
        recipe=recipe.text(),
        parent=parent,
    )
    whole = recipe.weights == "full"
    if whole:
        check_rewritable(header)
    else:
        check_exportable(header)
    start = None if parent is None else _start(settings, shelf, card, whole)
    folder = settings.tuning_path / "runs" / name
    with alone(folder):
        made_of = _made_of(card, recipe, start)
        _make_room(folder, made_of)
        run = TrainingRun.prepare(folder, base, recipe, data.train(), data.heldout(), start=start)
        (folder / _MADE_OF).write_text(made_of, encoding="utf-8")
        ended: Event = {}
        if not run.result.is_dir():
            for event in run.events(command):
                tell(event)
                ended = event
        if fingerprint(base) != card.base:
            raise TuningError(
                f"{base.name} was replaced while it was trained on; what was trained belongs to "
                "neither file.",
                hint="The same command begins anew, on the file that is there now.",
            )
        if whole:
            file = settings.tuning_path / "models" / f"{name}.gguf"
            write_weights(run.result, base, file, name)
            file.with_suffix(".json").write_text(
                json.dumps(asdict(card), ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
            )
            return Learnt(card, ended, run.skipped, run.plan, model=file)
        export_adapter(run.result, base, folder / ADAPTER)
        made = shelf.add(folder / ADAPTER, card)
        (folder / ADAPTER).unlink()
    return Learnt(card, ended, run.skipped, run.plan, adapter=made)


def shaped(settings: Settings, recipe: Recipe, parent: str | None) -> Recipe:
    """Return the recipe with the form of the adapter that is gone on from, if one is.

    Raises:
        AdapterError: there is no such adapter.
    """
    if parent is None:
        return recipe
    told = tomllib.loads(AdapterShelf(settings.adapters_path).get(parent).card.recipe)
    return recipe.model_copy(update={name: told[name] for name in _SHAPE if name in told})


def _start(settings: Settings, shelf: AdapterShelf, card: AdapterCard, whole: bool) -> Path:
    parent = str(card.parent)
    if parent == card.name:
        raise TuningError(
            f"{parent} cannot go on from itself: nothing would be left to go back to.",
            hint=f"Give the new one another name, such as {parent}-2.",
        )
    if whole:
        raise TuningError(
            "All weights are trained from the base, not from an adapter.",
            hint=f"groundling model merge {parent} FILE makes a base of an adapter; or "
            "weights = “lora”.",
        )
    shelf.for_base(parent, card.base)
    folder = settings.tuning_path / "runs" / parent / RESULT
    if not all((folder / name).is_file() for name in (_CONFIG, _WEIGHTS)):
        raise TuningError(
            f"The adapter {parent} cannot be gone on with: what torch needs of it is gone.",
            hint="groundling tune sft makes it anew from the same data.",
        )
    return folder


def _make_room(folder: Path, made_of: str) -> None:
    """Empty a folder of a run of another base, recipe or data: there is nothing to go on from."""
    try:
        same = (folder / _MADE_OF).read_text(encoding="utf-8") == made_of
    except OSError:
        same = False
    if same or not (folder / "job.json").is_file():
        return
    for each in folder.iterdir():
        if each.is_dir():
            shutil.rmtree(each)
        elif each.name != "lock":
            each.unlink()


def _made_of(card: AdapterCard, recipe: Recipe, start: Path | None) -> str:
    # An adapter of the parent's name may have been made anew since.
    parent = "-" if start is None else fingerprint(start / _WEIGHTS)
    return f"{card.base} {card.data} {recipe.digest} {parent}"
