"""Other kinds of server, and servers that misbehave: answers as they were seen or specified."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage

from groundling.errors import (
    ContextOverflow,
    EngineBusy,
    ModelError,
    ModelNotFound,
    SettingsError,
)
from groundling.models.chat import ChatLlama
from groundling.models.configured import chat_model
from groundling.models.remote import ChatRemote
from groundling.models.remote.choice import _shares
from groundling.models.remote.http import _Events
from groundling.settings import load
from tests.models.remote.conftest import Handler, ScriptedServer

CHAT = "/v1/chat/completions"
HELLO = [HumanMessage("Hello")]


def answer(text: str, **message: Any) -> dict[str, Any]:
    part = {"role": "assistant", "content": text, **message}
    return {
        "model": "small",
        "choices": [{"index": 0, "message": part, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2},
    }


def listing(**probabilities: float) -> dict[str, Any]:
    """Answer with the first token's likeliest, as vLLM and OpenAI list them."""
    tops = [{"token": token, "logprob": math.log(p)} for token, p in probabilities.items()]
    whole = answer(max(probabilities, key=lambda token: probabilities[token]))
    whole["choices"][0]["logprobs"] = {"content": [{**tops[0], "top_logprobs": tops}]}
    return whole


def events(*parts: dict[str, Any], end: str = "data: [DONE]\n\n") -> bytes:
    lines = [f"data: {json.dumps(part, ensure_ascii=False)}\n\n" for part in parts]
    return (": ping\n\n" + "".join(lines) + end).encode()


def delta(finish: str | None = None, **part: Any) -> dict[str, Any]:
    return {"model": "small", "choices": [{"delta": part, "finish_reason": finish}]}


@pytest.fixture
def remote(scripted_server: ScriptedServer) -> ChatRemote:
    return ChatRemote(base_url=scripted_server.url, timeout=5)


def test_nothing_else_is_told_or_asked(
    scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "of-another-house")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    scripted_server.on(CHAT, answer("Hi"))
    remote = ChatRemote(base_url=scripted_server.url, timeout=5)
    assert remote.invoke("Hello").content == "Hi"
    assert remote.get_num_tokens("four") == 1
    assert {path for path, _, _ in scripted_server.asked} == {"/v1/models", CHAT}
    for _, headers, _ in scripted_server.asked:
        assert "of-another-house" not in str(headers)
        assert headers.keys() <= {
            "Host", "Accept", "Accept-Encoding", "Connection", "User-Agent", "Content-Length",
            "Content-Type",
        }  # fmt: skip


def test_a_redirect_is_not_followed(scripted_server: ScriptedServer, remote: ChatRemote) -> None:
    scripted_server.on(CHAT, b"", 307, Location="http://elsewhere.example/v1")
    with pytest.raises(ModelError, match="not sent there"):
        remote.invoke("Hello")


def test_the_key_is_sent_and_not_shown(scripted_server: ScriptedServer) -> None:
    scripted_server.on(CHAT, answer("Hi"))
    remote = ChatRemote(base_url=scripted_server.url, api_key="sesame", timeout=5)
    remote.invoke("Hello")
    assert scripted_server.asked[-1][1]["Authorization"] == "Bearer sesame"
    assert "sesame" not in repr(remote)


def test_vllm_is_asked_in_its_own_words(scripted_server: ScriptedServer) -> None:
    scripted_server.models("org/model", owned_by="vllm", max_model_len=8192)
    scripted_server.on(CHAT, answer("1999"))
    remote = ChatRemote(base_url=scripted_server.url, repeat_penalty=1.1, timeout=5)
    found = remote.capabilities()
    assert (found.server, found.context, found.choose) == ("vLLM", 8192, "likeliest tokens")
    assert remote.extract("When?", regex="[0-9]{4}") == "1999"
    body = scripted_server.last
    assert body["model"] == "org/model"
    assert body["repetition_penalty"] == 1.1
    assert body["structured_outputs"] == {"regex": "[0-9]{4}"}
    assert "mirostat" not in body


def test_a_server_of_no_special_kind(scripted_server: ScriptedServer, remote: ChatRemote) -> None:
    scripted_server.on(CHAT, answer("Hi"))
    remote.invoke("Hello", reasoning=True)
    assert scripted_server.last.keys() <= {
        "model", "messages", "temperature", "top_p", "seed", "max_tokens", "stream",
        "stream_options", "frequency_penalty", "presence_penalty",
    }  # fmt: skip
    with pytest.raises(ModelError, match="keeps no answer to a regex"):
        remote.extract("When?", regex="[0-9]{4}")
    with pytest.raises(ModelError, match="does not tell a text's tokens"):
        remote.get_token_ids("Hello")


