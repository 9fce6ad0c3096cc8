"""Frames: what is sent arrives as it was, and what is no frame is refused."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling import errors
from groundling.errors import ContextOverflow, EngineBusy, GroundlingError, ModelError
from groundling.models.calls import (
    Adapter,
    Choice,
    Chunk,
    EngineSettings,
    Priority,
    Request,
    TokenProbability,
    Usage,
    Weights,
)
from groundling.models.grammars.gbnf import Grammar
from groundling.models.isolation.messages import (
    Encode,
    Fault,
    Load,
    Malformed,
    SpecialTexts,
    pack,
    read_answer,
    read_call,
)
from groundling.models.sampling import Sampling

INTEGERS = st.integers(0, 2**31 - 1)
TEXTS = st.text(st.characters(exclude_categories=("Cs",)))
FLOATS = st.floats(allow_nan=False)
REQUESTS = st.builds(
    Request,
    tokens=st.lists(INTEGERS),
    sampling=st.builds(Sampling, temperature=st.floats(0, 2), seed=st.integers(0, 1000)),
    max_tokens=INTEGERS,
    stop=st.lists(TEXTS, max_size=3),
    logprobs=st.none() | st.integers(0, 20),
    priority=st.sampled_from(Priority),
    adapters=st.lists(
        st.builds(Adapter, path=st.just(Path("/a/b.gguf")), scale=FLOATS), max_size=2
    ).map(tuple),
    overflow=st.sampled_from(["stop", "shift"]),
)
PROBABILITIES = st.builds(
    TokenProbability,
    piece=st.binary(),
    logprob=FLOATS,
    likeliest=st.lists(st.tuples(st.binary(), FLOATS), max_size=3).map(tuple),
)
CHUNKS = st.builds(
    Chunk,
    text=TEXTS,
    finish_reason=st.sampled_from([None, "stop", "length"]),
    usage=st.none() | st.builds(Usage, *[INTEGERS] * 3, *[FLOATS] * 3, *[INTEGERS] * 2),
    logprobs=st.lists(PROBABILITIES, max_size=3).map(tuple),
)


@given(request=REQUESTS, number=INTEGERS)
def test_calls_arrive_as_they_were(request: Request, number: int) -> None:
    assert read_call(io.BytesIO(pack(request, number))) == (number, request)


@given(chunk=CHUNKS, number=INTEGERS)
def test_answers_arrive_as_they_were(chunk: Chunk, number: int) -> None:
    assert read_answer(io.BytesIO(pack(chunk, number))) == (number, chunk)


def test_whatever_else_is_said_arrives() -> None:
    sampling = Sampling(grammar=Grammar('root ::= "ja"'), logit_bias=((5, -math.inf),))
    for call in (
        Request([1], sampling, stop=[]),
        Choice([1, 2], [[3], [4, 5]]),
        Load(b"/models/\xff.gguf", EngineSettings(cache=1024, cache_type="q8_0"), 20, 1),
        Encode(((b"text", True), (b"", False))),
    ):
        assert read_call(io.BytesIO(pack(call))) == (0, call)
    weights = Weights((-1.5, -math.inf), Usage(1, 2, 3, 0.1, 0.2))
    for answer in (weights, SpecialTexts("<s>", "", frozenset({"<s>", "<|im_end|>"}))):
        assert read_answer(io.BytesIO(pack(answer, 7))) == (7, answer)


def test_numpy_s_numbers_are_numbers() -> None:
    request = Request(np.arange(4, dtype=np.int32), max_tokens=int(np.int64(3)))  # type: ignore[arg-type]
    read = read_call(io.BytesIO(pack(request)))
    assert read is not None
    assert isinstance(read[1], Request)
    assert list(read[1].tokens) == [0, 1, 2, 3]
    assert read_call(io.BytesIO(pack(Request([np.int32(5)]))))  # type: ignore[list-item]


KINDS = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, GroundlingError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_errors_arrive_as_what_they_are(kind: type[GroundlingError]) -> None:
    sent = ContextOverflow(9, 5) if kind is ContextOverflow else kind("It failed.", hint="Do this.")
    read = read_answer(io.BytesIO(pack(Fault.of(sent))))
    assert read is not None
    assert isinstance(read[1], Fault)
    error = read[1].error()
    assert type(error) is kind
    assert (str(error), error.hint) == (str(sent), sent.hint)
    assert vars(error) == vars(sent)


def test_other_errors_arrive_as_model_errors_and_name_themselves() -> None:
    assert type(Fault.of(UnicodeError("bad")).error()) is ValueError
    error = Fault.of(ZeroDivisionError("by zero")).error()
    assert type(error) is ModelError
    assert "ZeroDivisionError: by zero" in str(error)
    assert type(Fault("os", "a name that is no error").error()) is ModelError
    assert str(Fault.of(EngineBusy("/m\udcff.gguf")).error()) == "/m\\udcff.gguf"


@pytest.mark.parametrize("wrong", [[object()], [2**70], ["\ud800"]])
def test_what_cannot_be_written_is_said(wrong: list[object]) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        pack(Request(wrong))  # type: ignore[arg-type]


def frame(*parts: object) -> bytes:
    body = ormsgpack.packb(parts)
    return len(body).to_bytes(4, "little") + body


@pytest.mark.parametrize(
    ("data", "call"),
    [
        (frame("Request", 7, {"tokens": ["a"]}), 7),
        (frame("Request", 7, {"tokens": [1], "sampling": {"temperature": -1}}), 7),
        (frame("Request", 7, {"tokens": [1], "sampling": {"grammar": {"text": "no grammar"}}}), 7),
        (frame("Chunk", 7, {"text": "the other way round"}), 7),
        (frame("Path", 7, {}), 7),
        (frame("Cancel", "7", {}), 0),
        (frame("Cancel"), 0),
        (b"\x01\x00\x00\x00\xc1", 0),
        (b"\xff\xff\xff\xff", 0),
    ],
)
def test_what_is_no_call_is_refused(data: bytes, call: int) -> None:
    with pytest.raises(Malformed) as error:
        read_call(io.BytesIO(data))
    assert error.value.call == call


@given(st.binary(max_size=64))
def test_any_bytes_are_a_frame_or_its_end_or_refused(data: bytes) -> None:
    try:
        read = read_answer(io.BytesIO(len(data).to_bytes(4, "little") + data))
    except Malformed:
        return
    assert read is not None


def test_a_stream_that_ends_in_a_frame_has_ended() -> None:
    whole = pack(Chunk("text"), 3)
    for length in range(len(whole)):
        assert read_answer(io.BytesIO(whole[:length])) is None
