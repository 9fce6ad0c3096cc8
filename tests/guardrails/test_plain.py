"""The copy that is searched, and the way back from it."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from groundling.guardrails.plain import plain

ODD = "０１２９．－＠Ａｚ\u200b\u200d\ufeff\u00ad\u00a0\u2011\u2013\u2024٣𝟙①²"
ODD += "\u1112\u1161\U000e0041가a1-"
texts = st.text(st.sampled_from(ODD) | st.characters(), max_size=60)


@given(texts)
def test_every_character_of_the_copy_has_its_place_in_the_original(text):
    view = plain(text)
    last = 0
    for place, character in enumerate(view.text):
        start, end = view.span(place, place + 1)
        assert last <= start < len(text)
        assert end == start + 1
        if not "\uac00" <= character <= "\ud7a3":  # composed Hangul stands for several
            taken = text[start]
            kept = taken == character or unicodedata.normalize("NFKC", taken) == character
            dash = character == "-" and unicodedata.category(taken) in ("Pd", "Po", "Sm")
            digit = character.isdigit() and unicodedata.category(taken) == "Nd"
            assert kept or dash or digit
            last = start


@given(texts, texts)
def test_a_word_between_two_texts_is_found_where_it_stands(before, after):
    text = f"{before}XYZ{after}"
    view = plain(text)
    places = [view.span(n, n + 3) for n in range(len(view.text)) if view.text[n : n + 3] == "XYZ"]
    assert (len(before), len(before) + 3) in places


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_is_its_own_copy(text):
    assert plain(text).text is text


def test_digits_and_signs_of_every_width_become_ascii():
    assert plain("０１０－１２３４．５６７８＠ａ").text == "010-1234.5678@a"
    assert plain("010‑1234–5678−9").text == "010-1234-5678-9"
    assert plain("٠١٠ 𝟗𝟘\u00a0x").text == "010 90 x"


def test_characters_without_width_go():
    assert plain("ho\u200bng\u2060@\u00adex\ufeffam\U000e0041ple").text == "hong@example"


def test_decomposed_hangul_is_composed():
    assert plain(unicodedata.normalize("NFD", "비밀번호: 가나1")).text == "비밀번호: 가나1"


def test_list_marks_and_footnotes_stay_apart_from_numbers():
    assert plain("①010-1234-5678²").text == "①010-1234-5678²"