def test_a_server_without_a_list_of_models(scripted_server: ScriptedServer) -> None:
    del scripted_server.replies["/v1/models"]
    scripted_server.on(CHAT, answer("Hi"))
    with pytest.raises(ModelError, match="names no model"):
        ChatRemote(base_url=scripted_server.url, timeout=5).invoke("Hello")
    named = ChatRemote(base_url=scripted_server.url, model="mine", timeout=5)
    assert named.invoke("Hello").content == "Hi"
    assert scripted_server.last["model"] == "mine"


def test_something_stands_before_llama_cpp(scripted_server: ScriptedServer) -> None:
    scripted_server.models("small", owned_by="llamacpp")  # and no /props beside /v1
    assert ChatRemote(base_url=scripted_server.url, timeout=5).capabilities().server == "other"


@pytest.mark.parametrize(
    ("listed", "options", "expected"),
    [
        ({"Yes": 0.6, "yes": 0.1, " No": 0.2, "Maybe": 0.1}, ["yes", "no"], [0.7, 0.2]),
        ({"pos": 0.5, "neg": 0.3}, ["positive", "negative"], [0.5, 0.3]),
        ({"no": 0.5, "yes": 0.4}, ["yes", "no", "other"], [0.4, 0.5, 0.0]),
        ({"yes,": 0.5, "no.": 0.5}, ["yes", "no"], [0.5, 0.5]),
        ({"po": 0.8, "n": 0.2}, ["possible", "positive", "none"], [0.4, 0.4, 0.2]),
    ],
)
def test_options_share_the_likeliest_tokens(
    scripted_server: ScriptedServer,
    remote: ChatRemote,
    listed: dict[str, float],
    options: list[str],
    expected: list[float],
) -> None:
    scripted_server.on(CHAT, listing(**listed))
    weights = remote.choose(HELLO, options)
    assert list(weights.values()) == pytest.approx([one / sum(expected) for one in expected])
    assert weights.usage["input_tokens"] == 5
    assert scripted_server.last["top_logprobs"] == 20


@given(
    st.lists(st.tuples(st.text(max_size=4), st.floats(0, 1)), max_size=6),
    st.text(max_size=8),
    st.lists(st.text("abyesno ", min_size=1, max_size=4), min_size=1, max_size=4),
)
def test_no_probability_is_made_up(
    listed: list[tuple[str, float]], text: str, options: list[str]
) -> None:
    shares = _shares(listed, text, options)
    assert all(share >= 0 for share in shares)
    assert sum(shares) <= sum(probability for _, probability in listed) + 1e-9


def test_what_the_model_goes_on_to_write_tells_options_apart(
    scripted_server: ScriptedServer, remote: ChatRemote
) -> None:
    whole = listing(pos=0.8, none=0.2)
    whole["choices"][0]["message"]["content"] = "positive"
    scripted_server.on(CHAT, whole)
    weights = remote.choose(HELLO, ["possible", "positive", "none"])
    assert weights == pytest.approx({"possible": 0.0, "positive": 0.8, "none": 0.2})


@pytest.mark.parametrize(
    ("text", "expected"), [("It is no, I think", [0.0, 1.0]), ("Perhaps", [0.5, 0.5])]
)
def test_without_probabilities_the_words_decide(
    scripted_server: ScriptedServer, remote: ChatRemote, text: str, expected: list[float]
) -> None:
    scripted_server.on(CHAT, answer(text))
    assert list(remote.choose(HELLO, ["yes", "no"]).values()) == expected


