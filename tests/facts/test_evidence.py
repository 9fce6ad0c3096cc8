import asyncio
from pathlib import Path

import pytest

from groundling.facts.claim import Background, Claim
from groundling.facts.evidence import KnowledgeSource, nearest
from groundling.knowledge.base import Knowledge
from tests.facts.fakes import passage
from tests.scripted import ScriptedChat

LEAVE = "# Leave\n\nFull-time employees receive 17 days of paid leave a year. Ask your manager.\n"
TRAVEL = "# 출장\n\n국내 출장의 숙박비는 1박에 95,000원까지 지급합니다.\n"
TRUE = {"true": 0.9, "false": 0.05, "unknown": 0.05}
FALSE = {"true": 0.05, "false": 0.9, "unknown": 0.05}
UNKNOWN = {"true": 0.05, "false": 0.05, "unknown": 0.9}


@pytest.fixture
def knowledge(tmp_path: Path):
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "leave.md").write_text(LEAVE, encoding="utf-8")
    (folder / "travel.md").write_text(TRAVEL, encoding="utf-8")
    with Knowledge.open(tmp_path / "knowledge", None) as opened:
        opened.add([folder])
        yield opened


def claim(text):
    return Claim(text=text, start=0, end=len(text))


def check(source, *texts, passages=()):
    background = Background(None, tuple(passages))
    return asyncio.run(source.check_many([claim(text) for text in texts], background))


def test_support_carries_the_stored_text_and_its_place(knowledge):
    model = ScriptedChat()
    model.enqueue_choice(TRUE)
    [checked] = check(KnowledgeSource(knowledge, model), "Employees receive 17 days of leave.")
    assert checked["verdict"] == "SUPPORTED"
    assert checked["evidence"] == "Full-time employees receive 17 days of paid leave a year."
    source, at = checked["place"].split(", characters ")
    start, end = map(int, at.split("–"))
    [document] = [one for one in knowledge.documents() if one.source == source]
    assert knowledge.text(document.id, start, end) == checked["evidence"]


def test_the_text_comes_before_the_claim_and_never_in_the_system_prompt(knowledge):
    model = ScriptedChat()
    model.enqueue_choice(TRUE)
    check(KnowledgeSource(knowledge, model), "Employees receive 17 days of leave.")
    system, *_, last = model.prompts[0]
    assert "17" not in system.text
    assert last.text.index("paid leave a year") < last.text.index("Employees receive")


def test_numbers_overrule_the_model(knowledge):
    model = ScriptedChat()
    model.enqueue_choice(TRUE)
    [checked] = check(KnowledgeSource(knowledge, model), "Employees receive 25 days of paid leave.")
    assert checked["verdict"] == "REFUTED"
    assert checked["correction"] == "Employees receive 17 days of paid leave."


def test_a_number_that_the_text_has_not_is_not_supported(knowledge):
    model = ScriptedChat()
    model.enqueue_choice(TRUE)
    [checked] = check(
        KnowledgeSource(knowledge, model), "Since 2019 employees receive 17 days of leave."
    )
    assert checked["verdict"] == "NOT_ENOUGH_EVIDENCE"


def test_a_claim_that_nothing_comes_near_is_not_asked_about(knowledge):
    [checked] = check(KnowledgeSource(knowledge, ScriptedChat()), "Whales are mammals.")
    assert checked["verdict"] == "NOT_ENOUGH_EVIDENCE"


def test_a_quotation_needs_no_model(knowledge):
    text = "Full-time employees receive 17 days of paid leave a year"
    [checked] = check(KnowledgeSource(knowledge, None), text)
    assert checked["verdict"] == "SUPPORTED"
    [other] = check(KnowledgeSource(knowledge, None), "Employees receive paid leave.")
    assert other["verdict"] == "NOT_ENOUGH_EVIDENCE"


def test_the_passages_at_hand_come_first():
    model = ScriptedChat()
    model.enqueue_choice(FALSE, UNKNOWN)
    at_hand = passage("The office is in Busan. It opens at nine.", start=40)
    refuted, unknown = check(
        KnowledgeSource(None, model),
        "The office is in Seoul.",
        "The office opens at nine on Sundays.",
        passages=[at_hand],
    )
    assert refuted["verdict"] == "REFUTED"
    assert refuted["place"] == "doc1.md, characters 40–63"
    assert unknown["verdict"] == "NOT_ENOUGH_EVIDENCE"


def test_what_the_passages_leave_open_is_searched(knowledge):
    model = ScriptedChat()
    model.enqueue_choice(TRUE)
    [checked] = check(
        KnowledgeSource(knowledge, model),
        "Employees receive 17 days of leave.",
        passages=[passage("Nothing of the kind.")],
    )
    assert checked["verdict"] == "SUPPORTED"


def test_without_documents_the_source_has_nothing_to_say():
    assert check(KnowledgeSource(None, ScriptedChat()), "The office is in Seoul.") == [None]


def test_korean_claims_are_asked_in_korean(knowledge):
    model = ScriptedChat()
    model.enqueue_choice(TRUE)
    [checked] = check(
        KnowledgeSource(knowledge, model), "국내 출장 숙박비는 1박에 95,000원까지입니다."
    )
    assert checked["verdict"] == "SUPPORTED"
    assert "참입니까" in model.prompts[0][-1].text


def test_korean_numbers_conflict_with_the_text(knowledge):
    text = "국내 출장의 숙박비는 1박에 85,000원까지 지급합니다."
    [checked] = check(KnowledgeSource(knowledge, None), text)
    assert checked["verdict"] == "REFUTED"
    assert checked["correction"] == text.replace("85", "95")


def test_a_passage_that_has_changed_since_is_no_evidence(knowledge, tmp_path):
    [found] = knowledge.search("paid leave", 1)
    (tmp_path / "documents" / "leave.md").write_text("# Leave\n\nNo leave at all.\n")
    knowledge.add([tmp_path / "documents"])
    model = ScriptedChat()
    model.enqueue_choice(TRUE)
    source = KnowledgeSource(knowledge, model)
    [checked] = check(source, "Employees receive 17 days of leave.", passages=[found])
    assert checked["verdict"] == "NOT_ENOUGH_EVIDENCE"


def test_the_stretch_is_shown_with_its_neighbours():
    text = "One. The office is in Busan. It opens at nine. The end."
    found = nearest("The office is in Busan.", [passage(text)])
    assert found.quote == "The office is in Busan."
    assert found.around == "One. The office is in Busan. It opens at nine."
