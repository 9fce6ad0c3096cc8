"""Whatever a request says, it is answered or refused, never met with a failure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage

from groundling.models.sampled import SAMPLING_FIELDS, Sampled
from groundling.server.openai.asked import MOST_ANSWERS
from groundling.server.openai.chat_request import ChatRequest
from groundling.server.openai.embeddings import EmbeddingRequest
from groundling.server.openai.model_answers import seeds
from groundling.server.openai.response_request import ResponseRequest
from tests.scripted import ScriptedChat
from tests.server.openai.conftest import serving

MODEL = "qwen2.5-coder-1.5b"
VALID: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": MODEL, "messages": [{"role": "user", "content": "Hello?"}]},
    "/v1/responses": {"model": MODEL, "input": "Hello?"},
    "/v1/embeddings": {"model": "minilm-l6", "input": "Hello?"},
}
NAMES = sorted(
    {*ChatRequest.model_fields, *ResponseRequest.model_fields, *EmbeddingRequest.model_fields}
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        [
            "auto", "required", "json_schema", "json_object", "function", "agent", "rag:x", "ask",
            "user", "assistant", "tool", "system", "allowed_tools", "low", "../../etc/passwd",
        ]
    ),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            [
                "type", "function", "name", "role", "content", "schema", "json_schema", "strict",
                "text", "parameters", "tools", "mode", "format", "effort", "knowledge", "x",
            ]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=10,
)  # fmt: skip


class Talkative(ScriptedChat):
    """Always has something to say."""

    def _next(self, messages: Sequence[BaseMessage]) -> AIMessage:
        return AIMessage("Well, yes.")

    def choose(self, messages: Sequence[BaseMessage], options: Sequence[str]) -> dict[str, float]:
        """Take the last option."""
        return {option: float(option == options[-1]) for option in options}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("home")
    with serving(Talkative(), path=folder, server={"requests_per_minute": 0}) as server:
        yield server.url


@given(
    path=st.sampled_from(sorted(VALID)),
    fields=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5),
)
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_fields_are_answered_or_refused(url: str, path: str, fields: dict[str, Any]):
    with httpx.Client(base_url=url, timeout=60) as http:
        answer = http.post(path, json={**VALID[path], **fields})
    assert answer.status_code < 500 or answer.json()["error"]["code"] == "model_unavailable"
    if answer.status_code >= 400:
        error = answer.json()["error"]
        assert error["message"]
        assert "Traceback" not in answer.text
    assert "/home/" not in answer.text


@given(
    temperature=st.floats(0, 2),
    share=st.floats(0, 1),
    top_k=st.integers(0, 1_000_000),
    repeat_penalty=st.floats(0.01, 10),
    seed=st.integers(-(2**63), 2**63 - 1),
    bias=st.dictionaries(st.integers(0, 999_999_999).map(str), st.floats(-100, 100), max_size=3),
    penalty=st.floats(-2, 2),
)
def test_the_sampler_takes_whatever_a_request_may_say(
    temperature: float,
    share: float,
    top_k: int,
    repeat_penalty: float,
    seed: int,
    bias: dict[str, float],
    penalty: float,
):
    request = ChatRequest.model_validate(
        {
            **VALID["/v1/chat/completions"],
            "temperature": temperature,
            "top_p": share,
            "min_p": share,
            "top_k": top_k,
            "repeat_penalty": repeat_penalty,
            "seed": seed,
            "logit_bias": bias,
            "frequency_penalty": penalty,
            "presence_penalty": penalty,
        }
    )
    sampling = request.asked().sampling
    assert set(sampling) <= set(SAMPLING_FIELDS)
    Sampled().sampling(sampling)
    asked = replace(request.asked(), answers=MOST_ANSWERS)
    for each in seeds(asked):
        Sampled().sampling({"seed": each})
    assert len(set(seeds(asked))) == MOST_ANSWERS


@given(id=st.text(st.characters(codec="utf-8", exclude_characters="?#"), min_size=1, max_size=30))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_id_is_found_or_not(url: str, id: str):
    with httpx.Client(base_url=url, timeout=60) as http:
        for method, path in (("GET", "models"), ("GET", "responses"), ("DELETE", "responses")):
            answer = http.request(method, f"/v1/{path}/{quote(id, safe='')}")
            assert answer.status_code < 500, answer.text


@pytest.mark.parametrize("depth", [100, 450, 5_000])
def test_a_deep_schema_is_kept_or_refused(url: str, depth: int):
    schema = '{"type":"object","properties":{"a":' * depth + "{}" + "}}" * depth
    body = (
        f'{{"model":"{MODEL}","messages":[{{"role":"user","content":"x"}}],"response_format":'
        f'{{"type":"json_schema","json_schema":{{"name":"x","strict":true,"schema":{schema}}}}}}}'
    )
    headers = {"content-type": "application/json"}
    answer = httpx.post(f"{url}/v1/chat/completions", content=body, headers=headers, timeout=60)
    assert answer.status_code in (200, 400), answer.text


@pytest.mark.parametrize(
    "fields",
    [
        '"input": [{{"role": "user", "content": "x"}}, {{"type": "reasoning", "summary": {}}}]',
        '"input": "x", "text": {{"format": {{"type": "text", "more": {}}}}}',
    ],
)
def test_what_is_too_deep_to_be_written_again_is_refused(url: str, fields: str):
    for depth, status in ((60, 200), (300, 400)):
        body = f'{{"model": "{MODEL}", {fields.format("[" * depth + "]" * depth)}}}'
        headers = {"content-type": "application/json"}
        answer = httpx.post(f"{url}/v1/responses", content=body, headers=headers, timeout=60)
        assert answer.status_code == status, answer.text


def test_a_conversation_of_too_many_messages_is_refused(url: str):
    many = [{"role": "user", "content": "x"}] * 10_001
    body = {"model": MODEL, "messages": many}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "messages")
