"""`verify`: the claims of a text, held against sources.

    START ─ read ─ check ─┬─ mend ─ END
                          └─ END         nothing refuted

`check` splits the text into claims and asks the sources that `facts.sources` names, in
order: arithmetic and units are computed, the documents are searched and quoted, WolframAlpha
is asked where there is an AppID. `mend` corrects what a source can correct and marks the
rest; with `refuted: "off"` the text stays as it is.
"""

from __future__ import annotations

from typing import Literal

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from typing_extensions import TypedDict

from groundling.errors import GraphError
from groundling.facts.checker import count
from groundling.facts.claim import CheckedClaim
from groundling.graphs.nodes.step import node
from groundling.graphs.nodes.verifying import checker_of, notices, shown
from groundling.graphs.resources import Resources


class Question(TypedDict, total=False):
    """What a run takes: a `text`, or an `answer` with the `question` it was given to.

    `passages` are the ids of those that the answer was written from. `refuted` says what is
    done with refuted claims; default: as the settings say.
    """

    text: str
    question: str
    answer: str
    passages: list[int]
    refuted: Literal["mark", "correct", "off"]


class Answer(TypedDict, total=False):
    """What a run gives: the mended text, the claims with their places in it, their number
    by verdict, and the sources that could not be asked, with the reason.
    """

    answer: str
    claims: list[CheckedClaim]
    verdicts: dict[str, int]
    notices: list[str]
    missing: dict[str, str]


class State(Question, Answer, total=False):
    """Everything a run knows."""


async def read(state: State, resources: Resources) -> State:
    """Take the text from wherever it stands.

    Raises:
        GraphError: there is none.
    """
    text = state.get("text") or state.get("answer") or ""
    if not any(sign.isprintable() and not sign.isspace() for sign in text):
        raise GraphError(
            "The text is empty.", hint='Give the graph {"text": "…"} or {"answer": "…"}.'
        )
    return {"answer": text}


async def check(state: State, resources: Resources) -> State:
    """Put a verdict on each claim."""
    checker = checker_of(resources)
    checked = await checker.check(
        state["answer"], question=state.get("question"), passages=shown(state, resources)
    )
    return {
        "claims": checked,
        "verdicts": count(checked),
        "notices": [],
        "missing": checker.missing,
    }


def is_refuted(state: State) -> Literal["mend", "__end__"]:
    """Is there something that must not be left standing?"""
    leave = state.get("refuted") == "off"
    return "mend" if "REFUTED" in state["verdicts"] and not leave else "__end__"


async def mend(state: State, resources: Resources) -> State:
    """Correct what can be corrected, and mark the rest."""
    wish = state.get("refuted")
    mended = await checker_of(resources).revise(
        state["answer"],
        state["claims"],
        question=state.get("question"),
        passages=shown(state, resources),
        mending=wish if wish != "off" else None,
    )
    return {
        "answer": mended.text,
        "claims": mended.claims,
        "notices": notices(mended, state["answer"]),
    }


def build(
    resources: Resources, checkpointer: BaseCheckpointSaver[str] | None = None
) -> CompiledStateGraph[State, None, Question, Answer]:
    """Wire the graph."""
    graph = StateGraph(State, input_schema=Question, output_schema=Answer)
    for step in (read, check, mend):
        graph.add_node(step.__name__, node(step, resources))
    graph.add_edge(START, "read")
    graph.add_edge("read", "check")
    graph.add_conditional_edges("check", is_refuted)
    graph.add_edge("mend", END)
    return graph.compile(checkpointer=checkpointer, name="verify")


def graph() -> CompiledStateGraph[State, None, Question, Answer]:
    """Build it for the default home folder, as `langgraph.json` asks."""
    return build(Resources.default())
