from hypothesis import given
from hypothesis import strategies as st

from groundling.facts.spans import Edit, Remap, apply, locate, one_line

TEXT = st.text(alphabet="ab 가나.\n,[1]", max_size=80)


@st.composite
def edited(draw):
    text = draw(TEXT)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pairs = list(zip(cuts[::2], cuts[1::2], strict=False))
    return text, [Edit(start, end, draw(st.text("XY", max_size=5))) for start, end in pairs]


def test_words_are_found_as_they_stand():
    text = "It lasts 24 months. It covers water."
    assert locate("24 months", text) == (9, 18)
    assert text[slice(*locate("it LASTS  24\nmonths", text))] == "It lasts 24 months"


def test_markers_and_emphasis_may_stand_between_the_words():
    text = "It lasts **24 months** [1] and covers water."
    assert text[slice(*locate("24 months and covers", text))] == "24 months** [1] and covers"


def test_words_that_differ_a_little_are_aligned():
    text = "The warranty, which is free, lasts for 24 months from purchase."
    place = locate("The warranty lasts for 24 months from purchase", text)
    assert text[slice(*place)].startswith("The warranty")
    assert text[slice(*place)].endswith("purchase")


def test_words_that_are_not_there_get_no_place():
    assert locate("The moon is made of cheese", "It lasts 24 months.") is None
    assert locate("", "anything") is None
    assert locate("24 months", "It lasts 24 months.", 0, 5) is None


def test_korean_words_are_aligned_too():
    text = "보증 기간은 24개월이며 물에 의한 손상은 제외됩니다."
    assert text[slice(*locate("보증 기간은 24개월이며", text))] == "보증 기간은 24개월이며"


@given(TEXT, st.integers(0, 80), st.integers(0, 80))
def test_any_stretch_is_found_where_its_words_stand(text, start, length):
    words = text[start : start + length]
    place = locate(words, text)
    if place is not None:
        assert 0 <= place[0] < place[1] <= len(text)


@given(edited())
def test_edits_keep_what_they_do_not_touch(case):
    text, edits = case
    result, remap = apply(text, edits), Remap(edits)
    touched = {n for edit in edits for n in range(edit.start, edit.end)}
    for n, sign in enumerate(text):
        if n not in touched:
            assert result[remap.start(n) : remap.end(n + 1)] == sign


@given(edited(), st.integers(0, 80), st.integers(0, 80))
def test_moved_offsets_stay_in_order_and_inside(case, start, length):
    text, edits = case
    start = min(start, len(text))
    end = min(len(text), start + length)
    result, remap = apply(text, edits), Remap(edits)
    moved = remap.start(start), remap.end(end)
    assert 0 <= moved[0] <= len(result)
    assert 0 <= moved[1] <= len(result)
    if start < end:
        assert moved[0] <= moved[1]


def test_an_insertion_stays_outside_of_the_words_before_it():
    remap = Remap([Edit(5, 5, " [mark]")])
    assert (remap.start(0), remap.end(5), remap.start(5)) == (0, 5, 12)


def test_evidence_in_an_answer_is_one_visible_line():
    assert one_line("a\n\n[b]\u202e\u200bc") == "a (b) c"
    assert len(one_line("word " * 1000)) <= 160