def test_calls_and_thoughts_of_a_server_that_parses_them(
    scripted_server: ScriptedServer, remote: ChatRemote
) -> None:
    call = {"index": 0, "id": "c1", "function": {"name": "add", "arguments": ""}}
    more = {"index": 0, "function": {"arguments": '{"a": 1}'}}
    usage = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}
    stream = events(
        delta(role="assistant", content=None),
        delta(reasoning_content="I must "),
        delta(reasoning_content="add."),
        delta(tool_calls=[call]),
        delta(tool_calls=[more]),
        delta("tool_calls"),
        usage,
    )
    scripted_server.on(CHAT, stream, **{"Content-Type": "text/event-stream"})
    message = remote.invoke("Add.")
    [found] = message.tool_calls
    assert (found["name"], found["args"], found["id"]) == ("add", {"a": 1}, "c1")
    assert message.additional_kwargs["reasoning_content"] == "I must add."
    assert message.content_blocks[0]["type"] == "reasoning"
    assert message.usage_metadata == {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    # What was thought is not sent back, nor what only LangChain knows.
    blocks: list[str | dict[Any, Any]] = [
        {"type": "reasoning", "reasoning": "I must add."},
        {"type": "text", "text": "Done."},
    ]
    remote.invoke([*HELLO, AIMessage(blocks), *HELLO])
    assert scripted_server.last["messages"][1] == {"role": "assistant", "content": "Done."}


def test_a_server_that_does_not_stream(scripted_server: ScriptedServer, remote: ChatRemote) -> None:
    scripted_server.on(CHAT, answer("All at once"))
    assert "".join(str(piece.content) for piece in remote.stream("Hello")) == "All at once"


async def test_and_one_that_does_not_stream_async(
    scripted_server: ScriptedServer, remote: ChatRemote
) -> None:
    scripted_server.on(CHAT, answer("All at once"))
    assert (await remote.ainvoke("Hello")).content == "All at once"


_VLLM_OVERFLOW = (
    "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens "
    "(4900 in the messages, 100 in the completion)."
)


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (400, {"error": {"message": _VLLM_OVERFLOW}}, ContextOverflow, "5000 tokens"),
        (400, {"error": {"message": "unknown field"}}, ModelError, "refuses the call.*unknown"),
        (401, {"error": "no"}, ModelError, "refuses the key"),
        (403, b"", ModelError, "refuses the key"),
        (404, {"message": "The model `x` does not exist."}, ModelNotFound, "does not exist"),
        (429, b"slow down", EngineBusy, "no call now.*slow down"),
        (503, {"error": {"message": "Loading model"}}, EngineBusy, "Loading model"),
        (500, b"<html>\x1b[31mboom</html>", ModelError, "failed"),
        (200, b"<html>a login page</html>", ModelError, "no chat completion.*|without an end"),
        (200, b"[1, 2]", ModelError, "without an end|no chat completion"),
        (200, b"data: {nonsense\n\n", ModelError, "no chat completion"),
        (200, b"data: [1]\n\n", ModelError, "no chat completion"),
        (200, b'data: {"choices": 3}\n\n', ModelError, "no chat completion"),
        (200, b'data: {"error": {"message": "out of memory"}}\n\n', ModelError, "out of memory"),
        (200, b'data: {"choices": [{"delta": {"content": "He', ModelError, "no chat completion"),
        (200, b"", ModelError, "without an end"),
    ],
)
async def test_what_goes_wrong_is_said(
    scripted_server: ScriptedServer,
    remote: ChatRemote,
    status: int,
    body: bytes | dict[str, Any],
    kind: type[ModelError],
    words: str,
) -> None:
    scripted_server.on(CHAT, body, status)
    with pytest.raises(kind, match=words) as caught:
        remote.invoke("Hello")
    assert caught.value.hint
    assert "\x1b" not in str(caught.value)
    with pytest.raises(kind, match=words):
        await remote.ainvoke("Hello")


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"choices": []}', b'{"choices": [{}]}'])
def test_nonsense_instead_of_a_decision(
    scripted_server: ScriptedServer, remote: ChatRemote, body: bytes
) -> None:
    scripted_server.on(CHAT, body)
    with pytest.raises(ModelError, match="no chat completion"):
        remote.choose(HELLO, ["yes", "no"])


async def test_a_server_that_breaks_off(
    scripted_server: ScriptedServer, remote: ChatRemote
) -> None:
    def die(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(events(delta(content="He"), end=""))
        handler.close_connection = True

    scripted_server.replies[CHAT] = die
    with pytest.raises(ModelError, match="broke off"):
        list(remote.stream("Hello"))
    with pytest.raises(ModelError, match="broke off"):
        await remote.ainvoke("Hello")


async def test_no_server_at_all() -> None:
    nobody = ChatRemote(base_url="http://127.0.0.1:9/v1", model="any", timeout=5)
    with pytest.raises(ModelError, match="No server answers at http://127") as caught:
        nobody.invoke("Hello")
    assert "model.base_url" in str(caught.value.hint)
    with pytest.raises(ModelError, match="No server answers"):
        await nobody.ainvoke("Hello")


@given(st.lists(st.text()), st.data())
def test_events_are_the_same_however_they_are_cut(texts: list[str], data: st.DataObject) -> None:
    stream = events(*({"n": text} for text in texts))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    places = sorted({0, len(stream), *cuts})
    reader = _Events("http://here")
    found = [event for start, end in pairwise(places) for event in reader.feed(stream[start:end])]
    reader.finish()
    assert [event["n"] for event in found] == texts


@pytest.mark.parametrize(
    "address", ["127.0.0.1:8080", "ftp://host/v1", "http://", "http://me:secret@host/v1", "h?a=b"]
)
def test_addresses_that_are_none(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="base_url"):
        ChatRemote(base_url=address)
    monkeypatch.setenv("GROUNDLING_MODEL__BASE_URL", address)
    with pytest.raises(SettingsError, match=r"model\.base_url"):
        load()


def test_the_settings_choose_the_kind_of_model(home: Path) -> None:
    assert isinstance(chat_model(load()), ChatLlama)
    model = chat_model(
        load({"model": {"base_url": "http://127.0.0.1:9/v1/", "api_key": "k", "max_tokens": 9}})
    )
    assert isinstance(model, ChatRemote)
    assert (model.base_url, model.model, model.max_tokens) == ("http://127.0.0.1:9/v1", None, 9)
    assert not home.exists()
