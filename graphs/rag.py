"""`rag`: answers from documents, with citations that are checked.

    START ─ receive ─┬─ rewrite ─┬─ retrieve ─┬─ judge ─┬─ answer ─ verify ─┬─ cite ─ END
                     └───────────┘   ↑        │         └─ refuse           └─ refuse ─ END
                                 translate ───┤
                                              └─ refuse

`rewrite` makes a follow-up question stand alone; `retrieval.augment` may put steps before
`retrieve` that write further queries. When the documents have little of the question's
words, and another language, `translate` searches once more in that. `judge`
asks the model, in one forward pass, whether the passages answer the question; `verify`
asks in the same way whether they state the answer that was written, since a small model
recognises a wrong answer better than it foresees one. `cite` proves each sentence of the
answer from the stored text. All prompts over the passages begin alike, so the passages
are read once. Corrective retrieval after Yan et al. 2024, arXiv:2401.15884.

What the documents do not answer is refused, with the places that come closest. With
`retrieval.strict` off it is answered all the same, and the verdict is `unproved`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from itertools import pairwise
from typing import Literal

from langchain_core.messages import AIMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from groundling.errors import KnowledgeError
from groundling.graphs.nodes.attribution import attribute, prove
from groundling.graphs.nodes.augmenting import TECHNIQUES, Augmented, asked, rewrite
from groundling.graphs.nodes.conversation import Conversation, history, receive
from groundling.graphs.nodes.passages import (
    Retrieved,
    merge,
    numbered,
    pack,
    retrieved,
    room,
    with_use,
)
from groundling.graphs.nodes.refusing import Closest, askings, closest, limits
from groundling.graphs.nodes.reranking import RERANKED, rerank
from groundling.graphs.nodes.step import node
from groundling.graphs.resources import Resources
from groundling.knowledge.citations import Citation, unmark
from groundling.models.decide import decide
from groundling.models.prompts import Language, language_of, prompt

MIN_SHARE = 0.02  # of the documents' letters, to search in that language at all
OTHER: dict[Language, Language] = {"en": "ko", "ko": "en"}
REFUSALS: dict[Language, str] = {
    "en": "Not in these documents.",
    "ko": "이 문서들에는 없는 내용입니다.",
}


class Question(Conversation, total=False):
    """What a run takes."""


class Answer(Conversation, total=False):
    """What a run gives.

    `verdict` is `answered` (with at least one proved citation), `unproved` (an answer that
    no passage carries, or that `retrieval.strict` would have refused) or `refused` (the
    documents do not have it; `closest` are the places that come near).

    `retrieved` tells of each passage that was found whether it was shown to the model and
    used; `removed_citations` counts those that the stored text did not bear out.
    """

    answer: str
    citations: list[Citation]
    verdict: Literal["answered", "unproved", "refused"]
    retrieved: list[Retrieved]
    closest: list[Closest]
    removed_citations: int


class State(Question, Answer, Augmented, total=False):
    """Everything a run knows: ids of passages, never their text; `dropped` did not fit."""

    passages: list[int]
    dropped: list[int]
    coverage: float
    bilingual: bool
    strict: bool
    relevance: float
    support: float


def leans_on_history(state: State) -> Literal["rewrite", "retrieve"]:
    """Are there earlier turns that the question may lean on?"""
    return "rewrite" if history(state) else "retrieve"


async def retrieve(state: State, resources: Resources) -> State:
    """Search with every query there is, and take what fits into the prompt."""
    queries = state.get("queries") or [state["question"]]
    documents, wanted = resources.knowledge, resources.retrieval
    written = state.get("augmented") or {}
    further = [query for name in wanted.augment for query in written.get(name, [])]
    depth = max(3 * wanted.passages, RERANKED)
    # Tens of milliseconds of computing, in which nobody else would be answered.
    found = await asyncio.to_thread(
        lambda: [[documents.search(one, k=depth) for one in each] for each in (queries, further)]
    )
    ranked = merge(*found)
    if not ranked and not documents.documents():
        raise KnowledgeError(
            "The knowledge base is empty: there is nothing to answer from.",
            hint="groundling knowledge --name NAME add FOLDER",
        )
    ranked = await rerank(ranked, queries[0], resources) if ranked else []
    packed = pack(
        ranked,
        resources.model,
        most=wanted.passages,
        budget=wanted.budget_tokens,
        room=room(queries[0], resources) if ranked else 0,
    )
    if ranked and not packed.shown:
        raise KnowledgeError(
            f"Not one of {len(ranked)} passages fits into the model's context.",
            hint="groundling config set model.context 4096, or make model.max_tokens smaller",
        )
    other = OTHER[language_of(state["question"])]
    askable = [asking for query in queries for asking in askings(query)]
    covered = await asyncio.to_thread(
        lambda: max(documents.coverage(asking, packed.shown) for asking in askable)
    )
    return {
        "queries": queries,
        "passages": [passage.chunk_id for passage in packed.shown],
        "dropped": [passage.chunk_id for passage in packed.dropped],
        "retrieved": retrieved(ranked, packed),
        "coverage": covered,
        "bilingual": documents.languages().get(other, 0.0) >= MIN_SHARE,
        "strict": wanted.strict,
    }


def is_covered(state: State) -> Literal["judge", "translate", "refuse"]:
    """Do the passages have the question's words, or should the other language be tried?"""
    untried = state["bilingual"] and len(state["queries"]) == 1
    if untried and state["coverage"] < limits(language_of(state["question"])).coverage:
        return "translate"
    return "judge" if state["passages"] else "refuse"


