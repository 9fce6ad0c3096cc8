"""How a pull looks: bars on a terminal, two lines per file elsewhere; and work in stages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from groundling.cli.output import Shell
from groundling.models.files.disk import show_bytes

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from groundling.knowledge.preparation import Progress as Tell


@contextmanager
def progress(shell: Shell) -> Iterator[PullProgress]:
    """Show a pull on stderr; when it is interrupted, say what is kept."""
    watcher = PullProgress(shell)
    try:
        yield watcher
    except KeyboardInterrupt:
        watcher.end()
        if watcher.name:
            shell.status(
                f"\n{show_bytes(watcher.done)} of {watcher.name} are kept; "
                "the same command goes on from there."
            )
        raise
    finally:
        watcher.end()


class PullProgress:
    """Watches a pull for the person at the shell."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self.name = ""
        self.done = 0

    def begin(self, name: str, total: int | None, done: int) -> None:
        self.name, self.done = name, done
        if self._shell.stderr.is_terminal and not self._shell.json:
            self._bar = _bar(self._shell)
            self._bar.start()
            self._task = self._bar.add_task(name, total=total, completed=done)
            return
        about = f" ({show_bytes(total)})" if total is not None else ""
        going_on = f", going on from {show_bytes(done)}" if done else ""
        self._shell.status(f"Fetching {name}{about}{going_on} …")

    def update(self, done: int) -> None:
        self.done = done
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done)

    def end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def note(self, message: str) -> None:
        self._shell.warn(message)


def _bar(shell: Shell) -> Progress:
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=shell.stderr,
    )


@contextmanager
def stages(shell: Shell, kept: str) -> Iterator[Tell]:
    """Give a callback that shows how far each stage is; interrupted, say what is kept.

    Args:
        kept: what a person is told after Ctrl-C: what is kept, and what to do.
    """
    try:
        if shell.json or not shell.stderr.is_terminal:
            yield lambda stage, done, total: None
            return
        from rich.progress import MofNCompleteColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (*Bar.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
        with Bar(*columns, console=shell.stderr, transient=True) as bar:
            tasks: dict[str, TaskID] = {}

            def tell(stage: str, done: int, total: int) -> None:
                if stage not in tasks:
                    tasks[stage] = bar.add_task(stage.capitalize())
                bar.update(tasks[stage], completed=done, total=total)

            yield tell
    except KeyboardInterrupt:
        shell.status(f"\n{kept}")
        raise
