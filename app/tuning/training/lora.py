"""The low-rank adapter that is trained (Hu et al. 2021, arXiv:2106.09685), by PEFT."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from groundling.errors import TuningError
from groundling.tuning.recipe import Recipe

_LAYER = re.compile(r"\.layers\.(\d+)\.")


def adapted(model: Any, recipe: Recipe, start: Path | None) -> Any:
    """Put an adapter on a model, a fresh one or one to go on from.

    Raises:
        TuningError: the model has not all of the matrices that the recipe adapts; the adapter
            to go on from is of another base.
    """
    from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training

    if recipe.weights == "qlora":
        model = prepare_model_for_kbit_training(
            model, use_gradient_checkpointing=recipe.checkpointing
        )
    if start is not None:
        try:
            return PeftModel.from_pretrained(model, start, is_trainable=True)
        except (ValueError, RuntimeError) as error:
            raise TuningError(f"The adapter to go on from does not fit: {error}") from error
    _check_targets(model, recipe)
    ranks, alphas = _patterns(model, recipe)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=recipe.targets,
        rank_pattern=ranks,
        alpha_pattern=alphas,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def _check_targets(model: Any, recipe: Recipe) -> None:
    """Refuse to adapt a part of what was asked for: PEFT passes over names that are not there."""
    import torch

    inside = [
        name for name, module in model.named_modules()
        if _LAYER.search(name) and isinstance(module, torch.nn.Linear)
    ]  # fmt: skip
    missing = [
        each for each in recipe.targets if not any(name.endswith(f".{each}") for name in inside)
    ]
    if missing:
        there = sorted({name.rpartition(".")[2] for name in inside})
        raise TuningError(
            f"The adapter cannot be put on this model: its layers have no {', '.join(missing)}.",
            hint=f"targets in the recipe names the matrices; there are {', '.join(there)}.",
        )


def _patterns(model: Any, recipe: Recipe) -> tuple[dict[str, int], dict[str, float]]:
    """Return ranks by matrix where they rise; alpha goes with them, so that the scale stays."""
    if recipe.ranks == "even":
        return {}, {}
    names = [name for name, _ in model.named_modules() if name.split(".")[-1] in recipe.targets]
    layers = 1 + max((int(found[1]) for name in names if (found := _LAYER.search(name))), default=0)
    ranks = {
        re.escape(name): recipe.rank_of(int(found[1]), layers)
        for name in names
        if (found := _LAYER.search(name))
    }
    return ranks, {name: recipe.alpha * rank / recipe.rank for name, rank in ranks.items()}
