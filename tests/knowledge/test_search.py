"""Search with its reasons."""

from __future__ import annotations

from pathlib import Path

from groundling.knowledge.base import Knowledge
from groundling.knowledge.recipe import Recipe
from tests.knowledge.conftest import HashedWords


def test_the_reasons_of_what_is_found(base: Knowledge, documents: Path) -> None:
    base.add([documents])
    found = base.explain("How many days of annual leave?", 3)
    best = found[0]
    assert best.passage.heading == "Leave > Annual leave"
    assert best.word_rank == best.meaning_rank == 1
    assert set(best.words) == {"day", "annual", "leav"}
    assert best.word_score is not None
    assert best.word_score > 0
    assert best.cosine is not None
    assert 0 < best.cosine <= 1.0001
    assert [one.passage for one in found] == base.search("How many days of annual leave?", 3)


def test_korean_is_found_by_words_alone(base: Knowledge, documents: Path) -> None:
    base.add([documents])
    [best, *_] = base.explain("숙박비는 얼마인가요?", 3)
    assert best.passage.source == "documents/rules/travel.md"
    assert (best.meaning_rank, best.cosine, best.dense_weight) == (None, None, 0)


def test_meaning_stands_in_alone_where_the_embedder_may_know_the_language(
    base: Knowledge, documents: Path
) -> None:
    base.add([documents])
    assert base.explain("얼룩말", 3) == []  # the nearest vector would be chance
    assert base.explain("zebra", 3) != []
    assert base.explain("シマウマ", 3) != []  # a language that nothing is known of


def test_nothing_in_common_gives_no_words(base: Knowledge, documents: Path) -> None:
    base.add([documents])
    for one in base.explain("zebra", 3):
        assert one.word_rank is None
        assert one.words == ()


def test_a_recipe_decides(tmp_path: Path, documents: Path) -> None:
    with Knowledge.open(tmp_path / "b", HashedWords()) as base:
        base.add([documents])
        recipe = Recipe(chunk_characters=300, dense_weight={"en": 0.25, "ko": 0.5}, passages=2)
        base.set_recipe(recipe)
    with Knowledge.open(tmp_path / "b", HashedWords()) as base:
        assert base.recipe == base.statistics().recipe == recipe
        assert base.chunk_characters == 300
        assert base.dense_weight("annual leave") == 0.25
        assert base.explain("숙박비", 1)[0].dense_weight == 0.5
        assert base.add([documents]).updated == 3  # cut in another way
        assert base.check() == []


def test_near_duplicates_are_shown_once(base: Knowledge, tmp_path: Path) -> None:
    folder = tmp_path / "versions"
    folder.mkdir()
    text = "The boiler is inspected by the safety officer every spring, before the season. "
    for name in ("first", "second", "third", "fourth"):
        (folder / f"{name}.txt").write_text(f"{text} That is the {name} one.", "utf-8")
    (folder / "other.txt").write_text("The boiler room is locked at night.", "utf-8")
    base.add([folder])
    found = base.search("boiler", k=6)
    assert {passage.source for passage in found} >= {"versions/other.txt"}
    assert len(found) == 2
