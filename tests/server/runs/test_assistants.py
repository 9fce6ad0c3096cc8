"""Assistants: those of the graphs, and each person's own with their versions."""

from __future__ import annotations

from uuid import uuid4

import pytest

from groundling.server.problems import Problem
from groundling.server.runs.assistants import default_id
from groundling.server.services import Services
from tests.server.runs.conftest import ANN, BOB


async def test_each_graph_has_one_that_nobody_can_change(services: Services):
    book = services.runs.assistants
    found = await book.search(ANN, limit=100)
    assert {"chat", "agent", "rag"} <= {one["graph_id"] for one in found}
    chat = await book.get("chat", ANN)
    assert chat == await book.get(default_id("chat"), BOB)
    assert chat["metadata"] == {"created_by": "system"}
    # The id that langgraph-api gives the assistant of a graph called `agent`.
    assert default_id("agent") == "fe096781-5601-53d2-b2f6-0d3403f7e9ca"
    for attempt in (
        lambda: book.update("chat", ANN, name="mine"),
        lambda: book.delete("chat", ANN),
        lambda: book.set_latest(chat["assistant_id"], ANN, 1),
    ):
        with pytest.raises(Problem) as told:
            await attempt()
        assert told.value.status == 403
    with pytest.raises(Problem) as told:
        await book.create(ANN, graph_id="chat", assistant_id=chat["assistant_id"])
    assert told.value.status == 409


async def test_versions_are_kept_and_gone_back_to(services: Services):
    book = services.runs.assistants
    made = await book.create(
        ANN, graph_id="chat", name="mine", config={"tags": ["x"]}, metadata={"a": 1}
    )
    id = made["assistant_id"]
    assert (made["version"], made["config"], made["context"]) == (1, {"tags": ["x"]}, {})
    changed = await book.update(id, ANN, description="new", context={"k": 1}, metadata={"b": 2})
    assert (changed["version"], changed["name"]) == (2, "mine")
    assert changed["metadata"] == {"a": 1, "b": 2}
    assert [one["version"] for one in await book.versions(id, ANN)] == [2, 1]
    assert [one["version"] for one in await book.versions(id, ANN, metadata={"b": 2})] == [2]
    back = await book.set_latest(id, ANN, 1)
    assert (back["version"], back["context"], back["metadata"]) == (1, {}, {"a": 1})
    assert (await book.update(id, ANN, name="third"))["version"] == 3
    for version in (0, 4):
        with pytest.raises(Problem) as told:
            await book.set_latest(id, ANN, version)
        assert told.value.status == 404
    await book.delete(id, ANN)
    with pytest.raises(Problem):
        await book.get(id, ANN)


async def test_another_persons_is_not_there(services: Services):
    book = services.runs.assistants
    id = (await book.create(ANN, graph_id="chat", name="secret"))["assistant_id"]
    for attempt in (
        lambda: book.get(id, BOB),
        lambda: book.update(id, BOB, name="x"),
        lambda: book.delete(id, BOB),
        lambda: book.versions(id, BOB),
        lambda: book.set_latest(id, BOB, 1),
    ):
        with pytest.raises(Problem) as told:
            await attempt()
        assert told.value.status == 404
    assert await book.search(BOB, name="secret") == []
    assert await book.count(BOB, name="secret") == 0
    assert await book.count(ANN, name="SECRET") == 1


async def test_an_id_is_used_once(services: Services):
    book, id = services.runs.assistants, str(uuid4())
    first = await book.create(ANN, graph_id="chat", assistant_id=id, name="one")
    with pytest.raises(Problem) as told:
        await book.create(ANN, graph_id="chat", assistant_id=id)
    assert told.value.status == 409
    again = await book.create(ANN, graph_id="rag", assistant_id=id, exist_ok=True)
    assert again == first
    with pytest.raises(Problem) as told:
        await book.create(BOB, graph_id="chat", assistant_id=id, exist_ok=True)
    assert told.value.status == 404


async def test_there_is_none_of_an_unknown_graph(services: Services):
    with pytest.raises(Problem) as told:
        await services.runs.assistants.create(ANN, graph_id="nothing")
    assert told.value.status == 404
    assert "chat" in str(told.value.hint)


async def test_lists_are_in_parts(services: Services):
    book = services.runs.assistants
    for name in "abc":
        await book.create(ANN, graph_id="chat", name=name, metadata={"of": "test"})
    found = await book.search(
        ANN, metadata={"of": "test"}, sort_by="name", sort_order="desc", limit=2, offset=1
    )
    assert [one["name"] for one in found] == ["b", "a"]
    assert await book.count(ANN, graph_id="chat") == 4
