"""LangGraph's clients are answered as by LangGraph's own server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.server.langgraph import probe
from tests.server.langgraph.compare import MISSING, differences, unmeant, unused
from tests.server.langgraph.contract import Recording, recorded, recorded_sync

REFERENCE = Path(__file__).parent / "reference.json"


@pytest.fixture(scope="session")
def reference() -> Recording:
    """What `langgraph dev` answers; test_reference.py keeps it right."""
    return json.loads(REFERENCE.read_text(encoding="utf-8"))


async def test_the_asynchronous_client(url: str, reference: Recording):
    found = differences(await recorded(url), reference)
    told = "\n".join(str(each) for each in unmeant(found))
    assert not told, told
    assert unused(found) == []


async def test_the_synchronous_client(url: str, reference: Recording):
    found = differences(await asyncio.to_thread(recorded_sync, url), reference)
    told = "\n".join(str(each) for each in unmeant(found))
    assert not told, told


def test_each_step_was_asked_of_both(reference: Recording):
    assert len(reference) > 100
    assert MISSING not in reference.values()


def test_the_recording_is_of_this_probe(reference: Recording):
    """A change of the probe that nobody has recorded would compare two different graphs."""
    nodes = {node["id"] for node in reference["assistants graph"]["nodes"]}
    assert nodes == {"__start__", *probe.build().builder.nodes, "__end__"}
    assert asyncio.iscoroutinefunction(probe.speak)
