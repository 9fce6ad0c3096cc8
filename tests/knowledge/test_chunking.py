"""Chunks hold all of the text, exactly, and break where a reader would."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from groundling.knowledge.chunking import hard_bound, split
from groundling.knowledge.loaders.document import LoadedDocument, TextBuilder, storable

WORDS = st.text("ab 가다.요\n|?漢。\u3000é👍", max_size=60)


@st.composite
def built(draw: st.DrawFn) -> LoadedDocument:
    """A document with headings, pages, tables and text in any order."""
    builder = TextBuilder()
    kinds = st.sampled_from(["heading", "page", "table", "text", "long"])
    for kind in draw(st.lists(kinds, max_size=12)):
        if kind == "heading":
            builder.heading(draw(st.integers(1, 6)), draw(WORDS))
        elif kind == "page":
            builder.page()
        elif kind == "table":
            builder.table(draw(st.lists(st.lists(WORDS, min_size=1, max_size=4), max_size=6)))
        elif kind == "long":
            builder.paragraph(draw(WORDS) * draw(st.integers(1, 20)))
        else:
            builder.paragraph(draw(WORDS))
    return builder.document("title", "text")


def assert_whole(document: LoadedDocument, size: int) -> None:
    chunks = split(document, size)
    text = document.text
    position = 0
    for chunk in chunks:
        assert text[position : chunk.start].isspace() or position == chunk.start
        piece = text[chunk.start : chunk.end]
        assert piece == piece.strip() != ""
        assert len(piece) <= hard_bound(size)
        position = chunk.end
    assert not text[position:].strip()


@given(st.text().map(storable), st.integers(1, 50))
@example("a" * 200, 7)
@example("\n \n\n", 3)
def test_any_text_is_held_whole(text: str, size: int) -> None:
    assert_whole(LoadedDocument(text, "", "text"), size)


@given(built(), st.integers(10, 200))
def test_any_document_is_held_whole(document: LoadedDocument, size: int) -> None:
    assert_whole(document, size)


@given(built(), st.integers(10, 200))
def test_a_chunk_is_longer_than_asked_only_in_a_table(document: LoadedDocument, size: int) -> None:
    for chunk in split(document, size):
        if chunk.end - chunk.start > size:
            assert any(t.start <= chunk.start < t.end for t in document.tables)


@given(built(), st.integers(30, 200))
def test_no_chunk_crosses_a_page(document: LoadedDocument, size: int) -> None:
    for chunk in split(document, size):
        for page in document.pages:
            assert not chunk.start < page < chunk.end
        if document.pages:
            assert chunk.page == sum(page <= chunk.start for page in document.pages)


@given(built(), st.integers(30, 200))
def test_short_table_rows_stay_whole(document: LoadedDocument, size: int) -> None:
    cuts = [chunk.end for chunk in split(document, size)]
    for table in document.tables:
        rows = document.text[table.start : table.end].split("\n")
        start = table.start
        for row in rows:
            if len(row) <= size:
                stripped_end = start + len(row.rstrip())
                assert not any(
                    start + len(row) - len(row.lstrip()) < c < stripped_end for c in cuts
                )
            start += len(row) + 1


def test_sections_have_their_headings() -> None:
    builder = TextBuilder()
    builder.heading(1, "Handbook")
    builder.heading(2, "Leave")
    builder.paragraph("Fifteen days.")
    builder.heading(3, "Sick leave")
    builder.paragraph("Eleven days.")
    builder.heading(2, "Travel")
    builder.paragraph("By train.")
    document = builder.document("", "text")
    found = [(c.heading, document.text[c.start : c.end]) for c in split(document)]
    assert found == [
        ("Handbook > Leave", "# Handbook\n\n## Leave\n\nFifteen days."),
        ("Handbook > Leave > Sick leave", "### Sick leave\n\nEleven days."),
        ("Handbook > Travel", "## Travel\n\nBy train."),
    ]


def test_chunk_inside_a_table_names_its_columns() -> None:
    builder = TextBuilder()
    builder.heading(1, "Balances")
    builder.table([["Model", "Pan"], *([f"HB-{i}", f"{i} mm"] for i in range(40))])
    first, *others = split(builder.document("", "text"), 200)
    assert first.heading == "Balances"
    assert {chunk.heading for chunk in others} == {"Balances | Model | Pan"}


def test_cuts_go_to_sentences_in_english_and_korean() -> None:
    english = "This is one sentence about leave. " * 20
    korean = "휴가는 열다섯 날이다. 신청은 부서장에게 한다.그리고 기다린다. " * 12
    for text in (english, korean):
        document = LoadedDocument(text, "", "text")
        for chunk in split(document, 200):
            assert text[chunk.start : chunk.end].endswith(".")


def test_pieces_are_of_about_equal_length() -> None:
    document = LoadedDocument("One short sentence stands here. " * 25, "", "text")  # 800
    lengths = [chunk.end - chunk.start for chunk in split(document, 700)]
    assert len(lengths) == 2
    assert abs(lengths[0] - lengths[1]) < 70


def test_chunks_are_in_order() -> None:
    document = LoadedDocument("word " * 2000, "", "text")
    chunks = split(document, 300)
    assert all(before.end <= after.start for before, after in pairwise(chunks))
