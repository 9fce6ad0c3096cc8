"""Preferences by TRL's trainers, which get our tokens instead of making their own.

The reference that both methods stay near is the model as it was at the beginning: the base
under a fresh adapter, or a frozen copy of the adapter that is gone on with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer

from groundling.errors import TuningError
from groundling.tuning.tokens import Tokens
from groundling.tuning.training.job import Job
from groundling.tuning.training.processes import arguments


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
    callbacks: Sequence[Any],
) -> Any:
    """Return TRL's trainer for pairs (DPO) or labels (KTO).

    Raises:
        TuningError: the labels are all of one kind.
    """
    recipe = job.recipe
    pairs = recipe.method == "dpo"
    made = {
        "train_dataset": _dataset(train, pairs=pairs),
        "eval_dataset": _dataset(heldout, pairs=pairs) if heldout else None,
        "processing_class": _tokenizer(job.pad),
        "callbacks": list(callbacks),
    }
    options = {**common, "beta": recipe.beta, "max_length": recipe.context}
    if pairs:
        return _Pairs(model=model, args=arguments(DPOConfig, recipe, options), **made)
    good = sum(bool(each.good) for each in train)
    bad = len(train) - good
    if not good or not bad:
        raise TuningError(
            f"All {len(train)} examples are {'good' if good else 'bad'} answers; "
            "KTO learns from the difference.",
            hint="groundling feedback add RUN --up, and --down",
        )
    if recipe.batch < 2:
        raise TuningError(
            "KTO compares the answers of a batch; batch = 1 has nothing to compare.",
            hint="In the recipe: batch = 2, or more.",
        )
    # Eq. 8 of the paper: the rarer kind counts for as much as the other.
    weights = {"desirable_weight": max(1.0, bad / good), "undesirable_weight": max(1.0, good / bad)}
    return _Labels(model=model, args=arguments(KTOConfig, recipe, {**options, **weights}), **made)


def _dataset(examples: Sequence[Tokens], *, pairs: bool) -> Dataset:
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
            # The answer of another question, from which the divergence is estimated.
            "KL_completion_ids": answers[number - 1],
            "label": bool(one.good),
        }
        for number, one in enumerate(examples)
    ]
    return Dataset.from_list(rows)


def _tokenizer(pad: int) -> Any:
    """Return what TRL insists on, although every token is there already: one that pads."""
    empty = Tokenizer(models.WordLevel({"<pad>": pad}, unk_token="<pad>"))  # noqa: S106
    return PreTrainedTokenizerFast(tokenizer_object=empty, pad_token="<pad>")  # noqa: S106
