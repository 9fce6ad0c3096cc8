"""Stores of runs, and a process that records into one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from groundling.settings import Settings, load
from groundling.tracing import attach
from groundling.tracing.store import TraceStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TraceStore]:
    """Return an empty store."""
    with TraceStore(tmp_path / "traces.sqlite") as opened:
        yield opened


@pytest.fixture
def recorded(home: Path) -> Iterator[Recorded]:
    """Record the runs of this process while the test lasts."""
    settings = load()
    attach.attach(settings)
    book = Recorded(settings)
    yield book
    book.close()
    attach.detach()


class Recorded:
    """What was recorded so far."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._store: TraceStore | None = None

    @property
    def store(self) -> TraceStore:
        """Return the store, with everything that was recorded in it."""
        assert attach.flush()
        self._store = self._store or TraceStore(self.settings.traces_path)
        return self._store

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
