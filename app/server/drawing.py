"""Graphs without their parts: what they look like, and what they take and give.

Neither documents nor a model are opened for it.
"""

from __future__ import annotations

from typing import Any

from langgraph.graph.state import CompiledStateGraph
from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError

from groundling.settings import Settings

Drawing = dict[str, list[dict[str, Any]]]
_SCHEMAS = ("input_schema", "output_schema", "state_schema", "config_schema", "context_schema")


def graph(settings: Settings, name: str, xray: bool | int = False) -> Drawing:
    """Return the nodes and edges of a graph.

    Args:
        settings: of the home folder.
        name: which graph.
        xray: show what is inside its nodes, down to so many levels.
    """
    drawn = _compiled(settings, name).get_graph(xray=xray).to_json()
    nodes = [
        {**node, "data": {"name": node["data"]["name"]}} if node.get("type") == "runnable" else
        {"id": node["id"]}
        for node in drawn["nodes"]
    ]  # fmt: skip
    return {"nodes": nodes, "edges": drawn["edges"]}


def schemas(settings: Settings, name: str) -> dict[str, Any]:
    """Return the JSON Schemas of a graph; None where something has no form in JSON."""
    return _described(_compiled(settings, name))


def subgraphs(
    settings: Settings, name: str, namespace: str | None = None, recurse: bool = False
) -> dict[str, Any]:
    """Return the JSON Schemas of the graphs inside a graph, by namespace."""
    inner = _compiled(settings, name).get_subgraphs(namespace=namespace, recurse=recurse)
    return {at: _described(found) for at, found in inner}


def _compiled(settings: Settings, name: str) -> CompiledStateGraph[Any, None, Any, Any]:
    from groundling.graphs import registry
    from groundling.graphs.resources import Resources

    return registry.build(name, Resources(settings))


def _described(compiled: object) -> dict[str, Any]:
    if not isinstance(compiled, CompiledStateGraph):
        return dict.fromkeys(_SCHEMAS)
    builder = compiled.builder
    context = _schema(builder.context_schema)
    return {
        "input_schema": _schema(builder.input_schema),
        "output_schema": _schema(builder.output_schema),
        "state_schema": _schema(builder.state_schema),
        "config_schema": context or {},  # anything
        "context_schema": context,
    }


def _schema(kind: Any) -> dict[str, Any] | None:
    if kind is None:
        return None
    try:
        return TypeAdapter(kind).json_schema()
    except PydanticUserError:  # it has something in it that JSON has no form for
        return None
