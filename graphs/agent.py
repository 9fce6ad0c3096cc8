"""`agent`: documents, tools and memory, by the model's decision; guarded and checked.

    START ─ begin ─ guard_input ─┬─ recall ─ make_room ─ rewrite ─ decide
                                 └─ END  blocked

    decide ─┬─ approve ─ call_tools ─┬─ decide
            │                        └─ retrieve ⇄ translate, then decide
            ├─ judge ─┬─ answer ─ weigh ─┬─ cite ─ verify ─ guard_output ─ remember ─ END
            │         └─ refuse          └─ refuse ─ remember
            └─ answer ─ cite …                with results of tools, or with neither

`decide` chooses among the documents (`search`), the other tools and none of them. What a
search has found goes the way of `rag`: judged before and after the answer is written, and
refused where the documents do not have it. An answer that tools were needed for is written
from passages and results together. Whatever comes out is cited from the stored text, its
claims are held against sources, and the guard reads it last.
"""

from __future__ import annotations

from typing import Literal

from langchain_core.messages import AIMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from groundling.facts.claim import CheckedClaim
from groundling.graphs import rag
from groundling.graphs.nodes.approving import approve
from groundling.graphs.nodes.attribution import attribute
from groundling.graphs.nodes.calling import Called, call_tools
from groundling.graphs.nodes.conversation import Conversation
from groundling.graphs.nodes.deciding import (
    SEARCH,
    Step,
    asked,
    begin,
    calls_of,
    decide,
    rewrite,
    shown,
)
from groundling.graphs.nodes.deciding import prompt_of as prompt_over
from groundling.graphs.nodes.guarding import blocked, guard_input, guard_output, guard_text, noted
from groundling.graphs.nodes.refusing import limits
from groundling.graphs.nodes.remembering import known, recall, remember
from groundling.graphs.nodes.step import node
from groundling.graphs.nodes.summarising import Summarised, compose, make_room, tongue
from groundling.graphs.nodes.verifying import verify
from groundling.graphs.rag import judge, translate
from groundling.graphs.resources import Resources
from groundling.knowledge.citations import Citation
from groundling.models.prompts import language_of, prompt

Verdict = Literal["answered", "unproved", "refused", "blocked"]


class Question(Conversation, total=False):
    """What a run takes."""


class Answer(Conversation, total=False):
    """What a run gives.

    `verdict` is `answered` (proved by a citation, or worked out by a tool), `unproved` (the
    model alone says so), `refused` (the documents do not have it) or `blocked` (the guard
    let the question, or the answer, not through).
    """

    answer: str
    citations: list[Citation]
    verdict: Verdict
    claims: list[CheckedClaim]
    notices: list[str]
    steps: list[Step]


class State(Called, Summarised, total=False):
    """Everything a run knows: ids of passages and memories, never their text."""

    answer: str
    citations: list[Citation]
    verdict: Verdict
    claims: list[CheckedClaim]
    blocked: bool
    recalled: list[int]
    remembered: list[int]
    coverage: float
    bilingual: bool
    relevance: float
    support: float


def is_allowed(state: State) -> Literal["recall", "__end__"]:
    """May the question be answered?"""
    return "__end__" if blocked(state) else "recall"


def what_next(state: State) -> Literal["approve", "judge", "answer", "refuse"]:
    """Are there calls to be made, or passages to be judged, before the answer?"""
    if state["calls"]:
        return "approve"
    if rests_on_documents(state):
        return "judge"
    searched = [step for step in state["steps"] if step["tool"] == SEARCH]
    return "refuse" if searched and len(searched) == len(state["steps"]) else "answer"


def has_searched(state: State) -> Literal["retrieve", "decide"]:
    """Was a search among the calls of this round, and did the documents have anything?"""
    made = next((calls for turn in reversed(state["messages"]) if (calls := calls_of(turn))), [])
    searched = any(call["name"] == SEARCH for call in made)
    return "retrieve" if searched and state["passages"] else "decide"


async def retrieve(state: State, resources: Resources) -> State:
    """Take from the documents what fits into the budget; the guard reads what is new."""
    found = await rag.retrieve(state, resources)  # type: ignore[arg-type]
    chosen, update = [], State()
    for passage in resources.knowledge.passages(found["passages"]):
        if passage.chunk_id not in state["passages"]:
            decision = await guard_text(passage.text, "retrieved", resources)
            if decision["outcome"] != "pass":
                update.update(noted({**state, **update}, decision))  # type: ignore[typeddict-item]
            if decision["action"] in ("block", "ask"):
                continue
        chosen.append(passage.chunk_id)
    update.update({**found, "passages": chosen})  # type: ignore[typeddict-item]
    return update


