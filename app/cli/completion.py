"""`groundling completion`: the script that makes a shell complete commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from groundling.cli.output import Command


@click.command(cls=Command)
@click.argument("shell_name", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell_name: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash:  eval "$(groundling completion bash)"
    zsh:   eval "$(groundling completion zsh)"
    fish:  groundling completion fish | source
    """
    from groundling.cli import groundling

    make = get_completion_class(shell_name)
    assert make is not None
    click.echo(make(groundling, {}, "groundling", "_GROUNDLING_COMPLETE").source())
