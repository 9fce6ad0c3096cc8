import asyncio

import pytest

from groundling.errors import FactError
from groundling.facts.checker import FactChecker, count
from groundling.settings import Settings
from tests.facts.fakes import Table, passage

LASTS, SEOUL = "The warranty lasts 24 months.", "The office is in Seoul."


def check(sources, text, **given):
    given_most = {"most": given.pop("most")} if "most" in given else {}
    return asyncio.run(FactChecker(sources, **given_most).check(text, **given))


def test_the_first_source_that_settles_a_claim_is_the_last_one_asked():
    first = Table({LASTS: ("SUPPORTED", "24 months")}, "first")
    second = Table({SEOUL: ("REFUTED", "in Busan")}, "second")
    checked = check([first, second], f"{LASTS} {SEOUL}")
    assert [(one["verdict"], one["source"]) for one in checked] == [
        ("SUPPORTED", "first"),
        ("REFUTED", "second"),
    ]
    assert second.asked == [SEOUL]
    assert count(checked) == {"SUPPORTED": 1, "REFUTED": 1}


def test_a_source_sees_the_claim_and_never_the_draft():
    source = Table({})
    check([source], f"{LASTS} {SEOUL}", question="How long?", passages=[passage("x")])
    assert source.asked == [LASTS, SEOUL]
    assert source.backgrounds[0].question == "How long?"
    assert [one.text for one in source.backgrounds[0].passages] == ["x"]


def test_a_claim_that_nobody_knows_of_is_not_supported():
    [checked] = check([Table({})], LASTS)
    assert (checked["verdict"], checked["source"]) == ("NOT_ENOUGH_EVIDENCE", "")


def test_a_source_that_raises_is_an_error_and_others_go_on():
    broken = Table({LASTS: RuntimeError("no connection")}, "broken")
    [settled] = check([broken, Table({LASTS: "SUPPORTED"})], LASTS)
    assert settled["verdict"] == "SUPPORTED"
    [checked] = check([broken, Table({LASTS: "NOT_ENOUGH_EVIDENCE"})], LASTS)
    assert checked["verdict"] == "ERROR"
    assert checked["source"] == "broken"
    assert "no connection" in checked["evidence"]


def test_a_source_for_many_claims_is_asked_once():
    class Many(Table):
        async def check_many(self, claims, background):
            self.asked.append(len(claims))
            return [None] * len(claims)

    source = Many({})
    check([source], f"{LASTS} {SEOUL}")
    assert source.asked == [2]


def test_a_source_for_many_claims_that_raises_is_an_error_of_each():
    class Many(Table):
        async def check_many(self, claims, background):
            raise RuntimeError("gone")

    checked = check([Many({})], f"{LASTS} {SEOUL}")
    assert [one["verdict"] for one in checked] == ["ERROR", "ERROR"]


def test_what_is_beyond_the_limit_is_reported_as_not_checked():
    source = Table({})
    checked = check([source], f"{LASTS} {SEOUL}", most=1)
    assert source.asked == [LASTS]
    assert checked[1]["verdict"] == "NOT_ENOUGH_EVIDENCE"
    assert "not checked" in checked[1]["evidence"]
    korean = check([Table({})], "보증 기간은 24개월입니다. 본사는 서울 1곳입니다.", most=1)
    assert "확인하지 않음" in korean[1]["evidence"]


def test_claims_come_in_the_order_of_the_text():
    text = f"I think it is good. {LASTS} In my opinion Seoul is nice. {SEOUL}"
    checked = check([], text)
    assert [one["start"] for one in checked] == sorted(one["start"] for one in checked)
    assert len(checked) == 4


def test_an_unknown_source_is_named():
    settings = Settings(facts={"sources": ["oracle"]})
    with pytest.raises(FactError, match="oracle") as error:
        FactChecker.from_settings(settings, None)
    assert "arithmetic, units, knowledge, wolfram" in error.value.hint


def test_wolfram_without_an_app_id_is_missing_with_the_reason():
    settings = Settings(facts={"sources": ["knowledge", "wolfram"], "most": 3})
    checker = FactChecker.from_settings(settings, None)
    assert [source.name for source in checker.sources] == ["knowledge"]
    assert "AppID" in checker.missing["wolfram"]
    assert (checker.most, checker.mending) == (3, "correct")


@pytest.mark.parametrize("text", ["", " \n", "```\ncode\n```", "\u202e\u200b"])
def test_nothing_to_check_is_nothing(text):
    assert check([Table({})], text) == []
