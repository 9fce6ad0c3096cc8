"""Fitting a judge to answers that were judged already."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

from groundling.errors import EvaluationError
from groundling.evaluation.datasets import DatasetStore
from groundling.evaluation.evaluators.calibration import Calibration, Method
from groundling.evaluation.evaluators.judge import Judge
from groundling.evaluation.evaluators.registry import Context, make_evaluator
from groundling.evaluation.experiment import JUDGES
from groundling.evaluation.experiments import ExperimentBook
from groundling.evaluation.results import read_results
from groundling.evaluation.score import answer_of
from groundling.home import Home
from groundling.tracing.attach import recording

RIGHT = 0.5  # least score that is a label of a right answer


async def fit_judge(
    home: Home,
    datasets: DatasetStore,
    context: Context,
    experiment: str,
    spec: str = "judge",
    label: str = "correct",
    method: str = "platt",
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Calibration, Path]:
    """Ask a judge about every run of an experiment that has a label, fit, and keep the fit.

    Args:
        spec: which judge, as `make_evaluator` reads it.
        label: the score that says which answers are right.
        method: `platt` or `isotonic`.

    Returns:
        The calibration and its file; judges of the same fingerprint read it from then on.

    Raises:
        EvaluationError: there are too few labels; the evaluator is no judge.
    """
    judge = make_evaluator(spec, context)
    if not isinstance(judge, Judge) or judge.calibration_file is None:
        raise EvaluationError(f"{spec} is no judge.", hint="judge, or judge:QUESTION")
    found = ExperimentBook(home.traces).get(experiment)
    examples = {each.id: each for each in datasets.examples(found.dataset, as_of=found.version)}
    labelled = [
        (outcome, value)
        for outcome in read_results(home.traces, found).outcomes
        if (value := outcome.value(label)) is not None
        and not outcome.failed
        and outcome.example in examples
    ]
    probabilities, labels = [], []
    for done, (outcome, value) in enumerate(labelled, start=1):
        outputs = home.traces.payload(outcome.run).outputs or {}
        example = examples[outcome.example]
        with recording(JUDGES):
            probabilities.append(await judge.probability(example, answer_of(outputs)))
        labels.append(value >= RIGHT)
        if progress is not None:
            progress(done, len(labelled))
    calibration = Calibration.fit(probabilities, labels, cast("Method", method))
    calibration.write(judge.calibration_file)
    return calibration, judge.calibration_file
