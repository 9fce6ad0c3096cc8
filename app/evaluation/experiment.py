"""Running an experiment: every example through the target, every run past the evaluators.

    target = GraphTarget(home, "rag", knowledge="handbook")
    wanted = plan(datasets, "handbook", target, make_evaluators(["correct"], Context(home)))
    results = asyncio.run(run_experiment(home, wanted))
    print(results.mean("correct"))

Runs and scores are stored as they come, the LangSmith way: runs in a project that has the data
set's id, each with the id of its example; scores as feedback on them. So an experiment that was
stopped, however that was, goes on where it stopped: what is over is not run again, runs that
failed are, and evaluators that are missing or failed are asked. Tracing has to be on.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langchain_core.utils.uuid import uuid7

from groundling.errors import EvaluationError, GroundlingError
from groundling.evaluation.example import Example
from groundling.evaluation.experiments import Experiment, ExperimentBook
from groundling.evaluation.plan import Plan, begun
from groundling.evaluation.recorded import Trace
from groundling.evaluation.results import COMPLETED, Outcome, Results, read_results
from groundling.evaluation.score import Evaluator, RunResult, Score
from groundling.home import Home
from groundling.tracing.attach import flush, recording
from groundling.tracing.feedback import Feedback, FeedbackBook
from groundling.tracing.packing import decode
from groundling.tracing.payload import encode
from groundling.tracing.store import TraceStore

GIVE_UP = 5  # runs that failed, and none that did not: something is wrong with the set-up
JUDGES = "evaluators"  # project of the evaluators' own runs
_WHOLE = 1 << 40  # bytes: nothing is shortened before it is judged


@dataclass(frozen=True)
class Step:
    """How far an experiment is.

    Args:
        done: runs that are over, those of an earlier attempt included.
        total: runs that there will be.
        scores: of the run that is over now; none at the first step.
        error: why it failed.
    """

    experiment: Experiment
    done: int
    total: int
    scores: Sequence[Score] = ()
    error: str | None = None


Progress = Callable[[Step], None]


async def run_experiment(home: Home, wanted: Plan, progress: Progress | None = None) -> Results:
    """Run what is missing of an experiment and return all of its results.

    Args:
        home: keeps the runs.
        wanted: what is run, see `plan`.
        progress: called before the first run and after each.

    Raises:
        EvaluationError: tracing is off; the name is another experiment's; all of the first
            runs failed; a run could not be recorded.
    """
    if not home.settings.tracing.enabled:
        raise EvaluationError(
            "An experiment consists of traces, and tracing is off.",
            hint="groundling config set tracing.enabled true",
        )
    home.record()
    store = home.traces
    store.mark_lost()
    book = ExperimentBook(store)
    with begun(wanted, book, home.settings.home) as experiment:
        runner = _Runner(store, experiment, wanted, progress or (lambda step: None))
        await runner.run()
        names = [each.name for each in wanted.evaluators]
        known = experiment.metadata.get("evaluators") or []
        book.note(experiment, evaluators=list(dict.fromkeys([*known, *names])))
        book.end(experiment)
        return read_results(store, book.get(experiment.id))


@dataclass
class _Runner:
    store: TraceStore
    experiment: Experiment
    wanted: Plan
    progress: Progress
    done: int = 0
    failed: int = 0
    succeeded: int = 0
    jobs: list[Callable[[], Any]] = field(default_factory=list)

    @property
    def total(self) -> int:
        return len(self.wanted.examples) * self.wanted.repeat

    async def run(self) -> None:
        earlier = {
            (each.example, each.repetition): each
            for each in read_results(self.store, self.experiment).outcomes
            if not each.failed
        }
        for repetition in range(self.wanted.repeat):
            for example in self.wanted.examples:
                self._plan(example, repetition, earlier.get((example.id, repetition)))
        self.progress(Step(self.experiment, self.done, self.total))
        await _at_once(iter(self.jobs), self.wanted.concurrency)

    def _plan(self, example: Example, repetition: int, outcome: Outcome | None) -> None:
        if outcome is None:
            self.jobs.append(lambda: self._answer(example, repetition))
            return
        missing = [each for each in self.wanted.evaluators if not _has_judged(each, outcome)]
        if outcome.run.redacted and not all(map(_measures, missing)):
            # What was blacked out cannot be judged any more.
            self.jobs.append(lambda: self._answer(example, repetition))
            return
        self.done += 1
        self.succeeded += 1
        if missing:
            self.jobs.append(lambda: self._judge_again(example, outcome, missing))

    async def _answer(self, example: Example, repetition: int) -> None:
        run_id = uuid7()
        outputs: Any = {}
        error: str | None = None
        target = self.wanted.target.runnable(repetition)
        config = RunnableConfig(
            run_id=run_id,
            run_name=self.wanted.target.name,
            metadata={"repetition": repetition, "dataset_version": self.wanted.version},
        )
        if getattr(target, "checkpointer", None):
            config["configurable"] = {"thread_id": str(run_id)}
        with recording(self.experiment.name, example.id):
            try:
                outputs = await target.ainvoke(example.inputs, config)
            except Exception as problem:
                error = f"{type(problem).__name__}: {problem}"
                if isinstance(problem, GroundlingError) and problem.hint:
                    error += f" ({problem.hint})"
        given = decode(encode(outputs, limit=_WHOLE))
        if not isinstance(given, dict):
            given = {"output": given}
        await asyncio.to_thread(flush)
        result = RunResult(run_id, given, error, Trace(self.store, run_id))
        scores = await self._judge(example, result, self.wanted.evaluators)
        self.done += 1
        self._count(error)
        self.progress(Step(self.experiment, self.done, self.total, scores, error))

    async def _judge_again(
        self, example: Example, outcome: Outcome, evaluators: Sequence[Evaluator]
    ) -> None:
        outputs = self.store.payload(outcome.run).outputs or {}
        trace = Trace(self.store, outcome.run.id)
        result = RunResult(outcome.run.id, outputs, outcome.run.error, trace)
        scores = await self._judge(example, result, evaluators)
        self.progress(Step(self.experiment, self.done, self.total, scores))

    async def _judge(
        self, example: Example, result: RunResult, evaluators: Sequence[Evaluator]
    ) -> list[Score]:
        """Ask the evaluators and store what they say together."""
        trace = result.trace.root.trace
        completed = Score(COMPLETED, float(result.error is None), _shortly(result.error))
        given = [(COMPLETED, completed)]
        with recording(JUDGES):
            for evaluator in evaluators:
                given += [
                    (evaluator.name, score) for score in await _ask(evaluator, example, result)
                ]
        feedback = [_feedback(result.run_id, trace, evaluator, score) for evaluator, score in given]
        await asyncio.to_thread(FeedbackBook(self.store).add, *feedback)
        return [score for _, score in given]

    def _count(self, error: str | None) -> None:
        if error is None:
            self.succeeded += 1
            return
        self.failed += 1
        if not self.succeeded and self.failed >= min(GIVE_UP, self.total):
            raise EvaluationError(
                f"The first {self.failed} runs failed, the last one with {_shortly(error)}",
                hint="Mend that; the same command then goes on with this experiment.",
            )


async def _ask(evaluator: Evaluator, example: Example, result: RunResult) -> list[Score]:
    """Return an evaluator's scores; where it fails, one that says so."""
    if result.error is not None and not _measures(evaluator):
        return [Score(evaluator.name, 0.0, f"the run failed: {_shortly(result.error)}")]
    try:
        scores = evaluator.evaluate(example, result)
        if inspect.isawaitable(scores):
            scores = await scores
        several = [scores] if isinstance(scores, Score) else list(scores)
        for score in several:
            if score.value is not None and not math.isfinite(score.value):
                raise EvaluationError(f"It gave {score.value}, which is no score.")
    except Exception as error:
        return [Score(evaluator.name, None, error=f"{type(error).__name__}: {error}")]
    return several


