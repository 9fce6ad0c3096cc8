"""A training run, from a job's file to a finished adapter: `python -m … JOB`.

    python -m groundling.tuning.training.worker job.json
    torchrun --nproc-per-node 2 -m groundling.tuning.training.worker job.json

Killed at any moment, the same command goes on from the last whole checkpoint.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from groundling.errors import GroundlingError
from groundling.settings import environment
from groundling.tuning.recipe import Recipe
from groundling.tuning.training.job import HELDOUT, RESULT, TRAIN, Job, read_tokens


def main() -> int:
    """Run the job that the first argument names; return the exit code."""
    job = Job.read(Path(sys.argv[1]))
    _prepare_process(job.recipe)
    from groundling.tuning.training.reporting import memory, tell

    try:
        began = time.monotonic()
        told = _train(job)
        tell({"event": "ended", "seconds": round(time.monotonic() - began, 3),
              "memory": memory(), **told})  # type: ignore[typeddict-item]  # fmt: skip
        return 0
    except GroundlingError as error:
        tell({"event": "failed", "reason": str(error), "hint": error.hint or ""})
    except Exception as error:
        tell({"event": "failed", **_explained(error)})  # type: ignore[typeddict-item]
        traceback.print_exc()  # into the run's errors.log
    return 1


def _prepare_process(recipe: Recipe) -> None:
    """Leave the machine to whoever answers, and the network alone."""
    if hasattr(os, "nice"):
        os.nice(10)
    threads = recipe.threads or max(1, (os.cpu_count() or 2) - 1)
    variables = environment()
    variables.setdefault("OMP_NUM_THREADS", str(threads))
    variables.setdefault("OMP_WAIT_POLICY", "passive")
    variables["HF_HUB_OFFLINE"] = variables["TRANSFORMERS_OFFLINE"] = "1"
    variables["TOKENIZERS_PARALLELISM"] = "false"
    variables["WANDB_MODE"] = variables["WANDB_DISABLED"] = "disabled"
    sys.stdout = sys.stderr  # libraries print; the pipe carries events alone


def _train(job: Job) -> dict[str, Any]:
    from groundling.tuning.training.reporting import tell

    tell({"event": "loading"})
    import torch
    from transformers import set_seed

    recipe, folder = job.recipe, Path(job.folder)
    set_seed(recipe.seed)
    train, heldout = list(read_tokens(folder / TRAIN)), list(read_tokens(folder / HELDOUT))
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    from groundling.tuning.training.trainers import trainer_for
    from groundling.tuning.training.weights import load

    model = load(Path(job.base), recipe, folder)
    if recipe.weights != "full":
        from groundling.tuning.training.lora import adapted

        model = adapted(model, recipe, None if job.start is None else Path(job.start))
    trainer = trainer_for(model, job, train, heldout)
    trained = sum(each.numel() for each in model.parameters() if each.requires_grad)
    last = _last_checkpoint(folder / "checkpoints")
    trainer.train(resume_from_checkpoint=str(last) if last is not None else None)
    _store(trainer, folder)
    state = trainer.state
    return {
        "step": state.global_step,
        "steps": state.max_steps,
        "trained": trained,
        "tokens": int(state.num_input_tokens_seen or 0),
        "processes": trainer.accelerator.num_processes,
        "sharding": str(trainer.accelerator.distributed_type.value),
    }


def _store(trainer: Any, folder: Path) -> None:
    """Write the result beside and rename it: it is whole, or not there."""
    beside = folder / f".{RESULT}"
    if trainer.is_world_process_zero():
        shutil.rmtree(beside, ignore_errors=True)
    trainer.save_model(str(beside))
    if trainer.is_world_process_zero():
        shutil.rmtree(folder / RESULT, ignore_errors=True)
        beside.rename(folder / RESULT)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def _last_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint that is whole: the state is what is written last."""
    if not folder.is_dir():
        return None
    found = sorted(
        (int(each.name.rpartition("-")[2]), each)
        for each in folder.glob("checkpoint-*")
        if (each / "trainer_state.json").is_file() and each.name.rpartition("-")[2].isdigit()
    )
    return found[-1][1] if found else None


def _explained(error: Exception) -> dict[str, str]:
    text = str(error)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return {
            "reason": "The disk is full; the last whole checkpoint is kept.",
            "hint": "Free the disk and run the same command: it goes on from there.",
        }
    if isinstance(error, MemoryError) or "out of memory" in text.lower() or "alloc" in text:
        return {
            "reason": "There was not enough memory for a batch.",
            "hint": "Set batch = 1, checkpointing = true or a shorter context in the recipe, and "
            "run the same command: it goes on from the last checkpoint.",
        }
    return {
        "reason": f"{type(error).__name__}: {text}",
        "hint": "errors.log in the run's folder shows where.",
    }


if __name__ == "__main__":
    raise SystemExit(main())
