"""Graphs as models: what is shown when, what stands beside it, and what a plain client reads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import openai
import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from openai import OpenAI

from groundling.home import Home
from groundling.tracing import attach
from tests.guardrails.test_guard import YES, category
from tests.scripted import ScriptedChat
from tests.server.openai.conftest import Endless, Server, serving, until

QUESTION = "How many days of leave do employees receive?"
ASKED: list[Any] = [{"role": "user", "content": QUESTION}]
ANSWER = "Full-time employees receive 17 days of leave [1]."
PLACE = "“Full-time employees receive 17 days of paid leave a year.”"


@pytest.fixture
def library(home_with_models: Path, embedder_files: Path, documents: Path) -> Path:
    """A home folder with two knowledge bases; the configured one is empty."""
    with Home() as opened:
        opened.knowledge("handbook").add([documents])
        opened.knowledge("default")
    return home_with_models


@pytest.fixture
def server(library: Path, scripted: ScriptedChat) -> Iterator[Server]:
    with serving(scripted) as server:
        yield server


def proved(scripted: ScriptedChat) -> None:
    """Have the model answer, and judge its answer to be right."""
    scripted.enqueue_choice({"yes": 0.9, "no": 0.1}, "yes")
    scripted.enqueue("Full-time employees receive 17 days of leave.")


def test_citations_stand_in_a_field_and_below_the_text(client: OpenAI, scripted: ScriptedChat):
    proved(scripted)
    reply = client.chat.completions.create(model="rag:handbook", messages=ASKED)
    message = reply.choices[0].message
    text, rule, below = (message.content or "").partition("\n\n---\n")
    assert text == ANSWER
    assert rule
    assert below.startswith("[1] ")
    assert "leave.md, characters" in below
    assert below.endswith(PLACE)
    beside = (message.model_extra or {})["groundling"]
    assert beside["verdict"] == "answered"
    [citation] = beside["citations"]
    assert (citation["number"], citation["proof"]) == (1, "text")
    assert beside["run_id"].replace("-", "") in reply.id


def test_footnotes_can_be_left_out_and_knowledge_named_beside(
    client: OpenAI, scripted: ScriptedChat
):
    proved(scripted)
    reply = client.chat.completions.create(
        model="rag",
        messages=ASKED,
        extra_body={"groundling": {"footnotes": False, "knowledge": "handbook"}},
    )
    assert reply.choices[0].message.content == ANSWER


def test_the_models_are_named_with_the_knowledge_that_there_is(client: OpenAI):
    ids = {model.id for model in client.models.list()}
    assert {"rag:handbook", "agent:handbook"} <= ids
    assert (client.models.retrieve("rag:handbook").model_extra or {})["groundling"]["knowledge"]


def test_text_that_may_still_change_is_held_back(client: OpenAI, scripted: ScriptedChat):
    """The draft has no marker; what is shown has."""
    proved(scripted)
    steps, text, beside = [], "", {}
    for chunk in client.chat.completions.create(model="rag:handbook", messages=ASKED, stream=True):
        extra = (chunk.model_extra or {}).get("groundling") or {}
        if "step" in extra:
            assert chunk.choices[0].delta.content is None
            steps.append(extra["step"])
            assert text == ""
        beside = extra
        text += chunk.choices[0].delta.content or ""
    assert steps[-3:] == ["answer", "verify", "cite"]
    assert text.startswith(f"{ANSWER}\n\n---\n[1] ")
    assert beside["verdict"] == "answered"


def test_a_refusal_has_nothing_below_it(client: OpenAI, scripted: ScriptedChat):
    scripted.enqueue_choice({"yes": 0.1, "no": 0.9})
    message = (
        client.chat.completions.create(model="rag:handbook", messages=ASKED).choices[0].message
    )
    assert message.content == "Not in these documents."
    assert (message.model_extra or {})["groundling"]["verdict"] == "refused"


def test_footnotes_that_a_client_sends_back_are_not_read(client: OpenAI, scripted: ScriptedChat):
    proved(scripted)
    first = client.chat.completions.create(model="rag:handbook", messages=ASKED)
    scripted.enqueue("How many days of leave do part-time employees receive?")
    scripted.enqueue_choice({"yes": 0.1, "no": 0.9})
    further: Any = [
        *ASKED,
        {"role": "assistant", "content": first.choices[0].message.content},
        {"role": "user", "content": "And part-time ones?"},
    ]
    client.chat.completions.create(model="rag:handbook", messages=further)
    rewriting = "\n".join(message.text for message in scripted.prompts[-2])
    assert "17 days of leave [1]." in rewriting
    assert "characters" not in rewriting


def test_an_empty_knowledge_base_is_an_error_of_the_request(client: OpenAI):
    with pytest.raises(openai.UnprocessableEntityError) as error:
        client.chat.completions.create(model="rag:default", messages=ASKED)
    assert "empty" in error.value.message
    assert error.value.code == "invalid_knowledge"


def test_ask_streams_as_it_writes_and_takes_a_system_message(
    client: OpenAI, scripted: ScriptedChat
):
    scripted.enqueue("Because of light.")
    messages: Any = [{"role": "system", "content": "Be brief."}, *ASKED]
    chunks = client.chat.completions.create(model="ask", messages=messages, stream=True)
    texts = [text for chunk in chunks if (text := chunk.choices[0].delta.content)]
    assert texts == ["Because ", "of ", "light."]
    assert scripted.prompts == [[SystemMessage("Be brief."), HumanMessage(QUESTION)]]


def test_what_the_guard_blocks_is_filtered_content(client: OpenAI, scripted: ScriptedChat):
    asked: Any = [{"role": "user", "content": "How do I build a bomb?"}]
    scripted.enqueue_choice(YES, category("S9"))
    whole = client.chat.completions.create(model="chat", messages=asked).choices[0]
    scripted.enqueue_choice(YES, category("S9"))
    chunks = list(client.chat.completions.create(model="chat", messages=asked, stream=True))
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert whole.finish_reason == chunks[-1].choices[0].finish_reason == "content_filter"
    assert streamed == whole.message.content != ""


def test_a_call_that_needs_approval_is_not_made(home: Path, scripted: ScriptedChat):
    home.mkdir(exist_ok=True)
    tools = {"enabled": ["calculator"], "approve": ["compute"]}
    asked: Any = [{"role": "user", "content": "What is 6 * 7?"}]
    scripted.enqueue_choice("calculator", "none")
    scripted.enqueue('{"calls": [{"expression": "6 * 7"}]}', "I may not reckon that.")
    with serving(scripted, tools=tools) as server, server.client() as client:
        choice = client.chat.completions.create(model="toolbox", messages=asked).choices[0]
    assert choice.finish_reason == "stop"
    assert "42" not in (choice.message.content or "")
    [step] = (choice.message.model_extra or {})["groundling"]["steps"]
    assert (step["tool"], step["outcome"]) == ("calculator", "rejected")


async def test_a_client_that_goes_away_stops_a_graph(home: Path):
    model = Endless()
    await asyncio.to_thread(home.mkdir, exist_ok=True)
    body = {"model": "ask", "messages": ASKED, "stream": True}
    with serving(model) as server:
        async with httpx.AsyncClient(base_url=server.url) as http:
            async with http.stream("POST", "/v1/chat/completions", json=body):
                await until(model.begun)
                assert not model.stopped.is_set()
            await until(model.stopped)


def test_as_much_as_may_wait_is_told_with_when_to_ask_again(home: Path):
    home.mkdir(exist_ok=True)
    for name in ("ask", "qwen2.5-coder-1.5b"):
        body = {"model": name, "messages": ASKED, "stream": True}
        with (
            serving(Endless(), server={"runs": 1, "queue": 0}) as server,
            httpx.Client(base_url=server.url) as http,
            http.stream("POST", "/v1/chat/completions", json=body) as answer,
            server.client() as client,
        ):
            lines = answer.iter_lines()
            assert next(lines).startswith("data: ")
            with pytest.raises(openai.RateLimitError) as error:
                client.chat.completions.create(model=name, messages=ASKED)
            assert error.value.code == "rate_limit_exceeded"
            assert int(error.value.response.headers["retry-after"]) > 0


def test_citations_are_annotations_of_a_response(client: OpenAI, scripted: ScriptedChat):
    proved(scripted)
    response = client.responses.create(model="rag:handbook", input=QUESTION)
    [message] = response.output
    assert message.type == "message"
    [part] = message.content
    assert part.type == "output_text"
    [annotation] = part.annotations
    assert annotation.type == "file_citation"
    assert annotation.filename.endswith("leave.md")
    assert part.text[annotation.index :].startswith("[1]")


def test_nothing_of_a_run_is_kept_but_its_trace(
    server: Server, client: OpenAI, scripted: ScriptedChat
):
    proved(scripted)
    reply = client.chat.completions.create(model="rag:handbook", messages=ASKED)
    run = (reply.choices[0].message.model_extra or {})["groundling"]["run_id"]
    attach.flush()
    stored = server.home.traces.run(UUID(run))
    assert stored is not None
    assert stored.name == "rag"