async def judge(state: State, resources: Resources) -> State:
    """Weigh, without generating, whether the passages answer the question."""
    used = prompt("judge", language_of(state["question"]))
    messages = used.messages(**shown(state, resources))
    weights = await decide(resources.model, messages, ["yes", "no"], used.config)
    return {"relevance": weights["yes"]}


def is_relevant(state: State) -> Literal["answer", "refuse"]:
    """Is it worth writing an answer?"""
    enough = limits(language_of(state["question"])).relevance
    return "answer" if state["relevance"] >= enough or not is_strict(state) else "refuse"


async def translate(state: State, resources: Resources) -> State:
    """Add the question in the documents' other language to the queries."""
    [query] = state["queries"]
    used = prompt("translate", language_of(query))
    reply = await resources.model.ainvoke(used.messages(question=query), used.quiet, max_tokens=96)
    return {"queries": [query, reply.text.strip()]}


async def answer(state: State, resources: Resources) -> State:
    """Answer from the passages alone."""
    used = prompt("answer", language_of(state["question"]))
    reply = await resources.model.ainvoke(used.messages(**shown(state, resources)), used.config)
    return {"answer": unmark(reply.text).strip(), "messages": [reply]}


async def verify(state: State, resources: Resources) -> State:
    """Weigh whether the passages state the answer that was written."""
    used = prompt("verify", language_of(state["question"]))
    messages = used.messages(**shown(state, resources), answer=state["answer"])
    weights = await decide(resources.model, messages, ["yes", "no"], used.config)
    return {"support": weights["yes"]}


def is_supported(state: State) -> Literal["cite", "refuse"]:
    """Is there an answer, and do words and judgements together speak for it?"""
    return "cite" if state["answer"] and (is_sure(state) or not is_strict(state)) else "refuse"


def is_sure(state: State) -> bool:
    """Are coverage, relevance and support high enough, each that has a limit and together?"""
    enough = limits(language_of(state["question"]))
    return state["relevance"] >= enough.relevance and confidence(state) >= enough.confidence


def confidence(state: State) -> float:
    """Return the mean of coverage, relevance and support, 0 to 1."""
    return (state["coverage"] + state["relevance"] + state["support"]) / 3


def is_strict(state: State) -> bool:
    """Is what the documents do not answer refused?"""
    return state.get("strict", True)


async def cite(state: State, resources: Resources) -> State:
    """Prove each sentence from the stored text and mark it with what proves it."""
    passages = resources.knowledge.passages(state["passages"])
    marked, citations = await attribute(
        state["answer"],
        passages,
        question=state["question"],
        model=resources.model,
        prompt=prompt("support", language_of(state["question"])),
        values=shown(state, resources),
    )
    marked, citations, removed = prove(marked, citations, passages, resources.knowledge.text)
    return {
        "answer": marked,
        "citations": citations,
        "verdict": "answered" if citations and is_sure(state) else "unproved",
        "retrieved": with_use(state["retrieved"], {each["chunk_id"] for each in citations}),
        "closest": [],
        "removed_citations": removed,
        "messages": [AIMessage(marked, id=state["messages"][-1].id)],
    }


async def refuse(state: State, resources: Resources) -> State:
    """Say that the documents do not have it, and what in them comes closest."""
    text = REFUSALS[language_of(state["question"])]
    passages = resources.knowledge.passages(state["passages"])
    last = state["messages"][-1]
    # A draft that was refused is replaced: it must not stay in the conversation.
    reply = AIMessage(text, id=last.id if isinstance(last, AIMessage) else None)
    return {
        "answer": text,
        "citations": [],
        "verdict": "refused",
        "closest": closest(asked(state), passages, resources),
        "removed_citations": 0,
        "messages": [reply],
    }


def shown(state: State, resources: Resources) -> dict[str, str]:
    """Return what every prompt over the passages begins with."""
    passages = resources.knowledge.passages(state["passages"])
    return {"passages": numbered(passages), "question": state["queries"][0]}


def build(
    resources: Resources, checkpointer: BaseCheckpointSaver[str] | None = None
) -> CompiledStateGraph[State, None, Question, Answer]:
    """Wire the graph."""
    graph = StateGraph(State, input_schema=Question, output_schema=Answer)
    augmenting = [TECHNIQUES[name] for name in resources.settings.retrieval.augment]
    for step in (
        receive, rewrite, *augmenting, retrieve, judge, translate, answer, verify, cite, refuse,
    ):  # fmt: skip
        graph.add_node(step.__name__, node(step, resources))
    graph.add_edge(START, "receive")
    searching = [*(step.__name__ for step in augmenting), "retrieve"]
    first: dict[Hashable, str] = {"rewrite": "rewrite", "retrieve": searching[0]}
    graph.add_conditional_edges("receive", leans_on_history, first)
    for before, after in pairwise(["rewrite", *searching]):
        graph.add_edge(before, after)
    graph.add_conditional_edges("retrieve", is_covered)
    graph.add_conditional_edges("judge", is_relevant)
    graph.add_edge("translate", "retrieve")
    graph.add_edge("answer", "verify")
    graph.add_conditional_edges("verify", is_supported)
    graph.add_edge("cite", END)
    graph.add_edge("refuse", END)
    return graph.compile(checkpointer=checkpointer, name="rag")


def graph() -> CompiledStateGraph[State, None, Question, Answer]:
    """Build it for the default home folder, as `langgraph.json` asks."""
    return build(Resources.default())
