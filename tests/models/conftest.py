"""Fixtures of the models room: a local server, and a store that asks only that one."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundling.models.files import catalogue, download
from groundling.models.files.catalogue import Catalogue, ModelEntry, ModelFile
from groundling.models.files.store import ModelStore
from groundling.settings import DownloadSettings
from tests.models.server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    """Serve on a free port of this machine."""
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.shutdown()


@pytest.fixture
def store(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    """Return an empty store whose index and hub are the local server."""
    monkeypatch.setattr(download, "_FIRST_PAUSE_SECONDS", 0.001)
    for name in list(os.environ):
        if name.startswith(("UV_", "PIP_", "HF_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    return ModelStore(
        tmp_path / "models",
        DownloadSettings(index_url=server.index, hub_endpoint=server.url, timeout=5.0),
    )


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch, store: ModelStore) -> Offerer:
    """Return a way to put entries into the shipped catalogue."""
    return Offerer(monkeypatch)


class Offerer:
    """Replaces what the catalogue ships."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._entries: dict[str, ModelEntry] = {}

        def load(folder: Path) -> Catalogue:
            return Catalogue(self._entries | catalogue.read_user_entries(folder))

        monkeypatch.setattr(Catalogue, "load", load)

    def __call__(self, id: str, *files: ModelFile, fallback: str | None = None) -> ModelEntry:
        entry = ModelEntry(
            id=id,
            role="chat",
            title=id.title(),
            licence="CC0-1.0",
            note=f"The note of {id}.",
            files=files,
            fallback=fallback,
        )
        self._entries[id] = entry
        return entry
