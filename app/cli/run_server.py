"""`groundling trace serve`: take runs from other programs, which think that this is LangSmith."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click

from groundling.cli.output import Command, Shell, pass_shell
from groundling.cli.run_store import opened
from groundling.errors import SettingsError


@click.command(cls=Command)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to bind.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=1984,
    show_default=True,
    help="0 takes any that is free.",
)
@click.option(
    "--key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Holds the key that callers must give; needed if other machines can reach it.",
)
@click.option("--name", "names", multiple=True, help="A further name of this machine; repeatable.")
@pass_shell
def serve(
    shell: Shell, host: str, port: int, key_file: Path | None, names: tuple[str, ...]
) -> None:
    """Record the runs of other programs of this machine, until Ctrl-C.

    Any LangChain or LangGraph program sends them here, without a change in it, when
    LANGSMITH_TRACING=true and LANGSMITH_ENDPOINT are set in its environment. LangSmith's
    client works with it, too: runs, feedback, data sets, evaluate().
    """
    from groundling.evaluation.datasets import DatasetStore
    from groundling.server.langsmith.app import application
    from groundling.server.run import serve as run
    from groundling.tracing.attach import writer_for

    key = None if key_file is None else _key(key_file)

    def ready(address: str) -> None:
        if shell.json:
            shell.event({"address": address})
            return
        click.echo(f"Listening on {address}; runs go into {shell.settings.traces_path}")
        shell.status("In the other program's shell:")
        shell.status(f"  export LANGSMITH_TRACING=true LANGSMITH_ENDPOINT={address}")
        if key is not None:
            shell.status(f"  export LANGSMITH_API_KEY=$(cat {key_file})")

    with (
        opened(shell, create=True, writes=True) as traces,
        DatasetStore(shell.settings.evaluation_path) as datasets,
        writer_for(shell.settings, shell.warn) as writer,
    ):
        assert traces is not None
        app = application(traces, datasets, writer=writer)
        # Ctrl-C is how it is ended: nothing was interrupted.
        with suppress(KeyboardInterrupt):
            run(app, host, port, key=key, hosts=names, ready=ready)
    if not shell.json:
        shell.status("Ended; what came is stored.")


def _key(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{file} cannot be read: {error}", hint="It should hold the key and nothing else."
        ) from error
