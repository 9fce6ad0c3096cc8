"""What an experiment is to run, and which stored experiment it goes on with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from groundling.errors import EvaluationError
from groundling.evaluation.datasets import DatasetStore
from groundling.evaluation.example import Dataset, Example
from groundling.evaluation.experiments import Experiment, ExperimentBook, fingerprint_of
from groundling.evaluation.score import Evaluator
from groundling.evaluation.targets import Target

LOCKS = "evaluation.locks"
_NOT_OF_ITS_MAKING = ("fingerprint", "evaluators")


@dataclass(frozen=True)
class Plan:
    """An experiment before it runs; `plan` makes one.

    Args:
        version: name of the data set's version.
        examples: those that are run.
        repeat: how often each.
        concurrency: how many runs go on at once.
        name: of the experiment; None: one is made up, or the unfinished one gone on with.
        selection: how the examples were chosen, where not all were.
        fresh: begin anew although an unfinished one could be gone on with.
    """

    dataset: Dataset
    version: str
    examples: Sequence[Example]
    target: Target
    evaluators: Sequence[Evaluator]
    repeat: int = 1
    concurrency: int = 1
    name: str | None = None
    selection: Mapping[str, Any] = field(default_factory=dict)
    fresh: bool = False

    def describe(self) -> dict[str, Any]:
        """Return what the results depend on, as JSON."""
        return {
            "dataset": self.dataset.name,
            "dataset_version": self.version,
            "target": dict(self.target.describe()),
            "repeat": self.repeat,
            "selection": dict(self.selection),
        }


def plan(
    datasets: DatasetStore,
    dataset: str,
    target: Target,
    evaluators: Sequence[Evaluator],
    *,
    repeat: int = 1,
    concurrency: int = 1,
    name: str | None = None,
    as_of: str | None = None,
    splits: Sequence[str] = (),
    limit: int | None = None,
    fresh: bool = False,
) -> Plan:
    """Look up what an experiment needs.

    Args:
        datasets: where the data set is.
        dataset: its name or id.
        as_of: a version of it; default: the newest.
        splits: only examples of these.
        limit: only the first so many.

    Raises:
        EvaluationError: there is no such data set or version, or nothing to run.
    """
    if repeat < 1 or concurrency < 1 or (limit is not None and limit < 1):
        raise EvaluationError(
            "Examples are run at least once, at least one at a time.",
            hint="--repeat, --concurrency and --limit are 1 or more.",
        )
    found = datasets.get(dataset)
    version = datasets.version(found.id, as_of).name
    examples = datasets.examples(found.id, as_of=version, splits=splits, limit=limit)
    if not examples:
        where = f" in {', '.join(splits)}" if splits else ""
        raise EvaluationError(
            f"Data set {found.name} has no examples{where}.",
            hint=f"groundling dataset import {found.name} FILE",
        )
    selection: dict[str, Any] = {}
    if splits:
        selection["splits"] = sorted(splits)
    if limit is not None:
        selection["limit"] = limit
    return Plan(
        found,
        version,
        examples,
        target,
        evaluators,
        repeat,
        concurrency,
        name,
        selection,
        fresh,
    )


@contextmanager
def begun(wanted: Plan, book: ExperimentBook, home: Path) -> Iterator[Experiment]:
    """Give the experiment to run, a new one or one to go on with; nobody else runs it.

    Args:
        home: the home folder; locks stand in a folder of it.

    Raises:
        EvaluationError: the name belongs to another experiment, or to one that runs.
    """
    made_of = wanted.describe()
    fingerprint = fingerprint_of(made_of)
    if wanted.name is not None and (known := book.known(wanted.name)) is not None:
        if known.fingerprint != fingerprint:
            raise EvaluationError(
                f"Experiment {known.name} was made of something else: "
                f"{', '.join(differences(known.metadata, made_of)) or 'another program made it'}.",
                hint="Take another --name, or leave it out.",
            )
        candidates = [known]
    elif wanted.name is None and not wanted.fresh:
        candidates = book.unfinished(fingerprint)
    else:
        candidates = []
    for candidate in candidates:
        with _locked(home, candidate) as ours:
            if ours:
                yield candidate
                return
    if candidates and wanted.name is not None:
        raise EvaluationError(
            f"Experiment {wanted.name} is being run by another process.",
            hint="Wait for it, or take another --name.",
        )
    name = wanted.name or book.free_name(f"{wanted.dataset.name}-{wanted.target.name}")
    new = book.create(name, wanted.dataset.id, {**made_of, "fingerprint": fingerprint})
    with _locked(home, new):
        yield new


def differences(
    a: Mapping[str, Any], b: Mapping[str, Any], prefix: str = ""
) -> dict[str, tuple[Any, Any]]:
    """Return what differs between two descriptions, by dotted names."""
    found: dict[str, tuple[Any, Any]] = {}
    for key in dict.fromkeys([*a, *b]):
        if not prefix and key in _NOT_OF_ITS_MAKING:
            continue
        left, right = a.get(key), b.get(key)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            found |= differences(left, right, f"{prefix}{key}.")
        elif left != right:
            found[f"{prefix}{key}"] = (left, right)
    return found


@contextmanager
def _locked(home: Path, experiment: Experiment) -> Iterator[bool]:
    """Hold an experiment's lock; the system lets go of it when the process ends."""
    folder = home / LOCKS
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{experiment.id}.lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
