"""Preferences by TRL's trainers, which get our tokens instead of making their own.

The reference that both methods stay near is the model as it was at the beginning: the base
under a fresh adapter, or a frozen copy of the adapter that is gone on with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import AutoTokenizer
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer

from groundling.errors import TuningError
from groundling.tuning.tokens import Tokens
from groundling.tuning.training.job import Job
from groundling.tuning.training.reporting import Report


class _Pairs(DPOTrainer):
    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset


class _Labels(KTOTrainer):
    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset


def preference_trainer(
    model: Any,
    job: Job,
    common: Mapping[str, Any],
    train: Sequence[Tokens],
    heldout: Sequence[Tokens],
    report: Report,
) -> Any:
    """Return TRL's trainer for pairs (DPO) or labels (KTO).

    Raises:
        TuningError: the labels are all of one kind.
    """
    recipe = job.recipe
    pairs = recipe.method == "dpo"
    made = {
        "train_dataset": _dataset(train, pairs=pairs, batch=recipe.batch),
        "eval_dataset": _dataset(heldout, pairs=pairs, batch=recipe.batch) if heldout else None,
        "processing_class": _tokenizer(Path(job.base), job.pad),
        "callbacks": [report],
    }
    options = {**common, "beta": recipe.beta, "max_length": recipe.context}
    if pairs:
        return _Pairs(model=model, args=DPOConfig(**options), **made)
    good = sum(bool(each.good) for each in train)
    bad = len(train) - good
    if not good or not bad:
        raise TuningError(
            f"All {len(train)} examples are {'good' if good else 'bad'} answers; "
            "KTO learns from the difference.",
            hint="groundling feedback add RUN --up, and --down",
        )
    # Eq. 8 of the paper: the rarer kind counts for as much as the other.
    weights = {"desirable_weight": max(1.0, bad / good), "undesirable_weight": max(1.0, good / bad)}
    return _Labels(model=model, args=KTOConfig(**options, **weights), **made)


def _dataset(examples: Sequence[Tokens], *, pairs: bool, batch: int) -> Dataset:
    if pairs:
        found = [
            {"prompt_ids": one.prompt, "chosen_ids": one.answer, "rejected_ids": one.rejected}
            for one in examples
        ]
        return Dataset.from_list(found)
    answers = [one.answer for one in examples]
    rows: list[dict[str, Any]] = [
        {
            "prompt_ids": one.prompt,
            "completion_ids": one.answer,
            # Answers of other questions of the batch, from which the divergence is estimated.
            "KL_completion_ids": _turned(answers, number, batch),
            "label": bool(one.good),
        }
        for number, one in enumerate(examples)
    ]
    return Dataset.from_list(rows)


def _turned(answers: Sequence[list[int]], number: int, batch: int) -> list[int]:
    start = number - number % batch
    part = answers[start : start + batch]
    return part[(number - start - 1) % len(part)]


def _tokenizer(base: Path, pad: int) -> Any:
    """Return what TRL insists on, although every token is there already."""
    where: dict[str, Any] = {"pretrained_model_name_or_path": str(base)}
    if base.is_file():
        where = {"pretrained_model_name_or_path": str(base.parent), "gguf_file": base.name}
    tokenizer = AutoTokenizer.from_pretrained(**where, local_files_only=True)
    tokenizer.pad_token_id = pad
    return tokenizer
