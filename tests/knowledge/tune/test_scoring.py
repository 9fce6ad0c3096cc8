from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.knowledge.passage import Passage, numbered
from groundling.knowledge.tune.scoring import Gold, covered, pack, score


def passage(start: int, end: int, document: str = "a.md") -> Passage:
    return Passage(start, 1, document, "", "", None, start, end, "x" * (end - start), key=document)


def count(text: str) -> int:
    return len(text)


FRAME = count(numbered([passage(0, 1)])) - 1


def test_the_whole_answer_part_of_it_or_none_is_covered() -> None:
    gold = Gold("a.md", 10, 20)
    assert covered([passage(0, 30)], gold) == 1
    assert covered([passage(0, 15)], gold) == 0.5
    assert covered([passage(0, 15), passage(15, 30)], gold) == 1
    assert covered([passage(0, 15), passage(5, 15)], gold) == 0.5
    assert covered([passage(0, 30, "b.md"), passage(20, 40)], gold) == 0


def test_what_does_not_fit_is_passed_over_but_for_the_first() -> None:
    ranked = [passage(0, 50), passage(50, 150), passage(150, 160)]
    assert pack(ranked, 3, 80 + 2 * FRAME, count)[0] == [ranked[0], ranked[2]]
    assert pack(ranked, 3, 10, count)[0] == [ranked[0]]
    assert pack(ranked, 1, 1000, count)[0] == [ranked[0]]
    assert pack([], 3, 1000, count) == ([], 0)


def test_rank_and_gains_are_those_of_the_first_whole_answer() -> None:
    gold = Gold("a.md", 10, 20)
    ranked = [passage(0, 15), passage(30, 40), passage(5, 25)]
    found = score(ranked, gold, [1, 3], 10_000, count)
    assert found.rank == 3
    assert found.reciprocal_rank == pytest.approx(1 / 3)
    assert found.ndcg == pytest.approx(0.5)
    assert found.recall == {1: 0.5, 3: 1.0}
    none = score(ranked[:2], replace(gold, document="b.md"), [1], 10_000, count)
    assert (none.rank, none.ndcg, none.reciprocal_rank) == (0, 0, 0)


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 30)), max_size=8), st.integers(1, 400))
def test_more_passages_never_show_less(spans: list[tuple[int, int]], budget: int) -> None:
    ranked = [passage(start, start + length) for start, length in spans]
    found = score(ranked, Gold("a.md", 40, 60), [1, 2, 4, 8], budget, count)
    shares = [found.recall[most] for most in (1, 2, 4, 8)]
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)
