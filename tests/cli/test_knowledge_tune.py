"""`groundling knowledge tune`, as people type it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from groundling.cli.knowledge_tune import tune
from groundling.cli.output import Shell
from groundling.errors import KnowledgeError
from groundling.home import Home
from groundling.knowledge.base import Knowledge
from groundling.knowledge.recipe import Recipe
from tests.knowledge.conftest import HashedWords
from tests.knowledge.tune.conftest import Asker, write_catalogue

BAD = Recipe(chunk_characters=1100, dense_weight={"en": 40.0, "ko": 40.0}, passages=1)


@pytest.fixture
def asker(monkeypatch: pytest.MonkeyPatch) -> Asker:
    """Let the command find a model and an embedder that need no files."""
    asker = Asker()
    monkeypatch.setattr("groundling.cli.prepare.open_home", lambda shell, **_: Home(**shell.flags))
    monkeypatch.setattr("groundling.models.configured.chat_model", lambda settings: asker)
    monkeypatch.setattr(Home, "embedder", property(lambda home: HashedWords()))
    return asker


@pytest.fixture
def pumps(home: Path, tmp_path: Path) -> Path:
    """Put a knowledge base into the home folder; what it finds by words is drowned."""
    path = home / "knowledge" / "pumps"
    with Knowledge.open(path, HashedWords()) as knowledge:
        knowledge.set_recipe(BAD)
    with Knowledge.open(path, HashedWords()) as knowledge:
        knowledge.add([write_catalogue(tmp_path)])
    return path


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(tune, list(arguments), obj=Shell())
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def recipe(path: Path) -> Recipe:
    with Knowledge.open(path, None) as knowledge:
        return knowledge.recipe


def test_a_table_shows_what_was_tried_and_the_winner_is_kept(asker: Asker, pumps: Path) -> None:
    before = recipe(pumps)
    dry = run("pumps", "--questions", "12", "--dry-run")
    rows = dry.stdout.splitlines()
    assert rows[0].split()[:2] == ["length", "analyser"]
    assert rows[1].split()[:2] == ["=", "1100"]
    assert rows[2].startswith("*")
    assert {row.split()[0] for row in rows[3:]} | {rows[2].split()[1]} >= {"350", "700", "1100"}
    assert "Nothing was changed" in dry.stderr
    assert recipe(pumps) == before

    written = len(asker.written)
    data = json.loads(run("pumps", "--questions", "12", "--json").stdout)
    assert len(asker.written) == written
    assert data["chosen_by"] + data["held_out"] == 12
    assert data["rows"][0]["recipe"] == data["kept"]
    assert data["present"]["difference"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert recipe(pumps) == Recipe(**data["kept"])


def test_where_nothing_is_better_it_says_that_all_stays(asker: Asker, home: Path) -> None:
    folder = write_catalogue(home)
    with Knowledge.open(home / "knowledge" / "default", HashedWords()) as knowledge:
        knowledge.add([folder])
    said = run("--questions", "12")
    assert "The present recipe of default stays: no other recipe" in said.stderr


def test_mistakes_are_named(asker: Asker) -> None:
    with pytest.raises(KnowledgeError, match="no knowledge base nothing"):
        run("nothing")
    assert run("--questions", "3").exit_code == 2
