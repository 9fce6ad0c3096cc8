"""`ChatLlama` beyond LangChain's own suite (see test_standard.py)."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
from pathlib import Path
from typing import TypedDict

import pytest
from langchain_core.exceptions import ContextOverflowError, OutputParserException
from langchain_core.messages import AIMessageChunk, HumanMessage, SystemMessage
from langchain_core.tracers.context import collect_runs
from pydantic import BaseModel, Field, ValidationError

from groundling import settings
from groundling.errors import ContextOverflow, ModelError, ModelFileError, ModelNotFound
from groundling.models.calling import prepare
from groundling.models.calls import Adapter, Priority
from groundling.models.chat import ChatLlama
from groundling.models.engines import engine_for
from groundling.models.sampling import Sampling

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
    other = {"name", "adapter", "embedder", "base_url", "measure"}
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
    timed = ("queued_seconds", "prefill_seconds", "decode_seconds", "drafted_tokens")
    assert all(reply.response_metadata[name] >= 0 for name in timed)


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


LONG = {"max_tokens": 400, "temperature": 1.0, "logit_bias": {2: -100.0, 0: -100.0}}


@pytest.mark.model
@pytest.mark.parametrize("way", ["ainvoke", "astream", "abandoned astream", "abandoned stream"])
async def test_nobody_waits_and_the_model_stops(chat: ChatLlama, way: str) -> None:
    await chat.ainvoke("hello", max_tokens=1)
    totals = chat._engine(chat.model).totals
    before = totals.passes
    if way == "abandoned stream":
        next(chat.stream("Tell me a story.", **LONG))
    elif way == "abandoned astream":
        async for _ in (stream := chat.astream("Tell me a story.", **LONG)):
            break
        await stream.aclose()
    else:
        started = asyncio.Event()

        async def read() -> None:
            if way == "ainvoke":
                asyncio.get_running_loop().call_later(0.3, started.set)
                await chat.ainvoke("Tell me a story.", **LONG)
            async for _ in chat.astream("Tell me a story.", **LONG):
                started.set()

        task = asyncio.create_task(read())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    # A short call comes to its end after the cancelled one has left.
    await chat.ainvoke("hello", max_tokens=1)
    assert totals.passes - before < 200


@pytest.mark.model
async def test_calls_of_one_event_loop_take_turns(chat: ChatLlama) -> None:
    replies = await asyncio.gather(*(chat.ainvoke(f"Count to {n}.") for n in range(4)))
    assert all(reply.text for reply in replies)


@pytest.mark.model
def test_a_question_longer_than_the_context(chat: ChatLlama) -> None:
    with pytest.raises(ContextOverflow, match=r"has \d+ tokens; the context holds 512"):
        chat.invoke("word " * 600)
    with pytest.raises(ContextOverflowError):
        asyncio.run(chat.ainvoke("word " * 600))
    with pytest.raises(ContextOverflowError):
        list(chat.stream("word " * 600))
    with pytest.raises(ContextOverflowError):
        chat.choose([HumanMessage("word " * 600)], ["a", "b"])


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


@pytest.mark.model
def test_the_three_methods_differ(chat: ChatLlama) -> None:
    roomy = chat.model_copy(update={"max_tokens": 80, "repeat_penalty": 1.1})
    asked = []
    for method in ("json_schema", "function_calling", "json_mode"):
        form = roomy.with_structured_output(AnswerDict, method=method, include_raw=True)
        raw = form.invoke("What colour is grass? Answer as JSON with colour and sure.")["raw"]
        asked.append(raw.usage_metadata["input_tokens"])
        assert bool(raw.tool_calls) == (method == "function_calling")
        if method != "json_mode":
            assert form.invoke("What colour is grass?")["parsed"].keys() == {"colour", "sure"}
        elif raw.response_metadata["finish_reason"] == "stop":
            assert isinstance(json.loads(raw.text), dict)
    # Only a tool is shown to the model.
    assert asked[1] > asked[0] == asked[2]
    with pytest.raises(ValueError, match="no method"):
        chat.with_structured_output(AnswerDict, method="telepathy")  # type: ignore[arg-type]


@pytest.mark.model
def test_partial_objects_are_streamed(chat: ChatLlama) -> None:
    roomy = chat.model_copy(update={"max_tokens": 80, "repeat_penalty": 1.1})
    for method in ("json_schema", "function_calling"):
        form = roomy.with_structured_output(AnswerDict, method=method)
        parts = list(form.stream("What colour is grass?"))
        assert parts[-1].keys() == {"colour", "sure"}
        assert len(parts) > 2


def test_strict_refuses_what_only_pydantic_would_check() -> None:
    class Code(BaseModel):
        code: str = Field(json_schema_extra={"not": {"const": "x"}})

    for method in ("json_schema", "function_calling"):
        ChatLlama().with_structured_output(Code, method=method)
        with pytest.raises(ModelError, match="not"):
            ChatLlama().with_structured_output(Code, method=method, strict=True)


@pytest.mark.model
async def test_extract_by_schema_pattern_and_choice(chat: ChatLlama) -> None:
    roomy = chat.model_copy(update={"max_tokens": 80, "repeat_penalty": 1.1})
    assert isinstance(roomy.extract(GRASS, schema=Answer), Answer)
    assert re.fullmatch("(Yes|No), [0-9]{4}", chat.extract(GRASS, regex="(Yes|No), [0-9]{4}"))
    assert await chat.aextract(GRASS, choices=["perhaps", "never"]) in ("perhaps", "never")
    with pytest.raises(ValueError, match="one of"):
        chat.extract(GRASS, regex="a", choices=["b"])
    with pytest.raises(OutputParserException, match="cut short"):
        chat.extract(GRASS, regex="[a-z]{50}", max_tokens=3)


@pytest.mark.model
async def test_many_choices_at_once(chat: ChatLlama) -> None:
    prompts = [[SystemMessage("Judge " + "a" * 40), HumanMessage(f"{n}?")] for n in range(6)]
    single = [chat.choose(prompt, ["Yes", "No"]) for prompt in prompts]
    together = chat.choose_many(prompts, ["Yes", "No"])
    # Not which is best: some of these are so near to even that rounding decides.
    later = await chat.achoose_many(prompts, ["Yes", "No"])
    for one, many, again in zip(single, together, later, strict=True):
        assert many["Yes"] == pytest.approx(one["Yes"], abs=0.05)
        assert again["Yes"] == pytest.approx(one["Yes"], abs=0.05)
        assert many.usage["input_tokens"] == one.usage["input_tokens"]
    assert sum(found.usage["input_token_details"]["cache_read"] for found in together) > 0
    assert chat.choose_many([], ["Yes", "No"]) == []


@pytest.mark.model
def test_a_choice_stands_in_traces(chat: ChatLlama) -> None:
    with collect_runs() as runs:
        found = chat.choose(GRASS, ["Yes", "No"])
    (run,) = runs.traced_runs
    assert (run.name, run.inputs["options"]) == ("choose", ["Yes", "No"])
    assert run.outputs is not None
    assert run.outputs["output"] == [found]


@pytest.mark.model
def test_log_probabilities_in_openai_s_shape(chat: ChatLlama) -> None:
    reply = chat.invoke(HELLO, max_tokens=4, logprobs=True, top_logprobs=2)
    content = reply.response_metadata["logprobs"]["content"]
    assert len(content) == 4
    for token in content:
        assert token["logprob"] <= 0
        assert bytes(token["bytes"]).decode("utf-8", "replace") == token["token"]
        assert len(token["top_logprobs"]) == 2
    first, *rest = chat.stream(HELLO, max_tokens=4, logprobs=True)
    streamed = sum(rest, start=first).response_metadata["logprobs"]["content"]
    assert [token["token"] for token in streamed] == [token["token"] for token in content]
    assert "logprobs" not in chat.invoke(HELLO, max_tokens=1).response_metadata


def test_every_setting_of_the_sampler_is_a_field() -> None:
    names = {field.name for field in dataclasses.fields(Sampling)} - {"grammar", "grammar_trigger"}
    assert names <= set(ChatLlama.model_fields)
    made = ChatLlama(mirostat=2, logit_bias={7: -1.0}).sampling({"typical_p": 0.5, "top_k": None})
    assert (made.mirostat, made.typical_p, made.top_k) == (2, 0.5, ChatLlama().top_k)
    assert made.logit_bias == ((7, -1.0),)
    with pytest.raises(ValidationError, match="mirostat"):
        ChatLlama(mirostat=3)


@pytest.mark.model
def test_settings_of_a_call_reach_the_engine(chat: ChatLlama, tmp_path: Path) -> None:
    adapter = {"path": tmp_path / "a.gguf", "scale": 0.5}
    wishes = {"priority": 2, "adapters": [adapter, "b.gguf"], "logprobs": True, "timeout": 3.0}
    call = prepare(chat, HELLO, None, {**wishes, "overflow": "shift", "dry_multiplier": 0.8})
    asked = call.request
    assert (asked.priority, asked.logprobs, call.timeout) == (Priority.BACKGROUND, 0, 3.0)
    assert asked.adapters == (Adapter(tmp_path / "a.gguf", 0.5), Adapter(Path("b.gguf")))
    assert asked.sampling.dry_multiplier == 0.8
    # The system's text is what a shift never forgets.
    text = call.engine.vocabulary.text(asked.tokens[: asked.keep], markup=True)
    assert text.startswith("<|im_start|>system\nBe brief.<|im_end|>")
    assert "Who" not in text
    with pytest.raises(ValueError, match="adapter"):
        prepare(chat, HELLO, None, {"adapters": [{"file": "a"}]})


@pytest.mark.model
async def test_a_model_for_one_call(chat: ChatLlama) -> None:
    with pytest.raises(ModelNotFound):
        await chat.ainvoke("hello", model="/nowhere/model.gguf")
    assert chat.profile is not None
    chat.invoke("hello", max_tokens=1)
    assert chat.profile["reasoning_output"] is False
    assert chat.profile["tool_calling"] is True
