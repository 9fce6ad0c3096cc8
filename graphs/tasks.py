"""`tasks`: the classic tasks on a text, each a small chain of prompts.

    START ─ read ─┬─ think ─┬─ classify ──────── END
                  │    or   ├─ judge_sentiment ─ END
                  │ directly└─ compare ───────── END
                  ├─ answer ──────────────────── END
                  ├─ find_entities ───────────── END
                  ├─ summarize ───────────────── END
                  └─ translate ───────────────── END

Labels, sentiment and similarity are read off the model's probabilities in one forward pass.
Entities are held by a grammar and proved by the text; an answer is proved by a quotation.
Long texts are cut into pieces that fit the context, and every piece is read. Examples make
it few-shot; `reasoning` lets the model think aloud where it decides.
"""

from __future__ import annotations

from typing import Literal

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from groundling.errors import GraphError
from groundling.graphs.nodes.step import node
from groundling.graphs.nodes.tasks.answering import answer
from groundling.graphs.nodes.tasks.asking import excerpt, reflect
from groundling.graphs.nodes.tasks.classifying import classify, judge_sentiment
from groundling.graphs.nodes.tasks.comparing import compare
from groundling.graphs.nodes.tasks.condensing import summarize
from groundling.graphs.nodes.tasks.entities import find_entities
from groundling.graphs.nodes.tasks.state import Answer, Question, State, Task
from groundling.graphs.nodes.tasks.translating import translate
from groundling.graphs.resources import Resources
from groundling.models.prompts import fenced

Step = Literal[
    "classify",
    "judge_sentiment",
    "answer",
    "compare",
    "find_entities",
    "summarize",
    "translate",
]
STEPS: dict[Task, Step] = {
    "classify": "classify",
    "entities": "find_entities",
    "sentiment": "judge_sentiment",
    "summarize": "summarize",
    "translate": "translate",
    "answer": "answer",
    "similarity": "compare",
}
NEEDS: dict[Task, tuple[str, str]] = {
    "classify": ("labels", "--labels A,B"),
    "answer": ("question", "--question Q"),
    "similarity": ("other", "a second text"),
}
THINKING = {"classify": "classify", "sentiment": "sentiment", "similarity": "compare"}


async def read(state: State, _: Resources) -> State:
    """Check that everything the task needs is there.

    Raises:
        GraphError: something is missing or wrong.
    """
    task = state.get("task")
    if task not in STEPS:
        raise GraphError(f"There is no task {task}.", hint=f"Take one of {', '.join(STEPS)}.")
    if not has_signs(state.get("text") or ""):
        raise GraphError("The text is empty.", hint='Give the graph {"task": …, "text": "…"}.')
    need, how = NEEDS.get(task, ("text", ""))
    if not state.get(need):
        raise GraphError(f"The task {task} needs {need}.", hint=f"groundling task {task} {how}")
    update: State = {"thoughts": ""}
    if labels := state.get("labels"):
        update["labels"] = unique(labels)
        if task == "classify" and len(update["labels"]) < 2 and not state.get("several"):
            raise GraphError(
                "One label leaves nothing to decide.",
                hint="Give at least two labels: --labels complaint,question",
            )
    return update


def has_signs(text: str) -> bool:
    """Tell whether a text has anything that can be seen."""
    return any(sign.isprintable() and not sign.isspace() for sign in text)


def unique(labels: list[str]) -> list[str]:
    """Strip labels, and drop empty and repeated ones.

    Raises:
        GraphError: nothing is left.
    """
    kept = list(dict.fromkeys(label.strip() for label in labels if label.strip()))
    if not kept:
        raise GraphError("All labels are empty.", hint="--labels complaint,question")
    return kept


def which(state: State) -> Step | Literal["think"]:
    """Which task is it, and should the model think aloud first?"""
    if state.get("reasoning") and state["task"] in THINKING and not state.get("several"):
        return "think"
    return STEPS[state["task"]]


def which_step(state: State) -> Step:
    """Which task is it?"""
    return STEPS[state["task"]]


async def think(state: State, resources: Resources) -> Answer:
    """Write thoughts on the text, before anything is decided."""
    values = {"labels": ", ".join(state.get("labels") or [])}
    if state["task"] == "similarity":
        values = {"other": fenced(excerpt(state["other"], resources))}
    name = THINKING[state["task"]]
    return await reflect(state, resources, name, excerpt(state["text"], resources), **values)


def build(
    resources: Resources, checkpointer: BaseCheckpointSaver[str] | None = None
) -> CompiledStateGraph[State, None, Question, Answer]:
    """Wire the graph."""
    graph = StateGraph(State, input_schema=Question, output_schema=Answer)
    steps = (classify, judge_sentiment, answer, compare, find_entities, summarize, translate)
    for step in (read, think, *steps):
        graph.add_node(step.__name__, node(step, resources))
    graph.add_edge(START, "read")
    graph.add_conditional_edges("read", which)
    graph.add_conditional_edges("think", which_step, ["classify", "judge_sentiment", "compare"])
    for step in steps:
        graph.add_edge(step.__name__, END)
    return graph.compile(checkpointer=checkpointer, name="tasks")


def graph() -> CompiledStateGraph[State, None, Question, Answer]:
    """Build it for the default home folder, as `langgraph.json` asks."""
    return build(Resources.default())
