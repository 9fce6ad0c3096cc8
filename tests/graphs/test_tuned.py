"""What was tuned on the documents is used, unless a person has set something else."""

from __future__ import annotations

from pathlib import Path

from groundling import settings
from groundling.graphs.resources import Resources
from groundling.knowledge.base import Knowledge
from groundling.knowledge.recipe import Recipe
from tests.knowledge.conftest import HashedWords


def test_a_recipe_stands_between_settings_and_defaults(tmp_path: Path, home: Path) -> None:
    with Knowledge.open(tmp_path / "b", HashedWords()) as base:
        assert Resources(settings.load({}), knowledge=base).retrieval.passages == 3
        base.set_recipe(Recipe(passages=5, reranker="model"))
    with Knowledge.open(tmp_path / "b", HashedWords()) as base:
        tuned = Resources(settings.load({}), knowledge=base).retrieval
        assert (tuned.passages, tuned.rerank) == (5, "model")
        chosen = settings.load({"retrieval": {"passages": 3}})
        assert Resources(chosen, knowledge=base).retrieval.passages == 3
        assert Resources(chosen, knowledge=base).retrieval.rerank == "model"
