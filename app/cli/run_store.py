"""The store of runs, opened for a command; and what all commands about runs say alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from groundling.cli.output import Shell
from groundling.errors import TraceError

if TYPE_CHECKING:
    from rich.table import Table

    from groundling.tracing.store import TraceStore

NONE_YET = "There are no runs yet."
NEXT = 'groundling ask "…" makes one; groundling trace list shows it.'


@contextmanager
def opened(
    shell: Shell, *, create: bool = False, writes: bool = False
) -> Iterator[TraceStore | None]:
    """Give the store of runs, with runs of dead processes marked; None if there is no file.

    Args:
        shell: knows where it is.
        create: make the file if there is none.
        writes: texts come in, from which private data is to be blacked out.

    Raises:
        TraceError: it is damaged, or cannot be opened.
    """
    import sqlite3

    from groundling.tracing.store import TraceStore

    file = shell.settings.traces_path
    if not create and not file.exists():
        yield None
        return
    redact = None
    if writes and shell.settings.tracing.redact:
        from groundling.tracing.attach import redactor

        redact = redactor()
    with TraceStore(file, redact) as store:
        try:
            _mark_lost(shell, store)
            yield store
        except sqlite3.DatabaseError as error:
            raise TraceError(
                f"{file} cannot be read: {error}",
                hint="groundling trace repair moves it aside if it is damaged.",
            ) from error


def _mark_lost(shell: Shell, store: TraceStore) -> None:
    import sqlite3

    try:
        store.mark_lost()
    except sqlite3.OperationalError as error:  # a full disk, a folder that is read only
        shell.warn(f"Runs of programs that are gone may still be shown as running: {error}.")


@contextmanager
def existing(shell: Shell, *, writes: bool = False) -> Iterator[TraceStore]:
    """Give the store of runs, as `opened` does.

    Raises:
        TraceError: there is none yet, or it is damaged.
    """
    if not shell.settings.traces_path.exists():
        raise TraceError(NONE_YET, hint=NEXT)
    with opened(shell, writes=writes) as store:
        assert store is not None
        yield store


def width(shell: Shell) -> int | None:
    """Return the terminal's width; None where the output goes elsewhere."""
    return shell.console.width if shell.console.is_terminal and not shell.json else None


def emit(shell: Shell, data: Any, table: Table) -> None:
    """Print a table: coloured on a terminal, plain aligned lines elsewhere."""
    from groundling.cli.run_tables import lines

    shell.out(data, lines(table) if width(shell) is None else table)


def nothing_yet(shell: Shell, data: Any) -> None:
    """Say that there are no runs yet, and how there will be one."""
    shell.out(data)
    if not shell.json:
        shell.status(f"{NONE_YET}\nNext:  {NEXT}")
