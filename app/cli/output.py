"""How commands talk: data on stdout, everything else on stderr.

A command is made with `@click.command(cls=Command)` or inside a `@click.group(cls=Group)`;
both add `--json` and `--debug`, wherever on the line the user writes them. It receives a
`Shell` through `@pass_shell` and ends with `shell.out(data, text)`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from groundling.settings import Settings

Json = dict[str, Any] | list[Any] | str | int | float | bool | None


class Shell:
    """What a command needs of the shell it runs in: settings, and ways to speak."""

    def __init__(self) -> None:
        self.flags: dict[str, Any] = {}
        self.json = False
        self.debug = False

    @cached_property
    def settings(self) -> Settings:
        """The settings, with the command line's flags on top; read at first use."""
        from groundling import settings

        loaded = settings.load(self.flags)
        if turned_off := settings.keep_private(loaded):
            self.warn(turned_off)
        return loaded

    @cached_property
    def console(self) -> Console:
        """The console for data: stdout."""
        from rich.console import Console

        return Console(soft_wrap=True, highlight=False)

    @cached_property
    def stderr(self) -> Console:
        """The console for status, progress and warnings."""
        from rich.console import Console

        return Console(stderr=True, soft_wrap=True, highlight=False)

    def out(self, data: Json, text: RenderableType | Iterable[str] = ()) -> None:
        """Print a result: `data` with `--json`, else `text`, a renderable or lines."""
        if self.json:
            click.echo(json.dumps(data, ensure_ascii=False, indent=2, default=str))
        elif isinstance(text, str) or hasattr(text, "__rich_console__"):
            self.console.print(text, markup=False)
        else:
            for line in text:  # type: ignore[union-attr]
                click.echo(line)

    def event(self, data: Json) -> None:
        """Print one line of newline-delimited JSON."""
        click.echo(json.dumps(data, ensure_ascii=False, default=str))

    def status(self, message: str) -> None:
        """Tell the person what is going on, on stderr."""
        click.echo(message, err=True)

    def warn(self, message: str) -> None:
        """Tell the person what to be careful about, on stderr."""
        click.echo(click.style("Note: ", fg="yellow") + message, err=True)


pass_shell = click.make_pass_decorator(Shell, ensure=True)


def _switch(name: str) -> Any:
    def remember(context: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            setattr(context.ensure_object(Shell), name, True)

    return remember


def _common_options() -> list[click.Parameter]:
    return [
        click.Option(
            ["--json"],
            is_flag=True,
            expose_value=False,
            callback=_switch("json"),
            help="Print the result as JSON.",
        ),
        click.Option(
            ["--debug"],
            is_flag=True,
            expose_value=False,
            callback=_switch("debug"),
            help="Print a traceback with errors.",
        ),
    ]


class Command(click.Command):
    """A command with `--json` and `--debug`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(_common_options())


class Group(click.Group):
    """A group whose commands are `Command`s."""

    command_class = Command
    group_class = type

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(_common_options())


def report(error: Exception, shell: Shell) -> None:
    """Print an error on stderr: what failed, and the next step."""
    hint = getattr(error, "hint", None)
    if shell.json:
        kind = type(error).__name__
        body = {"error": {"type": kind, "message": str(error), "hint": hint}}
        print(json.dumps(body, ensure_ascii=False), file=sys.stderr)
        return
    click.echo(click.style("Error: ", fg="red") + str(error), err=True)
    if hint:
        click.echo(f"Next:  {hint}", err=True)
