"""A real server on a loopback port, and LangSmith's real client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from langsmith import Client

from groundling.evaluation.datasets import DatasetStore
from groundling.server.langsmith.app import application
from groundling.server.langsmith.service import Limits
from groundling.server.run import listening
from groundling.tracing.store import TraceStore


@dataclass
class Running:
    """A server, and the stores behind it."""

    url: str
    traces: TraceStore
    datasets: DatasetStore


@pytest.fixture
def limits() -> Limits:
    """Bounds of the server's requests; tests override it."""
    return Limits()


@contextmanager
def running(folder: Path, limits: Limits | None = None) -> Iterator[Running]:
    """Start a server in a thread."""
    with (
        TraceStore(folder / "traces.sqlite") as traces,
        DatasetStore(folder / "evaluation.sqlite") as datasets,
        listening(application(traces, datasets, limits=limits)) as url,
    ):
        yield Running(url, traces, datasets)


@contextmanager
def connected(url: str) -> Iterator[Client]:
    """Make LangSmith's client as a program would have it that knows nothing of Groundling."""
    client = Client(api_url=url, api_key="any")
    try:
        yield client
    finally:
        client.close()
        client.session.close()


@pytest.fixture
def server(tmp_path: Path, limits: Limits) -> Iterator[Running]:
    """A server that one test has for itself."""
    with running(tmp_path, limits) as server:
        yield server


@pytest.fixture
def client(server: Running) -> Iterator[Client]:
    """A client of that server."""
    with connected(server.url) as client:
        yield client
