"""`groundling model`: fetch, list, check, measure and remove models, and count tokens."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, cast

import click

from groundling.cli.model_quantize import compare, merge, quantize
from groundling.cli.output import Group, Json, Shell, pass_shell
from groundling.cli.progress import progress

if TYPE_CHECKING:
    from rich.table import Table

    from groundling.models.files.catalogue import ModelEntry, Role
    from groundling.models.files.manifest import InstalledModel
    from groundling.models.files.store import ModelStore

__all__ = ["model", "progress"]

ROLES = ("chat", "embedding", "reranker", "guard")


@click.group(cls=Group)
def model() -> None:
    """Fetch, list, check, measure and remove models; make smaller ones and compare them."""


for _command in (quantize, compare, merge):
    model.add_command(_command)


@model.command()
@click.argument("wanted", nargs=-1, metavar="[ID|SOURCE]...")
@click.option("--id", "name", help="For a source: what to call it.")
@click.option("--role", type=click.Choice(ROLES), help="For a source: what it is for.")
@pass_shell
def pull(shell: Shell, wanted: tuple[str, ...], name: str | None, role: str | None) -> None:
    """Fetch models; without a name, the configured chat model and embedder.

    SOURCE is hf:owner/repo/file.gguf, an https address, or the path of a file. What is
    interrupted is kept, and the same command goes on from there.
    """
    if name and len(wanted) != 1:
        raise click.UsageError("--id goes with exactly one source.")
    store = _store(shell)
    with progress(shell) as watcher:
        if wanted:
            models = [store.pull(one, watcher, id=name, role=_role(role)) for one in wanted]
        else:
            models = _pull_configured(shell, store, watcher)
    shell.out(
        [_brief(one.entry, one) for one in models],
        [f"{one.entry.id}: {_size(one.size)} in {one.path}" for one in models],
    )


@model.command("list")
@click.option("--installed", is_flag=True, help="Only those on this machine.")
@click.option("--role", type=click.Choice(ROLES), help="Only those for this.")
@pass_shell
def list_(shell: Shell, installed: bool, role: str | None) -> None:
    """List the models of the catalogue, and which of them are here."""
    store = _store(shell)
    here = {one.entry.id: one for one in store.list()}
    entries = {entry.id: entry for entry in store.catalogue}
    entries |= {id: one.entry for id, one in here.items() if id not in entries}
    rows = [
        (entry, here.get(id))
        for id, entry in entries.items()
        if (id in here or not installed) and role in (None, entry.role)
    ]
    shell.out([_brief(entry, one) for entry, one in rows], _table(rows))


@model.command()
@click.argument("id")
@pass_shell
def show(shell: Shell, id: str) -> None:
    """Show what is known of a model: files, hashes, sources, licence."""
    store = _store(shell)
    here = {one.entry.id: one for one in store.list()}.get(id)
    entry = here.entry if here else store.catalogue.get(id)
    data = entry.model_dump(mode="json", exclude_none=True)
    data["installed"] = here is not None
    data["paths"] = {name: str(path) for name, path in here.paths.items()} if here else {}
    shell.out(data, _description(entry, here))


@model.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@pass_shell
def remove(shell: Shell, ids: tuple[str, ...]) -> None:
    """Remove models, and what had come of interrupted ones."""
    store = _store(shell)
    freed = {id: store.remove(id) for id in ids}
    shell.out(
        [{"id": id, "freed_bytes": count} for id, count in freed.items()],
        [f"{id}: removed, {_size(count)} freed" for id, count in freed.items()],
    )


@model.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@pass_shell
def verify(shell: Shell, ids: tuple[str, ...]) -> None:
    """Hash the files of models again; without a name, of all that are here."""
    from groundling.errors import HashMismatch

    store = _store(shell)
    failures: list[HashMismatch] = []
    results: list[dict[str, Any]] = []
    for id in ids or [one.entry.id for one in store.list()]:
        try:
            store.verify(id)
            results.append({"id": id, "ok": True})
        except HashMismatch as error:
            failures.append(error)
            results.append({"id": id, "ok": False, "reason": str(error)})
    shell.out(
        cast("Json", results),
        [f"{one['id']}: {'as it came' if one['ok'] else 'CHANGED'}" for one in results]
        or ["No models are here."],
    )
    if failures:
        raise failures[0]


@model.command()
@click.argument("text")
@click.option("--model", "name", metavar="ID|FILE", help="Default: the chat model.")
@pass_shell
def tokenize(shell: Shell, text: str, name: str | None) -> None:
    """Show the pieces of TEXT (- reads stdin), their ids, and the room they take."""
    from groundling.models.tokens import tokenize as split

    chosen = _store(shell).resolve(name or shell.settings.model.name)
    tokens = split(chosen, sys.stdin.read() if text == "-" else text)
    context = shell.settings.model.context
    if chosen.entry.role != "chat" and chosen.entry.context:
        context = chosen.entry.context
    share = len(tokens) / context
    shell.out(
        {
            "model": chosen.entry.id,
            "count": len(tokens),
            "context": context,
            "share": round(share, 4),
            "tokens": [
                {"id": one.id, "piece": one.piece.decode("utf-8", "backslashreplace")}
                for one in tokens
            ],
        },
        [
            *(f"{one.id:>8}  {one.text}" for one in tokens),
            f"{len(tokens)} tokens for {chosen.entry.id}: {share:.1%} of a context of {context}",
        ],
    )


@model.command()
@click.argument("name", required=False, metavar="[ID|FILE]")
@pass_shell
def measure(shell: Shell, name: str | None) -> None:
    """Measure how this machine runs a model best, and keep to it.

    Without a name, the chat model. Thread counts and repacked weights are tried; the way
    with the quickest answer is used from then on wherever the settings model.threads and
    model.repack leave it open. Takes about 10 s for 1.5 billion parameters.
    """
    from groundling.cli.measuring import as_json, engine_settings, measure_and_save, table
    from groundling.errors import ModelError

    settings = shell.settings
    if name is None and settings.model.base_url is not None:
        raise ModelError(
            f"The chat model runs on {settings.model.base_url}, not here.",
            hint="groundling model measure ID; groundling model list --installed shows which",
        )
    found = _store(shell).resolve(name or settings.model.name)
    calibration, place = measure_and_save(
        shell, settings.models_path, found.path, engine_settings(settings.model)
    )
    if not shell.json:
        shell.console.print(table(calibration))
    shell.out(
        {
            "model": found.entry.id,
            "rows": [as_json(row, calibration.chosen) for row in calibration.rows],
            "share_of_processors": round(calibration.share, 2),
            "skipped": list(calibration.skipped),
            "path": str(place),
        },
        [
            "* is used from now on. Speeds are in tokens per second; an answer is 300 tokens",
            "read, 80 written alone and 40 written with eight calls at once.",
            *(f"Left out: {reason}" for reason in calibration.skipped),
            f"Kept in {place}",
        ],
    )


def _store(shell: Shell) -> ModelStore:
    from groundling.models.files.store import ModelStore

    return ModelStore(shell.settings.models_path, shell.settings.download)


def _pull_configured(shell: Shell, store: ModelStore, watcher: Any) -> list[InstalledModel]:
    from groundling.models.files.sources import looks_like_path

    chat, embedder = shell.settings.model.name, shell.settings.model.embedder
    local = chat not in store.catalogue and looks_like_path(chat)
    first = store.resolve(chat) if local else store.pull_or_fallback(chat, watcher)
    return [first, store.pull(embedder, watcher)]


def _role(role: str | None) -> Role | None:
    return cast("Role | None", role)


def _brief(entry: ModelEntry, here: InstalledModel | None) -> dict[str, Json]:
    return {
        "id": entry.id,
        "role": entry.role,
        "title": entry.title,
        "bytes": here.size if here else entry.size,
        "languages": list(entry.languages),
        "licence": entry.licence,
        "installed": here is not None,
        "path": str(here.path) if here else None,
    }


def _table(rows: list[tuple[ModelEntry, InstalledModel | None]]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("id", "here", "role", "size", "languages", "licence"):
        justify: Any = "right" if column == "size" else "left"
        table.add_column(column, justify=justify, no_wrap=column in ("id", "size"))
    for entry, here in rows:
        size = _size(here.size if here else entry.size)
        languages = ", ".join(entry.languages[:3]) + (" …" if len(entry.languages) > 3 else "")
        mark = "yes" if here else ""
        table.add_row(entry.id, mark, entry.role, size, languages, entry.licence)
    return table


def _description(entry: ModelEntry, here: InstalledModel | None) -> list[str]:
    facts = {
        "role": entry.role,
        "licence": entry.licence,
        "context": f"{entry.context} tokens" if entry.context else "not stated",
        "languages": ", ".join(entry.languages) or "not stated",
        "size": _size(here.size if here else entry.size),
        "dimension": str(entry.dimension) if entry.dimension else "",
        "here": "yes" if here else f"no: groundling model pull {entry.id}",
        "note": entry.note,
    }
    lines = [f"{entry.id}: {entry.title}"]
    lines += [f"  {name + ':':<11}{value}" for name, value in facts.items() if value]
    for file in entry.files:
        lines.append(f"  {file.name}")
        lines.append(f"    sha256 {file.sha256 or 'pinned when it is first pulled'}")
        lines += [f"    from   {source}" for source in file.sources]
        if here:
            lines.append(f"    at     {here.paths[file.name]}")
    return lines


def _size(count: int | None) -> str:
    from groundling.models.files.disk import show_bytes

    return "?" if count is None else show_bytes(count)
