"""A small catalogue in two languages, and a model that asks about it as a person would."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage
from pydantic import Field

from groundling.knowledge.base import Knowledge
from tests.knowledge.conftest import HashedWords
from tests.scripted import ScriptedChat

BIRDS = [
    "Falcon",
    "Heron",
    "Osprey",
    "Kestrel",
    "Plover",
    "Curlew",
    "Linnet",
    "Magpie",
]
KOREAN_BIRDS = [
    "두루미",
    "황조롱이",
    "까치",
    "제비",
    "올빼미",
    "물총새",
    "직박구리",
    "백로",
]

_ENGLISH = re.compile(r"The (\w+) pump weighs (\d+ kilograms)")
_KOREAN = re.compile(r"(\S+) 펌프의 무게는 (\d+킬로그램)")


class Asker(ScriptedChat):
    """Asks about the first weight in a passage, and finds it again; counts what it wrote."""

    written: list[str] = Field(default_factory=list)
    fails_after: int | None = None

    def _next(self, messages: Sequence[BaseMessage]) -> AIMessage:
        if self.fails_after is not None and len(self.written) >= self.fails_after:
            raise KeyboardInterrupt
        prompt = messages[-1].text
        passage = prompt.split("Passage:\n")[-1].split("글:\n")[-1]
        reply: dict[str, Any] = {"answer": "none", "question": "Who?"}
        if found := _ENGLISH.search(passage):
            reply = {"answer": found[2], "question": f"How heavy is the {found[1]} model?"}
        elif found := _KOREAN.search(passage):
            reply = {"answer": found[2], "question": f"{found[1]} 모델은 얼마나 무겁나요?"}
        self.written.append(reply["answer"])
        return AIMessage(json.dumps(reply, ensure_ascii=False))


@pytest.fixture
def asker() -> Asker:
    return Asker()


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """Return a folder of one document for each pump, in English and in Korean."""
    return write_catalogue(tmp_path)


def write_catalogue(inside: Path) -> Path:
    """Write the documents and return their folder."""
    folder = inside / "catalogue"
    folder.mkdir(parents=True)
    for number, bird in enumerate(BIRDS):
        care = f"Clean the filter every {number + 2} weeks and keep the hose dry. " * 12
        (folder / f"{bird}.md").write_text(
            f"# {bird}\n\n## Data\n\nThe {bird} pump weighs {20 + number} kilograms, "
            "stands on three rubber feet and has two handles by which it is carried.\n\n"
            f"## Care\n\n{care}\n",
            encoding="utf-8",
        )
    for number, bird in enumerate(KOREAN_BIRDS):
        care = f"거름망은 {number + 2}주마다 씻고 호스는 마른 곳에 둔다. " * 12
        (folder / f"{bird}.md").write_text(
            f"# {bird}\n\n## 제원\n\n{bird} 펌프의 무게는 {40 + number}킬로그램이며 색은 흰색이고 "
            f"손잡이가 두 개 달려 있어서 옮기기 쉽다.\n\n## 관리\n\n{care}\n",
            encoding="utf-8",
        )
    return folder


@pytest.fixture
def pumps(tmp_path: Path, hashed: HashedWords, catalogue: Path) -> Any:
    """Return a knowledge base of the catalogue."""
    with Knowledge.open(tmp_path / "pumps", hashed) as knowledge:
        knowledge.add([catalogue])
        yield knowledge
