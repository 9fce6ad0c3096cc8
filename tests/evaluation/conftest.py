"""A home folder with data sets in it, experiments, and runs made by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from groundling.evaluation.datasets import DatasetStore, Example, NewExample
from groundling.evaluation.evaluators.registry import Context, make_evaluators
from groundling.evaluation.experiment import run_experiment
from groundling.evaluation.plan import plan
from groundling.evaluation.recorded import Trace
from groundling.evaluation.results import Results
from groundling.evaluation.score import RunResult
from groundling.evaluation.targets import RunnableTarget, Target
from groundling.home import Home
from groundling.tracing import attach
from groundling.tracing.payload import encode
from groundling.tracing.run import Patch, Status
from groundling.tracing.store import TraceStore


@pytest.fixture
def opened(home: Path) -> Iterator[Home]:
    """Return an open home folder; recording into it ends with the test."""
    with Home() as found:
        yield found
    attach.detach()


@pytest.fixture
def datasets(opened: Home) -> Iterator[DatasetStore]:
    """Return the data sets of the home folder."""
    with DatasetStore(opened.settings.evaluation_path) as store:
        yield store


@pytest.fixture
def sums(datasets: DatasetStore) -> str:
    """Return the name of a data set of ten sums."""
    datasets.create("sums")
    datasets.add(
        "sums",
        [
            NewExample(
                {"question": f"{n} + 1?"},
                {"answer": str(n + 1)},
                {"parity": "even" if n % 2 == 0 else "odd"},
            )
            for n in range(10)
        ],
    )
    return "sums"


@pytest.fixture
def evaluate(opened: Home, datasets: DatasetStore) -> Callable[..., Results]:
    """Return a function that runs an experiment to its end."""

    def run(
        dataset: str, target: Any, evaluators: Any = ("correct",), progress: Any = None, **options
    ) -> Results:
        answers: Target = target if hasattr(target, "describe") else RunnableTarget(target)
        made = make_evaluators(evaluators, Context(opened))
        wanted = plan(datasets, dataset, answers, made, **options)
        return asyncio.run(run_experiment(opened, wanted, progress))

    return run


@pytest.fixture
def traces(tmp_path: Path) -> Iterator[TraceStore]:
    """Return an empty store of runs."""
    with TraceStore(tmp_path / "traces.sqlite") as store:
        yield store


def example(inputs: Any = None, outputs: Any = None, **fields: Any) -> Example:
    """Make an example; a text is its question, or its answer."""
    asked = {"question": inputs or "?"} if not isinstance(inputs, Mapping) else inputs
    wanted = {"answer": outputs} if isinstance(outputs, str) else outputs
    return Example(
        uuid4(), uuid4(), dict(asked), wanted, fields.pop("metadata", {}), ["base"], 0, 0, **fields
    )


def result(outputs: Any, store: TraceStore | None = None, *children: Patch) -> RunResult:
    """Make the result of a run; with a store, of one that is in it."""
    given = {"answer": outputs} if isinstance(outputs, str) else outputs
    id = uuid4()
    if store is not None:
        root = Patch(
            id, id, name="graph", started=1_000_000, duration=2_500_000, status=Status.SUCCESS,
            inputs=encode({}), outputs=encode(given),
        )  # fmt: skip
        for place, child in enumerate(children):
            child.trace, child.parent = id, child.parent or id
            child.started = child.started or 1_000_001 + place
        store.write([root, *children])
    return RunResult(id, given, None, Trace(store, id) if store else None)  # type: ignore[arg-type]


def tool(name: str, args: Any, **fields: Any) -> Patch:
    """Make the run of a tool."""
    return Patch(
        uuid4(), name=name, run_type="tool", duration=1, status=Status.SUCCESS,
        inputs=encode(args), **fields,
    )  # fmt: skip
