"""Chat completions as OpenAI's client has them, with a model that says what it is told to."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from tests.scripted import ScriptedChat
from tests.server.openai.conftest import Server

MODEL = "qwen2.5-coder-1.5b"
HI: list[Any] = [{"role": "user", "content": "Hello?"}]
JSON = {"content-type": "application/json"}
LOOK: Any = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Look something up.",
        "parameters": {"type": "object", "properties": {"what": {"type": "string"}}},
    },
}
CALLS = [
    {"name": "look", "args": {"what": "grass"}, "id": "a"},
    {"name": "look", "args": {"what": "moss"}, "id": "b"},
]


class Colour(BaseModel):
    """What is looked for."""

    name: str


def test_the_bare_model_comes_first_among_the_models(client: OpenAI):
    ids = [model.id for model in client.models.list()]
    assert ids[0] == MODEL
    assert {"agent", "rag", "chat", "toolbox", "ask", "minilm-l6"} <= set(ids)
    assert client.models.retrieve("agent").owned_by == "groundling"
    with pytest.raises(openai.NotFoundError) as error:
        client.models.retrieve("gpt-4")
    assert error.value.code == "model_not_found"


def test_an_answer_as_a_whole(client: OpenAI, scripted: ScriptedChat):
    scripted.enqueue("Hello, Ann.")
    reply = client.chat.completions.create(model=MODEL, messages=HI, metadata={"a": "b"})
    [choice] = reply.choices
    assert (choice.message.content, choice.message.role) == ("Hello, Ann.", "assistant")
    assert choice.finish_reason == "stop"
    assert choice.message.tool_calls is None
    assert reply.model == MODEL
    assert reply.usage is not None
    assert reply.usage.prompt_tokens_details is not None


def test_an_answer_in_chunks_ends_with_its_usage(client: OpenAI, scripted: ScriptedChat):
    scripted.enqueue("Hello there, Ann.")
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=HI, stream=True, stream_options={"include_usage": True}
        )
    )
    first, *middle, end, usage = chunks
    assert first.choices[0].delta.role == "assistant"
    assert [chunk.choices[0].delta.content for chunk in middle] == ["Hello ", "there, ", "Ann."]
    assert end.choices[0].finish_reason == "stop"
    assert usage.choices == []
    assert usage.usage is not None
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert {chunk.id for chunk in chunks} == {first.id}


def test_the_stream_ends_with_done_on_the_wire(server: Server, scripted: ScriptedChat):
    scripted.enqueue("Hello.")
    body = {"model": MODEL, "messages": HI, "stream": True}
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    *_, last, nothing = answer.text.split("\n\n")
    assert (last, nothing) == ("data: [DONE]", "")
    assert '"usage"' not in answer.text


async def test_the_asynchronous_client_has_the_same(server: Server, scripted: ScriptedChat):
    scripted.enqueue("Hello, Ann.", "Hello, Ann.")
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused") as client:
        reply = await client.chat.completions.create(model=MODEL, messages=HI)
        assert reply.choices[0].message.content == "Hello, Ann."
        async with client.chat.completions.stream(model=MODEL, messages=HI) as stream:
            final = await stream.get_final_completion()
    assert final.choices[0].message.content == "Hello, Ann."


def test_tool_calls_and_their_results_go_there_and_back(client: OpenAI, scripted: ScriptedChat):
    scripted.enqueue(AIMessage("", tool_calls=CALLS), "Both are green.")
    reply = client.chat.completions.create(model=MODEL, messages=HI, tools=[LOOK])
    [choice] = reply.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    calls = choice.message.tool_calls or []
    assert [call.function.arguments for call in calls if call.type == "function"] == [
        '{"what": "grass"}',
        '{"what": "moss"}',
    ]
    [[bound]] = scripted.bound
    assert bound["function"]["name"] == "look"
    results = [{"role": "tool", "tool_call_id": call.id, "content": "green"} for call in calls]
    further: Any = [*HI, choice.message.model_dump(exclude_none=True), *results]
    client.chat.completions.create(model=MODEL, messages=further, tools=[LOOK])
    asked = scripted.prompts[-1]
    assert [type(one) for one in asked] == [HumanMessage, AIMessage, ToolMessage, ToolMessage]
    assert [call["args"] for call in asked[1].tool_calls] == [{"what": "grass"}, {"what": "moss"}]
    assert [one.tool_call_id for one in asked[2:]] == [call.id for call in calls]


def test_tool_calls_are_streamed(client: OpenAI, scripted: ScriptedChat):
    scripted.enqueue(AIMessage("Let me see.", tool_calls=CALLS))
    with client.chat.completions.stream(model=MODEL, messages=HI, tools=[LOOK]) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion().choices[0]
    assert kinds.count("tool_calls.function.arguments.done") == 2
    assert final.finish_reason == "tool_calls"
    assert final.message.content == "Let me see."
    assert [call.index for call in final.message.tool_calls or []] == [0, 1]


def test_the_client_reads_its_own_classes_from_the_answer(client: OpenAI, scripted: ScriptedChat):
    scripted.enqueue('{"name": "green"}')
    reply = client.chat.completions.parse(model=MODEL, messages=HI, response_format=Colour)
    assert reply.choices[0].message.parsed == Colour(name="green")


def test_several_answers_are_told_apart(client: OpenAI, scripted: ScriptedChat):
    scripted.enqueue("One.", "One.", "One.")
    reply = client.chat.completions.create(model=MODEL, messages=HI, n=3)
    assert [choice.index for choice in reply.choices] == [0, 1, 2]
    scripted.enqueue("One word.", "One word.")
    chunks = client.chat.completions.create(model=MODEL, messages=HI, n=2, stream=True)
    ended = [c.choices[0].index for c in chunks if c.choices[0].finish_reason == "stop"]
    assert sorted(ended) == [0, 1]


BAD: list[tuple[dict[str, Any], int, str | None]] = [
    ({"model": "gpt-4"}, 404, "model"),
    ({"model": "chain"}, 404, "model"),
    ({"model": "minilm-l6"}, 400, "model"),
    ({"model": "rag:nothing"}, 404, "model"),
    ({"model": 5}, 400, "model"),
    ({"messages": []}, 400, "messages"),
    ({"messages": "hello"}, 400, "messages"),
    ({"messages": [{"role": "wizard", "content": "x"}]}, 400, "messages[0].role"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        400,
        "messages[0].content[0]",
    ),
    ({"n": 1000}, 400, "n"),
    ({"n": 0}, 400, "n"),
    ({"temperature": -1}, 400, "temperature"),
    ({"temperature": "hot"}, 400, "temperature"),
    ({"top_p": 2}, 400, "top_p"),
    ({"max_tokens": 0}, 400, "max_tokens"),
    ({"seed": "x"}, 400, "seed"),
    ({"stop": ["x"] * 1000}, 400, "stop"),
    ({"stop": [""]}, 400, "stop"),
    ({"logit_bias": {"x": 1}}, 400, "logit_bias"),
    ({"logit_bias": {"1": 1000}}, 400, "logit_bias"),
    ({"top_logprobs": 3}, 400, "top_logprobs"),
    ({"logprobs": True, "top_logprobs": 50}, 400, "top_logprobs"),
    ({"frequency_penalty": 3}, 400, "frequency_penalty"),
    ({"stream_options": {"include_usage": True}}, 400, "stream_options"),
    ({"tools": [{"type": "custom"}]}, 400, "tools[0].type"),
    ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, 400, "tools[0].function.name"),
    ({"tools": [LOOK], "tool_choice": "any"}, 400, "tool_choice"),
    ({"tool_choice": "required"}, 400, "tool_choice"),
    ({"response_format": {"type": "xml"}}, 400, "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, 400, "response_format.json_schema"),
    (
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "strict": True, "schema": {"not": {}}},
            }
        },
        400,
        "response_format",
    ),
    ({"modalities": ["text", "audio"]}, 400, "modalities"),
    ({"functions": [{}]}, 400, "functions"),
    ({"web_search_options": {}}, 400, "web_search_options"),
    ({"metadata": {"a": 5}}, 400, "metadata.a"),
    ({"groundling": {"footnotes": "no"}}, 400, "groundling.footnotes"),
    ({"groundling": {"knowledge": "handbook"}}, 400, "groundling.knowledge"),
    ({"model": "agent", "tools": [LOOK]}, 400, "tools"),
    ({"model": "agent", "response_format": {"type": "json_object"}}, 400, "response_format"),
    ({"model": "ask", "n": 2}, 400, "n"),
    ({"model": "ask", "stop": "."}, 400, "stop"),
    ({"model": "ask", "logprobs": True}, 400, "logprobs"),
    ({"model": "ask", "groundling": {"knowledge": "handbook"}}, 400, "groundling.knowledge"),
    ({"model": "ask", "messages": [{"role": "assistant", "content": "x"}]}, 400, "messages"),
    ({"model": "ask", "messages": [{"role": "user", "content": "  "}]}, 400, "messages"),
]


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_wrong_is_named_in_openai_s_shape(server: Server, stream: bool):
    with httpx.Client(base_url=server.url) as http:
        for fields, status, param in BAD:
            body = {"model": MODEL, "messages": HI, "stream": stream, **fields}
            if stream and "stream_options" in fields:
                continue
            answer = http.post("/v1/chat/completions", json=body)
            error = answer.json()["error"]
            assert (answer.status_code, error["param"]) == (status, param), (fields, error)
            assert error["message"]
            assert error["code"]
            assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"5", b'{"model": "\\ud800"}', b"\xff", b"[" * 100_000, b"NaN"]
)
def test_what_is_no_json_object_is_refused(server: Server, body: bytes):
    for path in ("/v1/chat/completions", "/v1/responses", "/v1/embeddings"):
        answer = httpx.post(server.url + path, content=body, headers=JSON)
        assert answer.status_code == 400
        assert answer.json()["error"]["type"] == "invalid_request_error"


def test_unknown_paths_and_methods_have_openai_s_shape_too(server: Server):
    assert "error" in httpx.get(f"{server.url}/v1/audio/speech").json()
    answer = httpx.get(f"{server.url}/v1/chat/completions")
    assert answer.status_code == 405
    assert "error" in answer.json()


def test_an_error_of_the_model_reaches_a_stream_that_has_begun(client: OpenAI, secret_place: str):
    chunks = client.chat.completions.create(model=MODEL, messages=HI, stream=True)
    seen = [next(chunks).choices[0].delta.content for _ in range(3)]
    assert seen == ["", "Hello ", "there."]
    with pytest.raises(openai.APIError) as error:
        next(chunks)
    assert secret_place not in str(error.value)


def test_a_value_error_of_the_model_is_a_failure_of_the_server(
    client: OpenAI, scripted: ScriptedChat, caplog: pytest.LogCaptureFixture
):
    scripted.enqueue(ValueError("a mistake of ours"))
    with pytest.raises(openai.InternalServerError) as refused:
        client.chat.completions.create(model=MODEL, messages=HI)
    assert "mistake" not in refused.value.message
    assert "a mistake of ours" in caplog.text


def test_system_and_developer_messages_reach_the_model(client: OpenAI, scripted: ScriptedChat):
    scripted.enqueue("Yes.")
    messages: Any = [{"role": "developer", "content": "Be brief."}, *HI]
    client.chat.completions.create(model=MODEL, messages=messages)
    assert scripted.prompts == [[SystemMessage("Be brief."), HumanMessage("Hello?")]]
