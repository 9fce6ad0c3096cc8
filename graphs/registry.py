"""The graphs by name, and `chain:NAME` for any chain file."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph.state import CompiledStateGraph

from groundling.errors import UnknownGraph
from groundling.graphs.nodes.chain_file import load_chain, shipped_chains
from groundling.graphs.resources import Resources

GRAPHS = {
    "ask": "A question to the model alone, with few-shot examples and reasoning as options.",
    "chain": "Prompts in sequence, declared in a TOML file.",
    "rag": "A question to the documents, with proved citations.",
    "chat": "A conversation that is kept, within the model's context.",
    "toolbox": "A question to the model with tools, called by its decision.",
    "agent": "All of it: documents, tools and memory, guarded and checked.",
    "tasks": "Classic tasks on a text, such as labels, names, summary and translation.",
    "verify": "The claims of a text, held against sources.",
    "guard": "A text, checked by the guard's policy.",
}


@dataclass(frozen=True)
class GraphInfo:
    """A graph's name and what it is for."""

    name: str
    description: str


def available() -> list[GraphInfo]:
    """List every graph and shipped chain."""
    chains = [f"chain:{name}" for name in shipped_chains()]
    return [
        *(GraphInfo(name, text) for name, text in GRAPHS.items()),
        *(GraphInfo(name, load_chain(name.partition(":")[2]).description) for name in chains),
    ]


def build(
    name: str, resources: Resources, checkpointer: BaseCheckpointSaver[str] | None = None
) -> CompiledStateGraph[Any, None, Any, Any]:
    """Compile the graph of that name; what comes back is an ordinary LangGraph graph.

    Args:
        name: a key of `GRAPHS`, or `chain:` and a chain's name or file.
        resources: what its nodes work with.
        checkpointer: keeps conversations; default: none.

    Raises:
        UnknownGraph: there is none of that name.
        GraphError: a chain file is wrong.
    """
    kind, _, chain = name.partition(":")
    if kind not in GRAPHS or (chain and kind != "chain"):
        raise UnknownGraph(
            f"There is no graph {name}.",
            hint=f"groundling graph list shows them: {', '.join(GRAPHS)}, chain:NAME.",
        )
    options = {"chain": chain} if chain else {}
    module = importlib.import_module(f"groundling.graphs.{kind}")
    compiled = module.build(resources, checkpointer, **options)
    assert isinstance(compiled, CompiledStateGraph)
    return compiled
