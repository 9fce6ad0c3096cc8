"""What a model writes from documents is kept only if the documents have it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from groundling.errors import ContextOverflow
from groundling.knowledge.base import Knowledge
from groundling.tuning.dataset import DataShelf
from groundling.tuning.documents import from_documents
from groundling.tuning.example import Example, Turn
from groundling.tuning.mistakes import from_mistakes
from groundling.tuning.selection import Selection
from tests.scripted import ScriptedChat

TEXT = (
    "Unused annual leave may be carried over up to 6 days into the next calendar year. "
    "What is left after that is lost, unless the manager has agreed in writing."
)
QUESTION = "How many days of leave do employees keep?"
ASKS = json.dumps({"answer": "6 days", "question": QUESTION})
FINDS = json.dumps({"answer": "6 days"})
OTHER = json.dumps({"answer": "in writing"})
SENTENCE = "Up to 6 days of leave are carried over."


@pytest.fixture
def papers(home: Path) -> Iterator[Knowledge]:
    folder = home / "papers"
    folder.mkdir(parents=True)
    (folder / "leave.md").write_text(f"# Leave\n\n{TEXT}\n")
    with Knowledge.open(home / "knowledge" / "papers", None) as knowledge:
        knowledge.add([folder])
        yield knowledge


def ask(knowledge: Knowledge, *replies: str | Exception, **options: Any) -> list[Example]:
    model = ScriptedChat(replies)
    found = from_documents(knowledge, model, 1, lambda *_: None, **options)
    assert not model.replies
    return found


def test_the_answer_is_a_sentence_that_has_the_phrase(papers: Knowledge) -> None:
    (found,) = ask(papers, ASKS, FINDS, SENTENCE)
    assert (found.prompt, found.answer) == ((Turn("user", QUESTION),), SENTENCE)
    assert found.about["accept"] == ["6 days"]
    (document,) = papers.documents()
    start, end = found.about["start"], found.about["end"]
    assert papers.text(document.id, start, end) == "6 days"
    assert found.source == "documents:papers"
    assert found.group.endswith("leave.md")
    assert "split" not in found.about


@pytest.mark.parametrize(
    "said",
    [
        "Sixteen days of leave.",
        "16 days may be kept.",
        "6 days and then the manager",
        "6 days." * 80,
    ],
    ids=["another", "a number cut in two", "cut off", "endless"],
)
def test_else_it_is_the_phrase(papers: Knowledge, said: str) -> None:
    (found,) = ask(papers, ASKS, FINDS, said)
    assert found.answer == "6 days"


def test_the_graphs_prompt_has_the_passage_in_it(papers: Knowledge) -> None:
    (found,) = ask(papers, ASKS, FINDS, SENTENCE, asked_as="prompt")
    assert [turn.role for turn in found.prompt] == ["system", "user"]
    assert found.question.startswith("[1] Leave")
    assert TEXT in found.question
    assert QUESTION in found.question


def test_of_several_phrasings_the_last_is_held_out(papers: Knowledge) -> None:
    wordings = (
        "- How much unused leave is kept?\n- Leave that may be carried over\n- 6 days of what?"
    )
    found = ask(papers, ASKS, FINDS, SENTENCE, wordings, FINDS, FINDS, phrasings=4)
    assert [(each.question, each.about["split"]) for each in found] == [
        (QUESTION, "train"),
        ("How much unused leave is kept?", "train"),
        ("Leave that may be carried over", "heldout"),
    ]
    assert {each.answer for each in found} == {SENTENCE}


def test_a_phrasing_that_asks_something_else_is_let_go(papers: Knowledge) -> None:
    wordings = f"Who has to agree?\n휴가는 며칠입니까?\n{QUESTION.upper()}"
    (found,) = ask(papers, ASKS, FINDS, SENTENCE, wordings, OTHER, phrasings=4)
    assert found.question == QUESTION
    assert "split" not in found.about


def test_no_more_phrasings_than_wanted(papers: Knowledge) -> None:
    wordings = "How much unused leave is kept?\nLeave that may be carried over"
    found = ask(papers, ASKS, FINDS, SENTENCE, wordings, FINDS, phrasings=2)
    assert [each.about["split"] for each in found] == ["train", "heldout"]


TOO_LONG = ContextOverflow(9_000, 4_096)


def test_a_passage_longer_than_the_context_keeps_its_phrase(papers: Knowledge) -> None:
    wordings = "How much unused leave is kept?\nLeave that may be carried over"
    (found,) = ask(papers, ASKS, FINDS, TOO_LONG, wordings, TOO_LONG, phrasings=4)
    assert (found.question, found.answer) == (QUESTION, "6 days")


def test_what_was_written_is_not_written_again(papers: Knowledge) -> None:
    wordings = "How much unused leave is kept?\nLeave that may be carried over"
    once = ask(papers, ASKS, FINDS, SENTENCE)
    more = ask(papers, wordings, FINDS, phrasings=2)  # the sentence is there, the wordings not
    again = ask(papers, phrasings=2)
    assert [each.question for each in more] == [each.question for each in again]
    assert {each.answer for each in (*once, *more, *again)} == {SENTENCE}
    assert [each.question for each in ask(papers)] == [QUESTION]


def test_an_interruption_loses_one_case_at_most(papers: Knowledge) -> None:
    stopped = ScriptedChat([ASKS, FINDS, RuntimeError("killed")])
    with pytest.raises(RuntimeError, match="killed"):
        from_documents(papers, stopped, 1, lambda *_: None)
    (found,) = ask(papers, SENTENCE)
    assert found.answer == SENTENCE


def test_wrong_answers_become_preferences(tmp_path: Path) -> None:
    def known(question: str, answer: str, **about: Any) -> Example:
        return Example((Turn("user", question),), answer, group=question, about=about)

    chosen = Selection(
        [
            known("Where?", "It is in Seoul.", accept=["Seoul"]),
            known("Who?", "Mina."),
            known("A whole book?", "Yes."),
        ],
        [known("When?", "In May.", accept=["May"])],
    )
    data = DataShelf(tmp_path).store("bot", chosen)
    model = ScriptedChat(["Busan, I think.", "It is Mina.", TOO_LONG, "In June. \ufffd"])
    told: list[tuple[str, int, int]] = []
    first, second = from_mistakes(data, model, lambda *said: told.append(said))
    assert (first.answer, first.rejected) == ("It is in Seoul.", "Busan, I think.")
    assert first.about == {"accept": ["Seoul"], "split": "train"}
    assert (second.question, second.rejected, second.about["split"]) == (
        "When?", "In June.", "heldout",
    )  # fmt: skip
    assert {each.source for each in (first, second)} == {"mistakes:bot"}
    assert told[-1] == ("mistakes", 4, 4)
