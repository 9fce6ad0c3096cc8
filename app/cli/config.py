"""`groundling config`: what is set, where it came from, and how to change it."""

from __future__ import annotations

import click

from groundling.cli.output import Group, Shell, pass_shell


@click.group(cls=Group)
def config() -> None:
    """Show and change the settings."""


@config.command()
@pass_shell
def show(shell: Shell) -> None:
    """Print each setting with its value and origin."""
    from rich.table import Table

    from groundling import settings

    loaded, origins = settings.load_with_origins(shell.flags)
    rows = [
        {"name": name, "value": value, "origin": origins.get(name, "default")}
        for name, value in settings.leaves(loaded.model_dump(mode="json"))
    ]
    table = Table("setting", "value", "origin", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(str(row[key]) for key in ("name", "value", "origin")))
    shell.out(rows, table)


@config.command("set")
@click.argument("name")
@click.argument("value")
@pass_shell
def set_(shell: Shell, name: str, value: str) -> None:
    """Write a setting into config.toml: model.context 8192."""
    from groundling import settings

    path = shell.settings.config_path
    settings.write(path, name, value)
    shell.out({"path": path, "name": name, "value": value}, [f"{path}: {name} = {value}"])


@config.command()
@pass_shell
def path(shell: Shell) -> None:
    """Print the path of config.toml."""
    shell.out(str(shell.settings.config_path), [str(shell.settings.config_path)])
