"""`groundling graph`: list the graphs and draw them."""

from __future__ import annotations

import click

from groundling.cli.output import Group, Shell, pass_shell


@click.group(cls=Group)
def graph() -> None:
    """List and draw the graphs."""


@graph.command("list")
@pass_shell
def list_(shell: Shell) -> None:
    """List every graph and shipped chain."""
    from groundling.graphs.registry import available

    infos = available()
    width = max(len(info.name) for info in infos)
    shell.out(
        [{"name": info.name, "description": info.description} for info in infos],
        [f"{info.name:<{width}}  {info.description}" for info in infos],
    )


@graph.command()
@click.argument("name")
@click.option("--mermaid", is_flag=True, help="Print Mermaid source.")
@pass_shell
def show(shell: Shell, name: str, mermaid: bool) -> None:
    """Draw the graph NAME."""
    from groundling.graphs.drawing import tree
    from groundling.graphs.registry import build
    from groundling.graphs.resources import Resources

    drawn = build(name, Resources(shell.settings)).get_graph()
    data = {
        "name": name,
        "nodes": list(drawn.nodes),
        "edges": [
            {
                "from": edge.source,
                "to": edge.target,
                "if": edge.data,
                "conditional": edge.conditional,
            }
            for edge in drawn.edges
        ],
    }
    shell.out(data, drawn.draw_mermaid().splitlines() if mermaid else tree(drawn))