async def _at_once(jobs: Iterator[Callable[[], Any]], most: int) -> None:
    """Run jobs, `most` at a time; the first that fails ends the others."""

    async def work() -> None:
        for job in jobs:
            await job()

    workers = [asyncio.create_task(work()) for _ in range(most)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


def _feedback(run: UUID, trace: UUID, evaluator: str, score: Score) -> Feedback:
    extra: dict[str, Any] = {"better": score.better}
    if score.error is not None:
        extra["error"] = score.error
    if score.detail:
        extra["detail"] = dict(score.detail)
    return Feedback(
        key=score.key,
        run=run,
        trace=trace,
        score=score.value,
        value=score.detail.get("value"),
        comment=score.comment or score.error,
        source={"type": "model", "metadata": {"evaluator": evaluator}},
        extra=extra,
        # Asked again, an evaluator's new word takes the place of the old one.
        id=uuid.uuid5(run, f"{evaluator}\0{score.key}"),
    )


def _has_judged(evaluator: Evaluator, outcome: Outcome) -> bool:
    said = [
        each
        for each in outcome.scores.values()
        if (each.source.get("metadata") or {}).get("evaluator") == evaluator.name
    ]
    return bool(said) and not any(each.extra.get("error") for each in said)


def _measures(evaluator: Evaluator) -> bool:
    return bool(getattr(evaluator, "measures", False))


def _shortly(error: str | None) -> str | None:
    return None if error is None else " ".join(error.split())[:300]
