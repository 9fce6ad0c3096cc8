"""Examples go into a data set: from files, and from runs that were recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundling.errors import EvaluationError
from groundling.evaluation.datasets import DatasetStore
from groundling.evaluation.edition import checker
from groundling.evaluation.example import Content, NewExample
from groundling.evaluation.reading import Found, Mapped, read_examples
from groundling.evaluation.score import plain_answer_of
from groundling.tracing.feedback import Feedback, FeedbackBook
from groundling.tracing.query import RunFilter
from groundling.tracing.run import Payload, StoredRun
from groundling.tracing.store import TraceStore

_TEXTS = ("answer", "output", "result", "text")


@dataclass(frozen=True)
class BadLine:
    """A line that became no example."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        """Return it as a person reads it."""
        return f"{self.file}:{self.line}: {self.reason}"


@dataclass
class ImportReport:
    """What became of the examples.

    Args:
        present: examples that were there already; they are not added twice.
        redacted: examples from runs in which something was blacked out.
        version: the data set's version afterwards.
    """

    dataset: str
    added: int = 0
    present: int = 0
    redacted: int = 0
    bad: list[BadLine] = field(default_factory=list)
    version: str = ""


def import_file(
    store: DatasetStore, dataset: str, file: Path, mapped: Mapped | None = None
) -> ImportReport:
    """Add the examples of a file; those that are there already are passed over.

    Args:
        dataset: its name; made where there is none.
        mapped: see `reading.read_examples`.

    Raises:
        EvaluationError: the file cannot be read at all.
    """
    return add_all(store, dataset, read_examples(file, mapped), name=file.name)


def mirror_file(
    store: DatasetStore, dataset: str, file: Path, mapped: Mapped | None = None
) -> ImportReport:
    """Make a data set hold the examples of a file and no others; see `import_file`."""
    report = import_file(store, dataset, file, mapped)
    listed = {
        Content.of(each.inputs, each.outputs, each.metadata, each.split).digest.hex()
        for _, each in read_examples(file, mapped)
        if isinstance(each, NewExample)
    }
    gone = [each.id for each in store.examples(dataset) if each.digest not in listed]
    store.remove(gone)
    report.version = store.get(dataset).version
    return report


def import_runs(
    store: DatasetStore, dataset: str, traces: TraceStore, wanted: RunFilter
) -> ImportReport:
    """Add runs as examples, see `from_runs`."""
    runs = list(from_runs(traces, wanted))
    report = add_all(
        store, dataset, ((n, new) for n, (new, _) in enumerate(runs, 1)), name="traces"
    )
    report.redacted = sum(run.redacted > 0 for _, run in runs)
    return report


def from_runs(traces: TraceStore, wanted: RunFilter) -> Iterator[tuple[NewExample, StoredRun]]:
    """Make examples of runs, the oldest first.

    The inputs are the root run's; the outputs are what a person said would have been right,
    else what the run gave. Feedback, graph and verdict become metadata.
    """
    book = FeedbackBook(traces)
    runs = traces.find(wanted, limit=-1, oldest_first=True)
    for start in range(0, len(runs), 500):
        part = runs[start : start + 500]
        payloads = traces.payloads(part)
        said = book.of_traces([run.trace for run in part])
        for run in part:
            yield _of_run(run, payloads[run.seq], said.get(run.trace, [])), run


def add_all(
    store: DatasetStore, dataset: str, found: Iterable[Found], *, name: str
) -> ImportReport:
    """Add what was read, as one version; what is bad is in the report."""
    report = ImportReport(dataset)
    new: list[NewExample] = []
    reads = list(found)  # a file that cannot be read makes no data set
    if not _exists(store, dataset):
        store.create(dataset)
    known = store.get(dataset)
    held = {example.digest for example in store.examples(known.id)}
    rules = checker(known)
    for line, each in reads:
        if isinstance(each, str):
            report.bad.append(BadLine(name, line, each))
            continue
        try:
            content = Content.of(each.inputs, each.outputs, each.metadata, each.split)
            rules.check("Example", each.inputs, each.outputs)
        except EvaluationError as error:
            report.bad.append(BadLine(name, line, str(error)))
            continue
        digest = content.digest.hex()
        if digest in held:
            report.present += 1
            continue
        held.add(digest)
        new.append(each)
    store.add(known.id, new)
    report.added = len(new)
    report.version = store.get(known.id).version
    return report


def _exists(store: DatasetStore, dataset: str) -> bool:
    return any(each.name == dataset for each in store.list(dataset, limit=-1))


def _of_run(run: StoredRun, payload: Payload, said: list[Feedback]) -> NewExample:
    outputs: dict[str, Any] | None = None
    corrections = [each for each in said if each.correction is not None]
    if corrections:
        right = max(corrections, key=lambda each: each.modified).correction
        outputs = right if isinstance(right, dict) else {"answer": right}
    elif payload.outputs:
        outputs = _without_messages(payload.outputs)
    metadata: dict[str, Any] = {"graph": run.graph}
    if run.verdict:
        metadata["verdict"] = run.verdict
    if scores := {each.key: each.score for each in said if each.score is not None}:
        metadata["feedback"] = scores
    return NewExample(payload.inputs, outputs, metadata, source_run_id=run.id)


def _without_messages(outputs: Any) -> dict[str, Any]:
    """Leave out the conversation where the answer stands by itself, too."""
    if any(isinstance(outputs.get(key), str) for key in _TEXTS):
        return {key: value for key, value in outputs.items() if key != "messages"}
    return dict(outputs) | {"answer": plain_answer_of(outputs)}
