"""A pytest plugin: a team's own tests hold a graph to a threshold.

    @pytest.mark.groundling_eval(dataset="handbook", graph="rag", min={"correct": 0.8})
    def test_the_handbook_is_answered(groundling_experiment):
        assert not groundling_experiment.failed

The experiment runs before the test; its limits are checked after it. `dataset` is the name of a
data set, or a file of examples beside the tests. Instead of `graph`, a test module may define
the fixture `groundling_target`: a Runnable, or a function of an example's inputs. Nothing heavy
is imported before a test is marked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from groundling.evaluation.results import Results
    from groundling.evaluation.targets import Target
    from groundling.home import Home

MARK = "groundling_eval"
_PROPERTY = "groundling_eval"
_FILES = (".jsonl", ".json", ".csv", ".tsv")


@dataclass(frozen=True)
class Wanted:
    """What a test's mark asks for.

    Args:
        dataset: name of a data set, or a file, from the folder of the tests or the root.
        graph: name of a graph; `target`, MODULE:NAME of a Runnable or a function instead.
        evaluators: as `eval run` takes them, or objects and functions; default: those that
            `min` and `max_drop` name, else the usual ones.
        min: least mean by score.
        baseline: an experiment to compare with; `max_drop` bounds by how much it may be worse.
        strict: compare by the worse end of the interval.
        docs: folder of documents that `rag` reads first; knowledge: the knowledge base.
    """

    dataset: str
    graph: str | None = None
    target: str | None = None
    evaluators: Sequence[Any] = ()
    min: Mapping[str, float] | None = None
    baseline: str | None = None
    max_drop: Mapping[str, float] | None = None
    strict: bool = False
    repeat: int = 1
    concurrency: int = 1
    limit: int | None = None
    splits: Sequence[str] = ()
    knowledge: str | None = None
    docs: str | None = None
    name: str | None = None


_WANTED = pytest.StashKey[Wanted]()
_RESULTS = pytest.StashKey[Any]()


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line(
        "markers",
        f"{MARK}(dataset, graph='rag', evaluators=[…], min={{…}}): run a data set over a graph "
        "and hold its scores to limits",
    )


def pytest_itemcollected(item: pytest.Item) -> None:
    """Have the experiment of a marked test run, whether or not the test asks to see it."""
    mark = item.get_closest_marker(MARK)
    if mark is None:
        return
    try:
        item.stash[_WANTED] = Wanted(*mark.args, **mark.kwargs)
    except TypeError as error:
        raise pytest.UsageError(f"{item.nodeid}: {MARK}: {error}") from error
    names = getattr(item, "fixturenames", [])
    if "groundling_experiment" not in names:
        names.append("groundling_experiment")


@pytest.fixture(scope="session")
def groundling_home() -> Iterator[Home]:
    """Return the home folder that experiments are kept in; a test session may override it."""
    from groundling.home import Home

    with Home() as home:
        yield home


@pytest.fixture
def groundling_target() -> Any:
    """Return what is evaluated instead of a graph; None: the graph that the mark names."""
    return None


@pytest.fixture
def groundling_experiment(
    request: pytest.FixtureRequest, groundling_home: Home, groundling_target: Any
) -> Results:
    """Return the results of the experiment that the test's mark describes."""
    wanted = request.node.stash.get(_WANTED, None)
    if wanted is None:
        pytest.fail(f"the test has no mark: @pytest.mark.{MARK}(dataset=…)", pytrace=False)
    results = _run(groundling_home, wanted, groundling_target, request.node.path.parent,
                   request.config.rootpath)  # fmt: skip
    request.node.stash[_RESULTS] = (groundling_home, results)
    return results


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Check the limits after the test's own assertions."""
    outcome = yield
    found = pyfuncitem.stash.get(_RESULTS, None)
    if found is not None:
        _check(pyfuncitem, *found)
    return outcome


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print a table of the experiments."""
    rows = [
        (report.nodeid, value)
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
        if name == _PROPERTY
    ]
    if not rows:
        return
    terminalreporter.section("experiments")
    for nodeid, told in rows:
        terminalreporter.write_line(
            f"{nodeid}  {told['experiment']}: {told['runs']} runs, {told['failed']} failed"
        )
        for key, mean, bounds, passed in told["scores"]:
            line = f"    {key:<14} {mean:>9}  {bounds}"
            colour = {"red": True} if not passed else {"green": True} if bounds else {}
            terminalreporter.write_line(line.rstrip(), **colour)


def _run(home: Home, wanted: Wanted, given: Any, beside: Path, root: Path) -> Results:
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    from groundling.errors import GroundlingError
    from groundling.evaluation.datasets import DatasetStore
    from groundling.evaluation.evaluators.registry import Context, make_evaluators
    from groundling.evaluation.experiment import run_experiment
    from groundling.evaluation.plan import plan

    try:
        with DatasetStore(home.settings.evaluation_path) as datasets:
            name = _dataset(datasets, wanted.dataset, beside, root)
            target, knowledge = _target(home, wanted, given, beside, root)
            planned = plan(
                datasets,
                name,
                target,
                make_evaluators(_evaluators(wanted, target.name), Context(home, knowledge)),
                repeat=wanted.repeat,
                concurrency=wanted.concurrency,
                name=wanted.name,
                limit=wanted.limit,
                splits=wanted.splits,
            )
            # The test may itself be running in a loop.
            with ThreadPoolExecutor(1) as thread:
                return thread.submit(asyncio.run, run_experiment(home, planned)).result()
    except GroundlingError as error:
        pytest.fail(f"{error}\nNext:  {error.hint}", pytrace=False)


def _dataset(datasets: Any, wanted: str, beside: Path, root: Path) -> str:
    from groundling.evaluation.importing import mirror_file
    from groundling.evaluation.shipped import dataset_of

    if not wanted.endswith(_FILES):
        return dataset_of(datasets, wanted).name
    file = _found(wanted, beside, root)
    name = str(file.relative_to(root)) if file.is_relative_to(root) else file.name
    report = mirror_file(datasets, name, file)
    if report.bad:
        pytest.fail("\n".join(map(str, report.bad)), pytrace=False)
    return name


def _target(
    home: Home, wanted: Wanted, given: Any, beside: Path, root: Path
) -> tuple[Target, str | None]:
    from groundling.evaluation.targets import GraphTarget, RunnableTarget, load_target

    if given is not None:
        own = given if hasattr(given, "describe") else RunnableTarget(given)
        return own, wanted.knowledge
    if wanted.target is not None:
        return load_target(wanted.target), wanted.knowledge
    knowledge = wanted.knowledge
    if wanted.docs is not None:
        folder = _found(wanted.docs, beside, root)
        knowledge = knowledge or folder.name
        home.knowledge(knowledge).add([folder])
    return GraphTarget(home, wanted.graph or "rag", knowledge=knowledge), knowledge


def _evaluators(wanted: Wanted, target: str) -> list[Any]:
    from groundling.evaluation.evaluators.registry import EVALUATORS, USUAL, USUAL_OF_RAG

    if wanted.evaluators:
        return list(wanted.evaluators)
    named = [key for key in {**(wanted.min or {}), **(wanted.max_drop or {})} if key in EVALUATORS]
    return named or list(USUAL_OF_RAG if target == "rag" else USUAL)


def _check(item: pytest.Function, home: Home, results: Results) -> None:
    """Tell the report what was measured, and fail the test if a limit does not hold."""
    from groundling.errors import GroundlingError
    from groundling.evaluation import compare
    from groundling.evaluation.datasets import DatasetStore
    from groundling.evaluation.gate import check
    from groundling.evaluation.summary import number

    wanted = item.stash[_WANTED]
    comparison = None
    try:
        if wanted.baseline is not None:
            with DatasetStore(home.settings.evaluation_path) as datasets:
                comparison = compare.compare(
                    home.traces, datasets, wanted.baseline, str(results.experiment.id)
                )
        checks = check(
            results,
            comparison,
            max_drop=wanted.max_drop,
            min=wanted.min,
            strict=wanted.strict,
        )
    except GroundlingError as error:
        pytest.fail(f"{error}\nNext:  {error.hint}", pytrace=False)
    told = []
    for key in dict.fromkeys([*results.keys, *(each.key for each in checks if each.key)]):
        of_key = [each for each in checks if each.key == key]
        bounds = ", ".join(
            f"{'at least' if each.what == 'min' else 'drop at most'} {number(each.allowed)}"
            for each in of_key
        )
        passed = all(each.passed for each in of_key)
        told.append([key, number(results.mean(key)), bounds, passed])
    item.user_properties.append(
        (
            _PROPERTY,
            {
                "experiment": results.experiment.name,
                "runs": len(results.outcomes),
                "failed": len(results.failed),
                "scores": told,
            },
        )
    )
    if reasons := [each.reason for each in checks if each.reason]:
        name = results.experiment.name
        pytest.fail(
            "\n".join([*reasons, f"groundling eval show {name} tells where."]), pytrace=False
        )


def _found(wanted: str, beside: Path, root: Path) -> Path:
    for folder in (beside, root):
        if (place := folder / wanted).exists():
            return place.resolve()
    pytest.fail(f"There is no {wanted} in {beside} or {root}.", pytrace=False)
