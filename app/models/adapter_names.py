"""Which adapters a call uses: those it names, else those of its model, else the promoted one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundling.models.adapter_shelf import AdapterShelf, fingerprint
from groundling.models.calling import adapters_of
from groundling.models.calls import Adapter

if TYPE_CHECKING:
    from groundling.settings import Settings

NONE, PROMOTED = "none", "promoted"


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
    shelf = AdapterShelf(settings.adapters_path)
    if given is None:
        wanted = settings.model.adapter
        if wanted == NONE:
            return ()
        name = _promoted(shelf, model) if wanted == PROMOTED else wanted
        given = [] if name is None else [name]
    return adapters_of([_file(one, shelf, model) for one in given])


def _promoted(shelf: AdapterShelf, model: Path) -> str | None:
    # Most homes have no adapter: no model's hash is worked out for that.
    return shelf.promoted(fingerprint(model)) if shelf.any_promoted else None


def _file(one: Any, shelf: AdapterShelf, model: Path) -> Any:
    if isinstance(one, Mapping) and "name" in one:
        rest = {key: value for key, value in one.items() if key != "name"}
        return {"path": _of(str(one["name"]), shelf, model), **rest}
    if isinstance(one, str) and not (one.endswith(".gguf") or "/" in one or "\\" in one):
        return _of(one, shelf, model)
    return one


def _of(name: str, shelf: AdapterShelf, model: Path) -> Path:
    return shelf.for_base(name, fingerprint(model)).file
