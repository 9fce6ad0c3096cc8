from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from groundling.knowledge.base import Knowledge
from groundling.knowledge.passage import Document
from groundling.knowledge.tune.scratch import Remembering, Scratch, some
from groundling.knowledge.tune.trials import Trial
from tests.knowledge.conftest import HashedWords


def document(number: int, characters: int) -> Document:
    name = f"{number}.md"
    return Document(number, name, name, "", "text", 0, characters, 1, "", "", {})


def silent(stage: str, done: int, total: int) -> None:
    pass


@given(st.lists(st.integers(1, 100), max_size=20), st.sets(st.integers(0, 19)), st.integers(0, 500))
def test_of_a_large_collection_the_needed_and_a_part_are_searched(
    sizes: list[int], needed: set[int], most: int
) -> None:
    documents = [document(number, size) for number, size in enumerate(sizes)]
    wanted = {one.path for one in documents if one.id in needed}
    found = some(documents, wanted, most)
    assert wanted <= {one.path for one in found}
    least = sum(one.characters for one in documents if one.path in wanted)
    assert sum(one.characters for one in found) <= max(most, least)
    assert found == some(documents, wanted, most)
    assert some(documents, wanted, sum(sizes)) == documents


def test_bases_that_share_texts_embed_them_once(
    pumps: Knowledge, hashed: HashedWords, tmp_path: Path
) -> None:
    scratch = Scratch(pumps, tmp_path, ())
    before = hashed.embedded
    for analyser in ("plain", "kiwi"):
        for weight in (0.0, 1.0):
            trial = Trial(700, analyser, {"en": weight, "ko": weight})
            with scratch.open(trial, silent) as base:
                assert base.statistics().passages == pumps.statistics().passages
                assert base.statistics().waiting == 0
                assert base.analyser.name.startswith(analyser)
                assert base.dense_weight("Which pump?") == weight
    assert hashed.embedded - before == pumps.statistics().vectors
    # Another run finds them made.
    with Scratch(pumps, tmp_path, ()).open(trial, silent) as base:
        assert base.statistics().waiting == 0
    assert hashed.embedded - before == pumps.statistics().vectors


def test_what_a_scratch_base_finds_is_what_the_base_itself_finds(
    pumps: Knowledge, tmp_path: Path
) -> None:
    weights = {"en": pumps.dense_weight("Which?"), "ko": pumps.dense_weight("무엇?")}
    analyser = pumps.analyser.name.partition("/")[0]
    with Scratch(pumps, tmp_path, ()).open(Trial(700, analyser, weights), silent) as base:
        for question in ("How heavy is the Heron pump?", "까치 펌프는 얼마나 무겁나요?"):
            places = [(one.key, one.start, one.end) for one in base.search(question, 6)]
            assert places == [(one.key, one.start, one.end) for one in pumps.search(question, 6)]


def test_the_order_of_vectors_is_that_of_the_texts(hashed: HashedWords) -> None:
    remembering = Remembering(hashed)
    first = remembering.embed_documents(["a b", "c", "a b"])
    assert first[0] == first[2] != first[1]
    assert remembering.embed_documents(["c", "d", "a b"])[::2] == [first[1], first[0]]
    assert hashed.embedded == 3
