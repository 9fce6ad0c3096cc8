"""`ChatLlama` beyond LangChain's own suite (see test_standard.py)."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from pathlib import Path
from typing import TypedDict

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessageChunk, HumanMessage, SystemMessage
from pydantic import BaseModel, Field, ValidationError

from groundling import settings
from groundling.errors import ContextOverflow, ModelError, ModelFileError, ModelNotFound
from groundling.models.chat import ChatLlama
from groundling.models.engines import engine_for

HELLO = [SystemMessage("Be brief."), HumanMessage("안녕! Who are you?")]
GRASS = [HumanMessage("Is grass green? Answer yes or no.")]


@pytest.fixture
def chat(smollm2: Path) -> ChatLlama:
    return ChatLlama(model=str(smollm2), context=512, max_tokens=16)


def test_nothing_is_loaded_until_a_call() -> None:
    model = ChatLlama(model="/nowhere/model.gguf")
    assert model.profile is not None
    assert model.profile["max_input_tokens"] == 4096
    with pytest.raises(ModelNotFound, match=r"/nowhere/model\.gguf"):
        model.invoke("hello")


def test_a_model_that_is_not_here_says_how_to_get_it() -> None:
    with pytest.raises(ModelNotFound) as error:
        ChatLlama(model="smollm2-135m").invoke("hello")
    assert error.value.hint == "groundling model pull smollm2-135m"


def test_misspelt_settings_are_refused() -> None:
    with pytest.raises(ValidationError):
        ChatLlama(temprature=1.0)  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        ChatLlama(temperature=-1.0)


def test_settings_reach_the_model() -> None:
    made = settings.load({"model": {"name": "x.gguf", "context": 1024, "temperature": 0.5}})
    model = ChatLlama.from_settings(made)
    assert (model.model, model.context, model.temperature) == ("x.gguf", 1024, 0.5)
    # Every setting of the model section has a field of the same name.
    other = {"name", "embedder", "base_url", "measure"}
    names = set(settings.ModelSettings.model_fields) - other
    assert names <= set(ChatLlama.model_fields)


def test_traces_do_not_hold_the_path() -> None:
    params = ChatLlama(model="/home/someone/secret/m.gguf")._get_ls_params()
    assert params["ls_model_name"] == "m.gguf"
    assert params["ls_provider"] == "groundling"


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    file = tmp_path / "page.gguf"
    file.write_text("<html>")
    with pytest.raises(ModelFileError, match="not a GGUF"):
        ChatLlama(model=str(file)).invoke("hello")


@pytest.mark.model
def test_an_answer_says_what_it_cost(chat: ChatLlama) -> None:
    chat.invoke(HELLO)
    reply = chat.invoke(HELLO)
    assert reply.usage_metadata is not None
    asked = reply.usage_metadata["input_tokens"]
    assert reply.usage_metadata["input_token_details"] == {"cache_read": asked - 1}
    assert asked == chat.get_num_tokens_from_messages(list(HELLO))
    assert reply.usage_metadata["output_tokens"] == 16
    assert reply.response_metadata["finish_reason"] == "length"
    assert reply.response_metadata["tokens_per_second"] > 0


@pytest.mark.model
def test_streaming_says_the_same(chat: ChatLlama) -> None:
    chat.invoke(HELLO)
    whole = chat.invoke(HELLO)
    first, *rest = chat.stream(HELLO)
    streamed = sum(rest, start=first)
    assert isinstance(streamed, AIMessageChunk)
    assert streamed.text == whole.text
    assert streamed.usage_metadata == whole.usage_metadata
    assert len({chunk.id for chunk in (first, *rest)}) == 1
    assert [chunk.chunk_position for chunk in (first, *rest)] == [None] * len(rest) + ["last"]


@pytest.mark.model
def test_stop_works_while_streaming_and_from_the_constructor(chat: ChatLlama) -> None:
    chat.invoke(HELLO)
    text = chat.invoke(HELLO).text
    stop = text[5:9]
    assert "".join(chunk.text for chunk in chat.stream(HELLO, stop=[stop])) == text.split(stop)[0]
    chat.stop = [stop]
    assert chat.invoke(HELLO).text == text.split(stop)[0]
    assert chat.invoke(HELLO, stop=[]).text == text


@pytest.mark.model
def test_settings_of_one_call(chat: ChatLlama, smollm2: Path) -> None:
    reply = chat.invoke(HELLO, max_tokens=3, temperature=2.0, seed=7)
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["output_tokens"] <= 3
    with pytest.raises(ValueError, match="takes no colour"):
        chat.invoke(HELLO, colour="red")


@pytest.mark.model
def test_models_share_one_engine(chat: ChatLlama, smollm2: Path) -> None:
    warm = chat.model_copy(update={"temperature": 1.0}, deep=True)
    assert chat._engine(chat.model) is warm._engine(warm.model)
    assert chat._engine(chat.model) is engine_for(smollm2, chat._engine(chat.model).settings)


@pytest.mark.model
def test_choose_gives_probabilities(chat: ChatLlama) -> None:
    weights = chat.choose(GRASS, ["Yes", "No", "Perhaps it is"])
    assert list(weights) == ["Yes", "No", "Perhaps it is"]
    assert sum(weights.values()) == pytest.approx(1.0)
    assert asyncio.run(chat.achoose(GRASS, ["Yes", "No"])).keys() == {"Yes", "No"}
    for options in ([], [""], ["a", "a"]):
        with pytest.raises(ValueError, match="different texts"):
            chat.choose(GRASS, options)


@pytest.mark.model
async def test_a_cancelled_task_stops_the_model(chat: ChatLlama) -> None:
    await chat.ainvoke("hello", max_tokens=1)
    started = asyncio.Event()

    async def read() -> None:
        async for _ in chat.astream("Tell me a very long story.", max_tokens=400, temperature=1.0):
            started.set()

    task = asyncio.create_task(read())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # What the worker had read when it came to the next piece of work.
    engine = chat._engine(chat.model)
    read_tokens: Future[int] = Future()
    engine._submit(lambda context: read_tokens.set_result(len(context._read) if context else -1))
    assert 0 < await asyncio.wrap_future(read_tokens) < 200


@pytest.mark.model
async def test_calls_of_one_event_loop_take_turns(chat: ChatLlama) -> None:
    replies = await asyncio.gather(*(chat.ainvoke(f"Count to {n}.") for n in range(4)))
    assert all(reply.text for reply in replies)


@pytest.mark.model
def test_a_question_longer_than_the_context(chat: ChatLlama) -> None:
    with pytest.raises(ContextOverflow, match=r"has \d+ tokens; the context holds 512"):
        chat.invoke("word " * 600)
    with pytest.raises(ContextOverflow):
        asyncio.run(chat.ainvoke("word " * 600))


@pytest.mark.model
def test_a_timeout(chat: ChatLlama) -> None:
    chat.timeout = 0.01
    with pytest.raises(ModelError, match=r"within 0\.01 seconds"):
        chat.invoke("Tell me a story.", max_tokens=400)
    with pytest.raises(ModelError, match=r"within 0\.01 seconds"):
        asyncio.run(chat.ainvoke("Tell me a story.", max_tokens=400))


@pytest.mark.model
def test_images_are_refused_with_a_reason(chat: ChatLlama) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    with pytest.raises(ModelError, match="reads text"):
        chat.invoke([HumanMessage(content=[image])])


class Answer(BaseModel):
    """A colour of a thing."""

    색: str = Field(max_length=12)
    sure: bool
    score: int = Field(ge=0, le=9)


class AnswerDict(TypedDict):
    colour: str
    sure: bool


@pytest.mark.model
def test_objects_of_a_schema(chat: ChatLlama) -> None:
    roomy = chat.model_copy(update={"max_tokens": 80, "repeat_penalty": 1.1})
    found = roomy.with_structured_output(Answer).invoke("What colour is grass?")
    assert isinstance(found, Answer)
    both = roomy.with_structured_output(Answer, include_raw=True).invoke("What colour is snow?")
    assert isinstance(both, dict)
    assert isinstance(both["parsed"], Answer)
    assert both["parsing_error"] is None
    assert both["raw"].usage_metadata["output_tokens"] > 0


@pytest.mark.model
def test_an_object_cut_short_is_an_error(chat: ChatLlama) -> None:
    short = chat.model_copy(update={"max_tokens": 4})
    for schema in (Answer, AnswerDict):
        with pytest.raises(OutputParserException, match="cut short"):
            short.with_structured_output(schema).invoke("What colour is grass?")


def test_a_schema_that_cannot_be_kept_fails_at_once() -> None:
    with pytest.raises(ModelError, match="patternProperties"):
        ChatLlama().with_structured_output({"properties": {}, "patternProperties": {"a": {}}})
