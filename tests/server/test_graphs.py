"""What graphs of the server answer from: opened, and never made by a question."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from groundling.errors import KnowledgeError
from groundling.home import Home
from groundling.server.graphs import Graphs, Wishes
from groundling.server.person import Person, Role
from tests.scripted import ScriptedChat


@pytest.fixture
def home_opened(home_with_models: Path, embedder_files: Path) -> Iterator[Home]:
    """A home folder with an embedder, and an empty folder among the knowledge bases."""
    (home_with_models / "knowledge" / "empty").mkdir(parents=True)
    with Home(retrieval={"knowledge": "empty"}) as home:
        yield home


@pytest.fixture
def graphs(home_opened: Home) -> Iterator[Graphs]:
    graphs = Graphs(home_opened, None, ScriptedChat())  # type: ignore[arg-type]
    yield graphs
    graphs.close()


@pytest.fixture
def local(home_opened: Home) -> Person:
    return Person(home_opened.settings.memory.user, Role.ADMIN, "local")


@pytest.mark.parametrize("folder", ["empty", "nothing"])
def test_asking_for_a_base_makes_none(
    home_opened: Home, graphs: Graphs, local: Person, folder: str
) -> None:
    with pytest.raises(KnowledgeError, match="There is no knowledge base"):
        graphs.knowledge(folder)
    with pytest.raises(KnowledgeError, match="There is no knowledge base"):
        graphs.get("rag", local, Wishes(knowledge=folder), threads=False)
    root = home_opened.settings.home / "knowledge"
    assert list(root.rglob("*")) == [root / "empty"]


def test_a_graph_that_can_do_without_documents_does(
    home_opened: Home, graphs: Graphs, local: Person
) -> None:
    graphs.get("agent", local, threads=False)
    root = home_opened.settings.home / "knowledge"
    assert list(root.rglob("*")) == [root / "empty"]
