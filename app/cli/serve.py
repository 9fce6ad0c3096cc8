"""`groundling serve`: graphs over HTTP, and the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import click

from groundling.cli.output import Command, Shell, pass_shell

if TYPE_CHECKING:
    from groundling.server.application import State


@click.command(cls=Command)
@click.option("--host", help="The address to bind; any but this machine's own wants users.")
@click.option("--port", type=click.IntRange(0, 65_535), help="0 takes any that is free.")
@click.option("--name", "names", multiple=True, help="A further name of this machine; repeatable.")
@click.option(
    "--log",
    "form",
    type=click.Choice(["auto", "text", "json"]),
    default="auto",
    show_default=True,
    help="How the log is written on stderr; auto: text on a terminal.",
)
@click.option("--open", "browse", is_flag=True, help="Open the page in this machine's browser.")
@pass_shell
def serve(
    shell: Shell,
    host: str | None,
    port: int | None,
    names: tuple[str, ...],
    form: Literal["auto", "text", "json"],
    browse: bool,
) -> None:
    """Serve the page and the graphs, until Ctrl-C.

    The same address answers clients of LangGraph, of OpenAI and of MCP. It opens at once; the
    model is loaded beside it, and /ready tells when it is there. Ctrl-C lets running answers
    finish; a second one does not wait.
    """
    flags = {"host": host, "port": port, "names": list(names) or None}
    given = {name: value for name, value in flags.items() if value is not None}
    if given:
        shell.flags["server"] = {**shell.flags.get("server", {}), **given}
    settings = shell.settings.server

    from groundling.home import Home
    from groundling.server.application import Application
    from groundling.server.logs import logging_to
    from groundling.server.run import serve as run

    def ready(address: str) -> None:
        if shell.json:
            shell.event({"address": address})
        else:
            click.echo(address)
            shell.status("The page is there; the model is being read. Ctrl-C ends it.")
            shell.status(f"  OpenAI's clients:    OPENAI_BASE_URL={address}/v1")
            shell.status(f"  LangGraph's clients: get_client(url={address!r})")
            if not application.people.required:
                shell.status("  Only this machine can reach it, and all its programs can.")
        if browse:
            import webbrowser

            webbrowser.open(address)

    def tell(state: State, why: dict[str, Any]) -> None:
        if shell.json:
            shell.event({"state": state, **why})

    with logging_to(form=form, debug=shell.debug), Home(**shell.flags) as home:
        application = Application(home)
        application.tell = tell
        run(application, settings.host, settings.port, ready=ready)
    if not shell.json:
        shell.status(
            "Ended; running answers were finished or told, background runs go on next time."
        )
