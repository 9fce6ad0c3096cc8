"""A model as judge: the probability that it says yes, from one forward pass.

A model's own probabilities are no frequencies: a small one says yes with 0.97 to most things.
A calibration, fitted on answers that people (or a stricter evaluator) have judged, turns them
into the share of right answers among those of that probability, and says how often the judge
then agrees with them. Without one the score is the model's own probability, and says so.
Prompts: `data/prompts/grade.*.md`. Zheng et al. 2023, arXiv:2306.05685, describe the method.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from langchain_core.language_models import BaseChatModel

from groundling.evaluation.evaluators.calibration import Calibration
from groundling.evaluation.example import Example
from groundling.evaluation.score import (
    RunResult,
    Score,
    answer_of,
    asked_of,
    gold_answers,
    not_applicable,
)
from groundling.models.decide import decide
from groundling.models.prompts import Language, language_of, prompt

DEFAULT: dict[Language, str] = {
    "en": "Does the answer to be graded say the same as the reference answer?",
    "ko": "채점할 답이 기준 답과 같은 내용을 말합니까?",
}
NO_REFERENCE: dict[Language, str] = {"en": "(none)", "ko": "(없음)"}
FOLDER = "judges"


class Judge:
    """Asks a model whether an answer is right; the score is the probability of yes.

    Args:
        model: any LangChain chat model; one that can `choose` is asked in one forward pass.
        criterion: a question to be answered with yes or no; default: whether the answer says
            the same as the reference.
        folder: where calibrations are kept, see `calibration_file`.
    """

    def __init__(
        self,
        model: BaseChatModel,
        criterion: str | None = None,
        *,
        folder: Path | None = None,
        name: str = "judge",
    ) -> None:
        self.name = name
        self._model = model
        self._criterion = criterion
        self.calibration_file = (
            None if folder is None else folder / f"{model_name(model)}-{self.fingerprint[:12]}.json"
        )
        self._calibration = (
            None if self.calibration_file is None else Calibration.read(self.calibration_file)
        )

    @property
    def fingerprint(self) -> str:
        """What the probabilities depend on: the model, the prompts and the criterion."""
        parts = [
            model_name(self._model),
            *(prompt("grade", language).sha256 for language in DEFAULT),
            self._criterion or "",
        ]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    async def evaluate(self, example: Example, result: RunResult) -> Score:
        """Ask about one answer."""
        if self._criterion is None and not gold_answers(example):
            return not_applicable(self.name, "there is no reference answer to compare with")
        raw = await self.probability(example, answer_of(result.outputs))
        if self._calibration is None:
            return Score(self.name, raw, "not calibrated", detail={"raw": raw})
        value = self._calibration(raw)
        yes = value >= self._calibration.threshold
        return Score(self.name, value, "yes" if yes else "no", detail={"raw": raw, "yes": yes})

    async def probability(self, example: Example, answer: str) -> float:
        """Return the model's own probability of yes."""
        question = asked_of(example)
        language = language_of(question)
        gold = gold_answers(example)
        used = prompt("grade", language)
        messages = used.messages(
            question=question,
            reference=gold[0] if gold else NO_REFERENCE[language],
            answer=answer,
            criterion=self._criterion or DEFAULT[language],
        )
        return (await decide(self._model, messages, ["yes", "no"], used.config))["yes"]


def model_name(model: BaseChatModel) -> str:
    """Return what a model is called, fit for the name of a file."""
    for field in ("model", "model_name", "model_id"):
        if isinstance(named := getattr(model, field, None), str) and named:
            return "".join(c if c.isalnum() or c in "._-" else "-" for c in Path(named).name)
    return type(model).__name__
