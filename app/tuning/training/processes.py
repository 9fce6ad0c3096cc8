"""Several processes train together, started by torchrun: copies of the model, or one in pieces.

`ddp`: each process has the whole model, reads other examples, and the gradients are averaged.
`fsdp`: each keeps a piece of every layer, and the layers are put together when they are
needed (PyTorch's `fully_shard`, https://arxiv.org/abs/2304.11277). transformers takes a wish
for pieces on a CPU for copies without a word; `CheckSharding` does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accelerate import PartialState
from accelerate.utils import DistributedType
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback

from groundling.errors import TuningError
from groundling.settings import environment
from groundling.tuning.recipe import Recipe

# Of two processes each has half of the numbers, and what does not divide.
_WHOLE = 0.75


def processes() -> int:
    """Return how many train together."""
    return int(environment().get("WORLD_SIZE", "1"))


def check_processes(recipe: Recipe) -> None:
    """Compare the recipe's sharding with how this process was started.

    Raises:
        TuningError: several processes without sharding, or sharding with one process.
    """
    count = processes()
    if recipe.sharding == "none" and count > 1:
        raise TuningError(
            f"{count} processes were started, and the recipe does not say how they share.",
            hint="--set sharding=ddp, or fsdp for a model that does not fit into one device",
        )
    if recipe.sharding != "none" and count == 1:
        raise TuningError(
            f"The recipe says sharding = “{recipe.sharding}”, and there is one process.",
            hint='--launch "torchrun --nproc-per-node 2", or --set sharding=none',
        )


def fsdp_arguments(recipe: Recipe) -> dict[str, Any]:
    """Return what transformers' trainer is told of sharding."""
    found: dict[str, Any] = {"fsdp": True}
    # Whole states: a checkpoint, and the adapter, are files as of one process.
    config: dict[str, Any] = {"version": 2, "state_dict_type": "FULL_STATE_DICT"}
    if recipe.checkpointing:
        # Activations that are computed again have to gather their layer once more: FSDP's own.
        found["gradient_checkpointing"] = False
        config["activation_checkpointing"] = True
    return {**found, "fsdp_config": config}


def arguments(kind: Any, recipe: Recipe, options: Mapping[str, Any]) -> Any:
    """Make the trainer's arguments, and let accelerate shard between processes without GPUs.

    accelerate makes pieces of a model where its processes have accelerators, and copies of it
    on CPUs, although `fully_shard` does both. What its state says of the processes decides,
    and the state is there once the arguments are.

    Args:
        kind: the class.
    """
    made = kind(**options)
    if recipe.sharding == "fsdp":
        state = PartialState()
        if state.distributed_type == DistributedType.MULTI_CPU:
            state.distributed_type = DistributedType.MULTI_GPU
    return made


class CheckSharding(TrainerCallback):
    """Looks before the first update whether the processes share as they are to; keeps it so."""

    def __init__(self, recipe: Recipe) -> None:
        self._wanted = recipe.sharding

    def on_train_begin(self, args: Any, state: Any, control: Any, **known: Any) -> None:
        """Look.

        Raises:
            TuningError: each process has the whole model where it is to have a piece, or
                nobody averages what they learn.
        """
        pieces = _share(known["model"]) < _WHOLE
        kind = PartialState().distributed_type.value
        if pieces != (self._wanted == "fsdp") or (self._wanted != "none") != (kind != "NO"):
            raise TuningError(
                f"The recipe says sharding = “{self._wanted}”, and the processes run as {kind}, "
                f"with {'pieces' if pieces else 'all'} of the model in each.",
                hint="docs/several-gpus.md lists where which sharding runs.",
            )

    def on_evaluate(self, args: Any, state: Any, control: Any, **known: Any) -> None:
        """Take apart again what a look put together and no backward pass took apart.

        A checkpoint's pieces can be read only into pieces.
        """
        for each in known["model"].modules():
            if isinstance(each, FSDPModule):
                each.reshard()


def _share(model: Any) -> float:
    """Return how much of the model's numbers this process holds."""
    own = whole = 0
    for each in model.parameters():
        whole += each.numel()
        own += each.to_local().numel() if isinstance(each, DTensor) else each.numel()
    return own / whole
