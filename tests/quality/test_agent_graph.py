"""`agent` with the default model: it takes the documents, the right tool, or none of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from groundling.home import Home
from tests.conftest import MODELS

pytestmark = [pytest.mark.quality, pytest.mark.model]
HANDBOOK = Path(__file__).parents[2] / "data" / "handbook"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory, qwen: Path, embedder_files: Path) -> Any:
    folder = tmp_path_factory.mktemp("home")
    (folder / "models").symlink_to(MODELS)
    opened = Home(folder)
    opened.knowledge("handbook").add([HANDBOOK])
    return opened.graph("agent", knowledge="handbook")


@pytest.mark.parametrize(
    ("question", "tools", "said"),
    [
        ("What is the name of the VPN client on company laptops?", ["search"], "Mirinae"),
        ("신입사원의 수습 기간은 몇 개월입니까?", ["search"], "4개월"),
        ("What is 384.5 times 27?", ["calculator"], "10381.5"),
        ("How many kilometres are 26.2 miles?", ["convert"], "42.16"),
        ("Write a short greeting for a birthday card.", [], ""),
    ],
)
async def test_the_right_tool_is_taken(
    agent: Any, question: str, tools: list[str], said: str
) -> None:
    result = await agent.ainvoke({"question": question})
    assert [step["tool"] for step in result["steps"] if step["outcome"] == "done"] == tools
    assert said in result["answer"].replace(",", "").replace(" ", "") or said in result["answer"]
    if tools == ["search"]:
        assert result["citations"], "an answer from documents is proved"
