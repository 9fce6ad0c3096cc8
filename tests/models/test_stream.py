"""Token bytes to text: characters and stop strings across token borders."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from groundling.models.stream import TextStream


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@given(st.text(), st.lists(st.integers(0, 1000)))
def test_any_cut_gives_the_same_text(text: str, cuts: list[int]) -> None:
    stream = TextStream()
    shown = [stream.push(piece) for piece in pieces(text.encode(), cuts)]
    assert "".join(shown) + stream.finish() == text


@given(
    st.text("ab한", max_size=20),
    st.text("ab한", min_size=1, max_size=4),
    st.lists(st.integers(0, 99)),
)
def test_nothing_from_a_stop_string_on_is_shown(text: str, stop: str, cuts: list[int]) -> None:
    stream = TextStream([stop, ""])
    shown = ""
    for piece in pieces(text.encode(), cuts):
        shown += stream.push(piece)
        # Whatever was shown stays true, so it may not hold the start of a stop string.
        assert (text + "\0").startswith(shown)
    shown += stream.finish()
    assert shown == text.split(stop)[0]
    assert stream.stopped == (stop in text)


def test_half_a_character_at_the_end_is_marked() -> None:
    stream = TextStream()
    assert stream.push("한".encode()[:2]) == ""
    assert stream.finish() == "\ufffd"


def test_text_is_shown_as_early_as_possible() -> None:
    stream = TextStream(["<end>"])
    assert stream.push(b"one <") == "one "
    assert stream.push(b"en") == ""
    assert stream.push(b"ough") == "<enough"
