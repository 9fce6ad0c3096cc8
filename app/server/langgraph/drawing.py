"""Graphs without their parts: what they look like, and what they take and give.

Neither documents nor a model are opened for it.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Any

import typing_extensions
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
        return TypeAdapter(_portable(kind, {})).json_schema()
    except PydanticUserError:  # it has something in it that JSON has no form for
        return None


def _portable(kind: Any, seen: dict[Any, Any]) -> Any:
    """Rewrite `typing.TypedDict`, which pydantic cannot read before Python 3.12.

    Functions that merge values, beside a type in `Annotated`, are left out.
    """
    if typing.is_typeddict(kind) or typing_extensions.is_typeddict(kind):
        if kind not in seen:
            seen[kind] = Any  # one inside itself is not described further
            hints = typing_extensions.get_type_hints(kind, include_extras=True)
            required: frozenset[str] = kind.__required_keys__
            fields = {
                name: inner if name in required else typing_extensions.NotRequired[inner]
                for name, hint in hints.items()
                for inner in [_portable(hint, seen)]
            }
            make: Any = typing_extensions.TypedDict
            made = make(kind.__name__, fields)
            made.__doc__ = kind.__doc__
            seen[kind] = made
        return seen[kind]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Annotated, typing.Required, typing.NotRequired):
        return _portable(arguments[0], seen)
    if origin in (typing.Union, types.UnionType):
        return typing.Union[tuple(_portable(each, seen) for each in arguments)]  # noqa: UP007
    if isinstance(origin, type) and arguments and issubclass(origin, (list, dict, set, Mapping)):
        generic: Any = origin
        return generic[tuple(_portable(each, seen) for each in arguments)]
    return kind