def is_covered(state: State) -> Literal["translate", "decide"]:
    """Do the passages have the question's words, or should the other language be tried?"""
    return "translate" if rag.is_covered(state) == "translate" else "decide"  # type: ignore[arg-type]


def is_relevant(state: State) -> Literal["answer", "refuse"]:
    """Is it worth writing an answer?"""
    enough = limits(language_of(asked(state))).relevance
    return "answer" if state["relevance"] >= enough else "refuse"


async def answer(state: State, resources: Resources) -> State:
    """Answer from passages and results; where there are none, from the conversation."""
    if rests_on_documents(state):
        used = prompt("answer", language_of(asked(state)))
        messages = used.messages(**shown(state, resources))
    elif state["steps"]:
        used = prompt_over("act", state)
        messages = used.messages(**shown(state, resources))
    else:
        used = prompt("chat", tongue(state))
        messages = compose(state, resources, known(state, resources))
    reply = await resources.model.ainvoke(messages, used.config)
    return {"answer": reply.text.strip(), "messages": [reply]}


def needs_weighing(state: State) -> Literal["weigh", "cite"]:
    """Does the answer rest on the documents alone?"""
    return "weigh" if rests_on_documents(state) else "cite"


async def weigh(state: State, resources: Resources) -> State:
    """Weigh whether the passages state the answer that was written."""
    return {"support": (await rag.verify(state, resources))["support"]}  # type: ignore[arg-type]


def is_supported(state: State) -> Literal["cite", "refuse"]:
    """Do words and judgements together speak for the answer?"""
    return rag.is_supported(state)  # type: ignore[arg-type]


async def cite(state: State, resources: Resources) -> State:
    """Prove each sentence from the stored text and mark it with what proves it."""
    marked, citations = state["answer"], list[Citation]()
    if state["passages"]:
        marked, citations = await attribute(
            state["answer"],
            resources.knowledge.passages(state["passages"]),
            question=asked(state),
            model=resources.model,
            prompt=prompt("support", language_of(asked(state))),
            values=shown(state, resources),
        )
    computed = any(step["outcome"] == "done" and step["tool"] != SEARCH for step in state["steps"])
    update: State = {
        "answer": marked,
        "citations": citations,
        "verdict": "answered" if citations or computed else "unproved",
    }
    if marked != state["answer"]:
        update["messages"] = [AIMessage(marked, id=state["messages"][-1].id)]
    return update


async def refuse(state: State, resources: Resources) -> State:
    """Say that the documents do not have it."""
    text = rag.REFUSALS[language_of(state["question"])]
    last = state["messages"][-1]
    draft = isinstance(last, AIMessage) and not last.tool_calls
    return {
        "answer": text,
        "citations": [],
        "claims": [],
        "verdict": "refused",
        "messages": [AIMessage(text, id=last.id if draft else None)],
    }


def rests_on_documents(state: State) -> bool:
    """Did a search, and no other tool, bring what the answer is written from?"""
    others = any(step["tool"] != SEARCH and step["outcome"] == "done" for step in state["steps"])
    return bool(state["passages"]) and not others


def build(
    resources: Resources, checkpointer: BaseCheckpointSaver[str] | None = None
) -> CompiledStateGraph[State, None, Question, Answer]:
    """Wire the graph."""
    graph = StateGraph(State, input_schema=Question, output_schema=Answer)
    for step in (
        begin, guard_input, recall, make_room, rewrite, decide, approve, call_tools, retrieve,
        translate, judge, answer, weigh, cite, refuse, verify, guard_output, remember,
    ):  # fmt: skip
        graph.add_node(step.__name__, node(step, resources))
    graph.add_edge(START, "begin")
    graph.add_edge("begin", "guard_input")
    graph.add_conditional_edges("guard_input", is_allowed)
    graph.add_edge("recall", "make_room")
    graph.add_edge("make_room", "rewrite")
    graph.add_edge("rewrite", "decide")
    graph.add_conditional_edges("decide", what_next)
    graph.add_edge("approve", "call_tools")
    graph.add_conditional_edges("call_tools", has_searched)
    graph.add_conditional_edges("retrieve", is_covered)
    graph.add_edge("translate", "retrieve")
    graph.add_conditional_edges("judge", is_relevant)
    graph.add_conditional_edges("answer", needs_weighing)
    graph.add_conditional_edges("weigh", is_supported)
    graph.add_edge("cite", "verify")
    graph.add_edge("verify", "guard_output")
    graph.add_edge("guard_output", "remember")
    graph.add_edge("refuse", "remember")
    graph.add_edge("remember", END)
    return graph.compile(checkpointer=checkpointer, name="agent")


def graph() -> CompiledStateGraph[State, None, Question, Answer]:
    """Build it for the default home folder, as `langgraph.json` asks."""
    return build(Resources.default())
