"""`rag`: answers from documents, with citations that are checked.

    START ─ receive ─┬─ rewrite ─┬─ retrieve ─┬─ judge ─┬─ answer ─ verify ─┬─ cite ─ END
                     └───────────┘   ↑        │         └─ refuse           └─ refuse ─ END
                                 translate ───┤
                                              └─ refuse

`rewrite` makes a follow-up question stand alone. When the documents have little of the
question's words, and another language, `translate` searches once more in that. `judge`
asks the model, in one forward pass, whether the passages answer the question; `verify`
asks in the same way whether they state the answer that was written, since a small model
recognises a wrong answer better than it foresees one. `cite` proves each sentence of the
answer from the stored text. All prompts over the passages begin alike, so the passages
are read once. Corrective retrieval after Yan et al. 2024, arXiv:2401.15884.
"""

from __future__ import annotations

from typing import Literal

from langchain_core.messages import AIMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from groundling.errors import KnowledgeError
from groundling.graphs.nodes.attribution import attribute
from groundling.graphs.nodes.conversation import Conversation, history, receive, transcript
from groundling.graphs.nodes.passages import merge, numbered, select
from groundling.graphs.nodes.step import node
from groundling.graphs.resources import Resources
from groundling.knowledge.citations import Citation
from groundling.models.decide import decide
from groundling.models.prompts import Language, language_of, prompt

# Shares and probabilities of "yes"; docs/measurements.md says how they were chosen.
MIN_COVERAGE = 0.4  # of the question's words, or the other language is searched, too
MIN_SHARE = 0.02  # of the documents' letters, to search in that language at all
MIN_RELEVANCE = 0.25  # below it, answering is not even tried
MIN_CONFIDENCE = 0.54  # of coverage, relevance and support, on average
OTHER: dict[Language, Language] = {"en": "ko", "ko": "en"}
REFUSALS: dict[Language, str] = {
    "en": "Not in these documents.",
    "ko": "이 문서들에는 없는 내용입니다.",
}


class Question(Conversation, total=False):
    """What a run takes."""


class Answer(Conversation, total=False):
    """What a run gives.

    `verdict` is `answered` (with at least one proved citation), `unproved` (an answer
    that no passage carries) or `refused` (the documents do not have it).
    """

    answer: str
    citations: list[Citation]
    verdict: Literal["answered", "unproved", "refused"]


class State(Question, Answer, total=False):
    """Everything a run knows: ids of passages, never their text."""

    queries: list[str]
    passages: list[int]
    coverage: float
    bilingual: bool
    relevance: float
    support: float


def leans_on_history(state: State) -> Literal["rewrite", "retrieve"]:
    """Are there earlier turns that the question may lean on?"""
    return "rewrite" if history(state) else "retrieve"


async def rewrite(state: State, resources: Resources) -> State:
    """Make a follow-up question stand alone."""
    used = prompt("rewrite", language_of(state["question"]))
    messages = used.messages(conversation=transcript(state), question=state["question"])
    reply = await resources.model.ainvoke(messages, used.quiet, max_tokens=96)
    return {"queries": [reply.text.strip() or state["question"]]}


async def retrieve(state: State, resources: Resources) -> State:
    """Search with every query there is, and take what fits into the budget."""
    queries = state.get("queries") or [state["question"]]
    documents = resources.knowledge
    limits = resources.settings.retrieval
    ranked = merge([documents.search(query, k=3 * limits.passages) for query in queries])
    if not ranked and not documents.documents():
        raise KnowledgeError(
            "The knowledge base is empty: there is nothing to answer from.",
            hint="groundling knowledge --name NAME add FOLDER",
        )
    chosen = select(ranked, resources.model, most=limits.passages, budget=limits.budget_tokens)
    other = OTHER[language_of(state["question"])]
    return {
        "queries": queries,
        "passages": [passage.chunk_id for passage in chosen],
        "coverage": max(documents.coverage(query, chosen) for query in queries),
        "bilingual": documents.languages().get(other, 0.0) >= MIN_SHARE,
    }


def is_covered(state: State) -> Literal["judge", "translate", "refuse"]:
    """Do the passages have the question's words, or should the other language be tried?"""
    untried = state["bilingual"] and len(state["queries"]) == 1
    if untried and state["coverage"] < MIN_COVERAGE:
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
    return "answer" if state["relevance"] >= MIN_RELEVANCE else "refuse"


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
    return {"answer": reply.text.strip(), "messages": [reply]}


async def verify(state: State, resources: Resources) -> State:
    """Weigh whether the passages state the answer that was written."""
    used = prompt("verify", language_of(state["question"]))
    messages = used.messages(**shown(state, resources), answer=state["answer"])
    weights = await decide(resources.model, messages, ["yes", "no"], used.config)
    return {"support": weights["yes"]}


def is_supported(state: State) -> Literal["cite", "refuse"]:
    """Do words and judgements together speak for the answer?"""
    confidence = (state["coverage"] + state["relevance"] + state["support"]) / 3
    return "cite" if confidence >= MIN_CONFIDENCE else "refuse"


async def cite(state: State, resources: Resources) -> State:
    """Prove each sentence from the stored text and mark it with what proves it."""
    marked, citations = await attribute(
        state["answer"],
        resources.knowledge.passages(state["passages"]),
        question=state["question"],
        model=resources.model,
        prompt=prompt("support", language_of(state["question"])),
        values=shown(state, resources),
    )
    return {
        "answer": marked,
        "citations": citations,
        "verdict": "answered" if citations else "unproved",
        "messages": [AIMessage(marked, id=state["messages"][-1].id)],
    }


async def refuse(state: State, _: Resources) -> State:
    """Say that the documents do not have it."""
    text = REFUSALS[language_of(state["question"])]
    last = state["messages"][-1]
    # A draft that was refused is replaced: it must not stay in the conversation.
    reply = AIMessage(text, id=last.id if isinstance(last, AIMessage) else None)
    return {"answer": text, "citations": [], "verdict": "refused", "messages": [reply]}


def shown(state: State, resources: Resources) -> dict[str, str]:
    """Return what every prompt over the passages begins with."""
    passages = resources.knowledge.passages(state["passages"])
    return {"passages": numbered(passages), "question": state["queries"][0]}


def build(
    resources: Resources, checkpointer: BaseCheckpointSaver[str] | None = None
) -> CompiledStateGraph[State, None, Question, Answer]:
    """Wire the graph."""
    graph = StateGraph(State, input_schema=Question, output_schema=Answer)
    for step in (receive, rewrite, retrieve, judge, translate, answer, verify, cite, refuse):
        graph.add_node(step.__name__, node(step, resources))
    graph.add_edge(START, "receive")
    graph.add_conditional_edges("receive", leans_on_history)
    graph.add_edge("rewrite", "retrieve")
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
