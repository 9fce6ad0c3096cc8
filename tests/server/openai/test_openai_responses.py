"""Responses, their events, and conversations that go on by id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from groundling.server.openai import response_store
from groundling.server.openai.response_store import ResponseStore
from groundling.server.person import Person, Role
from groundling.server.problems import Problem
from tests.scripted import ScriptedChat
from tests.server.openai.conftest import Server

MODEL = "qwen2.5-coder-1.5b"
LOOK: Any = {
    "type": "function",
    "name": "look",
    "parameters": {"type": "object", "properties": {"what": {"type": "string"}}},
    "strict": None,
}
ANN, BEN = Person("ann", Role.READER), Person("ben", Role.READER)


class Colour(BaseModel):
    """What is looked for."""

    name: str


def test_a_response_as_a_whole(client: OpenAI, scripted: ScriptedChat):
    scripted.enqueue("Hello, Ann.")
    response = client.responses.create(
        model=MODEL, input="Hello?", instructions="Be brief.", metadata={"a": "b"}
    )
    assert (response.status, response.output_text) == ("completed", "Hello, Ann.")
    assert response.metadata == {"a": "b"}
    assert response.usage is not None
    assert scripted.prompts == [[SystemMessage("Be brief."), HumanMessage("Hello?")]]


def test_events_come_in_openai_s_order(client: OpenAI, scripted: ScriptedChat):
    scripted.enqueue("Hello, Ann.")
    events = list(client.responses.create(model=MODEL, input="Hello?", stream=True))
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(10))


def test_on_the_wire_each_event_has_its_name(server: Server, scripted: ScriptedChat):
    scripted.enqueue("Hello.")
    body = {"model": MODEL, "input": "Hello?", "stream": True}
    text = httpx.post(f"{server.url}/v1/responses", json=body).text
    assert text.startswith('event: response.created\ndata: {"type":"response.created"')


async def test_the_streaming_helper_reads_text_calls_and_objects(
    server: Server, scripted: ScriptedChat
):
    call = {"name": "look", "args": {"what": "grass"}, "id": "a"}
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused") as client:
        scripted.enqueue(AIMessage("Let me see.", tool_calls=[call]))
        async with client.responses.stream(model=MODEL, input="Grass?", tools=[LOOK]) as stream:
            final = await stream.get_final_response()
        message, called = final.output
        assert message.type == "message"
        assert called.type == "function_call"
        assert (called.name, called.arguments) == ("look", '{"what": "grass"}')
        scripted.enqueue('{"name": "green"}')
        async with client.responses.stream(
            model=MODEL, input="Colour?", text_format=Colour
        ) as parsing:
            parsed = await parsing.get_final_response()
        assert parsed.output_parsed == Colour(name="green")


def test_a_conversation_goes_on_by_id_with_calls_and_results(
    client: OpenAI, scripted: ScriptedChat
):
    call = {"name": "look", "args": {"what": "grass"}, "id": "a"}
    scripted.enqueue(AIMessage("", tool_calls=[call]), "It is green.", "I said: green.")
    first = client.responses.create(
        model=MODEL, input="Grass?", tools=[LOOK], instructions="Be brief."
    )
    [called] = first.output
    assert called.type == "function_call"
    result: Any = {"type": "function_call_output", "call_id": called.call_id, "output": "green"}
    second = client.responses.create(model=MODEL, input=[result], previous_response_id=first.id)
    client.responses.create(model=MODEL, input="What?", previous_response_id=second.id)
    asked = scripted.prompts[-1]
    assert [type(one) for one in asked] == [
        HumanMessage,
        AIMessage,
        ToolMessage,
        AIMessage,
        HumanMessage,
    ]
    assert asked[1].tool_calls[0]["args"] == {"what": "grass"}
    assert asked[2].text == "green"


def test_a_response_can_be_read_again_until_it_is_deleted(client: OpenAI, scripted: ScriptedChat):
    scripted.enqueue("Hello.", "Hello again.")
    first = client.responses.create(model=MODEL, input="Hello?")
    second = client.responses.create(model=MODEL, input="Well?", previous_response_id=first.id)
    assert client.responses.retrieve(first.id).output_text == "Hello."
    [item] = client.responses.input_items.list(second.id).data
    assert item.type == "message"
    client.responses.delete(first.id)
    for gone in (
        lambda: client.responses.retrieve(first.id),
        lambda: client.responses.delete(first.id),
        lambda: client.responses.create(model=MODEL, input="x", previous_response_id=first.id),
        lambda: client.responses.create(model=MODEL, input="x", previous_response_id=second.id),
    ):
        with pytest.raises(openai.NotFoundError, match=first.id):
            gone()


def test_what_is_not_to_be_stored_is_not(client: OpenAI, scripted: ScriptedChat):
    scripted.enqueue("Hello.")
    response = client.responses.create(model=MODEL, input="Hello?", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)


def test_an_answer_that_fails_half_way_ends_with_a_failed_response(
    client: OpenAI, secret_place: str
):
    *_, last = client.responses.create(model=MODEL, input="Hello?", stream=True)
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert secret_place not in last.response.error.message


BAD: list[tuple[dict[str, Any], str]] = [
    ({"input": []}, "input"),
    ({"input": [5]}, "input[0]"),
    ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
    (
        {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
        "input[0].content[0]",
    ),
    ({"background": True}, "background"),
    ({"conversation": "x"}, "conversation"),
    ({"prompt": {"id": "x"}}, "prompt"),
    ({"include": ["file_search_call.results"]}, "include[0]"),
    ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
    ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
    ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.json_schema"),
    ({"max_output_tokens": 0}, "max_output_tokens"),
    ({"temperature": 9}, "temperature"),
]


def test_what_is_wrong_is_named(server: Server):
    with httpx.Client(base_url=server.url) as http:
        for fields, param in BAD:
            answer = http.post("/v1/responses", json={"model": MODEL, "input": "Hello?", **fields})
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def kept(id: str, previous: str | None = None, created: int = 1000) -> dict[str, Any]:
    """Return a response as it is stored."""
    output = [{"type": "message", "id": f"of-{id}"}]
    return {
        "id": id,
        "previous_response_id": previous,
        "created_at": created,
        "output": output,
    }


def test_another_person_s_response_is_one_that_there_is_not(tmp_path: Path):
    with ResponseStore(tmp_path / "responses.sqlite", days=7) as store:
        store.put(ANN, kept("a"), [{"id": "1"}])
        store.put(BEN, kept("b", previous="a"), [{"id": "2"}])
        for reach in (store.get, store.delete, store.conversation):
            with pytest.raises(Problem) as error:
                reach(BEN, "a")
            assert error.value.status == 404
        with pytest.raises(Problem):  # not even as what came before one's own
            store.conversation(BEN, "b")
        assert store.conversation(ANN, "a") == [{"id": "1"}, {"type": "message", "id": "of-a"}]


def test_old_and_too_many_responses_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(response_store, "MOST", 2)
    with ResponseStore(tmp_path / "responses.sqlite", days=1) as store:
        store.put(ANN, kept("old"), [])
        store.put(BEN, kept("his", created=90_000), [])
        with pytest.raises(Problem):
            store.get(ANN, "old")
        for name in ("a", "b", "c"):
            store.put(ANN, kept(name, created=90_000), [])
        with pytest.raises(Problem):
            store.get(ANN, "a")
        assert [store.get(ANN, name)[0]["id"] for name in ("b", "c")] == ["b", "c"]
        assert store.get(BEN, "his")[0]["id"] == "his"


def test_all_of_a_user_can_be_forgotten(tmp_path: Path):
    with ResponseStore(tmp_path / "responses.sqlite", days=7) as store:
        for number, person in enumerate((ANN, ANN, BEN)):
            store.put(person, kept(str(number)), [])
        assert (store.count("ann"), store.count("ben")) == (2, 1)
        store.forget("ann")
        assert (store.count("ann"), store.count("ben")) == (0, 1)
