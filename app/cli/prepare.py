"""What a command needs before a graph can run: models here and measured, documents read."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from groundling.cli.measuring import measure_once
from groundling.cli.output import Shell
from groundling.cli.progress import progress
from groundling.errors import KnowledgeError, ModelNotFound
from groundling.home import Home
from groundling.models.configured import HUB


def open_home(shell: Shell, *, documents: bool) -> Home:
    """Open the home folder with its models there, fetched and measured if need be.

    Args:
        documents: whether the embedding model is needed too.
    """
    wanted = shell.settings.model.name
    home = Home(**shell.flags)
    served = home.settings.model.base_url is not None
    chosen = wanted if served else fetch(shell, home, wanted, fallback=True)
    if chosen != wanted:
        model = dict(shell.flags.get("model", {}), name=chosen)
        home = Home(**{**shell.flags, "model": model})
    if not served:
        measure_once(shell, home.settings, home.models.resolve(chosen).path)
    if documents and not home.settings.model.embedder.startswith(HUB):
        fetch(shell, home, home.settings.model.embedder)
    return home


def fetch(shell: Shell, home: Home, name: str, *, fallback: bool = False) -> str:
    """Make sure that a model is on the disk; return the name of the one that is.

    Raises:
        ModelNotFound: the name is neither in the catalogue nor a file.
        DownloadError: it cannot be had, and nothing takes its place.
    """
    try:
        home.models.resolve(name)
        return name
    except ModelNotFound:
        if name not in home.models.catalogue:
            raise
    with progress(shell) as bar:
        pull = home.models.pull_or_fallback if fallback else home.models.pull
        return pull(name, bar).entry.id


def knowledge_name(home: Home, documents: Path | None, knowledge: str | None) -> str:
    """Name the knowledge base: as asked, or after the folder of documents.

    Two folders of the same name at different places get two knowledge bases.
    """
    if knowledge or documents is None:
        return knowledge or home.settings.retrieval.knowledge
    place = documents.expanduser().resolve()
    readable = re.sub(r"[^\w-]+", "-", place.stem).strip("-") or "documents"
    return f"{readable}-{hashlib.sha256(str(place).encode()).hexdigest()[:6]}"


def read_documents(shell: Shell, home: Home, name: str, documents: Path | None) -> None:
    """Bring a knowledge base up to date with its folder; unchanged files cost nothing.

    Raises:
        KnowledgeError: there is nothing to answer from.
    """
    if documents is not None:
        from groundling.cli.knowledge import add_with_progress

        add_with_progress(shell, home.knowledge(name), [documents])
    elif not home.settings.knowledge_path(name).is_dir():
        raise KnowledgeError(
            f"There is no knowledge base {name} yet.",
            hint=f"groundling knowledge --name {name} add FOLDER",
        )
