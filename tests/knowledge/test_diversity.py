"""No passage twice, and not all from one document."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from groundling.knowledge.diversity import diversify, nearly_same, sketch
from groundling.knowledge.passage import Passage

ENGLISH = "Everybody has fifteen days of annual leave, which may be carried over to spring."
KOREAN = "모든 직원은 매년 열다섯 날의 연차를 받으며 남은 연차는 다음 해 봄까지 쓸 수 있다."


def passage(chunk_id: int, document_id: int, score: float, text: str = "") -> Passage:
    text = text or f"{'abcdefghijklmnopqrstuvwxyz'[chunk_id % 26] * 9} {chunk_id}"
    return Passage(chunk_id, document_id, f"{document_id}.md", "", "", None, 0, 9, text, score)


@st.composite
def rankings(draw: st.DrawFn) -> list[Passage]:
    rows = draw(
        st.lists(
            st.tuples(st.integers(1, 4), st.floats(-9, 9), st.text("ab 12가", max_size=12)),
            max_size=12,
        )
    )
    rows.sort(key=lambda row: -row[1])
    return [passage(number, *row) for number, row in enumerate(rows)]


@given(rankings(), st.integers(0, 14))
def test_what_is_chosen(ranked: list[Passage], k: int) -> None:
    chosen = diversify(ranked, k)
    assert len(chosen) <= k
    assert len({one.chunk_id for one in chosen}) == len(chosen)
    assert all(one in ranked for one in chosen)
    if ranked and k:
        assert chosen[0] == ranked[0]
    sketches = [sketch(one.text) for one in chosen]
    for place, one in enumerate(sketches):
        assert not any(nearly_same(one, other) for other in sketches[:place])


@given(rankings())
def test_the_first_two_of_each_document_keep_their_order(ranked: list[Passage]) -> None:
    distinct = [
        one
        for place, one in enumerate(ranked)
        if not any(nearly_same(sketch(one.text), sketch(o.text)) for o in ranked[:place])
    ]
    free = [
        one
        for place, one in enumerate(distinct)
        if sum(o.document_id == one.document_id for o in distinct[:place]) < 2
    ]
    chosen = diversify(distinct, len(distinct))
    assert [one for one in chosen if one in free] == free


def test_a_single_document_keeps_its_order() -> None:
    ranked = [passage(number, 1, 1 - number / 10) for number in range(8)]
    assert diversify(ranked, 6) == ranked[:6]


def test_fifty_documents_on_one_topic() -> None:
    # Five good passages of each, all nearly as good: the first two documents would fill it.
    ranked = [passage(number, number // 5, 1 - number / 10_000) for number in range(250)]
    ranked.append(passage(250, 99, 0.0))
    assert len({one.document_id for one in ranked[:6]}) == 2
    assert len({one.document_id for one in diversify(ranked, 6)}) == 3


def test_a_much_better_document_is_not_held_back() -> None:
    best = [passage(number, 1, 1 - number / 100) for number in range(4)]
    others = [passage(number, number, 0.2 - number / 100) for number in range(4, 9)]
    assert diversify([*best, *others], 4) == best


def test_nearly_the_same_text_is_shown_once() -> None:
    for text in (ENGLISH, KOREAN):
        ranked = [passage(1, 1, 2.0, text), passage(2, 2, 1.0, text.upper() + "  !")]
        assert diversify(ranked, 2) == ranked[:1]


def test_versions_that_differ_in_a_number_both_stay() -> None:
    ranked = [
        passage(1, 1, 2.0, ENGLISH.replace("fifteen", "15")),
        passage(2, 2, 1.0, ENGLISH.replace("fifteen", "20")),
    ]
    assert diversify(ranked, 2) == ranked


def test_other_texts_stay() -> None:
    assert not nearly_same(sketch(ENGLISH), sketch(KOREAN))
    assert not nearly_same(sketch(ENGLISH), sketch(ENGLISH[:40]))
