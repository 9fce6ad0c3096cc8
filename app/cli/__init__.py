"""The `groundling` command.

Each command lives in a module of its own and is imported when it is used, so that
`groundling --help` answers at once. Exit codes are listed in `groundling.errors`.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from typing import Any

import click

from groundling.cli.output import Group, Shell, pass_shell, report

# name: (module, what the listing says)
COMMANDS = {
    "ask": ("groundling.cli.ask", "Ask a question, of the model or of documents."),
    "chat": ("groundling.cli.chat", "Talk, with the conversation kept."),
    "run": ("groundling.cli.run", "Run any graph or chain."),
    "task": ("groundling.cli.task", "Classify, find names, summarise, translate, compare."),
    "serve": ("groundling.cli.serve", "Serve the page and the graphs to other programs."),
    "user": ("groundling.cli.user", "Say who may use the server, and with which keys."),
    "model": ("groundling.cli.model", "Fetch, list, check, shrink and compare models."),
    "knowledge": ("groundling.cli.knowledge", "Add, search and read documents."),
    "fact": ("groundling.cli.fact", "Hold what a text claims against sources."),
    "guard": ("groundling.cli.guard", "Check a text by the guard's policy, and see it."),
    "memory": ("groundling.cli.memory", "See, edit and forget what is remembered of people."),
    "threads": ("groundling.cli.threads", "List, show, fork and delete conversations."),
    "tool": ("groundling.cli.tool", "List the tools and try them."),
    "trace": ("groundling.cli.trace", "Look at what ran: list, show, follow, count, export."),
    "feedback": ("groundling.cli.feedback", "Say how good an answer was, and what was right."),
    "graph": ("groundling.cli.graph", "List and draw the graphs."),
    "dataset": ("groundling.cli.dataset", "Keep questions with their right answers."),
    "eval": ("groundling.cli.evaluate", "Run data sets over graphs and compare."),
    "tune": ("groundling.cli.tune", "Make a better model of corrections and documents."),
    "config": ("groundling.cli.config", "Show and change the settings."),
    "doctor": ("groundling.cli.doctor", "Check this machine and home folder."),
    "completion": ("groundling.cli.completion", "Print the shell's completion script."),
}


class LazyGroup(Group):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(module), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, name="groundling", context_settings={"max_content_width": 100})
@click.option("--home", type=click.Path(path_type=Path), help="Home folder (GROUNDLING_HOME).")
@click.option(
    "--profile",
    type=click.Choice(["small", "balanced", "large"]),
    help="How much machine to use.",
)
@click.option("--model", metavar="ID|FILE", help="Chat model for this command.")
@click.option("--adapter", metavar="NAME", help="Adapter of that model; none: the bare model.")
@click.version_option(package_name="groundling", prog_name="groundling")
@pass_shell
def groundling(
    shell: Shell, home: Path | None, profile: str | None, model: str | None, adapter: str | None
) -> None:
    """A private agent from a folder of documents and a GGUF file.

    Nothing leaves this machine unless you say so.
    """
    if home is not None:
        shell.flags["home"] = home
    if profile is not None:
        shell.flags["profile"] = profile
    chosen = {"name": model, "adapter": adapter}
    if given := {key: value for key, value in chosen.items() if value is not None}:
        shell.flags["model"] = given


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the documented code."""
    shell = Shell()
    sys.exit(_run(shell, arguments))


def _run(shell: Shell, arguments: list[str] | None) -> int:
    try:
        result: Any = groundling.main(
            arguments, prog_name="groundling", standalone_mode=False, obj=shell
        )
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("\nInterrupted. What was finished is kept; run it again to go on.", err=True)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:
        if shell.debug:
            traceback.print_exc()
        exit_code = getattr(error, "exit_code", None)
        if exit_code is None and not shell.debug:
            error = RuntimeError(f"{type(error).__name__}: {error} (--debug shows where)")
        report(error, shell)
        return exit_code if isinstance(exit_code, int) else 1
