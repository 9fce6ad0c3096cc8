"""`chain`: prompts in sequence, declared in a TOML file; the second rung.

    START ─ first step ─ second step ─ … ─ END      with branches where a step decides

The graph has one node for each step of the file, so its picture is the chain. A step's
prompt may use the chain's inputs and the results of the steps before it, as `{topic}`,
`{draft}` or `{ticket.kind}`. `groundling.graphs.nodes.chain_file` describes the format.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from operator import or_
from typing import Annotated, Any

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from typing_extensions import TypedDict

from groundling.errors import GraphError
from groundling.graphs.nodes.chain_file import Chain, Step, load_chain
from groundling.graphs.nodes.step import Update, node
from groundling.graphs.resources import Resources
from groundling.models.decide import decide
from groundling.models.prompts import fill

DEFAULT = "draft-critique-revise"


class Question(TypedDict, total=False):
    """What a run takes: a value for each input that the chain declares."""

    inputs: dict[str, str]


class Answer(TypedDict, total=False):
    """What a run gives: each step's result by its name, and the last one as `answer`."""

    results: Annotated[dict[str, Any], or_]
    answer: str


class State(Question, Answer, total=False):
    """Everything a run knows."""


def build(
    resources: Resources,
    checkpointer: BaseCheckpointSaver[str] | None = None,
    *,
    chain: str = DEFAULT,
) -> CompiledStateGraph[State, None, Question, Answer]:
    """Wire the graph of a chain.

    Args:
        chain: the name of a shipped chain, or the path of a TOML file.

    Raises:
        GraphError: there is no such chain, or its file is wrong.
    """
    declared = load_chain(chain)
    graph = StateGraph(State, input_schema=Question, output_schema=Answer)
    for step in declared.steps:
        graph.add_node(step.name, node(_Run(declared, step), resources))
    graph.add_edge(START, declared.steps[0].name)
    for step in declared.steps:
        following = declared.following(step)
        if isinstance(following, str):
            graph.add_edge(step.name, END if following == "end" else following)
        else:
            ways: dict[Hashable, str] = {
                option: END if name == "end" else name for option, name in following.items()
            }
            graph.add_conditional_edges(step.name, _Decision(step), ways)
    return graph.compile(checkpointer=checkpointer, name=declared.name)


class _Run:
    """One step as a node: fill in the prompt, call the model, keep the result."""

    def __init__(self, chain: Chain, step: Step) -> None:
        self.__name__ = step.name
        self.chain = chain
        self.step = step

    async def __call__(self, state: State, resources: Resources) -> Update:
        step = self.step
        values = self._values(state)
        messages: list[BaseMessage] = [HumanMessage(fill(step.prompt, values, step.name))]
        if step.system:
            messages.insert(0, SystemMessage(fill(step.system, values, step.name)))
        result: Any
        if step.options:
            weights = await decide(resources.model, messages, step.options)
            result = max(weights, key=lambda option: weights[option])
        elif step.output:
            model = resources.model.with_structured_output(step.output, method="json_schema")
            try:
                result = await model.ainvoke(messages)
            except OutputParserException as error:
                raise GraphError(
                    f"Step {step.name}: the model did not fill in the form: {error}",
                    hint="Ask for fewer or shorter fields, or raise model.max_tokens.",
                ) from error
        else:
            reply = await resources.model.ainvoke(messages, **step.sampling)
            result = reply.text.strip()
        answer = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
        return {"results": {step.name: result}, "answer": answer}

    def _values(self, state: State) -> dict[str, str]:
        inputs = state.get("inputs") or {}
        if missing := [name for name in self.chain.inputs if not inputs.get(name)]:
            raise GraphError(
                f"Chain {self.chain.name} needs a value for {', '.join(missing)}.",
                hint=f"groundling run chain:{self.chain.name} "
                + " ".join(f"-i {name}=…" for name in missing),
            )
        values = dict(inputs)
        for name, result in (state.get("results") or {}).items():
            if isinstance(result, dict):
                values |= {f"{name}.{key}": _text(value) for key, value in result.items()}
            values[name] = _text(result)
        return values


class _Decision:
    """The way on from a step that decides: its option, or the field it names."""

    def __init__(self, step: Step) -> None:
        self.__name__ = f"after_{step.name}"
        self.step = step

    def __call__(self, state: State) -> str:
        result = state["results"][self.step.name]
        return str(result[self.step.branch_on] if self.step.branch_on else result)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def graph() -> CompiledStateGraph[State, None, Question, Answer]:
    """Build the default chain for the default home folder, as `langgraph.json` asks."""
    return build(Resources.default())
