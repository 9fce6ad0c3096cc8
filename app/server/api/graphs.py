"""The graphs, drawn: as Mermaid, and as plain lists of nodes and edges."""

from __future__ import annotations

from pydantic import JsonValue
from starlette.requests import Request

from groundling.graphs import registry
from groundling.graphs.resources import Resources
from groundling.server.api.endpoint import Answer, endpoint
from groundling.server.drawing import schemas
from groundling.server.services import services
from groundling.settings import Settings

TAG = "Graphs"


class Node(Answer):
    """A step of a graph."""

    id: str
    name: str


class Edge(Answer):
    """From a step to one that may follow; `condition` is the decision's word for it."""

    source: str
    target: str
    condition: str | None
    conditional: bool


class GraphShown(Answer):
    """A graph; `chain` alone takes a chain's name behind a colon, and is not drawn."""

    name: str
    description: str
    mermaid: str
    nodes: list[Node]
    edges: list[Edge]
    input_schema: dict[str, JsonValue] | None


class GraphList(Answer):
    """The graphs."""

    graphs: list[GraphShown]


@endpoint("GET", "/api/graphs", tag=TAG)
async def graphs(request: Request) -> GraphList:
    """List the graphs, with their pictures."""
    held = services(request)
    kept = request.app.state
    if not hasattr(kept, "drawn"):  # they are the same as long as the server runs
        kept.drawn = await held.work(_drawn, held.settings)
    found: GraphList = kept.drawn
    return found


def _drawn(settings: Settings) -> GraphList:
    return GraphList(graphs=[_shown(settings, info) for info in registry.available()])


def _shown(settings: Settings, info: registry.GraphInfo) -> GraphShown:
    if info.name == "chain":
        return GraphShown(
            name=info.name,
            description=info.description,
            mermaid="",
            nodes=[],
            edges=[],
            input_schema=None,
        )
    drawn = registry.build(info.name, Resources(settings)).get_graph()
    return GraphShown(
        name=info.name,
        description=info.description,
        mermaid=drawn.draw_mermaid(),
        nodes=[Node(id=id, name=node.name) for id, node in drawn.nodes.items()],
        edges=[
            Edge(
                source=edge.source,
                target=edge.target,
                condition=None if edge.data is None else str(edge.data),
                conditional=edge.conditional,
            )
            for edge in drawn.edges
        ],
        input_schema=schemas(settings, info.name)["input_schema"],
    )


ENDPOINTS = [graphs]
