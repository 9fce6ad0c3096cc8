"""Guesses from the text itself: where they come from, and when they stop."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from groundling.models.drafting import Drafter


def test_what_followed_before_is_guessed() -> None:
    drafter = Drafter([1, 2, 3, 4, 5, 6, 9, 1, 2, 3], longest=8)
    assert drafter.guess(8) == [4, 5, 6]
    assert drafter.guess(2) == [4, 5]


def test_the_latest_place_counts() -> None:
    drafter = Drafter([1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3], longest=8)
    assert drafter.guess(1) == [5]


def test_guesses_grow_while_they_are_right_and_shrink_when_not() -> None:
    text = list(range(100, 140))
    drafter = Drafter([*text, *text[:5]], longest=8)
    assert len(drafter.guess(99)) == 3
    drafter.learn(3, 3)
    assert len(drafter.guess(99)) == 6
    drafter.learn(6, 6)
    assert len(drafter.guess(99)) == 8
    drafter.learn(8, 1)
    assert len(drafter.guess(99)) == 2


def test_wrong_guesses_are_followed_by_longer_and_longer_pauses() -> None:
    drafter = Drafter([1, 2, 3] * 5, longest=4)
    pauses = []
    for _ in range(3):
        drafter.learn(len(drafter.guess(4)), 0)
        pauses.append(0)
        while not drafter.guess(4):
            drafter.extend([1 + sum(pauses) % 3])
            pauses[-1] += 1
            drafter.extend([])
            if pauses[-1] > 100:
                break
    assert pauses[0] < pauses[1] < pauses[2]


def test_nothing_is_guessed_where_nothing_repeats_or_guessing_is_off() -> None:
    assert Drafter(range(50), longest=8).guess(8) == []
    assert Drafter([1, 2, 3] * 5, longest=0).guess(8) == []


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(0, 10), st.integers(0, 10))
def test_a_guess_is_always_a_piece_of_the_text_after_the_same_tokens(
    text: list[int], longest: int, most: int
) -> None:
    drafter = Drafter(text[:20], longest)
    drafter.extend(text[20:])
    guess = drafter.guess(most)
    assert len(guess) <= min(longest, most)
    if guess:
        key = text[-3:]
        places = [n + 3 for n in range(len(text) - 3) if text[n : n + 3] == key]
        assert any(text[place : place + len(guess)] == guess for place in places)
