"""Findings that overlap."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from groundling.guardrails.detector import Detector, FieldDetector, Finding, resolve
from groundling.guardrails.personal import PersonalData
from groundling.guardrails.secrets import Secrets

findings = st.builds(
    lambda kind, start, length, score: Finding(kind, start, start + length, score),
    st.sampled_from(["email", "phone", "card"]),
    st.integers(0, 60),
    st.integers(1, 20),
    st.floats(0, 1),
)


@given(st.lists(findings))
def test_resolved_findings_are_in_order_apart_and_cover_the_same_characters(found):
    resolved = resolve(found)
    assert all(one.end <= two.start for one, two in pairwise(resolved))
    covered = {place for one in found for place in range(one.start, one.end)}
    assert covered == {place for one in resolved for place in range(one.start, one.end)}
    assert resolve(resolved) == resolved


def test_the_longest_gives_the_kind():
    inner, outer = Finding("phone", 4, 9, 0.9), Finding("card", 0, 16, 0.6)
    assert resolve([inner, outer]) == [outer]


def test_of_two_of_one_length_the_better_scored_gives_the_kind():
    assert resolve([Finding("phone", 0, 9, 0.6), Finding("kr_brn", 0, 9, 0.9)])[0].kind == "kr_brn"


def test_nothing_of_the_shorter_is_left_over():
    merged = resolve([Finding("email", 4, 20, 0.9), Finding("basic_auth", 0, 9, 0.95)])
    assert merged == [Finding("email", 0, 20, 0.9)]


def test_the_rooms_detectors_fit_the_seam():
    for detector in (PersonalData(), Secrets()):
        checked: Detector = detector
        assert isinstance(checked, FieldDetector)
