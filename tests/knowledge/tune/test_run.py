import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from groundling.errors import KnowledgeError
from groundling.knowledge.base import Knowledge
from groundling.knowledge.recipe import Recipe
from groundling.knowledge.tune.plan import Plan
from groundling.knowledge.tune.run import LEAST_CASES, tune
from tests.knowledge.conftest import HashedWords
from tests.knowledge.tune.conftest import Asker

# Enough of the grid to have something to choose from.
SMALL = Plan(questions=12, lengths=[350], weights=[0.0], numbers=[2, 4], dry_run=True)


def silent(stage: str, done: int, total: int) -> None:
    pass


def lines(knowledge: Knowledge, name: str) -> list[dict[str, Any]]:
    text = (knowledge.path / "tune" / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_questions_are_asked_in_both_languages_and_judged_on_held_out_ones(
    pumps: Knowledge, asker: Asker
) -> None:
    told: list[str] = []
    outcome = tune(pumps, asker, Plan(questions=16), lambda stage, done, total: told.append(stage))
    cases = [row for row in lines(pumps, "cases.jsonl") if "answer" in row]
    assert len(cases) == outcome.chosen_by + outcome.held_out == 16
    assert {row["language"] for row in cases} == {"en", "ko"}
    ids = {one.path: one.id for one in pumps.documents()}
    for row in cases:
        assert pumps.text(ids[row["document"]], row["start"], row["end"]) == row["answer"]
    assert {"questions", "cutting", "embedding", "trials"} == set(told)
    # Three lengths; each with every number of passages.
    assert {row.recipe.chunk_characters for row in outcome.rows} >= {350, 700, 1100}
    assert {row.recipe.passages for row in outcome.rows} == {2, 3, 4, 6}
    assert outcome.searched == 16
    assert not (pumps.path / "tune" / "bases").exists()


def test_a_better_recipe_is_kept(
    tmp_path: Path, hashed: HashedWords, catalogue: Path, asker: Asker
) -> None:
    # Meaning alone drowns what these words find at once.
    bad = Recipe(chunk_characters=1100, dense_weight={"en": 40.0, "ko": 40.0}, passages=1)
    with Knowledge.open(tmp_path / "bad", hashed) as knowledge:
        knowledge.set_recipe(bad)
    with Knowledge.open(tmp_path / "bad", hashed) as knowledge:
        knowledge.add([catalogue])
        dry = tune(knowledge, asker, replace(SMALL, questions=16), silent)
        assert dry.present.recipe.passages == 1
        assert dry.present.recipe.dense_weight == {"en": 40.0, "ko": 40.0}
        assert dry.kept is not None
        with Knowledge.open(tmp_path / "bad", hashed) as again:
            assert again.recipe == bad
        outcome = tune(knowledge, asker, replace(SMALL, questions=16, dry_run=False), silent)
    assert outcome.kept == dry.kept == outcome.rows[0].recipe
    assert outcome.rows[0].chosen_by > outcome.present.chosen_by
    assert outcome.rows[0].difference.mean >= 0
    with Knowledge.open(tmp_path / "bad", hashed) as again:
        assert again.recipe == outcome.kept


def test_the_present_recipe_stays_where_none_is_better(pumps: Knowledge, asker: Asker) -> None:
    first = tune(pumps, asker, replace(SMALL, passages=6, dry_run=False), silent)
    assert first.kept is None
    assert "no other recipe" in first.reason
    assert pumps.recipe == Recipe()


def test_a_second_run_asks_and_measures_nothing_again(pumps: Knowledge, asker: Asker) -> None:
    first = tune(pumps, asker, SMALL, silent)
    written, measured = len(asker.written), lines(pumps, "trials.jsonl")
    again = tune(pumps, asker, SMALL, silent)
    assert len(asker.written) == written
    assert lines(pumps, "trials.jsonl") == measured
    assert [row.recipe for row in again.rows] == [row.recipe for row in first.rows]
    # More questions: the old ones are kept, and everything is measured with the new.
    tune(pumps, asker, replace(SMALL, questions=14), silent)
    assert len(asker.written) > written
    assert len(lines(pumps, "trials.jsonl")) == 2 * len(measured)


def test_an_interruption_loses_at_most_one_question(pumps: Knowledge) -> None:
    with pytest.raises(KeyboardInterrupt):
        tune(pumps, Asker(fails_after=21), SMALL, silent)
    asked = lines(pumps, "cases.jsonl")
    rest = Asker()
    tune(pumps, rest, SMALL, silent)
    drawn = [row["drawn"] for row in lines(pumps, "cases.jsonl")]
    assert drawn[: len(asked)] == [row["drawn"] for row in asked]
    assert len(set(drawn)) == len(drawn)
    untouched = Asker()
    tune(pumps, untouched, SMALL, silent)
    assert untouched.written == []


def test_the_base_itself_is_not_changed_by_trials(pumps: Knowledge, asker: Asker) -> None:
    before = pumps.statistics()
    tune(pumps, asker, SMALL, silent)
    after = pumps.statistics()
    assert (after.documents, after.passages, after.vectors) == (
        before.documents,
        before.passages,
        before.vectors,
    )
    assert pumps.check() == []


def test_texts_without_files_and_without_an_embedder_are_tuned_too(
    tmp_path: Path, catalogue: Path, asker: Asker
) -> None:
    from groundling.knowledge.texts import TextEntry

    with Knowledge.open(tmp_path / "texts", None) as knowledge:
        knowledge.put(
            [
                TextEntry(path.stem, path.read_text(encoding="utf-8"), title=path.stem)
                for path in sorted(catalogue.iterdir())
            ]
        )
        outcome = tune(knowledge, asker, SMALL, silent)
    assert outcome.chosen_by + outcome.held_out == 12
    assert {tuple((row.recipe.dense_weight or {}).values()) for row in outcome.rows} == {(0, 0)}


def test_rerankers_are_tried_on_the_best_recipe(pumps: Knowledge, asker: Asker) -> None:
    class Backwards:
        def rerank(self, query: str, texts: list[str]) -> list[float]:
            return [float(place) for place in range(len(texts))]

    outcome = tune(pumps, asker, replace(SMALL, rerankers={"backwards": Backwards()}), silent)
    tried = [row for row in outcome.rows if row.recipe.reranker == "backwards"]
    assert len(tried) == 3
    assert all(row.reciprocal_rank < outcome.present.reciprocal_rank for row in tried)


def test_too_few_questions_say_what_to_do(tmp_path: Path, base: Knowledge, asker: Asker) -> None:
    note = tmp_path / "note.txt"
    note.write_text("The Falcon pump weighs 31 kilograms. " + "It is kept in the cellar. " * 20)
    base.add([note])
    with pytest.raises(KnowledgeError, match="tune by: 1;") as error:
        tune(base, asker, Plan(), silent)
    assert str(LEAST_CASES) in str(error.value)
    assert "documents" in str(error.value.hint)
