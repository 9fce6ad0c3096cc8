"""Embeddings as OpenAI's client has them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from openai import OpenAI

from tests.scripted import ScriptedChat
from tests.server.openai.conftest import Server, serving

MODEL = "minilm-l6"


@pytest.fixture
def server(
    home_with_models: Path, embedder_files: Path, scripted: ScriptedChat
) -> Iterator[Server]:
    with serving(scripted) as server:
        yield server


def test_vectors_are_the_embedder_s_own(server: Server, client: OpenAI):
    reply = client.embeddings.create(model=MODEL, input=["Grass is green.", "Moss is, too."])
    wanted = server.home.embedder.embed_documents(["Grass is green.", "Moss is, too."])
    assert [one.index for one in reply.data] == [0, 1]
    assert np.allclose([one.embedding for one in reply.data], wanted, atol=1e-6)
    assert reply.usage.prompt_tokens == reply.usage.total_tokens > 8


def test_tokens_are_counted_as_far_as_they_are_read(client: OpenAI):
    few, many = (
        client.embeddings.create(model=MODEL, input=text).usage.prompt_tokens
        for text in ("Grass is green.", "grass " * 1000)
    )
    assert few == 6  # with those that begin and end it
    assert many == 256


def test_both_encodings_hold_the_same_numbers(server: Server):
    body = {"model": MODEL, "input": "Grass is green."}
    plain, packed = (
        httpx.post(
            f"{server.url}/v1/embeddings", json={**body, "encoding_format": form}, timeout=60
        ).json()["data"][0]["embedding"]
        for form in ("float", "base64")
    )
    assert np.allclose(np.frombuffer(base64.b64decode(packed), "<f4"), plain, atol=1e-6)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"input": [1, 2, 3]}, "input[0]"),
    ({"input": [[1, 2], [3]]}, "input[0]"),
    ({"input": []}, "input"),
    ({"input": ""}, "input"),
    ({"input": ["a", ""]}, "input[1]"),
    ({"input": [{}]}, "input[0]"),
    ({"input": ["x"] * 3000}, "input"),
    ({"dimensions": 7}, "dimensions"),
    ({"encoding_format": "hex"}, "encoding_format"),
]


def test_what_is_wrong_is_named(server: Server):
    with httpx.Client(base_url=server.url, timeout=60) as http:
        for fields, param in BAD:
            body = {"model": MODEL, "input": "Grass is green.", **fields}
            answer = http.post("/v1/embeddings", json=body)
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_a_chat_model_makes_no_vectors(client: OpenAI):
    with pytest.raises(openai.NotFoundError) as error:
        client.embeddings.create(model="agent", input="Grass is green.")
    assert error.value.code == "model_not_found"


def test_the_embedder_s_own_length_may_be_asked_for(client: OpenAI):
    reply = client.embeddings.create(model=MODEL, input="Grass is green.", dimensions=384)
    assert len(reply.data[0].embedding) == 384
