"""`ChatRemote` on llama.cpp's own server, side by side with `ChatLlama` where both can."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import BaseModel

from groundling.cli import main
from groundling.errors import ContextOverflow, ModelError
from groundling.models.chat import ChatLlama
from groundling.models.decide import decide
from groundling.models.remote import ChatRemote
from tests.models.remote.conftest import serving

pytestmark = pytest.mark.model

GRASS = [HumanMessage("Is grass green? Answer yes or no.")]
_NEVER_ENDS = {2: -100.0}  # <|im_end|>


class City(BaseModel):
    """A city."""

    name: str
    large: bool


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"It rains in {city}."


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.fixture
def remote(llama_server: str) -> ChatRemote:
    return ChatRemote(base_url=llama_server, max_tokens=16)


@pytest.fixture
def local(smollm2: Path) -> ChatLlama:
    return ChatLlama(model=str(smollm2), context=1024, max_tokens=16)


def wait_until_idle(address: str) -> None:
    """Wait until the server writes nothing; its longest answer here takes longer than this."""
    deadline = time.monotonic() + 10
    slots = httpx.URL(address).join("/slots")
    while any(slot["is_processing"] for slot in httpx.get(slots).json()):
        assert time.monotonic() < deadline, "the server still writes for nobody"
        time.sleep(0.05)


def test_the_server_is_recognised(remote: ChatRemote) -> None:
    found = remote.capabilities()
    assert (found.server, found.choose, found.counting) == ("llama.cpp", "exact", "exact")
    assert found.context == 2048  # of the 4,096 that two slots share
    assert not found.shows_tools  # SmolLM2's template knows none


def test_a_stream_is_the_same_answer_in_pieces(remote: ChatRemote) -> None:
    whole = remote.invoke("What is water?")
    pieces = list(remote.stream("What is water?"))
    assert len(pieces) > 5
    joined = sum(pieces[1:], start=pieces[0])
    assert joined.content == whole.content != ""
    usage = joined.usage_metadata
    assert usage is not None
    assert usage["output_tokens"] == 16
    assert usage["input_token_details"]["cache_read"] == usage["input_tokens"] - 1
    assert joined.response_metadata["finish_reason"] == "length"
    assert joined.response_metadata["tokens_per_second"] > 0
    assert "/" not in joined.response_metadata["model_name"]


async def test_many_at_once_get_what_each_gets_alone(remote: ChatRemote) -> None:
    questions = ["What is water?", "What is fire?", "Count to ten.", "Name a colour."]
    alone = [remote.invoke(question).content for question in questions]
    together = await asyncio.gather(*(remote.ainvoke(question) for question in questions))
    assert [message.content for message in together] == alone
    with ThreadPoolExecutor(4) as threads:
        assert [one.content for one in threads.map(remote.invoke, questions)] == alone


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["Yes", "No"], id="one token each"),
        pytest.param(["yes indeed", "no way", "positive", "possible"], id="several"),
        pytest.param(["Yes", "zqxv"], id="too unlikely to be listed"),
        pytest.param(["No", "No way"], id="one begins the other"),
    ],
)
def test_options_weigh_what_they_do_locally(
    remote: ChatRemote, local: ChatLlama, options: list[str]
) -> None:
    here, there = local.choose(GRASS, options), remote.choose(GRASS, options)
    assert sum(there.values()) == pytest.approx(1.0)
    # Two builds of llama.cpp round differently.
    assert there == pytest.approx(here, rel=0.4, abs=0.05)
    assert there.usage["input_tokens"] == here.usage["input_tokens"]


async def test_decisions_of_a_graph_are_weighed(remote: ChatRemote) -> None:
    weights = await decide(remote, GRASS, ["Yes", "No"])
    assert weights == pytest.approx(remote.choose(GRASS, ["Yes", "No"]))
    assert 0 < weights["Yes"] < 1


async def test_one_question_about_many_texts(remote: ChatRemote) -> None:
    prompts = [
        [SystemMessage("Say yes or no."), HumanMessage(f"Is {what} green?")]
        for what in ("grass", "snow", "coal")
    ]
    many = remote.choose_many(prompts, ["yes", "no"])
    assert many == await remote.achoose_many(prompts, ["yes", "no"])
    assert many[1] == pytest.approx(remote.choose(prompts[1], ["yes", "no"]))
    assert many[2].usage["input_token_details"]["cache_read"] > 10


def test_options_must_be_different_texts(remote: ChatRemote) -> None:
    for options in ([], [""], ["yes", "yes"]):
        with pytest.raises(ValueError, match="different"):
            remote.choose(GRASS, options)


def test_tokens_are_counted_by_the_server(remote: ChatRemote, local: ChatLlama) -> None:
    text = "안녕하세요, grass is green."
    assert remote.get_token_ids(text) == local.get_token_ids(text)
    assert remote.get_num_tokens(text) == local.get_num_tokens(text)
    messages = [SystemMessage("Be short."), *GRASS]
    counted = remote.get_num_tokens_from_messages(messages)
    assert counted == local.get_num_tokens_from_messages(messages)


@pytest.mark.parametrize("choice", ["weather", "any"])
def test_a_tool_that_must_be_called_is(remote: ChatRemote, choice: str) -> None:
    model = remote.bind_tools([weather, add], tool_choice=choice, parallel_tool_calls=False)
    question = [HumanMessage("How is the weather in Paris? Call weather.")]
    answer = model.invoke(question, max_tokens=60)
    [call] = answer.tool_calls
    assert call["name"] == "weather"
    assert list(call["args"]) == ["city"]
    streamed = list(model.stream(question, max_tokens=60))
    assert sum(streamed[1:], start=streamed[0]).tool_calls[0]["args"] == call["args"]
    assert sum(bool(piece.tool_call_chunks) for piece in streamed) > 2


def test_a_conversation_with_calls_goes_on(remote: ChatRemote) -> None:
    call = {"name": "weather", "args": {"city": "Paris"}, "id": "call_1", "type": "tool_call"}
    past = [
        HumanMessage("How is the weather in Paris?"),
        AIMessage([{"type": "text", "text": "I look."}, call], tool_calls=[call]),
        ToolMessage("It rains.", tool_call_id="call_1"),
    ]
    bound = remote.bind_tools([weather])
    assert remote.get_num_tokens_from_messages(past) > 30
    assert bound.invoke(past).usage_metadata["input_tokens"] > 100  # the tools, in words


def test_a_tool_that_is_not_there(remote: ChatRemote) -> None:
    with pytest.raises(ValueError, match="the tools are weather, add"):
        remote.bind_tools([weather, add], tool_choice="subtract")


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_answers_in_a_form(remote: ChatRemote, method: str) -> None:
    city = remote.model_copy(update={"max_tokens": 60}).with_structured_output(City, method=method)
    assert isinstance(city.invoke("Name a large city."), City)


async def test_extracting(remote: ChatRemote) -> None:
    assert remote.extract("Say anything.", choices=["left", "right"]) in ("left", "right")
    year = await remote.aextract("When was it?", regex="(19|20)[0-9]{2}")
    assert year.isdigit()
    assert len(year) == 4
    with pytest.raises(ValueError, match="one"):
        remote.extract("Say anything.")


def test_a_prompt_over_the_servers_context(remote: ChatRemote) -> None:
    with pytest.raises(ContextOverflow) as caught:
        remote.invoke("grass " * 3000)
    assert caught.value.prompt_tokens > 3000
    assert caught.value.context_tokens == 2048
    assert "llama-server -c" in str(caught.value.hint)
    with pytest.raises(ContextOverflowError):  # LangChain's own
        list(remote.stream("grass " * 3000))


def test_a_setting_outside_its_range(remote: ChatRemote) -> None:
    with pytest.raises(ValueError, match="top_p"):
        remote.invoke("Hello", top_p=2.0)
    with pytest.raises(ValueError, match="colour"):
        remote.invoke("Hello", colour="blue")


@pytest.mark.parametrize("streams", [True, False])
async def test_a_call_that_is_cancelled_frees_the_server(
    remote: ChatRemote, llama_server: str, streams: bool
) -> None:
    async def call() -> None:
        if streams:
            async for _ in remote.astream("Hello", max_tokens=1900, logit_bias=_NEVER_ENDS):
                pass
        else:
            await remote.ainvoke("Hello", max_tokens=1900, logit_bias=_NEVER_ENDS)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call(), 0.5)
    await asyncio.to_thread(wait_until_idle, llama_server)


def test_a_stream_that_is_left_frees_the_server(remote: ChatRemote, llama_server: str) -> None:
    stream = remote.stream("Hello", max_tokens=1900, logit_bias=_NEVER_ENDS)
    next(stream)
    stream.close()
    wait_until_idle(llama_server)


def test_a_call_that_takes_too_long(llama_server: str) -> None:
    hurried = ChatRemote(base_url=llama_server, max_tokens=1900, timeout=0.5)
    ways: list[Callable[[], object]] = [
        lambda: hurried.invoke("Hello", logit_bias=_NEVER_ENDS),
        lambda: list(hurried.stream("Hello", logit_bias=_NEVER_ENDS)),
        lambda: asyncio.run(hurried.ainvoke("Hello", logit_bias=_NEVER_ENDS)),
    ]
    for way in ways:
        with pytest.raises(ModelError, match=r"within 0\.5 seconds"):
            way()
    wait_until_idle(llama_server)


@pytest.fixture(scope="module")
def locked_server(smollm2: Path) -> Iterator[str]:
    """Run a server that wants a key."""
    with serving(smollm2, "open-sesame") as address:
        yield address


def test_a_server_with_a_key(locked_server: str) -> None:
    with pytest.raises(ModelError, match="refuses the key") as caught:
        ChatRemote(base_url=locked_server, model="any").invoke("Hello")
    assert "model.api_key" in str(caught.value.hint)
    allowed = ChatRemote(base_url=locked_server, api_key="open-sesame", max_tokens=2)
    assert allowed.invoke("Hello").content
    assert "open-sesame" not in repr(allowed)


def test_the_shell_asks_the_named_server(
    llama_server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The home folder is empty: nothing is downloaded.
    monkeypatch.setenv("GROUNDLING_MODEL__BASE_URL", llama_server)
    monkeypatch.setenv("GROUNDLING_MODEL__MAX_TOKENS", "8")
    with pytest.raises(SystemExit) as stop:
        main(["ask", "What is water?"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.strip()
