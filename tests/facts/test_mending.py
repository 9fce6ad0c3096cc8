import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.facts.checker import FactChecker
from groundling.facts.claim import Claim, settled
from tests.facts.fakes import Table
from tests.scripted import ScriptedChat

WRONG, RIGHT = "The warranty lasts 24 months.", "The warranty lasts 12 months."
SEOUL = "The office is in Seoul."


def revise(text, said, mending="correct", model=None):
    checker = FactChecker([Table(said)], model, mending=mending)

    async def go():
        return await checker.revise(text, await checker.check(text))

    return asyncio.run(go())


def test_a_refuted_claim_is_marked_behind_its_words():
    said = {WRONG: ("REFUTED", "12 months [by law]"), SEOUL: "SUPPORTED"}
    mended = revise(f"{WRONG} {SEOUL}", said, "mark")
    assert mended.text == (
        "The warranty lasts 24 months [refuted: 12 months (by law)]. The office is in Seoul."
    )
    assert (mended.corrected, mended.marked) == (0, 1)
    last = mended.claims[1]
    assert mended.text[last["start"] : last["end"]] == SEOUL


def test_the_mark_is_in_the_language_of_the_answer():
    text = "보증 기간은 24개월입니다."
    mended = revise(text, {text: ("REFUTED", "12개월")}, "mark")
    assert mended.text == "보증 기간은 24개월입니다 [사실과 다름: 12개월]."


def test_a_correction_that_holds_takes_the_place_of_the_words():
    said = {WRONG: ("REFUTED", "12 months", RIGHT), RIGHT: "SUPPORTED"}
    mended = revise(f"{SEOUL} The warranty lasts 24 months [2].", said)
    assert mended.text == f"{SEOUL} The warranty lasts 12 months [2]."
    corrected = mended.claims[1]
    assert corrected["verdict"] == "REFUTED"
    assert mended.text[corrected["start"] : corrected["end"]] == corrected["correction"]
    assert (mended.corrected, mended.marked) == (1, 0)


def test_a_correction_that_does_not_hold_is_not_made():
    mended = revise(WRONG, {WRONG: ("REFUTED", "12 months", RIGHT)})
    assert mended.text == "The warranty lasts 24 months [refuted: 12 months]."


def test_the_model_rewrites_the_sentence_from_the_evidence():
    model = ScriptedChat([RIGHT])
    said = {WRONG: ("REFUTED", "Phones: 12 months."), RIGHT: "SUPPORTED"}
    mended = revise(f"{WRONG} {SEOUL}", said, model=model)
    assert mended.text == f"{RIGHT} {SEOUL}"
    assert "Phones: 12 months." in model.prompts[0][-1].text
    assert SEOUL not in model.prompts[0][-1].text


@pytest.mark.parametrize(
    "reply",
    ["The warranty lasts 6 months.", "", "a\nb", WRONG, "x" * 400, RuntimeError("gone")],
)
def test_a_rewriting_that_goes_beyond_the_evidence_is_not_taken(reply):
    said = {reply: "SUPPORTED", WRONG: ("REFUTED", "Phones: 12 months.")}
    mended = revise(WRONG, said, model=ScriptedChat([reply]))
    assert mended.text == "The warranty lasts 24 months [refuted: Phones: 12 months.]."


def test_a_rewriting_must_be_supported():
    mended = revise(WRONG, {WRONG: ("REFUTED", "12 months.")}, model=ScriptedChat([RIGHT]))
    assert "[refuted:" in mended.text


def test_several_equations_of_a_sentence_are_corrected_each():
    said = {
        "So 3 + 4 = 8": ("REFUTED", "7", "So 3 + 4 = 7"),
        "7 * 2 = 15.": ("REFUTED", "14", "7 * 2 = 14."),
        "So 3 + 4 = 7": "SUPPORTED",
        "7 * 2 = 14.": "SUPPORTED",
    }
    assert revise("So 3 + 4 = 8, and 7 * 2 = 15.", said).text == "So 3 + 4 = 7, and 7 * 2 = 14."


def test_overlapping_claims_are_marked_together():
    text = "Born in 1564 and died in 1617."
    checker = FactChecker([])
    claims = [
        settled(Claim(text="a", start=0, end=30), "REFUTED", "s", evidence="x"),
        settled(Claim(text="b", start=13, end=30), "REFUTED", "s", evidence="y"),
    ]
    mended = asyncio.run(checker.revise(text, claims))
    assert mended.text == "Born in 1564 and died in 1617 [refuted: x] [refuted: y]."


VERDICTS = st.sampled_from(["SUPPORTED", "REFUTED", "NOT_ENOUGH_EVIDENCE", "ERROR"])


@given(
    st.text(alphabet="ab 가.\n1[]", min_size=1, max_size=60),
    st.lists(st.tuples(st.integers(0, 59), st.integers(1, 30), VERDICTS), max_size=5),
)
def test_nothing_refuted_is_left_and_nothing_else_is_touched(text, drawn):
    claims = []
    for start, length, verdict in drawn:
        start = min(start, len(text) - 1)
        end = min(len(text), start + length)
        claim = Claim(text=text[start:end], start=start, end=end)
        claims.append(settled(claim, verdict, "s", evidence="E"))
    mended = asyncio.run(FactChecker([]).revise(text, claims))
    refuted = [one for one in claims if one["verdict"] == "REFUTED"]
    assert mended.marked == len(refuted)
    assert bool(refuted) == (" [refuted: E]" in mended.text or " [사실과 다름: E]" in mended.text)
    stripped = mended.text.replace(" [refuted: E]", "").replace(" [사실과 다름: E]", "")
    assert stripped == text
    for one in mended.claims:
        assert 0 <= one["start"] < one["end"] <= len(mended.text)
