"""Which adapters a call uses: those it names, else those of its model, else the promoted one.

A name stands for one adapter of the shelf; several joined by "+" are applied together, each
in full. No name is ever a path: a server's clients may send them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundling.models.adapter_shelf import AdapterShelf, Shelved, fingerprint
from groundling.models.calling import adapters_of
from groundling.models.calls import Adapter

if TYPE_CHECKING:
    from groundling.settings import Settings

NONE, PROMOTED = "none", "promoted"
TOGETHER = "+"


def adapters_for(
    given: Sequence[Any] | None, settings: Settings | None, model: Path
) -> tuple[Adapter, ...]:
    """Return the adapters of a call, with the files that their names stand for.

    Args:
        given: paths, names, `{"path": …, "scale": …}` or `{"name": …, "scale": …}`; None:
            what `model.adapter` of the settings says.
        settings: of the home folder whose names they are; None: there are no names.
        model: the model's file.

    Raises:
        AdapterError: there is none of that name, or it is of another base.
        ValueError: something else is given.
    """
    if settings is None:
        return adapters_of(given)
    if given is None:
        return tuple(Adapter(each.file) for each in answering(settings, model))
    shelf = AdapterShelf(settings.adapters_path)
    return adapters_of([_file(one, shelf, model) for one in given])


def answering(settings: Settings, model: Path, wanted: str | None = None) -> tuple[Shelved, ...]:
    """Return the adapters that a model answers with at this moment.

    Args:
        settings: of the home folder.
        model: the model's file.
        wanted: names joined by "+", `promoted` or `none`; None: what `model.adapter` says.

    Raises:
        AdapterError: there is none of that name, or it is of another base.
    """
    shelf = AdapterShelf(settings.adapters_path)
    wanted = wanted or settings.model.adapter
    if wanted == NONE:
        return ()
    if wanted == PROMOTED:
        # Most homes have no adapter: no model's hash is worked out for that.
        name = shelf.promoted(fingerprint(model)) if shelf.any_promoted else None
        return () if name is None else (_shelved(name, shelf, model),)
    return tuple(_shelved(name, shelf, model) for name in wanted.split(TOGETHER))


def together(adapters: Sequence[Shelved]) -> str:
    """Return the name of adapters that are applied together; of none, `none`."""
    return TOGETHER.join(each.card.name for each in adapters) or NONE


def _file(one: Any, shelf: AdapterShelf, model: Path) -> Any:
    if isinstance(one, Mapping) and "name" in one:
        rest = {key: value for key, value in one.items() if key != "name"}
        return {"path": _shelved(str(one["name"]), shelf, model).file, **rest}
    if isinstance(one, str) and not (one.endswith(".gguf") or "/" in one or "\\" in one):
        return _shelved(one, shelf, model).file
    return one


def _shelved(name: str, shelf: AdapterShelf, model: Path) -> Shelved:
    shelf.get(name)  # before a hash is worked out for nothing
    return shelf.for_base(name, fingerprint(model))
