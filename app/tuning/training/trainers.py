"""The trainer of a recipe: transformers' own for right answers, TRL's for preferences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import TrainingArguments

from groundling.errors import TuningError
from groundling.tuning.recipe import CUDA_ONLY, Recipe
from groundling.tuning.tokens import Tokens
from groundling.tuning.training.batches import Padded, row
from groundling.tuning.training.job import Job
from groundling.tuning.training.processes import (
    CheckSharding,
    arguments,
    fsdp_arguments,
    processes,
)
from groundling.tuning.training.reporting import Report

_OPTIMISERS = {
    "adamw": "adamw_torch",
    "adamw-8bit": "adamw_bnb_8bit",
    "adafactor": "adafactor",
    "galore": "galore_adamw",
    "apollo": "apollo_adamw",
    "lomo": "lomo",
    "adalomo": "adalomo",
}
_LOW_RANK = ("galore", "apollo")  # they want to know which matrices
# Packages that the extra tune leaves out: each serves one choice of a recipe.
_PACKAGES = {
    "qlora": "bitsandbytes", "adamw-8bit": "bitsandbytes", "galore": "galore-torch",
    "apollo": "apollo-torch", "lomo": "lomo-optim", "adalomo": "lomo-optim",
}  # fmt: skip


def check_choices(recipe: Recipe) -> None:
    """Refuse what cannot run on this machine, before anything large is read.

    Raises:
        TuningError: a package is not installed, or there is no CUDA where it is needed.
    """
    import torch

    for choice in (recipe.optimiser, recipe.weights):
        package = _PACKAGES.get(choice)
        if package is not None and find_spec(package.replace("-", "_")) is None:
            raise TuningError(
                f"The recipe's “{choice}” needs {package}, which is not installed.",
                hint=f"pip install {package}",
            )
    if recipe.optimiser in CUDA_ONLY and not torch.cuda.is_available():
        raise TuningError(
            f"The optimiser {recipe.optimiser} runs on CUDA alone, and there is none.",
            hint="optimiser = “lomo” or “adafactor” do a like thing on any machine.",
        )


def trainer_for(model: Any, job: Job, train: Sequence[Tokens], heldout: Sequence[Tokens]) -> Any:
    """Return the trainer.

    Raises:
        TuningError: the examples are none that the method can learn from.
    """
    recipe = job.recipe
    common = _arguments(recipe, Path(job.folder), bool(heldout), len(train))
    trainer = _trainer(model, job, train, heldout, common)
    # Set here, because the arguments' own check allows it only where every look is saved.
    trainer.args.load_best_model_at_end = trainer.args.metric_for_best_model is not None
    return trainer


def _trainer(
    model: Any,
    job: Job,
    train: Sequence[Tokens],
    heldout: Sequence[Tokens],
    common: dict[str, Any],
) -> Any:
    recipe = job.recipe
    callbacks = [CheckSharding(recipe), Report(recipe.patience if heldout else 0)]
    if recipe.method == "sft":
        from groundling.tuning.training.supervised import Supervised

        return Supervised(
            model=model,
            args=arguments(TrainingArguments, recipe, {**common, "remove_unused_columns": False}),
            train_dataset=Dataset.from_list([row(each) for each in train]),
            eval_dataset=Dataset.from_list([row(each) for each in heldout]) if heldout else None,
            data_collator=Padded(job.pad),
            compute_metrics=_accuracy,
            callbacks=callbacks,
        )
    from groundling.tuning.training.preferences import preference_trainer

    return preference_trainer(model, job, common, train, heldout, callbacks)


def _accuracy(predicted: Any) -> dict[str, float]:
    return {"accuracy": float(predicted.predictions.mean())}


def _arguments(recipe: Recipe, folder: Path, looks: bool, examples: int) -> dict[str, Any]:
    import torch

    cuda = torch.cuda.is_available()
    # As the trainer counts: the last batches of an epoch are an update, too.
    batches = math.ceil(examples / (recipe.batch * processes()))
    steps = recipe.steps or math.ceil(recipe.epochs * math.ceil(batches / recipe.accumulate))
    goes_back = looks and recipe.patience > 0
    found: dict[str, Any] = {
        "output_dir": str(folder / "checkpoints"),
        "per_device_train_batch_size": recipe.batch,
        "per_device_eval_batch_size": recipe.batch,
        "gradient_accumulation_steps": recipe.accumulate,
        "max_steps": steps,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": recipe.schedule,
        "warmup_steps": round(recipe.warmup * steps),
        "weight_decay": recipe.weight_decay,
        "max_grad_norm": recipe.clip,
        "optim": _OPTIMISERS[recipe.optimiser],
        "seed": recipe.seed,
        "bf16": recipe.dtype == "bfloat16" and cuda,
        "gradient_checkpointing": recipe.checkpointing,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # a loss that is no number is told, not averaged away
        "disable_tqdm": True,
        "report_to": "none",
        "eval_strategy": "steps" if looks else "no",
        "eval_steps": recipe.evaluate,
        "save_strategy": "steps",
        "save_steps": recipe.save,
        # The last two, and the best look's, which `Report` has written.
        "save_total_limit": 3 if goes_back else 2,
        "metric_for_best_model": "eval_loss" if goes_back else None,
        "include_num_input_tokens_seen": "non_padding",
        "use_cpu": not cuda and not torch.backends.mps.is_available(),
        "dataloader_pin_memory": cuda,
    }
    if recipe.optimiser in _LOW_RANK:
        found["optim_target_modules"] = recipe.targets
    if recipe.sharding == "fsdp":
        found |= fsdp_arguments(recipe)
    return found
