"""`groundling tool`: the tools that graphs may use, and a way to try each."""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from groundling.cli.output import Group, Shell, pass_shell

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool


@click.group(cls=Group)
def tool() -> None:
    """List the tools and try them.

    Which are used: groundling config set tools.enabled '["search", "clock"]'
    """


@tool.command("list")
@pass_shell
def list_(shell: Shell) -> None:
    """List the tools that are enabled, what they may do, and which lack something."""
    from groundling.tools.risk import risk_of

    tools, lacking = _collected(shell)
    approved = shell.settings.tools.approve
    rows = [
        {
            "name": one.name,
            "risk": risk_of(one),
            "approval": risk_of(one) in approved,
            "description": one.description,
        }
        for one in tools
    ]
    width = max((len(str(name)) for name in [*lacking, *(row["name"] for row in rows)]), default=4)
    lines = [
        f"{row['name']:<{width}}  {row['risk']:<8}{'(asks) ' if row['approval'] else ''}"
        f"{_first_line(str(row['description']))}"
        for row in rows
    ]
    lines += [f"{name:<{width}}  not here: {reason}" for name, reason in lacking.items()]
    shell.out({"tools": rows, "missing": lacking}, lines)


@tool.command()
@click.argument("name")
@pass_shell
def show(shell: Shell, name: str) -> None:
    """Show what the model is told of the tool NAME, and its arguments."""
    from groundling.tools.risk import risk_of

    one = _find(shell, name)
    schema = _schema(one)
    lines = [f"{one.name} ({risk_of(one)})", one.description, ""]
    for key, details in schema.get("properties", {}).items():
        needed = "" if key in schema.get("required", []) else ", optional"
        lines.append(
            f"  {key} ({details.get('type', 'any')}{needed}): {details.get('description', '')}"
        )
    data = {"name": one.name, "risk": risk_of(one), "description": one.description}
    shell.out({**data, "arguments": schema}, lines)


@tool.command()
@click.argument("name")
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]…")
@pass_shell
def call(shell: Shell, name: str, arguments: tuple[str, ...]) -> int:
    """Call the tool NAME as a model would; no approval is asked for.

    \b
    groundling tool call calculator expression="17 * 23"
    groundling tool call clock until=2026-12-25
    """
    import asyncio

    one = _find(shell, name)
    details = _schema(one).get("properties", {})
    texts = {key for key, about in details.items() if about.get("type") == "string"}
    asked = {"type": "tool_call", "id": "shell", "name": one.name, "args": parse(arguments, texts)}
    answer = asyncio.run(one.ainvoke(asked))
    failed = getattr(answer, "status", "success") == "error"
    shell.out({"tool": one.name, "error": failed, "result": answer.content}, [answer.text])
    return int(failed)


def parse(pairs: tuple[str, ...], texts: Collection[str] = ()) -> dict[str, Any]:
    """Read KEY=VALUE pairs; a value is JSON where it is some, else a text.

    Args:
        pairs: as they stand in the command.
        texts: the keys whose values are texts, even where they look like numbers.

    Raises:
        click.UsageError: a pair has no equals sign.
    """
    given: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise click.UsageError(f"Arguments are KEY=VALUE, not {pair!r}.")
        given[key] = value
        if key not in texts:
            with suppress(ValueError, RecursionError):
                given[key] = json.loads(value)
    return given


def _collected(shell: Shell) -> tuple[list[BaseTool], dict[str, str]]:
    from groundling.graphs.resources import Resources
    from groundling.tools.registry import collect

    return collect(shell.settings, knowledge=Resources(shell.settings).documents)


def _find(shell: Shell, name: str) -> BaseTool:
    from groundling.errors import ToolError

    tools, lacking = _collected(shell)
    for one in tools:
        if one.name == name:
            return one
    if name in lacking:
        raise ToolError(f"The tool {name} cannot be used here: {lacking[name]}.")
    raise ToolError(
        f"There is no tool {name} among the enabled ones: {', '.join(t.name for t in tools)}.",
        hint="groundling config show tools.enabled",
    )


def _schema(one: BaseTool) -> dict[str, Any]:
    from langchain_core.utils.function_calling import convert_to_openai_tool

    parameters = convert_to_openai_tool(one)["function"].get("parameters", {})
    return dict(parameters)


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= 80 else f"{line[:79]}…"
