"""A training run, from a job's file to a finished adapter: `python -m … JOB`.

    python -m groundling.tuning.training.worker job.json
    torchrun --nproc-per-node 2 -m groundling.tuning.training.worker job.json

Killed at any moment, the same command goes on from the last whole checkpoint.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from groundling.errors import GroundlingError
from groundling.models.cpu import default_threads
from groundling.settings import environment
from groundling.tuning.recipe import Recipe
from groundling.tuning.training.job import HELDOUT, RESULT, TRAIN, Job, read_tokens

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_WRITER = re.compile(
    rf"os error ({'|'.join(map(str, _FULL))})\b|PytorchStreamWriter failed|inline_container"
)
_LOST = re.compile(r"Connection (closed|reset) by peer|remote process exited", re.I)
_NO_MEMORY = re.compile(r"out of memory|can't allocate memory|cannot allocate memory", re.I)


def main() -> int:
    """Run the job that the first argument names; return the exit code."""
    job = Job.read(Path(sys.argv[1]))
    _prepare_process(job.recipe)
    from groundling.tuning.training.reporting import memory, tell

    try:
        began = time.monotonic()
        told = train(job)
        tell({"event": "ended", "seconds": round(time.monotonic() - began, 3),
              "memory": memory(), **told})  # type: ignore[typeddict-item]  # fmt: skip
        return 0
    except GroundlingError as error:
        tell({"event": "failed", "reason": str(error), "hint": error.hint or ""})
    except Exception as error:
        # Where another process is gone, its reason counts, or what torchrun says of its end.
        if not _LOST.search(str(error)):
            tell({"event": "failed", **_explained(error)})  # type: ignore[typeddict-item]
        traceback.print_exc()  # into the run's errors.log
    return 1


def _step_back(niceness: int = 10) -> None:
    """Let whoever answers go first, in another terminal, too.

    Where Linux weighs sessions before it weighs what runs in them (sched(7), the autogroup
    feature), a niceness counts within its own session alone: the training gets one of its own,
    which is told as well.
    """
    if not hasattr(os, "nice"):
        return
    os.nice(niceness)
    with suppress(OSError):  # it leads one already, as torchrun's processes do
        os.setsid()
    if os.getsid(0) == os.getpid():
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(niceness), encoding="ascii")


def _prepare_process(recipe: Recipe) -> None:
    """Leave the machine to whoever answers, and the network alone."""
    _step_back()
    threads = recipe.threads or max(1, default_threads() - 1)
    variables = environment()
    variables.setdefault("OMP_NUM_THREADS", str(threads))
    variables.setdefault("OMP_WAIT_POLICY", "passive")
    if "LOCAL_RANK" not in variables:
        # One process is one device: of several GPUs torchrun gives each process its own.
        devices = variables.get("CUDA_VISIBLE_DEVICES", "0")
        variables["CUDA_VISIBLE_DEVICES"] = devices.partition(",")[0]
    variables["HF_HUB_OFFLINE"] = variables["TRANSFORMERS_OFFLINE"] = "1"
    variables["TOKENIZERS_PARALLELISM"] = "false"
    variables["WANDB_MODE"] = variables["WANDB_DISABLED"] = "disabled"
    sys.stdout = sys.stderr  # libraries print; the pipe carries events alone


def train(job: Job) -> dict[str, Any]:
    from groundling.tuning.training.reporting import tell

    tell({"event": "loading"})
    import torch
    from transformers import set_seed

    from groundling.tuning.training.processes import check_processes
    from groundling.tuning.training.trainers import check_choices, trainer_for
    from groundling.tuning.training.weights import load

    recipe, folder = job.recipe, Path(job.folder)
    check_processes(recipe)
    check_choices(recipe)
    if torch.cuda.is_available():
        # Before anything is read: weights of 4 bits are made where they are to stay.
        own = int(environment().get("LOCAL_RANK", "0"))
        torch.cuda.set_device(own % torch.cuda.device_count())
    set_seed(recipe.seed)
    train, heldout = list(read_tokens(folder / TRAIN)), list(read_tokens(folder / HELDOUT))
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
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
        "best": _kept(trainer),
        "threads": torch.get_num_threads(),
        "tokens": int(state.num_input_tokens_seen or 0),
        "processes": trainer.accelerator.num_processes,
        "sharding": str(trainer.accelerator.distributed_type.value),
    }


def _kept(trainer: Any) -> int:
    """Return the update whose weights the trainer has at its end."""
    state = trainer.state
    if trainer.args.load_best_model_at_end and state.best_model_checkpoint is not None:
        return int(state.best_global_step)
    return int(state.global_step)


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
        if each.name.rpartition("-")[2].isdigit() and _whole(each / "trainer_state.json")
    )
    return found[-1][1] if found else None


def _whole(state: Path) -> bool:
    try:
        json.loads(state.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def _explained(error: Exception) -> dict[str, str]:
    text = str(error)
    if isinstance(error, ImportError):
        return {
            "reason": f"A package is not installed: {' '.join(text.split())}",
            "hint": 'pip install "groundling[tune]"',
        }
    if _disk_is_full(error):
        return {
            "reason": "The disk is full; the last whole checkpoint is kept.",
            "hint": "Free the disk and run the same command: it goes on from there.",
        }
    if isinstance(error, MemoryError) or _NO_MEMORY.search(text):
        return {
            "reason": "There was not enough memory for a batch.",
            "hint": "--set batch=1, checkpointing=true or a shorter context: with another recipe "
            "the training begins anew. Unchanged, the command goes on from the last checkpoint.",
        }
    return {
        "reason": f"{type(error).__name__}: {text}",
        "hint": "errors.log in the run's folder shows where.",
    }


def _disk_is_full(error: BaseException | None) -> bool:
    """Tell whether that, or what led to it, is a file that could not be written to its end.

    safetensors says so in a text; torch says that its writer failed, whose reason it loses.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if _WRITER.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


if __name__ == "__main__":
    raise SystemExit(main())
