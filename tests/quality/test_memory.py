"""What the 1.5B model learns of people, and what it leaves alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.memory_data import TURNS
from groundling.memory.deduplication import keep
from groundling.memory.extraction import Fact, find_facts
from groundling.memory.memories import Memories
from groundling.models.chat import ChatLlama

pytestmark = [pytest.mark.quality, pytest.mark.model]
TELLING = [(message, words) for message, words in TURNS if words]
SILENT = [message for message, words in TURNS if not words]


@pytest.fixture(scope="module")
def model(qwen: Path) -> ChatLlama:
    return ChatLlama(model=str(qwen))


def learn(model: ChatLlama, message: str) -> list[str]:
    return [fact.text for fact in asyncio.run(find_facts(message, model))]


@pytest.mark.parametrize("first", [0, 10], ids=["en", "ko"])
def test_facts_are_learnt(model: ChatLlama, first: int) -> None:
    found = [
        any(words[0] in text for text in learn(model, message))
        for message, words in TELLING[first : first + 5]
    ]
    assert sum(found) >= 3


@pytest.mark.parametrize("first", [0, 10], ids=["en", "ko"])
def test_nothing_is_learnt_where_nothing_is_told(model: ChatLlama, first: int) -> None:
    assert sum(bool(learn(model, message)) for message in SILENT[first : first + 5]) <= 1


def test_moving_supersedes(model: ChatLlama, tmp_path: Path) -> None:
    with Memories.open(tmp_path / "memories.sqlite") as memories:
        memories.remember("ada", "The user lives in Seoul.", kind="home")
        [fact, *_] = asyncio.run(find_facts("I moved from Seoul to Busan last month.", model))
        assert "Busan" in fact.text
        asyncio.run(keep(memories, "ada", Fact(fact.text, "home"), model))
        [held] = memories.recall("ada", "Where do I live?")
        assert "Busan" in held.text
