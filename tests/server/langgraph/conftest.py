"""A live server that has one graph more: the probe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundling.graphs import registry
from tests.scripted import ScriptedChat
from tests.server.langgraph import probe
from tests.server.live import Live, serving


@pytest.fixture
def with_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the registry know the probe."""
    monkeypatch.setitem(registry.GRAPHS, "probe", "A little of everything.")
    monkeypatch.setitem(sys.modules, "groundling.graphs.probe", probe)


@pytest.fixture
def live(home: Path, with_probe: None, scripted: ScriptedChat) -> Iterator[Live]:
    """A server of the test's own; `scripted` answers for the model."""
    with serving(home, scripted) as live:
        yield live


@pytest.fixture
def url(live: Live) -> str:
    """The server's address."""
    return live.address
