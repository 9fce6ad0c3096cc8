"""A live server for each test, with a scripted model and no users unless a test adds some."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from groundling.server.person import Role
from tests.scripted import ScriptedChat
from tests.server.live import Live, serving

LEAVE = b"# Leave\n\nEmployees have 25 days of leave a year.\n"


@pytest.fixture
def live() -> Iterator[Live]:
    """A server over the test's home folder."""
    with serving(model=ScriptedChat(), server={"requests_per_minute": 0}) as running:
        yield running


@pytest.fixture
def client(live: Live) -> Iterator[httpx.Client]:
    """A client on the same machine."""
    with live.client() as opened:
        yield opened


@pytest.fixture
def people(live: Live) -> Iterator[dict[str, httpx.Client]]:
    """Clients of ann and ben, members, and of carl, a reader, by name."""
    known = live.app.people
    clients = {}
    for name, role in (
        ("root", Role.ADMIN),
        ("ann", Role.MEMBER),
        ("ben", Role.MEMBER),
        ("carl", Role.READER),
    ):
        known.users.add(name, role)
        _, key = known.keys.add(name)
        clients[name] = live.client(headers={"x-api-key": key})
    yield clients
    for each in clients.values():
        each.close()


def upload(client: httpx.Client, base: str, *files: tuple[str, bytes]) -> httpx.Response:
    """Send files to a knowledge base."""
    parts = [("files", (name, data, "application/octet-stream")) for name, data in files]
    return client.post(f"/api/knowledge/{base}/documents", files=parts)


def ended(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    """Watch a job to its end; return how it ended."""
    last: dict[str, Any] = {}
    with client.stream("GET", f"/api/jobs/{job['id']}/events") as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        names = []
        for line in events.iter_lines():
            if line.startswith("event: "):
                names.append(line.removeprefix("event: "))
            if line.startswith("data: "):
                last = json.loads(line.removeprefix("data: "))
    assert names[-1] == "end"
    assert set(names[:-1]) <= {"progress"}
    return last


def added(client: httpx.Client, base: str, *files: tuple[str, bytes]) -> dict[str, Any]:
    """Make a base if there is none, add files, return the job's report."""
    client.post("/api/knowledge", json={"name": base})
    answer = upload(client, base, *files)
    assert answer.status_code == 202, answer.text
    job = ended(client, answer.json())
    assert job["state"] == "done", job
    report: dict[str, Any] = job["report"]
    return report


def until(check: Any, seconds: float = 20.0) -> Any:
    """Wait until something is true; return it."""
    end = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return found
