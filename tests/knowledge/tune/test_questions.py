import json
from pathlib import Path

import pytest

from groundling.errors import ContextOverflow
from groundling.knowledge.base import Knowledge
from groundling.knowledge.passage import Passage
from groundling.knowledge.tune.cases import Cases
from groundling.knowledge.tune.questions import MOST_ASKED, agrees, ask, reply, write_cases
from tests.scripted import ScriptedChat

TEXT = "Leave that is left lapses on 30 April. The form for it is HR-12, kept in room 30."
PASSAGE = Passage(1, 1, "leave.md", "Leave", "Leave > Unused", None, 0, len(TEXT), TEXT)


def said(**reply: str) -> str:
    return json.dumps(reply, ensure_ascii=False)


def silent(stage: str, done: int, total: int) -> None:
    pass


def test_the_model_sees_title_headings_and_passage(scripted: ScriptedChat) -> None:
    scripted.enqueue(said(answer=" HR-12 ", question="Which form carries leave over?"))
    assert ask(PASSAGE, TEXT, scripted) == ("Which form carries leave over?", "HR-12")
    [messages] = scripted.prompts
    assert messages[-1].text == f"Title: Leave\nSection: Leave > Unused\n\nPassage:\n{TEXT}"


@pytest.mark.parametrize("broken", ["no JSON", "[1]", '{"answer": "x"'])
def test_a_reply_that_is_no_form_is_an_empty_one(scripted: ScriptedChat, broken: str) -> None:
    scripted.enqueue(broken, broken)
    assert ask(PASSAGE, TEXT, scripted) == ("", "")
    assert reply("Which form?", TEXT, scripted) == ""


@pytest.mark.parametrize(
    ("replied", "same"),
    [
        ("30 April", True),
        ("on 30 April", True),
        ("April", True),
        ("HR-12", False),
        ("none", False),
        ("It lapses on the 30 April, I think", True),
        ("30", True),  # twice in the text, so it names no place, but once in the answer
        ("", False),
    ],
)
def test_the_answer_read_again_has_to_be_at_the_same_place(replied: str, same: bool) -> None:
    start = TEXT.index("30 April")
    assert agrees(replied, TEXT, (start, start + 8)) is same


def test_a_question_that_is_answered_otherwise_is_refused(
    base: Knowledge, tmp_path: Path, scripted: ScriptedChat
) -> None:
    note = tmp_path / "leave.txt"
    note.write_text(TEXT + " Ask the office of the head of department for it.")
    base.add([note])
    scripted.enqueue(
        said(answer="HR-12", question="When has leave from last year been used up?"),
        said(answer="30 April"),
    )
    cases = Cases(tmp_path / "tune")
    assert write_cases(base, cases, scripted, 1, silent) == []
    [line] = (tmp_path / "tune" / "cases.jsonl").read_text().splitlines()
    assert "another answer" in json.loads(line)["reason"]


def test_a_passage_longer_than_the_context_is_passed_over(
    base: Knowledge, tmp_path: Path, scripted: ScriptedChat
) -> None:
    for name in ("a", "b", "c"):
        text = f"{TEXT} Ask the office of department {name} for it, on the third floor."
        (tmp_path / f"{name}.txt").write_text(text)
    base.add([tmp_path / f"{name}.txt" for name in ("a", "b", "c")])
    asks = said(answer="HR-12", question="Which form carries leave over?")
    too_long = ContextOverflow(9_000, 4_096)
    scripted.enqueue(too_long, asks, too_long, asks, said(answer="HR-12"))
    [case] = write_cases(base, Cases(tmp_path / "tune"), scripted, 1, silent)
    assert case.answer == "HR-12"
    lines = (tmp_path / "tune" / "cases.jsonl").read_text().splitlines()
    reasons = [json.loads(line).get("reason") for line in lines]
    assert reasons[:2] == [str(too_long)] * 2


def test_a_model_that_asks_badly_is_not_asked_for_ever(
    pumps: Knowledge, tmp_path: Path, scripted: ScriptedChat
) -> None:
    scripted.enqueue(*["nothing of use"] * 2 * MOST_ASKED)
    cases = Cases(tmp_path / "tune")
    assert write_cases(pumps, cases, scripted, 2, silent) == []
    assert len(cases.asked) == 2 * MOST_ASKED
    assert scripted.replies == []


def test_the_same_question_is_kept_once(
    base: Knowledge, tmp_path: Path, scripted: ScriptedChat
) -> None:
    for name in ("a", "b"):
        text = f"{TEXT} Ask the office of department {name} for it, on the third floor."
        (tmp_path / f"{name}.txt").write_text(text)
    base.add([tmp_path / "a.txt", tmp_path / "b.txt"])
    for _ in range(2):
        scripted.enqueue(
            said(answer="HR-12", question="Which form carries leave over?"), said(answer="HR-12")
        )
    assert len(write_cases(base, Cases(tmp_path / "tune"), scripted, 2, silent)) == 1
