"""Examples come from what people said of real runs, and from real documents."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage

from groundling import Home
from groundling.graphs import registry
from groundling.graphs.resources import Resources
from groundling.tracing.attach import attach, flush
from groundling.tracing.feedback import Feedback, FeedbackBook
from groundling.tuning.example import Turn
from groundling.tuning.sources import from_feedback, from_traces
from tests.scripted import ScriptedChat


@pytest.fixture
def opened(home: Path) -> Iterator[Home]:
    with Home(home, memory={"enabled": False}, guard={"enabled": False}) as made:
        attach(made.settings)
        yield made


def ask(home: Home, question: str, answer: str) -> None:
    model = ScriptedChat([answer])
    registry.build("ask", Resources(home.settings, model=model)).invoke({"question": question})


def judge(home: Home, question: str, **said: object) -> None:
    flush()
    book = FeedbackBook(home.traces)
    (run,) = [run for run in home.traces.find(limit=-1) if run.preview == question][:1]
    book.add(Feedback(run=run.id, trace=run.trace, **{"key": "thumbs", **said}))  # type: ignore[arg-type]


def test_a_correction_is_learnt_and_preferred(opened: Home) -> None:
    ask(opened, "How many days?", "Nine.")
    judge(opened, "How many days?", score=-1, correction="Six.")
    learnt, preferred = from_feedback(opened.traces)
    assert (learnt.prompt, learnt.answer) == ((Turn("user", "How many days?"),), "Six.")
    assert (preferred.answer, preferred.rejected) == ("Six.", "Nine.")
    assert learnt.about["graph"] == "ask"
    assert from_traces(opened.traces) == []


def test_thumbs_are_labels_and_good_answers_preferred_to_bad_ones(opened: Home) -> None:
    ask(opened, "How many days?", "Six.")
    judge(opened, "How many days?", score=1)
    ask(opened, "How many days?", "Nine.")
    judge(opened, "How many days?", score=-1)
    found = from_feedback(opened.traces)
    assert sorted((each.answer, each.good) for each in found if each.kind == "label") == [
        ("Nine.", False),
        ("Six.", True),
    ]
    assert [(each.answer, each.rejected) for each in found if each.kind == "preference"] == [
        ("Six.", "Nine.")
    ]


def test_what_was_said_last_of_an_answer_holds(opened: Home) -> None:
    ask(opened, "How many days?", "Six.")
    judge(opened, "How many days?", score=1)
    ask(opened, "How many days?", "Nine.")
    judge(opened, "How many days?", score=1)
    judge(opened, "How many days?", score=-1)
    found = [each for each in from_feedback(opened.traces) if each.kind == "preference"]
    assert [(each.answer, each.rejected) for each in found] == [("Six.", "Nine.")]


def test_runs_without_feedback_are_learnt_from_only_as_traces(opened: Home) -> None:
    ask(opened, "어디에 있습니까?", "서울에 있습니다.")
    assert from_feedback(opened.traces) == []
    (found,) = from_traces(opened.traces)
    assert (found.question, found.answer) == ("어디에 있습니까?", "서울에 있습니다.")


def test_the_prompt_of_the_graph_can_be_learnt(opened: Home) -> None:
    ask(opened, "How many days?", "Nine.")
    judge(opened, "How many days?", score=-1, correction={"answer": "Six."})
    learnt, _ = from_feedback(opened.traces, asked_as="prompt")
    assert learnt.answer == "Six."
    assert learnt.prompt[0].role == "system"
    assert "How many days?" in learnt.question


def test_a_conversation_keeps_its_turns(opened: Home) -> None:
    graph = registry.build("ask", Resources(opened.settings, model=ScriptedChat(["Six."])))
    said = [("user", "I am Mina."), AIMessage("Hello."), ("user", "How many days?")]
    graph.invoke({"messages": said})
    judge(opened, "How many days?", score=1)
    (found,) = from_feedback(opened.traces)
    assert [turn.role for turn in found.prompt] == ["user", "assistant", "user"]
