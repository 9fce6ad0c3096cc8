"""A graph as lines of text, for terminals; Mermaid is LangGraph's own."""

from __future__ import annotations

from langchain_core.runnables.graph import Graph

NAMES = {"__start__": "START", "__end__": "END"}


def tree(graph: Graph) -> list[str]:
    """Draw a graph from START downwards.

    A node's ways on stand indented below it. `─` always goes on, `┄` only if its
    condition holds, and a node that was drawn before is named with `↑` instead of again.
    """
    ways: dict[str, list[tuple[str, str]]] = {}
    for edge in graph.edges:
        line = "┄" if edge.conditional else "─"
        label = f" ({edge.data})" if edge.data and str(edge.data) != edge.target else ""
        ways.setdefault(edge.source, []).append((line, f"{edge.target}{label}"))
    lines = ["START"]
    drawn: set[str] = set()

    def draw(name: str, indent: str) -> None:
        drawn.add(name)
        following = ways.get(name, [])
        for place, (line, labelled) in enumerate(following):
            target, _, label = labelled.partition(" ")
            last = place == len(following) - 1
            shown = NAMES.get(target, target) + (f" {label}" if label else "")
            again = target in drawn and target not in NAMES
            lines.append(f"{indent}{'└' if last else '├'}{line} {shown}{' ↑' if again else ''}")
            if not again and target not in NAMES:
                draw(target, indent + ("   " if last else "│  "))

    draw("__start__", "")
    return lines
