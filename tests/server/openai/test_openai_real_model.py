"""A real model behind OpenAI's interface: what only an engine can show."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from langchain_core.messages import HumanMessage
from openai import OpenAI
from pydantic import BaseModel

from groundling.models.remote import ChatRemote
from tests.server.openai.conftest import Server, serving

MODEL = "smollm2-135m"
HI: list[Any] = [{"role": "user", "content": "Say hello to Ann, who is 30 years old."}]
pytestmark = pytest.mark.model


class Someone(BaseModel):
    """Who is spoken of."""

    name: str
    age: int


@pytest.fixture
def server(home_with_models: Path) -> Iterator[Server]:
    with serving(model={"name": MODEL, "context": 2048}) as server:
        yield server


def test_sampling_seeds_stops_and_probabilities(client: OpenAI):
    def answer(**wishes: Any) -> Any:
        return client.chat.completions.create(model=MODEL, messages=HI, **wishes).choices

    def varied(seed: int) -> Any:
        return answer(max_tokens=12, temperature=1.0, seed=seed)[0].message.content

    assert varied(1) == varied(1) != varied(2)
    whole = answer(max_tokens=12)[0]
    assert whole.finish_reason == "length"
    stopped = answer(max_tokens=12, stop=[whole.message.content[3:6]])[0]
    assert (stopped.finish_reason, stopped.message.content) == ("stop", whole.message.content[:3])
    [tokens] = [
        choice.logprobs.content for choice in answer(max_tokens=3, logprobs=True, top_logprobs=2)
    ]
    assert [len(token.top_logprobs) for token in tokens] == [2, 2, 2]
    assert all(token.logprob == token.top_logprobs[0].logprob <= 0 for token in tokens)
    three = answer(max_tokens=12, temperature=1.0, n=3)
    assert len({choice.message.content for choice in three}) == 3
    banned = answer(max_tokens=1, logit_bias={"19556": -100})[0].message.content
    assert banned != answer(max_tokens=1)[0].message.content


def test_usage_counts_what_the_cache_had(client: OpenAI):
    for _ in range(2):
        usage = client.chat.completions.create(model=MODEL, messages=HI, max_tokens=2).usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.completion_tokens == 2
    assert usage.prompt_tokens_details.cached_tokens == usage.prompt_tokens - 1


def test_answers_and_calls_keep_to_schemas(client: OpenAI):
    parsed = client.chat.completions.parse(model=MODEL, messages=HI, response_format=Someone)
    assert isinstance(parsed.choices[0].message.parsed, Someone)
    tools = [openai.pydantic_function_tool(Someone)]
    with client.chat.completions.stream(
        model=MODEL, messages=HI, tools=tools, tool_choice="required", parallel_tool_calls=False
    ) as stream:
        choice = stream.get_final_completion().choices[0]
    [call] = choice.message.tool_calls or []
    assert choice.finish_reason == "tool_calls"
    assert isinstance(call.function.parsed_arguments, Someone)
    response = client.responses.parse(model=MODEL, input="Say hello to Ann.", text_format=Someone)
    assert isinstance(response.output_parsed, Someone)
    cut = client.responses.create(model=MODEL, input="Say hello.", max_output_tokens=2)
    assert cut.status == "incomplete"
    assert cut.incomplete_details is not None
    assert cut.incomplete_details.reason == "max_output_tokens"


HOSTILE: list[dict[str, Any]] = [
    {"messages": [{"role": "system", "content": "word " * 200_000}, *HI]},
    {"logit_bias": {"9999999": 1}},
    {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "x", "schema": {"$ref": "#"}},
        }
    },
    {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "x", "schema": {"type": "array", "minItems": 10**9}},
        }
    },
    {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "x", "schema": {"type": 5}},
        }
    },
    {
        "tools": [
            {
                "type": "function",
                "function": {"name": "a", "parameters": {"type": 5}, "strict": True},
            }
        ]
    },
]
BEARABLE: list[dict[str, Any]] = [
    {"top_p": 0, "temperature": 1},
    {"seed": -1},
    {"seed": 2**63 - 1, "temperature": 1},
    {"messages": [{"role": "user", "content": ""}]},
    {"messages": [{"role": "tool", "tool_call_id": "q", "content": "z"}, *HI]},
    {"reasoning_effort": "high"},
    {"user": "ann", "service_tier": "auto", "store": True, "unknown": {"a": 1}},
]


def test_hostile_requests_are_refused_and_odd_ones_answered(server: Server):
    with httpx.Client(base_url=server.url, timeout=60) as http:
        for fields in (*HOSTILE, *BEARABLE):
            body = {"model": MODEL, "messages": HI, "max_tokens": 2, **fields}
            answer = http.post("/v1/chat/completions", json=body)
            wanted = 400 if fields in HOSTILE else 200
            assert answer.status_code == wanted, (str(fields)[:200], answer.text)
        long = {"model": "ask", "messages": [{"role": "user", "content": "word " * 100_000}]}
        answer = http.post("/v1/chat/completions", json=long)
        assert answer.json()["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_stops_the_model(server: Server, stream: bool):
    endless = {"0": -100, "2": -100}  # the tokens that end an answer
    body = {"model": MODEL, "messages": HI, "max_tokens": 1800, "logit_bias": endless}

    path = "/v1/chat/completions"

    def counted(name: str, **labels: str) -> float:
        registry = server.application.metrics.registry
        return registry.get_sample_value(name, {"graph": "model", **labels}) or 0.0

    with httpx.Client(base_url=server.url, timeout=30 if stream else 1) as http:
        if stream:
            with http.stream("POST", path, json={**body, "stream": True}) as answer:
                lines = answer.iter_lines()
                assert next(lines).startswith("data: ")
                assert counted("groundling_runs_running") == 1
        else:
            with pytest.raises(httpx.ReadTimeout):
                http.post(path, json=body)
    deadline = time.monotonic() + 10
    while not counted("groundling_runs_total", status="interrupted"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert counted("groundling_runs_running") == 0


def test_our_own_client_of_such_servers_can_use_it(server: Server):
    model = ChatRemote(base_url=f"{server.url}/v1", max_tokens=40, api_key="unused")
    found = model.capabilities()
    assert (found.model, found.context) == (MODEL, 2048)
    assert model.invoke([HumanMessage("Say hello.")]).text
    pieces = list(model.stream([HumanMessage("Say hello.")]))
    assert len(pieces) > 2
    weights = model.choose([HumanMessage("Is grass green?")], ["yes", "no"])
    assert sum(weights.values()) == pytest.approx(1)
    bound = model.bind_tools([Someone], tool_choice="Someone")
    [call] = bound.invoke([HumanMessage(HI[0]["content"])], max_tokens=60).tool_calls
    assert call["name"] == "Someone"
    someone = model.with_structured_output(Someone).invoke("Ann is 30 years old.")
    assert isinstance(someone, Someone)
