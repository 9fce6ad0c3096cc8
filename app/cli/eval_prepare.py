"""What `groundling eval` needs before it runs, and what it shows meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from groundling.cli.output import Shell

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from groundling.evaluation.datasets import DatasetStore
    from groundling.evaluation.experiment import Progress, Step
    from groundling.evaluation.targets import Target
    from groundling.home import Home


def target_of(
    shell: Shell,
    home: Home,
    graph: str | None,
    target: str | None,
    docs: Path | None,
    knowledge: str | None,
) -> tuple[Target, str | None]:
    """Return what answers, and the name of the knowledge base that it answers from."""
    from groundling.evaluation.targets import GraphTarget, load_target

    if target is not None:
        if docs is not None:
            raise click.UsageError("--docs is for --graph rag.")
        return load_target(target), knowledge
    assert graph is not None
    if graph == "rag":
        from groundling.cli.prepare import knowledge_name, read_documents

        knowledge = knowledge_name(home, docs, knowledge)
        read_documents(shell, home, knowledge, docs)
    return GraphTarget(home, graph, knowledge=knowledge), knowledge


@contextmanager
def home_with_models(
    shell: Shell, graph: str | None, wanted: Sequence[str], judge_model: str | None
) -> Iterator[Home]:
    """Open the home folder with the models there that are going to be asked."""
    from groundling.cli.prepare import open_home

    judged = any(each.rpartition("=")[2].partition(":")[0] == "judge" for each in wanted)
    if graph is None and (judge_model is not None or not judged):
        with plain_home(shell) as home:
            yield home
        return
    with open_home(shell, documents=graph == "rag") as home:
        yield home


@contextmanager
def plain_home(shell: Shell) -> Iterator[Home]:
    """Open the home folder as it is."""
    from groundling.home import Home

    with Home(**shell.flags) as home:
        yield home


def judge_model_of(shell: Shell, home: Home, judge_model: str | None) -> BaseChatModel | None:
    """Return another model than the configured one, fetched if need be."""
    if judge_model is None:
        return None
    from groundling.cli.prepare import fetch
    from groundling.home import Home

    fetch(shell, home, judge_model)
    model = {**shell.flags.get("model", {}), "name": judge_model, "base_url": None}
    return Home(**{**shell.flags, "model": model}).model


@contextmanager
def data_sets(shell: Shell) -> Iterator[DatasetStore]:
    """Open the data sets of the home folder."""
    from groundling.cli.dataset import opened

    with opened(shell) as store:
        yield store


@contextmanager
def experiment_progress(shell: Shell) -> Iterator[Progress]:
    """Show how far an experiment is, on stderr."""
    watcher = _Watcher(shell)
    with counted(shell, "Running") as count:
        watcher.count = count
        yield watcher


class _Watcher:
    """Tells the person where an experiment stands."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._begun = False
        self.count: Any = None

    def __call__(self, step: Step) -> None:
        if not self._begun:
            self._begun = True
            gone_on = f", going on after {step.done}" if step.done else ""
            self._shell.status(f"{step.experiment.name}: {step.total} runs{gone_on}")
        if step.error is not None:
            self._shell.warn(f"a run failed: {' '.join(step.error.split())[:200]}")
        for score in step.scores:
            if score.error is not None:
                self._shell.warn(f"{score.key} failed: {' '.join(score.error.split())[:200]}")
        if self.count is not None:
            self.count(step.done, step.total)


@contextmanager
def counted(shell: Shell, what: str) -> Iterator[Any]:
    """Give a callback that draws a bar on a terminal; None where nobody is watching."""
    if shell.json or not shell.stderr.is_terminal:
        yield None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=shell.stderr, transient=True) as bar:
        task = bar.add_task(what, total=None)

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield tell
