import asyncio

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from groundling.errors import GraphError
from groundling.facts.checker import FactChecker
from groundling.facts.evidence import KnowledgeSource
from groundling.graphs import verify as graph_module
from groundling.graphs.nodes.verifying import verify
from groundling.graphs.resources import Resources
from groundling.knowledge.base import Knowledge
from groundling.settings import Settings
from tests.facts.fakes import Table
from tests.scripted import ScriptedChat

WRONG, RIGHT = "The warranty lasts 24 months.", "The warranty lasts 12 months."
SAID = {WRONG: ("REFUTED", "12 months", RIGHT), RIGHT: "SUPPORTED"}


def resources(said, mending="correct", **given):
    checker = FactChecker([Table(said)], mending=mending, missing={"wolfram": "no AppID"})
    return Resources(Settings(), model=ScriptedChat(), facts=checker, **given)


def run(given, said=SAID, **options):
    return graph_module.build(resources(said, **options)).invoke(given)


def test_a_text_is_checked_and_corrected():
    result = run({"text": f"Hello! {WRONG}"})
    assert result["answer"] == f"Hello! {RIGHT}"
    assert result["verdicts"] == {"REFUTED": 1}
    [claim] = result["claims"]
    assert result["answer"][claim["start"] : claim["end"]] == RIGHT
    assert result["missing"] == {"wolfram": "no AppID"}
    assert result["notices"] == [
        "Statements of the answer that did not hold and were corrected: 1."
    ]


def test_the_run_may_say_what_is_done_with_refuted_claims():
    assert "[refuted: 12 months]" in run({"text": WRONG, "refuted": "mark"})["answer"]
    assert run({"text": WRONG, "refuted": "off"})["answer"] == WRONG


def test_what_holds_stays_as_it_is():
    result = run({"answer": RIGHT, "question": "How long does it last?"})
    assert result["answer"] == RIGHT
    assert result["verdicts"] == {"SUPPORTED": 1}


@pytest.mark.parametrize("given", [{}, {"text": " \n"}, {"text": "\u200b\u202e"}])
def test_an_empty_text_is_refused(given):
    with pytest.raises(GraphError, match="empty"):
        run(given)


def test_passages_are_named_by_their_ids(tmp_path):
    (tmp_path / "a.md").write_text("# Warranty\n\nThe warranty lasts 12 months.\n")
    with Knowledge.open(tmp_path / "knowledge", None) as knowledge:
        knowledge.add([tmp_path / "a.md"])
        [passage] = knowledge.search("warranty")
        checker = FactChecker([KnowledgeSource(knowledge, None)], mending="correct")
        graph = graph_module.build(
            Resources(Settings(), model=ScriptedChat(), knowledge=knowledge, facts=checker)
        )
        result = graph.invoke({"answer": WRONG, "passages": [passage.chunk_id]})
    assert result["answer"] == RIGHT
    assert "a.md, characters" in result["claims"][0]["place"]


def node(state, **options):
    return asyncio.run(verify(state, resources(SAID, **options)))


def test_the_node_replaces_the_message_under_its_id():
    messages = [HumanMessage("How long?"), AIMessage(WRONG, id="m1", name="a")]
    update = node(
        {"question": "How long?", "answer": WRONG, "messages": messages, "notices": ["x"]}
    )
    assert update["answer"] == RIGHT
    [message] = update["messages"]
    assert (message.id, message.content, message.name) == ("m1", RIGHT, "a")
    assert update["notices"][0] == "x"
    assert len(update["notices"]) == 2


@pytest.mark.parametrize("state", [{"answer": ""}, {"answer": WRONG, "blocked": True}, {}])
def test_the_node_leaves_what_is_not_to_be_checked(state):
    assert node(state) == {"claims": []}


def test_the_node_leaves_everything_where_checking_is_off():
    off = Resources(Settings(facts={"refuted": "off"}), model=ScriptedChat())
    assert asyncio.run(verify({"answer": WRONG}, off)) == {"claims": []}


def test_a_source_that_fails_is_told_to_the_reader():
    update = asyncio.run(verify({"answer": WRONG}, resources({WRONG: RuntimeError("gone")})))
    assert "answer" not in update
    assert "could not be checked" in update["notices"][0]
    assert "gone" in update["notices"][0]


def test_notices_are_in_the_language_of_the_answer():
    text = "보증 기간은 24개월입니다."
    update = asyncio.run(verify({"answer": text}, resources({text: ("REFUTED", "12개월")})))
    assert update["answer"] == "보증 기간은 24개월입니다 [사실과 다름: 12개월]."
    assert "표시했습니다" in update["notices"][0]
